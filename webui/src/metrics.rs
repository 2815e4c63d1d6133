//! Prometheus text, in base units, the unit last in the name.
//!
//! What is unknown is left out rather than shown as zero: an alarm on an absent sensor then works. Not a history: Prometheus
//! keeps that.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::net::TcpListener;

use model::Status;

use crate::Shared;
use crate::answer::Answer;
use crate::route::{Options, is_read, path};
use crate::server::{Error, Server};

/// Serves metrics on `listener`, at `/metrics` (and `/`).
pub fn serve_metrics(listener: TcpListener, view: Shared) -> Result<Server, Error> {
    let Options { limits, directory, .. } = Options::default();
    Server::start(listener, limits, &directory, move |request| match path(request) {
        "/" | "/metrics" if is_read(request) => {
            Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", metrics(&view.latest()))
        }
        "/" | "/metrics" => Answer::method("GET, HEAD"),
        _ => Answer::refusal(404, "not-found", "There is nothing at this address.", "Ask for /metrics."),
    })
}

/// One metric's lines.
struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    seen: BTreeSet<String>,
}

fn family<'a>(out: &'a mut String, name: &'static str, kind: &str, help: &str) -> Family<'a> {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    Family { out, name, seen: BTreeSet::new() }
}

impl Family<'_> {
    fn row(&mut self, labels: &[(&str, &dyn Display)], value: f64) {
        let told: Vec<_> = labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escape(&text.to_string()))).collect();
        let told = told.join(",");
        // The same series twice would make Prometheus refuse the whole answer.
        if !self.seen.insert(told.clone()) {
            return;
        }
        let (start, end) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = write!(self.out, "{}{start}{told}", self.name);
        let _ = if value.is_infinite() {
            writeln!(self.out, "{end} {}Inf", if value > 0.0 { '+' } else { '-' })
        } else {
            writeln!(self.out, "{end} {value}")
        };
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn count(n: u64) -> f64 {
    // Exact to 2^53; at a thousand a second that is 285,000 years.
    n as f64
}

fn metrics(s: &Status) -> String {
    let mut text = String::new();
    let out = &mut text;
    let truth = |b: bool| f64::from(u8::from(b));
    family(out, "otedama_info", "gauge", "Always 1; version and product are its labels.")
        .row(&[("version", &s.version), ("product", &s.product), ("simulated", &s.simulated)], 1.0);
    family(out, "otedama_uptime_seconds", "gauge", "Since the program's start.").row(&[], count(s.uptime_seconds));
    family(out, "otedama_mining", "gauge", "1 while it is asked to mine.").row(&[], truth(s.mining));
    family(out, "otedama_paused", "gauge", "1 while it pauses.").row(&[], truth(s.paused));
    family(out, "otedama_hashes_per_second", "gauge", "Rate of all chains and threads.").row(&[], s.hashes_per_second);
    family(out, "otedama_expected_hashes_per_second", "gauge", "What clocks and chips promise.")
        .row(&[], s.expected_hashes_per_second);
    let mut f = family(out, "otedama_shares_total", "counter", "Shares of all upstreams by what became of them.");
    for (verdict, n) in [("accepted", s.shares.accepted), ("rejected", s.shares.rejected), ("stale", s.shares.stale)] {
        f.row(&[("verdict", &verdict)], count(n));
    }
    let mut f = family(out, "otedama_upstream_active", "gauge", "1 for the upstream that jobs come from.");
    for (i, u) in s.upstreams.iter().enumerate() {
        f.row(&[("upstream", &i), ("url", &u.url)], truth(u.active));
    }
    let mut f = family(out, "otedama_upstream_shares_total", "counter", "Shares sent to an upstream.");
    for (i, u) in s.upstreams.iter().enumerate() {
        for (verdict, n) in [("accepted", u.shares.accepted), ("rejected", u.shares.rejected), ("stale", u.shares.stale)] {
            f.row(&[("upstream", &i), ("verdict", &verdict)], count(n));
        }
    }
    chains(out, s);
    cpus(out, s);
    let mut f = family(out, "otedama_fan_rpm", "gauge", "Turns a minute.");
    for fan in &s.fans {
        if let Some(rpm) = fan.rpm {
            f.row(&[("fan", &fan.id)], rpm);
        }
    }
    let mut f = family(out, "otedama_fan_duty_ratio", "gauge", "What the fan was told, 0 to 1.");
    for fan in &s.fans {
        f.row(&[("fan", &fan.id)], fan.duty_percent / 100.0);
    }
    let mut f = family(out, "otedama_fault", "gauge", "1 for each fault that is there now.");
    for fault in &s.faults {
        f.row(&[("code", &fault.code), ("place", &fault.place), ("severity", &fault.severity)], 1.0);
    }
    if let Some(workers) = &s.pool {
        family(out, "otedama_pool_workers", "gauge", "Miners connected to our own pool.").row(&[], count(workers.len() as u64));
    }
    text
}

