//! The thermal controller: what heat, fans and silence allow.
//!
//! Silence is danger: no reading means full fans, then off. Places on the board are taken to be cooler than the chips by
//! `chip_over_board`; chips that measure themselves count as they read. Not here: switching anything. It says what each chain may do
//! ([`Thermal::permit`]) and what fans should turn; `brain` sees to it. Settings only tighten.

mod board;
pub mod fans;
pub mod heat;
pub mod machine;
pub mod reading;
#[cfg(test)]
mod tests;

use crate::faults::Faults;
use board::{Board, Sight, Spot};
use fans::{FAN_PATIENCE, Fans, Task};
use heat::{Level, Warmth};
use machine::{Seen, State};
use model::{Celsius, Cooling, FanId, FaultCode, Limits, Megahertz, Percent, Product, Rpm, SensorId, SensorPlace, Time};
use reading::{Known, Probe};
use std::time::Duration;

/// A board whose sensors speak through its chips is taken to be cool when it has been off for so long under full fans: its
/// chips follow the air within about a minute (S21 factory log).
const BLIND_COOL: Duration = Duration::from_secs(90);
/// Such a board is not given power again for so long after its sensors were lost under power; that they were stays shown meanwhile.
const BLIND_REST: Duration = Duration::from_secs(40);
/// The warmest air that anybody works in. A board that has been off for so long, under full fans, is not much warmer.
const AIR_MAX: Celsius = Celsius(50.0);
/// Nothing on the bus answered for so long: it is not one part that failed. Sensors are read each second.
const BUS_LIMIT: Duration = Duration::from_secs(5);
/// Where the fault of the bus is.
const BUS: &str = "control bus";

/// What heat allows a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Permit {
    /// Run, at this clock at most.
    Run(Megahertz),
    /// Off: too hot, until it is cool.
    Heat,
    /// Off: too hot too often, until a person asks for a start.
    Latched,
    /// Off: a temperature or the fans are unknown or failed.
    NoProof,
}

/// What `brain` sees of a board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    /// It has, or may have, a rail.
    pub powered: bool,
    /// It is plugged in. A board that is neither needs no sensor to answer.
    pub present: bool,
    /// It hashes.
    pub hashing: bool,
    /// What it takes, as a part of what it takes at nominal clock and rail.
    pub load: f64,
}

/// The controller of one machine.
#[derive(Debug)]
pub struct Thermal {
    limits: Limits,
    started: Time,
    boards: Vec<Board>,
    fans: Fans,
    /// When anything on the bus last answered.
    answered: Time,
    /// Why the last thing that did not, did not.
    unanswered: Option<String>,
}

impl Thermal {
    /// Nothing is known yet: fans full, no permit.
    #[must_use]
    pub fn new(now: Time, product: &Product, cooling: Cooling) -> Thermal {
        let mut ids = (0u8..).map(SensorId);
        let limits = cooling.tighten(product.limits);
        let of = |h: &model::Hashboard| {
            let mut own = ids.by_ref().take(h.sensors.len());
            Board::new(now, h, &mut own)
        };
        Thermal {
            limits,
            started: now,
            boards: product.hashboards.iter().map(of).collect(),
            fans: Fans::new(now, product.fans, cooling.mode, &limits),
            answered: now,
            unanswered: None,
        }
    }

    /// A sensor was asked. Unknown sensors are ignored.
    pub fn temperature(&mut self, now: Time, sensor: SensorId, value: Result<Celsius, String>) {
        self.heard(now, value.as_ref().err());
        let Some(probe) = self.probe(sensor) else { return };
        match value {
            Ok(c) => probe.read(now, c),
            Err(why) => probe.silent(why),
        }
    }

    /// A sensor answered that it is broken. Unknown sensors are ignored.
    pub fn broken(&mut self, now: Time, sensor: SensorId, why: String) {
        self.heard(now, None);
        self.probe(sensor).into_iter().for_each(|p| p.broken(why.clone()));
    }

    /// The regulator of chain `i` measured itself. Where it is a sensor of its board, that was told as one.
    pub fn regulator(&mut self, now: Time, i: usize, value: Celsius) {
        self.boards.get_mut(i).and_then(|b| b.regulator.as_mut()).into_iter().for_each(|p| p.read(now, value));
    }

