//! Chains' serial lines that fail: silent, full of garbage, at a wrong rate, dead in the middle of work, with damaged frames. Each is
//! counted or reported for that chain alone; the others and the processor mine on, and the machine is off when the program ends.
//!
//! The test sits on a pty between the program and a simulated chain. Time goes into a chain's protocol (32 s at most) and the
//! 30 s after which a chain that falls silent is called so. Not here: coming back (`sim`'s `safety.rs`, in virtual time).

use crate::bench::{self, Machine, Serve, accepted, faults, own_faults};
use hwdrivers::bus::socket::SocketGpio;
use hwdrivers::bus::tty::LinuxTty;
use hwdrivers::bus::{BusError, Gpio, Uart};
use model::Baud;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to what the chips say.
#[derive(Clone, Copy, Debug)]
enum Damage {
    None,
    Silent,
    /// Noise instead of it, for ever.
    Garbage,
    /// It was sent at 1 MBd and is read at 115,200.
    WrongRate,
    /// One bit in forty bytes.
    Bits,
    /// Some bytes of every third frame are lost.
    Halves,
}

/// A pty that passes everything between the program and a chain's tty, but for the damage.
struct Line {
    path: String,
    damage: Arc<Mutex<Damage>>,
}

impl Line {
    fn to(chain: &str, damage: Damage) -> Line {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a pty");
        rustix::io::ioctl_fionbio(&master, true).expect("a pty");
        let path = ptsname(&master, Vec::new()).expect("a name");
        let slave = rustix::fs::open(path.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens");
        let mut settings = tcgetattr(&slave).expect("a terminal");
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings).expect("a terminal");
        let chain = LinuxTty::open(Path::new(chain), Baud(115_200)).expect("the chain's line");
        let line = Line { path: path.to_string_lossy().into_owned(), damage: Arc::new(Mutex::new(damage)) };
        let damage = Arc::clone(&line.damage);
        // It ends with the machine; the far end is held open so that settings live on while nobody has it.
        std::thread::spawn(move || (carry(&master, chain, &damage), slave));
        line
    }

    fn be(&self, damage: Damage) {
        *self.damage.lock().expect("one writer") = damage;
    }
}

