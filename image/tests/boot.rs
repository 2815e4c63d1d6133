//! The disk that people flash, in QEMU: it starts under both firmwares, and a guest with a simulated machine mines over real
//! ttys, a real I²C bus and real GPIO lines for a pool that it finds by name.
//!
//! These need what `./setup test` installs, and the image of `cargo image build`, which `make test` makes before.

#[path = "../../firmware/supervisor/tests/space/mod.rs"]
mod space;

use image::boot::{Boot, Booted, Firmware};
use image::place::Place;
use image::process::{Process, bound};
use image::qemu::Forward;
use image::run::{settings, status};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything of a guest; a loaded machine with two cores needs two minutes for UEFI alone.
const PATIENCE: Duration = Duration::from_secs(500);
/// Between two questions for a status.
const LOOK: Duration = Duration::from_millis(500);
/// Set in the copy of a test that has a network of its own.
const INSIDE: &str = "OTEDAMA_TEST_INSIDE";
const PRODUCT: &str = "antminer-s19jpro";

#[test]
fn the_disk_starts_under_bios() {
    starts(Firmware::Bios);
}

#[test]
fn the_disk_starts_under_uefi() {
    starts(Firmware::Uefi);
}

/// From the firmware by the disk's own boot loader into the program, which has read the settings of the disk's volume.
fn starts(firmware: Firmware) {
    let place = built();
    let folder = folder(&format!("{firmware:?}"));
    let port = free_port();
    let forwards = [Forward { host: port, guest: 8080 }];
    let boot = Boot {
        place: &place,
        firmware,
        product: None,
        settings: "app: {name: a disk of a test}\nmining: {enable_cpu: false}\napi: {address: '0.0.0.0:8080'}\n",
        folder: &folder,
        forwards: &forwards,
    };
    let mut guest = boot.start().expect("the guest starts");
    guest.wait_for("otedama init:", PATIENCE).expect("the first process");
    let status = until(&mut guest, &place, port, "a page", |_| true);
    assert_eq!(status["faults"][0]["code"], "no-upstream", "the settings of the test are those that run: {status}");
    guest.stop().expect("it ends");
}

#[test]
fn three_chains_mine_for_a_pool_by_its_name_until_the_bus_is_unplugged() {
    if !inside("three_chains_mine_for_a_pool_by_its_name_until_the_bus_is_unplugged") {
        return;
    }
    let place = built();
    let folder = folder("chains");
    let _names = names(&folder);
    let pool = Pool::start(&place, &folder);
    let port = free_port();
    let forwards = [Forward { host: port, guest: 8080 }];
    let upstream = format!("stratum+tcp://pool.test:{}", pool.stratum);
    let settings = format!(
        "mining:\n  enable_cpu: false\n  asic:\n    devices:\n      - {{product: {PRODUCT}, ttys: [/dev/ttyACM0, /dev/ttyACM1, \
         /dev/ttyACM2], i2c: /dev/i2c-0, gpio: /dev/gpiochip0, simulated: true}}\n\
         upstreams: [{{url: '{upstream}', user: guest, password: x}}]\n\
         pool: {{enable: false}}\napi: {{address: '0.0.0.0:8080'}}\nstate: /data\n"
    );
    let boot = Boot {
        place: &place,
        firmware: Firmware::None,
        product: Some(PRODUCT),
        settings: &settings,
        folder: &folder,
        forwards: &forwards,
    };
    let mut guest = boot.start().expect("the guest starts");
    guest.wait_for(" listening ", PATIENCE).expect("it listens");

    let hashing = |c: &Value| c["state"] == "hashing" && c["chips"] == 126;
    let mined = |c: &Value| c["shares_accepted"].as_u64() > Some(0);
    let status = until(&mut guest, &place, port, "hashing chains and a share", |s| {
        chains(s).iter().all(hashing) && chains(s).iter().any(mined)
    });
    assert_eq!(chains(&status).len(), 3);
    assert_eq!(status["upstream"], upstream.as_str(), "{status}");
    assert_eq!((&status["simulated"], &status["shares"]["rejected"]), (&true.into(), &0.into()), "{status}");
    // Sensors and fans are on the bus, and a chain that hashes was let out of reset by a line.
    assert!(chains(&status).iter().all(|c| c["sensors"][0]["celsius"].is_f64()), "{status}");
    assert!(status["fans"][0]["rpm"].as_f64() > Some(0.0), "{status}");
    // What the guest was told, the pool shows with its next snapshot.
    let counted = |s: &Value| s["pool"][0]["name"] == "guest" && s["pool"][0]["shares"]["accepted"].as_u64() > Some(0);
    until(&mut guest, &place, pool.page, "a share on the pool's page", counted);

    let before = status["uptime_seconds"].as_u64().expect("a number");
    guest.simulated.as_mut().expect("a machine").tell("unplug i2c").expect("it listens");
    let off = |c: &Value| c["state"] != "hashing" && c["expected_hashes_per_second"] == 0.0;
    let status = until(&mut guest, &place, port, "an end of hashing", |s| chains(s).iter().all(off));
    let took = status["uptime_seconds"].as_u64().expect("a number") - before;
    assert!(took <= 40, "{took} s: {status}");
    assert!(status["faults"].as_array().is_some_and(|f| !f.is_empty()), "{status}");
    guest.stop().expect("it ends");
}

