//! `otedama simulate … --pty` as a person or another program meets it: its first line, its commands, its end. The firmware's side of
//! the buses is hwdrivers' own.

use hwdrivers::bus::socket::{SocketGpio, SocketI2c};
use hwdrivers::bus::tty::LinuxTty;
use hwdrivers::bus::{BusError, Gpio, I2c, Message, Uart};
use hwdrivers::fan::{Fans, emc2101::Emc2101};
use hwdrivers::sensor::{Sensor, SensorError, tmp75::Tmp75};
use model::{Baud, Celsius, FanId};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    of("antminer-s19jpro", arguments)
}

fn of(product: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otedama"));
    command.args(["simulate", product]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Bench {
    child: Child,
    stdin: Option<ChildStdin>,
    described: Value,
    answers: Receiver<String>,
}

impl Bench {
    fn start(command: &mut Command) -> Bench {
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a first line");
        let stderr = child.stderr.take().expect("piped");
        let (sender, answers) = channel();
        std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).for_each(|l| drop(sender.send(l))));
        let stdin = child.stdin.take();
        let described = serde_json::from_str(&line).unwrap_or_else(|e| panic!("one JSON object, not '{line}': {e}"));
        Bench { child, stdin, described, answers }
    }

    /// A path of its first line.
    fn path(&self, pointer: &str) -> PathBuf {
        let found = self.described.pointer(pointer).and_then(Value::as_str);
        PathBuf::from(found.unwrap_or_else(|| panic!("no {pointer} in {}", self.described)))
    }

    fn say(&mut self, line: &str) -> String {
        writeln!(self.stdin.as_mut().expect("open"), "{line}").expect("taken");
        self.answers.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("'{line}' is not answered: {e}"))
    }

    fn signal(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it lingers");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pty-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn it_says_where_it_is_obeys_commands_and_ends_without_a_trace() {
    let mut bench = Bench::start(&mut command(&["--pty"]));
    let device = &bench.described["devices"][0];
    assert_eq!((&device["product"], &device["simulated"]), (&"antminer-s19jpro".into(), &true.into()));
    assert_eq!(device["ttys"].as_array().map(Vec::len), Some(3));
    assert_eq!((bench.described.get("vhost_user"), bench.described.get("usb")), (None, None));
    let socket = bench.path("/devices/0/i2c");

    let mut i2c = SocketI2c::open(&socket).expect("listens");
    let mut gpio = SocketGpio::open(&bench.path("/devices/0/gpio")).expect("listens");
    for n in 0..3 {
        let mut tty = LinuxTty::open(&bench.path(&format!("/devices/0/ttys/{n}")), Baud(115_200)).expect("a serial line");
        tty.write(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a]).expect("taken");
    }
    let mut temperature = || Tmp75::new(0x48).read(&mut i2c);
    assert_eq!(temperature().expect("answers"), Celsius(25.0));

    assert_eq!(bench.say("unplug i2c"), "otedama: i2c unplugged");
    assert!(matches!(temperature(), Err(SensorError::Bus(BusError::Nack(0x48)))));
    assert_eq!(bench.say("plug i2c"), "otedama: i2c plugged");
    assert_eq!(temperature().expect("answers"), Celsius(25.0));

    assert!(gpio.get(48).expect("a line"));
    assert_eq!(bench.say("unplug chain 1"), "otedama: chain 1 unplugged");
    assert!(!gpio.get(48).expect("a line"));
    assert_eq!(bench.say("plug chain 1"), "otedama: chain 1 plugged");
    assert!(gpio.get(48).expect("a line"));

    for wrong in ["unplug chain 3", "reboot", &"x".repeat(100_000)] {
        let answer = bench.say(wrong);
        assert!(answer.contains("chain") && answer.len() < 400, "{answer}");
    }
    assert!(bench.say("help").contains("unplug i2c | plug i2c"));
    // The end of its input is not its end.
    bench.stdin = None;
    assert_eq!(temperature().expect("answers"), Celsius(25.0));
    assert_eq!(bench.signal(rustix::process::Signal::TERM), Some(0));
    assert!(!socket.exists());
}

