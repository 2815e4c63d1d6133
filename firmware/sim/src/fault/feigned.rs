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

/// Which sensor, by the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// At this address of the control bus.
    Bus(u8),
    /// On a chip of this chain.
    Chain(usize),
}

/// A tach with a loose wire counts nothing for so long, once in so many times, and else the truth or twice.
const LOOSE_SECONDS: u64 = 10;
const LOOSE_EVERY: u64 = 3;

/// What is feigned now.
#[derive(Clone, Debug, Default)]
pub struct Feigned {
    /// What is wrong with each, and what was said first in each place that it measures.
    sensors: BTreeMap<Probe, (Felt, BTreeMap<usize, Celsius>)>,
    tachs: BTreeMap<usize, u64>,
    /// The mains give too little.
    pub brown_out: bool,
}

impl Feigned {
    /// Breaks a sensor, or heals it.
    pub fn sensor(&mut self, probe: Probe, felt: Option<Felt>) {
        match felt {
            Some(f) => drop(self.sensors.insert(probe, (f, BTreeMap::new()))),
            None => drop(self.sensors.remove(&probe)),
        }
    }

    /// Loosens a fan's tach wire, by this seed, or mends it.
    pub fn tach(&mut self, fan: usize, loose: Option<u64>) {
        match loose {
            Some(seed) => drop(self.tachs.insert(fan, seed)),
            None => drop(self.tachs.remove(&fan)),
        }
    }

    /// What a sensor feels in one of its places, where it is so warm.
    pub fn temperature(&mut self, probe: Probe, place: usize, truth: Celsius) -> Celsius {
        match self.sensors.get_mut(&probe) {
            None => truth,
            Some((Felt::Fixed(c), _)) => *c,
            Some((Felt::Off(by), _)) => truth + *by,
            Some((Felt::Stuck, first)) => *first.entry(place).or_insert(truth),
        }
    }

    /// Whether what a sensor says is so wrong that its host can know: it jumped, or says what no board can have. One that is stuck says
    /// what may be true until its board's heat changes.
    #[must_use]
    pub fn lies(&self, probe: Probe) -> bool {
        matches!(self.sensors.get(&probe), Some((Felt::Fixed(_) | Felt::Off(_), _)))
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
        let say = |f: &mut Feigned, c: f64| f.temperature(Probe::Bus(0x48), 0, Celsius(c)).0;
        for (felt, first, second) in
            [(Felt::Stuck, 60.0, 60.0), (Felt::Fixed(Celsius(-64.0)), -64.0, -64.0), (Felt::Off(Celsius(40.0)), 100.0, 105.0)]
        {
            f.sensor(Probe::Bus(0x48), Some(felt));
            assert_eq!((say(&mut f, 60.0), say(&mut f, 65.0)), (first, second), "{felt:?}");
            assert_eq!(f.temperature(Probe::Bus(0x49), 0, Celsius(1.0)), Celsius(1.0), "another one");
            if felt == Felt::Stuck {
                assert_eq!(f.temperature(Probe::Bus(0x48), 1, Celsius(1.0)), Celsius(1.0), "another place of it");
            }
            f.sensor(Probe::Bus(0x48), None);
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
