//! From a value to what it means: words, numbers in a range, durations, addresses, URLs. Each refusal says what is wanted.
//!
//! Pure functions on one value; where a value stands and which key it belongs to is `meant`'s business.

use super::said::Value;
use super::{HostPort, Secret};
use crate::{Aim, Celsius, DAY_MINUTES, Hashrate, JoulePerTerahash, Task, Watt};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Longest text of a setting: a worker name at a pool with a 90-character address in it fits well.
const MAX_TEXT: usize = 256;
/// Longest host name (RFC 1035).
const MAX_HOST: usize = 253;
/// Longest path: Linux' `PATH_MAX` is 4096, a Unix socket's 108; devices are far below.
const MAX_PATH: usize = 1024;

/// Fewest letters that are taken for a part of a known word; fewer stand in too many of them.
const MIN_PART: usize = 4;

pub(super) type Meant<T> = Result<T, String>;

/// A value as it is shown in a refusal: short, on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(b) => b.to_string(),
        Value::Whole(n) => n.to_string(),
        Value::Fraction(n) => n.to_string(),
        Value::Text(t) => {
            let start: String = t.chars().take(40).collect();
            if start.len() < t.len() { format!("{start:?}…") } else { format!("{t:?}") }
        }
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a section".into(),
    }
}

pub(super) fn boolean(value: &Value) -> Meant<bool> {
    match value {
        Value::Bool(b) => Ok(*b),
        other => Err(format!("expected true or false, not {}", shown(other))),
    }
}

pub(super) fn whole(value: &Value, range: RangeInclusive<u32>) -> Meant<u32> {
    let wanted = || format!("expected a whole number from {} to {}, not {}", range.start(), range.end(), shown(value));
    let Value::Whole(n) = value else { return Err(wanted()) };
    u32::try_from(*n).ok().filter(|n| range.contains(n)).ok_or_else(wanted)
}

/// What a chip may be set to hold or to stop at: below it a room is, above it no chip lives.
const CELSIUS: RangeInclusive<f64> = 20.0..=125.0;

pub(super) fn celsius(value: &Value) -> Meant<Celsius> {
    let said = match value {
        Value::Whole(n) => i32::try_from(*n).ok().map(f64::from),
        Value::Fraction(n) => Some(*n),
        _ => None,
    };
    let wanted = || format!("expected degrees Celsius from {} to {}, not {}", CELSIUS.start(), CELSIUS.end(), shown(value));
    said.filter(|c| CELSIUS.contains(c)).map(Celsius).ok_or_else(wanted)
}

/// What a machine is tuned for.
pub(super) fn aim(value: &Value) -> Meant<Aim> {
    let wanted = || format!("expected power, hash rate or efficiency such as 3000W, 100TH/s or 29J/TH, not {}", shown(value));
    let Value::Text(said) = value else { return Err(wanted()) };
    let end = said.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = said.split_at(end);
    let number: f64 = number.parse().map_err(|_| wanted())?;
    // Each within what one machine of any kind takes or gives; beyond it a unit was mistaken.
    let (aim, in_unit, range) = match unit.trim_start() {
        "W" => (Aim::Power(Watt(number)), number, 1.0..=100_000.0),
        "kW" => (Aim::Power(Watt(number * 1e3)), number * 1e3, 1.0..=100_000.0),
        "GH/s" => (Aim::Rate(Hashrate(number * 1e9)), number, 1.0..=1e7),
        "TH/s" => (Aim::Rate(Hashrate(number * 1e12)), number * 1e3, 1.0..=1e7),
        "J/TH" => (Aim::Efficiency(JoulePerTerahash(number)), number, 1.0..=10_000.0),
        _ => return Err(wanted()),
    };
    if range.contains(&in_unit) { Ok(aim) } else { Err(format!("{said} is nothing that one machine takes or gives")) }
}

/// What a machine does at a time of the day.
pub(super) fn task(value: &Value) -> Meant<Task> {
    match value {
        Value::Text(t) if t == "pause" => Ok(Task::Pause),
        other => aim(other).map(|a| Task::Aim(Some(a))).map_err(|e| format!("{e} (or `pause`)")),
    }
}

/// A time of the day as its minute.
pub(super) fn time_of_day(value: &Value) -> Meant<u16> {
    let wanted = || format!("expected a time of day such as \"22:00\", in quotes, not {}", shown(value));
    let Value::Text(said) = value else { return Err(wanted()) };
    clock(said).filter(|m| *m < DAY_MINUTES).ok_or_else(wanted)
}

