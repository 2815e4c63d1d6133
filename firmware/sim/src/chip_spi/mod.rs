//! A ring of SPI chips that is not there (Bitmine A1, DragonMint T1): words go in, words come out as many words later as a ring of
//! that length takes, and the chips really hash the midstates that they are given.
//!
//! Written from what is known of the wire (asic.md A14 and its sources), not from the driver. A chip holds two jobs and takes the
//! next one when a range of nonces is through; broken cores leave gaps that a self-test finds. Simplified: a command takes effect
//! when its last word is in, at all chips at once. Not here: heat and supply, and the kernel's spidev.

mod wire;

use hwdrivers::bus::{BusError, Spi, SpiMode};
use model::{ChipModel, Megahertz, Target, Time};
use sha2::block_api::compress256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use wire::{Command, Wire};

/// Results that a chip holds for a host that does not ask.
const RESULTS_LIMIT: usize = 16;
/// A PLL reports its lock after this.
const LOCK_MICROS: u64 = 100;
/// A chip's own clock is so many times its bus's at least: what the vendor's six rates come to [inferred].
const CLOCKS_A_BIT: f64 = 190.0;

/// SHA-256's state before the first block.
const START: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SplitMix64's finaliser: which of the candidates that a tested one stands for it is.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// What differs between the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    model: ChipModel,
    mode: SpiMode,
    /// Midstates of a job, bytes of a register block, and whether frames have a sum.
    midstates: usize,
    register: usize,
    checked: bool,
    /// Command of a job, and its bytes.
    job: (u8, usize),
    hashes_per_core: u64,
    cores: u8,
    crystal: f64,
    /// Whether the bus must be slow while the clock is.
    bus_follows_clock: bool,
}

const A1: Kind = Kind {
    model: ChipModel::BitmineA1,
    mode: SpiMode::Zero,
    midstates: 1,
    register: 6,
    checked: false,
    job: (0x07, 58),
    hashes_per_core: 1,
    cores: 32,
    crystal: 16.0,
    bus_follows_clock: false,
};

const T1: Kind = Kind {
    model: ChipModel::DragonMintT1,
    mode: SpiMode::One,
    midstates: 4,
    register: 12,
    checked: true,
    job: (0x0c, 162),
    hashes_per_core: 2,
    cores: 32,
    crystal: 12.0,
    bus_follows_clock: true,
};

#[derive(Clone, Debug)]
struct Job {
    id: u8,
    midstates: Vec<[u32; 8]>,
    tail: [u8; 12],
    first: u32,
    last: u32,
    /// Leading zero bits that a result needs.
    zeros: u32,
}

/// One chip.
#[derive(Clone, Debug)]
struct Chip {
    register: Vec<u8>,
    jobs: VecDeque<Job>,
    /// Candidates of the first job that are tested, in hashes.
    done: u128,
    results: VecDeque<Vec<u8>>,
    cores: u8,
    silent: bool,
    locked_at: Time,
    sensor: u16,
}

/// The simulated ring.
pub struct SpiRing {
    kind: Kind,
    chips: Vec<Chip>,
    zero_bits: u8,
    scale_bits: u8,
    stretch_bits: u8,
    seed: u64,
    now: Time,
    wire: Wire,
    numbered: bool,
    held: bool,
    mode: Option<SpiMode>,
    hertz: u32,
    /// Every so many-th answer has a wrong bit; 0 for none.
    noise: u64,
    answers: u64,
    hashes_tested: u64,
}

