//! `otedama status`: what a running machine says of itself, as JSON or as a table for people.
//!
//! It is asked at its Unix socket, or by one GET of its interface, with limits on time and size. Not here: what the status holds
//! (`model::Status`).

use crate::asked;
use crate::exit::Exit;
use crate::last_good;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the machine may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest answer: ten thousand workers of a pool take some 2 MB.
const BYTES_LIMIT: usize = 8 << 20;

#[derive(clap::Args)]
#[command(after_help = "Example: otedama status --json\n         otedama status --address http://192.168.1.20:8080")]
pub struct Args {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// The page of a machine, to ask it over HTTP; without it, the one that runs here is asked.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// The settings file of the machine that runs here: its socket is beside its state.
    #[arg(long, value_name = "FILE", default_value = "config.yaml", conflicts_with = "address")]
    config: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (body, place) = match &args.address {
        None => here(&args.config)?,
        Some(address) => {
            let Some(authority) = authority(address) else {
                eprintln!("otedama: --address '{address}' is not of the form http://HOST:PORT");
                return Ok(Exit::WrongInput);
            };
            let attempt = || format!("ask {address} for its status: does 'otedama serve' run there, with 'api' enabled?");
            (get(&authority, "/api/status").with_context(attempt)?, address.clone())
        }
    };
    let status: Value = serde_json::from_slice(&body).with_context(|| format!("read the answer of {place}"))?;
    ensure!(status["version"].is_string(), "what answers at {place} is not Otedama");
    let text = if args.json { format!("{status}\n") } else { table(&status) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The answer of the machine that runs here, and where it was had: beside the state of these settings, or where an image has it.
fn here(config: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    let mut why = String::new();
    let beside = last_good::folders(config).into_iter().map(|state| asked::beside(&state));
    for path in beside.chain([PathBuf::from(asked::OF_IMAGE)]) {
        match asked::ask(&path, ANSWER_LIMIT, BYTES_LIMIT) {
            Ok(body) => return Ok((body, path.display().to_string())),
            Err(error) => why += &format!("\n  {}: {error:#}", path.display()),
        }
    }
    bail!(
        "ask the machine that runs here for its status: no 'otedama serve' answers. --config FILE names its settings, \
         --address URL asks another one over HTTP.{why}"
    )
}

/// Host and port of an address; port 80 where it names none.
fn authority(address: &str) -> Option<String> {
    let rest = address.strip_prefix("http://").or((!address.contains("://")).then_some(address))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let good = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    let port = rest.rsplit_once(':').filter(|(_, p)| !p.ends_with(']'));
    match port {
        _ if !good => None,
        Some((host, port)) => (!host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0)).then(|| rest.to_owned()),
        None => Some(format!("{rest}:80")),
    }
}

fn get(authority: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => bail!("no answer within {} s", ANSWER_LIMIT.as_secs()),
        left => Ok(left),
    };
    let mut found = authority.to_socket_addrs()?;
    let address = found.next().context("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            n => answer.extend_from_slice(&chunk[..n]),
        }
        ensure!(answer.len() <= BYTES_LIMIT, "an answer of more than {BYTES_LIMIT} bytes");
    }
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("the answer is not HTTP")?;
    let code = String::from_utf8_lossy(answer[..end].split(|b| *b == b'\r').next().unwrap_or_default()).into_owned();
    ensure!(code.starts_with("HTTP/1.") && code.split(' ').nth(1) == Some("200"), "it answers '{code}'");
    Ok(answer.split_off(end + 4))
}

