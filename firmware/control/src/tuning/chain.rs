//! One chain's search: the lowest rail and the clock of each chip that meet the aim without wrong nonces.
//!
//! Coordinate descent: at each rail the clocks are filled up to the aim; chips that err are slowed, the others make up for it; the rail goes down
//! a step for as long as the aim can still be met and met better. Every change is ramped and given time, and every point
//! is measured before the next; one that errs, browns out or fails leads back to the last good one. Not here: the aim's share
//! of each chain, heat's and the supply's say (`mod`), how a chain starts (`bringup`).

mod moves;

use super::STEP;
use super::judge::{Count, KNEE, Verdict, judge};
use super::power::{Filled, PowerModel, Yield};
use crate::{Order, poisson::too_many};
use model::{Aim, Celsius, ChainId, ChainProfile, Limits, Megahertz, Product, Time, Volt, Watt};
use moves::to_10_mv;
use std::time::Duration;

/// One step of the rail.
const RAIL_STEP: Volt = Volt(0.1);
/// From the first nonce to the first measure: boards reach their heat in this time.
const WARM: Duration = Duration::from_secs(180);
/// From the last change to a measure: chips' heat follows their clock.
const SETTLE: Duration = Duration::from_secs(20);
/// Shortest measure.
const MEASURE_MIN: Duration = Duration::from_secs(60);
/// Longest measure: chips that are this slow to say anything are judged as far as they can be.
const MEASURE_MAX: Duration = Duration::from_secs(4 * 3600);
/// Nonces a chip, on average, that a step of the search waits for: a chip with half its nonces wrong is found, a lesser
/// one at a later step, where it errs more.
const QUICK: u64 = 15;
/// The same before a point is settled on: a good chip is shown to be good.
const PROOF: u64 = 190;
/// Proofs in a row that may find bad chips; what errs then is left to the watch over a settled chain.
const PROOFS_MAX: u32 = 16;
/// Part of a chain's nonces that are wrong at which a point is left at once, and how many they must be.
const ABORT_PART: f64 = 0.15;
const ABORT_LEAST: u64 = 30;
/// The same where it is the whole board that errs, not some chips.
const LOST_PART: f64 = 0.4;
/// How improbable a chain's errors must be at half the knee, as -ln: one in 10^5.
const SHOWN: f64 = 11.5;
/// Wrong nonces that make a chip of such a chain seem to err.
const SEEMS: u64 = 2;
/// Part of wrong nonces that one step of clock causes near the knee; a chip that errs more is slowed by more steps at once.
const WRONG_A_STEP: f64 = 0.06;
const STEPS_AT_ONCE: f64 = 4.0;
/// A settled chain whose chips are this much warmer or cooler is measured again.
const HEAT_MOVED: Celsius = Celsius(8.0);
/// Steps that the common clock rises at once above what was measured.
const RISE: f64 = 2.0;
/// Two points that differ by less are taken as equal: part of a rate.
const SAME: f64 = 0.0005;

/// ```text
///                        ┌──────────── bad chips: slower, others faster; else the rail a step lower ───────┐
///                        ▼                                                                                 │
///  Cold ─hashing─▶ Factory ─180 s─▶ Step ─given, 20 s─▶ Measure ─proven─▶ Settled                          │
///   ▲                                ▲                     └─ not proven ──┼───────────────────────────────┘
///   │ not hashing                    └── aim, heat, chips changed; bad chips; abort to the last good point
///   └─ from any
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// Does not hash.
    Cold,
    /// Warms up at the factory's rail.
    Factory {
        /// Its end.
        until: Time,
    },
    /// Goes to another point; `since` is when it was reached.
    Step {
        /// When all of it was given.
        since: Option<Time>,
    },
    /// Counts.
    Measure {
        /// Its begin.
        since: Time,
    },
    /// Where it is to be; counts on.
    Settled {
        /// The begin of the running count.
        since: Time,
    },
}

