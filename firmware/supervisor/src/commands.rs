//! What a person, or a test, does to a simulated machine that runs: commands as lines on standard input, each answered by a line
//! on standard error. `hashes` is answered on standard output, as one line of JSON, for programs that measure. The end of the input is
//! no end: a machine without anybody to talk to runs on. Not here: the machine.

use crate::simulated::{ByHand, ON_THE_TABLE, World, lock};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::tcgetpgrp;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest line.
const LINE_LIMIT: usize = 128;
/// How long a program in the background waits before it looks whether it is in front again.
const BACKGROUND_WAIT: Duration = Duration::from_secs(1);
/// All there are.
const HELP: &str = "unplug i2c | plug i2c | unplug chain N | plug chain N | faults | fault NAME | heal NAME | hashes | help";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Bus { plugged: bool },
    Chain { chain: usize, plugged: bool },
    Hashes,
    Faults,
    Fault(String),
    Heal(String),
    Help,
}

/// The machine, what hurts it, and how many chains it has.
struct Bench {
    world: Arc<Mutex<World>>,
    by_hand: ByHand,
    chains: usize,
}

/// Obeys lines on a thread of its own, for as long as the program runs.
///
/// # Errors
/// No thread can be had.
pub fn listen(world: &Arc<Mutex<World>>, by_hand: ByHand, chains: usize) -> std::io::Result<()> {
    let mut bench = Bench { world: Arc::clone(world), by_hand, chains };
    let listen = move || {
        let (mut lines, mut bytes) = (Lines::default(), [0; LINE_LIMIT]);
        while let Ok(n @ 1..) = arrived(&mut bytes) {
            for line in lines.tell(&bytes[..n]) {
                eprintln!("otedama: {}", bench.obey(&line));
            }
        }
    };
    std::thread::Builder::new().name("commands".to_owned()).spawn(listen).map(drop)
}

/// Waits for bytes. A terminal's are left alone while the program is in the background: the kernel would stop it for reading them.
fn arrived(bytes: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)], None) {
            Ok(_) if tcgetpgrp(stdin()).is_ok_and(|group| group != getpgrp()) => std::thread::sleep(BACKGROUND_WAIT),
            Ok(_) => return read(stdin(), &mut *bytes),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

impl Bench {
    /// Does what a line asks and says so.
    fn obey(&mut self, line: &Result<String, TooLong>) -> String {
        let Ok(line) = line else { return format!("a line has up to {LINE_LIMIT} bytes; there are: {HELP}") };
        let done = |plugged| if plugged { "plugged" } else { "unplugged" };
        match parse(line, self.chains) {
            Err(why) => why,
            Ok(Command::Help) => format!("there are: {HELP}"),
            Ok(Command::Hashes) => {
                // Nobody reads what cannot be written.
                let mut out = std::io::stdout();
                match writeln!(out, "{}", hashes(&lock(&self.world), self.chains)).and_then(|()| out.flush()) {
                    Ok(()) => "hashes told".to_owned(),
                    Err(why) => format!("tell the hashes: {why}"),
                }
            }
            Ok(Command::Faults) => format!("this machine has: {}", self.by_hand.names().join(", ")),
            Ok(Command::Fault(name)) => match self.by_hand.inject(&name) {
                Ok(place) => format!("{name} is there: {place}"),
                Err(why) => why.to_string(),
            },
            Ok(Command::Heal(name)) => match self.by_hand.heal(&name) {
                Ok((place, None)) => format!("{name} is healed: {place}"),
                Ok((place, Some(board))) => {
                    std::thread::sleep(ON_THE_TABLE);
                    lock(&self.world).plug(board);
                    format!("{name} is repaired, and the board back in its place: {place}")
                }
                Err(why) => why.to_string(),
            },
            Ok(Command::Bus { plugged }) => {
                lock(&self.world).plug_bus(plugged);
                format!("i2c {}", done(plugged))
            }
            Ok(Command::Chain { chain, plugged: true }) => {
                lock(&self.world).plug(chain);
                format!("chain {chain} plugged")
            }
            Ok(Command::Chain { chain, plugged: false }) => {
                lock(&self.world).unplug(chain);
                format!("chain {chain} unplugged")
            }
        }
    }
}

/// What each chain's chips did since they were made: candidates that they hashed, and those of them that they had hashed before
/// on the same job, as no fresh work had come. The time is the machine's own, which leaves out what a busy host could not keep up with.
fn hashes(world: &World, chains: usize) -> serde_json::Value {
    let chain = |c| {
        let (tested, repeated) = world.hashes(c);
        let clock = world.clock(c).unwrap_or_default().0 * 1e6;
        serde_json::json!({ "tested": tested, "repeated": repeated, "hashing": world.hashing(c), "clock_hertz": clock })
    };
    serde_json::json!({ "seconds": world.now().secs_f64(), "chains": (0..chains).map(chain).collect::<Vec<_>>() })
}

fn parse(line: &str, chains: usize) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let plugged = words.first() == Some(&"plug");
    match words[..] {
        ["help"] => Ok(Command::Help),
        ["hashes"] => Ok(Command::Hashes),
        ["faults"] => Ok(Command::Faults),
        ["fault", name] => Ok(Command::Fault(plain(name))),
        ["heal", name] => Ok(Command::Heal(plain(name))),
        ["plug" | "unplug", "i2c"] => Ok(Command::Bus { plugged }),
        ["plug" | "unplug", "chain", n] => match n.parse() {
            Ok(chain) if chain < chains => Ok(Command::Chain { chain, plugged }),
            _ => Err(format!("no chain '{n}': this machine has chains 0 to {}", chains.saturating_sub(1))),
        },
        _ => Err(format!("no command '{}'; there are: {HELP}", line.trim().escape_debug())),
    }
}