#[test]
fn a_usb_board_hashes_at_its_own_rate_and_is_found_again_after_its_plug() {
    let (place, folder, port) = (built(), folder("usb"), free_port());
    let product = &board::bitaxe_gamma::PRODUCT;
    let (settings, forwards) = (settings(product, false), [Forward { host: port, guest: 8080 }]);
    let boot = Boot {
        place: &place,
        firmware: Firmware::None,
        product: Some(product.name),
        settings: &settings,
        folder: &folder,
        forwards: &forwards,
    };
    let mut guest = boot.start().expect("the guest starts");
    guest.wait_for(" listening ", PATIENCE).expect("it listens");
    // Its chip is asked for all its work at 1,000,000 baud.
    let well = |s: &Value| {
        let said = s["faults"].as_array().into_iter().flatten().any(|f| f["severity"] != "notice");
        !said && chains(s).len() == 1 && chains(s).iter().all(|c| c["state"] == "hashing" && c["chips"] == 1)
    };
    until(&mut guest, &place, port, "a hashing board", well);
    guest.simulated.as_mut().expect("a machine").tell("fault usb-unplug").expect("it listens");
    // The kernel hung its lines up, and what it was called is known by what it said of itself in /sys.
    guest.wait_for("wait for Bitaxe 00000001", PATIENCE).expect("it is waited for");
    guest.simulated.as_mut().expect("a machine").tell("heal usb-unplug").expect("it listens");
    until(&mut guest, &place, port, "the board again", well);
    guest.stop().expect("it ends");
}

#[test]
fn run_shows_its_page_with_the_first_share_passes_words_on_and_leaves_nothing_behind() {
    built();
    let mut command = bound(env!("CARGO_BIN_EXE_image").as_ref());
    command.args(["run", "--built", "--port", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = Process::start("cargo image run", &mut command).expect("it starts");
    let (out, err) = (heard(run.child().stdout.take()), heard(run.child().stderr.take()));
    let page = line(&out, "http://127.0.0.1:");
    let port: u16 = page.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    let guest = format!("run-{port}/console.log");
    assert_eq!(processes(&guest).len(), 1, "one guest runs");
    run.child().stdin.as_mut().expect("piped").write_all(b"unplug chain 7\n").expect("typed");
    line(&err, "no chain '7'");

    rustix::process::kill_process(rustix::process::Pid::from_child(run.child()), rustix::process::Signal::INT).expect("it runs");
    line(&err, "ended");
    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        match run.ended().expect("known") {
            Some(status) => break status,
            None => assert!(Instant::now() < deadline, "it does not end"),
        }
        std::thread::sleep(LOOK);
    };
    assert!(ended.success(), "{ended}");
    assert_eq!(processes(&guest), Vec::<String>::new());
    let sockets = format!("otedama-run-{}-0", run.child().id());
    assert_eq!(processes(&sockets), Vec::<String>::new(), "the simulated machine");
    assert!(!std::env::temp_dir().join(sockets).exists());
}

/// What a process says, line by line.
fn heard(said: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let said = said.expect("it was piped");
    let (sender, lines) = channel();
    std::thread::spawn(move || BufReader::new(said).lines().map_while(Result::ok).for_each(|l| drop(sender.send(l))));
    lines
}

/// The next line with this text.
fn line(lines: &Receiver<String>, text: &str) -> String {
    let (deadline, mut before) = (Instant::now() + PATIENCE, String::new());
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|e| panic!("no line with '{text}': {e}; it said:\n{before}"));
        if line.contains(text) {
            return line;
        }
        before += &format!("{line}\n");
    }
}

