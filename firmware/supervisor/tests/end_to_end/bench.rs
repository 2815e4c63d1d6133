//! `otedama serve` as a child, its settings on free ports of loopback, and its status as a user reads it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for one thing; several times what an idle machine needs for the slowest.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Settings of a miner of one CPU thread.
pub const CPU: &str = "mining: {enable_cpu: true, cpu: {threads: 1}}\n";
/// Settings without any hash power.
pub const IDLE: &str = "mining: {enable_cpu: false}\n";

/// A loopback address of this process alone: a port that is free there stays free while nobody listens.
pub fn own_address() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low.clamp(2, 254))
}

/// A new folder of this test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("end-to-end-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Asks again until there is an answer.
///
/// # Panics
/// There is none in time; `otherwise` says what there was.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", otherwise());
        std::thread::sleep(LOOK);
    }
}

/// A running `otedama serve`.
pub struct Serve {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    listening: String,
    began: Instant,
    reader: Option<JoinHandle<()>>,
}

impl Serve {
    /// Starts it in this folder with these settings beside the addresses, and waits until it listens.
    pub fn start(folder: &Path, settings: &str) -> Serve {
        let config = folder.join("config.yaml");
        let ports = "api: {address: '127.0.0.1:0'}\nmonitoring:\n  metrics: {address: '127.0.0.1:0'}\n  \
                     health: {address: '127.0.0.1:0'}\n";
        std::fs::write(&config, format!("{ports}{settings}")).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_otedama"))
            .args(["serve", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("it was piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|l| kept.lock().expect("one writer").push(l));
        });
        let mut serve = Serve { child, log, listening: String::new(), began: Instant::now(), reader: Some(reader) };
        let heard = || serve.log().lines().find(|l| l.contains("listening")).map(str::to_owned);
        let line = wait("it listens", heard, || serve.log());
        serve.listening = line;
        serve
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// An address of its own: `page`, `pool`.
    pub fn address(&self, name: &str) -> String {
        let key = format!("{name}=");
        let word = self.listening.split(' ').find_map(|w| w.strip_prefix(&key));
        word.unwrap_or_else(|| panic!("no {name} in '{}'", self.listening)).to_owned()
    }

    /// `/api/status`.
    pub fn status(&self) -> Value {
        let answer = self.ask("GET", "/api/status");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// One request to its page, answered in full.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let address = self.address("page");
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        answer
    }

    /// Asks for the status until it is as wanted; says in the test's output how long after the start that was.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || Some(self.status()).filter(|s| wanted(s));
        let found = wait(what, look, || format!("{:#}\n{}", self.status(), self.log()));
        println!("{:6.1} s: {what}", self.began.elapsed().as_secs_f64());
        found
    }

    /// Its process.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Ends it as a keeper of services does: it must end with 0 and have met no bug. Gives back its whole log.
    pub fn end(mut self) -> String {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).expect("it runs");
        let log = Arc::clone(&self.log);
        let status = wait("it ends", || self.child.try_wait().expect("our child"), || text(&log));
        let log = self.read_out();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }

    /// Ends it as a power cut does, with no chance to do anything. Gives back its whole log.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.read_out()
    }

    /// The log of a program that ended.
    fn read_out(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it reads to the end");
        }
        self.log()
    }
}

fn text(log: &Mutex<Vec<String>>) -> String {
    log.lock().expect("one writer").join("\n")
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The faults of a status at this place.
pub fn faults<'a>(status: &'a Value, place: &str) -> Vec<&'a Value> {
    status["faults"].as_array().into_iter().flatten().filter(|f| f["place"] == place).collect()
}

/// All faults but those that a host makes which is too busy to simulate three chains in time.
pub fn own_faults(status: &Value) -> Vec<&Value> {
    let busy = |f: &&Value| f["code"] == "chain-short" || f["code"] == "chain-slow";
    status["faults"].as_array().into_iter().flatten().filter(|f| !busy(f)).collect()
}

/// Accepted shares of an upstream of a status.
pub fn accepted(status: &Value, upstream: usize) -> u64 {
    status["upstreams"][upstream]["shares"]["accepted"].as_u64().unwrap_or(0)
}

/// A running `otedama simulate … --pty`.
pub struct Machine {
    child: Child,
    device: Value,
}

impl Machine {
    /// Starts an S19j Pro and reads where it is.
    pub fn start() -> Machine {
        Machine::of("antminer-s19jpro")
    }

    /// The same of another product.
    pub fn of(product: &str) -> Machine {
        let mut child = Command::new(env!("CARGO_BIN_EXE_otedama"))
            .args(["simulate", product, "--pty"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let mut said: Value = serde_json::from_str(&line).expect("JSON");
        Machine { child, device: said["devices"][0].take() }
    }

    /// The chains' lines.
    pub fn ttys(&self) -> Vec<String> {
        let ttys = self.device["ttys"].as_array().expect("a list");
        ttys.iter().map(|t| t.as_str().expect("text").to_owned()).collect()
    }

    /// Where its bus and its lines are.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.device["i2c"].as_str().expect("text"))
    }

    /// Settings of it, with these lines for its own, beside one CPU thread or none.
    pub fn settings(&self, cpu: bool, ttys: &[String]) -> String {
        let mut device = self.device.clone();
        device["ttys"] = ttys.into();
        format!("mining: {{enable_cpu: {cpu}, cpu: {{threads: 1}}, asic: {{devices: [{device}]}}}}\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // By SIGTERM, so that it takes its socket with it.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
