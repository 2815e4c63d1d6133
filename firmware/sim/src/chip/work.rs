//! Chips at work: when each tests its next candidate, and what it says of it.
//!
//! Every chip keeps its own place, so that neighbours may run at other clocks. Not here: where a candidate lies (`sweep`).

use super::clocking::Pll;
use super::facts::{JobKind, Reports};
use super::frame::{JobFrame, Shape, Task};
use super::sweep::{self, Walk, mix};
use super::{Chip, SimChain, register};
use crate::strain::FLAT_LOSS;
use model::{Megahertz, Time};
use std::cmp::Reverse;

/// The counter advances two a clock, yet hash rates show one tested candidate a clock: half of what is counted is tested.
const COUNTS_PER_TEST: u64 = 2;

impl SimChain {
    /// Lets time pass: every candidate until `now` is tested, and what passes the ticket is put on the line.
    pub fn advance(&mut self, now: Time) {
        let now = now.max(self.now);
        let to = nanos(now);
        if let Some(job) = self.job.take() {
            while let Some(&Reverse((at, index))) = self.due.peek()
                && at <= to
            {
                self.due.pop();
                let at = Time::from_micros(u64::try_from(at / 1000).unwrap_or(0));
                self.babble_until(at);
                self.test(&job, index, at);
                let chip = &mut self.chips[index];
                if let Some(walk) = chip.walk
                    && let Some((due, step)) = walk.due(walk.after(chip.step))
                {
                    chip.step = step;
                    self.due.push(Reverse((after(chip.from, due), index)));
                }
            }
            self.job = Some(job);
        }
        self.babble_until(now);
        self.now = now;
    }

    /// Takes a job: every chip that hears it starts its walk anew.
    pub(super) fn take_job(&mut self, job: JobFrame) {
        // Published hosts leave the gate as it is and mine: it keeps jobs from closed cores alone.
        let gated = self.facts.opened_by_jobs && self.shared(register::MISC_1387) >> 15 & 1 == 1;
        if gated && self.opened < self.facts.small_cores {
            self.opened += 1;
            return;
        }
        self.settle();
        (self.job, self.job_at) = (Some(job), self.now);
        let (reach, now) = (self.reach(), nanos(self.now));
        for chip in &mut self.chips[..reach] {
            (chip.walk, chip.from) = (None, now);
        }
    }

    /// Finds every chip's walk and next candidate anew, after anything that decides them has changed.
    pub(super) fn plan(&mut self) {
        self.settle();
        self.look_at_clocks();
        self.due.clear();
        let (now, reach, job) = (nanos(self.now), self.reach(), self.job.as_ref().map(salt));
        let parts = self.parts(reach);
        for index in 0..self.chips.len() {
            let walk = job.filter(|_| index < reach).and_then(|salt| self.walk(index, parts[index].0, salt));
            let chip = &mut self.chips[index];
            chip.twin = parts.get(index).is_some_and(|p| p.1);
            let before = std::mem::replace(&mut chip.walk, walk);
            let Some(walk) = walk else { continue };
            let mut step = chip.step;
            if before != Some(walk) {
                if let Some(old) = before.map(|b| b.epoch_ns()) {
                    let gone = i128::from(now - chip.from) * i128::from(walk.epoch_ns()) / i128::from(old);
                    chip.from = now - i64::try_from(gone).unwrap_or(i64::MAX);
                }
                let at = now.max(nanos(chip.locked_at));
                step = walk.step_at(u64::try_from(at - chip.from).unwrap_or(0));
            }
            if let Some((due, step)) = walk.due(step) {
                chip.step = step;
                self.due.push(Reverse((after(chip.from, due), index)));
            }
        }
    }

    /// For each chip within reach: how many values of the counter are its own, and whether one in front has the same start.
    fn parts(&self, reach: usize) -> Vec<(u64, bool)> {
        let range = 1u64 << self.facts.nonce.range_bits();
        let start = |c: &Chip| u64::from(self.facts.nonce.start(c.address, self.register(c, register::NONCE_OFFSET)));
        let starts: Vec<u64> = self.chips[..reach].iter().map(start).collect();
        let mut sorted = starts.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut seen = std::collections::BTreeSet::new();
        starts
            .iter()
            .map(|s| {
                let next = sorted.partition_point(|o| o <= s);
                let end = sorted.get(next).copied().or_else(|| sorted.first().map(|f| f + range)).unwrap_or(range);
                (end - s, !seen.insert(*s))
            })
            .collect()
    }

