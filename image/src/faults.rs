//! `cargo image faults`: every fault that a simulated machine can have, put into it while the image mines with it in QEMU, through the
//! kernel's own I²C bus, GPIO chip and serial lines.
//!
//! ```text
//!  well ─▶ fault ─▶ the status names it ─▶ heal ─▶ all chains hash ─▶ nothing is left of it ─▶ the next one
//!                                             └─ latched? a start is asked for
//! ```
//! It takes about half an hour, so it is a command and no test; the same list runs in virtual time with every `make test`. Not here:
//! what the faults are (the simulated machine tells them), and faults of pools and of the clock, which are not the machine's.

use crate::boot::{Boot, Booted, Firmware};
use crate::command::say;
use crate::place::Place;
use crate::qemu::Forward;
use crate::run::{free, product, settings, status};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two looks at the status.
const LOOK: Duration = Duration::from_secs(1);
/// How long the guest is given to come up with all chains.
const UP_LIMIT: Duration = Duration::from_secs(900);
/// An emulated guest on a busy machine is so many times slower than the limits of virtual time.
const SLACK: u32 = 4;
/// What cools first is waited for so much longer.
const COOL: Duration = Duration::from_secs(600);
/// What is judged over minutes is gone after this.
const FADE: Duration = Duration::from_secs(900);
/// A machine that latched is left alone for so long, to see that it stays off.
const LATCH_WATCH: Duration = Duration::from_secs(60);
/// Nothing is done for so long between two faults.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the page's answer to an order.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cargo image faults --only uart-noise i2c-nack")]
pub struct Args {
    /// A control board of `otedama boards`.
    #[arg(long, default_value = "pc")]
    board: String,
    /// The machine to simulate, a product of `otedama boards`.
    #[arg(long, default_value = "antminer-s19jpro")]
    product: String,
    /// These faults alone.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Take the image as it was built last, however old.
    #[arg(long)]
    built: bool,
}

/// A fault, as the simulated machine tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Told {
    name: String,
    shows: Vec<String>,
    fades: Vec<String>,
    named_within_seconds: Option<u64>,
    lasts_seconds: u64,
    recovers_within_seconds: u64,
    times: u32,
    latches: bool,
}

/// Runs all of them, and prints one JSON object.
///
/// # Errors
/// Something does not build or start, the machine never comes back, or something went otherwise than the list says.
pub fn run(args: &Args) -> Result<()> {
    let product = product(&args.product)?;
    let place = Place::of(&args.board)?;
    if !args.built {
        crate::build(&place)?;
    }
    ensure!(place.disk().exists(), "find {}: run it once without --built", place.disk().display());
    let port = free(0)?;
    let (settings, folder) = (settings(product, false), place.out.join(format!("faults-{port}")));
    let forwards = [Forward { host: port, guest: 8080 }];
    let boot = Boot {
        place: &place,
        firmware: Firmware::None,
        product: Some(product.name),
        settings: &settings,
        folder: &folder,
        forwards: &forwards,
    };
    let booted = boot.start()?;
    let told = booted.simulated.as_ref().map(|s| s.faults.clone()).unwrap_or_default();
    let told: Vec<Told> = serde_json::from_value(told).context("read which faults the simulated machine has")?;
    let picked: Vec<Told> = told.into_iter().filter(|t| args.only.is_empty() || args.only.contains(&t.name)).collect();
    ensure!(!picked.is_empty(), "find faults of {} among: {}", product.name, args.only.join(", "));
    let watch = Watch { booted, program: place.program(), port, began: Instant::now(), records: vec![], violations: vec![] };
    watch.all(&picked, product.name)
}

struct Watch {
    booted: Booted,
    program: PathBuf,
    port: u16,
    /// The guest's start.
    began: Instant,
    records: Vec<Value>,
    violations: Vec<String>,
}

impl Watch {
    fn all(mut self, picked: &[Told], product: &str) -> Result<()> {
        let up = self.until(UP_LIMIT, |s| is_well(s, &[]))?;
        ensure!(up, "the guest does not come to hash; its console:\n{}", self.booted.console.tail());
        self.tell("all chains hash");
        for kind in picked {
            self.pass(PAUSE)?;
            if !self.one(kind)? {
                break;
            }
        }
        let Watch { booted, records, violations, .. } = self;
        booted.stop()?;
        println!("{}", json!({ "product": product, "faults": records, "violations": violations }));
        ensure!(violations.is_empty(), "{} things went otherwise than they must", violations.len());
        Ok(())
    }