/// What a clock on the wall is ahead of UTC, in minutes.
pub(super) fn utc_offset(value: &Value) -> Meant<i16> {
    let wanted = || format!("expected an offset such as \"+02:00\", in quotes, from -12:00 to +14:00, not {}", shown(value));
    let Value::Text(said) = value else { return Err(wanted()) };
    let minutes = match said.split_at_checked(1) {
        Some(("+", rest)) => clock(rest).filter(|m| *m <= 14 * 60).map(i16::try_from),
        Some(("-", rest)) => clock(rest).filter(|m| *m <= 12 * 60).map(|m| i16::try_from(m).map(|m| -m)),
        _ => None,
    };
    minutes.and_then(Result::ok).ok_or_else(wanted)
}

/// `HH:MM` in minutes.
fn clock(said: &str) -> Option<u16> {
    let (hours, minutes) = said.split_once(':')?;
    let two = |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok()).flatten();
    Some(two(hours)? * 60 + two(minutes).filter(|m| *m < 60)?)
}

pub(super) fn text(value: &Value) -> Meant<String> {
    match value {
        Value::Text(t) if t.is_empty() => Err("expected a text, not an empty one".into()),
        Value::Text(t) if t.len() > MAX_TEXT => Err(format!("a text of {} bytes; at most {MAX_TEXT} are taken", t.len())),
        Value::Text(t) if t.chars().any(char::is_control) => Err("a text with control characters or line breaks in it".into()),
        Value::Text(t) => Ok(t.clone()),
        Value::Bool(_) | Value::Whole(_) | Value::Fraction(_) => Err(format!("expected a text: put {} in quotes", shown(value))),
        other => Err(format!("expected a text, not {}", shown(other))),
    }
}

/// A secret: as [`text`], but it may be empty and no refusal shows it.
pub(super) fn secret(value: &Value) -> Meant<Secret> {
    match value {
        Value::Text(t) if t.len() > MAX_TEXT => Err(format!("a password of {} bytes; at most {MAX_TEXT} are taken", t.len())),
        Value::Text(t) if t.chars().any(char::is_control) => {
            Err("a password with control characters or line breaks in it".into())
        }
        Value::Text(t) => Ok(Secret::new(t)),
        _ => Err("expected a text: put the password in quotes".into()),
    }
}

/// One of `known`; a word of `later` is told to wait.
pub(super) fn word<'a>(value: &Value, what: &str, known: &[&'a str], later: &[&str]) -> Meant<&'a str> {
    let Value::Text(said) = value else { return Err(format!("expected {what}, not {}", shown(value))) };
    if let Some(word) = known.iter().find(|k| *k == said) {
        return Ok(word);
    }
    if later.contains(&said.as_str()) {
        return Err(format!("{said:?} is known, but this version cannot do it yet; it can: {}", known.join(", ")));
    }
    Err(format!("no {what} is called {}{}", shown(value), suggestion(said, known)))
}

pub(super) fn duration(value: &Value, range: RangeInclusive<Duration>) -> Meant<Duration> {
    let wanted = || format!("expected a duration such as 500ms, 5s, 2m or 24h, not {}", shown(value));
    let Value::Text(said) = value else { return Err(wanted()) };
    let digits = said.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = said.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted()),
    };
    let number: u64 = number.parse().map_err(|_| wanted())?;
    let duration = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wanted)?;
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{said} lies outside {:?} to {:?}", range.start(), range.end()))
    }
}

pub(super) fn socket(value: &Value) -> Meant<SocketAddr> {
    match value {
        Value::Text(t) => t
            .parse()
            .map_err(|_| format!("expected an IP address and a port such as 127.0.0.1:3333 or [::]:3333, not {}", shown(value))),
        other => Err(format!("expected an IP address and a port such as 127.0.0.1:3333, not {}", shown(other))),
    }
}

pub(super) fn path(value: &Value) -> Meant<PathBuf> {
    match value {
        Value::Text(t) if t.starts_with('/') && t.len() <= MAX_PATH && !t.chars().any(char::is_control) => Ok(PathBuf::from(t)),
        other => Err(format!("expected a path from the root such as /dev/ttyUSB0, not {}", shown(other))),
    }
}