fn table(s: &Value) -> String {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let rate = |v: &Value| format!("{:.2} TH/s", v.as_f64().unwrap_or(0.0) / 1e12);
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let or_dash = |v: &Value, unit: &str| v.as_f64().map_or_else(|| "-".to_owned(), |n| format!("{n:.1}{unit}"));
    let product = s["product"].as_str().filter(|p| !p.is_empty()).unwrap_or("no hashboards");
    let simulated = if s["simulated"] == true { "SIMULATED " } else { "" };
    let mut out = format!("{simulated}{product}, Otedama {}, up {} s\n", text(&s["version"]), s["uptime_seconds"]);
    let asked = match (s["mining"] == true, s["paused"] == true, s["paused_by"].as_str()) {
        (false, ..) => "stopped",
        (true, false, _) => "asked to mine",
        (true, true, Some("person")) => "paused by a person",
        (true, true, Some("hours")) => "paused by the hours of the settings",
        (true, true, _) => "paused",
    };
    out += &format!("hash rate  {} of {} ({asked})\n", rate(&s["hashes_per_second"]), rate(&s["expected_hashes_per_second"]));
    let n = &s["shares"];
    out += &format!("shares     {} accepted, {} rejected, {} stale\n", n["accepted"], n["rejected"], n["stale"]);
    out += &format!("mining for {}\n", s["upstream"].as_str().unwrap_or("nobody"));
    for u in list(&s["upstreams"]) {
        out += &format!("  pool     {}: {}\n", text(&u["url"]), text(&u["state"]));
    }
    for c in list(&s["chains"]) {
        let chips = format!("{} of {} chips", c["chips"], c["chips_expected"]);
        let (speed, heat) = (rate(&c["hashes_per_second"]), or_dash(&c["chip_celsius"], " °C"));
        out += &format!("  chain {}  {:<9} {chips}, {speed}, {heat}\n", c["id"], text(&c["state"]));
    }
    for c in list(&s["cpus"]) {
        out += &format!(
            "  cpu {}    {:<9} {:.2} MH/s\n",
            c["id"],
            text(&c["state"]),
            c["hashes_per_second"].as_f64().unwrap_or(0.0) / 1e6
        );
    }
    for f in list(&s["fans"]) {
        out += &format!("  fan {}    {} at {}\n", f["id"], or_dash(&f["rpm"], " rpm"), or_dash(&f["duty_percent"], " %"));
    }
    if let Some(workers) = s["pool"].as_array() {
        out += &format!("own pool   {} worker(s)\n", workers.len());
    }
    for f in list(&s["faults"]) {
        out += &format!("{}: {} ({}) {}\n", text(&f["severity"]), text(&f["title"]), text(&f["place"]), text(&f["detail"]));
        out += &format!("  -> {}\n", text(&f["advice"]));
    }
    // A pool names itself and its messages: none of it may steer the terminal.
    out.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (said, meant) in [
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://miner.lan/", Some("miner.lan:80")),
            ("[::1]:8080", Some("[::1]:8080")),
            ("https://miner.lan", None),
            ("http://a:0", None),
            ("http://a b", None),
            ("http://a\r\nX: y", None),
            ("", None),
        ] {
            assert_eq!(authority(said).as_deref(), meant, "{said}");
        }
    }

    #[test]
    fn what_the_machine_is_to_do_is_said_with_why() {
        for (status, said) in [
            (serde_json::json!({"mining": true, "paused": false, "paused_by": null}), "(asked to mine)"),
            (serde_json::json!({"mining": true, "paused": true, "paused_by": "person"}), "(paused by a person)"),
            (serde_json::json!({"mining": true, "paused": true, "paused_by": "hours"}), "(paused by the hours of the settings)"),
            (serde_json::json!({"mining": true, "paused": true}), "(paused)"),
            (serde_json::json!({"mining": false, "paused": true, "paused_by": "person"}), "(stopped)"),
        ] {
            assert!(table(&status).contains(said), "{}", table(&status));
        }
        let hours = model::Status { paused_by: Some(model::PausedBy::Hours), ..model::Status::default() };
        assert_eq!(serde_json::to_value(hours).expect("JSON")["paused_by"], "hours", "by the words that are looked for");
        let person = model::Status { paused_by: Some(model::PausedBy::Person), ..model::Status::default() };
        assert_eq!(serde_json::to_value(person).expect("JSON")["paused_by"], "person");
    }

    #[test]
    fn a_table_of_nothing_still_reads_and_no_text_steers_the_terminal() {
        let shown = table(&serde_json::json!({"faults": [{"title": "bad\u{1b}[2Jname"}]}));
        assert!(shown.contains("mining for nobody") && shown.contains("bad [2Jname"), "{shown}");
    }
}
