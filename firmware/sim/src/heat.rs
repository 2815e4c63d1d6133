//! Where the heat goes: a thermal mass for the chips of each chain and one for its board, air moved by fans with spin-up.
//!
//! Power is c·f·V² and a leakage that rises with temperature. The numbers fit what is published: about 3 kW for three
//! boards at 525 MHz and 13.2 V, chips 8 to 15 °C above the outlet sensor, half a degree a second after the start (S21 factory
//! log). Not here: the parts that measure it.

use model::{Celsius, Megahertz, Percent, Rpm, Volt, Watt};
use std::time::Duration;

/// One step of the integration. Everything below moves far slower.
pub const STEP: Duration = Duration::from_millis(100);

/// Power of one chip for each MHz and V².
const SWITCHING: f64 = 7.9e-5;
/// What a clocked chip without work takes of that.
const IDLE_PART: f64 = 0.15;
/// Leakage of one chip at 25 °C and the nominal rail, and what heats it e-fold.
const LEAKAGE: Watt = Watt(0.45);
const LEAKAGE_RISE: f64 = 70.0;
const LEAKAGE_RAIL: Volt = Volt(13.2);
/// Regulators and drivers of a board under power.
const BOARD_POWER: Watt = Watt(50.0);

/// Heat capacities, J/K: all chips of a board with their sinks; the board.
const CHIPS_MASS: f64 = 1500.0;
const BOARD_MASS: f64 = 600.0;
/// Conductances, W/K: chips to air without and with full air flow, the same of the board, and between chips and board.
const CHIPS_STILL: f64 = 1.0;
const CHIPS_FLOW: f64 = 26.0;
const BOARD_STILL: f64 = 0.3;
const BOARD_FLOW: f64 = 5.5;
const CHIPS_TO_BOARD: f64 = 8.0;
/// Heat transfer rises with air flow to this power.
const FLOW_POWER: f64 = 0.8;
/// How far the inlet sensor is up from the air towards the outlet's.
const INLET_PART: f64 = 0.55;

/// Fans reach a new speed e-fold in this many seconds, and stand below this duty.
const SPIN_UP_S: f64 = 1.5;
const STALL: Percent = Percent(8.0);

/// The fans and the air they move.
#[derive(Clone, Debug)]
pub struct Air {
    /// What comes in.
    pub ambient: Celsius,
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
        Air { ambient: Celsius(25.0), speeds: vec![Rpm(0.0); fans], stuck: vec![false; fans], full }
    }

    /// Lets every fan approach its duty for one [`STEP`].
    pub fn step(&mut self, duty: impl Fn(usize) -> Percent) {
        for (fan, speed) in self.speeds.iter_mut().enumerate() {
            let duty = duty(fan);
            let asked = if self.stuck[fan] || duty < STALL { 0.0 } else { self.full.0 * duty.0 / 100.0 };
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
        let sum: f64 = self.speeds.iter().map(|s| s.0).sum();
        sum / (self.full.0 * self.speeds.len().max(1) as f64)
    }
}

/// What a board takes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Its chips.
    pub chips: u8,
    /// Their clock; 0 where they are off or in reset.
    pub clock: Megahertz,
    /// Their rail.
    pub rail: Volt,
    /// Whether they work.
    pub hashing: bool,
}

impl Load {
    /// Power at this chip temperature.
    #[must_use]
    pub fn power(&self, chip: Celsius) -> Watt {
        if self.rail <= Volt(0.0) {
            return Watt(0.0);
        }
        let activity = if self.hashing { 1.0 } else { IDLE_PART };
        let switching = SWITCHING * self.clock.0 * self.rail.0 * self.rail.0 * activity;
        // Above 150 °C silicon is gone anyway; the cap keeps a run-away finite.
        let warm = ((chip.0.min(150.0) - 25.0) / LEAKAGE_RISE).exp();
        let leakage = LEAKAGE.0 * warm * self.rail.0 / LEAKAGE_RAIL.0;
        Watt((switching + leakage) * f64::from(self.chips)) + BOARD_POWER
    }
}

