//! The interface over real sockets: each route, each refusal, and clients that mean no good.
#![expect(clippy::unwrap_used, reason = "the helpers of a test panic as the test does")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use model::{ChainStatus, Command, Fault, FaultCode, SensorStatus, ShareCounts, Status, WorkerStatus};
use serde_json::Value;
use webui::{Limits, Options, Server, Shared, serve_health, serve_with};

fn status() -> Status {
    let sensors = vec![SensorStatus { place: "chain 0 inlet".into(), celsius: Some(41.5) }];
    Status {
        version: "1.2.3".into(),
        mining: true,
        hashes_per_second: 1.5e12,
        shares: ShareCounts { accepted: 7, rejected: 2, stale: 1 },
        best_difficulty: "123.5".into(),
        chains: vec![ChainStatus { chip_celsius: Some(61.0), sensors, hashes_per_second: 1.5e12, ..ChainStatus::default() }],
        faults: vec![(&Fault { code: FaultCode::TooHot, place: "chain \"0\"".into(), detail: "<b>".into() }).into()],
        pool: Some(vec![WorkerStatus { name: "a.<script>".into(), ..WorkerStatus::default() }]),
        ..Status::default()
    }
}

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn page(limits: Limits) -> (Server, Receiver<Command>, Shared) {
    let view = Shared::new(status());
    let (sender, receiver) = sync_channel(1);
    let options = Options { names: vec!["miner.lan".into()], limits, ..Options::default() };
    (serve_with(loopback(), view.clone(), sender, options).unwrap(), receiver, view)
}

/// Sends bytes, reads until the other side closes; gives the code, the head and the body.
fn raw(to: SocketAddr, request: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(request).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> (u16, String, String) {
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").expect("an answer with a head");
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_owned(), body.to_owned())
}

