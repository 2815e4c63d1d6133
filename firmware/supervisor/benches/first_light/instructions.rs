//! How many instructions a nonce, a job and a quiet second cost, counted by callgrind on a replay of recorded replies.
//!
//! Each figure is the difference of two replays that differ in that alone, so start and bring-up drop out, and it is the same on a busy
//! machine. Counted is everything of ours from the bytes of the line to the decider and back; not the kernel's part of reading and
//! writing, nor the channel between two threads. Valgrind knows no SHA instructions, so verifying a nonce is counted on the portable path.

use crate::figure::{Figure, Goal, Report};
use crate::program::Folder;
use crate::replay::{self, Mode, Told};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Command;

/// Records a machine, and counts.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let valgrind = Command::new("valgrind").arg("--version").output();
    ensure!(valgrind.is_ok_and(|o| o.status.success()), "there is no valgrind: './setup bench' installs it");
    report.doing("recording a machine, and counting instructions four times (a minute)");
    let folder = Folder::new("replay")?;
    let file = folder.path().join("replies");
    replay::record(&file)?;
    let (short, _) = counted(&file, Mode::Short)?;
    let (quiet, of_quiet) = counted(&file, Mode::Quiet)?;
    let (nonces, of_nonces) = counted(&file, Mode::Nonces)?;
    let (jobs, of_jobs) = counted(&file, Mode::Jobs)?;
    let (found, sent) = (of_nonces.nonces - of_quiet.nonces, of_jobs.jobs - of_quiet.jobs);
    ensure!(found > 100 && sent > 100, "too little was replayed: {found} nonces, {sent} jobs");
    let seconds = replay::STRETCH.as_secs() - replay::SHORT.as_secs();
    for (name, more, parts) in [
        ("nonce_instructions", nonces.saturating_sub(quiet), found),
        ("job_instructions", jobs.saturating_sub(quiet), sent),
        ("machine_quiet_second_instructions", quiet.saturating_sub(short), seconds),
    ] {
        report.add(&Figure::once(name, (more as f64 / parts as f64).round(), Goal::None));
    }
    Ok(())
}

/// What a replay took, and what it says of itself.
fn counted(file: &Path, mode: Mode) -> anyhow::Result<(u64, Told)> {
    let bench = std::env::current_exe().context("find this program to count it")?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(bench);
    let out = command.arg(replay::ARGUMENT).arg(file).arg(mode.word()).output().context("start valgrind")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "valgrind: {}", said.trim());
    // `==1234== Collected : 123456789`
    let collected = said.lines().find_map(|l| l.split_once("Collected : ")?.1.trim().parse().ok());
    let collected = collected.with_context(|| format!("find the count in what valgrind said: {}", said.trim()))?;
    Ok((collected, Told::parse(&String::from_utf8_lossy(&out.stdout))?))
}
