//! Which job each hand works on, and which nonces become shares.
//!
//! A job's life: offered → current → recent (its nonces still count) → superseded by a clean job (they do not) → forgotten. Every hand gets
//! fresh work before it would repeat itself. Not here: which upstream is mined for (`failover`), how a hand is started (`bringup`).

use model::{
    ChainId, CoinbaseJob, Difficulty, Job, JobBody, JobError, JobId, Nonce, Share, ShareId, Target, Time, UpstreamId, Work,
    WorkId,
};
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

/// Jobs that are remembered. Pools send one each 5 to 60 s; a nonce is at most an epoch and a line's delay late.
pub const JOBS_KEPT: usize = 16;
/// Works that are remembered over all jobs: 30 minutes of three chains at 1.5 s a work.
pub const WORKS_KEPT: usize = 4096;
/// Nonces remembered per job, against duplicates. A fast S19 sends 100 a second; beyond the limit a job's nonces no longer become shares.
pub const NONCES_KEPT: usize = 1 << 18;
/// New work is due at this part of an epoch: the rest, 0.4 s of an S19j Pro, is what a busy machine may be late by. It costs nothing but
/// frames, for fresh work is never short.
const EPOCH_PART: f64 = 0.75;
/// Shortest and longest time on one work: the first guards against a nonsense epoch, the second keeps the header's time honest.
const WORK_MIN: Duration = Duration::from_millis(100);
const WORK_MAX: Duration = Duration::from_secs(60);
/// A new job that voids nothing is taken up at the next refill, at latest after this, one hand after the other.
const UPTAKE: Duration = Duration::from_secs(5);
const UPTAKE_STAGGER: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Kept {
    job: Job,
    superseded: bool,
    rolled: u64,
    first_extranonce2: u64,
    seen: HashSet<(WorkId, u32, u32)>,
}

#[derive(Debug)]
struct Given {
    job: JobId,
    chain: ChainId,
    time: u32,
    extranonce2: Vec<u8>,
}

#[derive(Debug)]
struct Hand {
    epoch: Duration,
    given_at: Time,
    refill_at: Time,
    work_since: Option<Time>,
}

/// What a nonce turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// True, new, below no target of a live job.
    Nonce,
    /// To be sent.
    Share(Share),
    /// Seen before.
    Duplicate,
    /// Of no work that is remembered.
    Unknown,
    /// With version bits that were not its to roll.
    Wrong,
}

/// The scheduler.
#[derive(Debug, Default)]
pub struct Schedule {
    jobs: VecDeque<Kept>,
    works: BTreeMap<WorkId, Given>,
    hands: BTreeMap<ChainId, Hand>,
    next_work: u64,
    next_share: u64,
    /// Rises over all jobs, so that a job sent twice under two names is not worked on twice from the start.
    next_extranonce2: u64,
}

impl Schedule {
    /// Takes a job of the active upstream.
    ///
    /// # Errors
    /// The limit that the job breaks.
    pub fn job(&mut self, now: Time, job: Job) -> Result<(), JobError> {
        let JobBody::Coinbase(body) = &job.body;
        body.check()?;
        let other = self.jobs.back().is_some_and(|k| k.job.upstream != job.upstream);
        if other {
            self.forget_jobs();
        }
        let at_once = job.clean || self.current().is_none();
        if job.clean {
            self.jobs.iter_mut().for_each(|k| k.superseded = true);
        }
        let first = self.next_extranonce2;
        self.jobs.push_back(Kept { job, superseded: false, rolled: 0, first_extranonce2: first, seen: HashSet::new() });
        if self.jobs.len() > JOBS_KEPT
            && let Some(gone) = self.jobs.pop_front()
        {
            self.works.retain(|_, w| w.job != gone.job.id);
        }
        for (i, hand) in (0u32..).zip(self.hands.values_mut()) {
            let latest = if at_once { now } else { now + UPTAKE + UPTAKE_STAGGER * i };
            hand.refill_at = hand.refill_at.min(latest);
        }
        Ok(())
    }

    /// The upstream is gone or another is active: none of its jobs is worth a share any more.
    pub fn forget_jobs(&mut self) {
        self.jobs.clear();
        self.works.clear();
        for hand in self.hands.values_mut() {
            hand.refill_at = Time::ZERO;
            hand.work_since = None;
        }
    }

    /// A hand takes work; told again when its epoch changes.
    pub fn hand_on(&mut self, now: Time, chain: ChainId, epoch: Duration) {
        let hand = self.hands.entry(chain).or_insert(Hand { epoch, given_at: now, refill_at: Time::ZERO, work_since: None });
        if hand.epoch != epoch {
            hand.epoch = epoch;
            hand.refill_at = hand.refill_at.min(hand.given_at + refill_after(epoch));
        }
    }

