//! One chain from off to hashing and back, each by itself: a chain that fails leaves the others alone.
//!
//! Every wait has a limit and every failure a code. Not here: whether the chain may run at all (`thermal` and the user decide; the
//! chain is told `want`), the shared supply (`supply`), work (`schedule`).

use crate::{BoardPart, Order, faults::Faults};
use model::{ChainId, FaultCode, Hashboard, Limits, Measured, Megahertz, RegulatorPart, Time, Volt};
use std::{collections::BTreeMap, time::Duration};

/// The times of a chain's start.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Rail on, chips in reset. Above the 100 ms that chips need their reset low.
    pub rail_settle: Duration,
    /// From the release of reset to the first byte.
    pub after_release: Duration,
    /// A regulator's answer: three tries of its protocol, 1 s apart, and some.
    pub rail_limit: Duration,
    /// For the count: a 126-chip chain answers in 0.5 s.
    pub count_limit: Duration,
    /// For addressing and set-up: 126 chips at 60 ms and more.
    pub ready_limit: Duration,
    /// For the ramp.
    pub ramp_limit: Duration,
    /// Without any nonce while it has work, at least; where few are promised it is longer ([`Want::silence`]).
    pub silence_limit: Duration,
    /// The same of a chain that has sent none since its start: what went wrong there shows by silence alone.
    pub silence_first: Duration,
    /// For a regulator to say that it is off, before the supply is cut.
    pub off_limit: Duration,
}

/// The times that are used.
pub const TIMING: Timing = Timing {
    rail_settle: Duration::from_secs(1),
    after_release: Duration::from_millis(100),
    rail_limit: Duration::from_secs(10),
    count_limit: Duration::from_secs(10),
    ready_limit: Duration::from_secs(60),
    ramp_limit: Duration::from_secs(60),
    silence_limit: Duration::from_secs(20),
    silence_first: Duration::from_secs(10),
    off_limit: Duration::from_secs(5),
};

/// Tries before a chain is given up for a while.
const ATTEMPTS: u32 = 3;
/// Wait after a first failure, doubled by each further one.
const REST_FIRST: Duration = Duration::from_secs(2);
/// Looks at the plug that must agree before a board counts as pulled: a second each.
const PLUG_LOOKS: u32 = 3;
/// A regulator that refuses while its board's plug was seen open is given these looks before the supply is cut for it.
const PLUG_PATIENCE: Duration = Duration::from_millis(2500);
/// A regulator that measures this part more than the highest rail does not hold it: more than its own error.
const RAIL_OVER: f64 = 1.03;
/// Off is ordered again this often until its regulator says so.
const OFF_AGAIN: Duration = Duration::from_secs(5);
/// A rail that is off and measures more than this part of its lowest voltage, so often in a row, is not off.
const STRAY_PART: f64 = 0.5;
const STRAY_LOOKS: u32 = 3;
/// A chain that was given up is tried again this often: with a start of 20 s, a mended wire is hashed on within a minute.
const RETRY: Duration = Duration::from_secs(15);
/// A chain that was counted short is counted anew after this, doubled each time: noise may have hidden or confused chips.
const RECOUNT_FIRST: Duration = Duration::from_secs(300);
/// Longest wait for it: a chain that is truly cut loses a hundredth of its time at most.
const RECOUNT_MAX: Duration = Duration::from_secs(3600);

