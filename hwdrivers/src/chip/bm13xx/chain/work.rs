//! How work becomes jobs, and a reply the nonce of a work. Newer chips roll versions by themselves; for midstate chips the driver
//! does: four midstates a job, the next job when the last is nearly through, so that one work lasts as long as its mask allows.
//! Not here: whether a nonce is right.

use super::super::job::{Tail, deposit, job_frame, midstate_frame, rolled_version};
use super::super::{JobKind, pll};
use super::{Chain, FULL_MASK};
use crate::bus::{BusError, Uart};
use crate::chip::ChainEvent;
use model::{Header, Megahertz, Time, Work, WorkId};
use std::time::Duration;

/// Midstates in a job.
const MIDSTATES: u32 = 4;
/// The next job comes after this part of the time that one lasts, so that no core runs dry or hashes twice.
const PACE: f64 = 0.9;

/// A job that a reply can name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    work: WorkId,
    version: u32,
    mask: u32,
    /// The version counter of the first midstate.
    first: u32,
}

/// The work whose versions are being rolled.
#[derive(Clone, Debug)]
pub(super) struct Roller {
    work: WorkId,
    header: Header,
    mask: u32,
    /// The next version's counter.
    next: u32,
    due: Time,
}

impl Roller {
    /// When the next job is due.
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// All versions of the mask.
    fn versions(&self) -> u32 {
        1 << self.mask.count_ones()
    }
}

impl<U: Uart> Chain<U> {
    pub(super) fn submit_header(&mut self, work: &Work, length: u8) -> Result<(), BusError> {
        if work.version_mask & FULL_MASK != self.mask {
            self.mask = work.version_mask & FULL_MASK;
            self.write(self.rolling())?;
        }
        let slot = Slot { work: work.id, version: work.header.version, mask: self.mask, first: 0 };
        let id = self.take_slot(slot);
        self.uart.write(&job_frame(id, length, &work.header))
    }

    pub(super) fn submit_midstates(&mut self, work: &Work) -> Result<(), BusError> {
        self.mask = work.version_mask & FULL_MASK;
        let due = self.read_at;
        self.roller = Some(Roller { work: work.id, header: work.header, mask: self.mask, next: 0, due });
        self.roll(due)
    }

    /// Sends the next job of midstates where it is due.
    pub(super) fn roll(&mut self, now: Time) -> Result<(), BusError> {
        let Some(mut roller) = self.roller.take() else { return Ok(()) };
        if roller.due > now {
            self.roller = Some(roller);
            return Ok(());
        }
        let count = MIDSTATES.min(roller.versions());
        let base = roller.header.version & !roller.mask;
        let states: Vec<[u32; 8]> = (roller.next..roller.next + count)
            .map(|counter| Header { version: base | deposit(counter, roller.mask), ..roller.header }.midstate())
            .collect();
        let id = self.take_slot(Slot { work: roller.work, version: base, mask: roller.mask, first: roller.next });
        self.uart.write(&midstate_frame(self.chip.framing, id, Tail::of(&roller.header), &states))?;
        roller.next += count;
        // A turn that comes late does not hurry the ones behind it: a core that is told two jobs at once does the second alone.
        roller.due = now + self.job_lasts(count).mul_f64(PACE);
        // The last version is out: what the chips find from now on they find again, so there is nothing to send.
        if roller.next < roller.versions() {
            self.roller = Some(roller);
        }
        Ok(())
    }

    /// From now on the fastest chip has this clock: the job that is out is through so much sooner, or later.
    pub(super) fn pace(&mut self, clock: Megahertz) {
        let before = std::mem::replace(&mut self.fastest, clock);
        if let Some(roller) = self.roller.as_mut().filter(|_| before > Megahertz(0.0) && clock > Megahertz(0.0)) {
            roller.due = self.read_at + roller.due.since(self.read_at).mul_f64(before.0 / clock.0);
        }
    }

    /// What a nonce's reply means; `None` where it names no job of ours.
    pub(super) fn found(&self, nonce: u32, id: u8, rolled: u16) -> Option<ChainEvent> {
        let jobs = self.chip.jobs;
        let index = usize::from(id >> jobs.reply_shift);
        let slot = self.jobs.get(index).copied().flatten()?;
        let version = match jobs.kind {
            JobKind::Header { .. } => rolled_version(slot.version, slot.mask, rolled),
            JobKind::Midstates => slot.version | deposit(slot.first + u32::from(id) % MIDSTATES, slot.mask),
        };
        Some(ChainEvent::Found { work: slot.work, nonce, version, chip: self.chip.locate(nonce, &self.at) })
    }

    /// How long one work lasts at this clock.
    pub(super) fn work_lasts(&self) -> Duration {
        let versions = 1u32 << self.mask.count_ones();
        match self.chip.sweep_ticks(self.fastest, &self.at) {
            Some(ticks) if self.chip.jobs.kind != JobKind::Midstates => {
                let batches = (f64::from(versions) / f64::from(self.chip.small_cores_per_core)).max(1.0);
                Duration::from_secs_f64(batches * f64::from(ticks) / (pll::CRYSTAL.0 * 1e6))
            }
            _ => {
                let count = MIDSTATES.min(versions);
                self.job_lasts(count).mul_f64(PACE) * (versions / count)
            }
        }
    }

    /// How long one job of midstates lasts, stretched where chips are simulated.
    fn job_lasts(&self, midstates: u32) -> Duration {
        self.chip.midstates_last(midstates, self.fastest, &self.at) * (1 << self.scale.stretch_bits)
    }

    /// Keeps a job until its id comes round, and gives the id as the chips are told it.
    fn take_slot(&mut self, slot: Slot) -> u8 {
        let jobs = self.chip.jobs;
        let id = self.next_job;
        self.jobs[usize::from(id)] = Some(slot);
        self.next_job = (id + jobs.step) % jobs.ids;
        id << jobs.sent_shift
    }
}
