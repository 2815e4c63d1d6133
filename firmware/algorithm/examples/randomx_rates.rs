//! How fast RandomX is beside the library's own wrapper: `cargo run --release -p algorithm --features randomx --example
//! randomx_rates [-- --fast] [--json]`.
//!
//! Hashes are per second of thread CPU time, best of five rounds in which everybody has a turn, so that a noisy neighbour harms
//! all alike. The peer is `randomx-rs`'s safe wrapper on the same flags, hash by hash (`calculate_hash`) and as a batch, which is
//! how the library's own benchmark hashes. A part of the dataset is filled by one thread and by two; `--fast` fills all of it
//! (three times, for everybody has one: 6.5 GiB and some minutes) and hashes by it, too. Not a test: nothing here has a limit to keep.

use std::fs;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use algorithm::randomx::{Blank, Blob, Cache, Pages, Vm, Way, fill};
use model::Target;
use randomx_rs::{RandomXCache, RandomXDataset, RandomXFlag, RandomXVM};
use rustix::time::{ClockId, clock_gettime};

const KEY: &[u8] = b"test key 000";
const ROUNDS: usize = 5;
/// Hashes in a turn.
const LIGHT_TURN: u32 = 12;
const FAST_TURN: u32 = 200;
/// Items of the dataset that are filled to be timed: an eightieth of it.
const ITEMS: u64 = 1 << 19;

fn main() {
    let said = |word| std::env::args().any(|argument| argument == word);
    let json = said("--json");
    let print = |what: &str, figure: f64| {
        if json {
            println!("{}", serde_json::json!({ "algorithm": "randomx", "what": what, "figure": figure }));
        } else {
            println!("{what:<58}{figure:>10.3}");
        }
    };
    let way = Way::best();
    print(&format!("light build by {way}, CPU seconds"), cpu_of(|| drop(Cache::build(KEY, way, Pages::Small))));
    light(way, &print);
    part(way, &print);
    if said("--fast") {
        fast(way, &print);
    }
}

/// What hashes so many nonces from a nonce on.
type Turn<'t> = (String, Box<dyn FnMut(u32, u32) + 't>);

fn light(way: Way, print: &dyn Fn(&str, f64)) {
    let peer = RandomXCache::new(RandomXFlag::get_recommended_flags(), KEY).expect("256 MiB");
    let peer = RandomXVM::new(RandomXFlag::get_recommended_flags(), Some(peer), None).expect("2 MiB");
    let mut turns: Vec<Turn> = Vec::new();
    turns.push(("wrapper, one by one".into(), Box::new(|first, count| one_by_one(&peer, first, count))));
    turns.push(("wrapper, batch".into(), Box::new(|first, count| batch(&peer, first, count))));
    for pages in [Pages::Small, Pages::Transparent, Pages::Huge] {
        let cache = Cache::build(KEY, way, pages).expect("256 MiB");
        if cache.pages() != pages {
            println!("light, {pages} pages: skipped, the system has none");
            continue;
        }
        let vm = Vm::light(&cache, pages).expect("2 MiB");
        print(&format!("light, {pages} pages: the cache's part in huge ones"), huge(&cache.place()));
        turns.push((format!("{way}, {pages} pages"), Box::new(search(vm))));
    }
    let interpreted = Cache::build(KEY, Way::Interpreter, Pages::Small).expect("256 MiB");
    turns.push(("interpreter, small pages".into(), Box::new(search(Vm::light(&interpreted, Pages::Small).expect("2 MiB")))));
    rates("light", LIGHT_TURN, turns, print);
}

fn fast(way: Way, print: &dyn Fn(&str, f64)) {
    let flags = RandomXFlag::get_recommended_flags() | RandomXFlag::FLAG_FULL_MEM;
    let peer = RandomXCache::new(flags, KEY).expect("256 MiB");
    let peer = RandomXDataset::new(flags, peer, 0).expect("2 GiB");
    let peer = RandomXVM::new(flags, None, Some(peer)).expect("2 MiB");
    let cache = Cache::build(KEY, way, Pages::Transparent).expect("256 MiB");
    let mut turns: Vec<Turn> = Vec::new();
    for pages in [Pages::Small, Pages::Transparent] {
        let mut blank = Blank::new(&cache, pages).expect("2 GiB");
        let start = now(ClockId::Monotonic);
        thread::scope(|scope| {
            let fills: Vec<_> = blank.parts(2).map(|part| scope.spawn(|| fill_quietly(part))).collect();
            fills.into_iter().for_each(|fill| fill.join().expect("no panic"));
        });
        print(&format!("fast, {pages} pages: dataset by two threads, seconds"), since(ClockId::Monotonic, start));
        let dataset = blank.finish().expect("whole");
        print(&format!("fast, {pages} pages: the dataset's part in huge ones"), huge(&dataset.place()));
        turns.push((format!("{way}, {pages} pages"), Box::new(search(Vm::fast(&dataset, pages).expect("2 MiB")))));
    }
    turns.push(("wrapper, one by one".into(), Box::new(|first, count| one_by_one(&peer, first, count))));
    turns.push(("wrapper, batch".into(), Box::new(|first, count| batch(&peer, first, count))));
    rates("fast", FAST_TURN, turns, print);
}

