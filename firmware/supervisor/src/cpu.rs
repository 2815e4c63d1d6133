//! Mining on the processor: how many threads, by which instructions, and below everything else that runs.
//!
//! The way to hash is chosen by what this machine shows at the start, in CPU time, so that a busy moment does not mislead. Not
//! here: the hashing (`algorithm`), what a thread does with an order (`rig::CpuHand`).

use crate::event::Event;
use crate::remote::RemoteHand;
use algorithm::sha256d::{self, Sha256d};
use algorithm::{Path, ProofOfWork, Rate, calibrate};
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
    if !mining.enable_cpu {
        return (None, Vec::new());
    }
    let (right, faults) = tested(sha256d::PATHS.into_iter().filter(|path| path.is_available()), sha256d::self_test);
    let mut rates: Vec<Rate> = calibrate(right, MEASURED, cpu_time, batch).collect();
    rates.sort_by_key(|rate| std::cmp::Reverse(rate.hashes_per_second()));
    let cpus =
        rates.first().map(|best| Cpus { threads: threads(mining), path: best.path, hashes_per_second: best.hashes_per_second() });
    if let Some(Cpus { threads, path, .. }) = cpus {
        let each = |rate: &Rate| format!("{} {:.2} MH/s", rate.path, rate.hashes_per_second() as f64 / 1e6);
        let measured = rates.iter().map(each).collect::<Vec<_>>().join(", ");
        tracing::info!(threads, %path, measured, "the processor mines");
    }
    (cpus, faults)
}

/// The paths that hash rightly, and a fault for each that does not.
fn tested<E: std::error::Error>(
    paths: impl IntoIterator<Item = Path>,
    test: impl Fn(Path) -> Result<(), E>,
) -> (Vec<Path>, Vec<Fault>) {
    let (mut right, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match test(path) {
            Ok(()) => right.push(path),
            Err(error) => {
                faults.push(Fault { code: FaultCode::SelfTest, place: "cpu".to_owned(), detail: error.to_string() });
            }
        }
    }
    (right, faults)
}

/// Hashes a stretch by a path that was tested.
fn batch(path: Path) -> u64 {
    let header = Header { version: 0x2000_0000, bits: 0x1d00_ffff, ..Header::default() };
    let mut search = Sha256d::by(path).expect("a path that this CPU lacks fails its test");
    // No hash meets a target this low: reports are not what is measured.
    search.search(&header, 0..STRETCH, &Target::from_zero_bits(250), &AtomicBool::new(false), &mut |_, _| {})
}

fn threads(mining: &Mining) -> u8 {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = usize::try_from(mining.cpu.threads).ok().filter(|n| *n > 0).unwrap_or_else(all);
    if wanted > THREADS_LIMIT {
        tracing::warn!(wanted, "at most {THREADS_LIMIT} threads mine");
    }
    u8::try_from(wanted.min(THREADS_LIMIT)).expect("the limit is below 256")
}

/// The CPU time that this thread has had.
pub fn cpu_time() -> Duration {
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
            let search = Sha256d::by(self.path).context("take the path that was measured")?;
            let hand = CpuHand::new(ChainId(first + i), search, self.hashes_per_second, u32::from(self.threads));
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
    hand: CpuHand<Sha256d>,
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

    #[test]
    fn a_path_that_hashes_wrongly_is_a_fault_and_the_others_are_left() {
        let wrong = |path| match path {
            Path::Avx512 => Err(std::io::Error::other("test avx512: it hashes wrongly")),
            _ => Ok(()),
        };
        let (right, faults) = tested([Path::Avx512, Path::ShaNi, Path::Portable], wrong);
        assert_eq!(right, [Path::ShaNi, Path::Portable]);
        let [Fault { code: FaultCode::SelfTest, place, detail }] = &faults[..] else { panic!("{faults:?}") };
        assert_eq!((place.as_str(), detail.as_str()), ("cpu", "test avx512: it hashes wrongly"));
    }
}
