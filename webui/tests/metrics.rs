//! The metrics over a real socket, read by Prometheus's own reader of its format (Debian's `python3-prometheus-client`).

mod made_up;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;
use webui::{Shared, serve_metrics};

/// Reads the text as Prometheus does and says what it understood: `[{name, type, help, samples: [[name, labels, value]]}]`.
const READER: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as families
print(json.dumps([{'name': f.name, 'type': f.type, 'help': f.documentation,
  'samples': [[s.name, s.labels, str(s.value)] for s in f.samples]} for f in families(sys.stdin.read())]))
";

fn ask(request: &str, view: Shared) -> String {
    let server = serve_metrics(TcpListener::bind("127.0.0.1:0").expect("a port"), view).expect("it serves");
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn read(text: &str) -> Vec<Value> {
    // Debian's own, whatever else is called so here: the package is for that one.
    let mut reader = Command::new("/usr/bin/python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian's python3 is there; './setup test' installs it with Prometheus's reader");
    reader.stdin.take().expect("it was piped").write_all(text.as_bytes()).expect("it reads");
    let out = reader.wait_with_output().expect("it ends");
    assert!(out.status.success(), "the reader refused, or './setup test' did not run:\n{text}");
    serde_json::from_slice(&out.stdout).expect("JSON")
}

#[test]
fn prometheus_reads_what_the_machine_says() {
    let mut status = made_up::troubled(0);
    status.faults[0].place = "a \"quoted\\ place\n".into();
    // The same fault twice, a sensor's name twice: still one series each.
    status.faults.push(status.faults[1].clone());
    let twin = status.chains[0].sensors[0].clone();
    status.chains[0].sensors.push(twin);
    status.pool = made_up::pool(0, 3).pool;
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: prometheus.example:9090\r\n\r\n", Shared::new(status));
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");

    let families = read(text);
    let mut series = std::collections::BTreeSet::new();
    for f in &families {
        let name = f["name"].as_str().expect("text");
        assert!(name.starts_with("otedama_") && f["help"].as_str().is_some_and(|h| h.ends_with('.')), "{f}");
        assert!(["counter", "gauge"].contains(&f["type"].as_str().unwrap_or_default()), "{f}");
        for prefixed in ["kilo", "mega", "giga", "milli", "percent", "_ms", "_mhz"] {
            assert!(!name.contains(prefixed), "{name}: base units only");
        }
        for sample in f["samples"].as_array().expect("samples") {
            assert_eq!(sample[0].as_str().is_some_and(|n| n.ends_with("_total")), f["type"] == "counter", "{sample}");
            assert!(series.insert(format!("{}{}", sample[0], sample[1])), "twice: {sample}");
        }
    }
    let is = |name: &str, labels: Value, value: &str| {
        let wanted = serde_json::json!([name, labels, value]);
        let found = families.iter().any(|f| f["samples"].as_array().is_some_and(|all| all.contains(&wanted)));
        assert!(found, "{wanted} in\n{text}");
    };
    let none = serde_json::json!({});
    is("otedama_uptime_seconds", none.clone(), "93784.0");
    is("otedama_expected_hashes_per_second", none.clone(), "103800000000000.0");
    is("otedama_shares_total", serde_json::json!({"verdict": "rejected"}), "3.0");
    is("otedama_chain_clock_hertz", serde_json::json!({"chain": "0"}), "525000000.0");
    is("otedama_chip_celsius", serde_json::json!({"chain": "0"}), "93.0");
    is("otedama_fan_duty_ratio", serde_json::json!({"fan": "3"}), "0.62");
    is("otedama_cpu_hashes_per_second", serde_json::json!({"cpu": "0"}), "8500000.0");
    is("otedama_pool_workers", none, "3.0");
    let labels = serde_json::json!({"code": "settings-refused", "place": "a \"quoted\\ place\n", "severity": "warning"});
    is("otedama_fault", labels, "1.0");
    // What is unknown is absent, not zero.
    assert!(!series.iter().any(|s| s.starts_with("\"otedama_fan_rpm\"") && s.contains("\"3\"")), "{series:?}");
}

#[test]
fn a_pause_is_told_from_a_stop() {
    let by = model::PausedBy::Hours;
    for (status, mining, paused) in [(made_up::well(0), 1, 0), (made_up::paused(0, by), 1, 1), (made_up::stopped(0), 0, 0)] {
        let answer = ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Shared::new(status));
        for line in [format!("\notedama_mining {mining}\n"), format!("\notedama_paused {paused}\n")] {
            assert!(answer.contains(&line), "{line:?} {answer}");
        }
    }
}

#[test]
fn they_are_only_for_reading_and_at_one_address() {
    let view = Shared::new(made_up::nowhere(0));
    for (request, code) in [("POST /metrics", 405), ("GET /api/status", 404), ("POST /api/mining/stop", 404)] {
        let answer = ask(&format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n"), view.clone());
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
}
