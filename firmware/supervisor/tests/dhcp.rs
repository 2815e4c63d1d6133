//! The network of `otedama init` against real DHCP: a machine and a server in two network namespaces, a cable (veth) between them.
//!
//! Each test runs itself again in a namespace of its own, by `unshare`: as root, or where that is not to be had by a user
//! namespace. Where neither is allowed it fails and says so. The server is `dnsmasq`, or for what no honest server does, the few
//! lines below. Not here: what is checked of a lease value by value (`init/net/lease.rs`).

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Set where the test runs in its namespace already.
const INSIDE: &str = "OTEDAMA_TEST_INSIDE";
/// Longest wait for anything; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
const SETTINGS: &str = "api: {address: '0.0.0.0:8080'}\n";
const DNSMASQ: &[&str] = &[
    "--conf-file=/dev/null",
    "--keep-in-foreground",
    "--log-facility=-",
    "--log-dhcp",
    "--user=root",
    "--port=0",
    "--pid-file=",
    "--interface=srv",
    "--bind-interfaces",
    "--no-ping",
    "--dhcp-authoritative",
    "--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,120",
    "--dhcp-option=option:router,10.77.0.1",
    "--dhcp-option=option:dns-server,10.77.0.1,10.77.0.2",
    "--dhcp-option=option:T1,5",
    "--domain=farm.example",
];

/// Runs `test` in namespaces of its own, as this same program once more.
fn in_namespaces(name: &str, test: fn(Bench)) {
    if std::env::var_os(INSIDE).is_some() {
        return test(Bench::new(name));
    }
    let own = std::env::current_exe().expect("this program has a path");
    let unshare = |user: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(user).args(["--net", "--uts"]);
        command
    };
    let user: &[&str] =
        if unshare(&[]).arg("true").status().is_ok_and(|s| s.success()) { &[] } else { &["--user", "--map-root-user"] };
    let allowed = unshare(user).arg("true").output().expect("unshare is part of Debian");
    assert!(
        allowed.status.success(),
        "this test needs network namespaces: run it as root, or allow user namespaces\n{}",
        String::from_utf8_lossy(&allowed.stderr)
    );
    let status = unshare(user).arg(own).args(["--exact", name, "--nocapture"]).env(INSIDE, "1").status().expect("starts");
    assert!(status.success(), "inside of the namespaces it failed, see above");
}

/// A machine and a server's side; this program is on the server's.
struct Bench {
    folder: PathBuf,
    machine: Process,
    programs: Vec<Process>,
}

/// A process that ends with its owner, and what it says.
struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("start {shown}: {e} (./setup test installs what tests need)"));
        let said = Arc::new(Mutex::new(vec![]));
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for output in outputs {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    println!("{line}");
                    said.lock().expect("no holder panics").push(line);
                }
            });
        }
        Process { child, said }
    }

    fn count(&self, part: &str) -> usize {
        self.said.lock().expect("no holder panics").iter().filter(|l| l.contains(part)).count()
    }

    /// Waits until this was said this often.
    fn until(&self, part: &str, times: usize) {
        patiently(&format!("'{part}' {times} times"), || self.count(part) >= times);
    }
}

