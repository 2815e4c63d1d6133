//! `otedama simulate`: a product under its real firmware in virtual time, and what came of it.
//!
//! Not here: the simulation itself (`sim::simulation`).

use crate::exit::Exit;
use crate::simulated::{Picked, Report, Scenario, Simulation, tuned};
use anyhow::Context;
use clap::Args;
use model::Aim;
use std::path::PathBuf;
use std::time::Duration;

/// Longest run: a year, beyond which the counters of time would be the first to fail.
const HOURS_LIMIT: f64 = 8766.0;

/// What to simulate.
#[derive(Debug, Args)]
#[command(after_help = "Examples: otedama simulate antminer-s19jpro --seed 1 --hours 24 --json
          otedama simulate antminer-s19jpro --seed 7 --hours 2 --faults all --json")]
pub struct Simulate {
    /// The product, as `otedama boards` names it
    product: String,
    /// Seed of everything that is random; the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hours of virtual time
    #[arg(long, default_value_t = 1.0)]
    hours: f64,
    /// What goes wrong meanwhile: `all` that the product has a part for, `none`, or the names of faults (see --help). Each is put
    /// into a hashing machine and ended again; two hours hold all of them
    #[arg(long, value_name = "NAME", num_args = 1.., default_values_t = ["none".to_owned()])]
    faults: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show what tuning is worth instead: the machine as the factory meant it, then tuned for the same hash rate and for the same
    /// power, each run until it has settled
    #[arg(long, conflicts_with_all = ["hours", "pty"])]
    tuned: bool,
    /// Serve the machine in real time instead, on ptys and a bus socket, until SIGTERM; the first line says where. Commands are
    /// taken as lines on standard input: `help` lists them
    #[arg(long, conflicts_with_all = ["hours", "json", "faults"])]
    pty: bool,
    /// With --pty: serve it to QEMU as well, by sockets in this folder: bus and lines as vhost-user devices at i2c.sock and
    /// gpio.sock, serial lines as usbredir devices at usb0.sock and on
    #[arg(long, value_name = "DIR", requires = "pty")]
    vhost_user: Option<PathBuf>,
}

/// Runs it. Exit status 1 when an invariant was violated.
///
/// # Errors
/// The product's parts cannot be driven, or an invariant was violated.
pub fn run(args: &Simulate) -> anyhow::Result<Exit> {
    let Some(product) = board::product(&args.product) else {
        let names: Vec<_> = board::PRODUCTS.iter().map(|p| p.name).collect();
        eprintln!("otedama: no product is called '{}'; there are: {}", args.product, names.join(", "));
        return Ok(Exit::WrongInput);
    };
    if args.pty {
        crate::pty::run(product, args.seed, args.vhost_user.as_deref())?;
        return Ok(Exit::Done);
    }
    if args.tuned {
        return tuned(product, args);
    }
    if !(args.hours > 0.0 && args.hours <= HOURS_LIMIT) {
        eprintln!("otedama: --hours takes a number above 0 and up to {HOURS_LIMIT}");
        return Ok(Exit::WrongInput);
    }
    let faults = match Picked::parse(args.faults.iter().map(String::as_str)) {
        Ok(picked) => picked,
        Err(unknown) => {
            eprintln!("otedama: {unknown}");
            return Ok(Exit::WrongInput);
        }
    };
    let scenario = Scenario { product, seed: args.seed, duration: Duration::from_secs_f64(args.hours * 3600.0), faults };
    let report = Simulation::new(scenario).context("open the parts of the product")?.run();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    anyhow::ensure!(report.violations.is_empty(), "{} invariants were violated", report.violations.len());
    Ok(Exit::Done)
}

/// A machine as the factory meant it against the same one tuned.
fn tuned(product: &'static model::Product, args: &Simulate) -> anyhow::Result<Exit> {
    let run = |aim| tuned::run(product, args.seed, aim).context("open the parts of the product");
    let factory = run(None)?;
    let rate = run(Some(Aim::Rate(factory.rate)))?;
    let power = run(Some(Aim::Power(product.power)))?;
    if args.json {
        let of = |g: &tuned::Gain| {
            serde_json::json!({
                "hashes_per_second": g.rate.0,
                "watts": g.watt.0,
                "joules_per_hash": g.watt.0 / g.rate.0,
                "search_seconds": g.search.as_secs_f64(),
                "settled": g.settled,
                "violations": g.violations,
            })
        };
        let (product, seed) = (product.name, args.seed);
        let all = serde_json::json!({ "product": product, "seed": seed, "factory": of(&factory), "same_rate": of(&rate), "same_power": of(&power) });
        println!("{all}");
    } else {
        println!("SIMULATED {}, seed {}", product.name, args.seed);
        for (name, g) in [("factory", factory), ("same rate", rate), ("same power", power)] {
            println!("  {name:<11} {:.2} TH/s, {:.0}, {:.2}", g.rate.0 / 1e12, g.watt, g.efficiency());
        }
    }
    let violations = factory.violations + rate.violations + power.violations;
    anyhow::ensure!(violations == 0, "{violations} invariants were violated");
    Ok(Exit::Done)
}

fn print(r: &Report) {
    println!("SIMULATED {} for {} h, seed {}", r.product, r.hours, r.seed);
    println!("  hash rate   {:.2} TH/s of {:.2} expected", r.hashes_per_second / 1e12, r.expected_hashes_per_second / 1e12);
    println!("  shares      {} accepted, {} rejected, {} stale", r.shares, r.rejected, r.stale);
    println!("  hottest     {:.1} °C (danger at {:.1} °C)", r.hottest_celsius, r.danger_celsius);
    println!("  fresh work  {:.3} %", r.fresh_work_fraction * 100.0);
    for f in &r.faults {
        let came_back = match f.recovered_seconds {
            Some(s) => format!("back after {s:.0} s"),
            None => "a person had to start it".to_owned(),
        };
        println!("  fault       {:7.0} s  {} ({}): {came_back}", f.at_seconds, f.name, f.place);
    }
    for v in &r.violations {
        println!("  VIOLATED    {v}");
    }
}