/// ```text
///  Off ─want─▶ SupplyOn ─supply─▶ RailStart ─told─▶ Settling ─1 s, release─▶ Released ─100 ms─▶ Counting
///                  ▲    reset held, rail_start                                                     │ counted
///                  │ wait                                                                          ▼
///  Failed ◀─3 ×─ Resting ◀── any failure or limit ── Hashing ◀─told─ Lowering ◀─at clock─ Ramping ◀─ Readying
///     └─ 30 s ─▶ SupplyOn                                       rail_nominal        clock_nominal
///  Without a rail of its own: SupplyOn ─▶ Settling, Ramping ─▶ Hashing, and off is reset held.
///  Any of them: not wanted ─▶ rail off, reset held, Off.
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// Not wanted.
    Off,
    /// Waits for the supply.
    SupplyOn,
    /// Rail ordered, chips in reset.
    RailStart {
        /// Its limit.
        by: Time,
    },
    /// Rail on, chips in reset.
    Settling {
        /// Its end.
        until: Time,
    },
    /// Reset released.
    Released {
        /// Its end.
        until: Time,
    },
    /// Chips are being found.
    Counting {
        /// Its limit.
        by: Time,
    },
    /// Chips are being addressed and set up.
    Readying {
        /// Its limit.
        by: Time,
    },
    /// The clock rises.
    Ramping {
        /// Its limit.
        by: Time,
    },
    /// The rail goes from its start to its nominal voltage.
    Lowering {
        /// Its limit.
        by: Time,
    },
    /// At work.
    Hashing {
        /// Since when.
        since: Time,
    },
    /// Between two tries.
    Resting {
        /// Its end.
        until: Time,
    },
    /// Given up for a while.
    Failed {
        /// The next try.
        until: Time,
    },
}

/// What a chain is to do, as `brain` sees it now.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The clock that heat allows; `None`: off.
    pub clock: Option<Megahertz>,
    /// Whether the supply is on.
    pub supply: bool,
    /// Since when the chain has had work without a gap.
    pub work_since: Option<Time>,
    /// It is silent where it gave no nonce for so long, though it has work.
    pub silence: Duration,
}

/// One chain's controller.
#[derive(Debug)]
pub struct Chain {
    /// Which.
    pub id: ChainId,
    /// Chips that answered.
    pub chips: u32,
    /// Chips that should.
    pub expected: u32,
    /// A bit for each chip that gave a nonce since a count that missed some.
    seen: [u64; 4],
    /// Counts in a row that missed some.
    short_counts: u32,
    /// The clock now.
    pub clock: Megahertz,
    /// The rail as last told; `None` off.
    pub rail: Option<Volt>,
    /// How long one work lasts at this clock.
    pub epoch: Duration,
    limits: Limits,
    /// Whether its rail has a switch of its own. Where it is the supply itself, off means held in reset.
    switched: bool,
    /// Whether a supply that is off proves that the rail is: it has a switch, or the regulator lets go without its heartbeat.
    supply_proves: bool,
    lets_go: bool,
    /// Whether what measures at its rail measures the rail itself, and not what feeds it.
    rail_measured: bool,
    /// What was read of parts that do not belong here.
    strangers: BTreeMap<BoardPart, (Time, String)>,
    stage: Stage,
    attempts: u32,
    clock_told: Option<Megahertz>,
    last_nonce: Time,
    /// Until when the regulator should have said that it is off.
    off_by: Option<Time>,
    /// The regulator refused to switch off.
    off_refused: bool,
    /// When off is ordered again, as nobody said yet that it is.
    off_again: Option<Time>,
    /// Measurements in a row that found a rail which should be off.
    stray: u32,
    /// What counts as silence at the clock of now.
    silence: Duration,
    raised: Option<FaultCode>,
    /// Looks in a row that found no board.
    pulled: u32,
    place: String,
}

impl Chain {
    /// A chain that is off.
    #[must_use]
    pub fn new(id: ChainId, board: &Hashboard, limits: Limits) -> Chain {
        Chain {
            id,
            chips: 0,
            expected: u32::from(board.chain.chips),
            seen: [0; 4],
            short_counts: 0,
            clock: Megahertz(0.0),
            rail: None,
            epoch: Duration::ZERO,
            limits,
            supply_proves: true,
            lets_go: matches!(board.regulator, RegulatorPart::Dspic { .. } | RegulatorPart::Pic16 { .. }),
            switched: board.regulator != RegulatorPart::Supply || !board.enables.is_empty(),
            rail_measured: board.meter.is_none(),
            strangers: BTreeMap::new(),
            stage: Stage::Off,
            attempts: 0,
            clock_told: None,
            last_nonce: Time::ZERO,
            off_by: None,
            off_refused: false,
            off_again: None,
            stray: 0,
            silence: TIMING.silence_first,
            raised: None,
            pulled: 0,
            place: format!("chain {}", id.0),
        }
    }

