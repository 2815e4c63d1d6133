//! What a host can see of a chain: bytes. Here the BM1362; `models` has the others, `faults` what can be wrong.

mod faults;
mod models;

use super::*;
use model::{ChipModel, Hash, Header};

const S19J: ChainLayout = ChainLayout { chip: ChipModel::Bm1362, chips: 126, domains: 42, address_interval: 2 };
const SLOW: Baud = Baud(115_200);
const SILENCE: [u8; 0] = [];
const FAST: Baud = Baud(3_125_000);

/// A chain and its host's clock, which moves on as bytes are sent and awaited.
struct Bench {
    chain: SimChain,
    now: Time,
    baud: Baud,
    /// Bytes of a frame whose end is still on the line.
    rest: Vec<u8>,
}

impl Bench {
    fn new(seed: u64, scale_bits: u8) -> Bench {
        Bench::of(S19J, Volt(13.2), seed, Scale { zero_bits: 0, scale_bits, stretch_bits: 0 })
    }

    fn of(layout: ChainLayout, rail: Volt, seed: u64, scale: Scale) -> Bench {
        let mut chain = SimChain::new(layout, seed, scale);
        chain.set_power(Time::ZERO, rail);
        chain.set_reset(Time::ZERO, false);
        Bench { chain, now: Time::from_millis(10), baud: SLOW, rest: Vec::new() }
    }

    /// A command of the chip's own framing: its body without CRC.
    fn order(&mut self, body: &[u8]) {
        let bare = self.chain.facts.framing == facts::Framing::Bare;
        let bytes = if bare { command(body)[2..].to_vec() } else { command(body) };
        self.chain.tell_bytes(self.now, self.baud, &bytes);
    }

    fn write_all(&mut self, register: u8, value: u32) {
        let v = value.to_be_bytes();
        let header = if self.chain.facts.framing == facts::Framing::Bare { 0x58 } else { 0x51 };
        self.order(&[header, 9, 0, register, v[0], v[1], v[2], v[3]]);
    }

    fn write_one(&mut self, chip: u8, register: u8, value: u32) {
        let v = value.to_be_bytes();
        let header = if self.chain.facts.framing == facts::Framing::Bare { 0x48 } else { 0x41 };
        self.order(&[header, 9, chip, register, v[0], v[1], v[2], v[3]]);
    }

    /// What a chip's register holds, heard within 20 ms; `None` where nobody answers.
    fn read_one(&mut self, chip: u8, register: u8) -> Option<u32> {
        let bare = self.chain.facts.framing == facts::Framing::Bare;
        self.order(&[if bare { 0x44 } else { 0x42 }, 5, chip, register]);
        let reply = self.listen(20);
        let value = reply.get(if bare { 0..4 } else { 2..6 })?;
        Some(u32::from_be_bytes([value[0], value[1], value[2], value[3]]))
    }

    /// Gives every chip its address.
    fn address(&mut self) {
        let (bare, layout) = (self.chain.facts.framing == facts::Framing::Bare, self.chain.layout);
        self.order(&[if bare { 0x55 } else { 0x53 }, 5, 0, 0]);
        for chip in 0..layout.chips {
            self.order(&[if bare { 0x41 } else { 0x40 }, 5, chip * layout.address_interval, 0]);
        }
    }

    fn tell(&mut self, hex: &str) {
        self.chain.tell_bytes(self.now, self.baud, &unhex(hex));
    }

    /// Everything that arrives within so many milliseconds.
    fn listen(&mut self, millis: u64) -> Vec<u8> {
        self.now = self.now + Duration::from_millis(millis);
        let mut all = vec![0; OUTPUT_LIMIT];
        let n = self.chain.take_bytes(self.now, self.baud, &mut all);
        all.truncate(n);
        all
    }

    /// The whole nonce replies that arrive within so many milliseconds.
    fn nonces(&mut self, millis: u64) -> Vec<Vec<u8>> {
        let heard = self.listen(millis);
        self.rest.extend(heard);
        let rest = self.rest.split_off(self.rest.len() / 11 * 11);
        std::mem::replace(&mut self.rest, rest).chunks(11).map(<[u8]>::to_vec).collect()
    }

    fn ask(&mut self, hex: &str) -> Vec<u8> {
        self.tell(hex);
        self.listen(200)
    }

