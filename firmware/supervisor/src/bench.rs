//! `otedama bench`: how fast this processor hashes, by the wall's clock and by its own.
//!
//! Both are told because they answer different questions: a machine that is busy or has shared cores gives fewer hashes a
//! second, but hardly fewer a CPU second. Every thread searches a job of its own; nothing is meant to be found. Memory is asked
//! for before the measurement, and in pages of which size it came is told: huge ones are faster.

use crate::cpu::cpu_time;
use crate::dag::{self, Named, Part};
use crate::exit::Exit;
use crate::hash::RANDOMX_V2;
use crate::memory;
use algorithm::ethash::{self, Epoch, Rules};
use algorithm::kawpow::{self, Program};
use algorithm::scrypt::{self, Scrypt};
use algorithm::sha256d::{self, Sha256d};
use algorithm::{Line, Path, ProofOfWork};
use anyhow::Context;
use model::{Header, Target};
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
/// How much of an unknown path is repeated in the refusal.
const SHOWN: usize = 24;

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
    /// Which instructions, such as avx2 or portable; the usually fastest that this CPU has when left out.
    #[arg(long)]
    path: Option<String>,
    /// The height of a block, which tells the epoch of ethash, etchash and kawpow; the first when left out.
    #[arg(long)]
    height: Option<u64>,
    /// Hash by the whole dataset of gigabytes as a miner does, not by its cache of megabytes as a pool does.
    #[arg(long)]
    full: bool,
    /// Take a cache of 1 MiB and a dataset of 16 MiB: to try the program, not the memory.
    #[arg(long)]
    test_epoch: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The proofs of work that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Algorithm {
    /// SHA-256 twice, as Bitcoin does.
    Sha256d,
    /// Scrypt with N = 1024, as Litecoin does.
    Scrypt,
    /// Ethereum's before it went to stake.
    Ethash,
    /// Ethereum Classic's.
    Etchash,
    /// Ravencoin's.
    Kawpow,
    /// A name that waits.
    #[value(name = "randomx-v2", hide = true)]
    RandomxV2,
}

#[derive(Serialize)]
struct Report {
    algorithm: &'static str,
    threads: u16,
    path: String,
    page_size_bytes: u64,
    hashes_per_second: f64,
    hashes_per_cpu_second: f64,
    peak_rss_bytes: u64,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("otedama bench: {what}");
            return Ok(Exit::WrongInput);
        }
    };
    let all =
        || anyhow::Ok(u16::try_from(thread::available_parallelism().context("count the CPUs")?.get()).unwrap_or(MAX_THREADS));
    let threads = args.threads.map_or_else(all, Ok)?.min(MAX_THREADS);
    let measured = asked.measured(threads, args.seconds)?;
    let report = Report {
        algorithm: asked.algorithm,
        threads,
        path: asked.path.to_string(),
        page_size_bytes: measured.page_size,
        hashes_per_second: measured.hashes as f64 / measured.wall.as_secs_f64(),
        hashes_per_cpu_second: measured.hashes as f64 / measured.cpu.as_secs_f64(),
        peak_rss_bytes: memory::peak()?,
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let [rate, cpu_rate] = [report.hashes_per_second, report.hashes_per_cpu_second].map(shown);
        writeln!(out, "{} by {} on {threads} thread(s): {rate}/s, {cpu_rate} a CPU second", report.algorithm, report.path)?;
    }
    Ok(Exit::Done)
}

/// What is to be measured.
struct Asked {
    algorithm: &'static str,
    path: Path,
    work: Work,
}

enum Work {
    Sha256d,
    Scrypt,
    Ethash { epoch: Epoch, full: bool },
    Kawpow { epoch: Epoch, full: bool, height: u64 },
}

