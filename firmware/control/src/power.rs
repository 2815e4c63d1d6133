//! What the machine may draw: by the supply's power, its temperature and its input voltage.
//!
//! A supply that is asked for too much, or fed too little, shuts down and stays so until somebody pulls its plug. The load is taken
//! away before. Parts that measure nothing are believed to be well: their own protection is then all there is. Not here: switching
//! supply and rails (`supply`, `bringup`), and a regulator's heat (`thermal`).

use crate::{PowerPlace, faults::Faults, thermal::heat::STEP_PART};
use model::{FaultCode, Limits, Measured, Megahertz, Product, Reading, RegulatorPart, Time, Volt};
use std::{collections::BTreeMap, time::Duration};

/// A measurement counts for so long; parts are asked each few seconds.
const AGE_MAX: Duration = Duration::from_secs(30);
/// A supply's excess that lasts for so long is no start of fans or ramp.
const OVER_PATIENCE: Duration = Duration::from_secs(2);
/// Between two steps down while too much is drawn.
const STEP_DOWN: Duration = Duration::from_secs(5);
/// Between two steps back up, and below which part of the limit.
const STEP_UP: Duration = Duration::from_secs(60);
const UP_PART: f64 = 0.93;
/// The slowest clock has so long to lift the input; then everything goes off.
const LOW_LIMIT: Duration = Duration::from_secs(5);
/// Below this part of the least input there is no time to wait: supplies hold out for tens of milliseconds to a second.
const LOW_AT_ONCE: f64 = 0.93;
/// The load is given back when the input has been this part above its bound for so long: it falls again where the load itself made it sag.
const WELL_PART: f64 = 1.01;
const WELL_AFTER: Duration = Duration::from_secs(10);
/// What a sag cost is given back no sooner.
const SAG_COSTS: Duration = Duration::from_secs(600);
/// After a brown-out or a hot supply, all must have been well for so long.
const REST: Duration = Duration::from_secs(30);
/// An output this far below what was ordered shows the same where no input is measured. One that is below half is no output that
/// anything runs on: the part does not measure it.
const SAG_PART: f64 = 0.94;
const SAG_LEAST: f64 = 0.5;
/// A supply's output has reached what was ordered after this: the soft start of an APW12 takes 5 s.
const SETTLE: Duration = Duration::from_secs(15);

const PLACE: &str = "supply";

/// ```text
///            input low                 5 s, or far too low
///  Well ◀───────────────▶ Low ─────────────────────────────▶ Off ──well for 30 s──▶ Well
///        well for 10 s,    slowest clock      supply too hot ──▶ (said twice)
///        a step lower
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Well,
    Low { since: Time, well_since: Option<Time> },
    Off { well_since: Option<Time> },
}

/// What may be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draw {
    /// Boards may run, at this clock at most.
    Run(Megahertz),
    /// Boards go off.
    Off,
    /// The supply is cut at once.
    Cut,
}

/// The controller.
#[derive(Debug)]
pub struct Power {
    limits: Limits,
    measured: BTreeMap<PowerPlace, Reading<Measured>>,
    state: State,
    /// The supply is too hot; the first measurement that says so may be a word that the bus damaged.
    hot: bool,
    seems_hot: bool,
    steps: u32,
    step_at: Time,
    over_since: Option<Time>,
    /// What the supply's output should be, and since when it was ordered.
    ordered: Option<(Volt, Time)>,
    /// Whether the output is what `supply` orders: where it is the rail itself, tuning lowers it.
    output_is_known: bool,
}

impl Power {
    /// Nothing was measured yet.
    #[must_use]
    pub fn new(product: &Product, limits: Limits) -> Power {
        let (measured, state) = (BTreeMap::new(), State::Well);
        let output_is_known = product.hashboards.iter().all(|b| b.regulator != RegulatorPart::Supply);
        let (step_at, over_since, ordered) = (Time::ZERO, None, None);
        Power { limits, measured, state, hot: false, seems_hot: false, steps: 0, step_at, over_since, ordered, output_is_known }
    }