/// Command lines that run and have this text.
fn processes(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("Linux").flatten();
    let lines = all.filter_map(|p| std::fs::read(p.path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).filter(|l| l.contains(text)).collect()
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_built() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("its number").port().to_string();
    let o = Command::new(env!("CARGO_BIN_EXE_image")).args(["run", "--port", &port]).output().expect("it starts");
    let said = String::from_utf8_lossy(&o.stderr);
    assert!(!o.status.success() && said.contains(&port) && said.contains("--port") && !said.contains("building"), "{said}");
}

/// The image, as `cargo image build` has left it.
fn built() -> Place {
    let place = Place::of("pc").expect("a board");
    for made in [place.disk(), place.kernel(), place.program()] {
        assert!(made.exists(), "{} is not there: run `cargo image build` first, as `make test` does", made.display());
    }
    place
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{}", name.to_lowercase()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free port").port()
}

fn chains(status: &Value) -> &[Value] {
    status["chains"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Asks for the guest's status until it is as wanted.
fn until(guest: &mut Booted, place: &Place, port: u16, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        guest.lines().expect("everything runs");
        let answer = status(&place.program(), port);
        match answer {
            Ok(status) if wanted(&status) => return status,
            answer => assert!(Instant::now() < deadline, "never {what}: {answer:?}\n{}", guest.console.tail()),
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether this is the copy in a network and with mounts of its own; the first call runs that copy and fails as it does.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("a path");
    let mut command = Command::new("unshare");
    // By a user namespace where the tests do not run as root.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "ip link set lo up && exec \"$@\"";
    command.args(space::own_mounts()).args(["--net", "sh", "-c", script, "sh"]).arg(own).args(["--exact", test, "--nocapture"]);
    let status = command.env(INSIDE, "1").status().expect("unshare is part of Debian");
    assert!(status.success(), "see above");
    false
}

/// A resolver that knows one name. What a guest asks QEMU's goes to the first one of this file.
fn names(folder: &Path) -> Process {
    let file = folder.join("resolv.conf");
    std::fs::write(&file, "nameserver 127.0.0.1\n").expect("written");
    let mounted = Command::new("mount").arg("--bind").arg(&file).arg("/etc/resolv.conf").status().expect("mount");
    assert!(mounted.success());
    let mut command = bound("/usr/sbin/dnsmasq".as_ref());
    // 10.0.2.2 is this machine's loopback, as QEMU shows it to the guest.
    command.args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root"]);
    command.args(["--listen-address=127.0.0.1", "--bind-interfaces", "--address=/pool.test/10.0.2.2", "--pid-file="]);
    Process::start("dnsmasq", &mut command).expect("it starts")
}

/// A pool of the practice chain on this machine's loopback.
struct Pool {
    _process: Process,
    page: u16,
    stratum: u16,
}

impl Pool {
    fn start(place: &Place, folder: &Path) -> Pool {
        let folder = folder.join("pool");
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = folder.join("config.yaml");
        let text = "mining: {enable_cpu: false, enable_asic: false}\n\
                    pool: {enable: true, address: '127.0.0.1:0', coins: [practice]}\napi: {address: '127.0.0.1:0'}\n\
                    monitoring: {metrics: {enabled: false}, health: {enabled: false}}\n";
        std::fs::write(&config, text).expect("written");
        let mut command = bound(place.program().as_os_str());
        command.args(["serve", "--config"]).arg(&config).stderr(Stdio::piped());
        let mut process = Process::start("the pool", &mut command).expect("it starts");
        let mut lines = BufReader::new(process.child().stderr.take().expect("piped")).lines().map_while(Result::ok);
        let listening = lines.find(|l| l.contains(" listening ")).expect("it listens");
        // Its log is drained, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let port = |name: &str| {
            let key = format!("{name}=127.0.0.1:");
            let word = listening.split(' ').find_map(|w| w.strip_prefix(&key)).expect(name);
            word.parse().expect("a port")
        };
        Pool { page: port("page"), stratum: port("pool"), _process: process }
    }
}