fn chains(out: &mut String, s: &Status) {
    type Value = fn(&model::ChainStatus) -> Option<f64>;
    let table: [(&'static str, &str, &str, Value); 11] = [
        ("otedama_chain_hashes_per_second", "gauge", "Rate of one chain.", |c| Some(c.hashes_per_second)),
        ("otedama_chain_expected_hashes_per_second", "gauge", "What its clock and chips promise.", |c| {
            Some(c.expected_hashes_per_second)
        }),
        ("otedama_chain_chips", "gauge", "Chips that answered.", |c| Some(f64::from(c.chips))),
        ("otedama_chain_chips_expected", "gauge", "Chips that should.", |c| Some(f64::from(c.chips_expected))),
        ("otedama_chain_clock_hertz", "gauge", "Clock of its chips.", |c| Some(c.clock_hertz)),
        ("otedama_chain_volts", "gauge", "Its rail.", |c| Some(c.volts)),
        ("otedama_chain_up", "gauge", "1 while it hashes.", |c| Some(f64::from(u8::from(c.state == model::ChainState::Hashing)))),
        ("otedama_chain_nonces_total", "counter", "Verified nonces.", |c| Some(count(c.nonces))),
        ("otedama_chain_hardware_errors_total", "counter", "Wrong nonces.", |c| Some(count(c.hardware_errors))),
        ("otedama_chain_frame_errors_total", "counter", "Frames with a wrong checksum.", |c| Some(count(c.frame_errors))),
        ("otedama_chip_celsius", "gauge", "Estimated chip temperature.", |c| c.chip_celsius),
    ];
    for (name, kind, help, value) in table {
        let mut f = family(out, name, kind, help);
        for chain in &s.chains {
            if let Some(value) = value(chain) {
                f.row(&[("chain", &chain.id)], value);
            }
        }
    }
    let mut f = family(out, "otedama_sensor_celsius", "gauge", "What a sensor reads.");
    for chain in &s.chains {
        for sensor in &chain.sensors {
            if let Some(celsius) = sensor.celsius {
                f.row(&[("chain", &chain.id), ("place", &sensor.place)], celsius);
            }
        }
    }
}

fn cpus(out: &mut String, s: &Status) {
    type Value = fn(&model::CpuStatus) -> f64;
    let table: [(&'static str, &str, &str, Value); 4] = [
        ("otedama_cpu_hashes_per_second", "gauge", "Rate of one thread of the processor.", |c| c.hashes_per_second),
        ("otedama_cpu_expected_hashes_per_second", "gauge", "What it did when measured.", |c| c.expected_hashes_per_second),
        ("otedama_cpu_nonces_total", "counter", "Verified nonces.", |c| count(c.nonces)),
        ("otedama_cpu_hardware_errors_total", "counter", "Wrong nonces.", |c| count(c.hardware_errors)),
    ];
    for (name, kind, help, value) in table {
        let mut f = family(out, name, kind, help);
        for cpu in &s.cpus {
            f.row(&[("cpu", &cpu.id)], value(cpu));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_odd_numbers_spelt() {
        let mut out = String::new();
        let mut f = family(&mut out, "m", "gauge", "h");
        f.row(&[("a", &"x\"y\\z\nw"), ("b", &2)], 1.5);
        f.row(&[], f64::INFINITY);
        f.row(&[("a", &"x\"y\\z\nw"), ("b", &2)], 2.5);
        let mut f = family(&mut out, "n", "gauge", "h");
        f.row(&[], f64::NAN);
        let first = "# HELP m h\n# TYPE m gauge\nm{a=\"x\\\"y\\\\z\\nw\",b=\"2\"} 1.5\nm +Inf\n";
        assert_eq!(out, format!("{first}# HELP n h\n# TYPE n gauge\nn NaN\n"), "one series is there once");
    }
}
