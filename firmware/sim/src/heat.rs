//! Where the heat goes: chips in groups along the air, each with its own thermal mass, on its own piece of the board. The air takes heat
//! from each and is warmer for the next one.
//!
//! Power is c·f·V² and a leakage that rises with temperature. The shape is that of a real S21 board of 108 chips under 1.1 kW, whose log
//! holds every chip's temperature each two seconds (asic.md A15, `tests/factory_log.rs`): at 475 MHz chips from 57.6 to 70.9 °C, 10 °C from
//! the first to the last group and a few between the chips of one. A product's own power and target temperature scale it
//! ([`Physics`]). Not here: the fans (`air`), and the parts that measure it.

use crate::air::Air;
use crate::chip::mix;
use model::{Celsius, Hashboard, Megahertz, Product, SensorPart, Volt, Watt};
use std::time::Duration;

/// One step of the integration. Everything below moves far slower.
pub const STEP: Duration = Duration::from_millis(100);
/// Air that the figures below are for.
pub const ROOM: Celsius = Celsius(25.0);

/// What a clocked chip without work takes of its switching power.
const IDLE_PART: f64 = 0.15;
/// Of a board's power, what its regulators and drivers take, and what of its chips' leaks at the target temperature.
const BOARD_PART: f64 = 0.05;
const LEAKAGE_PART: f64 = 0.1;
/// What heats the leakage e-fold.
const LEAKAGE_RISE: f64 = 70.0;

/// The board that the figures below are for: its power, and how far above the room its warmest chips are then, fans at 70 %.
const SHAPE_POWER: Watt = Watt(1133.0);
const SHAPE_RISE: Celsius = Celsius(45.0);
/// How far all its chips are above the room on average: a chip that is alone has no others that warm its air.
const SHAPE_MEAN_RISE: Celsius = Celsius(38.5);
/// Heat capacities, J/K: all chips of a board with their sinks; the board.
const CHIPS_MASS: f64 = 1150.0;
const BOARD_MASS: f64 = 400.0;
/// Conductances, W/K: chips to air without and with full air flow, the same of the board, and between chips and board.
const CHIPS_STILL: f64 = 1.0;
const CHIPS_FLOW: f64 = 40.6;
const BOARD_STILL: f64 = 0.3;
const BOARD_FLOW: f64 = 7.5;
const CHIPS_TO_BOARD: f64 = 6.0;
/// A board gives its heat more easily where the air enters than where it leaves, by so much more and less than on average.
const BOARD_FLOW_FALLS: f64 = 0.19;
/// What warms the air by a kelvin, W/K: without fans, and what full flow adds.
const AIR_STILL: f64 = 4.0;
const AIR_FLOW: f64 = 111.0;

/// Groups along the air: as many as an S21 has chips in a row, or fewer where rows of so many do not come out even.
const GROUPS: usize = 9;
const GROUPS_LEAST: usize = 4;
/// Boards of fewer chips than two such rows have groups of two.
const FEW_CHIPS: usize = 2 * GROUPS;
/// Chips of one group differ: the standard deviation of how far they are above their air, as a part of it.
const SPREAD: f64 = 0.04;

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
        let rise = if chips > 1.0 { SHAPE_RISE } else { SHAPE_MEAN_RISE };
        Physics {
            switching: chip * (1.0 - LEAKAGE_PART) / (l.clock_nominal.0 * l.rail_nominal.0 * l.rail_nominal.0),
            leakage: Watt(chip * LEAKAGE_PART / ((l.target.0 - ROOM.0) / LEAKAGE_RISE).exp()),
            rail: l.rail_nominal,
            board: Watt(power * BOARD_PART),
            mass: power / SHAPE_POWER.0,
            conductance: power / SHAPE_POWER.0 * rise.0 / (l.target.0 - ROOM.0),
        }
    }

    /// What a board under this load takes with all its chips at this temperature.
    #[must_use]
    pub fn power(&self, load: &Load, chip: Celsius) -> Watt {
        if load.rail <= Volt(0.0) {
            return Watt(0.0);
        }
        self.chip_power(load, chip) * f64::from(load.chips) + self.board
    }

    /// What one chip takes while the board has power.
    fn chip_power(&self, load: &Load, chip: Celsius) -> Watt {
        let activity = if load.hashing { 1.0 } else { IDLE_PART };
        let switching = self.switching * load.clock.0 * load.rail.0 * load.rail.0 * activity;
        // Above 150 °C silicon is gone anyway; the cap keeps a run-away finite.
        let warm = ((chip.0.min(150.0) - ROOM.0) / LEAKAGE_RISE).exp();
        Watt(switching + self.leakage.0 * warm * load.rail.0 / self.rail.0)
    }
}

/// What a board takes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Its chips that the line reaches; the first ones are.
    pub chips: u8,
    /// Their clock; 0 where they are off or in reset.
    pub clock: Megahertz,
    /// Their rail.
    pub rail: Volt,
    /// Whether they work.
    pub hashing: bool,
}

/// Chips that the same air reaches, and their piece of the board.
#[derive(Clone, Copy, Debug)]
struct Group {
    chips: Celsius,
    board: Celsius,
    /// The air on average over them.
    air: Celsius,
}

/// One chip in its place.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: usize,
    /// How much further above its air it is than its group, as a part of that.
    more: f64,
}

/// One hashboard's temperatures.
#[derive(Clone, Debug)]
pub struct BoardHeat {
    places: Vec<Place>,
    /// The first one where the air enters.
    groups: Vec<Group>,
    chips: Vec<Celsius>,
    warmest: Celsius,
    power: Watt,
}