/// A name that is answered as it was said, and does not steer the terminal.
fn plain(name: &str) -> String {
    name.escape_debug().to_string()
}

/// A line of more than [`LINE_LIMIT`] bytes.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
    /// The line of now is too long: the rest of it is let pass.
    passing: bool,
}

impl Lines {
    /// The lines that these bytes end, none of them empty.
    fn tell(&mut self, bytes: &[u8]) -> Vec<Result<String, TooLong>> {
        let mut ended = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.passing) => ended.push(Err(TooLong)),
                b'\n' => ended.push(Ok(String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned())),
                _ if self.passing => {}
                _ if self.pending.len() == LINE_LIMIT => {
                    self.passing = true;
                    self.pending.clear();
                }
                _ => self.pending.push(*byte),
            }
        }
        ended.retain(|line| line.as_ref().map_or(true, |l| !l.trim().is_empty()));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood_and_all_else_is_told_what_there_is() {
        assert_eq!(parse("unplug i2c", 3), Ok(Command::Bus { plugged: false }));
        assert_eq!(parse("  plug   i2c\r", 3), Ok(Command::Bus { plugged: true }));
        assert_eq!(parse("unplug chain 2", 3), Ok(Command::Chain { chain: 2, plugged: false }));
        assert_eq!(parse("help", 3), Ok(Command::Help));
        assert_eq!(parse("hashes", 3), Ok(Command::Hashes));
        assert_eq!(parse("faults", 3), Ok(Command::Faults));
        assert_eq!(parse("fault i2c-nack", 3), Ok(Command::Fault("i2c-nack".to_owned())));
        assert_eq!(parse("heal \u{1b}[A", 3), Ok(Command::Heal("\\u{1b}[A".to_owned())));
        for chain in ["3", "-1", "x", "99999999999999999999999"] {
            let why = parse(&format!("plug chain {chain}"), 3).expect_err("no such chain");
            assert!(why.contains(chain) && why.contains("0 to 2"), "{why}");
        }
        for line in ["unplug", "fault", "heal all of it", "plug i2c now", "UNPLUG I2C", "\u{1b}[A", "reboot"] {
            let why = parse(line, 3).expect_err("no such command");
            assert!(why.contains("unplug chain N") && !why.contains('\u{1b}'), "{why}");
        }
    }

    #[test]
    fn what_the_chips_did_is_told_chain_by_chain() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let mut world = World::new(product, 1, crate::simulated::scale(product));
        world.advance(model::Time::from_secs(3));
        let told = hashes(&world, product.hashboards.len());
        let chain = serde_json::json!({ "tested": 0, "repeated": 0, "hashing": false, "clock_hertz": 0.0 });
        assert_eq!(told, serde_json::json!({ "seconds": 3.0, "chains": [chain, chain, chain] }));
    }

    #[test]
    fn bytes_become_lines_however_they_come_and_a_long_one_is_one_answer() {
        let mut lines = Lines::default();
        assert_eq!(lines.tell(b"plug "), []);
        assert_eq!(lines.tell(b"i2c\n\n \nhelp\nunp"), [Ok("plug i2c".to_owned()), Ok("help".to_owned())]);
        assert_eq!(lines.tell(b"lug i2c\n"), [Ok("unplug i2c".to_owned())]);
        let longest = "x".repeat(LINE_LIMIT);
        assert_eq!(lines.tell(format!("{longest}\n").as_bytes()), [Ok(longest)]);
        for _ in 0..1000 {
            assert_eq!(lines.tell(&[b'x'; LINE_LIMIT]), []);
        }
        assert!(lines.pending.capacity() < 1024);
        assert_eq!(lines.tell(b"\nhelp\n"), [Err(TooLong), Ok("help".to_owned())]);
    }
}
