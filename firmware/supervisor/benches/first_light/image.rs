//! The image in QEMU, from its start to its first share: measured by `cargo image run --json`, shown here beside its goals.

use crate::figure::{Figure, Goal, Report};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::{Command, Stdio};

/// From QEMU's start, seconds: PID 1's first line, listening, the first accepted share by the processor and by a chain, whose
/// delays are real.
const GOALS: [(&str, f64); 4] =
    [("first_line_seconds", 2.5), ("listening_seconds", 3.0), ("cpu_share_seconds", 13.0), ("chain_share_seconds", 33.0)];

/// Boots it once.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let image = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.arg("image").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command
    };
    let there = image(&["run", "--help"]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    ensure!(there, "this tree has no 'cargo image run'");
    report.doing("booting the image in QEMU");
    let out =
        image(&["run", "--json", "--port", "0"]).stderr(Stdio::inherit()).output().context("start 'cargo image run --json'")?;
    ensure!(out.status.success(), "'cargo image run --json' failed");
    let said = String::from_utf8_lossy(&out.stdout);
    let last = said.lines().rev().find(|l| l.starts_with('{')).context("find what 'cargo image run --json' measured")?;
    let said: Value = serde_json::from_str(last).context("read what 'cargo image run --json' measured")?;
    for (key, seconds) in said.as_object().into_iter().flatten() {
        let (Some(seconds), true) = (seconds.as_f64(), key.ends_with("_seconds")) else { continue };
        let goal = GOALS.iter().find(|(k, _)| k == key).map_or(Goal::None, |(_, limit)| Goal::Below(*limit));
        report.add(&Figure::once(format!("image_{key}"), seconds, goal));
    }
    Ok(())
}