impl BoardHeat {
    /// A board that is as warm as the air. The seed tells its chips apart.
    #[must_use]
    pub fn new(board: &Hashboard, seed: u64, ambient: Celsius) -> BoardHeat {
        let count = usize::from(board.chain.chips).max(1);
        let even = (GROUPS_LEAST..=GROUPS).rev().find(|n| count.is_multiple_of(*n)).unwrap_or(GROUPS);
        let groups = if count < FEW_CHIPS { count.div_ceil(2) } else { even };
        // An S21's chain runs to and fro across the air (its log). That others do as well is inferred, but for an S9: its thermometer hangs
        // on one of its last chips, which must be its warm end.
        let along = board.sensors.iter().any(|s| matches!(s.part, SensorPart::ThroughChip { .. }));
        let place = |chip: usize| {
            let (row, at) = (chip / groups, chip % groups);
            let group = match (along, row % 2 == 0) {
                (true, _) => chip * groups / count,
                (false, true) => groups - 1 - at,
                (false, false) => at,
            };
            Place { group, more: if count > 1 { SPREAD * bell(mix(seed ^ mix(chip as u64))) } else { 0.0 } }
        };
        BoardHeat {
            places: (0..count).map(place).collect(),
            groups: vec![Group { chips: ambient, board: ambient, air: ambient }; groups],
            chips: vec![ambient; count],
            warmest: ambient,
            power: Watt(0.0),
        }
    }

    /// Every chip's temperature, in the order of the chain.
    #[must_use]
    pub fn chips(&self) -> &[Celsius] {
        &self.chips
    }

    /// The warmest chip.
    #[must_use]
    pub fn warmest(&self) -> Celsius {
        self.warmest
    }

    /// The chips of each group on average, the first one where the air enters.
    pub fn groups(&self) -> impl Iterator<Item = Celsius> {
        self.groups.iter().map(|g| g.chips)
    }

    /// The board where the air enters.
    #[must_use]
    pub fn inlet(&self) -> Celsius {
        self.groups.first().map_or(ROOM, |g| g.board)
    }

    /// The board where the air leaves.
    #[must_use]
    pub fn outlet(&self) -> Celsius {
        self.groups.last().map_or(ROOM, |g| g.board)
    }

    /// The board beside a chip.
    #[must_use]
    pub fn beside(&self, chip: u8) -> Celsius {
        self.places.get(usize::from(chip)).map_or(ROOM, |p| self.groups[p.group].board)
    }

    /// The chip that carries a board's only diode for chips: which it is no data say, so that it is one in the middle.
    #[must_use]
    pub fn middle(&self) -> Celsius {
        self.groups[self.groups.len() / 2].chips
    }

    /// What it takes.
    #[must_use]
    pub fn power(&self) -> Watt {
        self.power
    }

    /// One [`STEP`] under this load.
    pub fn step(&mut self, physics: &Physics, load: &Load, air: &Air) {
        let (mut alive, count) = ([0.0; GROUPS], self.groups.len() as f64);
        self.places.iter().take(usize::from(load.chips)).for_each(|p| alive[p.group] += 1.0);
        let (flow, seconds) = (air.flow(), STEP.as_secs_f64() / physics.mass);
        let share = physics.conductance / count;
        let (to_board, chips_to_air) = (CHIPS_TO_BOARD * share, (CHIPS_STILL + CHIPS_FLOW * flow) * share);
        let capacity = physics.conductance * (AIR_STILL + AIR_FLOW * flow);
        let (mut entering, mut power) = (air.ambient.0, 0.0);
        for (n, g) in self.groups.iter_mut().enumerate() {
            let takes = match load.rail > Volt(0.0) {
                true => physics.chip_power(load, g.chips).0 * alive[n] + physics.board.0 / count,
                false => 0.0,
            };
            power += takes;
            // From 1 where the air enters to -1 where it leaves.
            let enters = if self.places.len() > 1 { 1.0 - 2.0 * n as f64 / (count - 1.0).max(1.0) } else { 0.0 };
            let board_to_air = (BOARD_STILL + BOARD_FLOW * flow * (1.0 + BOARD_FLOW_FALLS * enters)) * share;
            // Over a group the air is half as much warmer as behind it.
            let warms = 1.0 / (1.0 + (chips_to_air + board_to_air) / (2.0 * capacity));
            let from_chips = chips_to_air * (g.chips.0 - entering) * warms;
            let from_board = board_to_air * (g.board.0 - entering) * warms;
            let between = to_board * (g.chips.0 - g.board.0);
            let warmer = (from_chips + from_board) / capacity;
            g.air = Celsius(entering + warmer / 2.0);
            entering += warmer;
            g.chips.0 += (takes - between - from_chips) * seconds * count / CHIPS_MASS;
            g.board.0 += (between - from_board) * seconds * count / BOARD_MASS;
        }
        self.power = Watt(power);
        self.warmest = Celsius(f64::NEG_INFINITY);
        for (chip, p) in self.chips.iter_mut().zip(&self.places) {
            let g = &self.groups[p.group];
            chip.0 = g.chips.0 + p.more * (g.chips.0 - g.air.0);
            self.warmest = self.warmest.max(*chip);
        }
    }
}

/// A number of about the normal distribution, never beyond 3.5, from a random one.
fn bell(dice: u64) -> f64 {
    let quarters = (0..4).map(|n| f64::from((dice >> (16 * n)) as u16) / 65_536.0 - 0.5);
    quarters.sum::<f64>() * 3f64.sqrt()
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
