//! What a guest has come to, read from its console and its status: the times of the way to mining, and lines for people.
//!
//! A line is shown when something changes, never because time passes. Not here: where both come from (`run`).

use crate::boot::Firmware;
use crate::command::say;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When things happened first, from QEMU's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// The first line of the first process.
    pub first_line: Option<Duration>,
    /// The program listens.
    pub listening: Option<Duration>,
    /// It has an address, and so can be asked.
    pub reachable: Option<Duration>,
    /// A share was accepted.
    pub share: Option<Duration>,
    /// One that the processor found.
    pub cpu_share: Option<Duration>,
    /// One that a chain found.
    pub chain_share: Option<Duration>,
}

impl Times {
    /// One object, for programs.
    #[must_use]
    pub fn json(&self, firmware: Firmware) -> Value {
        let seconds = |t: Option<Duration>| t.map(|t| t.as_millis() as f64 / 1e3);
        json!({
            "firmware": format!("{firmware:?}").to_lowercase(),
            "first_line_seconds": seconds(self.first_line),
            "listening_seconds": seconds(self.listening),
            "cpu_share_seconds": seconds(self.cpu_share),
            "chain_share_seconds": seconds(self.chain_share),
        })
    }
}

/// What was shown already.
#[derive(Debug, Default)]
pub struct Shown {
    /// When things happened first.
    pub times: Times,
    chains: BTreeMap<u64, String>,
    /// Title and place of each.
    faults: BTreeSet<(String, String)>,
    mining: bool,
    why: Option<String>,
}

impl Shown {
    /// A line of the console.
    pub fn console(&mut self, now: Duration, line: &str) {
        if line.contains("otedama init:") {
            first(&mut self.times.first_line, now, "the first process runs");
        }
        if line.contains(" listening ") {
            first(&mut self.times.listening, now, "the program listens");
        }
        if line.contains("otedama init: page: ") {
            self.times.reachable.get_or_insert(now);
        }
    }

    /// The status was asked for and did not come.
    pub fn silent(&mut self, why: String) {
        self.why = Some(why);
    }

    /// Why the last question for the status had no answer.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// A status.
    pub fn status(&mut self, now: Duration, s: &Value) {
        self.why = None;
        let accepted = |of: &str| list(&s[of]).any(|hand| number(&hand["shares_accepted"]) > 0);
        if accepted("cpus") {
            first(&mut self.times.cpu_share, now, "the first share of the processor was accepted");
        }
        if accepted("chains") {
            first(&mut self.times.chain_share, now, "the first share of a chain was accepted");
        }
        if number(&s["shares"]["accepted"]) > 0 {
            self.times.share.get_or_insert(now);
        }
        self.chains(now, s);
        self.faults(now, s);
    }

    fn chains(&mut self, now: Duration, s: &Value) {
        let mut changed = BTreeMap::<_, Vec<_>>::new();
        for chain in list(&s["chains"]) {
            let (id, state) = (number(&chain["id"]), text(&chain["state"]));
            if self.chains.get(&id) != Some(&state) {
                let what = format!("{state}, {} of {} chips", chain["chips"], chain["chips_expected"]);
                changed.entry(what).or_default().push(format!("chain {id}"));
                self.chains.insert(id, state);
            }
        }
        for (what, chains) in changed {
            tell(now, &format!("{}: {what}", few(&chains)));
        }
        let mining = list(&s["chains"]).any(|c| c["state"] == "hashing");
        if mining != self.mining {
            tell(now, if mining { "hash power is on" } else { "hash power is off" });
            self.mining = mining;
        }
    }