    /// A fan was asked. Unknown fans are ignored.
    pub fn fan(&mut self, now: Time, fan: FanId, value: Result<Option<Rpm>, String>) {
        self.heard(now, value.as_ref().err());
        self.fans.told(now, fan, value, &self.limits);
    }

    fn probe(&mut self, sensor: SensorId) -> Option<&mut Probe> {
        self.boards.iter_mut().flat_map(|b| &mut b.spots).map(|s| &mut s.probe).find(|p| p.id == sensor)
    }

    fn heard(&mut self, now: Time, error: Option<&String>) {
        match error {
            Some(why) => self.unanswered = Some(why.clone()),
            None => self.answered = now,
        }
    }

    /// A person asked for a start: latches end.
    pub fn release_latches(&mut self) {
        self.boards.iter_mut().for_each(|b| b.heat.release());
    }

    /// Chain `i` was latched before the program started.
    pub fn latch(&mut self, now: Time, i: usize) {
        self.boards.get_mut(i).into_iter().for_each(|b| b.heat.latch(now));
    }

    /// Looks at everything.
    pub fn tick(&mut self, now: Time, seats: &[Seat], faults: &mut Faults) {
        for i in 0..self.boards.len() {
            let seat = seats.get(i).copied().unwrap_or(Seat { powered: true, present: true, hashing: false, load: 0.0 });
            self.follow_seat(now, i, seat);
            self.judge_sensors(now, i, faults);
        }
        // A control board is every board's.
        let shared: Vec<Warmth> = self.boards.iter().flat_map(|b| b.warmths(now, &self.limits)).collect();
        let shared: Vec<Warmth> = shared.into_iter().filter(|w| w.place == SensorPlace::ControlBoard).collect();
        for i in 0..self.boards.len() {
            self.judge_heat(now, i, &shared, faults);
        }
        let mute = now.since(self.answered) > BUS_LIMIT;
        let why = || self.unanswered.clone().unwrap_or_else(|| "nothing was heard of it".to_owned());
        faults.judge(mute, FaultCode::BusFailed, || (BUS.to_owned(), why()));
        self.fans.judge(now, &self.limits, faults);
        for i in 0..self.boards.len() {
            self.follow_state(now, i);
        }
        self.fans.turn(now, self.task(now), &self.limits);
    }

    /// What chain `i` may do.
    #[must_use]
    pub fn permit(&self, now: Time, i: usize) -> Permit {
        let Some(board) = self.boards.get(i) else { return Permit::NoProof };
        if board.heat.is_latched() {
            return Permit::Latched;
        }
        if matches!(board.heat.level(), Level::Danger { .. }) {
            return Permit::Heat;
        }
        let sight = board.sight(now, self.started, &self.limits);
        if self.fans.are_gone(now) || sight == Sight::Lost || now < board.blind_until {
            return Permit::NoProof;
        }
        let l = &self.limits;
        let slow = sight == Sight::Dim || self.fans.are_short();
        let cap = if slow { l.clock_min } else { board.heat.cap(l) };
        let preheat = l.care.preheat.filter(|_| !board.warm);
        Permit::Run(preheat.map_or(cap, |p| cap.min(p.clock)).max(l.clock_min))
    }

    /// Whether chain `i` must not have any rail: it was in danger and cannot yet be cool. One that waits for a person is held in
    /// reset once it is.
    #[must_use]
    pub fn is_endangered(&self, now: Time, i: usize) -> bool {
        self.boards.get(i).is_some_and(|b| match b.heat.level() {
            Level::Danger { since, .. } => !b.heat.is_latched() || now.since(since) < BLIND_COOL,
            Level::Normal | Level::Hot => false,
        })
    }

    /// Where chain `i` is in its life; `None` where there is none.
    #[must_use]
    pub fn state(&self, i: usize) -> Option<State> {
        self.boards.get(i).map(|b| b.state)
    }

    /// The machine: the worst of its boards.
    #[must_use]
    pub fn machine(&self) -> State {
        self.boards.iter().map(|b| b.state).max().unwrap_or(State::Off)
    }