    /// One fault; false where the machine never came back.
    fn one(&mut self, kind: &Told) -> Result<bool> {
        let at = self.began.elapsed();
        let mut named = false;
        for time in 1..=kind.times {
            self.order(&format!("fault {}", kind.name))?;
            self.tell(&format!("{} is there", kind.name));
            if let Some(within) = kind.named_within_seconds {
                named = self.until(Duration::from_secs(within) * SLACK, |s| names(s, kind))?;
                if named {
                    self.tell("the status names it");
                }
            }
            self.pass(Duration::from_secs(kind.lasts_seconds))?;
            self.order(&format!("heal {}", kind.name))?;
            if time < kind.times && !self.until(COOL + FADE, |s| is_well(s, &[]))? {
                self.violate(&format!("{}: it is not back after {time} of {}", kind.name, kind.times));
                break;
            }
        }
        let ended = self.began.elapsed();
        let limit = Duration::from_secs(kind.recovers_within_seconds) * SLACK + COOL;
        let fades: Vec<&str> = kind.fades.iter().map(String::as_str).collect();
        if !named && !kind.shows.is_empty() {
            named = self.until(limit, |s| names(s, kind))?;
        }
        if !named && !kind.shows.is_empty() {
            self.violate(&format!("{}: the status never named it", kind.name));
        }
        let wait = if kind.latches { LATCH_WATCH } else { limit };
        let mut back = self.until(wait, |s| is_well(s, &fades))?;
        if back == kind.latches {
            let what = if back { "it did not latch" } else { "it is not back by itself" };
            self.violate(&format!("{}: {what}", kind.name));
        }
        let latched = !back;
        let recovered = (!latched).then(|| (self.began.elapsed() - ended).as_secs_f64());
        if latched {
            self.start()?;
            back = self.until(limit, |s| is_well(s, &fades))?;
        }
        self.tell(if back { "all chains hash again" } else { "it did not come back, by a start either" });
        self.records.push(json!({
            "name": kind.name,
            "at_seconds": at.as_secs_f64(),
            "recovered_seconds": recovered,
            "latched": latched,
        }));
        if !self.until(FADE, |s| is_well(s, &[]))? {
            self.violate(&format!("{}: long after it something is left", kind.name));
            return Ok(false);
        }
        Ok(true)
    }

    fn tell(&self, what: &str) {
        say(&format!("{:7.1} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    /// Something went otherwise than the list says; what the status shows now tells why.
    fn violate(&mut self, what: &str) {
        let shown = status(&self.program, self.port).map_or_else(|why| why, |s| summary(&s));
        let what = format!("{what}; there is: {shown}");
        self.tell(&what);
        self.violations.push(what);
    }

    fn order(&mut self, command: &str) -> Result<()> {
        self.booted.simulated.iter_mut().try_for_each(|s| s.tell(command))
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        let by = Instant::now() + time;
        while Instant::now() < by {
            self.booted.lines()?;
            std::thread::sleep(LOOK.min(by.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Looks at the status until this holds, at most so long; gives whether it did.
    fn until(&mut self, limit: Duration, holds: impl Fn(&Value) -> bool) -> Result<bool> {
        let by = Instant::now() + limit;
        loop {
            self.booted.lines()?;
            if status(&self.program, self.port).is_ok_and(|s| holds(&s)) {
                return Ok(true);
            }
            if Instant::now() >= by {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// A person asks for a start.
    fn start(&self) -> Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).context("reach the guest's page")?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).context("limit the wait for an answer")?;
        let asked = "POST /api/mining/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(asked.as_bytes()).context("ask for a start")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("read the answer to a start")?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "ask for a start: {answer}");
        Ok(())
    }
}

fn list<'a>(status: &'a Value, of: &str) -> impl Iterator<Item = &'a Value> {
    status[of].as_array().into_iter().flatten()
}

/// Whether all chains hash with all their chips, and nothing but a notice and this is shown.
fn is_well(status: &Value, fades: &[&str]) -> bool {
    let left = list(status, "faults").filter(|f| f["severity"] != "notice");
    let only = { left }.all(|f| f["code"].as_str().is_some_and(|c| fades.contains(&c)));
    let whole = |c: &Value| fades.contains(&"chain-short") || c["chips"] == c["chips_expected"];
    let hashing = list(status, "chains").all(|c| c["state"] == "hashing" && whole(c));
    only && hashing && list(status, "chains").next().is_some()
}

/// Whether a status calls the fault by one of its names.
fn names(status: &Value, kind: &Told) -> bool {
    list(status, "faults").any(|f| f["code"].as_str().is_some_and(|c| kind.shows.iter().any(|s| s == c)))
}

fn summary(status: &Value) -> String {
    let faults = list(status, "faults").map(|f| format!("{} at {}", f["code"], f["place"]));
    let chains = list(status, "chains").map(|c| format!("chain {} {} with {} chips", c["id"], c["state"], c["chips"]));
    faults.chain(chains).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_well_when_all_of_it_hashes_and_nothing_is_said() {
        let status = |state: &str, chips: u64, faults: Value| {
            let chain = json!({"id": 0, "state": state, "chips": chips, "chips_expected": 126});
            json!({"chains": [chain], "faults": faults})
        };
        let short = || json!([{"code": "chain-short", "severity": "warning", "place": "chain 0"}]);
        let notice = json!([{"code": "power-lowered", "severity": "notice", "place": "board"}]);
        for (state, chips, faults, fades, well) in [
            ("hashing", 126, json!([]), &[][..], true),
            ("hashing", 126, notice, &[], true),
            ("starting", 126, json!([]), &[], false),
            ("hashing", 125, json!([]), &[], false),
            ("hashing", 125, short(), &[], false),
            ("hashing", 125, short(), &["chain-short"], true),
        ] {
            assert_eq!(is_well(&status(state, chips, faults), fades), well, "{state} {chips}");
        }
        assert!(!is_well(&json!({"chains": [], "faults": []}), &[]), "nothing hashes");
        let told = json!({"name": "chain-cut", "shows": ["chain-short"], "fades": [], "named_within_seconds": null,
            "lasts_seconds": 3, "recovers_within_seconds": 60, "times": 1, "latches": false});
        let kind: Told = serde_json::from_value(told).expect("a row");
        assert!(names(&status("hashing", 125, short()), &kind) && !names(&status("hashing", 125, json!([])), &kind));
        assert!(summary(&status("off", 0, short())).contains("chain-short"));
    }
}
