//! A chain of BM1362 that is not there: a machine of bytes that answers as documented and really hashes.
//!
//! Registers are kept once for what was broadcast and per chip for what differs, so 126 chips cost little. Two simplifications:
//! the walk follows the clock that was broadcast, and bytes to the chips take no time on the line (bytes from them do).
//! Not here: heat and supply (`heat`, `machine`), damage to the line (wrappers of the bus do that).

mod frame;
mod sweep;

use frame::{Frame, JobFrame, Parser, To};
use model::{Baud, ChainLayout, ChipModel, Megahertz, Time, Volt};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sweep::Walk;

pub use sweep::SMALL_CORES;

/// The crystal of every board of the family, MHz.
const CRYSTAL: u64 = 25;
/// Chips run above this rail: 42 domains of 0.25 V.
pub const RAIL_MIN: Volt = Volt(10.5);
/// A PLL reports its lock after this.
const LOCK: Duration = Duration::from_millis(1);
/// Host and chip understand each other up to this difference of rates, per thousand.
const BAUD_TOLERANCE: u64 = 50;
/// Bytes that wait for a host which does not read; more are lost, as in a UART's buffer.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// What a UART makes of a line at another rate: runs of equal bits. Never a preamble.
const GARBAGE: [u8; 8] = [0x00, 0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0xfe, 0xff];

mod register {
    pub(super) const CHIP_ID: u8 = 0x00;
    pub(super) const PLL: u8 = 0x08;
    pub(super) const HASH_COUNTING: u8 = 0x10;
    pub(super) const TICKET: u8 = 0x14;
    pub(super) const MISC: u8 = 0x18;
    pub(super) const BAUD: u8 = 0x28;
    pub(super) const VERSION: u8 = 0xa4;
}

/// Values after reset of the registers that do not read 0.
const RESET_VALUES: [(u8, u32); 7] = [
    (register::CHIP_ID, 0x1362_0300),
    (register::PLL, 0x4054_0165),
    (register::MISC, 0x0000_c100),
    (register::BAUD, 0x0130_1a00),
    (0x2c, 0x000f_0000),
    (0x58, 0x0001_2111),
    (register::VERSION, 0x0000_ffff),
];

#[derive(Clone, Debug, Default)]
struct Chip {
    address: u8,
    /// In addressing mode: takes the next address that comes by.
    waiting: bool,
    /// Registers in which it differs from the others.
    own: BTreeMap<u8, u32>,
}

/// A whole ratio of the crystal: multiplied by `feedback`, divided by `divider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pll {
    feedback: u64,
    divider: u64,
}

impl Pll {
    /// What a PLL word asks for, where a BM1362 can lock to it (feedback 16 to 250, oscillator 2000 to 3200 MHz).
    fn decode(word: u32) -> Option<Pll> {
        let field = |shift: u32, bits: u32| u64::from(word >> shift) & ((1 << bits) - 1);
        let (feedback, reference) = (field(16, 12), field(8, 6));
        let divider = reference * (field(4, 3) + 1) * (field(0, 3) + 1);
        let oscillator = (CRYSTAL * feedback).checked_div(reference)?;
        let good = word >> 30 & 1 == 1 && (16..=250).contains(&feedback) && (2000..=3200).contains(&oscillator);
        good.then_some(Pll { feedback, divider })
    }
}

/// A simulated chain of chips.
#[derive(Debug)]
pub struct SimChain {
    layout: ChainLayout,
    seed: u64,
    scale_bits: u8,
    zero_bits: u8,
    volts: Volt,
    held: bool,
    /// Of a thousand nonces so many are wrong.
    wrong: u16,
    now: Time,
    chips: Vec<Chip>,
    shared: BTreeMap<u8, u32>,
    locked_at: Time,
    parser: Parser,
    job: Option<JobFrame>,
    /// Candidates tested of this job, and the part of the next one that is done.
    tested: u64,
    progress: u128,
    hashes_tested: u64,
    hashes_repeated: u64,
    line_free: Time,
    /// Bytes on their way to the host: when each is there and at what rate it was sent.
    output: VecDeque<(Time, u8, Baud)>,
    noise: u64,
}

impl SimChain {
    /// A chain without power whose reset is held. `zero_bits` and `scale_bits` are the two numbers of simulated work: leading
    /// zero bits built into the chip (0 or 32), and that every 2^scale-th candidate is tested.
    ///
    /// # Panics
    /// Where `zero_bits` is above 32 or `scale_bits` above 48: both are the program's own numbers.
    #[must_use]
    pub fn new(layout: ChainLayout, seed: u64, scale_bits: u8, zero_bits: u8) -> SimChain {
        assert!(zero_bits <= 32, "chips have 32 zero bits at most");
        assert!(scale_bits <= 48, "an epoch has fewer than 2^48 candidates");
        assert_eq!(layout.chip, ChipModel::Bm1362, "the only chip that is simulated");
        let mut chain = SimChain {
            layout,
            seed,
            scale_bits,
            zero_bits,
            volts: Volt(0.0),
            held: true,
            wrong: 0,
            now: Time::ZERO,
            chips: Vec::new(),
            shared: BTreeMap::new(),
            locked_at: Time::ZERO,
            parser: Parser::default(),
            job: None,
            tested: 0,
            progress: 0,
            hashes_tested: 0,
            hashes_repeated: 0,
            line_free: Time::ZERO,
            output: VecDeque::new(),
            noise: seed,
        };
        chain.reset();
        chain
    }

