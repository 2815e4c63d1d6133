//! The scenario: one kind of fault after the other, each into a machine that hashes and that nothing else is wrong with.
//!
//! ```text
//!  warm up ─▶ well ─▶ harm ─▶ the firmware names it ─▶ heal ─▶ back in time? ─▶ what fades has faded ─▶ pause ─▶ well …
//!                                                        └─ no: latched? ─▶ the technician starts it ─▶ back
//! ```
//! Order, targets and pauses are the seed's. Between two faults the technician repairs what cannot heal by itself and asks for a
//! start where the machine has latched. Not here: how harm is done (`harm`).

use super::catalogue::{Kind, Length, Picked, Recovery};
use super::harm::{Aim, FURNACE, Harm, ROOM};
use super::line::Damage;
use super::luck::Luck;
use crate::machine::lock;
use crate::simulation::Simulation;
use crate::watch::FRESH_LEAST;
use control::Fact;
use model::{ChainLine, Command, FaultCode, Hours, PowerPlan, Severity, Task, Time};
use serde::Serialize;
use std::cell::Cell;
use std::time::Duration;

/// From plugging in to hashing, and some.
const WARM_UP: Duration = Duration::from_secs(600);
/// Hashing before the first fault, so that every controller has seen what is normal.
const WARM: Duration = Duration::from_secs(60);
/// The machine is looked at this often: once a second, as a person who waits would.
const LOOK: Duration = Duration::from_secs(1);
/// Pause between two faults, and what the seed adds at most.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MORE: usize = 20;
/// A board stands on the table for so long.
const ON_THE_TABLE: Duration = Duration::from_secs(15);
/// A machine that latched is left alone for so long, cool, to see that it stays off.
const LATCH_WATCH: Duration = Duration::from_secs(120);
/// A last wrong reading is acted upon within this: a fan is read each 2 s and judged after 5.
const SETTLE: Duration = Duration::from_secs(10);
/// What is judged over minutes is gone after this: the longest window is ten minutes.
const FADE: Duration = Duration::from_secs(700);
/// A machine that is not back in time is waited for so long, and once more after a start.
const LATE: Duration = Duration::from_secs(600);
/// Power that was held down is raised again after this: five steps of it.
const LEFT: Duration = Duration::from_secs(3000);
/// Back is who was well for so long without a break: a chain that begins, and falls over at once, is not.
const STEADY: Duration = Duration::from_secs(30);
/// Fewer chain-seconds than this say nothing about a part of a hundred.
const WORK_LEAST: f64 = 20.0;
/// So many trips need a person.
const TRIPS: usize = 3;
/// A trip is over after this, and the machine back.
const TRIP_LIMIT: Duration = Duration::from_secs(900);

/// One fault that was injected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its kind.
    pub name: &'static str,
    /// What was hit.
    pub place: String,
    /// When it began.
    pub at_seconds: f64,
    /// From its end to all chains hashing; null where a person was needed.
    pub recovered_seconds: Option<f64>,
    /// Whether it needed a person to ask for a start.
    pub latched: bool,
}

/// Injects these kinds, one after the other, until `end`.
pub(crate) fn run(sim: &mut Simulation, picked: Picked, seed: u64, end: Time) -> Vec<Record> {
    let mut kinds: Vec<_> = picked.kinds().collect();
    // Every run is of the first hours of a day: a clock that is wrong must not bring the pause about.
    let pause = Hours { from: 12 * 60, to: 13 * 60, task: Task::Pause };
    sim.tell(Fact::PowerPlan(PowerPlan { hours: vec![pause], ..PowerPlan::default() }));
    let mut luck = Luck::new(seed ^ 0xfa01_7500);
    luck.shuffle(&mut kinds);
    let mut run = Run { sim, luck, records: Vec::new(), blinded: Cell::new(false) };
    if !run.until(WARM_UP, |r| r.is_well(&[])) {
        run.violate("it did not come up within ten minutes");
        return run.records;
    }
    run.rest(WARM);
    for kind in kinds {
        let more = Duration::from_secs(run.luck.below(PAUSE_MORE) as u64);
        run.rest(PAUSE + more);
        let Some(aim) = kind.harm.aim(run.sim.product(), &mut run.luck) else { continue };
        if run.sim.now() >= end {
            run.violate(&format!("{}: there was no time left for it", kind.name));
        } else if !run.inject(kind, &aim) {
            break;
        }
    }
    let left = end.since(run.sim.now());
    run.rest(left);
    run.records
}