/// What the arguments come to together.
fn asked(args: &Args) -> Result<Asked, String> {
    let epochs = |rules: Rules| {
        let rules = if args.test_epoch { rules.with_test_sizes() } else { rules };
        rules.epoch_at(args.height.unwrap_or(0)).map_err(|e| e.to_string())
    };
    let none = |algorithm| match args.height.is_some() || args.full || args.test_epoch {
        true => Err(format!("{algorithm} has no epochs; leave --height, --full and --test-epoch out")),
        false => Ok(algorithm),
    };
    let (algorithm, paths, work): (_, &[Path], _) = match args.algorithm {
        Algorithm::Sha256d => (none("sha256d")?, &sha256d::PATHS, Work::Sha256d),
        Algorithm::Scrypt => (none("scrypt")?, &scrypt::PATHS, Work::Scrypt),
        Algorithm::Ethash => ("ethash", &ethash::PATHS, Work::Ethash { epoch: epochs(Rules::ETHASH)?, full: args.full }),
        Algorithm::Etchash => ("etchash", &ethash::PATHS, Work::Ethash { epoch: epochs(Rules::ETCHASH)?, full: args.full }),
        Algorithm::Kawpow => {
            let (epoch, height) = (epochs(Rules::KAWPOW)?, args.height.unwrap_or(0));
            ("kawpow", &kawpow::PATHS, Work::Kawpow { epoch, full: args.full, height })
        }
        Algorithm::RandomxV2 => return Err(RANDOMX_V2.to_owned()),
    };
    let have: Vec<Path> = paths.iter().copied().filter(|path| path.is_available()).collect();
    let path = match &args.path {
        None => have.first().copied().unwrap_or(Path::Portable),
        Some(word) => have.iter().copied().find(|path| path.to_string() == *word).ok_or_else(|| {
            let have = have.iter().map(Path::to_string).collect::<Vec<_>>().join(", ");
            let word: String = word.chars().take(SHOWN).collect();
            format!("'{word}' is no path by which this machine hashes {algorithm}; it has {have}")
        })?,
    };
    Ok(Asked { algorithm, path, work })
}

struct Measured {
    hashes: u64,
    cpu: Duration,
    wall: Duration,
    page_size: u64,
}

impl Asked {
    fn measured(&self, threads: u16, time: Duration) -> anyhow::Result<Measured> {
        let path = self.path;
        match self.work {
            Work::Sha256d => {
                sha256d::self_test(path).context(CHECK)?;
                let work = Sha256d::by(path)?;
                measure((0..threads).map(|thread| (work, header(thread))), 1 << 14, time, None)
            }
            Work::Scrypt => {
                let each = scrypt::lanes(path) * scrypt::LINES;
                let mut memory = memory::lines((each * usize::from(threads)) as u64 * Line::BYTES, "scrypt's working memory")?;
                scrypt::self_test(path, &mut memory).context(CHECK)?;
                let place = memory::place(&memory);
                let work = memory.chunks_exact_mut(each).map(|memory| Scrypt::by(path, memory)).collect::<Result<Vec<_>, _>>()?;
                measure((0..threads).map(header).zip(work).map(|(job, work)| (work, job)), 1 << 6, time, Some(place))
            }
            Work::Ethash { epoch, full } => {
                ethash::self_test(path).context(CHECK)?;
                let (cache, dataset, place) = built(epoch, full, threads, path)?;
                let job = |thread| model::sha256d(&u16::to_le_bytes(thread)).0;
                if let Some(dataset) = dataset {
                    let full = ethash::Full::at(dataset, path);
                    measure((0..threads).map(|thread| (&full, job(thread))), 1 << 8, time, Some(place))
                } else {
                    let light = ethash::Light::at(cache, path);
                    measure((0..threads).map(|thread| (&light, job(thread))), 1 << 3, time, Some(place))
                }
            }
            Work::Kawpow { epoch, full, height } => {
                kawpow::self_test(path).context(CHECK)?;
                let (cache, dataset, place) = built(epoch, full, threads, path)?;
                let program = Program::at(height);
                let job = |thread| kawpow::Job { header: model::sha256d(&u16::to_le_bytes(thread)).0, program: program.clone() };
                if let Some(dataset) = dataset {
                    let full = kawpow::Full::at(dataset, path)?;
                    measure((0..threads).map(|thread| (&full, job(thread))), 1 << 6, time, Some(place))
                } else {
                    let light = kawpow::Light::at(cache, path)?;
                    measure((0..threads).map(|thread| (&light, job(thread))), 1 << 2, time, Some(place))
                }
            }
        }
    }
}

