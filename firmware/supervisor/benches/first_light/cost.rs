//! What driving a machine costs: the firmware's share of one core, seen from outside, with the simulated machine as another
//! process behind ptys and a socket.
//!
//! *All of mining* is everything that the firmware does while every chain hashes, pool and page included, without mining of the processor.
//! *Monitoring* is the same machine paused: rails on, chips at their lowest clock without new work, every sensor, fan, supply and counter still asked.
//! One firmware drives one machine, so several machines are as many firmwares, and their shares are added up.

use crate::figure::{Figure, Goal, Report};
use crate::mined::{Mined, pool, until_hashing};
use std::time::{Duration, Instant};

const STRETCH: Duration = Duration::from_secs(120);
/// From one state to the next.
const SETTLE: Duration = Duration::from_secs(10);
const MINING_GOAL: f64 = 0.03;
const MONITORING_GOAL: f64 = 0.01;
const MACHINES: [(&str, &str, usize); 2] = [("s19jpro", "antminer-s19jpro", 1), ("four_s21", "antminer-s21", 4)];

/// Two sets of machines, each mining and then paused.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let pool = pool()?;
    for (name, product, count) in MACHINES {
        report.doing(&format!("driving {count} × {product} on ptys, twice {} s", STRETCH.as_secs()));
        let start = |i| Mined::start(product, &format!("cost-{name}-{i}"), pool);
        let machines = (0..count).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        until_hashing(&machines)?;
        let mining = share(&machines)?;
        report.add(&Figure::once(format!("{name}_mining_core_fraction"), mining, Goal::Below(MINING_GOAL)));
        machines.iter().try_for_each(Mined::pause)?;
        let paused = share(&machines)?;
        report.add(&Figure::once(format!("{name}_monitoring_core_fraction"), paused, Goal::Below(MONITORING_GOAL)));
    }
    Ok(())
}

fn share(machines: &[Mined]) -> anyhow::Result<f64> {
    std::thread::sleep(SETTLE);
    let taken = || machines.iter().map(|m| m.serve.cpu_seconds()).sum::<anyhow::Result<f64>>();
    let (begun, before) = (Instant::now(), taken()?);
    std::thread::sleep(STRETCH);
    Ok((taken()? - before) / begun.elapsed().as_secs_f64())
}
