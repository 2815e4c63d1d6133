//! `otedama hash`: one digest of bytes given as hex, printed in the order it is computed (a block explorer shows it reversed).

use crate::exit::Exit;
use std::io::Write;

/// Longest input, in hex digits: a block of Bitcoin, far beyond what a command line carries (128 KiB an argument on Linux).
const MAX_DIGITS: usize = 8_000_000;

#[derive(clap::Args)]
#[command(
    after_help = "Example: otedama hash sha256d 00ff\n  (a block's hash is the hash of its 80-byte header, 160 hex digits)"
)]
pub struct Args {
    /// Which proof of work.
    algorithm: Algorithm,
    /// The bytes, as hex digits.
    hex: String,
}

/// The proofs of work that can be computed from bytes alone.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Algorithm {
    /// SHA-256 twice, as Bitcoin does.
    Sha256d,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let bytes = match bytes(&args.hex) {
        Ok(bytes) => bytes,
        Err(what) => {
            eprintln!("otedama hash: {what}");
            return Ok(Exit::WrongInput);
        }
    };
    let digest = match args.algorithm {
        Algorithm::Sha256d => model::sha256d(&bytes),
    };
    writeln!(std::io::stdout(), "{}", digest.to_hex())?;
    Ok(Exit::Done)
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    if hex.len() > MAX_DIGITS {
        return Err(format!("{} hex digits; at most {MAX_DIGITS} are taken", hex.len()));
    }
    if let Some((at, c)) = hex.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
        return Err(format!("character {} is {c:?}, not a hex digit", at + 1));
    }
    if !hex.len().is_multiple_of(2) {
        return Err(format!(
            "{} hex digits make no whole number of bytes: the last stands alone at character {}",
            hex.len(),
            hex.len()
        ));
    }
    let digit = |b: u8| char::from(b).to_digit(16).map_or(0, |d| d as u8);
    Ok(hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
}
