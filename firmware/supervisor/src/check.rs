//! `otedama check`: is this settings file good? Also the one way in which the program reads such a file.
//!
//! Not here: what a key means (`model::settings`), and whether a device exists.

use crate::exit::Exit;
use crate::machine_open::Machine;
use crate::own_pool;
use model::settings::{Known, MAX_BYTES, Problem, Settings, Warning, read_known};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Example: otedama check --config config.yaml")]
pub struct Args {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match runnable(&args.config) {
        Ok((_, warnings)) => {
            for w in &warnings {
                eprintln!("{}:{}:{}: warning: {}", args.config.display(), w.line, w.column, w.what);
            }
            writeln!(std::io::stdout(), "{}: good, {} warning(s)", args.config.display(), warnings.len())?;
            Ok(Exit::Done)
        }
        Err(lines) => {
            for line in lines {
                eprintln!("{line}");
            }
            Ok(Exit::WrongInput)
        }
    }
}

/// Reads a settings file that this version can run, as far as can be told without opening anything: what `check` calls good is what
/// `serve` starts with.
pub fn runnable(path: &Path) -> Result<(Settings, Vec<Warning>), Vec<String>> {
    let (settings, warnings) = load(path)?;
    let placed = |p: Problem| vec![placed(path, &p)];
    if let Some(machine) = Machine::of(&settings.mining).map_err(placed)? {
        settings.cooling.of(machine.product.name, &machine.product.limits).map_err(placed)?;
    }
    own_pool::open(&settings, Path::new("")).map_err(placed)?;
    Ok((settings, warnings))
}

/// Reads a settings file; each line of the error is ready to be shown.
pub fn load(path: &Path) -> Result<(Settings, Vec<Warning>), Vec<String>> {
    let text = text(path).map_err(|what| vec![what])?;
    let products: Vec<&str> = board::PRODUCTS.iter().map(|p| p.name).collect();
    // Names of coins belong to `pool`, which refuses an unknown one when it is opened.
    let known = Known { products: Some(&products), coins: None };
    read_known(&text, &known).map_err(|problems| problems.iter().map(|p| placed(path, p)).collect())
}

fn placed(path: &Path, p: &Problem) -> String {
    format!("{}:{}:{}: {}", path.display(), p.line, p.column, p.what)
}

fn text(path: &Path) -> Result<String, String> {
    let attempted = |e: std::io::Error| format!("{}: cannot read the settings file: {e}", path.display());
    let mut bytes = Vec::new();
    // One byte beyond the limit tells a file that is too large from one that just fits.
    File::open(path).map_err(attempted)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(attempted)?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("{}:1:1: a settings file has at most {MAX_BYTES} bytes", path.display()));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]).into_owned();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        format!("{}:{line}:{column}: not UTF-8 text", path.display())
    })
}
