//! Where the heat goes: a thermal mass for the chips of each chain and one for its board, air moved by fans with spin-up.
//!
//! Power is c·f·V² and a leakage that rises with temperature. The shape is that of a hashboard of 126 chips under 1 kW, as far as it is
//! published: chips 8 to 15 °C above the outlet sensor, half a degree a second after the start (S21 factory log). A product's own
//! power and target temperature scale it ([`Physics`]). Not here: the parts that measure it.

use model::{Celsius, Megahertz, Percent, Product, Rpm, Volt, Watt};
use std::time::Duration;

/// One step of the integration. Everything below moves far slower.
pub const STEP: Duration = Duration::from_millis(100);

/// What a clocked chip without work takes of its switching power.
const IDLE_PART: f64 = 0.15;
/// Of a board's power, what its regulators and drivers take, and what of its chips' leaks at the target temperature.
const BOARD_PART: f64 = 0.05;
const LEAKAGE_PART: f64 = 0.1;
/// What heats the leakage e-fold.
const LEAKAGE_RISE: f64 = 70.0;
/// Air that the figures below are for.
const ROOM: Celsius = Celsius(25.0);

/// The board that the figures below are for: its power, and how far above the room its chips are at seven tenths of the air.
const SHAPE_POWER: Watt = Watt(1068.0);
const SHAPE_RISE: Celsius = Celsius(45.0);
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
/// Air that moves over a product without fans of its own, of full flow.
const FOREIGN_FLOW: f64 = 0.7;

/// What a product makes of it: every board alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    /// Power of one chip for each MHz and V².
    switching: f64,
    /// Leakage of one chip at 25 °C and the nominal rail.
    leakage: Watt,
    rail: Volt,
    /// Regulators and drivers of a board under power.
    board: Watt,
    /// Mass and conductance against those of the shape.
    mass: f64,
    conductance: f64,
}

impl Physics {
    /// From a product's power at its nominal clock and rail, and the temperature that it is to hold.
    #[must_use]
    pub fn of(product: &Product) -> Physics {
        let l = &product.limits;
        let power = product.power.0 / product.hashboards.len().max(1) as f64;
        let chips = product.hashboards.first().map_or(1.0, |b| f64::from(b.chain.chips));
        let chip = power * (1.0 - BOARD_PART) / chips;
        Physics {
            switching: chip * (1.0 - LEAKAGE_PART) / (l.clock_nominal.0 * l.rail_nominal.0 * l.rail_nominal.0),
            leakage: Watt(chip * LEAKAGE_PART / ((l.target.0 - ROOM.0) / LEAKAGE_RISE).exp()),
            rail: l.rail_nominal,
            board: Watt(power * BOARD_PART),
            mass: power / SHAPE_POWER.0,
            conductance: power / SHAPE_POWER.0 * SHAPE_RISE.0 / (l.target.0 - ROOM.0),
        }
    }

    /// What a board under this load takes with its chips at this temperature.
    #[must_use]
    pub fn power(&self, load: &Load, chip: Celsius) -> Watt {
        if load.rail <= Volt(0.0) {
            return Watt(0.0);
        }
        let activity = if load.hashing { 1.0 } else { IDLE_PART };
        let switching = self.switching * load.clock.0 * load.rail.0 * load.rail.0 * activity;
        // Above 150 °C silicon is gone anyway; the cap keeps a run-away finite.
        let warm = ((chip.0.min(150.0) - ROOM.0) / LEAKAGE_RISE).exp();
        let leakage = self.leakage.0 * warm * load.rail.0 / self.rail.0;
        Watt((switching + leakage) * f64::from(load.chips)) + self.board
    }
}

