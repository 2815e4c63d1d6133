//! A chain of Bitmain chips that is not there: a machine of bytes that answers as documented and really hashes.
//!
//! One table (`facts`) says what each model is; each chip has its own address, registers, clock, heat, quality and damage, and
//! walks its own part of every job. Two simplifications: the sweep deadline and the line's rate are those that were broadcast,
//! and bytes to the chips take no time on the line (bytes from them do). Not here: heat and supply (`heat`, `machine`).

mod clocking;
mod facts;
mod fault;
mod frame;
mod line;
mod sense;
mod sweep;
mod work;

use clocking::Pll;
use facts::Facts;
use fault::Faults;
use frame::{JobFrame, Parser};
use hwdrivers::chip::Scale;
use model::{Baud, Celsius, ChainLayout, Megahertz, Time, Volt};
use sense::Hung;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;
pub(crate) use sweep::mix;
use sweep::{Step, Walk};

/// A PLL reports its lock after this.
const LOCK: Duration = Duration::from_millis(1);
/// Host and chip understand each other up to this difference of rates, per thousand.
const BAUD_TOLERANCE: u64 = 50;
/// Bytes that wait for a host which does not read; more are lost, as in a UART's buffer.
const OUTPUT_LIMIT: usize = 64 * 1024;
/// What a UART makes of a line at another rate: runs of equal bits. Never a preamble.
const GARBAGE: [u8; 8] = [0x00, 0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0xfe, 0xff];
/// Chips of one batch differ: most knees lie within this part of the usual one, up or down.
const SPREAD: f64 = 0.03;

mod register {
    pub(super) const CHIP_ID: u8 = 0x00;
    pub(super) const PLL: u8 = 0x08;
    pub(super) const NONCE_OFFSET: u8 = 0x0c;
    pub(super) const SWEEP: u8 = 0x10;
    pub(super) const TICKET: u8 = 0x14;
    pub(super) const MISC: u8 = 0x18;
    pub(super) const FAST_UART: u8 = 0x28;
    pub(super) const NONCE_ERRORS: u8 = 0x4c;
    pub(super) const PLL3: u8 = 0x68;
    pub(super) const QUARTER_HASHES: u8 = 0x88;
    pub(super) const HASHES: u8 = 0x8c;
    pub(super) const ROLLING: u8 = 0xa4;
    pub(super) const THERMOMETER: u8 = 0xb0;
    pub(super) const HEAT: u8 = 0xb4;
    pub(super) const CONVERTER: u8 = 0xb8;
    pub(super) const VOLTAGE: u8 = 0xbd;
    /// The BM1387 keeps these elsewhere.
    pub(super) const PLL_1387: u8 = 0x0c;
    pub(super) const SWEEP_1387: u8 = 0x14;
    pub(super) const TICKET_1387: u8 = 0x18;
    pub(super) const MISC_1387: u8 = 0x1c;
}

/// What a chip is whatever its registers hold: a reset changes nothing of it.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// Its part of the usual knee.
    quality: f64,
    heat: Celsius,
    /// Says nothing and hashes nothing.
    dead: bool,
    /// Of a thousand nonces so many are wrong, beside those that clock and heat make wrong.
    wrong: u16,
}

/// What a chip has been told, and where it stands.
#[derive(Clone, Debug, Default)]
struct Chip {
    address: u8,
    /// In addressing mode: takes the next address that comes by.
    waiting: bool,
    /// Registers in which it differs from the others.
    own: BTreeMap<u8, u32>,
    /// `None` where it cannot lock: then it says and does nothing.
    pll: Option<Pll>,
    locked_at: Time,
    /// Its way through the job; `None` while it has none.
    walk: Option<Walk>,
    /// When its job came, ns; moved where an epoch became longer or shorter, so that its part that is gone stays the same.
    from: i64,
    step: Step,
    /// Another chip in front of it searches the same place.
    twin: bool,
    /// Hashes until `settled`, and the bad ones of them.
    hashed: f64,
    bad: f64,
    settled: Time,
    senses: sense::Senses,
}

/// A simulated chain of chips.
#[derive(Debug)]
pub struct SimChain {
    layout: ChainLayout,
    facts: &'static Facts,
    seed: u64,
    scale: Scale,
    volts: Volt,
    held: bool,
    /// What all its chips bear of what chips usually do.
    quality: f64,
    now: Time,
    bodies: Vec<Body>,
    /// As many as the line reaches, where nothing is dead.
    chips: Vec<Chip>,
    shared: BTreeMap<u8, u32>,
    baud: Baud,
    parser: Parser,
    job: Option<JobFrame>,
    /// When it took its last job.
    job_at: Time,
    /// Cores that jobs have opened, where the model wants that.
    opened: u64,
    /// Their clocks: the mean and the highest.
    clocks: (Megahertz, Megahertz),
    /// When each chip's next candidate is tested, ns.
    due: BinaryHeap<Reverse<(i64, usize)>>,
    hashes_tested: u64,
    hashes_repeated: u64,
    line_free: Time,
    /// Bytes on their way to the host: when each is there and at what rate it was sent.
    output: VecDeque<(Time, u8, Baud)>,
    faults: Faults,
    hung: Vec<Hung>,
    /// When a thermometer was read last.
    felt_at: Time,
    /// Dice of the line.
    dice: u64,
}

