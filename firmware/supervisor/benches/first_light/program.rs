//! The program that is measured: starting it, ending it, and what the system says of it.
//!
//! Not here: what is measured with it.

use crate::figure::{Figure, Goal, Report};
use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program, built as it ships.
pub const OTEDAMA: &str = env!("CARGO_BIN_EXE_otedama");

/// Largest size of the stripped program.
const SIZE_GOAL_BYTES: f64 = 15e6;

/// The size of the program's file.
pub fn size(report: &mut Report) -> anyhow::Result<()> {
    let size = std::fs::metadata(OTEDAMA).with_context(|| format!("look at {OTEDAMA}"))?.len();
    report.add(&Figure::once("program_size_bytes", size as f64, Goal::Below(SIZE_GOAL_BYTES)));
    Ok(())
}

/// A program that runs, ended with this value: politely first, as a keeper of services does.
pub struct Running(Child);

impl Running {
    /// Starts `otedama` with these arguments.
    pub fn start(args: &[&str], stdout: Stdio, stderr: Stdio) -> anyhow::Result<Running> {
        let child = Command::new(OTEDAMA).args(args).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        child.map(Running).with_context(|| format!("start {OTEDAMA}"))
    }

    /// Starts it with pipes to talk through.
    pub fn talking(args: &[&str]) -> anyhow::Result<Running> {
        let mut command = Command::new(OTEDAMA);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Running).with_context(|| format!("start {OTEDAMA}"))
    }

    /// User and system time that all its threads took so far.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/stat", self.0.id());
        cpu_seconds(&path, OWN_TIME)
    }

    /// The process, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// A line of its /proc status that counts memory, in bytes: `VmRSS`, `VmHWM`.
    pub fn memory_bytes(&self, field: &str) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.0.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.map(|k| k * 1024.0).with_context(|| format!("find {field} in {path}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended already is as good.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// What a program said that ran to its end, with the CPU seconds it took.
pub fn finished(args: &[&str]) -> anyhow::Result<(Vec<u8>, f64)> {
    let before = children_cpu_seconds()?;
    let out = Command::new(OTEDAMA).args(args).stdin(Stdio::null()).output().with_context(|| format!("start {OTEDAMA}"))?;
    ensure!(out.status.success(), "otedama {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    Ok((out.stdout, children_cpu_seconds()? - before))
}

/// User and system time of all children that were waited for.
fn children_cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds("/proc/self/stat", CHILDREN_TIME)
}

/// Where, behind the name, a process's own user time stands in its stat, and where its children's; system time follows each.
const OWN_TIME: usize = 11;
const CHILDREN_TIME: usize = 13;

fn cpu_seconds(stat: &str, field: usize) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(stat).with_context(|| format!("read {stat}"))?;
    // The name in brackets may hold anything.
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("read {stat}"))?;
    let ticks = |n| fields.split_whitespace().nth(n).and_then(|f: &str| f.parse::<f64>().ok());
    let sum = ticks(field).zip(ticks(field + 1)).map(|(user, system)| user + system).with_context(|| format!("read {stat}"))?;
    Ok(sum / rustix::param::clock_ticks_per_second() as f64)
}

/// A folder that is gone with this value.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    pub fn new(name: &str) -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("otedama-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a settings file into it and gives back where it is, as text.
    pub fn settings(&self, text: &str) -> anyhow::Result<String> {
        let path = self.0.join("config.yaml");
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        path.to_str().map(str::to_owned).context("the folder's name is no text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
