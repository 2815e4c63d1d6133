//! Many seeds over all products with every fault, and one figure of it: `make seeds`, or
//! `cargo run --release -p sim --example seeds -- [SEEDS] [FIRST] [PRODUCT|FAULT…]`.
//!
//! Two virtual hours a run, less where faults are named; one run a processor at a time. The last line is one JSON object: runs, violations, and the worst and the
//! mean recovery of each kind. Not here: the seeds that `make test` looks at (`tests/faults.rs`).

use serde_json::json;
use sim::fault::Picked;
use sim::simulation::{Report, Scenario, Simulation};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs without a number on the command line.
const SEEDS: u64 = 1000;
const DURATION: Duration = Duration::from_secs(2 * 3600);
/// Where faults are named: the start, and each of them.
const START: Duration = Duration::from_secs(600);
const EACH: Duration = Duration::from_secs(1200);

#[derive(Default)]
struct Figure {
    runs: u64,
    violations: u64,
    injected: u64,
    latched: u64,
    slowest_run: f64,
    hottest_below_danger: f64,
    least_fresh: f64,
    /// Of each kind: how often, worst and sum of its recoveries.
    kinds: BTreeMap<&'static str, (u64, f64, f64)>,
}

impl Figure {
    fn add(&mut self, report: &Report, took: f64) {
        self.runs += 1;
        self.violations += report.violations.len() as u64;
        self.slowest_run = self.slowest_run.max(took);
        self.hottest_below_danger = self.hottest_below_danger.min(report.danger_celsius - report.hottest_celsius);
        self.least_fresh = self.least_fresh.min(report.fresh_work_fraction);
        for f in &report.faults {
            self.injected += 1;
            self.latched += u64::from(f.latched);
            let (count, worst, sum) = self.kinds.entry(f.name).or_default();
            let recovered = f.recovered_seconds.unwrap_or(0.0);
            (*count, *worst, *sum) = (*count + 1, worst.max(recovered), *sum + recovered);
        }
    }

    fn json(&self) -> serde_json::Value {
        let kinds: BTreeMap<_, _> = self
            .kinds
            .iter()
            .map(|(name, (count, worst, sum))| (*name, json!({"count": count, "worst_s": worst, "mean_s": sum / *count as f64})))
            .collect();
        json!({
            "seeds": self.runs, "violations": self.violations, "injected": self.injected, "latched": self.latched,
            "slowest_run_s": self.slowest_run, "hottest_below_danger_celsius": self.hottest_below_danger,
            "fresh_work_fraction_least": self.least_fresh, "recovery": kinds,
        })
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).map_or(Some(default), |a| a.parse::<u64>().ok());
    let (Some(seeds), Some(first)) = (number(0, SEEDS), number(1, 1)) else {
        eprintln!("usage: seeds [SEEDS] [FIRST] [PRODUCT|FAULT…]");
        return ExitCode::from(2);
    };
    let words = args.get(2..).unwrap_or_default();
    let (names, kinds): (Vec<&str>, Vec<&str>) = words.iter().map(String::as_str).partition(|w| board::product(w).is_some());
    let named = |p: &&model::Product| names.is_empty() || names.contains(&p.name);
    let products: Vec<_> = board::PRODUCTS.iter().filter(named).collect();
    let faults = match Picked::parse(if kinds.is_empty() { vec!["all"] } else { kinds }) {
        Ok(faults) => faults,
        Err(why) => {
            eprintln!("seeds: no product is called so, and {why}");
            return ExitCode::from(2);
        }
    };
    let duration = DURATION.min(START + EACH * faults.kinds().count() as u32);
    let (next, figure) =
        (AtomicU64::new(0), Mutex::new(Figure { hottest_below_danger: 1e3, least_fresh: 1.0, ..Figure::default() }));
    let work = || {
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= seeds {
                return;
            }
            let (product, seed) = (products[(run % products.len() as u64) as usize], first + run);
            let started = Instant::now();
            let scenario = Scenario { product, seed, duration, faults };
            let report = Simulation::new(scenario).expect("drivers for every part").run();
            for v in &report.violations {
                println!("{} seed {seed}: {v}", product.name);
            }
            figure.lock().expect("no run panics").add(&report, started.elapsed().as_secs_f64());
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|s| (0..threads).for_each(|_| drop(s.spawn(work))));
    let figure = figure.into_inner().expect("no run panics");
    println!("{}", figure.json());
    ExitCode::from(u8::from(figure.violations > 0))
}