    /// A part measured.
    pub fn measured(&mut self, now: Time, place: PowerPlace, value: Measured) {
        // Of a rail only its input says something here, and what tells the rest need not know it.
        if place == PowerPlace::Supply {
            let bounds = self.limits.care.supply;
            let above = |bound| value.celsius.is_some_and(|c| c >= bound);
            self.hot = above(if self.hot { bounds.resume } else { bounds.danger }) && (self.hot || self.seems_hot);
            self.seems_hot = above(bounds.danger);
        }
        if place == PowerPlace::Supply || value.input.is_some() {
            self.measured.insert(place, Reading { value, at: now });
        }
    }

    /// Looks at everything. `ordered` is the supply's voltage while it is on.
    pub fn tick(&mut self, now: Time, ordered: Option<Volt>, faults: &mut Faults) {
        self.measured.retain(|_, r| now.since(r.at) <= AGE_MAX);
        if self.ordered.map(|o| o.0) != ordered {
            self.ordered = ordered.map(|v| (v, now));
        }
        self.follow_input(now, faults);
        self.follow_load(now, faults);
    }

    /// What may be drawn.
    #[must_use]
    pub fn draw(&self) -> Draw {
        let l = &self.limits;
        match self.state {
            State::Off { .. } if self.hot => Draw::Cut,
            State::Off { .. } => Draw::Off,
            State::Low { .. } => Draw::Run(l.clock_min),
            State::Well if self.steps == 0 => Draw::Run(l.clock_max),
            State::Well => Draw::Run((l.clock_nominal * (1.0 - STEP_PART * f64::from(self.steps))).max(l.clock_min)),
        }
    }

    /// The input as a part of what it must be: 1 and more is well, and so is what nobody measures.
    fn input(&self) -> (f64, String) {
        let mut worst = (f64::INFINITY, String::new());
        let mut look = |part: f64, words: String| {
            if part < worst.0 {
                worst = (part, words);
            }
        };
        for r in self.measured.values() {
            if let (Some(v), Some(least)) = (r.value.input, self.limits.care.input_min) {
                look(v.0 / least.0, format!("{v:.2} at the input, at least {least:.2} is needed"));
            }
        }
        // A measurement from before it had settled is none of this order.
        let of = |r: &Reading<Measured>| {
            let settled = self.ordered.filter(|(_, at)| self.output_is_known && r.at.since(*at) >= SETTLE);
            r.value.volt.zip(settled.map(|o| o.0)).filter(|(v, ordered)| v.0 >= ordered.0 * SAG_LEAST)
        };
        if let Some((v, ordered)) = self.measured.get(&PowerPlace::Supply).and_then(of) {
            look(v.0 / (ordered.0 * SAG_PART), format!("{v:.2} at the output, {ordered:.2} was ordered"));
        }
        worst
    }

    fn supply(&self) -> Option<Measured> {
        self.measured.get(&PowerPlace::Supply).map(|r| r.value)
    }

    fn follow_input(&mut self, now: Time, faults: &mut Faults) {
        let (part, words) = self.input();
        // One that says nothing any more is not kept off for what it said.
        self.hot &= self.supply().is_some();
        let low = part < 1.0;
        self.state = match self.state {
            _ if self.hot => State::Off { well_since: None },
            State::Well | State::Low { .. } if part < LOW_AT_ONCE => State::Off { well_since: None },
            State::Well if low => State::Low { since: now, well_since: None },
            State::Low { since, .. } if low && now.since(since) >= LOW_LIMIT => State::Off { well_since: None },
            State::Low { well_since: Some(t), .. } if part >= WELL_PART && now.since(t) >= WELL_AFTER => {
                self.lower(now);
                self.step_at = now + SAG_COSTS;
                State::Well
            }
            State::Low { since, well_since } if low => State::Low { since, well_since: well_since.and(None) },
            // The limit counts from the last time that it was low: what comes back and sags again is no longer low since then.
            State::Low { well_since, .. } => {
                let well = if part >= WELL_PART { Some(well_since.unwrap_or(now)) } else { None };
                State::Low { since: now, well_since: well }
            }
            State::Off { .. } if low => State::Off { well_since: None },
            State::Off { well_since: Some(t) } if now.since(t) >= REST => State::Well,
            State::Off { well_since: None } => State::Off { well_since: Some(now) },
            same => same,
        };
        let brown = !matches!(self.state, State::Well) && !self.hot;
        if low || !brown {
            faults.judge(brown, FaultCode::BrownOut, || (PLACE.to_owned(), words));
        }
    }