    /// Every hand gets fresh work at once.
    pub fn refresh(&mut self) {
        self.hands.values_mut().for_each(|hand| hand.refill_at = Time::ZERO);
    }

    /// A hand takes no work any more. Whether it did.
    pub fn hand_off(&mut self, chain: ChainId) -> bool {
        self.hands.remove(&chain).is_some()
    }

    /// The next work that is due now.
    pub fn next_due(&mut self, now: Time) -> Option<Work> {
        let kept = self.jobs.back_mut().filter(|k| !k.superseded)?;
        let (chain, hand) =
            self.hands.iter_mut().filter(|(_, h)| h.refill_at <= now).min_by_key(|(id, h)| (h.refill_at, **id))?;
        hand.given_at = now;
        hand.refill_at = now + refill_after(hand.epoch);
        hand.work_since.get_or_insert(now);
        let JobBody::Coinbase(body) = &kept.job.body;
        let (extranonce2, time) = kept_roll(body, kept.first_extranonce2, kept.rolled);
        kept.rolled += 1;
        self.next_extranonce2 = self.next_extranonce2.wrapping_add(1);
        let mut header = body.header(&extranonce2);
        header.time = time;
        let id = WorkId(self.next_work);
        self.next_work += 1;
        self.works.insert(id, Given { job: kept.job.id, chain: *chain, time, extranonce2: extranonce2.clone() });
        if self.works.len() > WORKS_KEPT {
            self.works.pop_first();
        }
        Some(Work { id, job: kept.job.id, chain: *chain, header, version_mask: body.version_mask, extranonce2 })
    }

    /// Judges a verified nonce.
    pub fn nonce(&mut self, nonce: &Nonce) -> Found {
        let Some(given) = self.works.get(&nonce.work).filter(|w| w.chain == nonce.chain) else { return Found::Unknown };
        let Some(kept) = self.jobs.iter_mut().find(|k| k.job.id == given.job) else { return Found::Unknown };
        let JobBody::Coinbase(body) = &kept.job.body;
        if nonce.version & !body.version_mask != body.version & !body.version_mask {
            return Found::Wrong;
        }
        let full = kept.seen.len() >= NONCES_KEPT;
        let key = (nonce.work, nonce.nonce, nonce.version);
        if kept.seen.contains(&key) {
            return Found::Duplicate;
        }
        if !full {
            kept.seen.insert(key);
        }
        if full || kept.superseded || !kept.job.target.is_met_by(&nonce.hash) {
            return Found::Nonce;
        }
        let id = ShareId(self.next_share);
        self.next_share += 1;
        let mut number = nonce.hash.0;
        number.reverse();
        Found::Share(Share {
            id,
            upstream: kept.job.upstream,
            job: kept.job.id,
            job_name: kept.job.name.clone(),
            extranonce2: given.extranonce2.clone(),
            time: given.time,
            nonce: nonce.nonce,
            version_bits: (body.version_mask != 0).then_some(nonce.version & body.version_mask),
            hash: nonce.hash,
            reached: Difficulty::from_target_bdiff(Target::from_be_bytes(number)),
        })
    }

    /// Whether shares of this job still count.
    #[must_use]
    pub fn is_active(&self, job: JobId) -> bool {
        self.jobs.iter().any(|k| k.job.id == job && !k.superseded)
    }

    /// The job that new work is made of.
    #[must_use]
    pub fn current(&self) -> Option<&Job> {
        self.jobs.back().filter(|k| !k.superseded).map(|k| &k.job)
    }

    /// Whose jobs these are.
    #[must_use]
    pub fn upstream(&self) -> Option<UpstreamId> {
        self.current().map(|j| j.upstream)
    }

    /// Since when a hand has had work without a gap.
    #[must_use]
    pub fn work_since(&self, chain: ChainId) -> Option<Time> {
        self.hands.get(&chain).and_then(|h| h.work_since)
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let due = || self.hands.values().map(|h| h.refill_at).min();
        self.current().and_then(|_| due()).unwrap_or(Time::NEVER)
    }
}

fn refill_after(epoch: Duration) -> Duration {
    epoch.min(WORK_MAX * 2).mul_f64(EPOCH_PART).clamp(WORK_MIN, WORK_MAX)
}

/// The `n`-th extranonce2 of a job; once all values are used, the header's time goes on by a second.
fn kept_roll(body: &CoinbaseJob, first: u64, n: u64) -> (Vec<u8>, u32) {
    let count = u128::from(body.last_extranonce2()) + 1;
    let value = (u128::from(first) + u128::from(n)) % count;
    let seconds = u128::from(n) / count;
    let value = u64::try_from(value).expect("below the count of 64-bit numbers");
    (body.extranonce2_bytes(value), body.time.wrapping_add(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