#[test]
fn faults_are_told_put_in_by_name_and_healed() {
    let mut bench = Bench::start(&mut command(&["--pty"]));
    let told = bench.described["faults"].as_array().expect("a list").clone();
    let noise = told.iter().find(|f| f["name"] == "uart-noise").expect("it has serial lines");
    assert!(noise["shows"].as_array().is_some_and(|s| s.contains(&"chain-noise".into())), "{noise}");
    let names = bench.say("faults");
    assert!(told.iter().all(|f| names.contains(f["name"].as_str().expect("a name"))), "{names}");

    let mut i2c = SocketI2c::open(&bench.path("/devices/0/i2c")).expect("listens");
    // A supply that babbles answers the version that nobody knows.
    let mut version = |bench: &mut Bench, said: &str| {
        let answer = bench.say(said);
        let mut byte = [0];
        i2c.transfer(0x10, &mut [Message::Read(&mut byte)]).expect("it answers");
        (answer, byte[0])
    };
    let (_, whole) = version(&mut bench, "help");
    let (answer, babble) = version(&mut bench, "fault supply-dialect");
    assert!(answer.contains("supply-dialect is there: supply") && babble != whole, "{answer}: {babble}");
    assert!(bench.say("fault supply-dialect").contains("heal it first"));
    let (answer, healed) = version(&mut bench, "heal supply-dialect");
    assert!(answer.contains("supply-dialect is healed") && healed == whole, "{answer}: {healed}");
    assert!(bench.say("heal supply-dialect").contains("not there"));
    assert!(bench.say("fault pool-drop").contains("there are: i2c-nack"), "a pool is not the machine's");
}

#[test]
fn a_usb_board_has_a_line_for_its_controller_and_no_socket() {
    let folder = folder("usb");
    let mut bench = Bench::start(&mut of("bitaxe-gamma", &["--pty", "--vhost-user", folder.to_str().expect("text")]));
    let (control, gpio) = (bench.path("/devices/0/i2c"), bench.path("/devices/0/gpio"));
    assert!(control == gpio && control.starts_with("/dev/pts") && control != bench.path("/devices/0/ttys/0"));
    assert_eq!(bench.described.get("vhost_user"), None, "it is a serial line in a guest too");
    let usb = bench.described["usb"].clone();
    assert_eq!(usb, serde_json::json!([folder.join("usb0.sock")]), "one device with both lines");
    let mut i2c = hwdrivers::bus::open::i2c(&control).expect("its controller answers");
    let mut fan = || Emc2101::new(0x4c).rpm(&mut *i2c, FanId(0));
    assert!(fan().is_ok());
    assert_eq!(bench.say("unplug i2c"), "otedama: i2c unplugged");
    assert!(fan().is_err());
    assert_eq!(bench.signal(rustix::process::Signal::TERM), Some(0));
}

#[test]
fn sockets_for_qemu_are_named_taken_over_from_the_dead_and_not_from_the_living() {
    let folder = folder("qemu");
    let place = folder.to_str().expect("text");
    let mut first = Bench::start(&mut command(&["--pty", "--vhost-user", place]));
    let (i2c, gpio) = (first.path("/vhost_user/i2c"), first.path("/vhost_user/gpio"));
    assert_eq!((&i2c, &gpio), (&folder.join("i2c.sock"), &folder.join("gpio.sock")));

    let refused = command(&["--pty", "--vhost-user", place]).output().expect("the program starts");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("i2c.sock") && why.contains("end that one") && refused.stdout.is_empty(), "{why}");

    assert_eq!(first.signal(rustix::process::Signal::KILL), None);
    assert!(i2c.exists() && gpio.exists(), "a killed process leaves them");
    let _ = std::fs::remove_file(first.path("/devices/0/i2c"));
    let mut second = Bench::start(command(&["--pty", "--vhost-user", place]).stdin(Stdio::null()));
    let usb = [0, 1, 2].map(|n| second.path(&format!("/usb/{n}")));
    for path in [&i2c, &gpio, &usb[0], &usb[2]] {
        std::os::unix::net::UnixStream::connect(path).expect("it listens");
    }
    assert_eq!(second.signal(rustix::process::Signal::INT), Some(0));
    assert!(!i2c.exists() && !gpio.exists() && !usb[1].exists());
}

#[test]
fn what_does_not_fit_together_is_wrong_input() {
    for arguments in [&["--vhost-user", "/tmp"][..], &["--pty", "--hours", "2"], &["--pty", "--json"]] {
        let refused = command(arguments).output().expect("the program starts");
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
    }
}