    /// One step lower, where there is one.
    fn lower(&mut self, now: Time) {
        let l = &self.limits;
        let slowest = l.clock_nominal * (1.0 - STEP_PART * f64::from(self.steps)) <= l.clock_min;
        self.steps += u32::from(!slowest);
        self.step_at = now + STEP_DOWN;
    }

    fn follow_load(&mut self, now: Time, faults: &mut Faults) {
        let l = self.limits;
        let m = self.supply().unwrap_or_default();
        let by_current = m.volt.zip(m.ampere).map(|(v, a)| v.0 * a.0);
        let watt = m.watt.map(|w| w.0).or(by_current).unwrap_or(0.0);
        let warm = m.celsius.is_some_and(|c| c >= l.care.supply.hot);
        let over = watt > l.power_max.0 || warm;
        self.over_since = if over { self.over_since.or(Some(now)) } else { None };
        let lasting = self.over_since.is_some_and(|t| now.since(t) >= OVER_PATIENCE);
        if lasting && now >= self.step_at {
            self.lower(now);
        } else if over {
            // It has not lasted, or the last step has not shown yet.
        } else if self.steps > 0 && now >= self.step_at + STEP_UP && watt < l.power_max.0 * UP_PART {
            self.steps -= 1;
            self.step_at = now;
        }
        let words = || match warm {
            true => format!("the supply is at {:.0}, {:.0} is its bound", m.celsius.unwrap_or_default(), l.care.supply.hot),
            false => format!("{watt:.0} W are drawn, {:.0} are given", l.power_max),
        };
        if lasting || self.steps == 0 {
            faults.judge(lasting, FaultCode::Overload, || (PLACE.to_owned(), words()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LIMITS, PRODUCT};
    use model::{Ampere, Care, Celsius, Watt};

    struct Bench(Power, Faults);

    impl Bench {
        fn new() -> Bench {
            let care = Care { input_min: Some(Volt(200.0)), ..Care::USUAL };
            Bench(Power::new(&PRODUCT, Limits { care, ..LIMITS }), Faults::default())
        }
        fn at(&mut self, second: u64, measured: Measured) -> Draw {
            let now = Time::from_secs(second);
            self.0.measured(now, PowerPlace::Supply, measured);
            self.0.tick(now, None, &mut self.1);
            self.0.draw()
        }
        fn input(&mut self, second: u64, volt: f64) -> Draw {
            self.at(second, Measured { input: Some(Volt(volt)), ..Measured::default() })
        }
    }

    const FULL: Draw = Draw::Run(Megahertz(600.0));
    const ONE_LOWER: Draw = Draw::Run(Megahertz(475.0));
    const LEAST: Draw = Draw::Run(Megahertz(100.0));

    #[test]
    fn a_brown_out_takes_the_load_away_step_by_step_and_ends_by_itself() {
        // Second, input, what may be drawn, whether the fault is there.
        let rows = [
            (0, 230.0, FULL, false),
            (1, 199.0, LEAST, true),
            (2, 201.0, LEAST, true),
            (3, 195.0, LEAST, true),
            (6, 195.0, LEAST, true),
            (7, 195.0, Draw::Off, true),
            (8, 230.0, Draw::Off, true),
            (37, 230.0, Draw::Off, true),
            (38, 230.0, FULL, false),
            (40, 185.0, Draw::Off, true),
            (41, 230.0, Draw::Off, true),
            (60, 199.0, Draw::Off, true),
            (61, 230.0, Draw::Off, true),
            (90, 230.0, Draw::Off, true),
            (91, 230.0, FULL, false),
        ];
        let mut b = Bench::new();
        for (second, volt, draw, fault) in rows {
            assert_eq!((b.input(second, volt), b.1.has(FaultCode::BrownOut, PLACE)), (draw, fault), "at {second} s");
        }
    }

    #[test]
    fn an_input_that_its_own_load_makes_sag_gets_less_of_it_each_time() {
        let mut b = Bench::new();
        // 190 V where all is drawn, 230 V where nothing is.
        let (mut second, mut draws) = (0, vec![]);
        while second < 120 {
            let part = match b.0.draw() {
                Draw::Run(clock) => clock.0 / 600.0,
                Draw::Off | Draw::Cut => 0.0,
            };
            let draw = b.input(second, 230.0 - 32.0 * part);
            if draws.last() != Some(&draw) {
                draws.push(draw);
            }
            second += 1;
        }
        // Beyond the nominal clock, then one step below it.
        assert_eq!(draws, [LEAST, Draw::Run(Megahertz(475.0))]);
        assert!(!b.1.has(FaultCode::BrownOut, PLACE));
    }

    #[test]
    fn an_output_that_sags_is_a_brown_out_too_and_an_old_measurement_is_none() {
        let mut b = Bench::new();
        let out = |v: f64| Measured { volt: Some(Volt(v)), ..Measured::default() };
        let mut tick = |second: u64, volt: Option<f64>, ordered: f64| {
            let now = Time::from_secs(second);
            b.0.tick(now, Some(Volt(ordered)), &mut b.1);
            volt.into_iter().for_each(|v| b.0.measured(now, PowerPlace::Supply, out(v)));
            b.0.tick(now, Some(Volt(ordered)), &mut b.1);
            b.0.draw()
        };
        assert_eq!(tick(0, Some(11.0), 14.0), FULL, "it rises");
        assert_eq!(tick(15, Some(13.9), 14.0), FULL);
        assert_eq!(tick(16, Some(13.1), 14.0), LEAST);
        assert_eq!(tick(17, Some(0.0), 14.0), LEAST, "no measurement, and well for no time yet");
        assert_eq!(tick(27, Some(0.0), 14.0), ONE_LOWER);
        assert_eq!(tick(28, Some(13.1), 14.0), LEAST);
        assert_eq!(tick(29, Some(13.1), 13.0), LEAST, "as ordered");
        assert_eq!(tick(39, Some(13.1), 13.0), Draw::Run(Megahertz(450.0)));
        assert_eq!(tick(60, Some(12.1), 13.0), LEAST);
        assert_eq!(tick(91, None, 13.0), LEAST, "too old to say anything");
        assert_eq!(tick(101, None, 13.0), Draw::Run(Megahertz(425.0)));
    }

    #[test]
    fn too_much_power_costs_clock_until_it_fits() {
        let mut b = Bench::new();
        let drawn = |w: f64| Measured { watt: Some(Watt(w)), ..Measured::default() };
        for second in 0..2 {
            assert_eq!(b.at(second, drawn(3100.0)), FULL, "a moment is none");
        }
        assert_eq!(b.at(2, drawn(3100.0)), Draw::Run(Megahertz(475.0)));
        assert!(b.1.has(FaultCode::Overload, PLACE));
        assert_eq!(b.at(7, drawn(3001.0)), Draw::Run(Megahertz(450.0)));
        assert_eq!(b.at(8, drawn(2900.0)), Draw::Run(Megahertz(450.0)), "nearly too much: no way back yet");
        assert_eq!(b.at(300, drawn(2900.0)), Draw::Run(Megahertz(450.0)));
        for second in 301..600 {
            b.at(second, drawn(2500.0));
        }
        assert_eq!(b.0.draw(), FULL);
        assert!(!b.1.has(FaultCode::Overload, PLACE));
        for second in 600..900 {
            let both = Measured { volt: Some(Volt(14.0)), ampere: Some(Ampere(230.0)), ..Measured::default() };
            b.at(second, both);
        }
        assert_eq!(b.0.draw(), LEAST, "never below the slowest");
    }

    #[test]
    fn a_hot_supply_costs_clock_and_one_in_danger_is_cut_until_it_is_cool() {
        let mut b = Bench::new();
        let warm = |c: f64| Measured { celsius: Some(Celsius(c)), ..Measured::default() };
        b.at(0, warm(76.0));
        assert_eq!(b.at(2, warm(76.0)), Draw::Run(Megahertz(475.0)));
        assert_eq!(b.at(3, warm(130.0)), ONE_LOWER, "one word may be damaged");
        assert_eq!(b.at(4, warm(76.0)), ONE_LOWER);
        assert_eq!(b.at(5, warm(85.0)), ONE_LOWER);
        assert_eq!(b.at(6, warm(85.0)), Draw::Cut);
        assert_eq!(b.at(7, warm(66.0)), Draw::Cut);
        assert_eq!(b.at(8, warm(64.0)), Draw::Off);
        assert_eq!(b.at(37, warm(64.0)), Draw::Off);
        assert!(matches!(b.at(38, warm(64.0)), Draw::Run(_)));
    }
}
