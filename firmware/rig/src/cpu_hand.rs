//! The hand of one CPU thread: a proof of work over headers, in slices so that orders are seen.
//!
//! It reports like a chip: what meets its own ticket, so that a fast thread on an easy pool does not drown the line. Not here: the
//! kernels (`algorithm`), the thread and its priority (the supervisor's).

use crate::Hand;
use algorithm::ProofOfWork;
use control::{Fact, Order};
use model::{ChainId, Hash, Header, Nonce, Target, Time, Work};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long one work lasts a thread: 2^32 nonces at 60 MH/s, beyond what a thread reaches.
const EPOCH: Duration = Duration::from_secs(70);
/// Slices a second: an order waits at most for one.
const SLICES: u64 = 250;
/// Fewest nonces of a slice: the widest kernel hashes so many at once.
const NARROWEST: u64 = 16;
/// Reports a second of all threads together, about: enough for a rate that means something, far below what a pool's line bears.
const REPORTS: u32 = 8;

/// One CPU thread's hand.
pub struct CpuHand<W> {
    id: ChainId,
    search: W,
    ticket_bits: u8,
    ticket: Target,
    slice: u64,
    work: Option<(Work, u64)>,
    ready: bool,
}

impl<W> CpuHand<W> {
    /// One of so many `threads` that each make about `hashes_per_second` by `search`. Its ticket is set to about one report a
    /// second, or less where there are many threads.
    #[must_use]
    pub fn new(id: ChainId, search: W, hashes_per_second: u64, threads: u32) -> CpuHand<W> {
        let many = threads.div_ceil(REPORTS).max(1).next_power_of_two().ilog2();
        let ticket_bits = (hashes_per_second.max(1).ilog2() + many).clamp(8, 48) as u8;
        let slice = (hashes_per_second / SLICES).max(NARROWEST);
        CpuHand {
            id,
            search,
            ticket_bits,
            ticket: Target::from_zero_bits(u32::from(ticket_bits)),
            slice,
            work: None,
            ready: false,
        }
    }
}

impl<W: ProofOfWork<Job = Header, Nonce = u32, Proof = Hash>> Hand for CpuHand<W> {
    fn obey(&mut self, _now: Time, order: Order) {
        match order {
            Order::Work(work) => self.work = Some((work, 0)),
            Order::StopChain(_) => self.work = None,
            _ => {}
        }
    }

    fn turn(&mut self, _now: Time, facts: &mut Vec<Fact>) {
        if !self.ready {
            self.ready = true;
            facts.push(Fact::ChainHashing { chain: self.id, epoch: EPOCH, nonce_bits: self.ticket_bits });
        }
        let Some((work, next)) = &mut self.work else { return };
        let end = (*next + self.slice).min(1 << 32);
        let never = AtomicBool::new(false);
        let (chain, id, version) = (self.id, work.id, work.header.version);
        self.search.search(&work.header, *next..end, &self.ticket, &never, &mut |nonce, hash| {
            facts.push(Fact::Nonce(Nonce { work: id, chain, chip: None, nonce, version, hash }));
        });
        *next = end;
        if end == 1 << 32 {
            self.work = None;
        }
    }

    fn wake_at(&self) -> Time {
        if self.work.is_some() || !self.ready { Time::ZERO } else { Time::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use algorithm::{Path, sha256d::Sha256d};
    use model::{JobId, WorkId};

    fn work() -> Work {
        let header = Header { version: 0x2000_0000, bits: 0x207f_ffff, ..Header::default() };
        Work { id: WorkId(7), job: JobId(1), chain: ChainId(128), header, version_mask: 0, extranonce2: vec![0] }
    }

    fn hand(hashes_per_second: u64, threads: u32) -> CpuHand<Sha256d> {
        CpuHand::new(ChainId(128), Sha256d::by(Path::Portable).expect("runs everywhere"), hashes_per_second, threads)
    }

    #[test]
    fn it_says_that_it_is_ready_and_reports_true_nonces_of_its_ticket_once() {
        let mut hand = hand(1 << 12, 8);
        let mut facts = Vec::new();
        hand.turn(Time::ZERO, &mut facts);
        assert!(matches!(facts[..], [Fact::ChainHashing { chain: ChainId(128), nonce_bits: 12, .. }]));
        assert_eq!(hand.wake_at(), Time::NEVER, "nothing to do");
        hand.obey(Time::ZERO, Order::Work(work()));
        facts.clear();
        for _ in 0..1 << 12 {
            hand.turn(Time::ZERO, &mut facts);
        }
        // 2^16 nonces at a ticket of 2^12: 16 on average.
        assert!((4..40).contains(&facts.len()), "{}", facts.len());
        let mut seen = std::collections::BTreeSet::new();
        for fact in &facts {
            let Fact::Nonce(n) = fact else { panic!("{fact:?}") };
            assert_eq!(Header { nonce: n.nonce, ..work().header }.hash(), n.hash);
            assert!(Target::from_zero_bits(12).is_met_by(&n.hash));
            assert!(seen.insert(n.nonce));
        }
        hand.obey(Time::ZERO, Order::StopChain(ChainId(128)));
        assert_eq!(hand.wake_at(), Time::NEVER);
    }

    #[test]
    fn many_threads_share_the_reports() {
        let ticket = |threads| hand(1 << 20, threads).ticket_bits;
        assert_eq!([1, 8, 9, 16, 17, 128].map(ticket), [20, 20, 21, 21, 22, 24]);
    }
}
