//! `otedama bench`: how fast this processor hashes, by the wall's clock and by its own.
//!
//! Both are told because they answer different questions: a machine that is busy or has shared cores gives fewer hashes a
//! second, but hardly fewer a CPU second. Every thread searches headers of its own; nothing is meant to be found.

use crate::exit::Exit;
use algorithm::{Path, Search};
use anyhow::Context;
use model::{Hash, Header, Target};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Most threads: beyond the largest machines' CPUs there is nothing to measure.
const MAX_THREADS: u16 = 1024;
/// Longest measurement, an hour: long enough to see a processor throttle.
const MAX_SECONDS: f64 = 3600.0;
/// Leading zero bits that a hash must have to be looked at: more than anybody's bench meets.
const HARD: u32 = 128;

/// Hashes that each thread tries in any case; a few milliseconds.
const FEW: u64 = 1 << 14;

#[derive(clap::Args)]
#[command(after_help = "Example: otedama bench sha256d --threads 1 --seconds 5 --json")]
pub struct Args {
    /// Which proof of work.
    algorithm: Algorithm,
    /// How many threads; as many as the machine has when left out.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_THREADS)))]
    threads: Option<u16>,
    /// For how long.
    #[arg(long, default_value = "5", value_parser = seconds, allow_hyphen_values = true)]
    seconds: Duration,
    /// Which instructions: sha-ni or portable; the fastest that this CPU has when left out.
    #[arg(long, value_parser = path)]
    path: Option<Path>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The proofs of work that can be measured.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Algorithm {
    /// SHA-256 twice, as Bitcoin does.
    Sha256d,
}

#[derive(Serialize)]
struct Report {
    algorithm: &'static str,
    threads: u16,
    path: String,
    page_size_bytes: usize,
    hashes_per_second: f64,
    hashes_per_cpu_second: f64,
    peak_rss_bytes: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let path = args.path.unwrap_or_else(Path::best);
    let threads = match args.threads {
        Some(threads) => threads,
        None => u16::try_from(thread::available_parallelism().context("count the CPUs")?.get())
            .unwrap_or(MAX_THREADS)
            .min(MAX_THREADS),
    };
    algorithm::self_test(path).context("check the hashing before measuring it")?;
    let Algorithm::Sha256d = args.algorithm;
    let Measured { hashes, cpu, wall } = sha256d(path, threads, args.seconds)?;
    let report = Report {
        algorithm: model::settings::Algorithm::Sha256d.word(),
        threads,
        path: path.to_string(),
        page_size_bytes: rustix::param::page_size(),
        hashes_per_second: hashes as f64 / wall.as_secs_f64(),
        hashes_per_cpu_second: hashes as f64 / cpu.as_secs_f64(),
        peak_rss_bytes: peak_rss_bytes()?,
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let (rate, cpu_rate) = (report.hashes_per_second / 1e6, report.hashes_per_cpu_second / 1e6);
        writeln!(out, "{} by {path} on {threads} thread(s): {rate:.3} MH/s, {cpu_rate:.3} MH a CPU second", report.algorithm)?;
    }
    Ok(Exit::Done)
}

struct Measured {
    hashes: u64,
    cpu: Duration,
    wall: Duration,
}

fn sha256d(path: Path, threads: u16, time: Duration) -> anyhow::Result<Measured> {
    let (stop, start) = (AtomicBool::new(false), Barrier::new(usize::from(threads) + 1));
    thread::scope(|scope| {
        let (stop, start) = (&stop, &start);
        let worker = move |seed: u32| {
            start.wait();
            let before = cpu_time();
            let hashes = search(path, seed, stop);
            (hashes, cpu_time().saturating_sub(before))
        };
        let workers: Vec<_> = (0..threads).map(|i| scope.spawn(move || worker(u32::from(i)))).collect();
        start.wait();
        let begun = Instant::now();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let mut measured = Measured { hashes: 0, cpu: Duration::ZERO, wall: Duration::ZERO };
        for worker in workers {
            let (hashes, cpu) = worker.join().map_err(|_| anyhow::anyhow!("a measuring thread ended early"))?;
            measured.hashes += hashes;
            measured.cpu += cpu;
        }
        measured.wall = begun.elapsed();
        Ok(measured)
    })
}

/// Searches one header after another until told to stop; returns how many hashes were tried. The first few are tried in any
/// case: on a busy machine a thread may get its first turn when the time is over, and no hashes in no time is no rate.
fn search(path: Path, seed: u32, stop: &AtomicBool) -> u64 {
    let hash = |n: u32| model::sha256d(&n.to_le_bytes());
    let target = Target::from_zero_bits(HARD);
    let ready = |time| {
        let (previous, merkle_root) = (hash(seed), hash(!seed));
        Search::new(&Header { version: 0x2000_0000, previous, merkle_root, time, bits: 0x1d00_ffff, nonce: 0 }, path)
    };
    let ignored = &mut |_: u32, _: Hash| {};
    let mut hashes = ready(0).search(0..FEW, &target, &AtomicBool::new(false), ignored);
    for time in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        hashes += ready(time).search(0..1 << 32, &target, stop, ignored);
    }
    hashes
}

fn cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    // A clock of the kernel is never negative and its nanoseconds fit.
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// The most memory this process ever had, as the kernel counts it.
fn peak_rss_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("find VmHWM in /proc/self/status")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().context("read VmHWM of /proc/self/status")?;
    Ok(kibibytes * 1024)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= MAX_SECONDS);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("expected seconds, above 0 and at most {MAX_SECONDS}"))
}

fn path(text: &str) -> Result<Path, String> {
    text.parse::<Path>().and_then(Path::require).map_err(|e| e.to_string())
}
