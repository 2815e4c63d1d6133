//! Mining on the processor: how many threads, by which instructions, and below everything else that runs.
//!
//! The way to hash is chosen by what this machine shows at the start, in CPU time, so that a busy moment does not mislead. Not
//! here: the hashing (`algorithm`), what a thread does with an order (`rig::CpuHand`).

use crate::event::Event;
use crate::remote::RemoteHand;
use algorithm::{Path, Search};
use anyhow::Context;
use control::{Fact, Order};
use model::settings::Mining;
use model::{ChainId, Fault, FaultCode, Header, Target, Time};
use rig::{CpuHand, Hand};
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Most threads: hands are numbered by a byte, and a product has at most 16 chains.
const THREADS_LIMIT: usize = 240;
/// CPU time that one way to hash is measured for: 10 ms is some stretches of the slowest.
const MEASURED: Duration = Duration::from_millis(10);
/// Nonces between two looks at the clock.
const STRETCH: u64 = 1 << 13;
/// How far below the ordinary priority threads mine: the deciding loop and the chains' lines come first wherever they want to run.
const NICE: i32 = 15;

/// What the processor is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cpus {
    /// How many threads.
    pub threads: u8,
    /// By which instructions.
    pub path: Path,
    /// What one thread makes, undisturbed.
    pub hashes_per_second: u64,
}

/// The processor's part as the settings want it and this machine can; the faults are kernels that must not be used.
pub fn measure(mining: &Mining) -> (Option<Cpus>, Vec<Fault>) {
    let mut faults = Vec::new();
    if !mining.enable_cpu {
        return (None, faults);
    }
    let mut best: Option<(Path, u64)> = None;
    for path in Path::available() {
        if let Err(error) = algorithm::self_test(path) {
            faults.push(Fault { code: FaultCode::SelfTest, place: "cpu".to_owned(), detail: error.to_string() });
            continue;
        }
        let rate = rate(path);
        if best.is_none_or(|(_, r)| rate > r) {
            best = Some((path, rate));
        }
    }
    let cpus = best.map(|(path, hashes_per_second)| Cpus { threads: threads(mining), path, hashes_per_second });
    if let Some(Cpus { threads, path, hashes_per_second }) = cpus {
        let each = format!("{:.2} MH/s", hashes_per_second as f64 / 1e6);
        tracing::info!(threads, %path, each, "the processor mines");
    }
    (cpus, faults)
}

fn threads(mining: &Mining) -> u8 {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = usize::try_from(mining.cpu.threads).ok().filter(|n| *n > 0).unwrap_or_else(all);
    if wanted > THREADS_LIMIT {
        tracing::warn!(wanted, "at most {THREADS_LIMIT} threads mine");
    }
    u8::try_from(wanted.min(THREADS_LIMIT)).expect("the limit is below 256")
}

/// Hashes that this path makes in a second of CPU time.
fn rate(path: Path) -> u64 {
    let header = Header { version: 0x2000_0000, bits: 0x1d00_ffff, ..Header::default() };
    let (search, never) = (Search::new(&header, path), AtomicBool::new(false));
    let (begun, mut tried) = (cpu_time(), 0);
    let mut took = Duration::ZERO;
    while took < MEASURED {
        // No hash meets a target this low: reports are not what is measured.
        tried += search.search(tried..tried + STRETCH, &Target::from_zero_bits(250), &never, &mut |_, _| {});
        took = cpu_time().saturating_sub(begun);
    }
    (tried as f64 / took.as_secs_f64()) as u64
}

fn cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    // A clock of the kernel is never negative and its nanoseconds fit.
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

impl Cpus {
    /// Starts the threads; their hands are numbered from `first`.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(self, first: u8, events: &SyncSender<Event>, epoch: Instant) -> anyhow::Result<Vec<Box<dyn Hand>>> {
        let one = |i: u8| {
            let hand = CpuHand::new(ChainId(first + i), self.path, self.hashes_per_second, u32::from(self.threads));
            let place = format!("cpu {i}");
            let hand = RemoteHand::start(&place, Background { hand, lowered: false }, None, events.clone(), epoch);
            let hand = hand.with_context(|| format!("start the thread of {place}"))?;
            Ok(Box::new(hand) as Box<dyn Hand>)
        };
        (0..self.threads).map(one).collect()
    }
}

/// A hand that lowers the priority of the thread it finds itself on.
struct Background {
    hand: CpuHand,
    lowered: bool,
}

impl Hand for Background {
    fn obey(&mut self, now: Time, order: Order) {
        self.hand.obey(now, order);
    }
    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        if !self.lowered {
            self.lowered = true;
            // On Linux this is the calling thread's alone. Lowering is always allowed; where it is not, mining is still right.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!(%error, "lower the priority of a mining thread");
            }
        }
        self.hand.turn(now, facts);
    }
    fn wake_at(&self) -> Time {
        self.hand.wake_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mining(text: &str) -> Mining {
        model::settings::read(&format!("mining: {text}")).expect("good settings").0.mining
    }

    #[test]
    fn the_settings_choose_the_threads_and_a_way_to_hash_is_measured() {
        assert_eq!(measure(&mining("{enable_cpu: false}")), (None, vec![]));
        let (cpus, faults) = measure(&mining("{cpu: {threads: 3}}"));
        let cpus = cpus.expect("portable runs everywhere");
        assert_eq!((cpus.threads, faults), (3, vec![]));
        assert!(cpus.path.is_available() && cpus.hashes_per_second > 0);
        assert_eq!(threads(&mining("{cpu: {threads: 1024}}")), 240);
        assert!(threads(&mining("{}")) >= 1);
    }
}
