//! What parts are made to feel instead of what is: broken sensors and tachs, whatever part they belong to.
//!
//! The machine asks here when it tells a part the physics, so that every kind of sensor can be broken in the same way.

use super::luck::Luck;
use model::{Celsius, Rpm, Time};
use std::collections::BTreeMap;

/// What is wrong with a sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Felt {
    /// It goes on saying what it says now.
    Stuck,
    /// It always says this.
    Fixed(Celsius),
    /// It is off by this from one moment to the next.
    Off(Celsius),
}

/// A tach with a loose wire counts nothing for so long, once in so many times, and else the truth or twice.
const LOOSE_SECONDS: u64 = 10;
const LOOSE_EVERY: u64 = 3;

/// What is feigned now.
#[derive(Clone, Debug, Default)]
pub struct Feigned {
    sensors: BTreeMap<u8, (Felt, Option<Celsius>)>,
    tachs: BTreeMap<usize, u64>,
    /// The mains give too little.
    pub brown_out: bool,
}

impl Feigned {
    /// Breaks the sensor at this address, or heals it.
    pub fn sensor(&mut self, address: u8, felt: Option<Felt>) {
        match felt {
            Some(f) => drop(self.sensors.insert(address, (f, None))),
            None => drop(self.sensors.remove(&address)),
        }
    }

    /// Loosens a fan's tach wire, by this seed, or mends it.
    pub fn tach(&mut self, fan: usize, loose: Option<u64>) {
        match loose {
            Some(seed) => drop(self.tachs.insert(fan, seed)),
            None => drop(self.tachs.remove(&fan)),
        }
    }

    /// What the sensor at this address feels where it is so warm.
    pub fn temperature(&mut self, address: u8, truth: Celsius) -> Celsius {
        match self.sensors.get_mut(&address) {
            None => truth,
            Some((Felt::Fixed(c), _)) => *c,
            Some((Felt::Off(by), _)) => truth + *by,
            Some((Felt::Stuck, first)) => *first.get_or_insert(truth),
        }
    }

    /// What a fan's tach sees where it turns so fast.
    #[must_use]
    pub fn speed(&self, now: Time, fan: usize, truth: Rpm) -> Rpm {
        let Some(seed) = self.tachs.get(&fan) else { return truth };
        let slot = now.micros() / 1_000_000 / LOOSE_SECONDS;
        match slot % LOOSE_EVERY == seed % LOOSE_EVERY {
            true => Rpm(0.0),
            false if Luck::new(seed ^ slot).permille(500) => Rpm(truth.0 * 2.0),
            false => truth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_say_what_they_were_told_to_and_heal() {
        let mut f = Feigned::default();
        let say = |f: &mut Feigned, c: f64| f.temperature(0x48, Celsius(c)).0;
        for (felt, first, second) in
            [(Felt::Stuck, 60.0, 60.0), (Felt::Fixed(Celsius(-64.0)), -64.0, -64.0), (Felt::Off(Celsius(40.0)), 100.0, 105.0)]
        {
            f.sensor(0x48, Some(felt));
            assert_eq!((say(&mut f, 60.0), say(&mut f, 65.0)), (first, second), "{felt:?}");
            assert_eq!(f.temperature(0x49, Celsius(1.0)), Celsius(1.0), "another one");
            f.sensor(0x48, None);
            assert_eq!(say(&mut f, 65.0), 65.0);
        }
    }

    #[test]
    fn a_loose_tach_counts_wrongly_now_and_then() {
        let mut f = Feigned::default();
        f.tach(1, Some(9));
        let seen: Vec<_> = (0..100).map(|i| f.speed(Time::from_secs(i * LOOSE_SECONDS), 1, Rpm(3000.0)).0).collect();
        for rpm in [0.0, 3000.0, 6000.0] {
            assert!(seen.iter().filter(|r| **r == rpm).count() > 10, "{rpm}");
        }
        f.tach(1, None);
        assert_eq!(f.speed(Time::ZERO, 1, Rpm(3000.0)), Rpm(3000.0));
    }
}
