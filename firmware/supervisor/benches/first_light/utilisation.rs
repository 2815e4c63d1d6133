//! How much of their time chips have no fresh work, by the account of the simulated machine, which is a process of its own: a
//! candidate that was tested before on the same job is time lost, and so is one that was not tested at all.
//!
//! A pool sends a job every 30 s and a new block every ten minutes. The time is the machine's own: what a host is too busy for is
//! not held against the firmware. Not here: how late a job is (`notify`).

use crate::figure::{Figure, Goal, Report};
use crate::mined::{Mined, pool, until_hashing};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::time::Duration;

const PRODUCT: &model::Product = &board::antminer_s19jpro::PRODUCT;
const GOAL: f64 = 0.001;
/// From the first hashing to the full clock.
const SETTLE: Duration = Duration::from_secs(30);

/// Watches one machine.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.doing(&format!("watching what chips do for {} minutes", report.minutes));
    let mut all = [Mined::start(PRODUCT.name, "utilisation", pool()?)?];
    until_hashing(&all)?;
    std::thread::sleep(SETTLE);
    let before = all[0].hashes()?;
    std::thread::sleep(Duration::from_secs(60 * report.minutes));
    let after = all[0].hashes()?;
    let sum = |key: &str| Ok::<f64, anyhow::Error>(chains(&after, key)? - chains(&before, key)?);
    let (tested, repeated) = (sum("tested")?, sum("repeated")?);
    ensure!(chains(&before, "clock_hertz")? == chains(&after, "clock_hertz")?, "chips changed their clock meanwhile: {after}");
    let seconds = number(&after, "seconds")? - number(&before, "seconds")?;
    // All boards are alike.
    let board = PRODUCT.hashboards.first().context("a product has hashboards")?;
    let rate = hwdrivers::chip::hashrate(board.chain.chip, model::Megahertz(1.0), u32::from(board.chain.chips)).0 / 1e6;
    let possible = rate * chains(&after, "clock_hertz")? * seconds / f64::from(sim::real_time::SCALE.scale_bits).exp2();
    report.add(&Figure::once("chip_time_watched_seconds", seconds, Goal::None));
    report.add(&Figure::once("chip_time_on_repeated_work_fraction", repeated / tested.max(1.0), Goal::Below(GOAL)));
    report.add(&Figure::once("chip_time_without_fresh_work_fraction", 1.0 - (tested - repeated) / possible, Goal::Below(GOAL)));
    Ok(())
}

fn chains(told: &Value, key: &str) -> anyhow::Result<f64> {
    told["chains"].as_array().context("find the chains")?.iter().map(|c| number(c, key)).sum()
}

fn number(told: &Value, key: &str) -> anyhow::Result<f64> {
    told[key].as_f64().with_context(|| format!("find {key} in {told}"))
}