fn rates(mode: &str, count: u32, mut turns: Vec<Turn>, print: &dyn Fn(&str, f64)) {
    let mut best = vec![0f64; turns.len()];
    for round in 0..ROUNDS as u32 {
        for (best, (_, turn)) in best.iter_mut().zip(&mut turns) {
            // Everybody hashes the same nonces.
            *best = best.max(f64::from(count) / cpu_of(|| turn(round * count, count)));
        }
    }
    let peer =
        turns.iter().zip(&best).filter(|((name, _), _)| name.starts_with("wrapper")).map(|(_, best)| *best).fold(0.0, f64::max);
    for ((name, _), best) in turns.iter().zip(&best) {
        print(&format!("{mode}, {name}: hashes/s"), *best);
        print(&format!("{mode}, {name}: ratio to the wrapper's better"), best / peer);
    }
}

/// A part of the dataset by one thread and by two, each on memory that is there already.
fn part(way: Way, print: &dyn Fn(&str, f64)) {
    let cache = Cache::build(KEY, way, Pages::Transparent).expect("256 MiB");
    let mut times = [(f64::MAX, f64::MAX); 2];
    for _ in 0..ROUNDS {
        for (threads, best) in (1..).zip(&mut times) {
            // Both on new memory, which the kernel has to give first.
            let mut blank = Blank::new(&cache, Pages::Transparent).expect("2 GiB");
            let each = ITEMS / threads;
            let start = now(ClockId::Monotonic);
            let cpu: f64 = thread::scope(|scope| {
                // The wanted items lie at the beginning of each part.
                let fills: Vec<_> =
                    blank.parts(threads as usize).map(|part| scope.spawn(move || cpu_of(|| some(part, each)))).collect();
                fills.into_iter().map(|fill| fill.join().expect("no panic")).sum()
            });
            *best = (best.0.min(since(ClockId::Monotonic, start)), best.1.min(cpu));
        }
    }
    for (threads, (wall, cpu)) in (1..).zip(times) {
        print(&format!("{ITEMS} items by {threads} threads, seconds"), wall);
        print(&format!("{ITEMS} items by {threads} threads, CPU seconds"), cpu);
    }
    print("two threads' time as a part of one's", times[1].0 / times[0].0);
}

fn fill_quietly(part: algorithm::randomx::Part<'_>) {
    fill(part, &AtomicBool::new(false), &mut |_, _| {}).expect("nobody aborts");
}

/// The first items of a part: the rest is left by an abort.
fn some(part: algorithm::randomx::Part<'_>, items: u64) {
    let abort = AtomicBool::new(false);
    let _ = fill(part, &abort, &mut |done, _| abort.store(done >= items, std::sync::atomic::Ordering::Relaxed));
}

fn blob() -> Blob {
    Blob::new(&[7; 76]).expect("as long as Monero's")
}

fn search(mut vm: Vm) -> impl FnMut(u32, u32) {
    move |first, count| {
        let nonces = u64::from(first)..u64::from(first) + u64::from(count);
        vm.search(&blob(), nonces, &Target::from_zero_bits(64), &AtomicBool::new(false), &mut |_, _| {});
    }
}

fn one_by_one(vm: &RandomXVM, first: u32, count: u32) {
    for nonce in first..first + count {
        let _ = std::hint::black_box(vm.calculate_hash(blob().with_nonce(nonce).bytes()));
    }
}

fn batch(vm: &RandomXVM, first: u32, count: u32) {
    let blobs: Vec<Blob> = (first..first + count).map(|nonce| blob().with_nonce(nonce)).collect();
    let inputs: Vec<&[u8]> = blobs.iter().map(Blob::bytes).collect();
    let _ = std::hint::black_box(vm.calculate_hash_set(&inputs));
}

/// Which part of the memory there is in transparent huge pages.
fn huge(place: &Range<usize>) -> f64 {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let (mut within, mut kilobytes) = (false, 0u64);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            within = number(start) < place.end && place.start < number(end);
        } else if within && first == "AnonHugePages:" {
            kilobytes += words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    (kilobytes * 1024) as f64 / place.len() as f64
}

fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn since(clock: ClockId, start: Duration) -> f64 {
    now(clock).saturating_sub(start).as_secs_f64()
}

fn cpu_of(work: impl FnOnce()) -> f64 {
    let start = now(ClockId::ThreadCPUTime);
    work();
    since(ClockId::ThreadCPUTime, start)
}
