//! `cargo image`: makes what a control board boots, from Debian's kernel source and this tree: kernel, program, root file
//! system, disk. It runs on the host that builds, never on the miner.
//!
//! Every step is a file here and can be called alone. What is slow is kept in the cache by the hash of what went into it.
//! Not here: decisions of the running machine, which are the program's.

pub mod bios;
pub mod boot;
pub mod command;
pub mod console;
pub mod disk;
pub mod faults;
pub mod kernel;
pub mod place;
pub mod process;
pub mod program;
pub mod qemu;
pub mod rootfs;
pub mod run;
pub mod settings;
pub mod simulated;
pub mod watch;

use anyhow::{Context, Result};
use place::Place;
use std::fs::File;
use std::path::PathBuf;

/// Makes everything that the board boots, and gives back where the disk is.
///
/// # Errors
/// Those of each step.
pub fn build(place: &Place) -> Result<PathBuf> {
    // One at a time into one folder; a second finds most of it made.
    let lock = File::create(place.out.join("lock")).context("make the output folder's lock")?;
    lock.lock().context("lock the output folder")?;
    let kernel = kernel::build(place)?;
    let program = program::build(place)?;
    let rootfs = rootfs::build(place, &program)?;
    disk::build(place, &kernel, &rootfs)
}