impl Phase {
    /// The word used in status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Cold => "cold",
            Phase::Factory { .. } => "factory",
            Phase::Step { .. } => "step",
            Phase::Measure { .. } => "measure",
            Phase::Settled { .. } => "settled",
        }
    }
}

/// Rail and clocks.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    rail: Volt,
    level: Megahertz,
    /// What each chip bears as far as known.
    ceilings: Vec<Megahertz>,
}

/// What the chain is like now.
#[derive(Clone, Copy, Debug)]
pub struct Circumstance {
    /// It is to hash as far as user, heat and pools are concerned.
    pub wanted: bool,
    /// It does.
    pub hashing: bool,
    /// It stopped by a failure of its own.
    pub failed: bool,
    /// It has work.
    pub works: bool,
    /// Chips that answer.
    pub chips: usize,
    /// The clock that its chips were told last, all of them.
    pub clock: Megahertz,
    /// Heat holds it below what tuning wants.
    pub held: bool,
    /// One of its nonces counts as 2^this hashes.
    pub nonce_bits: u8,
    /// Its part of the aim.
    pub aim: Option<Aim>,
    /// The most that it may take.
    pub most: Option<Watt>,
    /// Its chips' temperature.
    pub chip: Option<Celsius>,
}

/// The search of one chain.
#[derive(Debug)]
pub struct ChainTuner {
    id: ChainId,
    limits: Limits,
    model: PowerModel,
    phase: Phase,
    aim: Option<Aim>,
    most: Option<Watt>,
    want: Point,
    /// Rail and level as ordered.
    rail: Volt,
    level: Megahertz,
    /// Each chip's clock as ordered.
    chips: Vec<Megahertz>,
    /// The common clock after which chips were set one by one.
    heard: Megahertz,
    best: Option<(Point, Yield)>,
    /// The last point is being proven, for the how manieth time.
    proof: Option<u32>,
    /// No rail below this is tried.
    floor: Volt,
    /// Highest level that was measured at this rail or a lower one, without heavy errors.
    known: Megahertz,
    well: f64,
    counts: Vec<Count>,
    move_at: Time,
    settled_at: Option<Celsius>,
    alive: usize,
    /// A settled point that nobody was told of.
    news: bool,
}

