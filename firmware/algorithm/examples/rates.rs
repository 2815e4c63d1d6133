//! How fast each algorithm is on each path: `cargo run --release -p algorithm --example rates [-- --json]`.
//!
//! All figures are of thread CPU time, best of five rounds in which every path and both peers have their turn, so that a noisy
//! neighbour harms all alike. A cycle is what a chain of dependent additions takes, measured in the same way; there are no
//! hardware counters in most virtual machines. Peers: `openssl speed` for SHA-256 of 64 bytes, and Python's `hashlib.scrypt`,
//! which is OpenSSL's; one that is not installed is skipped by name. Not a test: nothing here has a limit to keep.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use algorithm::{Line, Path, Rate, Search, calibrate, scrypt, sha256d};
use model::{Hash, Header, Target};
use rustix::time::{ClockId, clock_gettime};

/// Every path and peer has its turn this often; the best counts.
const ROUNDS: usize = 5;
/// One path's turn: short, so that some turns fall between a neighbour's.
const TURN: Duration = Duration::from_millis(150);
/// Dependent operations in a probe of the clock's frequency.
const PROBE: u64 = 100_000_000;

/// One line of the table.
struct Row {
    algorithm: &'static str,
    path: Path,
    hashes_per_cpu_second: f64,
    cycles_per_hash: f64,
    ratio_to_openssl: Option<f64>,
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    let (mut frequency, mut lines) = (0f64, Vec::new());
    for (algorithm, paths, batch, peer) in algorithms() {
        let (have, lack): (Vec<Path>, Vec<Path>) = paths.into_iter().partition(|path| path.is_available());
        for path in lack {
            eprintln!("{algorithm} {path}: skipped, this CPU does not have its instructions");
        }
        let mut batch = batch;
        let (mut best, mut best_peer) = (vec![0u64; have.len()], None::<f64>);
        for round in 0..ROUNDS {
            frequency = frequency.max(probe());
            match peer() {
                Ok(rate) => best_peer = Some(best_peer.unwrap_or(0.0).max(rate)),
                Err(why) if round == 0 => eprintln!("{algorithm} by OpenSSL: skipped, {why}"),
                Err(_) => {}
            }
            for (best, rate) in best.iter_mut().zip(calibrate(have.iter().copied(), TURN, cpu_time, &mut batch)) {
                *best = (*best).max(Rate::hashes_per_second(&rate));
            }
        }
        lines.extend(have.into_iter().zip(best).map(|(path, rate)| Row {
            algorithm,
            path,
            hashes_per_cpu_second: rate as f64,
            cycles_per_hash: frequency / rate as f64,
            ratio_to_openssl: best_peer.map(|peer| rate as f64 / peer),
        }));
    }
    print(&lines, frequency, json);
}

type Batch = Box<dyn FnMut(Path) -> u64>;
type Peer = fn() -> Result<f64, String>;

fn algorithms() -> Vec<(&'static str, Vec<Path>, Batch, Peer)> {
    let memory = scrypt::PATHS.into_iter().map(scrypt::lanes).max().unwrap_or(1) * scrypt::LINES;
    let mut memory = vec![Line::ZERO; memory];
    let scrypt_batch = move |path| {
        let search = scrypt::Search::new(&header(), path).expect("one of scrypt's own paths");
        let batch = 4 * scrypt::lanes(path) as u64;
        search.search(0..batch, &Target::from_zero_bits(64), &AtomicBool::new(false), &mut memory, &mut |_, _| {})
    };
    vec![
        ("sha256d", sha256d::PATHS.to_vec(), Box::new(sha256d_batch), openssl_sha256),
        ("scrypt", scrypt::PATHS.to_vec(), Box::new(scrypt_batch), openssl_scrypt),
    ]
}

fn header() -> Header {
    let merkle_root = Hash(std::array::from_fn(|i| i as u8));
    Header { version: 0x2000_0000, previous: Hash([7; 32]), merkle_root, time: 1_700_000_000, bits: 0x1d00_ffff, nonce: 0 }
}

fn sha256d_batch(path: Path) -> u64 {
    Search::new(&header(), path).search(0..1 << 16, &Target::from_zero_bits(64), &AtomicBool::new(false), &mut |_, _| {})
}

/// Hashes of 64 bytes a second.
fn openssl_sha256() -> Result<f64, String> {
    let out = run("openssl", &["speed", "-bytes", "64", "-evp", "sha256", "-seconds", "1"])?;
    let last = out.lines().rev().find(|line| line.starts_with("sha256")).ok_or("its output has no line of sha256")?;
    let kilobytes = last.split_whitespace().nth(1).and_then(|word| word.trim_end_matches('k').parse::<f64>().ok());
    kilobytes.map(|k| k * 1000.0 / 64.0).ok_or_else(|| format!("no rate in '{last}'"))
}

/// Hashes of scrypt(1024, 1, 1) a second, by Python's binding to OpenSSL.
fn openssl_scrypt() -> Result<f64, String> {
    let script = "import hashlib, time\nn, start, header = 0, time.thread_time(), bytes(range(80))\n\
        while time.thread_time() - start < 0.4:\n\
        \thashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)\n\tn += 1\n\
        print(n / (time.thread_time() - start))";
    let out = run("python3", &["-c", script])?;
    out.trim().parse().map_err(|_| format!("no rate in '{out}'"))
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(arguments).output().map_err(|e| format!("run {program}: {e}"))?;
    if !out.status.success() {
        return Err(format!("{program} ended with {}", out.status));
    }
    String::from_utf8(out.stdout).map_err(|_| format!("{program} printed no text"))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Cycles a CPU second: an addition and an exclusive or take one each, and neither can be drawn together with the next.
fn probe() -> f64 {
    let (a, b, mut x) = (black_box(3u64), black_box(5u64), 1u64);
    let before = cpu_time();
    for _ in 0..PROBE / 20 {
        for _ in 0..10 {
            x = x.wrapping_add(a) ^ b;
        }
    }
    black_box(x);
    PROBE as f64 / cpu_time().saturating_sub(before).as_secs_f64()
}

fn print(lines: &[Row], frequency: f64, json: bool) {
    if !json {
        println!(
            "{:.2} GHz of CPU time\n{:<9}{:<10}{:>14}{:>14}{:>10}",
            frequency / 1e9,
            "",
            "",
            "hashes/s",
            "cycles/hash",
            "OpenSSL"
        );
    }
    for Row { algorithm, path, hashes_per_cpu_second, cycles_per_hash, ratio_to_openssl } in lines {
        if json {
            println!(
                "{}",
                serde_json::json!({
                    "algorithm": algorithm, "path": path.to_string(), "hashes_per_cpu_second": hashes_per_cpu_second,
                    "cycles_per_hash": cycles_per_hash, "ratio_to_openssl": ratio_to_openssl, "cycles_per_cpu_second": frequency,
                })
            );
        } else {
            let ratio = ratio_to_openssl.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            println!("{algorithm:<9}{path:<10}{hashes_per_cpu_second:>14.0}{cycles_per_hash:>14.1}{ratio:>10}");
        }
    }
}
