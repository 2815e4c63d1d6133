//! `make bench`: the figures that "first light" and "hashboards, cooling and tuning" promise, measured on the real release program and printed beside their goals.
//!
//! It reports and does not judge: a slow or busy machine gives `missed`, never a failure, so the figures mean most on a quiet
//! one. With `--json` one object a line goes to stdout; what is being done goes to stderr. `--only NAME` takes the groups whose name
//! holds that word; `--minutes N` sets how long the chips' time is watched. Not here: tests (they take no wall-clock time) and profiles.
//!
//!     cargo bench -p supervisor --bench first_light -- --json

mod cost;
mod day;
mod figure;
mod hashing;
mod image;
mod instructions;
mod mined;
mod notify;
mod program;
mod replay;
mod serving;
mod tap;
mod tuned;
mod utilisation;

use anyhow::{Context, bail};
use figure::Report;

/// What is measured together: its name, and how.
type Group = (&'static str, fn(&mut Report) -> anyhow::Result<()>);

const GROUPS: &[Group] = &[
    ("size", program::size),
    ("hash", hashing::measure),
    ("start", serving::measure),
    ("work", notify::measure),
    ("day", day::measure),
    ("tuned", tuned::measure),
    ("cost", cost::measure),
    ("instructions", instructions::measure),
    ("utilisation", utilisation::measure),
    ("image", image::measure),
];

/// Length of the long measurements where nobody says another: some two hundred fresh works a chain.
const MINUTES: u64 = 5;

fn main() -> anyhow::Result<()> {
    let (mut json, mut only, mut minutes) = (false, None, MINUTES);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // cargo says this to every bench.
            "--bench" => {}
            "--json" => json = true,
            "--only" => only = Some(args.next().unwrap_or_default()),
            "--minutes" => {
                let said = args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                minutes = said.context("'--minutes' takes a whole number of minutes, 1 or more")?;
            }
            // What `instructions` starts under valgrind: this program itself.
            replay::ARGUMENT => return replay::child(args),
            other => {
                let names: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
                bail!("'{other}' is not known here: --json, --minutes N, or --only with one of {}", names.join(", "));
            }
        }
    }
    let mut report = Report::new(json, minutes);
    for (name, measure) in GROUPS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str()))) {
        // One group that cannot be measured leaves the others alone.
        if let Err(why) = measure(&mut report) {
            report.skip(name, &format!("{why:#}"));
        }
    }
    report.end();
    Ok(())
}