    /// Drives the reset line; `held` keeps every chip at its reset values.
    pub fn set_reset(&mut self, now: Time, held: bool) {
        self.advance(now);
        if held != self.held {
            self.held = held;
            self.reset();
        }
    }

    /// Sets the rail; below [`RAIL_MIN`] the chips are off and forget everything.
    pub fn set_power(&mut self, now: Time, volts: Volt) {
        self.advance(now);
        let before = self.powered();
        self.volts = volts;
        if self.powered() != before {
            self.reset();
        }
    }

    /// Sets how many of a thousand nonces are wrong: chips that are asked too much still answer.
    pub fn set_wrong(&mut self, now: Time, permille: u16) {
        if permille != self.wrong {
            self.advance(now);
            self.wrong = permille;
        }
    }

    /// Cuts the chain behind this many chips (all of them again where it is as many as the layout says or more).
    pub fn cut(&mut self, now: Time, chips: u8) {
        self.advance(now);
        self.layout.chips = chips;
        self.chips.resize(usize::from(chips), Chip::default());
    }

    /// Bytes from the host, sent at its rate: at a rate too far from the chips' they are lost.
    pub fn tell_bytes(&mut self, now: Time, host_baud: Baud, bytes: &[u8]) {
        self.advance(now);
        for byte in bytes {
            if !self.listens() || !alike(host_baud, self.baud()) {
                self.parser.clear();
                return;
            }
            if let Some(frame) = self.parser.tell(*byte) {
                self.obey(frame);
            }
        }
    }