const CHECK: &str = "check the hashing before measuring it";

type Built = (ethash::Cache<Vec<Line>>, Option<ethash::Dataset<Vec<Line>>>, usize);

/// The epoch's cache and, where it is wanted, its dataset; and where the memory is that hashes read.
fn built(epoch: Epoch, full: bool, threads: u16, path: Path) -> anyhow::Result<Built> {
    let names = [Named(Part::Cache, epoch), Named(Part::Dataset, epoch)].map(|named| named.to_string());
    if full {
        // Before minutes are spent on the cache.
        memory::enough(epoch.cache_bytes + epoch.dataset_bytes, &names.join(" and "))
            .map_err(|error| anyhow::anyhow!("{error}, or leave --full out"))?;
    }
    let memory = memory::lines(epoch.cache_bytes, &names[0])?;
    let place = memory::place(&memory);
    let cache = dag::cache(epoch, memory)?;
    if !full {
        return Ok((cache, None, place));
    }
    let memory = memory::lines(epoch.dataset_bytes, &names[1])?;
    let place = memory::place(&memory);
    let dataset = dag::dataset(&cache, memory, usize::from(threads), path)?;
    Ok((cache, Some(dataset), place))
}

fn header(thread: u16) -> Header {
    let hash = |n: u32| model::sha256d(&n.to_le_bytes());
    let (previous, merkle_root) = (hash(thread.into()), hash(!u32::from(thread)));
    Header { version: 0x2000_0000, previous, merkle_root, time: 0, bits: 0x1d00_ffff, nonce: 0 }
}

/// Lets each worker search its job on a thread of its own. The first `few` nonces are tried in any case: on a busy machine a
/// thread may get its first turn when the time is over, and no hashes in no time is no rate. `place` is where the memory is that
/// they read.
fn measure<W>(
    workers: impl Iterator<Item = (W, W::Job)>,
    few: u64,
    time: Duration,
    place: Option<usize>,
) -> anyhow::Result<Measured>
where
    W: ProofOfWork<Job: Send> + Send,
{
    let workers: Vec<_> = workers.collect();
    let (stop, start) = (AtomicBool::new(false), Barrier::new(workers.len() + 1));
    thread::scope(|scope| {
        let (stop, start) = (&stop, &start);
        let hash = move |mut work: W, job: W::Job| {
            start.wait();
            let (before, target) = (cpu_time(), Target::from_zero_bits(HARD));
            let mut hashes = work.search(&job, 0..few, &target, &AtomicBool::new(false), &mut |_, _| {});
            while !stop.load(Ordering::Relaxed) {
                hashes += work.search(&job, 0..u64::MAX, &target, stop, &mut |_, _| {});
            }
            (hashes, cpu_time().saturating_sub(before))
        };
        let threads: Vec<_> = workers.into_iter().map(|(work, job)| scope.spawn(move || hash(work, job))).collect();
        start.wait();
        let begun = Instant::now();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let mut measured = Measured { hashes: 0, cpu: Duration::ZERO, wall: Duration::ZERO, page_size: 0 };
        for thread in threads {
            let (hashes, cpu) = thread.join().map_err(|_| anyhow::anyhow!("a measuring thread ended early"))?;
            measured.hashes += hashes;
            measured.cpu += cpu;
        }
        measured.wall = begun.elapsed();
        // A kernel without page monitoring does not say; the rate is worth having all the same.
        let told =
            place.and_then(|place| memory::page_size(place).inspect_err(|error| eprintln!("otedama bench: {error:#}")).ok());
        measured.page_size = told.unwrap_or(rustix::param::page_size() as u64);
        Ok(measured)
    })
}

/// A rate with a unit that leaves few digits.
fn shown(rate: f64) -> String {
    match rate {
        mega if mega >= 1e6 => format!("{:.3} MH", mega / 1e6),
        kilo if kilo >= 1e3 => format!("{:.3} kH", kilo / 1e3),
        few => format!("{few:.3} H"),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= MAX_SECONDS);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("expected seconds, above 0 and at most {MAX_SECONDS}"))
}