impl ChainTuner {
    /// A chain that does not hash yet; its chips make so many hashes a clock.
    #[must_use]
    pub fn new(id: ChainId, product: &Product, cores: u32) -> ChainTuner {
        let limits = product.limits;
        let chips = product.hashboards.get(usize::from(id.0)).map_or(0, |b| usize::from(b.chain.chips));
        let level = limits.clock_nominal;
        ChainTuner {
            id,
            limits,
            model: PowerModel::new(product, cores),
            phase: Phase::Cold,
            aim: None,
            most: None,
            want: Point { rail: limits.rail_nominal, level, ceilings: vec![limits.clock_max; chips] },
            rail: limits.rail_nominal,
            level,
            chips: vec![Megahertz(0.0); chips],
            heard: Megahertz(0.0),
            best: None,
            proof: None,
            floor: limits.rail_min,
            known: level,
            well: 1.0,
            counts: vec![Count::default(); chips],
            move_at: Time::ZERO,
            settled_at: None,
            alive: chips,
            news: false,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The clock that the chain as a whole is to have, as far as heat allows.
    #[must_use]
    pub fn level(&self) -> Megahertz {
        self.level
    }

    /// What it is taken to take and give at the clocks that were ordered.
    #[must_use]
    pub fn gives(&self) -> Yield {
        self.model.of(self.rail, self.chips[..self.alive].iter().copied(), self.well)
    }

    /// What it would take and give as the factory meant it.
    #[must_use]
    pub fn factory(&self) -> Yield {
        let clocks = std::iter::repeat_n(self.limits.clock_nominal, self.alive);
        self.model.of(self.limits.rail_nominal, clocks, 1.0)
    }

    /// A part measured what the whole chain takes.
    pub fn measured(&mut self, watt: Watt) {
        if matches!(self.phase, Phase::Measure { .. } | Phase::Settled { .. }) {
            self.model.measured(self.gives().watt, watt);
        }
    }

    /// Nonces of one chip came. Chips beyond the chain are ignored.
    pub fn count(&mut self, chip: usize, good: u64, wrong: u64) {
        if let Some(c) = self.counts.get_mut(chip) {
            c.good += good;
            c.wrong += wrong;
        }
    }

    /// What was counted of a chip so far: right and wrong nonces.
    #[cfg(test)]
    pub(crate) fn counted(&self, chip: usize) -> (u64, u64) {
        (self.counts[chip].good, self.counts[chip].wrong)
    }

    /// Whether a good point was found or restored.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.best.is_some()
    }

    /// Begins where this profile left, once the chain is warm. It was checked against the board. One at a rail that the chain failed at
    /// since is left alone.
    pub fn restore(&mut self, aim: Option<Aim>, kept: &ChainProfile) {
        if kept.rail < self.floor {
            return;
        }
        let point = Point { rail: kept.rail, level: kept.level, ceilings: kept.ceilings.clone() };
        (self.aim, self.proof) = (aim, Some(0));
        self.best = Some((point, Yield { watt: kept.watt, rate: kept.rate }));
    }

    /// The settled point.
    #[must_use]
    pub fn profile(&self) -> Option<ChainProfile> {
        let (point, gives) = self.best.as_ref().filter(|_| matches!(self.phase, Phase::Settled { .. }))?;
        let Point { rail, level, ceilings } = point.clone();
        Some(ChainProfile { rail, level, ceilings, watt: gives.watt, rate: gives.rate })
    }

    /// Whether a point was settled on since the last call.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Follows what is, and the time.
    pub fn tick(&mut self, now: Time, c: &Circumstance, orders: &mut Vec<Order>) {
        self.follow(c);
        if !c.hashing {
            self.went_cold(c);
            return;
        }
        if self.phase == Phase::Cold {
            (self.rail, self.heard) = (self.limits.rail_nominal, Megahertz(0.0));
            self.phase = Phase::Factory { until: now + WARM };
        }
        if self.heard != c.clock {
            self.heard = c.clock;
            self.chips.fill(c.clock);
        }
        match self.phase {
            Phase::Cold => {}
            Phase::Factory { until } => {
                self.step(now, c, orders);
                if now >= until && self.aim.is_some() {
                    self.begin();
                }
            }
            Phase::Step { since } => {
                let there = self.step(now, c, orders);
                match since.filter(|_| there) {
                    Some(at) if now.since(at) >= SETTLE && self.aim.is_none() => self.phase = Phase::Factory { until: now },
                    Some(at) if now.since(at) >= SETTLE => self.measure(now),
                    Some(_) => {}
                    None => self.phase = Phase::Step { since: there.then_some(now) },
                }
            }
            Phase::Measure { since } => {
                self.step(now, c, orders);
                if c.held || !c.works {
                    return self.measure(now);
                }
                self.look(now, since, c);
            }
            Phase::Settled { since } => {
                self.step(now, c, orders);
                if c.held || !c.works {
                    self.counts.fill(Count::default());
                    self.phase = Phase::Settled { since: now };
                    return;
                }
                self.watch(now, since, c);
            }
        }
    }

    /// Takes up another aim, another ceiling of power, another number of chips.
    fn follow(&mut self, c: &Circumstance) {
        let alive = if c.chips == 0 { self.alive } else { c.chips.min(self.chips.len()) };
        let moved = alive != self.alive || !same(self.aim, c.aim);
        if moved {
            (self.alive, self.aim) = (alive, c.aim);
            self.forget();
        }
        let capped = self.most != c.most;
        self.most = c.most;
        if self.phase == Phase::Cold {
            self.want.rail = self.limits.rail_nominal;
            self.want.ceilings.fill(self.limits.clock_max);
            self.want.level = self.reachable(self.limits.rail_nominal).level;
            self.level = self.want.level;
        } else if moved || capped {
            let (phase, point) = (self.phase, (self.want.rail, self.want.level));
            self.to(if moved { self.limits.rail_nominal } else { self.want.rail });
            if matches!(phase, Phase::Factory { .. }) || point == (self.want.rail, self.want.level) {
                self.phase = phase;
            }
        }
    }

    fn went_cold(&mut self, c: &Circumstance) {
        // A chain that fails at a rail that was tried out does not get it again.
        if c.wanted
            && c.failed
            && !matches!(self.phase, Phase::Cold | Phase::Factory { .. })
            && self.rail < self.limits.rail_nominal
        {
            self.floor = (self.rail + RAIL_STEP).min(self.limits.rail_nominal);
            if self.best.as_ref().is_some_and(|(p, _)| p.rail < self.floor) {
                self.best = None;
            }
        }
        self.phase = Phase::Cold;
    }

    /// Nothing that was found counts any more.
    fn forget(&mut self) {
        (self.best, self.proof) = (None, None);
        (self.floor, self.known, self.well) = (self.limits.rail_min, self.limits.clock_nominal, 1.0);
        self.want.ceilings.fill(self.limits.clock_max);
    }

    fn anew(&mut self) {
        self.forget();
        self.to(self.limits.rail_nominal);
    }

    /// What would meet the aim at this rail, by what is known of the chips.
    fn fill(&self, rail: Volt) -> Filled {
        self.model.fill(self.aim, self.most, &self.limits, rail, &self.want.ceilings[..self.alive], self.well)
    }

    /// The same within a small rise above what was measured.
    fn reachable(&self, rail: Volt) -> Filled {
        let most = (self.known + STEP * RISE).min(self.limits.clock_max);
        let limits = Limits { clock_max: most, ..self.limits };
        self.model.fill(self.aim, self.most, &limits, rail, &self.want.ceilings[..self.alive], self.well)
    }

    /// Wants another rail, with the clocks that meet the aim there or come nearer to it.
    fn to(&mut self, rail: Volt) {
        let rail = to_10_mv(rail.max(self.limits.rail_min).min(self.limits.rail_nominal));
        if rail < self.want.rail {
            // What was borne at a higher rail says nothing here.
            self.known = self.want.level;
        }
        self.want.rail = rail;
        self.want.level = self.reachable(self.want.rail).level;
        self.phase = Phase::Step { since: None };
    }

    /// Back to a point that was measured.
    fn go(&mut self, point: Point) {
        (self.known, self.proof) = (self.known.max(point.level), Some(0));
        self.want = point;
        self.phase = Phase::Step { since: None };
    }

    /// A higher rail, at which each chip bears more.
    fn raise(&mut self) {
        for ceiling in &mut self.want.ceilings {
            *ceiling = (*ceiling + STEP).min(self.limits.clock_max);
        }
        self.to(self.want.rail + RAIL_STEP);
    }

    fn begin(&mut self) {
        match &self.best {
            Some((point, _)) if point.rail >= self.floor => self.go(point.clone()),
            _ => {
                self.proof = None;
                self.to(self.limits.rail_nominal);
            }
        }
    }

    fn measure(&mut self, now: Time) {
        self.counts.fill(Count::default());
        self.phase = Phase::Measure { since: now };
    }

    fn sum(&self) -> Count {
        let add = |s: Count, c: &Count| Count { good: s.good + c.good, wrong: s.wrong + c.wrong };
        self.counts[..self.alive].iter().fold(Count::default(), add)
    }

    /// Slows what errs and what says nothing. Whether there was any.
    fn slow_bad(&mut self, span: Duration, c: &Circumstance) -> bool {
        let a_nonce = f64::from(c.nonce_bits).exp2();
        let seconds = span.as_secs_f64();
        // Where nonces are not told by their chips, as little is known of those that say nothing.
        let told = self.sum().all() as f64 > self.gives().rate.0 * seconds / a_nonce / 2.0;
        let mut found = false;
        for chip in 0..self.alive {
            let clock = self.chips[chip];
            let promised = self.model.of(self.rail, std::iter::once(clock), 1.0).rate.0 * seconds / a_nonce;
            let count = self.counts[chip];
            let slower = match judge(count, promised) {
                Verdict::Bad => clock - STEP * (count.wrong_part() / WRONG_A_STEP).round().clamp(1.0, STEPS_AT_ONCE),
                Verdict::Dull if told => self.limits.clock_min,
                Verdict::Good | Verdict::Open | Verdict::Dull => continue,
            };
            let slower = slower.max(self.limits.clock_min);
            found |= slower < clock;
            self.want.ceilings[chip] = slower.min(self.want.ceilings[chip]);
        }
        found || self.slow_worst()
    }

    /// Where the chain errs beyond chance and no chip alone is shown to, those that seem to are slowed. Whether there was any.
    fn slow_worst(&mut self) -> bool {
        let sum = self.sum();
        if too_many(sum.wrong, sum.all() as f64 * KNEE / 2.0) < SHOWN {
            return false;
        }
        let mut found = false;
        for chip in 0..self.alive {
            let count = self.counts[chip];
            if count.wrong >= SEEMS && count.wrong_part() > KNEE && self.chips[chip] > self.limits.clock_min {
                let slower = (self.chips[chip] - STEP).max(self.limits.clock_min);
                self.want.ceilings[chip] = slower.min(self.want.ceilings[chip]);
                found = true;
            }
        }
        found
    }

    fn is_due(&self, now: Time, since: Time, each: u64) -> bool {
        let (span, all) = (now.since(since), self.sum().all());
        // Where nonces are not told by their chips, nothing is known and nothing is done.
        let told = all >= self.alive as u64;
        (span >= MEASURE_MAX && told) || (span >= MEASURE_MIN && all >= each * self.alive as u64)
    }

    fn is_lost(&self) -> bool {
        let sum = self.sum();
        sum.wrong >= ABORT_LEAST && sum.wrong_part() > ABORT_PART
    }

    /// A running measure.
    fn look(&mut self, now: Time, since: Time, c: &Circumstance) {
        if self.is_lost() {
            // Where the errors have their chips, those are slowed; a board that errs as a whole leaves this rail.
            if self.slow_bad(now.since(since), c) && self.sum().wrong_part() < LOST_PART {
                return self.to(self.want.rail);
            }
            return self.abort();
        }
        if !self.is_due(now, since, if self.proof.is_some() { PROOF } else { QUICK }) {
            return;
        }
        let bad = self.slow_bad(now.since(since), c);
        if !bad {
            self.well = 1.0 - self.sum().wrong_part();
        }
        self.known = self.known.max(self.level);
        match self.proof {
            Some(n) if n < PROOFS_MAX && (bad || self.rises() || self.lacks()) => {
                let before = self.want.level;
                if self.lacks() {
                    self.raise()
                } else {
                    self.to(self.want.rail)
                }
                // Where nobody makes up for what was slowed, one more look is enough.
                self.proof = Some(if self.want.level > before { n + 1 } else { PROOFS_MAX.max(n) });
            }
            Some(_) => {
                self.best = Some((self.want.clone(), self.gives()));
                (self.settled_at, self.news) = (c.chip, true);
                self.counts.fill(Count::default());
                self.phase = Phase::Settled { since: now };
            }
            None if bad && self.is_worth(self.want.rail) => self.to(self.want.rail),
            None if bad => self.finish(now),
            None if self.rises() => self.to(self.want.rail),
            None => {
                self.keep_if_better();
                let lower = to_10_mv(self.want.rail - RAIL_STEP);
                if lower >= self.floor && self.is_worth(lower) { self.to(lower) } else { self.finish(now) }
            }
        }
    }

    /// Whether the aim asks for a higher level here than was dared so far.
    fn rises(&self) -> bool {
        self.reachable(self.want.rail).level > self.want.level
    }

    /// Whether the hashes that are aimed at need more rail than there is.
    fn lacks(&self) -> bool {
        matches!(self.aim, Some(Aim::Rate(_)))
            && self.most.is_none()
            && self.want.rail.0 + 1e-6 < self.limits.rail_nominal.0
            && !self.fill(self.want.rail).meets
    }

    /// Whether this rail could be better than the best, by what is known of the chips.
    fn is_worth(&self, rail: Volt) -> bool {
        let filled = self.fill(rail);
        let Some((_, best)) = &self.best else { return true };
        match self.aim {
            None => false,
            Some(Aim::Rate(_)) => filled.meets,
            Some(Aim::Power(_)) => filled.gives.rate.0 >= best.rate.0 * (1.0 - SAME),
            Some(Aim::Efficiency(e)) => {
                best.watt.per(best.rate) > e && filled.gives.watt.per(filled.gives.rate) < best.watt.per(best.rate)
            }
        }
    }

    fn keep_if_better(&mut self) {
        let gives = self.gives();
        let better = self.best.as_ref().is_none_or(|(_, best)| match self.aim {
            None => false,
            Some(Aim::Rate(rate)) => {
                (gives.watt < best.watt && gives.rate.0 >= rate.0 * (1.0 - SAME)) || (best.rate < rate && gives.rate > best.rate)
            }
            Some(Aim::Power(_)) => {
                let more = gives.rate.0 - best.rate.0;
                more > best.rate.0 * SAME || (more.abs() <= best.rate.0 * SAME && gives.watt < best.watt)
            }
            Some(Aim::Efficiency(_)) => gives.watt.per(gives.rate) < best.watt.per(best.rate),
        });
        if better {
            self.best = Some((self.want.clone(), gives));
        }
    }

    /// The search is over: the best point is proven, from where it is.
    fn finish(&mut self, now: Time) {
        self.proof = Some(0);
        match &self.best {
            Some((point, _)) if *point == self.want => self.measure(now),
            Some((point, _)) => self.go(point.clone()),
            None => self.to(self.limits.rail_nominal),
        }
    }

    /// Back to the last good point, and never so low again.
    fn abort(&mut self) {
        self.floor = (self.rail + RAIL_STEP).min(self.limits.rail_nominal);
        self.proof = Some(0);
        match self.best.as_ref().filter(|(p, _)| p.rail >= self.floor) {
            Some((point, _)) => self.go(point.clone()),
            None => {
                self.best = None;
                self.to(self.floor);
            }
        }
    }

    /// A settled chain: chips age, rooms warm up.
    fn watch(&mut self, now: Time, since: Time, c: &Circumstance) {
        if self.is_lost() {
            return self.anew();
        }
        if let (Some(then), Some(chip)) = (self.settled_at, c.chip)
            && (then.0 - chip.0).abs() > HEAT_MOVED.0
        {
            (self.proof, self.settled_at) = (Some(0), Some(chip));
            return self.measure(now);
        }
        if !self.is_due(now, since, PROOF) {
            return;
        }
        if self.slow_bad(now.since(since), c) {
            if self.lacks() {
                return self.anew();
            }
            if self.reachable(self.want.rail).level > self.want.level {
                self.proof = Some(0);
                return self.to(self.want.rail);
            }
            // Nobody makes up for a chip that ages: it alone goes slower.
            (self.best, self.news) = (Some((self.want.clone(), self.gives())), true);
        } else {
            self.well = 1.0 - self.sum().wrong_part();
        }
        self.counts.fill(Count::default());
        self.phase = Phase::Settled { since: now };
    }
}

/// Aims that differ by less than a chain's share of rounding are one.
fn same(a: Option<Aim>, b: Option<Aim>) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= a.abs().max(b.abs()) * 1e-6;
    match (a, b) {
        (None, None) => true,
        (Some(Aim::Power(a)), Some(Aim::Power(b))) => close(a.0, b.0),
        (Some(Aim::Rate(a)), Some(Aim::Rate(b))) => close(a.0, b.0),
        (Some(Aim::Efficiency(a)), Some(Aim::Efficiency(b))) => close(a.0, b.0),
        _ => false,
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