fn patiently(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ok(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e} (see ./setup test)"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

fn ip(args: &str) -> String {
    ok(Command::new("ip").args(args.split(' ')))
}

impl Bench {
    fn new(name: &str) -> Bench {
        let folder = std::env::temp_dir().join(format!("otedama-dhcp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("config.yaml"), SETTINGS).expect("written");
        let machine = Process::start(Command::new("unshare").args(["--net", "--uts", "sh", "-c", "echo ready; exec sleep 600"]));
        machine.until("ready", 1);
        ip(&format!("link add srv type veth peer name eth0 netns {}", machine.child.id()));
        ip("address add 10.77.0.1/24 dev srv");
        ip("link set srv up");
        Bench { folder, machine, programs: vec![] }
    }

    /// A command in the machine's namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.machine.child.id().to_string(), "--net", "--uts", "--", program]);
        command
    }

    fn start(&mut self, command: &mut Command) -> usize {
        self.programs.push(Process::start(command));
        self.programs.len() - 1
    }

    fn start_network(&mut self) -> usize {
        let mut command = self.inside(env!("CARGO_BIN_EXE_otedama"));
        command.args(["init", "--network", "--config"]).arg(self.folder.join("config.yaml")).arg("--run").arg(&self.folder);
        self.start(&mut command)
    }

    fn start_dnsmasq(&mut self, more: &[&str]) -> usize {
        let mut command = Command::new("/usr/sbin/dnsmasq");
        command.args(DNSMASQ).args(more).arg(format!("--dhcp-leasefile={}", self.folder.join("leases").display()));
        self.start(&mut command)
    }

    fn addresses(&self) -> String {
        ok(self.inside("ip").args(["-4", "-o", "address", "show", "dev", "eth0"]))
    }

    fn routes(&self) -> String {
        ok(self.inside("ip").args(["-4", "route", "show"]))
    }

    fn resolv_conf(&self) -> String {
        std::fs::read_to_string(self.folder.join("resolv.conf")).unwrap_or_default()
    }

    fn host_name(&self) -> String {
        ok(self.inside("uname").arg("-n")).trim().to_owned()
    }

    fn mac(&self) -> String {
        let shown = ok(self.inside("ip").args(["-o", "link", "show", "dev", "eth0"]));
        shown.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a hardware address").to_owned()
    }

    fn mac_end(&self) -> String {
        self.mac().split(':').skip(3).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.programs.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_lease_sets_address_route_and_names_and_is_renewed() {
    in_namespaces("a_lease_sets_address_route_and_names_and_is_renewed", |mut bench| {
        let server = bench.start_dnsmasq(&[]);
        let network = bench.start_network();
        bench.programs[network].until("page: http://10.77.0.", 1);
        let addresses = bench.addresses();
        assert!(addresses.contains("inet 10.77.0.5") || addresses.contains("inet 10.77.0.60"), "{addresses}");
        assert!(
            addresses.contains("/24 brd 10.77.0.255") && addresses.contains("valid_lft 1"),
            "it lasts as long as the lease: {addresses}"
        );
        assert!(bench.routes().contains("default via 10.77.0.1 dev eth0 proto dhcp src 10.77.0."), "{}", bench.routes());
        let resolv_conf = bench.resolv_conf();
        assert!(resolv_conf.ends_with("search farm.example\nnameserver 10.77.0.1\nnameserver 10.77.0.2\n"), "{resolv_conf}");
        assert_eq!(bench.host_name(), format!("otedama-{}", bench.mac_end()));
        assert!(ok(bench.inside("ip").args(["link", "show", "dev", "lo"])).contains("UP"), "loopback");
        // The second acknowledgement is of a renewal, five seconds later; nobody is told of it.
        bench.programs[server].until("DHCPACK(srv)", 2);
        assert_eq!(bench.programs[network].count("eth0: address"), 1);
        assert_eq!(bench.programs[network].count("page:"), 1);
    });
}

/// What the server of the tests below answers; each kind is what no honest server does, but for the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Silent,
    /// Bytes that are no DHCP, or too few of them, or another's.
    Garbage,
    /// Everybody's address, and a lease that is over at once.
    AbsurdAddress,
    AbsurdTime,
    /// A good address with lists that are far too long and names that are none.
    Excess,
    /// A lease of ten seconds.
    Short,
}

/// A few lines of a DHCP server, told how to behave while it runs.
struct Server(Arc<Mutex<Manner>>);

impl Server {
    fn start(manner: Manner) -> Server {
        let manner = Arc::new(Mutex::new(manner));
        let (own, socket) = (Arc::clone(&manner), UdpSocket::bind("0.0.0.0:67").expect("the server's port"));
        socket.set_broadcast(true).expect("set");
        std::thread::spawn(move || {
            let mut bytes = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut bytes) {
                let manner = *own.lock().expect("no holder panics");
                // Before it has an address only a broadcast reaches it; a renewal is answered to where it came from.
                let to = if from.ip().is_unspecified() { "10.77.0.255:68".parse().expect("an address") } else { from };
                for answer in answers(&bytes[..n], manner) {
                    let _ = socket.send_to(&answer, to);
                }
            }
        });
        Server(manner)
    }

    fn behave(&self, manner: Manner) {
        *self.0.lock().expect("no holder panics") = manner;
    }
}

fn answers(request: &[u8], manner: Manner) -> Vec<Vec<u8>> {
    // An option 53 of one byte comes first or second in what our client sends; 1 asks for offers, 3 for a grant.
    let Some(at) = request.windows(3).skip(240).position(|w| w[..2] == [53, 1] && matches!(w[2], 1 | 3)) else { return vec![] };
    let kind = if request[240 + at + 2] == 1 { 2 } else { 5 };
    let seconds = |s: u32| [&[51, 4][..], &s.to_be_bytes()].concat();
    let options = |more: &[&[u8]]| {
        let mut all = vec![53, 1, kind, 54, 4, 10, 77, 0, 1, 1, 4, 255, 255, 255, 0];
        more.iter().for_each(|m| all.extend(*m));
        all
    };
    let packet = |address: [u8; 4], options: &[u8]| {
        let mut p = vec![0; 236];
        p[..4].copy_from_slice(&[2, 1, 6, 0]);
        p[4..8].copy_from_slice(&request[4..8]);
        p[16..20].copy_from_slice(&address);
        p[28..44].copy_from_slice(&request[28..44]);
        [&p[..], &[99, 130, 83, 99], options, &[255]].concat()
    };
    let good = [10, 77, 0, 77];
    match manner {
        Manner::Silent => vec![],
        Manner::Garbage => {
            let noise: Vec<u8> = (0..600u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let whole = packet(good, &options(&[&seconds(3600)]));
            let mut other = whole.clone();
            other[4] ^= 0xff;
            let endless = packet(good, &[53, 1, kind, 51, 255, 0, 0]);
            let nothing = packet(good, &options(&[&seconds(0)]));
            vec![noise.clone(), noise[..20].to_vec(), vec![], whole[..240].to_vec(), other, endless, nothing, packet(good, &[])]
        }
        Manner::AbsurdAddress => vec![packet([255; 4], &options(&[&seconds(3600)]))],
        Manner::AbsurdTime => vec![packet(good, &options(&[&seconds(5)]))],
        Manner::Excess => {
            let mut more = [&seconds(3600)[..], &[3, 8, 127, 0, 0, 1, 10, 77, 0, 1]].concat();
            for part in 0..4u8 {
                more.extend([6, 200]);
                (0..50).for_each(|n| more.extend([10, 77, part + 1, n]));
            }
            for (code, name) in [(12, "rig\nroot::0:0"), (15, "x\nnameserver 6.6.6.6")] {
                more.extend([code, name.len() as u8]);
                more.extend(name.as_bytes());
            }
            vec![packet(good, &options(&[&more]))]
        }
        Manner::Short => vec![packet(good, &options(&[&seconds(10), &[3, 4, 10, 77, 0, 1, 6, 4, 10, 77, 0, 1]]))],
    }
}

#[test]
fn hostile_answers_set_nothing_and_a_sound_one_after_them_does() {
    in_namespaces("hostile_answers_set_nothing_and_a_sound_one_after_them_does", |mut bench| {
        let server = Server::start(Manner::Garbage);
        let network = bench.start_network();
        bench.programs[network].until("no DHCP server answers", 1);
        assert_eq!(bench.addresses(), "");
        server.behave(Manner::AbsurdAddress);
        bench.programs[network].until("refused: it offers 255.255.255.255", 1);
        server.behave(Manner::AbsurdTime);
        bench.programs[network].until("refused: its lease of 5 s", 1);
        assert_eq!(bench.addresses(), "");
        server.behave(Manner::Excess);
        bench.programs[network].until("address 10.77.0.77/24, gateway 10.77.0.1", 1);
        bench.programs[network].until("page:", 1);
        let wanted = "# Written by otedama init.\nnameserver 10.77.1.0\nnameserver 10.77.1.1\nnameserver 10.77.1.2\n";
        assert_eq!(bench.resolv_conf(), wanted);
        assert_eq!(bench.host_name(), format!("otedama-{}", bench.mac_end()));
        assert_eq!(bench.programs[network].count("no DHCP server answers"), 1, "said once");
    });
}

#[test]
fn a_server_that_goes_takes_the_address_with_it_and_brings_it_back() {
    in_namespaces("a_server_that_goes_takes_the_address_with_it_and_brings_it_back", |mut bench| {
        let server = Server::start(Manner::Short);
        let network = bench.start_network();
        bench.programs[network].until("page: http://10.77.0.77:8080", 1);
        server.behave(Manner::Silent);
        bench.programs[network].until("the lease of 10.77.0.77 is over", 1);
        bench.programs[network].until("no DHCP server answers", 1);
        assert_eq!(bench.addresses(), "");
        assert!(!bench.routes().contains("default"), "{}", bench.routes());
        assert!(!bench.resolv_conf().contains("nameserver"), "{}", bench.resolv_conf());
        server.behave(Manner::Short);
        bench.programs[network].until("page: http://10.77.0.77:8080", 2);
        assert!(bench.addresses().contains("10.77.0.77/24"), "{}", bench.addresses());
    });
}

#[test]
fn a_cable_that_is_out_gives_up_the_address_and_asks_anew_when_it_is_back() {
    in_namespaces("a_cable_that_is_out_gives_up_the_address_and_asks_anew_when_it_is_back", |mut bench| {
        let end = bench.mac_end();
        bench.start_dnsmasq(&[&format!("--dhcp-host={},rig-7", bench.mac())]);
        let network = bench.start_network();
        bench.programs[network].until("page: http://10.77.0.", 1);
        assert_eq!(bench.host_name(), "rig-7", "the name that the network has for it, not otedama-{end}");
        ip("link set srv down");
        bench.programs[network].until("the cable is out", 1);
        bench.programs[network].until("is given up", 1);
        assert_eq!(bench.addresses(), "");
        ip("link set srv up");
        bench.programs[network].until("the cable is back", 1);
        bench.programs[network].until("page: http://10.77.0.", 2);
        assert!(bench.routes().contains("default via 10.77.0.1"), "{}", bench.routes());
    });
}