/// The air at the inlet follows the room's e-fold in this many seconds: no room's air jumps.
const ROOM_LAG_S: f64 = 30.0;
/// Fans reach a new speed e-fold in this many seconds, and stand below this duty.
const SPIN_UP_S: f64 = 1.5;
const STALL: Percent = Percent(8.0);

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
        if self.speeds.is_empty() {
            return FOREIGN_FLOW;
        }
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
    pub fn step(&mut self, physics: &Physics, load: &Load, air: &Air) {
        self.power = physics.power(load, self.chip);
        let (seconds, flow) = (STEP.as_secs_f64() / physics.mass, air.flow().powf(FLOW_POWER));
        let conduct = |watts_a_kelvin: f64, kelvin: f64| physics.conductance * watts_a_kelvin * kelvin;
        let chips_to_board = conduct(CHIPS_TO_BOARD, self.chip.0 - self.outlet.0);
        let chips_to_air = conduct(CHIPS_STILL + CHIPS_FLOW * flow, self.chip.0 - air.ambient.0);
        let board_to_air = conduct(BOARD_STILL + BOARD_FLOW * flow, self.outlet.0 - air.ambient.0);
        self.chip.0 += (self.power.0 - chips_to_board - chips_to_air) * seconds / CHIPS_MASS;
        self.outlet.0 += (chips_to_board - board_to_air) * seconds / BOARD_MASS;
        self.inlet.0 = air.ambient.0 + INLET_PART * (self.outlet.0 - air.ambient.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_load(p: &Product) -> Load {
        let chips = p.hashboards[0].chain.chips;
        Load { chips, clock: p.limits.clock_nominal, rail: p.limits.rail_nominal, hashing: true }
    }

    fn run(p: &Product, board: &mut BoardHeat, air: &mut Air, duty: f64, seconds: u64) {
        let (physics, load) = (Physics::of(p), full_load(p));
        for _ in 0..seconds * 10 {
            air.step(|_| Percent(duty));
            board.step(&physics, &load, air);
        }
    }

    fn air(p: &Product) -> Air {
        Air::new(usize::from(p.fans), p.limits.fan_full)
    }

    fn settled(p: &Product, duty: f64) -> BoardHeat {
        let mut air = air(p);
        let mut board = BoardHeat::new(air.ambient);
        run(p, &mut board, &mut air, duty, 1800);
        board
    }

    #[test]
    fn full_load_settles_at_work_temperature_and_power() {
        for p in board::PRODUCTS {
            let power = p.power.0 / p.hashboards.len() as f64;
            for duty in [60.0, 70.0, 80.0] {
                let b = settled(p, duty);
                assert!((b.chip.0 - p.limits.target.0).abs() < 8.0, "{} {duty}: {b:?}", p.name);
                assert!((5.0..18.0).contains(&(b.chip.0 - b.outlet.0)), "{} {duty}: {b:?}", p.name);
                assert!((b.power.0 / power - 1.0).abs() < 0.05, "{} {duty}: {b:?}", p.name);
            }
            assert!(p.fans == 0 || settled(p, 100.0).chip < settled(p, 60.0).chip, "{}", p.name);
        }
    }

    #[test]
    fn without_fans_it_passes_danger_within_two_minutes() {
        for p in board::PRODUCTS.iter().filter(|p| p.fans > 0) {
            let mut air = air(p);
            let mut board = BoardHeat::new(air.ambient);
            run(p, &mut board, &mut air, 70.0, 1800);
            run(p, &mut board, &mut air, 0.0, 25);
            assert!(board.chip < p.limits.danger, "{} {board:?}", p.name);
            run(p, &mut board, &mut air, 0.0, 95);
            assert!(board.chip > p.limits.danger, "{} {board:?}", p.name);
        }
    }

    #[test]
    fn a_stuck_fan_stands_and_a_rail_that_is_off_takes_nothing() {
        let p = &board::antminer_s19jpro::PRODUCT;
        let mut air = air(p);
        air.stuck[2] = true;
        (0..200).for_each(|_| air.step(|_| Percent(100.0)));
        assert_eq!(air.speeds[2], Rpm(0.0));
        assert!(air.speeds[0] > Rpm(5990.0) && (air.flow() - 0.75).abs() < 0.01);
        let off = Load { rail: Volt(0.0), ..full_load(p) };
        assert_eq!(Physics::of(p).power(&off, Celsius(60.0)), Watt(0.0));
    }
}
