//! The page of a machine at work: the real program with a simulated S19j Pro and the processor, mining the practice coin, read
//! and clicked in a real browser. Made-up machines behind the page are `webui/tests/page.rs`.

#[path = "../../../webui/tests/chromium/mod.rs"]
mod chromium;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chromium::{Browser, PATIENCE};

/// A process that is asked to end when dropped, by its id.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulated machine on ptys, and `mining.asic` of the settings that name it.
fn machine() -> (Ended, String) {
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_otedama"));
    simulate.args(["simulate", "antminer-s19jpro", "--pty"]).stdout(Stdio::piped());
    let mut child = simulate.spawn().expect("the program starts");
    let mut devices = String::new();
    BufReader::new(child.stdout.take().expect("it was piped")).read_line(&mut devices).expect("a line that says where it is");
    let said: serde_json::Value = serde_json::from_str(&devices).expect("one JSON object");
    (Ended(child), serde_json::json!({ "devices": said["devices"] }).to_string())
}

/// `otedama serve` in a folder of the test's own, and where its page is.
fn serve(folder: &Path, asic: &str) -> (Ended, String) {
    let config = folder.join("config.yaml");
    let settings = format!(
        "mining: {{cpu: {{threads: 1}}, asic: {asic}}}\npool: {{address: '127.0.0.1:0', coins: [practice]}}\n\
         api: {{address: '127.0.0.1:0'}}\nmonitoring: {{metrics: {{address: '127.0.0.1:0'}}, health: {{address: '127.0.0.1:0'}}}}\n"
    );
    fs::write(&config, settings).expect("written");
    let log = folder.join("log");
    let to = File::create(&log).expect("a file for the log");
    let child = Command::new(env!("CARGO_BIN_EXE_otedama")).args(["serve", "--config"]).arg(&config).stderr(to).spawn();
    let child = Ended(child.expect("the program starts"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(&log).expect("the log");
        let listening = text.lines().find(|l| l.contains("listening") && l.contains("milliseconds="));
        if let Some(page) = listening.and_then(|l| l.split(' ').find_map(|w| w.strip_prefix("page="))) {
            return (child, format!("http://{page}/"));
        }
        assert!(Instant::now() < deadline, "it never listened:\n{text}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// What stands behind a word on the page, as a number.
fn number(text: &str, word: &str) -> Option<u64> {
    let after = text.lines().skip_while(|l| l.trim() != word).nth(1)?;
    after.split(' ').next()?.replace(',', "").parse().ok()
}

#[test]
fn a_machine_at_work_is_read_stopped_started_and_missed() {
    let (_machine, asic) = machine();
    let (server, page) = serve(&folder(), &asic);
    let mut browser = Browser::start("page-at-work");
    browser.open(&page);
    browser.reads(&["SIMULATED", "antminer-s19jpro", "Stop mining", "Chain 0", "Chain 1", "Chain 2", "127.0.0.1:"]);

    // Chips hash some 32 seconds after their start; that long take the protocol's own delays.
    let text = browser.until("three chains at work and a share", |t| {
        // The processor's thread is the fourth.
        t.matches("hashing").count() == 4
            && t.contains("CPU 0")
            && t.matches("126 / 126").count() == 3
            && t.contains("TH/s")
            && t.contains(" rpm")
            && number(t, "Accepted").is_some_and(|n| n > 0)
    });
    assert!(text.matches("°C").count() >= 6, "chips and sensors have temperatures:\n{text}");
    assert_eq!(number(&text, "Rejected"), Some(0), "{text}");
    let asked = "fetch('/api/status').then(a => a.json()).then(s => s.shares.accepted)";
    let counted = browser.value(asked).as_u64().expect("a number");
    let deadline = Instant::now() + PATIENCE;
    while number(&browser.text(), "Accepted").is_none_or(|n| n < counted) {
        assert!(Instant::now() < deadline, "the page never showed the share that the interface counts");
    }
    for (name, width, scheme) in [("light", 1100, "light"), ("dark", 1100, "dark"), ("phone", 390, "light")] {
        browser.look_like(width, scheme);
        browser.keep(&format!("at-work-{name}"));
    }
    browser.look_like(1100, "light");

    browser.click("#button");
    browser.until("that it stopped", |t| t.contains("Hash power is off") && !t.contains("hashing") && t.contains("Start mining"));
    assert_eq!(browser.value("fetch('/api/status').then(a => a.json()).then(s => s.mining)"), false);
    browser.press("Tab", 9, "");
    browser.click("#button");
    browser.until("that chains start again", |t| t.contains("Stop mining") && (t.contains("starting") || t.contains("hashing")));

    assert_eq!(browser.complaints(), Vec::<String>::new());
    let foreign: Vec<_> = browser.requests().iter().filter(|u| !u.starts_with(&page) && !u.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "asked elsewhere: {foreign:?}");
    drop(server);
    browser.reads(&["Connection lost"]);
}