/// One hashboard's temperatures.
#[derive(Clone, Copy, Debug)]
pub struct BoardHeat {
    /// The chips, and the hottest of them is not told from the others.
    pub chip: Celsius,
    /// The board where the air leaves.
    pub outlet: Celsius,
    /// The board where the air enters.
    pub inlet: Celsius,
    /// What it takes.
    pub power: Watt,
}

impl BoardHeat {
    /// A board that is as warm as the air.
    #[must_use]
    pub fn new(ambient: Celsius) -> BoardHeat {
        BoardHeat { chip: ambient, outlet: ambient, inlet: ambient, power: Watt(0.0) }
    }

    /// One [`STEP`] under this load.
    pub fn step(&mut self, load: Load, air: &Air) {
        self.power = load.power(self.chip);
        let (seconds, flow) = (STEP.as_secs_f64(), air.flow().powf(FLOW_POWER));
        let chips_to_board = CHIPS_TO_BOARD * (self.chip.0 - self.outlet.0);
        let chips_to_air = (CHIPS_STILL + CHIPS_FLOW * flow) * (self.chip.0 - air.ambient.0);
        let board_to_air = (BOARD_STILL + BOARD_FLOW * flow) * (self.outlet.0 - air.ambient.0);
        self.chip.0 += (self.power.0 - chips_to_board - chips_to_air) * seconds / CHIPS_MASS;
        self.outlet.0 += (chips_to_board - board_to_air) * seconds / BOARD_MASS;
        self.inlet.0 = air.ambient.0 + INLET_PART * (self.outlet.0 - air.ambient.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL_LOAD: Load = Load { chips: 126, clock: Megahertz(525.0), rail: Volt(13.2), hashing: true };

    fn run(board: &mut BoardHeat, air: &mut Air, duty: f64, seconds: u64) {
        for _ in 0..seconds * 10 {
            air.step(|_| Percent(duty));
            board.step(FULL_LOAD, air);
        }
    }

    fn settled(duty: f64) -> BoardHeat {
        let mut air = Air::new(4, Rpm(6000.0));
        let mut board = BoardHeat::new(air.ambient);
        run(&mut board, &mut air, duty, 1800);
        board
    }

    #[test]
    fn full_load_settles_at_work_temperature_and_power() {
        for duty in [60.0, 70.0, 80.0] {
            let b = settled(duty);
            assert!((62.0..78.0).contains(&b.chip.0), "{duty}: {b:?}");
            assert!((8.0..18.0).contains(&(b.chip.0 - b.outlet.0)), "{duty}: {b:?}");
            assert!((950.0..1100.0).contains(&b.power.0), "{duty}: {b:?}");
        }
        assert!(settled(100.0).chip < settled(60.0).chip);
    }

    #[test]
    fn without_fans_it_passes_105_degrees_within_two_minutes() {
        let mut air = Air::new(4, Rpm(6000.0));
        let mut board = BoardHeat::new(air.ambient);
        run(&mut board, &mut air, 70.0, 1800);
        run(&mut board, &mut air, 0.0, 30);
        assert!(board.chip < Celsius(105.0), "{board:?}");
        run(&mut board, &mut air, 0.0, 90);
        assert!(board.chip > Celsius(105.0), "{board:?}");
    }

    #[test]
    fn a_stuck_fan_stands_and_a_rail_that_is_off_takes_nothing() {
        let mut air = Air::new(4, Rpm(6000.0));
        air.stuck[2] = true;
        (0..200).for_each(|_| air.step(|_| Percent(100.0)));
        assert_eq!(air.speeds[2], Rpm(0.0));
        assert!(air.speeds[0] > Rpm(5990.0) && (air.flow() - 0.75).abs() < 0.01);
        assert_eq!(Load { rail: Volt(0.0), ..FULL_LOAD }.power(Celsius(60.0)), Watt(0.0));
    }
}
