//! `otedama init` with a real child, killed by SIGKILL and stopped by SIGSTOP, and a real bus behind a socket: what a machine's
//! lines and fans are told when the program that owned them is dead or hangs.

use hwdrivers::bus::{BusError, Gpio, I2c, Message, NoPwm};
use sim::bench_socket::BenchSocket;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A child that beats ten times a second. By its path: some shells know descriptors of one digit only.
const BEATS: &str = "while :; do printf x >/proc/self/fd/$OTEDAMA_HEARTBEAT_FD; sleep 0.1; done";
/// Most lines that are read in wait of one: a child that ends over and over must fail a test, not hold it up.
const LINES_LIMIT: usize = 16;
/// Silence after which a child counts as hung, milliseconds: longer than a busy machine leaves a shell waiting.
const SILENCE: &str = "6000";
/// Longest wait for a process to end: the limits of `init` at its end, and a busy machine.
const END_LIMIT: Duration = Duration::from_secs(60);

/// The bus's socket, called as a USB board's line.
const BUS: &str = "ttyACM0";

/// A test's own.
fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("otedama-{name}-{}", std::process::id()))
}

#[derive(Clone, Default)]
struct Bench(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    lines: BTreeMap<u32, bool>,
    fans: BTreeMap<u8, u8>,
}

impl Gpio for Bench {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        self.0.lock().expect("no holder panics").lines.insert(line, high);
        Ok(())
    }
    fn get(&mut self, _: u32) -> Result<bool, BusError> {
        Err(BusError::Gone)
    }
}

impl I2c for Bench {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        match messages {
            // The configuration behind a duty's register: the controller's own speed control is off.
            [Message::Write([register, 0x2b])] if address == 0x2d && register & 0x0f == 2 => Ok(()),
            [Message::Write([register, duty])] if address == 0x2d => {
                self.0.lock().expect("no holder panics").fans.insert(*register, *duty);
                Ok(())
            }
            _ => Err(BusError::Nack(address)),
        }
    }
}

impl Bench {
    /// What was told since the last look.
    fn take(&self) -> State {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
    fn assert_safe(&self) {
        self.assert_off(255);
    }
    /// Supply off, resets held, and fans at this.
    fn assert_off(&self, duty: u8) {
        let s = self.take();
        assert_eq!(s.lines, BTreeMap::from([(65, false), (4, false), (5, false), (27, false)]), "supply off, resets held");
        assert_eq!(s.fans, BTreeMap::from([0x30, 0x40, 0x50, 0x60].map(|fan| (fan, duty))));
    }
}

struct Machine {
    bench: Bench,
    init: std::process::Child,
    said: BufReader<ChildStderr>,
    folder: PathBuf,
    end: Arc<AtomicBool>,
}

impl Machine {
    fn start(name: &str, child: &[&str]) -> Machine {
        let path = folder(name).join(BUS).display().to_string();
        let device =
            format!("{{product: antminer-s19jpro, ttys: [/dev/a, /dev/b, /dev/c], i2c: {path}, gpio: {path}, simulated: true}}");
        Machine::with(name, &format!("mining: {{asic: {{devices: [{device}]}}}}\n"), child)
    }

    fn with(name: &str, settings: &str, child: &[&str]) -> Machine {
        let folder = folder(name);
        std::fs::create_dir_all(&folder).expect("made");
        let (socket, config) = (folder.join(BUS), folder.join("config.yaml"));
        std::fs::write(&config, settings).expect("written");
        let mut server = BenchSocket::open(&socket).expect("listens");
        let (bench, end) = (Bench::default(), Arc::new(AtomicBool::new(false)));
        let (mut i2c, mut gpio, stop) = (bench.clone(), bench.clone(), Arc::clone(&end));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                server.turn(&mut i2c, &mut gpio, &mut NoPwm);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_otedama"));
        command.args(["init", "--silence", SILENCE, "--config"]).arg(&config);
        // USB boards are where the test says.
        command.arg("--sys").arg(folder.join("sys")).arg("--dev").arg(&folder).arg("--child").args(child);
        let mut init = command.stderr(Stdio::piped()).spawn().expect("starts");
        let said = BufReader::new(init.stderr.take().expect("piped"));
        Machine { bench, init, said, folder, end }
    }

    /// A USB board is plugged in, whose controller is the bus.
    fn plug(&self) {
        let devices = self.folder.join("sys/bus/usb/devices");
        for (number, tty) in [("00", BUS), ("02", "ttyACM1")] {
            let interface = devices.join(format!("1-1:1.{}", &number[1..]));
            std::fs::create_dir_all(interface.join("tty").join(tty)).expect("made");
            std::fs::write(interface.join("bInterfaceNumber"), number).expect("written");
        }
        std::fs::create_dir_all(devices.join("1-1")).expect("made");
        for (what, text) in [("manufacturer", "256F"), ("serial", "8f3a91cc"), ("product", "EmberOne00")] {
            std::fs::write(devices.join("1-1").join(what), text).expect("written");
        }
    }

    /// Reads on until a line holds this; the whole line.
    fn until(&mut self, part: &str) -> String {
        let mut all = String::new();
        for _ in 0..LINES_LIMIT {
            let mut line = String::new();
            assert_ne!(self.said.read_line(&mut line).expect("text"), 0, "ended without '{part}':\n{all}");
            if line.contains(part) {
                return line;
            }
            all += &line;
        }
        panic!("'{part}' is not among:\n{all}")
    }

