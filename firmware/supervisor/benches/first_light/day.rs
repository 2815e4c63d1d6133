//! A simulated day: how long it takes, what came of it, and whether the same seed gives the same bytes.

use crate::figure::{Figure, Goal, Report};
use crate::program::finished;
use anyhow::Context;
use serde_json::Value;
use std::time::Instant;

const GOAL_SECONDS: f64 = 60.0;
const ARGS: [&str; 7] = ["simulate", "antminer-s19jpro", "--seed", "1", "--hours", "24", "--json"];

/// Two runs of the same seed.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.doing("simulating a day, twice");
    let (mut wall, mut cpu, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 {
        let begun = Instant::now();
        let (out, seconds) = finished(&ARGS)?;
        wall.push(begun.elapsed().as_secs_f64());
        cpu.push(seconds);
        said.push(out);
    }
    report.add(&Figure::of_times("simulated_day_seconds", &wall, Goal::Below(GOAL_SECONDS)));
    report.add(&Figure::of_times("simulated_day_cpu_seconds", &cpu, Goal::None));
    let day: Value = serde_json::from_slice(&said[0]).context("read what 'otedama simulate' said")?;
    let number = |key: &str| day[key].as_f64().with_context(|| format!("find {key} in {day}"));
    let (rate, expected) = (number("hashes_per_second")?, number("expected_hashes_per_second")?);
    let shares = number("shares")?;
    let stale = number("stale")?;
    let all = shares + stale + number("rejected")?;
    for (name, value, goal) in [
        ("simulated_day_shares", shares, Goal::Above(1000.0)),
        ("simulated_day_rejects", number("rejected")?, Goal::Exactly(0.0)),
        ("simulated_day_duplicates", number("duplicates")?, Goal::Exactly(0.0)),
        ("simulated_day_stale_fraction", stale / all.max(1.0), Goal::Below(0.001)),
        ("simulated_day_rate_error_fraction", (rate / expected - 1.0).abs(), Goal::Below(0.01)),
        ("simulated_day_hottest_celsius", number("hottest_celsius")?, Goal::Below(number("danger_celsius")?)),
        ("simulated_day_differing_runs", f64::from(u8::from(said[0] != said[1])), Goal::Exactly(0.0)),
    ] {
        report.add(&Figure::once(name, value, goal));
    }
    Ok(())
}