impl SimChain {
    /// A chain without power whose reset is held. `scale` is how its work is simulated, the same numbers as the driver's.
    ///
    /// # Panics
    /// Where its zero bits are above 32, its scale above 48 or its stretch above 16, or the chip has no serial chain: all are the
    /// program's own.
    #[must_use]
    pub fn new(layout: ChainLayout, seed: u64, scale: Scale) -> SimChain {
        assert!(scale.zero_bits <= 32, "chips have 32 zero bits at most");
        assert!(scale.scale_bits <= 48, "an epoch has fewer than 2^48 candidates");
        assert!(scale.stretch_bits <= 16, "a job lasts seconds at most");
        let facts = facts::facts(layout.chip).expect("only chips with a serial chain are asked for");
        let body = |chip: u8| Body { quality: spread(seed, chip), heat: Celsius(25.0), dead: false, wrong: 0 };
        let mut chain = SimChain {
            layout,
            facts,
            seed,
            scale,
            volts: Volt(0.0),
            held: true,
            quality: 1.0,
            now: Time::ZERO,
            bodies: (0..layout.chips).map(body).collect(),
            chips: vec![Chip::default(); usize::from(layout.chips)],
            shared: BTreeMap::new(),
            baud: Baud(0),
            parser: Parser::new(facts.framing, facts.job),
            job: None,
            job_at: Time::ZERO,
            opened: 0,
            clocks: (Megahertz(0.0), Megahertz(0.0)),
            due: BinaryHeap::new(),
            hashes_tested: 0,
            hashes_repeated: 0,
            line_free: Time::ZERO,
            output: VecDeque::new(),
            faults: Faults::default(),
            hung: Vec::new(),
            felt_at: Time::ZERO,
            dice: seed,
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

    /// Sets the rail; where a chip's part of it is too low, all are off and forget everything.
    pub fn set_power(&mut self, now: Time, volts: Volt) {
        self.advance(now);
        let before = self.powered();
        if volts != self.volts {
            self.settle();
        }
        self.volts = volts;
        if self.powered() != before {
            self.reset();
        }
    }

    /// Sets the heat of every chip.
    pub fn set_heat(&mut self, heat: Celsius) {
        self.bodies.iter_mut().for_each(|b| b.heat = heat);
    }

    /// Sets the heat of each chip, in the order of the chain.
    pub fn set_heats(&mut self, heats: &[Celsius]) {
        self.bodies.iter_mut().zip(heats).for_each(|(b, heat)| b.heat = *heat);
    }

    /// Sets the heat of one domain's chips.
    pub fn set_domain_heat(&mut self, domain: u8, heat: Celsius) {
        let chips = self.domain(domain);
        self.bodies[chips].iter_mut().for_each(|b| b.heat = heat);
    }

    /// Sets the heat of one chip.
    pub fn set_chip_heat(&mut self, chip: u8, heat: Celsius) {
        if let Some(b) = self.bodies.get_mut(usize::from(chip)) {
            b.heat = heat;
        }
    }

    /// Bytes from the host, sent at its rate: at a rate too far from the chips' they are lost.
    pub fn tell_bytes(&mut self, now: Time, host_baud: Baud, bytes: &[u8]) {
        self.advance(now);
        let mut told = false;
        for byte in bytes {
            if !self.listens() || !alike(host_baud, self.baud) {
                self.parser.clear();
                break;
            }
            let Some(byte) = self.damage_in(*byte) else { continue };
            if let Some(frame) = self.parser.tell(byte) {
                told |= self.obey(frame);
            }
        }
        if told {
            self.plan();
        }
    }

    /// Bytes that have arrived at the host by `now`; gives how many. At a wrong rate they arrive as garbage.
    pub fn take_bytes(&mut self, now: Time, host_baud: Baud, buffer: &mut [u8]) -> usize {
        self.advance(now);
        let mut count = 0;
        while count < buffer.len() && self.output.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, byte, sent_at)) = self.output.pop_front() else { break };
            buffer[count] =
                if alike(host_baud, sent_at) { byte } else { GARBAGE[(self.roll() ^ u64::from(byte)) as usize % GARBAGE.len()] };
            count += 1;
        }
        count
    }

    /// The clock of the chips, on average; 0 where they have no power, are in reset or cannot lock.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
        if self.listens() { self.clocks.0 } else { Megahertz(0.0) }
    }

    /// The fastest chip's clock.
    #[must_use]
    pub fn fastest(&self) -> Megahertz {
        if self.listens() { self.clocks.1 } else { Megahertz(0.0) }
    }

    /// The clock of one chip; 0 as for [`SimChain::clock`], and where the line does not reach it.
    #[must_use]
    pub fn chip_clock(&self, chip: u8) -> Megahertz {
        let chip = if self.listens() { self.chips[..self.reach()].get(usize::from(chip)) } else { None };
        Megahertz(chip.and_then(|c| c.pll).map_or(0.0, Pll::mhz))
    }

    /// When it took its last job.
    #[must_use]
    pub fn job_at(&self) -> Time {
        self.job_at
    }

    /// Whether any chip works on a job.
    #[must_use]
    pub fn hashing(&self) -> bool {
        !self.due.is_empty()
    }

    /// The heat of a chip; `None` where the layout has no such chip.
    #[must_use]
    pub fn chip_heat(&self, chip: u8) -> Option<Celsius> {
        self.bodies.get(usize::from(chip)).map(|b| b.heat)
    }

    /// The part of the usual knee that this chip bears, its chain's part included.
    #[must_use]
    pub fn chip_quality(&self, chip: u8) -> Option<f64> {
        self.bodies.get(usize::from(chip)).map(|b| b.quality * self.quality)
    }

    /// How many candidates were really hashed.
    #[must_use]
    pub fn hashes_tested(&self) -> u64 {
        self.hashes_tested
    }

    /// How many of them were tested before on the same job: the epoch was over and no new work had come, or a sweep ran into
    /// another chip's part.
    #[must_use]
    pub fn hashes_repeated(&self) -> u64 {
        self.hashes_repeated
    }

    /// Volts across one chip.
    fn chip_volts(&self) -> Volt {
        Volt(self.volts.0 / f64::from(self.layout.domains.max(1)))
    }

    fn powered(&self) -> bool {
        self.chip_volts().0 >= self.facts.bears.least_volt
    }

    fn listens(&self) -> bool {
        self.powered() && !self.held
    }

    fn reset(&mut self) {
        self.shared = self.facts.reset.iter().copied().collect();
        self.shared.insert(register::CHIP_ID, self.facts.id);
        let pll = self.facts.pll.decode(self.shared(self.facts.pll.register));
        let fresh = Chip { pll, locked_at: self.now + LOCK, settled: self.now, ..Chip::default() };
        self.chips.fill(fresh);
        self.baud = self.facts.baud.rate(|r| self.shared(r)).expect("every model has a rate after reset");
        self.parser.clear();
        (self.job, self.opened) = (None, 0);
        self.due.clear();
        self.output.clear();
        self.line_free = self.now;
        self.look_at_clocks();
    }

    /// Brings what is told of the clocks to where they are.
    fn look_at_clocks(&mut self) {
        let clocks: Vec<f64> = self.chips[..self.reach()].iter().map(|c| c.pll.map_or(0.0, Pll::mhz)).collect();
        let top = clocks.iter().copied().fold(0.0, f64::max);
        let low = clocks.iter().copied().fold(top, f64::min);
        // A sum's rounding would make of 525 MHz a little more.
        let mean = if low < top { clocks.iter().sum::<f64>() / clocks.len() as f64 } else { top };
        self.clocks = (Megahertz(mean), Megahertz(top));
    }

    fn shared(&self, register: u8) -> u32 {
        self.shared.get(&register).copied().unwrap_or(0)
    }

    fn register(&self, chip: &Chip, register: u8) -> u32 {
        chip.own.get(&register).copied().unwrap_or_else(|| self.shared(register))
    }

    /// The mask of version rolling, where it is on: it also makes replies two bytes longer.
    fn rolling(&self, chip: &Chip) -> Option<u16> {
        let word = self.register(chip, register::ROLLING);
        (self.facts.job == facts::JobKind::Header && word >> 31 == 1).then_some(word as u16)
    }

    /// The chips of a domain.
    fn domain(&self, domain: u8) -> std::ops::Range<usize> {
        let size = usize::from(self.layout.chips / self.layout.domains.max(1)).max(1);
        let start = (usize::from(domain) * size).min(self.bodies.len());
        start..(start + size).min(self.bodies.len())
    }

    fn roll(&mut self) -> u64 {
        self.dice = mix(self.dice);
        self.dice
    }
}

/// A chip's part of the usual knee: the mean of four throws, which is nearly a normal spread.
pub(crate) fn spread(seed: u64, chip: u8) -> f64 {
    let throws = (0..4).map(|i| mix(mix(seed ^ 0x9b1d) ^ (u64::from(chip) << 8 | i)) as f64 / u64::MAX as f64);
    1.0 + SPREAD * (throws.sum::<f64>() - 2.0)
}

fn alike(a: Baud, b: Baud) -> bool {
    u64::from(a.0.abs_diff(b.0)) * 1000 <= u64::from(b.0) * BAUD_TOLERANCE
}

#[cfg(test)]
mod tests;
