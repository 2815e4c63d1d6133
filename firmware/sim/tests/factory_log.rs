//! The simulated S21 board against what a factory's jig wrote of a real one: BHB68603 on 14 September 2023, 108 chips at 13.6 V in air
//! of 30.5 °C, every chip's temperature each two seconds (asic.md A15).
//!
//! What the log holds is a table here: the fans' duty and the clock as they were, and what was read then. Not here: the loss of work,
//! which has the same log (`sim::strain`), and other products, whose shape is inferred from this one.

use model::{Celsius, Megahertz, Percent, Rpm};
use sim::air::Air;
use sim::heat::{BoardHeat, Load, Physics};

const PRODUCT: &model::Product = &board::antminer_s21::PRODUCT;
/// The jig's room: idle sensors read 30 and 31.
const ROOM: Celsius = Celsius(30.5);

/// Stated tolerances: of one temperature on average, of the warmest and the coolest chip (which depend on luck), and of a speed.
const MEAN: f64 = 2.0;
const EXTREME: f64 = 3.0;
const SPEED: f64 = 150.0;

struct Bench {
    physics: Physics,
    heat: BoardHeat,
    air: Air,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let mut air = Air::new(usize::from(PRODUCT.fans), PRODUCT.limits.fan_full);
        (air.room, air.ambient) = (ROOM, ROOM);
        let heat = BoardHeat::new(&PRODUCT.hashboards[0], seed, ROOM);
        Bench { physics: Physics::of(PRODUCT), heat, air }
    }

    /// Lets it run so at this duty and clock.
    fn run(&mut self, seconds: f64, duty: f64, clock: f64) {
        let l = &PRODUCT.limits;
        let load = Load { chips: 108, clock: Megahertz(clock), rail: l.rail_nominal, hashing: true };
        for _ in 0..(seconds * 10.0) as u32 {
            self.air.step(|_| Percent(duty));
            self.heat.step(&self.physics, &load, &self.air);
        }
    }

    fn mean(&self) -> f64 {
        let chips = self.heat.chips();
        chips.iter().map(|c| c.0).sum::<f64>() / chips.len() as f64
    }

    fn least(&self) -> f64 {
        self.heat.chips().iter().fold(f64::INFINITY, |a, c| a.min(c.0))
    }

    fn assert_near(&self, what: &str, is: f64, was: f64, within: f64) {
        let (groups, [inlet, outlet]) = (self.heat.groups().collect::<Vec<_>>(), [self.heat.inlet(), self.heat.outlet()]);
        let (least, mean, most) = (self.least(), self.mean(), self.heat.warmest());
        let all = format!("chips {least:.1} {mean:.1} {most:.1}, board {inlet:.1} {outlet:.1}, groups {groups:.1?}");
        assert!((is - was).abs() <= within, "{what}: {is:.1}, in the log {was:.1} within {within}; {all}");
    }
}

/// MHz, the jig's mean duty in the last minutes, and then: the coolest chip, all on average, the warmest, the board's two sensors.
const STEADY: [(f64, f64, [f64; 5]); 2] =
    [(418.75, 70.0, [56.2, 62.9, 69.4, 43.0, 55.5]), (475.0, 81.0, [57.6, 64.2, 70.9, 43.0, 56.0])];

#[test]
fn a_board_that_has_settled_is_as_warm_as_the_real_one_and_spreads_as_it() {
    for seed in 1..6 {
        for (clock, duty, [least, mean, most, inlet, outlet]) in STEADY {
            let mut b = Bench::new(seed);
            b.run(1200.0, duty, clock);
            let what = |of: &str| format!("{of} at {clock} MHz, seed {seed}");
            b.assert_near(&what("the coolest chip"), b.least(), least, EXTREME);
            b.assert_near(&what("all chips"), b.mean(), mean, MEAN);
            b.assert_near(&what("the warmest chip"), b.heat.warmest().0, most, EXTREME);
            b.assert_near(&what("the inlet's sensor"), b.heat.inlet().0, inlet, MEAN);
            b.assert_near(&what("the outlet's sensor"), b.heat.outlet().0, outlet, MEAN);
        }
    }
}

/// The nine places of a row from where the air enters, each the mean of twelve chips, at 475 MHz.
const PLACES: [f64; 9] = [58.6, 60.5, 61.9, 62.5, 64.0, 65.7, 67.1, 68.4, 69.0];

#[test]
fn each_place_along_the_air_is_as_warm_as_the_real_one() {
    let mut b = Bench::new(1);
    b.run(1200.0, STEADY[1].1, 475.0);
    for (n, (is, was)) in b.heat.groups().zip(PLACES).enumerate() {
        b.assert_near(&format!("place {n}"), is.0, was, MEAN);
    }
}

#[test]
fn the_chain_runs_to_and_fro_between_where_the_air_enters_and_where_it_leaves() {
    // Of the log's last reading, the twelve chips at either edge of the board: the ninth and tenth, the first and 18th, and so on.
    let mut b = Bench::new(1);
    b.run(1200.0, STEADY[1].1, 475.0);
    for (edge, was) in [([8, 9], 58.6), ([0, 17], 69.0)] {
        let chips = (0..6).flat_map(|row| edge.map(|chip| b.heat.chips()[row * 18 + chip].0));
        b.assert_near(&format!("chips {edge:?} of each 18"), chips.sum::<f64>() / 12.0, was, MEAN);
    }
}

#[test]
fn it_warms_and_cools_as_fast_as_the_real_one() {
    // Fans at 2,280 rpm and 400 MHz: from 50.4 °C on average to 74.3 in 48 s. Then full air for 42 s, 85 % for 18.
    let mut b = Bench::new(1);
    while b.mean() < 47.5 {
        b.run(0.5, 100.0, 400.0);
    }
    let mut seconds = 0.0;
    while b.mean() < 50.4 {
        b.run(0.5, 31.0, 400.0);
    }
    while b.mean() < 74.3 && seconds < 500.0 {
        b.run(0.5, 31.0, 400.0);
        seconds += 0.5;
    }
    // Slower than the real one, whose slow fans move less against the jig than their speed says.
    b.assert_near("seconds of warming", seconds, 48.0, 20.0);
    b.run(24.0, 100.0, 400.0);
    b.assert_near("half a minute of full air", b.mean(), 66.4, EXTREME);
    b.run(18.0, 100.0, 400.0);
    b.run(18.0, 85.0, 400.0);
    b.assert_near("a minute of it", b.mean(), 61.0, EXTREME);
}

#[test]
fn fans_turn_as_in_the_log() {
    assert_eq!(PRODUCT.limits.fan_full, Rpm(6700.0));
    for (duty, rpm) in [(100.0, 6660.0), (85.0, 6000.0), (70.0, 5200.0)] {
        let mut b = Bench::new(1);
        b.run(30.0, duty, 400.0);
        for speed in &b.air.speeds {
            b.assert_near(&format!("a fan at {duty} %"), speed.0, rpm, SPEED);
        }
    }
}

#[test]
fn a_board_takes_what_the_machine_is_sold_with() {
    // The log has no power. The vendor's: 3,500 W of 490 MHz at the wall, of which a supply makes 94 to 97 %.
    let mut b = Bench::new(1);
    b.run(1200.0, 70.0, 490.0);
    b.assert_near("watts of a board", b.heat.power().0, PRODUCT.power.0 / 3.0, 30.0);
}
