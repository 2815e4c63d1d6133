//! One figure: its values in SI units, what they are meant to be, and how both are shown.
//!
//! Not here: how anything is measured.

use serde_json::{Value, json};

/// What is meant to hold for a figure's decisive value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing: it is only shown.
    None,
    /// Below this.
    Below(f64),
    /// This exactly.
    Exactly(f64),
    /// Above this.
    Above(f64),
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Unit last: `start_to_listening_seconds`.
    pub name: String,
    /// The first decides on the goal: (`median`, 0.01), (`worst`, 0.02).
    pub values: Vec<(&'static str, f64)>,
    /// How often it was measured.
    pub repetitions: usize,
    /// What is meant to hold.
    pub goal: Goal,
}

impl Figure {
    /// A figure that was measured once.
    pub fn once(name: impl Into<String>, value: f64, goal: Goal) -> Figure {
        Figure { name: name.into(), values: vec![("value", value)], repetitions: 1, goal }
    }

    /// Median and worst, where more is worse.
    pub fn of_times(name: impl Into<String>, times: &[f64], goal: Goal) -> Figure {
        let values = vec![("median", quantile(times, 0.5)), ("worst", quantile(times, 1.0))];
        Figure { name: name.into(), values, repetitions: times.len(), goal }
    }

    /// Median and worst, where less is worse.
    pub fn of_rates(name: impl Into<String>, rates: &[f64], goal: Goal) -> Figure {
        let values = vec![("median", quantile(rates, 0.5)), ("worst", quantile(rates, 0.0))];
        Figure { name: name.into(), values, repetitions: rates.len(), goal }
    }

    /// Whether the goal is met; `None` without one.
    pub fn met(&self) -> Option<bool> {
        let value = self.values.first()?.1;
        match self.goal {
            Goal::None => None,
            Goal::Below(limit) => Some(value < limit),
            Goal::Exactly(wanted) => Some((value - wanted).abs() < f64::EPSILON),
            Goal::Above(limit) => Some(value > limit),
        }
    }

    fn json(&self) -> Value {
        let mut out = json!({ "name": self.name, "repetitions": self.repetitions });
        for (key, value) in &self.values {
            out[*key] = json!(value);
        }
        let goal = match self.goal {
            Goal::None => return out,
            Goal::Below(n) => json!({ "below": n }),
            Goal::Exactly(n) => json!({ "exactly": n }),
            Goal::Above(n) => json!({ "above": n }),
        };
        (out["goal"], out["met"]) = (goal, json!(self.met()));
        out
    }

    fn line(&self) -> String {
        let shown: Vec<_> = self.values.iter().map(|(key, v)| format!("{key} {}", self.show(*v))).collect();
        let goal = match self.goal {
            Goal::None => String::new(),
            Goal::Below(n) => format!("below {}: ", self.show(n)),
            Goal::Exactly(n) => format!("{}: ", self.show(n)),
            Goal::Above(n) => format!("above {}: ", self.show(n)),
        };
        let met = self.met().map_or("", |met| if met { "met" } else { "MISSED" });
        format!("{:<36} {:<58} {goal}{met}", self.name, shown.join("  ")).trim_end().to_owned()
    }

    /// A value in the words of people; the name's last word is the unit.
    fn show(&self, value: f64) -> String {
        match self.name.rsplit('_').next().unwrap_or_default() {
            "second" => format!("{:.3} M/s", value / 1e6),
            "seconds" if value < 1.0 => format!("{:.3} ms", value * 1e3),
            "seconds" => format!("{value:.2} s"),
            "bytes" => format!("{:.2} MB", value / 1e6),
            "celsius" => format!("{value:.1} °C"),
            "fraction" => format!("{:.3} %", value * 100.0),
            "instructions" => format!("{value:.0}"),
            _ => format!("{value}"),
        }
    }
}

/// The value below which this part of all lies; the nearest that was measured. 0 where nothing was.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil().max(1.0) as usize - 1;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Where figures are shown as they come, and how long those may take that need a stretch of time.
pub struct Report {
    json: bool,
    /// Length of the long measurements.
    pub minutes: u64,
    missed: usize,
}

impl Report {
    /// Nothing was measured yet.
    pub fn new(json: bool, minutes: u64) -> Report {
        Report { json, minutes, missed: 0 }
    }

    /// Says what takes its time now.
    pub fn doing(&self, what: &str) {
        eprintln!("bench: {what}");
    }

    /// Shows a figure.
    pub fn add(&mut self, figure: &Figure) {
        self.missed += usize::from(figure.met() == Some(false));
        println!("{}", if self.json { figure.json().to_string() } else { figure.line() });
    }

    /// Shows that something was not measured, and why.
    pub fn skip(&self, name: &str, why: &str) {
        let json = || json!({ "name": name, "skipped": why }).to_string();
        println!("{}", if self.json { json() } else { format!("{name:<36} not measured: {why}") });
    }

    /// The last word, for people.
    pub fn end(&self) {
        if self.missed > 0 {
            eprintln!("bench: {} goals missed; they are meant for a quiet machine", self.missed);
        }
    }
}