fn ask(to: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {to}\r\n") };
    raw(to, format!("{method} {path} HTTP/1.1\r\n{host}{headers}\r\n").as_bytes())
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

#[track_caller]
fn refused((status, _, body): (u16, String, String), wanted: u16, code: &str) {
    assert_eq!(status, wanted, "{body}");
    let error = &json(&body)["error"];
    assert_eq!(error["code"], code);
    assert!(error["message"].is_string());
    assert!(error["advice"].is_string());
}

#[test]
fn the_page_comes_with_a_strict_policy() {
    let (server, _commands, _) = page(Limits::default());
    let (code, head, body) = ask(server.address(), "GET", "/", "");
    assert_eq!(code, 200);
    assert!(body.starts_with("<!doctype html>"), "{body}");
    assert!(head.contains("Content-Security-Policy: default-src 'none'; script-src 'sha256-"), "{head}");
    assert!(!head.contains("unsafe"), "{head}");
    let (code, _, body) = ask(server.address(), "HEAD", "/", "");
    assert_eq!((code, body.as_str()), (200, ""));
}

#[test]
fn views_show_what_was_published_last() {
    let (server, _commands, view) = page(Limits::default());
    let get = |path| {
        let (code, _, body) = ask(server.address(), "GET", path, "");
        assert_eq!(code, 200, "{path}");
        json(&body)
    };
    assert_eq!(get("/api/status?x=1")["shares"]["accepted"], 7);
    let stats = get("/api/stats");
    assert_eq!(stats["best_difficulty"], "123.5");
    assert_eq!(stats["hottest_chip_celsius"], 61.0);
    assert_eq!(stats["temperatures"][0]["celsius"], 41.5);
    let workers = get("/api/workers");
    assert_eq!((&workers["pool"], &workers["workers"][0]["name"]), (&Value::Bool(true), &Value::from("a.<script>")));
    // What programs were promised.
    let status = get("/api/status");
    for key in [
        "version",
        "product",
        "simulated",
        "uptime_seconds",
        "hashes_per_second",
        "shares",
        "upstream",
        "chains",
        "faults",
        "pool",
    ] {
        assert!(status.get(key).is_some(), "{key}");
    }
    view.publish(Status::default());
    assert_eq!(get("/api/status")["shares"]["accepted"], 0);
    assert_eq!(get("/api/workers")["pool"], false);
}

#[test]
fn commands_reach_the_miner_or_say_why_not() {
    let (server, commands, _) = page(Limits::default());
    let to = server.address();
    assert_eq!(ask(to, "POST", "/api/mining/stop", "").0, 202);
    refused(ask(to, "POST", "/api/mining/start", ""), 503, "busy");
    assert_eq!(commands.try_recv(), Ok(Command::Stop));
    let (code, _, body) = ask(to, "POST", "/api/mining/start", &format!("Origin: http://{to}\r\nContent-Length: 0\r\n"));
    assert_eq!((code, body.as_str()), (202, r#"{"mining":true}"#));
    assert_eq!(commands.try_recv(), Ok(Command::Start));
    for (asked, command, answer) in
        [("pause", Command::Pause, r#"{"paused":true}"#), ("resume", Command::Resume, r#"{"paused":false}"#)]
    {
        let (code, _, body) = ask(to, "POST", &format!("/api/mining/{asked}"), "");
        assert_eq!((code, body.as_str()), (202, answer));
        assert_eq!(commands.try_recv(), Ok(command));
    }
    drop(commands);
    refused(ask(to, "POST", "/api/mining/start", ""), 503, "stopping");
}

#[test]
fn foreign_pages_are_refused_and_send_nothing() {
    let (server, commands, _) = page(Limits::default());
    let to = server.address();
    refused(ask(to, "POST", "/api/mining/stop", "Origin: http://evil.example\r\n"), 403, "origin-refused");
    refused(ask(to, "POST", "/api/mining/stop", "Sec-Fetch-Site: cross-site\r\n"), 403, "origin-refused");
    refused(ask(to, "GET", "/api/status", "Host: evil.example\r\n"), 403, "host-refused");
    refused(ask(to, "POST", "/api/mining/stop", "Host: evil.example\r\nOrigin: http://evil.example\r\n"), 403, "host-refused");
    refused(raw(to, b"GET / HTTP/1.0\r\n\r\n"), 403, "host-refused");
    assert_eq!(ask(to, "GET", "/api/status", "Host: MINER.lan:80\r\n").0, 200);
    assert!(commands.try_recv().is_err());
}

#[test]
fn refusals_have_one_shape() {
    let (server, commands, _) = page(Limits::default());
    let to = server.address();
    refused(ask(to, "GET", "/api/nothing", ""), 404, "not-found");
    refused(ask(to, "GET", "/../etc/passwd", ""), 404, "not-found");
    refused(ask(to, "POST", "/api/status", ""), 405, "method-not-allowed");
    let (code, head, _) = ask(to, "GET", "/api/mining/start", "");
    assert_eq!(code, 405);
    assert!(head.contains("Allow: POST"), "{head}");
    refused(ask(to, "POST", "/api/mining/start", "Content-Length: 5000000\r\n"), 413, "body-too-long");
    refused(ask(to, "POST", "/api/mining/start", "Transfer-Encoding: chunked\r\n"), 411, "length-required");
    refused(ask(to, "GET", "/", &format!("X: {}\r\n", "a".repeat(17_000))), 431, "head-too-long");
    refused(raw(to, b"\x16\x03\x01\x02\x00\r\n\r\n"), 400, "malformed");
    assert!(commands.try_recv().is_err());
}

#[test]
fn a_second_request_hidden_behind_the_first_is_not_answered() {
    let (server, commands, _) = page(Limits::default());
    let to = server.address();
    let twice = format!("GET /api/stats HTTP/1.1\r\nHost: {to}\r\n\r\nPOST /api/mining/stop HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(twice.as_bytes()).unwrap();
    let mut all = Vec::new();
    // The bytes left unread may end the connection by a reset once the answer is out.
    let _ = stream.read_to_end(&mut all);
    assert!(String::from_utf8_lossy(&all).matches("HTTP/1.1 ").count() <= 1);
    assert!(commands.try_recv().is_err());
}

#[test]
fn a_slow_client_is_told_and_let_go() {
    let (server, _commands, _) = page(Limits { request: Duration::from_millis(30), ..Limits::default() });
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    refused(answer(&mut slow), 408, "too-slow");
}

#[test]
fn a_client_that_drips_is_let_go_all_the_same() {
    let (server, _commands, _) = page(Limits { request: Duration::from_millis(100), ..Limits::default() });
    let slow = TcpStream::connect(server.address()).unwrap();
    let mut dripping = slow.try_clone().unwrap();
    // Each byte is in time for itself; the whole is not. It ends when the other side has hung up.
    let drip = std::thread::spawn(move || {
        let mut next = || dripping.write_all(b"G").inspect(|()| std::thread::sleep(Duration::from_millis(5)));
        while next().is_ok() {}
    });
    let mut answer = Vec::new();
    let mut slow = slow;
    let _ = slow.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408 "));
    drip.join().unwrap();
}

#[test]
fn nothing_of_it_lies_on_the_disk_while_it_serves() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("den");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let options = Options { directory: directory.clone(), ..Options::default() };
    let server = serve_with(loopback(), Shared::new(status()), sync_channel(1).0, options).unwrap();
    assert_eq!(ask(server.address(), "GET", "/api/stats", "").0, 200);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    server.stop();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn one_too_many_is_turned_away_and_room_comes_back() {
    let (server, _commands, _) = page(Limits { connections: 2, ..Limits::default() });
    let to = server.address();
    let mut held: Vec<_> = (0..2).map(|_| TcpStream::connect(to).unwrap()).collect();
    // The third is accepted after the two that hold on; it sends nothing, so that no reset can overtake the refusal.
    refused(answer(&mut TcpStream::connect(to).unwrap()), 503, "too-many-connections");
    let mut one = held.pop().unwrap();
    one.write_all(format!("GET /api/status HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(answer(&mut one).0, 200);
}

#[test]
fn health_has_its_own_listener() {
    let view = Shared::new(status());
    let health = serve_health(loopback(), view.clone()).unwrap();
    let (code, _, body) = ask(health.address(), "GET", "/health", "");
    assert_eq!((code, body.as_str()), (200, r#"{"status":"ok"}"#));
    refused(ask(health.address(), "GET", "/api/status", ""), 404, "not-found");
    view.publish(Status { hashes_per_second: 0.0, ..status() });
    let (code, _, body) = ask(health.address(), "GET", "/", "");
    assert_eq!((code, &json(&body)["faults"][0]["code"]), (503, &Value::from("too-hot")));
}

#[test]
fn stopping_frees_the_port() {
    let (server, _commands, _) = page(Limits::default());
    let to = server.address();
    assert_eq!(ask(to, "GET", "/", "").0, 200);
    server.stop();
    assert!(TcpStream::connect(to).is_err());
}