    /// The same behind a supply that nobody can switch: its regulator may still be on from a former life, so off is ordered first.
    #[must_use]
    pub fn behind_fixed_supply(self) -> Chain {
        let off_again = (self.switched && !self.lets_go).then_some(Time::ZERO);
        Chain { supply_proves: false, off_again, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether a board is there, as far as its plug tells.
    #[must_use]
    pub fn is_plugged(&self) -> bool {
        self.pulled < PLUG_LOOKS
    }

    /// The plug was looked at.
    pub fn plug(&mut self, plugged: bool, faults: &mut Faults) {
        let before = self.is_plugged();
        self.pulled = if plugged { 0 } else { self.pulled.saturating_add(1) };
        match (before, self.is_plugged()) {
            (true, false) => {
                self.recovered(faults);
                faults.raise(FaultCode::ChainMissing, &self.place, "no board is plugged in");
                self.raised = Some(FaultCode::ChainMissing);
            }
            (false, true) => {
                self.recovered(faults);
                self.attempts = 0;
            }
            _ => {}
        }
        if !self.is_plugged() {
            // The next board is another one.
            self.strangers.clear();
            faults.clear(FaultCode::BoardUnknown, &self.place);
        }
    }

    /// A part of the board said what it is, or what was read does not belong here.
    pub fn identified(&mut self, now: Time, part: BoardPart, value: Result<String, String>, faults: &mut Faults) {
        match value {
            Ok(_) => self.strangers.remove(&part),
            Err(what) => self.strangers.insert(part, (now, what)),
        };
        let words = || {
            let told: Vec<String> = self.strangers.iter().map(|(p, (_, what))| format!("its {}: {what}", p.word())).collect();
            (self.place.clone(), told.join("; "))
        };
        faults.judge(!self.strangers.is_empty(), FaultCode::BoardUnknown, words);
    }

    /// Whether it is not the board that belongs here, or a part of it is not fit for use: it is left off. A regulator is asked again
    /// after a while, by the start of its chain, which ends there where it still does not fit.
    #[must_use]
    pub fn is_stranger(&self, now: Time) -> bool {
        let counts = |(part, (at, _)): (&BoardPart, &(Time, String))| *part == BoardPart::Eeprom || now.since(*at) < RETRY;
        self.strangers.iter().any(counts)
    }

    /// Whether off means held in reset, as its rail is the supply itself.
    #[must_use]
    pub fn is_unswitched(&self) -> bool {
        !self.switched
    }

    /// Its regulator measured.
    pub fn measured(&mut self, now: Time, measured: Measured, faults: &mut Faults, orders: &mut Vec<Order>) {
        let Some(volt) = measured.volt.filter(|_| self.switched && self.rail_measured) else { return };
        let most = self.limits.rail_max;
        if !self.is_on() {
            // A PIC tells what it is set to, on or off; it lets go by itself.
            let off = self.off_by.is_none() && self.is_plugged() && !self.lets_go;
            self.stray = if off && volt.0 > self.limits.rail_min.0 * STRAY_PART { self.stray + 1 } else { 0 };
            if self.stray >= STRAY_LOOKS {
                self.stray = 0;
                self.rail = Some(volt.min(most));
                self.refused(now, &format!("its regulator measures {volt:.2} though it said that it is off"), faults);
            }
            return;
        }
        if !(0.0..=most.0 * RAIL_OVER).contains(&volt.0) {
            let detail = format!("its regulator measures {volt:.2} where {most:.2} is the most");
            self.fail(now, FaultCode::RailFailed, &detail, faults, orders);
        }
    }

    /// Whether it was started, or is being started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.is_on()
    }

    /// Whether it shows a failure of its own.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.raised.is_some()
    }

