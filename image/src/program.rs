//! The static program: `otedama` without any library of the host, so that the root file system is this one file.

use crate::command::say;
use crate::place::Place;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the program may weigh. It is read from slow cards at every boot and kept twice for updates.
pub const MAX_BYTES: u64 = 15_000_000;
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the program, checks it and lays it in the output folder.
///
/// # Errors
/// It does not build, is not static or is too large.
pub fn build(place: &Place) -> Result<PathBuf> {
    say("building the static program (the first time takes minutes)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Its words go where ours go: this step takes minutes, and cargo says how far it is.
    let output = Command::new(cargo)
        .current_dir(&place.top)
        .args(["build", "--release", "--locked", "--bin", "otedama", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        // Here alone: in .cargo/config.toml it would reach proc-macros, which cannot be static.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo")?;
    ensure!(output.status.success(), "build the static program: cargo's {}; what it found is said above", output.status);
    let built = executable(&output.stdout).context("find the program in what cargo says it made")?;
    check(&built)?;
    let to = place.program();
    fs::copy(&built, &to).with_context(|| format!("copy {} to {}", built.display(), to.display()))?;
    Ok(to)
}

/// The path of the last executable in cargo's messages.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    let lines = messages.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice::<serde_json::Value>(l).ok());
    lines.filter_map(|m| m["executable"].as_str().map(PathBuf::from)).next_back()
}

/// Refuses a program that needs a loader or is too large.
///
/// # Errors
/// Those two, and a file that cannot be read or is no 64-bit ELF.
pub fn check(program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let weight = bytes.len() as u64;
    ensure!(weight < MAX_BYTES, "{}: {weight} bytes, more than {MAX_BYTES}", program.display());
    if needs_loader(&bytes).with_context(|| format!("{}: not a whole 64-bit ELF file", program.display()))? {
        bail!("{}: not static: it asks for a loader, which the image does not have", program.display());
    }
    Ok(())
}

/// Whether an ELF file names an interpreter; `None` when it is no little-endian 64-bit ELF file.
fn needs_loader(elf: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        bytes.iter().rev().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for i in 0..count {
        if number(table.checked_add(i.checked_mul(size)?)?, 4)? == INTERPRETER as usize {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut e = vec![0; 64];
        e[..6].copy_from_slice(b"\x7fELF\x02\x01");
        e[0x20] = 64;
        e[0x36] = 56;
        e[0x38] = kinds.len() as u8;
        for k in kinds {
            e.extend(k.to_le_bytes());
            e.extend([0; 52]);
        }
        e
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_found() {
        assert_eq!(needs_loader(&elf(&[1, 1, 2])), Some(false));
        assert_eq!(needs_loader(&elf(&[1, 3])), Some(true));
        assert_eq!(needs_loader(b"#!/bin/sh\n"), None);
        assert_eq!(needs_loader(&elf(&[1, 1])[..100]), None, "its table is cut off");
        // This test itself is an ordinary program of the host.
        let error = check(&std::env::current_exe().expect("a path")).expect_err("too large or not static").to_string();
        assert!(error.contains("not static") || error.contains("more than"), "{error}");
    }

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let said = b"{\"reason\":\"x\",\"executable\":null}\n{\"executable\":\"/t/otedama\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(executable(said), Some("/t/otedama".into()));
        assert_eq!(executable(b"warning\n"), None);
    }
}