    fn faults(&mut self, now: Duration, s: &Value) {
        let (mut there, mut new) = (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
        for f in list(&s["faults"]) {
            let fault = (text(&f["title"]), text(&f["place"]));
            if !self.faults.contains(&fault) {
                let kind = (text(&f["severity"]), fault.0.clone(), text(&f["advice"]));
                new.entry(kind).or_default().push((fault.1.clone(), text(&f["detail"])));
            }
            there.insert(fault);
        }
        // One cause has many places: a bus that is gone takes all sensors with it.
        for ((severity, title, advice), at) in new {
            let places: Vec<&str> = at.iter().map(|(place, _)| place.as_str()).collect();
            let detail = at.first().map_or("-", |(_, detail)| detail);
            tell(now, &format!("{severity}: {title} ({}): {detail}", few(&places)));
            say(&format!("          {advice}"));
        }
        let mut over = BTreeMap::<_, Vec<_>>::new();
        for (title, place) in self.faults.difference(&there) {
            over.entry(title).or_default().push(place.as_str());
        }
        for (title, places) in over {
            tell(now, &format!("over: {title} ({})", few(&places)));
        }
        self.faults = there;
    }
}

/// The first names of a list.
fn few(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 3;
    let rest = names.len().saturating_sub(SHOWN);
    let shown: Vec<&str> = names[..names.len() - rest].iter().map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}

fn first(at: &mut Option<Duration>, now: Duration, what: &str) {
    if at.is_none() {
        *at = Some(now);
        tell(now, what);
    }
}

fn tell(now: Duration, what: &str) {
    say(&format!("{:6.1} s  {what}", now.as_secs_f64()));
}

fn list(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

fn number(v: &Value) -> u64 {
    v.as_u64().unwrap_or(0)
}

/// Text of a pool or a part; it does not steer the terminal.
fn text(v: &Value) -> String {
    v.as_str().unwrap_or("-").chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_those_of_the_first_of_each() {
        let mut shown = Shown::default();
        for (at, line) in [
            (1, "Linux version 6.12"),
            (2, "otedama init: the first process"),
            (3, "otedama init: started the child as process 71"),
            (4, "2026-11-23T13:03:59.558445Z  INFO listening page=0.0.0.0:8080"),
            (5, "[    2.893] otedama init: page: http://10.0.2.15:8080"),
        ] {
            shown.console(s(at), line);
        }
        let status = |cpu: u64, chain: u64| {
            json!({"shares": {"accepted": cpu + chain}, "cpus": [{"shares_accepted": cpu}],
                "chains": [{"id": 0, "state": "hashing", "shares_accepted": 0}, {"id": 1, "state": "off", "shares_accepted": chain}]})
        };
        shown.silent("no answer".to_owned());
        assert_eq!(shown.why(), Some("no answer"));
        for (at, cpu, chain) in [(5, 0, 0), (6, 1, 0), (7, 2, 0), (8, 2, 1), (9, 3, 5)] {
            shown.status(s(at), &status(cpu, chain));
        }
        assert_eq!(shown.why(), None);
        let t = Times {
            first_line: Some(s(2)),
            listening: Some(s(4)),
            reachable: Some(s(5)),
            share: Some(s(6)),
            cpu_share: Some(s(6)),
            chain_share: Some(s(8)),
        };
        assert_eq!(shown.times, t);
        let shown = t.json(Firmware::Bios);
        assert_eq!(
            (&shown["firmware"], &shown["listening_seconds"], &shown["chain_share_seconds"]),
            (&"bios".into(), &4.0.into(), &8.0.into())
        );
    }

    #[test]
    fn a_change_is_kept_so_that_it_is_shown_once() {
        let mut shown = Shown::default();
        let status = |state: &str, faults: Value| json!({"chains": [{"id": 0, "state": state}], "faults": faults});
        let fault =
            json!({"title": "Sensor\u{1b}[2J lost", "place": "chain 0", "severity": "error", "detail": "d", "advice": "a"});
        shown.status(s(0), &status("starting", json!([])));
        shown.status(s(1), &status("hashing", json!([])));
        assert!(shown.mining && shown.faults.is_empty());
        shown.status(s(2), &status("failed", json!([fault])));
        assert!(!shown.mining);
        assert_eq!(shown.chains[&0], "failed");
        assert_eq!(shown.faults.first(), Some(&("Sensor[2J lost".to_owned(), "chain 0".to_owned())));
        shown.status(s(3), &status("starting", json!([])));
        assert!(shown.faults.is_empty());
        shown.status(s(4), &json!({"chains": 7, "faults": "x"}));
        assert_eq!(few(&["a", "b", "c"]), "a, b, c");
        assert_eq!(few(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