pub(super) fn stratum_url(value: &Value) -> Meant<HostPort> {
    let wanted = || format!("expected a URL such as stratum+tcp://pool.example:3333, not {}", shown(value));
    let Value::Text(said) = value else { return Err(wanted()) };
    let Some((scheme, rest)) = said.split_once("://") else { return Err(wanted()) };
    match scheme {
        "stratum+tcp" => host_port(rest).ok_or_else(wanted),
        "stratum+tls" | "stratum2+tcp" => Err(format!("{scheme}:// is known, but this version speaks stratum+tcp:// only")),
        _ => {
            let known = ["stratum+tcp", "stratum+tls", "stratum2+tcp"];
            let start: String = scheme.chars().take(20).collect();
            Err(format!("no scheme {start:?} for a pool{}", suggestion(scheme, &known)))
        }
    }
}

pub(super) fn http_url(value: &Value) -> Meant<HostPort> {
    // Never shown: people write user:password@ into such URLs.
    let wanted = || "expected a URL such as http://127.0.0.1:8332, host and port only".to_owned();
    let Value::Text(said) = value else { return Err(wanted()) };
    said.strip_prefix("http://").and_then(|rest| host_port(rest.strip_suffix('/').unwrap_or(rest))).ok_or_else(wanted)
}

fn host_port(rest: &str) -> Option<HostPort> {
    let (host, port) = rest.rsplit_once(':')?;
    let port = Some(port).filter(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()));
    let port = port.and_then(|p| p.parse::<u16>().ok()).filter(|p| *p != 0)?;
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').filter(|h| h.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|h| {
            h.split('.')
                .all(|l| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        })?,
    };
    (bare.len() <= MAX_HOST).then(|| HostPort { host: bare.to_owned(), port })
}

/// `; did you mean 'x'?`, or the list of what is known where nothing is near.
pub(super) fn suggestion(said: &str, known: &[&str]) -> String {
    match nearest(said, known) {
        Some(near) => format!("; did you mean '{near}'?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    }
}

/// The nearest of `known`, where it is near enough to be what was meant: a few letters off, or a part of it.
pub(super) fn nearest<'a>(said: &str, known: &[&'a str]) -> Option<&'a str> {
    // Words of outside input are compared by their first 64 characters: the cost is their product.
    let said: Vec<char> = said.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let part: String = said.iter().collect();
    let near = |known: &str, distance: usize| {
        distance <= (known.len().max(said.len()) / 2).max(1) || (said.len() >= MIN_PART && known.contains(&part))
    };
    let distances = known.iter().map(|k| (distance(&said, k), *k));
    distances.filter(|(d, k)| near(k, *d)).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// Edit distance with transpositions: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn durations_are_read_and_bad_ones_refused() {
        let any = Duration::ZERO..=Duration::MAX;
        for (text, millis) in [("5s", 5000), ("2h", 7_200_000), ("24h", 86_400_000), ("250ms", 250), ("1d", 86_400_000)] {
            assert_eq!(duration(&t(text), any.clone()), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["5", "s", "5 s", "-5s", "5sec", "1.5s", "99999999999999999999s", "18446744073709551615h", ""] {
            assert!(duration(&t(text), any.clone()).is_err(), "{text}");
        }
        assert!(duration(&t("1h"), Duration::ZERO..=Duration::from_secs(10)).is_err());
    }

    #[test]
    fn only_host_and_port_make_a_url() {
        let good = HostPort { host: "pool.example".into(), port: 3333 };
        assert_eq!(stratum_url(&t("stratum+tcp://pool.example:3333")), Ok(good));
        assert_eq!(stratum_url(&t("stratum+tcp://[::1]:3333")).map(|u| u.host), Ok("::1".into()));
        for bad in [
            "pool.example:3333",
            "stratum+tcp://pool.example",
            "stratum+tcp://:3333",
            "stratum+tcp://a:0",
            "stratum+tcp://a:65536",
            "stratum+tcp://a:3333/x",
            "stratum+tcp://u:p@a:3333",
            "stratum+tcp://a b:1",
            "http://a:1",
            "stratum+tcp://[zz]:1",
            "stratum+tcp://a:+1",
        ] {
            assert!(stratum_url(&t(bad)).is_err(), "{bad}");
        }
        let refused = stratum_url(&t("stratum+tls://pool.example:3333")).expect_err("not yet");
        assert!(refused.contains("stratum+tcp:// only"), "{refused}");
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not_offered() {
        assert_eq!(nearest("treads", &["threads", "priority"]), Some("threads"));
        assert_eq!(nearest("mnining", &["mining", "monitoring"]), Some("mining"));
        assert_eq!(nearest("algorihtm", &["algorithm"]), Some("algorithm"));
        assert_eq!(nearest("s19jpro", &["bitaxe-gamma", "antminer-s19jpro"]), Some("antminer-s19jpro"));
        assert_eq!(nearest("zzzzzz", &["threads"]), None);
    }
}