    /// Addresses, 525 MHz, ticket 2^4, rolling and reports on.
    fn mine(&mut self, job: &[u8]) {
        self.tell("55AA 53 05 00 00 03");
        for i in 0..126 {
            let body = [0x40, 5, 2 * i, 0];
            self.chain.tell_bytes(self.now, self.baud, &command(&body));
        }
        for (register, value) in
            [(0xa4, 0x9000_ffff_u32), (0x18, 0xb000_c100), (0x14, 0x0000_00f0), (0x08, 0x40a8_0230), (0x10, 0x1381)]
        {
            let v = value.to_be_bytes();
            self.chain.tell_bytes(self.now, self.baud, &command(&[0x51, 9, 0, register, v[0], v[1], v[2], v[3]]));
        }
        self.tell("55AA 51 09 00 28 11 30 00 00 1E");
        assert_eq!(self.chain.baud, FAST);
        self.baud = FAST;
        self.chain.tell_bytes(self.now, self.baud, job);
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let t: String = text.split_whitespace().collect();
    (0..t.len() / 2).map(|i| u8::from_str_radix(&t[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn command(body: &[u8]) -> Vec<u8> {
    let crc = frame::crc5(body, body.len() * 8);
    [&[0x55, 0xaa], body, &[crc]].concat()
}

/// The genesis job of the reference, whose CRC16 was computed elsewhere; its version has no bit to roll set.
const GENESIS: &str = "55AA2136 1801 00000000 FFFF001D 29AB5F49 4B1E5E4A3A9FB8AA888A51327FC81BC367768F617AC72C3E7A7B12B23BA3EDFD
    0000000000000000000000000000000000000000000000000000000000000000 01000000 DF06";

fn genesis_header() -> Header {
    let mut root = [0; 32];
    root.copy_from_slice(&unhex("3BA3EDFD7A7B12B27AC72C3E67768F617FC81BC3888A51323A9FB8AA4B1E5E4A"));
    Header { version: 1, previous: Hash([0; 32]), merkle_root: Hash(root), time: 0x495f_ab29, bits: 0x1d00_ffff, nonce: 0 }
}

/// The header that a nonce reply of eleven bytes stands for.
fn solved(base: Header, reply: &[u8]) -> Header {
    assert_eq!(&reply[..2], &[0xaa, 0x55]);
    assert_eq!(frame::crc5(&reply[2..], 9 * 8), 0, "{reply:02x?}");
    let version = base.version | u32::from(u16::from_be_bytes([reply[8], reply[9]])) << 13;
    Header { version, nonce: u32::from_le_bytes([reply[2], reply[3], reply[4], reply[5]]), ..base }
}

#[test]
fn a_fresh_chain_answers_126_equal_frames_and_addresses_are_confirmed() {
    let mut b = Bench::new(1, 36);
    let all = b.ask("55AA 52 05 00 00 0A");
    assert_eq!(all, unhex("AA5513620300 00 00 0D").repeat(126));
    b.tell("55AA 53 05 00 00 03 55AA 40 05 00 00 1C 55AA 40 05 02 00 01 55AA 40 05 04 00 03");
    assert_eq!(b.ask(&hex(&command(&[0x42, 5, 4, 0])))[..8], unhex("AA5513620304 04 00"));
    assert_eq!(b.ask(&hex(&command(&[0x42, 5, 6, 0]))), SILENCE);
}

#[test]
fn version_rolling_makes_replies_longer_and_reset_undoes_it() {
    let mut b = Bench::new(1, 36);
    assert_eq!(b.ask("55AA 51 09 00 A4 90 00 FF FF 1C"), SILENCE);
    let all = b.ask("55AA 52 05 00 00 0A");
    assert_eq!(all, unhex("AA5513620300 00 00 0000 1E").repeat(126));
    b.chain.set_reset(b.now, true);
    assert_eq!(b.ask("55AA 52 05 00 00 0A"), SILENCE, "in reset");
    b.chain.set_reset(b.now, false);
    assert_eq!(b.ask("55AA 52 05 00 00 0A").len(), 126 * 9);
}

#[test]
fn replies_come_at_the_lines_rate() {
    let mut b = Bench::new(1, 36);
    b.tell("55AA 52 05 00 00 0A");
    // 126 frames of 9 bytes are 98 ms at 115,740 baud.
    let half = b.listen(49).len();
    assert!((500..620).contains(&half), "{half}");
    assert_eq!(half + b.listen(60).len(), 126 * 9);
}

#[test]
fn wrong_crc_wrong_rate_and_no_power_are_silence() {
    let mut b = Bench::new(1, 36);
    assert_eq!(b.ask("55AA 52 05 00 00 0B"), SILENCE);
    b.baud = Baud(1_000_000);
    assert_eq!(b.ask("55AA 52 05 00 00 0A"), SILENCE);
    b.baud = SLOW;
    b.chain.set_power(b.now, Volt(0.0));
    assert_eq!(b.ask("55AA 52 05 00 00 0A"), SILENCE);
}

#[test]
fn the_line_follows_the_baud_register() {
    let mut b = Bench::new(1, 36);
    b.tell("55AA 51 09 00 28 11 30 02 00 03");
    assert_eq!(b.ask("55AA 52 05 00 00 0A"), SILENCE, "still at the old rate");
    b.baud = Baud(1_000_000);
    b.tell("55AA 52 05 00 00 0A");
    b.baud = SLOW;
    let garbage = b.listen(50);
    assert!(!garbage.windows(2).any(|w| w == [0xaa, 0x55]) && garbage.len() == 126 * 9);
    b.baud = Baud(1_000_000);
    assert_eq!(b.ask("55AA 52 05 00 00 0A").len(), 126 * 9);
}

#[test]
fn the_pll_locks_only_where_it_can() {
    let mut b = Bench::new(1, 36);
    for (word, clock, locked) in [(0x40a8_0230_u32, 525.0, true), (0x40a2_0255, 56.25, true), (0x50da_0141, 0.0, false)] {
        let v = word.to_be_bytes();
        b.tell(&hex(&command(&[0x51, 9, 0, 8, v[0], v[1], v[2], v[3]])));
        assert_eq!(b.chain.clock(), Megahertz(clock));
        b.listen(2);
        let reply = b.ask(&hex(&command(&[0x52, 5, 0, 8])));
        assert!(if locked { reply[2] & 0x80 != 0 } else { reply.is_empty() }, "{word:08x}: {reply:02x?}");
    }
    b.tell(&hex(&command(&[0x51, 9, 0, 8, 0x40, 0xa8, 2, 0x30])));
    let soon = b.listen(0);
    assert!(soon.is_empty() && b.ask(&hex(&command(&[0x42, 5, 0, 8]))).len() == 126 * 9, "a good word brings them back");
}

/// The leading zero bits of its hash.
fn zeros(header: Header) -> u32 {
    let mut bytes = header.hash().0;
    bytes.reverse();
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(0);
    first as u32 * 8 + bytes[first].leading_zeros()
}

#[test]
fn chips_that_are_asked_too_much_report_nonces_that_are_none() {
    let mut b = Bench::new(5, 28);
    b.chain.set_wrong(b.now, 250);
    b.mine(&unhex(GENESIS));
    let found = b.nonces(300);
    let wrong = found.iter().filter(|r| zeros(solved(genesis_header(), r)) < 4).count();
    // A quarter of them, and one of sixteen of those is right by chance.
    assert!((0.2..0.27).contains(&(wrong as f64 / found.len() as f64)), "{wrong} of {}", found.len());
    b.chain.set_wrong(b.now, 0);
    b.nonces(50);
    assert!(b.nonces(50).iter().all(|r| zeros(solved(genesis_header(), r)) >= 4));
}

#[test]
fn a_job_finds_true_nonces_from_all_over_the_chain() {
    let mut b = Bench::new(5, 28);
    b.mine(&unhex(GENESIS));
    let found = b.nonces(300);
    // 34 TH/s for 0.3 s, one of 2^28 tested, one of 2^4 reported: 2374.
    let count = found.len();
    assert!((2200..2550).contains(&count), "{count}");
    let mut chips = [0; 126];
    for reply in &found {
        let header = solved(genesis_header(), reply);
        let zeros = zeros(header);
        assert!(zeros >= 4, "{header:?}");
        assert_eq!(u32::from(reply[6]), 2 * (zeros - 4));
        assert_eq!((reply[7] & 0xf8, reply[7] & 7), (0x18, reply[9] & 7));
        assert!(reply[2] >> 1 <= 64, "core");
        chips[(u16::from_be_bytes([reply[2], reply[3]]) >> 2 & 0x7f) as usize] += 1;
    }
    assert!(chips.iter().all(|n| (3..50).contains(n)), "{chips:?}");
}

#[test]
fn an_epoch_repeats_itself_and_a_new_job_does_not() {
    let mut b = Bench::new(5, 34);
    b.mine(&unhex(GENESIS));
    let first = b.nonces(1636);
    let second = b.nonces(1636);
    let repeated = second.iter().filter(|r| first.contains(r)).count();
    assert!(second.len() > 100 && repeated + 3 >= second.len(), "{repeated} of {}", second.len());
    b.tell(&GENESIS.replace("1801 0000", "2001 0000"));
    let third = b.nonces(500);
    assert!(third.iter().all(|r| r[7] & 0xf8 == 0x18), "a job with a wrong CRC is no job");
    b.tell(GENESIS);
    let again = b.nonces(500);
    assert!(again.len() > 30 && first.starts_with(&again[..again.len() - 1]), "the walk restarts with each job");
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_often_time_is_asked() {
    let run = |seed, steps: u64| {
        let mut b = Bench::new(seed, 34);
        b.mine(&unhex(GENESIS));
        (0..steps).flat_map(|_| b.nonces(1000 / steps)).collect::<Vec<_>>()
    };
    assert_eq!(run(3, 1), run(3, 100));
    assert_ne!(run(3, 1), run(4, 1));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
