//! A real browser for tests: headless Chromium, told what to do by its own protocol through a pair of pipes.
//!
//! The pipes are Chromium's `--remote-debugging-pipe`: JSON ended by a zero byte, in on its descriptor 3 and out on 4. No port
//! that another could take, no driver to install. Rejected: puppeteer-core (node and a tree of packages for the dozen methods used here)
//! and `--dump-dom` alone (it cannot click, and a page that asks every second is never done loading).
//! Not a test: `page.rs` here and in the supervisor use it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for anything; far more than a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at the page.
const LOOK: Duration = Duration::from_millis(100);
/// Chromium's own services would only disturb: this is a browser with one page and no network but the page's.
const FLAGS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--lang=en-GB",
    "--hide-scrollbars",
    // Tests run as root in a container, where Chromium's sandbox cannot be had; all it opens is our own page.
    "--no-sandbox",
];
/// Counts what moves without anybody having touched the page.
const WATCH_SHIFTS: &str = "window.shifts = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) \
    if (!e.hadRecentInput) window.shifts += e.value; }).observe({ type: 'layout-shift', buffered: true });";

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    profile: PathBuf,
    complaints: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts one. `name` is the test's: its profile folder is found again, and cleared, by the next run.
    pub fn start(name: &str) -> Browser {
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_TARGET_TMPDIR"), name).hash(&mut hasher);
        let profile = std::env::temp_dir().join(format!("otedama-chromium-{:016x}", hasher.finish()));
        let _ = fs::remove_dir_all(&profile);
        fs::create_dir_all(&profile).expect("a folder for the profile");
        let log = File::create(profile.join("log")).expect("a file for the browser's log");
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >&2", "sh"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("TMPDIR", &profile)
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell starts");
        let to = child.stdin.take().expect("it was piped");
        let mut answers = BufReader::new(child.stdout.take().expect("it was piped"));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                let told = serde_json::from_slice(message.strip_suffix(&[0]).unwrap_or(&message)).expect("JSON");
                if sender.send(told).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser =
            Browser { child, to, from, session: None, calls: 0, profile, complaints: Vec::new(), requests: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        // A page in the background would ask less often.
        browser.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH_SHIFTS}));
        browser.look_like(1100, "light");
        browser
    }

    /// Calls a method of the protocol.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if self.to.write_all(&bytes).and_then(|()| self.to.flush()).is_err() {
            panic!("the browser is gone before {method}: {}", self.log());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.from.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let Ok(told) = told else { panic!("no answer to {method}: {}", self.log()) };
            if told["id"] == id {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].clone();
            }
            self.hear(&told);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.profile.join("log")).unwrap_or_default() + " (is chromium installed? './setup test' does it)"
    }

    fn hear(&mut self, told: &Value) {
        let params = &told["params"];
        match told["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => self.requests.push(params["request"]["url"].as_str().unwrap_or_default().to_owned()),
            "Runtime.exceptionThrown" => self.complaints.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => self.complaints.push(params["args"].to_string()),
            "Log.entryAdded" => self.complaints.push(params["entry"].to_string()),
            _ => {}
        }
    }

    /// Goes to an address.
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// What a person reads on the page: its visible text.
    pub fn text(&mut self) -> String {
        // There is no body yet while the page loads.
        self.value("document.body ? document.body.innerText : ''").as_str().expect("text").to_owned()
    }

    /// Waits until a person reads all of this; gives back the whole text.
    pub fn reads(&mut self, wanted: &[&str]) -> String {
        self.until(&format!("{wanted:?}"), |text| wanted.iter().all(|w| text.contains(w)))
    }

    /// Waits until the text is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "never read {what} in:\n{text}");
            std::thread::sleep(LOOK);
        }
    }

    /// Clicks with the mouse in the middle of an element, once it takes clicks.
    pub fn click(&mut self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(&format!("document.querySelector('{selector}').disabled")) == true {
            assert!(Instant::now() < deadline, "{selector} never took clicks");
            std::thread::sleep(LOOK);
        }
        let place = self.value(&format!(
            "(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// A window of that width, and `light` or `dark`.
    pub fn look_like(&mut self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Keeps a picture of the whole page and says where.
    pub fn keep(&mut self, name: &str) {
        let height = self.value("document.documentElement.scrollHeight").as_f64().expect("a number");
        let width = self.value("document.documentElement.clientWidth").as_f64().expect("a number");
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot = self.call("Page.captureScreenshot", json!({"clip": clip, "captureBeyondViewport": true}));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, base64(shot["data"].as_str().expect("text"))).expect("written");
        println!("screenshot: {}", path.display());
    }

    /// What the browser complained about, the page's console included, since the last call.
    pub fn complaints(&mut self) -> Vec<String> {
        // An answer comes after all that was told before it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    /// Every address that the page asked for.
    pub fn requests(&mut self) -> &[String] {
        self.value("0");
        &self.requests
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // By its id, and only if it did not end when asked.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("not base64: {b}"),
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(digit).collect();
    let group = |g: &[u8]| {
        let word = (0..4).fold(0u32, |w, i| w << 6 | u32::from(g.get(i).copied().unwrap_or(0)));
        word.to_be_bytes()[1..g.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