fn carry(master: &OwnedFd, mut chain: LinuxTty, damage: &Mutex<Damage>) -> Result<(), BusError> {
    let (mut rate, mut count, mut pending, mut buffer) = (115_200, 0, Vec::new(), [0; 4096]);
    loop {
        if let Ok(n) = rustix::io::read(master, &mut buffer) {
            chain.write(&buffer[..n])?;
        }
        let told = tcgetattr(master).expect("a terminal").output_speed();
        if told != rate {
            rate = told;
            // What was said at the old rate is on its way; the chips are looked at every 5 ms.
            std::thread::sleep(Duration::from_millis(10));
            chain.set_baud(Baud(rate))?;
        }
        let n = chain.read(&mut buffer)?;
        spoil(*damage.lock().expect("one writer"), &buffer[..n], &mut count, &mut pending);
        if let Ok(n) = rustix::io::write(master, &pending) {
            pending.drain(..n);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn spoil(damage: Damage, said: &[u8], count: &mut usize, heard: &mut Vec<u8>) {
    match damage {
        Damage::None => heard.extend(said),
        Damage::Silent => {}
        Damage::Garbage if heard.len() < 1024 => heard.extend((0..64).map(|_| {
            *count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*count >> 33) as u8
        })),
        Damage::Garbage => {}
        Damage::WrongRate => heard.extend(misheard(said, 1_000_000.0 / 115_200.0)),
        Damage::Bits => heard.extend(said.iter().map(|b| {
            *count += 1;
            if count.is_multiple_of(40) { b ^ 8 } else { *b }
        })),
        Damage::Halves => heard.extend(said.iter().filter(|_| {
            *count += 1;
            *count % 33 < 27
        })),
    }
}

/// What a receiver reads that samples each bit only after so many bits of the sender.
fn misheard(said: &[u8], step: f64) -> Vec<u8> {
    let level = |at: f64| {
        let (byte, bit) = (at as usize / 10, at as usize % 10);
        // Start bit, eight data bits, stop bit; the line is high in between.
        said.get(byte).is_none_or(|b| bit == 9 || (bit > 0 && b >> (bit - 1) & 1 == 1))
    };
    let (mut heard, mut at, end) = (Vec::new(), 0.0, said.len() as f64 * 10.0);
    while at < end {
        if level(at) {
            at += 0.25;
            continue;
        }
        heard.push((0..8).fold(0, |byte, i| byte | u8::from(level(at + step * (1.5 + f64::from(i)))) << i));
        at += step * 9.5;
    }
    heard
}

/// A machine whose chains 1 and 2 are reached through such lines, mining the practice coin beside one CPU thread.
fn bench(name: &str, damage: [Damage; 2]) -> (Machine, [Line; 2], Serve) {
    let machine = Machine::start();
    let mut ttys = machine.ttys();
    let lines = [Line::to(&ttys[1], damage[0]), Line::to(&ttys[2], damage[1])];
    ttys[1].clone_from(&lines[0].path);
    ttys[2].clone_from(&lines[1].path);
    let pool = "pool: {enable: true, address: '127.0.0.1:0', coins: [practice]}\n";
    let serve = Serve::start(&bench::folder(name), &(machine.settings(true, &ttys) + pool));
    (machine, lines, serve)
}

fn is(status: &Value, chain: usize, state: &str) -> bool {
    status["chains"][chain]["state"] == state
}

fn number(status: &Value, chain: usize, of: &str) -> u64 {
    status["chains"][chain][of].as_u64().unwrap_or(0)
}

/// Whether a fault with advice is there.
fn told(status: &Value, chain: usize, code: &str) -> bool {
    let advised = |f: &&Value| f["code"] == code && f["advice"].as_str().is_some_and(|a| !a.is_empty());
    faults(status, &format!("chain {chain}")).iter().any(advised)
}

/// The first chain and the processor mine on, nothing is said against them, and at the end everything is off.
fn end(machine: &Machine, serve: Serve) {
    let before = serve.status();
    serve.until("chain 0 and the processor mine on", |s| {
        let more = number(s, 0, "nonces") > number(&before, 0, "nonces") + 50;
        let cpu = s["cpus"][0]["nonces"].as_u64() > before["cpus"][0]["nonces"].as_u64();
        let alone = own_faults(s).iter().all(|f| f["place"] == "chain 1" || f["place"] == "chain 2");
        is(s, 0, "hashing") && more && cpu && alone && accepted(s, 0) > accepted(&before, 0)
    });
    serve.end();
    let mut gpio = SocketGpio::open(&machine.socket()).expect("the machine is there");
    let product = &board::antminer_s19jpro::PRODUCT;
    let supply = product.supply_enable.expect("has one");
    assert!(!supply.is_active(gpio.get(supply.number).expect("a line")), "the supply is off");
    for board in product.hashboards {
        assert!(board.reset.is_active(gpio.get(board.reset.number).expect("a line")), "its chips are in reset");
    }
}

#[test]
fn a_silent_chain_and_one_that_talks_garbage_are_named_and_alone() {
    let (machine, _lines, serve) = bench("lines-start", [Damage::Silent, Damage::Garbage]);
    serve.until("the silent one is missed", |s| told(s, 1, "chain-missing"));
    serve.until("the other's garbage is counted", |s| number(s, 2, "frame_errors") > 0);
    serve.until("it is named", |s| !faults(s, "chain 2").is_empty());
    let status = serve.until("the first one hashes", |s| is(s, 0, "hashing") && number(s, 0, "nonces") > 0);
    assert!(!is(&status, 1, "hashing") && !is(&status, 2, "hashing"), "{status:#}");
    end(&machine, serve);
}

#[test]
fn a_chain_at_a_wrong_rate_and_one_that_dies_at_work_are_named_and_alone() {
    let (machine, lines, serve) = bench("lines-rate", [Damage::WrongRate, Damage::None]);
    serve.until("the unreadable one is missed", |s| told(s, 1, "chain-missing") && number(s, 1, "frame_errors") > 0);
    serve.until("the others hash", |s| [0, 2].iter().all(|c| is(s, *c, "hashing") && number(s, *c, "nonces") > 0));
    lines[1].be(Damage::Silent);
    serve.until("the dead one is missed", |s| told(s, 2, "chain-silent") || told(s, 2, "chain-missing"));
    end(&machine, serve);
}

#[test]
fn damaged_and_half_frames_are_counted_and_told_and_the_rest_of_them_works() {
    let (machine, lines, serve) = bench("lines-noise", [Damage::None, Damage::None]);
    let hash = |s: &Value| (0..3).all(|c| is(s, c, "hashing") && number(s, c, "nonces") > 0);
    serve.until("all chains hash", |s| hash(s) && own_faults(s).is_empty());
    lines[0].be(Damage::Bits);
    lines[1].be(Damage::Halves);
    let status = serve.until("the noise is told", |s| told(s, 1, "chain-noise") && told(s, 2, "chain-noise"));
    for chain in [1, 2] {
        assert!(number(&status, chain, "frame_errors") > 5, "{status:#}");
        serve.until("it mines on", |s| {
            is(s, chain, "hashing") && number(s, chain, "nonces") > number(&status, chain, "nonces") + 50
        });
    }
    end(&machine, serve);
}
