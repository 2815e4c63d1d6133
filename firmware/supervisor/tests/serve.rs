//! `otedama serve` and `otedama status` as people meet them: the real program on loopback, ports chosen by the system.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    child: Child,
    lines: Receiver<String>,
    listening: String,
}

impl Running {
    fn start(config: &Path) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_otedama"))
            .args(["serve", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("it was piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).for_each(|l| drop(sender.send(l))));
        let mut running = Running { child, lines, listening: String::new() };
        running.listening = running.line("listening");
        running
    }

    /// The next line of the log with this word.
    fn line(&self, word: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|e| panic!("no line with '{word}': {e}"));
            if line.contains(word) {
                return line;
            }
        }
    }

    /// An address of the line `listening`.
    fn address(&self, name: &str) -> String {
        let key = format!("{name}=");
        let word = self.listening.split(' ').find_map(|w| w.strip_prefix(&key));
        word.unwrap_or_else(|| panic!("no {name} in '{}'", self.listening)).to_owned()
    }

    fn get(&self, name: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address(name)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    fn post(&self, path: &str) {
        let mut stream = TcpStream::connect(self.address("page")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(stream, "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    fn status(&self) -> Value {
        let o = otedama(&["status", "--json", "--address", &format!("http://{}", self.address("page"))]);
        assert_eq!(o.status.code(), Some(0), "{}", err(&o));
        serde_json::from_slice(&o.stdout).expect("one JSON object")
    }

    /// Asks for the status until it is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "never {what}: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a keeper of services does; gives back its exit code and how long that took.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let asked = Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let code = self.child.wait().expect("it ends").code();
        (code, asked.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn otedama(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otedama")).args(args).output().expect("the program starts")
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

/// A folder of the test's own with a settings file: every listener at a free port of loopback.
fn config(name: &str, coins: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("config.yaml");
    std::fs::write(&path, text(coins, "127.0.0.1:0", OFF)).expect("written");
    path
}

/// Most tests are about something else than the processor's hash power, which other tests need meanwhile.
const OFF: &str = "{enable_cpu: false}";

fn text(coins: &str, page: &str, mining: &str) -> String {
    format!(
        "mining: {mining}\npool: {{enable: true, address: '127.0.0.1:0', coins: {coins}}}\napi: {{address: '{page}'}}\nmonitoring:\n  \
         metrics: {{address: '127.0.0.1:0'}}\n  health: {{address: '127.0.0.1:0'}}\n"
    )
}

#[test]
fn it_answers_on_every_port_mines_for_its_own_pool_and_ends_cleanly() {
    let running = Running::start(&config("whole", "[practice]"));
    let page = running.get("page", "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    let metrics = running.get("metrics", "/metrics");
    assert!(metrics.contains("otedama_uptime_seconds"), "{metrics}");
    assert!(running.get("health", "/health").starts_with("HTTP/1.1 "), "health answers");

    let pool = format!("stratum+tcp://{}", running.address("pool"));
    let status = running.until("its own pool's miner", |s| s["upstream"] == pool.as_str());
    assert_eq!((&status["version"], &status["product"]), (&env!("CARGO_PKG_VERSION").into(), &"".into()));
    assert_eq!((&status["simulated"], &status["faults"]), (&false.into(), &Value::Array(Vec::new())));
    assert!(status["pool"].is_array(), "{status}");
    let shown = otedama(&["status", "--address", &running.address("page")]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&format!("mining for {pool}")), "{shown:?}");

    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    // The limit for chains to be off is five seconds; there are none here.
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn the_processor_mines_and_a_stop_stops_it() {
    let path = config("cpu", "[practice]");
    std::fs::write(&path, text("[practice]", "127.0.0.1:0", "{cpu: {threads: 2}}")).expect("written");
    let running = Running::start(&path);
    let said = running.line("the processor mines");
    assert!(said.contains("threads=2") && said.contains("path=") && said.contains("MH/s"), "{said}");
    let status = running.until("a share of the processor", |s| s["shares"]["accepted"].as_u64() >= Some(2));
    assert_eq!(status["shares"]["rejected"], 0, "{status}");
    assert_eq!(status["cpus"].as_array().map(Vec::len), Some(2));
    assert!(status["cpus"][0]["state"] == "hashing" && status["expected_hashes_per_second"].as_f64() > Some(0.0), "{status}");
    let shown = otedama(&["status", "--address", &running.address("page")]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("cpu 0    hashing"), "{shown:?}");

    running.post("/api/mining/stop");
    running.until("the processor stopped", |s| s["cpus"].as_array().is_some_and(|c| c.iter().all(|c| c["state"] == "off")));
    running.post("/api/mining/start");
    running.until("the processor at work again", |s| s["cpus"][1]["state"] == "hashing");
    assert_eq!(running.terminate().0, Some(0));
}

#[test]
fn a_machine_that_a_person_stopped_stays_so_over_a_new_start_of_the_program() {
    let path = config("held", "[practice]");
    std::fs::write(&path, text("[practice]", "127.0.0.1:0", "{cpu: {threads: 1}}")).expect("written");
    let at_work = |s: &Value| s["mining"] == true && s["cpus"][0]["state"] == "hashing";
    let first = Running::start(&path);
    first.until("the processor at work", at_work);
    assert_eq!(first.terminate().0, Some(0));
    let second = Running::start(&path);
    second.until("an end of the program is no stop by a person", at_work);
    second.post("/api/mining/stop");
    second.until("stopped", |s| s["mining"] == false);
    assert_eq!(second.terminate().0, Some(0));
    let third = Running::start(&path);
    third.line("as a person left it");
    third.until("still stopped", |s| s["uptime_seconds"].as_u64() >= Some(2) && s["mining"] == false);
    third.until("its threads are off", |s| s["cpus"][0]["state"] == "off");
    third.post("/api/mining/start");
    third.until("at work again", at_work);
    assert_eq!(third.terminate().0, Some(0));
    let fourth = Running::start(&path);
    fourth.until("it goes on by itself", at_work);
    assert_eq!(fourth.terminate().0, Some(0));
}

#[test]
fn the_status_needs_no_port_and_nobody_there_is_told() {
    let path = config("socket", "[practice]");
    let here = |args: &[&str]| {
        let folder = path.parent().expect("the test's folder");
        Command::new(env!("CARGO_BIN_EXE_otedama")).arg("status").args(args).current_dir(folder).output().expect("it starts")
    };
    let o = here(&[]);
    assert_eq!(o.status.code(), Some(1));
    assert!(err(&o).contains("no 'otedama serve' answers") && err(&o).contains("otedama.sock"), "{}", err(&o));

    let running = Running::start(&path);
    let o = here(&["--json"]);
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    let status: Value = serde_json::from_slice(&o.stdout).expect("one JSON object");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let o = otedama(&["status", "--config", path.to_str().expect("text")]);
    assert!(String::from_utf8_lossy(&o.stdout).contains("no hashboards, Otedama"), "{o:?}");

    let second = otedama(&["serve", "--config", path.to_str().expect("text")]);
    assert_eq!(second.status.code(), Some(1));
    assert!(err(&second).contains("another 'otedama serve'"), "{}", err(&second));
    assert_eq!(running.terminate().0, Some(0));
    assert!(!path.with_file_name("otedama.sock").exists());
}

#[test]
fn what_serve_cannot_run_check_refuses_with_its_place() {
    let machine = "{product: antminer-s19jpro, ttys: [/a, /b, /c], i2c: /i, gpio: /g}";
    let rpc = "rpc: {url: 'http://127.0.0.1:1', user: u, password: p}";
    let main = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    let rows = [
        (format!("mining:\n  asic:\n    devices:\n      - {machine}\n      - {machine}\n"), "5:9: ", "name one"),
        (format!("mining:\n  asic:\n    devices:\n      - {}\n", machine.replace(", /c", "")), "4:9: ", "has 3 chains"),
        (format!("pool:\n  coins:\n    - practice\n    - {{name: bitcoin, {rpc}, address: {main}}}\n"), "4:7: ", "name one"),
        (format!("pool:\n  coins:\n    - {{name: bitcoin, {rpc}, address: {main}, network: regtest}}\n"), "3:7: ", "'address'"),
        (format!("pool:\n  coins:\n    - {{name: dogecoin, {rpc}, address: {main}}}\n"), "3:7: ", "no coin 'dogecoin'"),
        ("mining:\n  algorithm: scrypt\n".to_owned(), "2:14: ", "scrypt"),
    ];
    let path = config("refused", "[]");
    for (text, place, words) in rows {
        std::fs::write(&path, &text).expect("written");
        for command in ["check", "serve"] {
            let o = otedama(&[command, "--config", path.to_str().expect("text")]);
            assert_eq!(o.status.code(), Some(2), "{command} {text}");
            assert!(err(&o).contains(&format!("config.yaml:{place}")) && err(&o).contains(words), "{command}: {}", err(&o));
        }
    }
}

#[test]
fn a_miner_gets_a_job_from_the_own_pool() {
    let running = Running::start(&config("pool", "[practice]"));
    let mut miner = TcpStream::connect(running.address("pool")).expect("it listens");
    miner.set_read_timeout(Some(PATIENCE)).expect("a limit");
    miner.write_all(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"test\"]}\n").expect("sent");
    miner.write_all(b"{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"rig.one\",\"x\"]}\n").expect("sent");
    let mut lines = BufReader::new(miner).lines().map(|l| l.expect("a line in time"));
    let job = lines.find(|l| l.contains("mining.notify") && !l.contains("\"result\"")).expect("a job");
    let job: Value = serde_json::from_str(&job).expect("JSON");
    assert_eq!(job["params"].as_array().map(Vec::len), Some(9), "{job}");
    running.until("a worker of that name", |s| {
        s["pool"].as_array().is_some_and(|w| w.iter().any(|w| w["name"].as_str().is_some_and(|n| n.contains("rig.one"))))
    });
}

#[test]
fn without_a_pool_and_a_coin_the_fault_says_so() {
    let running = Running::start(&config("none", "[]"));
    let status = running.until("no-upstream", |s| s["faults"][0]["code"] == "no-upstream");
    assert_eq!((&status["upstream"], &status["pool"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_bad_file_ends_with_2_or_the_last_good_one_runs_and_the_status_says_why() {
    let path = config("bad", "[practice]");
    let good = std::fs::read_to_string(&path).expect("there");
    std::fs::write(&path, "mining:\n  algorthm: sha256d\n").expect("written");
    let o = otedama(&["serve", "--config", path.to_str().expect("text")]);
    assert_eq!(o.status.code(), Some(2));
    assert!(err(&o).contains("config.yaml:2:3: ") && err(&o).contains("did you mean 'algorithm'?"), "{}", err(&o));

    std::fs::write(&path, good).expect("written");
    let running = Running::start(&path);
    // The copy is made after the log's line; a status says that it is past.
    running.until("up", |s| s["version"] == env!("CARGO_PKG_VERSION"));
    let kept = path.with_file_name("config.last-good.yaml");
    let deadline = Instant::now() + PATIENCE;
    while !kept.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.terminate().0, Some(0));

    std::fs::write(&path, "mining:\n  algorthm: sha256d\n").expect("written");
    let running = Running::start(&path);
    let status = running.until("settings-refused", |s| s["faults"][0]["code"] == "settings-refused");
    assert!(status["faults"][0]["detail"].as_str().is_some_and(|d| d.contains("config.yaml:2:3")), "{status}");
}

#[test]
fn a_taken_port_is_named_with_its_setting_and_nobody_there_is_an_error_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let path = config("taken", "[practice]");
    std::fs::write(&path, text("[practice]", &address, OFF)).expect("written");
    let o = otedama(&["serve", "--config", path.to_str().expect("text")]);
    assert_eq!(o.status.code(), Some(1));
    assert!(err(&o).contains(&address) && err(&o).contains("'api.address'"), "{}", err(&o));

    drop(taken);
    let o = otedama(&["status", "--address", &format!("http://{address}")]);
    assert_eq!(o.status.code(), Some(1));
    assert!(err(&o).contains("does 'otedama serve' run there"), "{}", err(&o));
    assert_eq!(otedama(&["status", "--address", "ftp://x"]).status.code(), Some(2));
    assert_eq!(otedama(&["serve", "--config", "/nowhere/config.yaml"]).status.code(), Some(2));
}

#[test]
fn a_machine_whose_lines_are_not_there_shows_faults_and_still_serves() {
    let path = config("absent", "[practice]");
    let machine = "{enable_cpu: false, asic: {devices: [{product: antminer-s19jpro, ttys: [/nowhere/a, /nowhere/b, /nowhere/c], \
                   i2c: /nowhere/i2c, gpio: /nowhere/gpio, simulated: true}]}}";
    std::fs::write(&path, text("[practice]", "127.0.0.1:0", machine)).expect("written");
    let running = Running::start(&path);
    let status = running.until("faults", |s| s["faults"].as_array().is_some_and(|f| !f.is_empty()));
    assert_eq!((&status["product"], &status["simulated"]), (&"antminer-s19jpro".into(), &true.into()));
    assert_eq!(status["chains"].as_array().map(Vec::len), Some(3));
    let (code, took) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