    fn started(&mut self) -> String {
        let line = self.until("started the child");
        line.rsplit(' ').next().expect("a number").trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if matches!(self.init.try_wait(), Ok(None)) {
            signal("TERM", &self.init.id().to_string());
            ended(&mut self.init);
        }
        self.end.store(true, Ordering::Relaxed);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// How it ended; one that does not end is killed, and what it waited for is told.
fn ended(process: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("ours") {
            return status;
        }
        if start.elapsed() > END_LIMIT {
            let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap_or_default();
            let (state, waits, stack) = (of("status"), of("wchan"), of("stack"));
            let _ = process.kill();
            let _ = process.wait();
            assert!(std::thread::panicking(), "it did not end within {END_LIMIT:?}; it waited in '{waits}'\n{stack}\n{state}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, pid: &str) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
}

#[test]
fn a_killed_child_leaves_safe_hardware_and_is_started_again() {
    let mut m = Machine::start("killed", &["sh", "-c", BEATS]);
    m.until("hardware is safe");
    let pid = m.started();
    m.bench.assert_safe();
    signal("KILL", &pid);
    m.until("the child ended: killed by signal 9");
    m.until("hardware is safe");
    m.bench.assert_safe();
    assert_ne!(m.started(), pid);
    signal("TERM", &m.init.id().to_string());
    m.until("hardware is safe");
    m.bench.assert_safe();
    assert_eq!(ended(&mut m.init).code(), Some(0));
}

#[test]
fn a_stopped_child_is_killed_and_hardware_made_safe() {
    let mut m = Machine::start("stopped", &["sh", "-c", BEATS]);
    let pid = m.started();
    m.bench.take();
    signal("STOP", &pid);
    m.until("silent: killed");
    m.until("hardware is safe");
    m.bench.assert_safe();
    assert_ne!(m.started(), pid);
}

#[test]
fn a_program_that_is_not_there_is_told_and_tried_again() {
    let mut m = Machine::start("absent", &["/nonexistent/program"]);
    m.until("hardware is safe");
    m.until("start /nonexistent/program");
    m.until("hardware is safe");
    m.until("start /nonexistent/program");
    m.bench.assert_safe();
}

/// A child that says this and then does that.
fn says(word: &str, then: &str) -> String {
    format!("printf x >/proc/self/fd/$OTEDAMA_HEARTBEAT_FD; printf '{word}' >/proc/self/fd/$OTEDAMA_HEARTBEAT_FD; {then}")
}

#[test]
fn a_child_that_ended_on_purpose_and_left_all_off_and_cool_leaves_quiet_fans() {
    let mut m = Machine::start("parted", &["sh", "-c", &says("\\noff 41.5\\n", "exit 0")]);
    m.until("hardware is safe");
    m.bench.assert_safe();
    m.until("started the child");
    m.until("it said: hash power is off, the warmest chip is at 41.5");
    m.until("hardware is safe");
    // A fifth of 255: the least duty of the product.
    m.bench.assert_off(51);
}

#[test]
fn whoever_lies_falls_or_is_killed_behind_his_word_leaves_full_fans() {
    for (name, word, then) in [
        ("hot", "\\noff 80.0\\n", "exit 0"),
        ("on", "\\non 41.5\\n", "exit 0"),
        ("unknown", "\\noff ?\\n", "exit 0"),
        ("fell", "\\noff 41.5\\n", "exit 3"),
        ("slain", "\\noff 41.5\\n", "kill -9 $$"),
        ("beats", "\\noff 41.5\\nx", "exit 0"),
    ] {
        let mut m = Machine::start(name, &["sh", "-c", &says(word, then)]);
        m.until("hardware is safe");
        m.bench.take();
        m.until("the child ended");
        m.until("hardware is safe");
        m.bench.assert_safe();
    }
}

#[test]
fn a_board_that_was_plugged_in_while_the_child_ran_is_made_safe_when_it_is_killed() {
    let mut m = Machine::with("plugged", "mining: {}\n", &["sh", "-c", BEATS]);
    m.until("the settings name no machine");
    let pid = m.started();
    m.plug();
    signal("KILL", &pid);
    m.until("found a board, emberone00");
    m.until("hardware is safe");
    // Both rails off, chips held in reset; a board without fans.
    assert_eq!(m.bench.take().lines, BTreeMap::from([(0, false), (1, false), (2, false)]));
}

#[test]
fn a_child_that_asks_for_a_new_start_finds_safe_hardware_and_the_settings_of_now() {
    // It leaves the rails on, as one that could not wait for them any longer.
    let mut m = Machine::start("anew", &["sh", "-c", &says("\\non 41.5\\n", "sleep 1; exit 77")]);
    m.until("hardware is safe");
    let pid = m.started();
    m.bench.take();
    m.until("asks to be started anew");
    m.until("hardware is safe");
    m.bench.assert_safe();
    assert_ne!(m.started(), pid);
    m.bench.take();
    // The settings of now name none, and say so when the second one has ended.
    std::fs::write(m.folder.join("config.yaml"), "mining: {}\n").expect("written");
    m.until("asks to be started anew");
    m.started();
    m.until("the settings name no machine");
}

#[test]
fn without_readable_settings_nothing_is_known_to_be_safe() {
    let mut m = Machine::with("unread", "mining: [broken", &["sh", "-c", BEATS]);
    m.until("not safe: no settings can be read");
    m.started();
}
