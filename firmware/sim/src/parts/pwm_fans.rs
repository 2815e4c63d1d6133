//! Fans on a control board's PWM outputs, and their tachs on its lines. An output that nobody drives floats, and a four-wire fan
//! whose input floats turns at full speed. Not here: how fast a fan follows its duty (`heat`).

use model::{Percent, Rpm, Time};
use std::collections::BTreeMap;

/// The simulated fans.
#[derive(Debug)]
pub struct PwmFans {
    data: model::PwmFans,
    /// The part of the time that each driven output is high.
    outputs: BTreeMap<u32, Percent>,
    tachs: Vec<Rotor>,
}

/// What a fan turns, and its turns until then.
#[derive(Clone, Copy, Debug, Default)]
struct Rotor {
    speed: Rpm,
    turns: f64,
    at: Time,
}

impl Rotor {
    fn turns(self, now: Time) -> f64 {
        self.turns + self.speed.0 / 60.0 * now.since(self.at).as_secs_f64()
    }
}

impl PwmFans {
    /// Fans of a board that was just powered: no output is driven.
    #[must_use]
    pub fn new(data: model::PwmFans) -> PwmFans {
        PwmFans { data, outputs: BTreeMap::new(), tachs: vec![Rotor::default(); data.tachs.len()] }
    }

    /// Drives an output; `false` where there is none.
    pub fn set(&mut self, channel: u32, high: Percent) -> bool {
        let there = self.data.channels.contains(&channel);
        if there {
            self.outputs.insert(channel, high);
        }
        there
    }

    /// What a fan is told: its output's duty, turned over where the board does so. Fans share outputs in order.
    #[must_use]
    pub fn duty(&self, fan: usize) -> Percent {
        let share = fan * self.data.channels.len() / self.tachs.len().max(1);
        let high = self.data.channels.get(share).and_then(|channel| self.outputs.get(channel));
        high.map_or(Percent(100.0), |high| if self.data.inverted { Percent(100.0) - *high } else { *high })
    }

    /// Tells it how fast a fan turns from now on.
    pub fn turn(&mut self, now: Time, fan: usize, speed: Rpm) {
        if let Some(rotor) = self.tachs.get_mut(fan) {
            *rotor = Rotor { speed, turns: rotor.turns(now), at: now };
        }
    }

    /// How often a tach's line fell until now; `None` where the line is no tach's.
    #[must_use]
    pub fn edges(&self, now: Time, line: u32) -> Option<u64> {
        let fan = self.data.tachs.iter().position(|tach| *tach == line)?;
        Some((self.tachs.get(fan)?.turns(now) * f64::from(self.data.pulses)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_float_full_and_are_turned_over_where_the_board_does_so() {
        let data = model::PwmFans { channels: &[0, 1], hertz: 25_000, inverted: true, tachs: &[5, 0, 3, 6], pulses: 2 };
        let mut f = PwmFans::new(data);
        assert_eq!(f.duty(0), Percent(100.0));
        assert!(f.set(1, Percent(70.0)));
        assert!(!f.set(2, Percent(70.0)));
        assert_eq!([0, 1, 2, 3].map(|fan| f.duty(fan).0), [100.0, 100.0, 30.0, 30.0]);
    }

    #[test]
    fn a_rotor_makes_its_pulses_at_any_moment() {
        let data = model::PwmFans { channels: &[0], hertz: 25_000, inverted: false, tachs: &[7], pulses: 2 };
        let mut f = PwmFans::new(data);
        f.turn(Time::ZERO, 0, Rpm(6000.0));
        assert_eq!(f.edges(Time::from_millis(2500), 7), Some(500));
        f.turn(Time::from_secs(3), 0, Rpm(0.0));
        assert_eq!(f.edges(Time::from_secs(9), 7), Some(600));
        assert_eq!(f.edges(Time::from_secs(9), 8), None);
    }
}