    /// Whether a board at work is slowed because of heat, or of something that is unknown or missing.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        self.boards.iter().any(|b| b.state == State::Throttle)
    }

    /// Whether the start of chain `i` takes longer than any may.
    #[must_use]
    pub fn is_overdue(&self, now: Time, i: usize) -> bool {
        self.boards.get(i).is_some_and(|b| b.state.is_overdue(now))
    }

    /// Whether first readings of sensors and fans may still be on their way.
    #[must_use]
    pub fn is_awaiting_proof(&self, now: Time) -> bool {
        now.since(self.started) <= self.limits.reading_age_max.max(FAN_PATIENCE)
    }

    /// What fans should turn at.
    #[must_use]
    pub fn duty(&self) -> Percent {
        self.fans.duty()
    }

    /// The warmest chip of chain `i` at worst; `None` where a sensor of it was never read or is lost.
    #[must_use]
    pub fn chip(&self, now: Time, i: usize) -> Option<Celsius> {
        let board = self.boards.get(i).filter(|b| b.sight(now, self.started, &self.limits) != Sight::Lost)?;
        board.chip(now, &self.limits)
    }

    /// The warmest chip, where no board has power and all that are there are cool; `None` else. Chips that cannot be read without power
    /// and are taken to be cool count as the target.
    #[must_use]
    pub fn rests_at(&self, now: Time) -> Option<Celsius> {
        let l = &self.limits;
        let there = || self.boards.iter().filter(|b| !b.absent);
        let rests = self.task(now).cool && there().all(|b| !b.powered);
        there().map(|b| b.chip(now, l).unwrap_or(l.target)).reduce(Celsius::max).filter(|_| rests)
    }

    /// Chains that wait for a person.
    pub fn latched(&self) -> impl Iterator<Item = usize> {
        self.boards.iter().enumerate().filter(|(_, b)| b.heat.is_latched()).map(|(i, _)| i)
    }

    /// What each sensor of chain `i` last said, `None` where that is too old to count.
    #[must_use]
    pub fn sensors(&self, now: Time, i: usize) -> Vec<Option<Celsius>> {
        let fresh = |s: &Spot| match s.probe.known(now, self.started, self.limits.reading_age_max) {
            Known::Ok { value, .. } => Some(value),
            Known::Unknown { .. } | Known::Failed { .. } => None,
        };
        self.boards.get(i).map_or_else(Vec::new, |b| b.spots.iter().map(fresh).collect())
    }

    /// What each fan last said, `None` where that is too old to count or noise.
    #[must_use]
    pub fn fans(&self, now: Time) -> Vec<Option<Rpm>> {
        self.fans.speeds(now, &self.limits)
    }

    fn follow_seat(&mut self, now: Time, i: usize, seat: Seat) {
        let b = &mut self.boards[i];
        b.absent = !seat.present && !seat.powered;
        if b.absent {
            b.forget();
        }
        if seat.powered && !b.powered {
            // They were asked in a former life, if ever.
            b.spots.iter_mut().filter(|s| s.by_chain).for_each(|s| s.probe.forget());
            b.warm = false;
        } else if !seat.powered && b.powered {
            b.off_since = now;
        }
        b.powered = seat.powered;
        // A sensor that jumped is held against the only temperature which is known without it.
        if !b.powered && now.since(b.off_since) >= BLIND_COOL {
            // One that jumped is none of them, as it has failed.
            let on_it =
                |s: &Spot| matches!(s.probe.place, SensorPlace::BoardInlet | SensorPlace::BoardOutlet | SensorPlace::Chip);
            let fresh = |s: &Spot| match s.probe.known(now, now, self.limits.reading_age_max) {
                Known::Ok { value, .. } if !s.by_chain && on_it(s) => Some(value),
                _ => None,
            };
            let beside = b.spots.iter().find_map(fresh);
            b.spots.iter_mut().for_each(|s| s.probe.vouch(AIR_MAX, beside));
        }
        b.hashing_since = if seat.hashing && seat.powered { b.hashing_since.or(Some(now)) } else { None };
        let strain = seat.load / self.fans.carries();
        for s in &mut b.spots {
            s.probe.follow(now, strain, self.limits.reading_age_max);
        }
        let lost = |s: &Spot| s.by_chain && b.spot_sight(now, self.started, s, &self.limits) == Sight::Lost;
        if b.powered && b.spots.iter().any(lost) {
            b.blind_until = now + BLIND_REST;
        }
        if let (Some(p), Some(since)) = (self.limits.care.preheat, b.hashing_since) {
            let chip = b.chip(now, &self.limits);
            b.warm |= now.since(since) >= p.limit || chip.is_some_and(|c| c >= p.until);
        }
    }

    fn judge_sensors(&self, now: Time, i: usize, faults: &mut Faults) {
        let b = &self.boards[i];
        for s in &b.spots {
            let p = &s.probe;
            // It rests from the moment it is told to, which is before its power is gone.
            let rests = s.by_chain && now < b.blind_until;
            let absent = b.absent && p.place != SensorPlace::ControlBoard;
            let asked = !absent && (!s.by_chain || b.hashing_since.is_some() || rests);
            let missed =
                match p.known(now, b.hashing_since.filter(|_| s.by_chain).unwrap_or(self.started), self.limits.reading_age_max) {
                    Known::Ok { .. } => false,
                    Known::Failed { .. } => !absent,
                    Known::Unknown { since } => asked && now.since(since) > self.limits.reading_age_max,
                };
            if !missed && faults.is_empty() {
                continue;
            }
            let place = format!("chain {i} sensor {}", p.id.0);
            if !missed {
                // A single bad answer between good ones is no trouble; one that was never followed by a good one is.
                if !asked || p.trouble().is_none() {
                    faults.clear(FaultCode::SensorLost, &place);
                    faults.clear(FaultCode::SensorAbsurd, &place);
                }
                continue;
            }
            let (absurd, why) = match (p.known(now, self.started, self.limits.reading_age_max), p.trouble()) {
                (Known::Failed { why }, _) => (true, why),
                (_, Some((nonsense, why))) => (nonsense, why.to_owned()),
                (_, None) => (false, "no answer".to_owned()),
            };
            let (code, other) = if absurd {
                (FaultCode::SensorAbsurd, FaultCode::SensorLost)
            } else {
                (FaultCode::SensorLost, FaultCode::SensorAbsurd)
            };
            faults.clear(other, &place);
            faults.raise(code, &place, &why);
        }
    }

    fn judge_heat(&mut self, now: Time, i: usize, shared: &[Warmth], faults: &mut Faults) {
        let (l, b) = (&self.limits, &mut self.boards[i]);
        let mut seen = b.warmths(now, l);
        let blind = seen.is_empty() && (b.powered || now.since(b.off_since) < BLIND_COOL);
        seen.extend(shared);
        b.heat.judge(now, &seen, b.powered, blind, l);
        let (level, latched) = (b.heat.level(), b.heat.is_latched());
        let words = || (format!("chain {i}"), b.heat.words());
        // A board that was taken out is in no danger, and one that waits for a person does not start by itself when it is cool.
        let danger = matches!(level, Level::Danger { .. }) && !b.absent && !latched;
        faults.judge(danger, FaultCode::Danger, words);
        faults.judge(level == Level::Hot && !b.absent, FaultCode::TooHot, words);
        faults.judge(latched, FaultCode::Latched, words);
    }

    fn follow_state(&mut self, now: Time, i: usize) {
        let dim = self.boards[i].sight(now, self.started, &self.limits) >= Sight::Dim;
        let b = &mut self.boards[i];
        let level = b.heat.level();
        let seen = Seen {
            powered: b.powered,
            hashing: b.hashing_since.is_some(),
            strained: level == Level::Hot || dim || self.fans.are_short(),
            danger: matches!(level, Level::Danger { .. }),
            latched: b.heat.is_latched(),
        };
        b.state = b.state.follow(now, seen);
    }

    /// What the fans are to cool.
    fn task(&self, now: Time) -> Task {
        let l = &self.limits;
        let there = || self.boards.iter().filter(|b| !b.absent);
        let cool = |b: &Board| {
            let seen = b.warmths(now, l);
            if seen.is_empty() { now.since(b.off_since) >= BLIND_COOL } else { seen.iter().all(|w| w.worst < w.bounds.resume) }
        };
        let unsure = |b: &Board| {
            // Full fans also make a sensor move that is not stuck.
            let doubted = b.spots.iter().any(|s| s.probe.is_doubted() || (b.powered && s.probe.is_suspect()));
            b.heat.level() != Level::Normal || b.sight(now, self.started, l) != Sight::Clear || doubted
        };
        // Where a chip under power is not known, the fans are full anyway.
        let chip = |b: &Board| b.chip(now, l).unwrap_or(l.target).0;
        Task {
            powered: self.boards.iter().filter(|b| b.powered).map(chip).reduce(f64::max),
            cool: there().all(cool),
            unsure: there().any(unsure),
            warming: there().any(|b| matches!(b.state, State::Warmup { .. })),
        }
    }

    /// When time alone changes something: the fan loop runs each second.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        self.fans.wake_at()
    }
}