impl SpiRing {
    /// A ring of this many chips in reset; `None` where the model is no SPI chip. The three numbers are those of simulated work
    /// ([`hwdrivers::chip::Scale`]).
    #[must_use]
    pub fn new(model: ChipModel, chips: u8, seed: u64, scale: hwdrivers::chip::Scale) -> Option<SpiRing> {
        let kind = [A1, T1].into_iter().find(|k| k.model == model)?;
        let mut ring = SpiRing {
            kind,
            chips: Vec::new(),
            zero_bits: scale.zero_bits,
            scale_bits: scale.scale_bits,
            stretch_bits: scale.stretch_bits,
            seed,
            now: Time::ZERO,
            wire: Wire::new(kind),
            numbered: false,
            held: true,
            mode: None,
            hertz: 0,
            noise: 0,
            answers: 0,
            hashes_tested: 0,
        };
        let chip = Chip {
            register: vec![0; kind.register],
            jobs: VecDeque::new(),
            done: 0,
            results: VecDeque::new(),
            cores: kind.cores,
            silent: false,
            locked_at: Time::ZERO,
            sensor: 513,
        };
        ring.chips = vec![chip; usize::from(chips)];
        Some(ring)
    }

    /// Drives the reset line.
    pub fn set_reset(&mut self, now: Time, held: bool) {
        self.advance(now);
        self.held = held;
        self.numbered = false;
        self.wire = Wire::new(self.kind);
        for chip in &mut self.chips {
            chip.register.fill(0);
            chip.jobs.clear();
            chip.results.clear();
        }
    }

    /// Leaves a chip this many working cores.
    pub fn break_cores(&mut self, chip: usize, working: u8) {
        if let Some(c) = self.chips.get_mut(chip) {
            c.cores = working.min(self.kind.cores);
        }
    }

    /// Makes a chip pass words on and do nothing else, or heals it.
    pub fn silence(&mut self, chip: usize, silent: bool) {
        if let Some(c) = self.chips.get_mut(chip) {
            c.silent = silent;
        }
    }

    /// Cuts the ring behind this many chips: it closes there and is a shorter one.
    pub fn cut(&mut self, chips: u8) {
        self.chips.truncate(usize::from(chips));
    }

    /// Damages every so many-th answer; 0 for none.
    pub fn disturb(&mut self, every: u64) {
        self.noise = every;
    }

    /// What a chip's sensor shows (T1): a code of ten bits.
    pub fn set_sensor(&mut self, chip: usize, code: u16) {
        if let Some(c) = self.chips.get_mut(chip) {
            c.sensor = code & 0x3ff;
        }
    }