    /// Bytes that have arrived at the host by `now`; gives how many. At a wrong rate they arrive as garbage.
    pub fn take_bytes(&mut self, now: Time, host_baud: Baud, buffer: &mut [u8]) -> usize {
        self.advance(now);
        let mut count = 0;
        while count < buffer.len() && self.output.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, byte, sent_at)) = self.output.pop_front() else { break };
            buffer[count] = if alike(host_baud, sent_at) {
                byte
            } else {
                self.noise = sweep::mix(self.noise ^ u64::from(byte));
                GARBAGE[(self.noise % 8) as usize]
            };
            count += 1;
        }
        count
    }

    /// Lets time pass: every candidate until `now` is tested, and what passes the ticket is put on the line.
    pub fn advance(&mut self, now: Time) {
        let from = self.now.max(self.locked_at);
        self.now = self.now.max(now);
        let Some((walk, pll)) = self.walk() else { return };
        let Some(job) = self.job.take() else { return };
        let a_micro = u128::from(CRYSTAL * pll.feedback * walk.chips * SMALL_CORES);
        let a_candidate = u128::from(pll.divider) << self.scale_bits;
        self.progress += self.now.since(from).as_micros() * a_micro;
        while self.progress >= a_candidate {
            self.progress -= a_candidate;
            let late = u64::try_from(self.progress / a_micro).unwrap_or(u64::MAX);
            let at = Time::from_micros(self.now.micros().saturating_sub(late));
            self.test(&job, &walk, at);
            self.tested += 1;
        }
        self.job = Some(job);
    }

    /// The clock of the chips; 0 where they have no power, are in reset or cannot lock.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
        let pll = if self.listens() { self.pll() } else { None };
        Megahertz(pll.map_or(0.0, |p| (CRYSTAL * p.feedback) as f64 / p.divider as f64))
    }

    /// Whether the chips work on a job.
    #[must_use]
    pub fn hashing(&self) -> bool {
        self.job.is_some() && self.walk().is_some()
    }

    /// How many candidates were really hashed.
    #[must_use]
    pub fn hashes_tested(&self) -> u64 {
        self.hashes_tested
    }

    /// How many of them were tested before on the same job: the epoch was over and no new work had come.
    #[must_use]
    pub fn hashes_repeated(&self) -> u64 {
        self.hashes_repeated
    }

    fn powered(&self) -> bool {
        self.volts >= RAIL_MIN
    }

    fn listens(&self) -> bool {
        self.powered() && !self.held
    }

    fn reset(&mut self) {
        self.chips = vec![Chip::default(); usize::from(self.layout.chips)];
        self.shared = BTreeMap::from(RESET_VALUES);
        self.locked_at = self.now + LOCK;
        self.parser.clear();
        self.job = None;
        self.output.clear();
        self.line_free = self.now;
    }

    fn shared(&self, register: u8) -> u32 {
        self.shared.get(&register).copied().unwrap_or(0)
    }

    fn pll(&self) -> Option<Pll> {
        Pll::decode(self.shared(register::PLL))
    }

    fn baud(&self) -> Baud {
        Baud((CRYSTAL as u32 * 1_000_000) / (8 * ((self.shared(register::BAUD) >> 8 & 0xff) + 1)))
    }

    /// The mask of version rolling, where it is on: it also makes replies two bytes longer.
    fn rolling(&self) -> Option<u16> {
        let word = self.shared(register::VERSION);
        (word >> 31 == 1).then_some(word as u16)
    }

    /// How the chips walk now; `None` where anything is missing that they need for it.
    fn walk(&self) -> Option<(Walk, Pll)> {
        let (pll, ticks) = (self.pll()?, u64::from(self.shared(register::HASH_COUNTING)));
        // Bits 31-28 let quarters of a BM1370's cores report. On a BM1362 the stock firmware sets three of them and gets every
        // core's nonces, so any of them opens all here.
        let reports = self.shared(register::MISC) >> 28 != 0;
        let chips = self.chips.len() as u64;
        (self.listens() && reports && ticks > 0 && chips > 0).then(|| {
            let batch = (ticks * pll.feedback / pll.divider).max(1);
            let batches = sweep::batches(self.rolling());
            (Walk { chips, batch, batches, scale: u32::from(self.scale_bits), seed: self.seed }, pll)
        })
    }

    fn test(&mut self, job: &JobFrame, walk: &Walk, at: Time) {
        self.hashes_tested += 1;
        self.hashes_repeated += u64::from(self.tested >= walk.epoch());
        let candidate = walk.candidate(self.tested);
        let nonce = candidate.nonce(self.chips[candidate.chip].address);
        let mask = self.rolling();
        let counter = candidate.version_counter(mask);
        let mut header = job.header;
        let base = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let version = base & !(u32::from(mask.unwrap_or(0)) << 13) | u32::from(counter) << 13;
        header[..4].copy_from_slice(&version.to_le_bytes());
        let ticket = self.shared(register::TICKET);
        let zero_bits = u32::from(self.zero_bits);
        let Some(zeros) = sweep::passes(&sweep::hash(&header, nonce), zero_bits, ticket) else { return };
        let excess = zeros.saturating_sub(zero_bits + ticket.count_ones());
        let dice = sweep::mix(self.seed ^ self.hashes_tested);
        let nonce = if dice % 1000 < u64::from(self.wrong) { nonce ^ 1 } else { nonce };
        let id = job.id & 0xf8 | candidate.small as u8;
        self.send(at, &frame::nonce_reply(nonce, (2 * excess).min(255) as u8, id, mask.map(|_| counter)));
    }

    /// Puts a frame on the line behind those that are on it already; a frame that does not fit is lost whole.
    fn send(&mut self, at: Time, bytes: &[u8]) {
        if self.output.len() + bytes.len() > OUTPUT_LIMIT {
            return;
        }
        let baud = self.baud();
        let start = self.line_free.max(at);
        let after = |n: usize| start + Duration::from_micros(10_000_000 * n as u64 / u64::from(baud.0));
        self.output.extend(bytes.iter().enumerate().map(|(i, b)| (after(i + 1), *b, baud)));
        self.line_free = after(bytes.len());
    }

    fn obey(&mut self, frame: Frame) {
        match frame {
            Frame::Inactive => self.chips.iter_mut().for_each(|c| c.waiting = true),
            Frame::SetAddress(address) => {
                if let Some(chip) = self.chips.iter_mut().find(|c| c.waiting) {
                    (chip.address, chip.waiting) = (address, false);
                }
            }
            Frame::Read { to, register } => self.read(to, register),
            Frame::Write { to, register, value } => self.write(to, register, value),
            Frame::Job(job) => {
                self.job = Some(job);
                (self.tested, self.progress) = (0, 0);
            }
        }
    }

    fn read(&mut self, to: To, register: u8) {
        let long = self.rolling().is_some();
        let replies: Vec<_> = self
            .chips
            .iter()
            .filter(|c| to == To::All || to == To::One(c.address))
            .map(|c| frame::register_reply(self.value(c, register), c.address, register, long))
            .collect();
        for r in replies {
            self.send(self.now, &r);
        }
    }

    fn value(&self, chip: &Chip, register: u8) -> u32 {
        let value = chip.own.get(&register).copied().unwrap_or_else(|| self.shared(register));
        match register {
            register::CHIP_ID => value & !0xff | u32::from(chip.address),
            register::PLL if Pll::decode(value).is_some() && self.now >= self.locked_at => value | 1 << 31,
            _ => value,
        }
    }

    fn write(&mut self, to: To, register: u8, value: u32) {
        let value = match register {
            register::CHIP_ID => return,
            register::PLL => value & !(1 << 31),
            _ => value,
        };
        match to {
            To::All => {
                if register == register::PLL && value != self.shared(register) {
                    self.progress = 0;
                    self.locked_at = self.now + LOCK;
                }
                self.shared.insert(register, value);
                for c in &mut self.chips {
                    c.own.remove(&register);
                }
            }
            To::One(address) => {
                for c in self.chips.iter_mut().filter(|c| c.address == address) {
                    c.own.insert(register, value);
                }
            }
        }
    }
}

fn alike(a: Baud, b: Baud) -> bool {
    u64::from(a.0.abs_diff(b.0)) * 1000 <= u64::from(b.0) * BAUD_TOLERANCE
}

#[cfg(test)]
mod tests;
