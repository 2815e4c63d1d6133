//! What tuning is worth on a simulated S19j Pro whose chips differ: energy for the same hash rate, and hash rate for the same power.
//!
//! Not here: how it is measured (`otedama simulate --tuned`).

use crate::figure::{Figure, Goal, Report};
use crate::program::finished;
use anyhow::Context;
use serde_json::Value;

const ARGS: [&str; 6] = ["simulate", "antminer-s19jpro", "--seed", "1", "--tuned", "--json"];
/// The board lets the rail down by 6 % and the clock up by 3.8 %: most of that.
const CHEAPER: f64 = 0.93;
const MORE: f64 = 1.015;

/// One machine, three times.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    report.doing("tuning a simulated machine");
    let (said, _) = finished(&ARGS)?;
    let said: Value = serde_json::from_slice(&said).context("read what 'otedama simulate' said")?;
    let number = |run: &str, key: &str| said[run][key].as_f64().with_context(|| format!("find {run}.{key} in {said}"));
    let cost = number("same_rate", "joules_per_hash")? / number("factory", "joules_per_hash")?;
    let rate = number("same_power", "hashes_per_second")? / number("factory", "hashes_per_second")?;
    let figures = [
        ("factory_joules_per_terahash", number("factory", "joules_per_hash")? * 1e12, Goal::None),
        ("tuned_joules_per_terahash", number("same_rate", "joules_per_hash")? * 1e12, Goal::None),
        ("tuned_cost_at_equal_rate_fraction", cost, Goal::Below(CHEAPER)),
        ("tuned_rate_at_equal_power_fraction", rate, Goal::Above(MORE)),
        ("tuned_search_seconds", number("same_rate", "search_seconds")?, Goal::None),
    ];
    for (name, value, goal) in figures {
        report.add(&Figure::once(name, value, goal));
    }
    Ok(())
}