struct Run<'a> {
    sim: &'a mut Simulation,
    luck: Luck,
    records: Vec<Record>,
    /// Since the fault of now began, heat's proof was lost with the line of its chain, and so its power was cut.
    blinded: Cell<bool>,
}

/// What became of a machine whose fault has ended.
enum Back {
    After(Duration),
    Late,
}

impl Run<'_> {
    fn violate(&mut self, what: &str) {
        self.sim.violate(what);
    }

    fn pass(&mut self, time: Duration) {
        let to = self.sim.now() + time;
        self.sim.run_until(to);
    }

    /// Lets time pass until this holds, at most so long; gives whether it did.
    fn until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let by = self.sim.now() + limit;
        while !holds(self) {
            if self.sim.now() >= by {
                return false;
            }
            self.pass(LOOK);
        }
        true
    }

    /// All chains hash, in the physics as in what the firmware says of it, with all their chips as far as those are known, and nothing
    /// but this is shown.
    fn is_well(&self, fades: &[FaultCode]) -> bool {
        if !(0..self.sim.product().hashboards.len()).all(|c| self.hashes(c)) {
            return false;
        }
        // A notice says that all goes on: power that was held down is raised by and by.
        let left = |f: &&model::Fault| f.code.severity() > Severity::Notice;
        let only = self.sim.rig().faults().iter().filter(left).all(|f| fades.contains(&f.code));
        only && self.sim.is_whole(fades.contains(&FaultCode::ChainShort))
    }

    /// Whether the firmware calls it what the row says, and no other chain or fan than the one that was hit.
    fn names(&self, kind: &Kind, aim: &Aim) -> bool {
        self.sim.rig().faults().iter().any(|f| kind.shows.contains(&f.code) && aim.is_at(&f.place))
    }

    /// Whether the fault left something that a start mends, and the firmware says so.
    fn is_ill(&self, kind: &Kind, aim: &Aim) -> bool {
        let mended = |c| [FaultCode::ChainShort, FaultCode::HardwareErrors].contains(&c) && kind.fades.contains(&c);
        self.sim.rig().faults().iter().any(|f| mended(f.code) && aim.is_at(&f.place))
    }

    fn shown(&self) -> String {
        let mut shown: Vec<_> = self.sim.rig().faults().iter().map(|f| format!("{} at {}", f.code.code(), f.place)).collect();
        let (world, all) = (lock(self.sim.world()), 0..self.sim.product().hashboards.len());
        let of = |c: usize| (world.rail(c).unwrap_or_default(), world.clock(c).unwrap_or_default(), world.hashing(c));
        let truth = all
            .map(of)
            .map(|(rail, clock, hashes)| format!("{rail:.1}, {clock:.0}, {}", if hashes { "at work" } else { "idle" }));
        shown.push(format!("{} chains hash: {}", self.sim.hashing(), truth.collect::<Vec<_>>().join("; ")));
        shown.join(", ")
    }

    /// Time in which nothing is wrong, and nothing may be said to be.
    fn rest(&mut self, time: Duration) {
        let to = self.sim.now() + time;
        let mut told = false;
        while self.sim.now() < to {
            let next = (self.sim.now() + LOOK).min(to);
            self.sim.run_until(next);
            if !told && !self.is_well(&[]) {
                told = true;
                let shown = self.shown();
                self.violate(&format!("nothing is wrong, and there is: {shown}"));
            }
        }
    }

    /// One fault from its beginning to its end; false where the machine never came back.
    fn inject(&mut self, kind: &Kind, aim: &Aim) -> bool {
        let (at, before) = (self.sim.now(), self.sim.work());
        self.sim.touch(&aim.touched);
        self.blinded.set(false);
        let named = match kind.harm {
            Harm::Trips => self.trip(kind, aim),
            _ => self.hold(kind, aim),
        };
        let ended = self.sim.now();
        let (named, back) = self.come_back(kind, aim, ended, named);
        if !named && !kind.shows.is_empty() {
            let shown = self.shown();
            self.violate(&format!("{} ({}): the firmware never named it; there is: {shown}", kind.name, aim.place));
        }
        let work = self.sim.work().since(before);
        if work.due >= WORK_LEAST && work.part() < FRESH_LEAST {
            let percent = work.part() * 100.0;
            self.violate(&format!(
                "{} ({}): chains that it does not touch did {percent:.1} % of their work",
                kind.name, aim.place
            ));
        }
        let (recovered, latched, back) = match (back, kind.latches) {
            (Back::After(time), false) => (Some(time), false, true),
            (Back::After(time), true) => {
                self.violate(&format!("{} ({}): it did not latch", kind.name, aim.place));
                (Some(time), false, true)
            }
            (Back::Late, _) => self.help(kind, aim, ended),
        };
        let recovered_seconds = recovered.map(|t| t.as_secs_f64());
        let (name, place, at_seconds) = (kind.name, aim.place.clone(), at.secs_f64());
        self.records.push(Record { name, place, at_seconds, recovered_seconds, latched });
        // What was read last before the end is judged a little later.
        if back {
            self.stay(kind, aim, SETTLE, |_| false);
        } else {
            self.pass(SETTLE);
        }
        // What is not judged over minutes has gone by now.
        let fade = if kind.fades.is_empty() { Duration::ZERO } else { FADE };
        if back && !self.stay(kind, aim, fade, |r| r.is_well(&[])) {
            let shown = self.shown();
            self.violate(&format!("{} ({}): long after it there is: {shown}", kind.name, aim.place));
            return self.until(LATE, |r| r.is_well(&[]));
        }
        self.sim.touch(&[]);
        back
    }

    /// Lets time pass until this holds, at most so long, in a machine that is back and must stay so; gives whether it held.
    ///
    /// One that came back short of chips, or computes wrongly since, and was said to, may be started once more to count or set them anew.
    fn stay(&mut self, kind: &Kind, aim: &Aim, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let (by, mut told) = (self.sim.now() + limit, false);
        let (mut ill, mut ill_since) = (false, None);
        while !holds(self) {
            ill |= self.is_ill(kind, aim);
            if !told && !self.is_well(kind.fades) {
                let now = self.sim.now();
                if ill && now.since(*ill_since.get_or_insert(now)) <= kind.recovery.limit() {
                    self.pass(LOOK);
                    continue;
                }
                told = true;
                let shown = self.shown();
                self.violate(&format!("{} ({}): it was back and is not any more; there is: {shown}", kind.name, aim.place));
            }
            if self.sim.now() >= by {
                return holds(self);
            }
            self.pass(LOOK);
        }
        true
    }

    /// Does the harm for as long as the row says; gives whether the firmware named it.
    fn hold(&mut self, kind: &Kind, aim: &Aim) -> bool {
        // Power that is held down since a fault before it would be no name of this one.
        if kind.shows.contains(&FaultCode::PowerLowered) && !self.until(LEFT, |r| !r.names(kind, aim)) {
            let shown = self.shown();
            self.violate(&format!("{} ({}): its name stays on from before it; there is: {shown}", kind.name, aim.place));
        }
        // A ring's rate follows its clock: the next step of one that heat still holds down would end this before it was felt.
        if matches!(kind.harm, Harm::Line(Damage::LostAtBaud(_))) {
            self.until(LATE, |r| aim.own.iter().all(|c| r.has_its_rate(*c)));
        }
        kind.harm.set(aim, self.sim, true);
        let named = match kind.length {
            // What must not be noticed may change nothing.
            Length::For(time) if kind.shows.is_empty() => {
                self.rest(time);
                true
            }
            Length::For(time) | Length::Course(time) => {
                self.pass(time);
                self.names(kind, aim)
            }
            Length::Named { within, lasts } => {
                let excused = Cell::new(false);
                let stops = |r: &Self, c: usize| {
                    // Why it stopped is said when it does; a start that fails on the same line says something else.
                    excused.set(!r.hashes(c) && (excused.get() || r.may_stop(c)));
                    !r.hashes(c) && !excused.get()
                };
                let stands = |r: &Self| kind.hashes && aim.own.iter().any(|c| stops(r, *c));
                let named = self.until(within, |r| r.names(kind, aim) || stands(r));
                // What is unsaid before it is over was no name of it.
                let by = self.sim.now() + within;
                let mut named = named;
                while kind.off && named {
                    self.pass(SETTLE);
                    if self.names(kind, aim) {
                        break;
                    }
                    let left = by.since(self.sim.now());
                    named = self.until(left, |r| r.names(kind, aim));
                }
                if kind.hashes && (stands(self) || self.until(lasts, stands)) {
                    let shown = self.shown();
                    self.violate(&format!("{} ({}): its chain hashes no more; there is: {shown}", kind.name, aim.place));
                }
                let named = named && self.names(kind, aim);
                if !named {
                    let (after, shown) = (within.as_secs(), self.shown());
                    self.violate(&format!("{} ({}): it was not named within {after} s; there is: {shown}", kind.name, aim.place));
                }
                self.pass(lasts.min(SETTLE));
                let left = lasts.saturating_sub(SETTLE);
                let runs = |r: &Self| aim.own.iter().any(|c| r.runs(*c));
                if !kind.off {
                    self.pass(left);
                } else if self.until(left, runs) {
                    let shown = self.shown();
                    self.violate(&format!("{} ({}): its board is not off; there is: {shown}", kind.name, aim.place));
                }
                if kind.others {
                    self.await_others(kind, aim);
                }
                named
            }
        };
        if kind.harm.repaired_on_the_table() {
            Harm::HotUnplug.set(aim, self.sim, true);
            self.pass(ON_THE_TABLE);
            kind.harm.set(aim, self.sim, false);
            Harm::HotUnplug.set(aim, self.sim, false);
        } else {
            kind.harm.set(aim, self.sim, false);
        }
        named
    }

    /// Whether no change of a chain's clock that is to come changes its line's rate.
    fn has_its_rate(&self, chain: usize) -> bool {
        let product = self.sim.product();
        let serial = product.hashboards[chain].line == ChainLine::Uart;
        serial || lock(self.sim.world()).clock(chain).is_some_and(|c| c >= product.limits.clock_nominal)
    }

    /// Whether a chain works, in the physics.
    fn hashes(&self, chain: usize) -> bool {
        self.runs(chain) && lock(self.sim.world()).hashing(chain)
    }

    /// Whether a chain on a bad line has a reason to stop that was said: its only thermometers are reached by that line and were lost, or so
    /// few jobs of a hundred bytes and more come through that it gives too little or nothing, and is started anew.
    fn may_stop(&self, chain: usize) -> bool {
        let (own, world) = (format!("chain {chain}"), lock(self.sim.world()));
        let lost = |f: &model::Fault| f.code == FaultCode::SensorLost && f.place.starts_with(&format!("{own} "));
        let slow = |f: &model::Fault| [FaultCode::ChainSlow, FaultCode::ChainSilent].contains(&f.code) && f.place == own;
        let blinded = world.is_self_measured(chain) && self.sim.rig().faults().iter().any(lost);
        self.blinded.set(self.blinded.get() || blinded);
        blinded || self.sim.rig().faults().iter().any(slow)
    }

    /// The chains that were not hit hash again while it lasts.
    fn await_others(&mut self, kind: &Kind, aim: &Aim) {
        let all = 0..self.sim.product().hashboards.len();
        let others: Vec<usize> = all.filter(|c| !aim.own.contains(c)).collect();
        let back = |r: &Self| others.iter().all(|c| r.hashes(*c));
        if !self.until(kind.recovery.limit(), back) {
            let shown = self.shown();
            self.violate(&format!("{} ({}): the others do not go on; there is: {shown}", kind.name, aim.place));
        }
    }

    /// Whether a chain has power and a clock.
    fn runs(&self, chain: usize) -> bool {
        let world = lock(self.sim.world());
        world.rail(chain).is_some_and(|v| v.0 > 0.0) && world.clock(chain).is_some_and(|c| c.0 > 0.0)
    }

    /// Three trips, each from hashing. The last one leaves it cool.
    fn trip(&mut self, kind: &Kind, aim: &Aim) -> bool {
        // Trips of earlier faults are forgiven: it must take three.
        self.sim.command(Command::Start);
        for trip in 1..=TRIPS {
            Harm::Ambient(FURNACE).set(aim, self.sim, true);
            let chains = self.sim.product().hashboards.len();
            let off = |r: &Self| {
                let danger = r.sim.rig().faults().iter().filter(|f| kind.shows.contains(&f.code)).count();
                danger >= chains && (0..chains).all(|c| !r.runs(c))
            };
            let tripped = self.until(TRIP_LIMIT, off);
            lock(self.sim.world()).set_ambient(ROOM);
            if !tripped {
                return false;
            }
            if trip < TRIPS && !self.until(TRIP_LIMIT, |r| r.is_well(&[])) {
                let shown = self.shown();
                self.violate(&format!("{}: it is not back after trip {trip}; there is: {shown}", kind.name));
                return true;
            }
        }
        true
    }

    /// Waits until all chains hash and go on so, as long as the row allows.
    fn come_back(&mut self, kind: &Kind, aim: &Aim, ended: Time, mut named: bool) -> (bool, Back) {
        let (mut cool_at, mut well_since) = (None, None);
        loop {
            // A start on a bad line may lose the chain's only thermometer behind its end as well: that costs the power.
            if kind.hashes {
                aim.own.iter().for_each(|c| _ = self.may_stop(*c));
            }
            let recovery = if self.blinded.get() { Recovery::Power } else { kind.recovery };
            if !named && self.names(kind, aim) {
                named = true;
            }
            // What is not noticed at once must be noticed before it counts as over.
            let over = named || kind.shows.is_empty() || matches!(kind.length, Length::Named { .. });
            well_since = if over && self.is_well(kind.fades) { well_since.or(Some(self.sim.now())) } else { None };
            if let Some(since) = well_since {
                if self.sim.now().since(since) >= STEADY {
                    return (named, Back::After(since.since(ended)));
                }
                self.pass(LOOK);
                continue;
            }
            if cool_at.is_none() && self.sim.is_cool() {
                cool_at = Some(self.sim.now());
            }
            let from = match recovery {
                Recovery::Wire => Some(ended),
                Recovery::Power => cool_at,
            };
            let late = from.is_some_and(|t| self.sim.now().since(t) > recovery.limit());
            if late || self.sim.now().since(ended) > TRIP_LIMIT {
                return (named, Back::Late);
            }
            self.pass(LOOK);
        }
    }

    /// A machine that is not back in time: as its row says, or not. Gives the time to its recovery by itself, whether it latched, and
    /// whether it is back.
    fn help(&mut self, kind: &Kind, aim: &Aim, ended: Time) -> (Option<Duration>, bool, bool) {
        if kind.latches {
            let all = 0..self.sim.product().hashboards.len();
            let latched: Vec<usize> = all.filter(|c| !self.runs(*c)).collect();
            if self.until(LATCH_WATCH, |r| latched.iter().any(|c| r.runs(*c))) {
                self.violate(&format!("{} ({}): its latch ended by itself", kind.name, aim.place));
            }
        } else {
            let shown = self.shown();
            let after = self.sim.now().since(ended).as_secs();
            self.violate(&format!("{} ({}): it is not back after {after} s; there is: {shown}", kind.name, aim.place));
            if self.until(LATE, |r| r.is_well(kind.fades)) {
                return (Some(self.sim.now().since(ended)), false, true);
            }
        }
        self.sim.command(Command::Start);
        let back = self.until(LATE, |r| r.is_well(kind.fades));
        if !back {
            let shown = self.shown();
            self.violate(&format!("{} ({}): a start did not bring it back; there is: {shown}", kind.name, aim.place));
        }
        (None, true, back)
    }
}