    /// How a chip walks now; `None` where anything is missing that it needs for it.
    fn walk(&self, index: usize, slice: u64, salt: u64) -> Option<Walk> {
        let (f, chip) = (self.facts, &self.chips[index]);
        let pll = chip.pll.filter(|_| self.listens() && !self.bodies[index].dead)?;
        let reports = f.reports == Reports::Always || self.register(chip, register::MISC) >> 28 != 0;
        let lanes = if f.opened_by_jobs { self.opened.min(f.small_cores) } else { f.small_cores };
        let start = f.nonce.start(chip.address, self.register(chip, register::NONCE_OFFSET));
        let walk = Walk {
            pll,
            lanes,
            start,
            slice,
            batch: 0,
            batches: sweep::batches(f, self.rolling(chip)),
            counts_per_test: 1,
            midstates: 1,
            mask: self.rolling(chip),
            ticket: self.register(chip, f.ticket),
            stretch: 0,
            scale: u32::from(self.scale.scale_bits),
            salt: mix(self.seed ^ salt ^ u64::from(start)),
        };
        let walk = match &self.job.as_ref()?.task {
            Task::Header(_) => {
                let batch = u64::from(self.shared(f.sweep)) * pll.feedback / pll.divider;
                Walk { batch, counts_per_test: COUNTS_PER_TEST, ..walk }
            }
            // Inferred: all midstates for each counter, as their shared message schedule asks for. What sets the sweep's end on
            // these chips is not known: they are given their whole part.
            Task::Midstates { states, .. } => {
                let midstates = states.len() as u64;
                Walk { batch: slice * midstates, midstates, stretch: u32::from(self.scale.stretch_bits), ..walk }
            }
        };
        (reports && lanes > 0 && walk.batch > 0).then_some(walk)
    }

    fn test(&mut self, job: &JobFrame, index: usize, at: Time) {
        let (f, chip) = (self.facts, &self.chips[index]);
        let Some(walk) = chip.walk else { return };
        let c = walk.candidate(f, chip.step);
        let repeated = chip.step.epoch > 0 || chip.twin || c.counter >= walk.slice;
        self.hashes_tested += 1;
        self.hashes_repeated += u64::from(repeated);
        let nonce = f.nonce.nonce(c.core, c.small, walk.start.wrapping_add(c.counter as u32));
        let mask = walk.mask;
        let counter = c.version_counter(f.small_per_core, mask);
        let version = match &job.task {
            Task::Header(h) => {
                let base = u32::from_le_bytes([h[0], h[1], h[2], h[3]]);
                Some(base & !(u32::from(mask.unwrap_or(0)) << 13) | u32::from(counter) << 13)
            }
            Task::Midstates { .. } => None,
        };
        let (zero_bits, ticket) = (u32::from(self.scale.zero_bits), walk.ticket);
        let Some(zeros) = sweep::passes(&sweep::hash(&job.task, version, c.midstate, nonce), zero_bits, ticket) else { return };
        let quarter = u64::from(c.core) * 4 / f.cores;
        if f.reports == Reports::Quarters && self.register(chip, register::MISC) >> (28 + quarter) & 1 == 0 {
            return;
        }
        let wrong = f64::from(self.bodies[index].wrong) / 1000.0;
        let dice = mix(self.seed ^ self.hashes_tested) as f64 / u64::MAX as f64;
        if dice < FLAT_LOSS {
            return;
        }
        let nonce = if dice < self.loss(index, walk.pll) + wrong { nonce ^ 1 } else { nonce };
        // What byte 6 of a midstate chip's reply holds is not agreed on.
        let excess = if f.job == JobKind::Header { 2 * zeros.saturating_sub(zero_bits + ticket.count_ones()) } else { 0 };
        let id = f.id_rule.pack(job.id, c.small, c.midstate);
        let reply = super::frame::nonce_reply(nonce, excess.min(255) as u8, id, counter, self.shape(index));
        self.send(at, &reply);
        self.repeat(at, &reply);
    }

    /// The part of its work that a chip loses now.
    fn loss(&self, index: usize, pll: Pll) -> f64 {
        let body = self.bodies[index];
        self.facts.bears.loss(Megahertz(pll.mhz()), self.chip_volts(), body.heat, body.quality * self.quality)
    }

    /// Brings every chip's count of its hashes up to now.
    pub(super) fn settle(&mut self) {
        (0..self.chips.len()).for_each(|index| self.settle_one(index));
    }

    /// The same of one chip.
    pub(super) fn settle_one(&mut self, index: usize) {
        let chip = &self.chips[index];
        let seconds = self.now.since(chip.settled.max(chip.locked_at)).as_secs_f64();
        let Some(hashes) = chip.walk.map(|w| w.rate() * seconds).filter(|h| *h > 0.0) else {
            self.chips[index].settled = self.now;
            return;
        };
        let bad = chip.pll.map_or(0.0, |pll| self.loss(index, pll)) + f64::from(self.bodies[index].wrong) / 1000.0;
        let chip = &mut self.chips[index];
        chip.hashed += hashes;
        chip.bad += hashes * bad.min(1.0);
        chip.settled = self.now;
    }

    /// How replies of a chip look.
    pub(super) fn shape(&self, index: usize) -> Shape {
        let long = self.rolling(&self.chips[index]).is_some() && !self.faults.short_replies;
        Shape { framing: self.facts.framing, long }
    }
}

/// Two jobs are sampled at other places, the same one twice at the same.
fn salt(job: &JobFrame) -> u64 {
    let fold = |salt, bytes: &[u8]| bytes.iter().fold(salt, |s: u64, b| mix(s ^ u64::from(*b)));
    match &job.task {
        Task::Header(h) => fold(0, h),
        Task::Midstates { states, tail } => states.iter().fold(fold(1, tail), |s, w| mix(s ^ u64::from(w[0]))),
    }
}

fn nanos(time: Time) -> i64 {
    i64::try_from(time.micros().saturating_mul(1000)).unwrap_or(i64::MAX)
}

fn after(from: i64, due: u64) -> i64 {
    from.saturating_add(i64::try_from(due).unwrap_or(i64::MAX))
}