    /// The clock of the first chip.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
        self.chips.first().map_or(Megahertz(0.0), |c| self.clock_of(c))
    }

    /// How many candidates were really hashed.
    #[must_use]
    pub fn hashes_tested(&self) -> u64 {
        self.hashes_tested
    }

    /// How many chips have nothing to do.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.chips.iter().filter(|c| c.jobs.is_empty()).count()
    }

    fn clock_of(&self, chip: &Chip) -> Megahertz {
        let r = &chip.register;
        let mhz = match self.kind.model {
            ChipModel::BitmineA1 => {
                let (pre, post) = (r[0] >> 1 & 31, r[0] >> 6);
                let feedback = f64::from(r[0] & 1) * 256.0 + f64::from(r[1]);
                if pre == 0 || post == 0 {
                    0.0
                } else {
                    self.kind.crystal * feedback / f64::from(pre) / f64::from(1u8 << (post - 1))
                }
            }
            _ => {
                let (pre, post) = (r[0] >> 1, r[3] >> 6);
                let feedback = f64::from(r[0] & 1) * 256.0 + f64::from(r[1]);
                if pre == 0 { 0.0 } else { self.kind.crystal * feedback / f64::from(pre) / f64::from(1u8 << post) }
            }
        };
        Megahertz(mhz)
    }

    /// Lets time pass: what is tested until `now` is hashed.
    pub fn advance(&mut self, now: Time) {
        let micros = u128::from(now.since(self.now).as_micros() as u64);
        self.now = self.now.max(now);
        for n in 0..self.chips.len() {
            let chip = &self.chips[n];
            if chip.silent || self.held {
                continue;
            }
            let rate = self.clock_of(chip).0 * f64::from(chip.cores) * self.kind.hashes_per_core as f64;
            let mut hashes = micros * rate as u128;
            while hashes > 0 {
                let Some(job) = self.chips[n].jobs.front().cloned() else { break };
                let length = (u128::from(job.last.wrapping_sub(job.first)) + 1) * job.midstates.len() as u128;
                let left = (length << self.stretch_bits).saturating_sub(self.chips[n].done);
                let step = hashes.min(left);
                self.walk(n, &job, length, self.chips[n].done, step);
                hashes -= step;
                self.chips[n].done += step;
                if step == left {
                    self.chips[n].jobs.pop_front();
                    self.chips[n].done = 0;
                }
            }
        }
    }

    /// Tests every 2^scale-th candidate of this stretch.
    fn walk(&mut self, n: usize, job: &Job, length: u128, from: u128, count: u128) {
        let every = 1u128 << (self.scale_bits + self.stretch_bits);
        let mut at = from.div_ceil(every) * every;
        while at < from + count {
            let dice = mix(self.seed ^ (n as u64) << 48 ^ self.hashes_tested);
            let candidate = ((at >> self.stretch_bits) + u128::from(dice & ((1u64 << self.scale_bits) - 1))) % length;
            let m = job.midstates.len() as u128;
            let (k, nonce) = ((candidate % m) as usize, job.first.wrapping_add((candidate / m) as u32));
            self.hashes_tested += 1;
            if leading_zeros(&job.midstates[k], &job.tail, nonce) >= u32::from(self.zero_bits) + job.zeros - 32 {
                let mut result = vec![job.id << 4 | 0x08, n as u8 + 1];
                if self.kind.midstates > 1 {
                    result.extend([0, if k == 0 { 0 } else { 1 << k }]);
                }
                result.extend(nonce.to_le_bytes());
                let results = &mut self.chips[n].results;
                if results.len() < RESULTS_LIMIT {
                    results.push_back(result);
                }
            }
            at += every;
        }
    }

    /// Clocks bytes through the ring.
    fn clock_through(&mut self, bytes: &mut [u8]) {
        let slow = f64::from(self.hertz) * CLOCKS_A_BIT <= self.clock().0.max(120.0) * 1e6;
        let heard = !self.held && self.mode == Some(self.kind.mode) && (slow || !self.kind.bus_follows_clock);
        for word in bytes.chunks_exact_mut(2) {
            let sent = [word[0], word[1]];
            let (back, command) = self.wire.pass(sent, heard, self.chips.len());
            word.copy_from_slice(&back);
            if let Some(command) = command {
                self.obey(command);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Number { reach } => {
                let count = if std::mem::replace(&mut self.numbered, true) { 0 } else { self.chips.len() as u8 };
                // Its echo is the command; the word behind it tells the count.
                self.wire.answer_at(reach + 1, &[0, count]);
            }
            Command::Reset { how } => {
                for chip in &mut self.chips {
                    if how == 0xed || how == 0 {
                        chip.jobs.clear();
                        chip.done = 0;
                    }
                    if how == 0 {
                        chip.results.clear();
                        chip.register.fill(0);
                    }
                }
                self.numbered &= how == 0xed;
            }
            Command::Result => {
                let Some(result) = self.chips.iter_mut().filter(|c| !c.silent).find_map(|c| c.results.pop_front()) else {
                    return;
                };
                self.answer(self.chips.len() * 2, result);
            }
            Command::Write { chip, block } => {
                let lock = Time::from_micros(self.now.micros() + LOCK_MICROS);
                for c in self.of(chip) {
                    c.register.copy_from_slice(&block);
                    c.locked_at = lock;
                }
            }
            Command::Read { chip } => {
                let Some(n) = usize::from(chip).checked_sub(1).filter(|n| *n < self.chips.len() && !self.chips[*n].silent) else {
                    return;
                };
                let block = self.block(n);
                self.answer(2 * usize::from(chip) - 1, [&[0x1a, chip], &block[..]].concat());
            }
            Command::Job { id, chip, frame } => {
                let job = self.job(id, &frame);
                for c in self.of(chip) {
                    // A third one is lost.
                    if c.jobs.len() < 2 {
                        c.jobs.push_back(job.clone());
                    }
                }
            }
        }
    }

    fn of(&mut self, chip: u8) -> impl Iterator<Item = &mut Chip> {
        let all = chip == 0;
        let chips = self.chips.iter_mut().enumerate();
        chips.filter(move |(n, c)| (all || *n + 1 == usize::from(chip)) && !c.silent).map(|(_, c)| c)
    }

    fn answer(&mut self, reach: usize, mut bytes: Vec<u8>) {
        if self.kind.checked {
            let sum = wire::sum(&bytes);
            bytes.extend(sum.to_be_bytes());
        }
        self.answers += 1;
        if self.noise > 0 && self.answers.is_multiple_of(self.noise) {
            let last = bytes.len() - 1;
            bytes[last] ^= 0x10;
        }
        self.wire.answer_at(reach, &bytes);
    }

    /// A chip's register block as it reads.
    fn block(&self, n: usize) -> Vec<u8> {
        let c = &self.chips[n];
        let queued = (1u8 << c.jobs.len()) - 1;
        let mut block = c.register.clone();
        if self.kind.model == ChipModel::BitmineA1 {
            block[2] = block[2] & !1 | u8::from(self.now >= c.locked_at && self.clock_of(c).0 > 0.0);
            block[3] = queued;
            block[4] = 0;
            block[5] = c.cores;
        } else {
            block[7] = block[7] & !3 | (c.sensor >> 8) as u8;
            block[8] = c.sensor as u8;
            block[9] = block[9] & !3 | queued;
            block[11] = c.cores;
        }
        block
    }

    fn job(&self, id: u8, frame: &[u8]) -> Job {
        let state = |bytes: &[u8]| {
            let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
            core::array::from_fn(|i| word(28 - 4 * i))
        };
        // The last midstate of a frame is number 0.
        let midstates = (0..self.kind.midstates).rev().map(|i| state(&frame[2 + 32 * i..34 + 32 * i])).collect();
        let rest = &frame[2 + 32 * self.kind.midstates..];
        let word = |i: usize| u32::from_le_bytes([rest[i], rest[i + 1], rest[i + 2], rest[i + 3]]);
        let mut tail = [0; 12];
        tail.copy_from_slice(&rest[..12]);
        // A target that is none lets nothing pass.
        let zeros = if Target::from_compact(word(16)).is_some() { wire::zeros_of(word(16)) } else { 256 };
        Job { id, midstates, tail, first: word(12), last: word(20), zeros: zeros.max(32) }
    }
}

/// Leading zero bits of the hash of a header by its midstate.
fn leading_zeros(midstate: &[u32; 8], tail: &[u8; 12], nonce: u32) -> u32 {
    let mut second = [0; 64];
    second[..12].copy_from_slice(tail);
    second[12..16].copy_from_slice(&nonce.to_le_bytes());
    second[16] = 0x80;
    second[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut inner = *midstate;
    compress256(&mut inner, &[second]);
    let mut third = [0; 64];
    for (bytes, word) in third.chunks_exact_mut(4).zip(inner) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    third[32] = 0x80;
    third[62..].copy_from_slice(&256u16.to_be_bytes());
    let mut outer = START;
    compress256(&mut outer, &[third]);
    let mut count = 0;
    for word in outer.iter().rev() {
        let zeros = word.swap_bytes().leading_zeros();
        count += zeros;
        if zeros < 32 {
            break;
        }
    }
    count
}

/// The host's end of a ring that somebody else also looks at; its time is its owner's.
#[derive(Clone)]
pub struct SimSpi(pub Arc<Mutex<SpiRing>>);

impl Spi for SimSpi {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.mode, ring.hertz) = (Some(mode), hertz);
        Ok(())
    }

    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clock_through(bytes);
        Ok(())
    }
}