    /// The hand at this place did not take orders: what this chain is to have is told again.
    pub fn orders_lost(&mut self, place: &str) {
        if place == self.place {
            self.clock_told = None;
        }
    }

    /// Whether this is why it is off, or starts.
    #[must_use]
    pub fn has_raised(&self, code: FaultCode) -> bool {
        self.raised == Some(code)
    }

    /// Whether it takes work.
    #[must_use]
    pub fn is_hashing(&self) -> bool {
        matches!(self.stage, Stage::Hashing { .. })
    }

    /// Whether it has, or may have, a rail that heats it. Chips in reset under a rail that nothing can switch do not count.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.is_on() || (self.switched && (self.off_by.is_some() || self.rail.is_some()))
    }

    /// What it takes, as a part of what it takes at nominal clock and rail.
    #[must_use]
    pub fn load(&self) -> f64 {
        let volt = self.rail.unwrap_or_default().0 / self.limits.rail_nominal.0;
        self.clock.0 / self.limits.clock_nominal.0 * volt * volt
    }

    /// Whether it needs the supply: it starts, runs, waits for its next start, or for its regulator to say that it is off.
    #[must_use]
    pub fn needs_supply(&self) -> bool {
        let waits = self.stage == Stage::SupplyOn || matches!(self.stage, Stage::Resting { .. });
        self.is_on() || waits || (self.off_by.is_some() && !self.off_refused)
    }

    /// Whether its rail cannot be shown to be off. One that was never seen on is left to its own, as long as heat `permits` it.
    /// `danger`: heat wants it without any rail, which only the supply can do where it has no switch of its own.
    #[must_use]
    pub fn needs_cut(&self, permits: bool, danger: bool) -> bool {
        (danger && !self.switched) || (self.off_refused && !self.is_on() && (self.rail.is_some() || !permits))
    }

    /// The supply is off beyond doubt. A supply that nothing switches says so too, and proves nothing.
    pub fn supply_is_off(&mut self) {
        if self.supply_proves || self.lets_go || !self.switched {
            self.is_off();
        }
    }

    /// Its rail is off.
    fn is_off(&mut self) {
        self.rail = None;
        self.off_by = None;
        self.off_refused = false;
        self.off_again = None;
    }

    /// A nonce of its work came, right or wrong.
    pub fn nonce(&mut self, now: Time, faults: &mut Faults) {
        if self.is_hashing() {
            self.last_nonce = now;
            self.attempts = 0;
            self.recovered(faults);
        }
    }

    /// A chip gave a true nonce. One that was not heard when the chain was counted counts from here on: noise hides chips.
    pub fn seen(&mut self, chip: u8, faults: &mut Faults) {
        if self.chips >= self.expected || !self.is_hashing() {
            return;
        }
        self.seen[usize::from(chip / 64)] |= 1 << (chip % 64);
        let seen: u32 = self.seen.iter().map(|s| s.count_ones()).sum();
        self.chips = self.chips.max(seen.min(self.expected));
        if self.chips == self.expected {
            faults.clear(FaultCode::ChainShort, &self.place);
        }
    }

    /// The chain was counted.
    pub fn counted(&mut self, now: Time, chips: u32, faults: &mut Faults, orders: &mut Vec<Order>) {
        if !matches!(self.stage, Stage::Counting { .. }) {
            return;
        }
        self.chips = chips;
        self.seen = [0; 4];
        if chips == 0 {
            return self.fail(now, FaultCode::ChainMissing, "no chip answered", faults, orders);
        }
        let detail = format!("{chips} of {} chips answered", self.expected);
        self.short_counts = if chips < self.expected { self.short_counts.saturating_add(1) } else { 0 };
        faults.set(chips < self.expected, FaultCode::ChainShort, &self.place, &detail);
        self.stage = Stage::Readying { by: now + TIMING.ready_limit };
    }

    /// The chain is set up.
    pub fn ready(&mut self, now: Time) {
        if matches!(self.stage, Stage::Readying { .. }) {
            self.stage = Stage::Ramping { by: now + TIMING.ramp_limit };
        }
    }

    /// A ramp step was made.
    pub fn clocked(&mut self, clock: Megahertz) {
        if self.is_on() {
            self.clock = clock;
        }
    }

    /// The ordered clock is reached.
    pub fn hashing(&mut self, now: Time, epoch: Duration, faults: &mut Faults, orders: &mut Vec<Order>) {
        match self.stage {
            Stage::Ramping { .. } if self.clock_told.is_some() && !self.switched => {
                self.epoch = epoch;
                orders.push(Order::Rail { chain: self.id, volt: Some(self.limits.rail_nominal) });
                self.at_work(now, faults);
            }
            Stage::Ramping { .. } if self.clock_told.is_some() => {
                self.epoch = epoch;
                self.stage = Stage::Lowering { by: now + TIMING.rail_limit };
                orders.push(Order::Rail { chain: self.id, volt: Some(self.limits.rail_nominal) });
            }
            Stage::Lowering { .. } | Stage::Hashing { .. } => self.epoch = epoch,
            _ => {}
        }
    }

    /// The hand says that the chain failed.
    pub fn failed(&mut self, now: Time, code: FaultCode, detail: &str, faults: &mut Faults, orders: &mut Vec<Order>) {
        if self.is_on() {
            self.fail(now, code, detail, faults, orders);
        }
    }

    /// The regulator reported.
    pub fn rail(&mut self, now: Time, value: Result<Option<Volt>, String>, faults: &mut Faults, orders: &mut Vec<Order>) {
        match (value, self.stage) {
            (Err(why), _) if self.is_on() => self.fail(now, FaultCode::RailFailed, &why, faults, orders),
            // What is not there cannot obey.
            (Err(_), _) if !self.is_plugged() => self.is_off(),
            (Err(why), _) => self.refused(now, &why, faults),
            (Ok(Some(v)), _) if self.is_on() && !(0.0..=self.limits.rail_max.0).contains(&v.0) => {
                self.rail = Some(self.limits.rail_max);
                self.fail(now, FaultCode::RailFailed, &format!("its rail is at {v}"), faults, orders);
            }
            (Ok(Some(v)), Stage::RailStart { .. }) => {
                self.rail = Some(v);
                self.stage = Stage::Settling { until: now + TIMING.rail_settle };
            }
            (Ok(Some(v)), Stage::Lowering { .. }) => {
                self.rail = Some(v);
                self.at_work(now, faults);
            }
            // A late answer to an earlier order: the newer order's answer follows.
            (Ok(Some(v)), _) => self.rail = Some(v),
            (Ok(None), Stage::RailStart { .. }) => {}
            // Of a rail that is the supply itself that is an answer to the stop before.
            (Ok(None), _) if self.is_on() && !self.switched => {}
            (Ok(None), _) if self.is_on() => {
                self.rail = None;
                self.fail(now, FaultCode::RailFailed, "its rail switched itself off", faults, orders);
            }
            (Ok(None), _) => {
                // It obeyed at last: what was wrong with it is over.
                if self.off_refused && self.raised == Some(FaultCode::RailFailed) {
                    self.recovered(faults);
                }
                self.is_off();
            }
        }
    }

    /// It does not switch off.
    fn refused(&mut self, now: Time, why: &str, faults: &mut Faults) {
        if self.raised.is_some_and(|r| r != FaultCode::RailFailed) {
            self.recovered(faults);
        }
        faults.raise(FaultCode::RailFailed, &self.place, why);
        self.raised = Some(FaultCode::RailFailed);
        self.off_again.get_or_insert(now + OFF_AGAIN);
        if self.pulled > 0 {
            // It is being pulled, as it seems: what is not there cannot obey, and costs the others nothing.
            let by = now + PLUG_PATIENCE;
            self.off_by = Some(self.off_by.map_or(by, |t| t.min(by)));
        } else {
            self.off_refused = true;
        }
    }

    /// Follows `want`, and the time.
    pub fn tick(&mut self, now: Time, want: Want, faults: &mut Faults, orders: &mut Vec<Order>) {
        if self.off_by.is_some_and(|t| now >= t) {
            self.off_refused = true;
        }
        self.silence = want.silence;
        if (self.off_refused || self.off_by.is_some()) && !self.is_plugged() {
            self.is_off();
        }
        if self.off_again.is_some_and(|t| now >= t) && !self.is_on() {
            self.off_again = Some(now + OFF_AGAIN);
            orders.push(Order::Rail { chain: self.id, volt: None });
            orders.push(Order::Reset { chain: self.id, held: true });
        }
        if !self.switched {
            self.rail = want.supply.then(|| self.rail.unwrap_or(self.limits.supply));
        }
        let Some(clock) = want.clock else {
            if self.is_on() {
                self.switch_off(now, orders);
            }
            self.stage = Stage::Off;
            return;
        };
        if self.is_on() && !want.supply {
            self.switch_off(now, orders);
            self.stage = Stage::SupplyOn;
        }
        match self.stage {
            Stage::Off => self.stage = Stage::SupplyOn,
            Stage::Resting { until } | Stage::Failed { until } if now >= until => self.stage = Stage::SupplyOn,
            _ => {}
        }
        match self.stage {
            Stage::SupplyOn if want.supply && (self.off_by.is_none() || self.off_refused) => {
                self.off_by = None;
                self.off_refused = false;
                self.off_again = None;
                self.stray = 0;
                orders.push(Order::Reset { chain: self.id, held: true });
                // Of a supply that is the rail of several, each says what it needs: tuning may have lowered it for the others.
                orders.push(Order::Rail { chain: self.id, volt: Some(self.limits.rail_start) });
                self.stage = if self.switched {
                    Stage::RailStart { by: now + TIMING.rail_limit }
                } else {
                    Stage::Settling { until: now + TIMING.rail_settle }
                };
            }
            Stage::RailStart { by } | Stage::Lowering { by } if now >= by => {
                self.fail(now, FaultCode::RailFailed, "its regulator gave no answer within 10 s", faults, orders);
            }
            Stage::Settling { until } if now >= until => {
                orders.push(Order::Reset { chain: self.id, held: false });
                self.stage = Stage::Released { until: now + TIMING.after_release };
            }
            Stage::Released { until } if now >= until => {
                orders.push(Order::StartChain(self.id));
                self.stage = Stage::Counting { by: now + TIMING.count_limit };
            }
            Stage::Counting { by } if now >= by => {
                self.fail(now, FaultCode::ChainMissing, "no count of its chips within 10 s", faults, orders);
            }
            Stage::Readying { by } if now >= by => {
                self.fail(now, FaultCode::ChainSilent, "its chips were not set up within 60 s", faults, orders);
            }
            Stage::Ramping { by } if now >= by => {
                self.fail(now, FaultCode::ChainSilent, "it did not reach its clock within 60 s", faults, orders);
            }
            Stage::Hashing { since } if self.silent_at(since, want.work_since).is_some_and(|t| now >= t) => {
                let detail = format!("it has work and sent no nonce of it for {} s", self.silence_of(since).as_secs());
                self.fail(now, FaultCode::ChainSilent, &detail, faults, orders);
            }
            Stage::Hashing { since } if self.recount_at(since).is_some_and(|t| now >= t) => {
                self.switch_off(now, orders);
                self.stage = Stage::Resting { until: now + REST_FIRST };
            }
            _ => {}
        }
        let takes_clock = matches!(self.stage, Stage::Ramping { .. } | Stage::Lowering { .. } | Stage::Hashing { .. });
        if takes_clock && self.clock_told != Some(clock) {
            self.clock_told = Some(clock);
            orders.push(Order::Clock { chain: self.id, clock });
        }
    }

    /// When a chain that was counted short is counted anew.
    fn recount_at(&self, since: Time) -> Option<Time> {
        let wait = RECOUNT_FIRST.saturating_mul(1 << self.short_counts.saturating_sub(1).min(8)).min(RECOUNT_MAX);
        (self.chips < self.expected).then(|| since + wait)
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self, work_since: Option<Time>) -> Time {
        let stage = match self.stage {
            Stage::Off | Stage::SupplyOn => Time::NEVER,
            Stage::RailStart { by: t }
            | Stage::Settling { until: t }
            | Stage::Released { until: t }
            | Stage::Counting { by: t }
            | Stage::Readying { by: t }
            | Stage::Ramping { by: t }
            | Stage::Lowering { by: t }
            | Stage::Resting { until: t }
            | Stage::Failed { until: t } => t,
            Stage::Hashing { since } => self.silent_at(since, work_since).unwrap_or(Time::NEVER),
        };
        // A switch-off that is overdue was acted upon already.
        let again = self.off_again.filter(|_| !self.is_on()).unwrap_or(Time::NEVER);
        stage.min(self.off_by.filter(|_| !self.off_refused).unwrap_or(Time::NEVER)).min(again)
    }

    fn silent_at(&self, since: Time, work_since: Option<Time>) -> Option<Time> {
        work_since.map(|w| w.max(since).max(self.last_nonce) + self.silence_of(since))
    }

    fn silence_of(&self, since: Time) -> Duration {
        if self.last_nonce > since { self.silence.max(TIMING.silence_limit) } else { self.silence }
    }

    fn is_on(&self) -> bool {
        !matches!(self.stage, Stage::Off | Stage::SupplyOn | Stage::Resting { .. } | Stage::Failed { .. })
    }

    fn at_work(&mut self, now: Time, faults: &mut Faults) {
        self.stage = Stage::Hashing { since: now };
        if self.raised != Some(FaultCode::ChainSilent) {
            self.recovered(faults);
        }
    }

    fn recovered(&mut self, faults: &mut Faults) {
        if let Some(code) = self.raised.take() {
            faults.clear(code, &self.place);
        }
    }

    fn fail(&mut self, now: Time, code: FaultCode, detail: &str, faults: &mut Faults, orders: &mut Vec<Order>) {
        if self.raised.is_some_and(|r| r != code) {
            self.recovered(faults);
        }
        faults.raise(code, &self.place, detail);
        self.raised = Some(code);
        self.switch_off(now, orders);
        self.attempts += 1;
        self.stage = if self.attempts >= ATTEMPTS {
            Stage::Failed { until: now + RETRY }
        } else {
            Stage::Resting { until: now + REST_FIRST * (1 << (self.attempts - 1)) }
        };
    }

    fn switch_off(&mut self, now: Time, orders: &mut Vec<Order>) {
        orders.push(Order::Rail { chain: self.id, volt: None });
        if self.switched {
            self.off_by = Some(now + TIMING.off_limit);
            self.off_again = Some(now + OFF_AGAIN);
        }
        orders.push(Order::Reset { chain: self.id, held: true });
        orders.push(Order::StopChain(self.id));
        self.off_refused = false;
        self.clock = Megahertz(0.0);
        self.clock_told = None;
    }
}

#[cfg(test)]
#[path = "bringup_tests.rs"]
mod tests;
