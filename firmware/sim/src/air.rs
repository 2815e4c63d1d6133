//! The air over the boards: what comes in, and the fans that move it.
//!
//! Not here: what the air carries away (`heat`), and the parts that drive fans and count their turns (`parts`).

use crate::heat::{ROOM, STEP};
use model::{Celsius, Percent, Rpm};

/// How fast fans turn at a duty, as parts of full speed: 5,200 and about 6,000 of 6,700 rpm at 70 and 85 % (S21 factory log). That they
/// stop along a straight line below is inferred, and so is that other makers' fans follow the same curve.
const CURVE: [(f64, f64); 4] = [(0.0, 0.0), (70.0, 5200.0 / 6700.0), (85.0, 6000.0 / 6700.0), (100.0, 1.0)];
/// The air at the inlet follows the room's e-fold in this many seconds: no room's air jumps. A room is warmed by its machines, and no
/// faster than boards are whose fans stand, half a degree a second (S21 factory log): so much it is of the hottest room of the catalogue
/// by the time that boards reach their limits.
const ROOM_LAG_S: f64 = 120.0;
/// Fans reach a new speed e-fold in this many seconds, and stand below this duty.
const SPIN_UP_S: f64 = 1.5;
const STALL: Percent = Percent(8.0);
/// Air that moves over a product without fans of its own, of full flow: as at seven tenths of the duty.
const FOREIGN_FLOW: f64 = 5200.0 / 6700.0;

/// The fans and the air they move.
#[derive(Clone, Debug)]
pub struct Air {
    /// What comes in.
    pub ambient: Celsius,
    /// What the room is at.
    pub room: Celsius,
    /// How fast each fan turns.
    pub speeds: Vec<Rpm>,
    /// Fans that are held still whatever their duty.
    pub stuck: Vec<bool>,
    full: Rpm,
}

impl Air {
    /// Fans that stand, in air of 25 °C.
    #[must_use]
    pub fn new(fans: usize, full: Rpm) -> Air {
        Air { ambient: ROOM, room: ROOM, speeds: vec![Rpm(0.0); fans], stuck: vec![false; fans], full }
    }

    /// Lets every fan approach its duty, and the air the room's, for one [`STEP`].
    pub fn step(&mut self, duty: impl Fn(usize) -> Percent) {
        self.ambient.0 += (self.room.0 - self.ambient.0) * STEP.as_secs_f64() / ROOM_LAG_S;
        for (fan, speed) in self.speeds.iter_mut().enumerate() {
            let duty = duty(fan);
            let asked = if self.stuck[fan] || duty < STALL { 0.0 } else { self.full.0 * speed_part(duty) };
            speed.0 += (asked - speed.0) * STEP.as_secs_f64() / SPIN_UP_S;
            // A rotor that hardly moves gives no edges.
            if asked == 0.0 && speed.0 < 60.0 {
                *speed = Rpm(0.0);
            }
        }
    }

    /// Air flow, 0 to 1.
    #[must_use]
    pub fn flow(&self) -> f64 {
        if self.speeds.is_empty() {
            return FOREIGN_FLOW;
        }
        let sum: f64 = self.speeds.iter().map(|s| s.0).sum();
        sum / (self.full.0 * self.speeds.len().max(1) as f64)
    }
}

/// The part of full speed that a duty gives.
fn speed_part(duty: Percent) -> f64 {
    let between = |pair: &[(f64, f64)]| {
        let [(from, low), (to, high)] = [pair[0], pair[1]];
        (duty.0 <= to).then(|| low + (high - low) * (duty.0 - from).max(0.0) / (to - from))
    };
    CURVE.windows(2).find_map(between).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_turn_along_their_curve() {
        // Duty, and the rpm of fans of 6,700.
        for (duty, rpm) in
            [(0.0, 0.0), (5.0, 0.0), (35.0, 2600.0), (70.0, 5200.0), (85.0, 6000.0), (92.5, 6350.0), (100.0, 6700.0)]
        {
            let mut air = Air::new(1, Rpm(6700.0));
            (0..300).for_each(|_| air.step(|_| Percent(duty)));
            assert!((air.speeds[0].0 - rpm).abs() < 1.0, "{duty} %: {}", air.speeds[0]);
        }
    }

    #[test]
    fn a_stuck_fan_stands() {
        let mut air = Air::new(4, Rpm(6000.0));
        air.stuck[2] = true;
        (0..200).for_each(|_| air.step(|_| Percent(100.0)));
        assert_eq!(air.speeds[2], Rpm(0.0));
        assert!(air.speeds[0] > Rpm(5990.0) && (air.flow() - 0.75).abs() < 0.01);
    }
}
