//! A ring of SPI chips that is not there (Bitmine A1, DragonMint T1): words go in, words come out as many words later as a ring of
//! that length takes, and the chips really hash the midstates that they are given.
//!
//! Written from what is known of the wire (asic.md A14 and its sources), not from the driver. A chip holds two jobs and takes the
//! next one when a range of nonces is through; broken cores leave gaps that a self-test finds. Simplified: a command takes effect
//! when its last word is in, at all chips at once. Not here: heat and supply (`heat`, `machine`), and the kernel's spidev.

mod wire;
mod work;

use crate::chip::spread;
use crate::strain::Bears;
use hwdrivers::bus::{BusError, Spi, SpiMode};
use hwdrivers::chip::Scale;
use model::{Celsius, ChainLayout, ChipModel, Megahertz, Time, Volt};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use wire::{Command, Wire};
use work::{Job, Walked};

/// A PLL reports its lock after this.
const LOCK_MICROS: u64 = 100;
/// A chip's own clock is so many times its bus's at least: what the vendor's six rates come to [inferred].
const CLOCKS_A_BIT: f64 = 190.0;

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
    /// Code of the sensor at 0.5 °C, where the chips have one; each further degree takes one and a half from it.
    sensor: Option<f64>,
    /// Inferred: nominal clock and voltage lie well within it.
    bears: Bears,
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
    sensor: None,
    bears: Bears { knee: 900.0, volt: 0.82, least_volt: 0.5 },
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
    sensor: Some(588.0),
    bears: Bears { knee: 1510.0, volt: 14.46 / 21.0, least_volt: 0.55 },
};

/// One chip.
#[derive(Clone, Debug)]
struct Chip {
    register: Vec<u8>,
    jobs: VecDeque<Job>,
    /// How far it is through its first job, in hashes, and which of the job's strata of 2^scale is tested next.
    done: u128,
    stratum: u128,
    /// Up to where it meets no candidate and no end of its job; 0 where that is not known.
    until: u128,
    /// By its register block.
    clock: Megahertz,
    results: VecDeque<Vec<u8>>,
    cores: u8,
    silent: bool,
    locked_at: Time,
    /// What its sensor shows: a code of ten bits.
    sensor: u16,
    heat: Celsius,
    /// Its part of the usual knee.
    quality: f64,
}

impl Chip {
    /// Loses what a reset takes from it.
    fn reset(&mut self) {
        self.register.fill(0);
        self.jobs.clear();
        self.results.clear();
        (self.done, self.stratum, self.until) = (0, 0, 0);
    }
}

/// The simulated ring.
pub struct SpiRing {
    kind: Kind,
    layout: ChainLayout,
    chips: Vec<Chip>,
    /// The ring closes behind so many of them.
    reach: usize,
    scale: Scale,
    seed: u64,
    now: Time,
    wire: Wire,
    /// Chips know their place.
    numbered: bool,
    /// They told how many they are, which they do once.
    counted: bool,
    held: bool,
    volts: Volt,
    /// What all its chips bear of what chips usually do.
    quality: f64,
    /// Of a thousand nonces so many are wrong, beside those that clock and heat make wrong.
    wrong: u16,
    /// The mean of all clocks, and the highest.
    clocks: (Megahertz, Megahertz),
    mode: Option<SpiMode>,
    hertz: u32,
    /// Every so many-th answer has a wrong bit; 0 for none.
    noise: u64,
    answers: u64,
    hashes_tested: u64,
    hashes_repeated: u64,
    walked: Walked,
    /// When a register block was read last.
    felt_at: Time,
    /// When a chip took its last job.
    job_at: Time,
}

impl SpiRing {
    /// A ring in reset and without power; `None` where the layout's chip is no SPI chip. `scale` is how its work is simulated,
    /// the same numbers as the driver's.
    #[must_use]
    pub fn new(layout: ChainLayout, seed: u64, scale: Scale) -> Option<SpiRing> {
        let kind = [A1, T1].into_iter().find(|k| k.model == layout.chip)?;
        let chip = |n: u8| Chip {
            register: vec![0; kind.register],
            jobs: VecDeque::new(),
            done: 0,
            stratum: 0,
            until: 0,
            clock: Megahertz(0.0),
            results: VecDeque::new(),
            cores: kind.cores,
            silent: false,
            locked_at: Time::ZERO,
            sensor: 513,
            heat: Celsius(25.0),
            quality: spread(seed, n),
        };
        Some(SpiRing {
            kind,
            layout,
            chips: (0..layout.chips).map(chip).collect(),
            reach: usize::from(layout.chips),
            scale,
            seed,
            now: Time::ZERO,
            wire: Wire::new(kind),
            numbered: false,
            counted: false,
            held: true,
            volts: Volt(0.0),
            quality: 1.0,
            wrong: 0,
            clocks: (Megahertz(0.0), Megahertz(0.0)),
            mode: None,
            hertz: 0,
            noise: 0,
            answers: 0,
            hashes_tested: 0,
            hashes_repeated: 0,
            walked: Walked::default(),
            felt_at: Time::ZERO,
            job_at: Time::ZERO,
        })
    }

    /// Drives the reset line.
    pub fn set_reset(&mut self, now: Time, held: bool) {
        self.advance(now);
        if held != self.held {
            self.held = held;
            self.forget();
        }
    }

    /// Sets the rail; where a chip's part of it is too low, all are off and forget everything.
    pub fn set_power(&mut self, now: Time, volts: Volt) {
        self.advance(now);
        let before = self.powered();
        self.volts = volts;
        if self.powered() != before {
            self.forget();
            // Without power there was nothing to read.
            self.felt_at = now;
        }
    }

    /// Sets the heat of every chip, which their sensors show.
    pub fn set_heat(&mut self, heat: Celsius) {
        let heats = vec![heat; self.chips.len()];
        self.set_heats(&heats);
    }

    /// The same of each chip, in the order of the chain.
    pub fn set_heats(&mut self, heats: &[Celsius]) {
        let at_zero = self.kind.sensor;
        for (chip, heat) in self.chips.iter_mut().zip(heats) {
            chip.heat = *heat;
            if let Some(at_zero) = at_zero {
                chip.sensor = (at_zero - (heat.0 - 0.5) * 1.5).round().clamp(1.0, 1023.0) as u16;
            }
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

    /// Cuts the ring behind this many chips: it closes there and is a shorter one. As many as the layout has mend it; chips that
    /// come back know nothing.
    pub fn cut(&mut self, now: Time, chips: u8) {
        self.advance(now);
        let reach = usize::from(chips).min(self.chips.len());
        if reach > self.reach {
            self.forget();
        }
        self.reach = reach;
        self.look_at_clocks();
    }

    /// Kills a domain, or heals it: the ring closes in front of it.
    pub fn kill_domain(&mut self, now: Time, domain: u8, dead: bool) {
        let layout = self.layout;
        let reach = layout.chips / layout.domains.max(1) * domain.min(layout.domains);
        self.cut(now, if dead { reach } else { layout.chips });
    }

    /// Damages every so many-th answer; 0 for none.
    pub fn disturb(&mut self, every: u64) {
        self.noise = every;
    }

    /// Gives the ring chips that bear only this part of the usual clock; their differences stay.
    pub fn set_quality(&mut self, now: Time, quality: f64) {
        self.advance(now);
        self.quality = quality;
    }

    /// Makes so many of a thousand nonces wrong, beside those that clock, voltage and heat make wrong.
    pub fn set_wrong(&mut self, now: Time, permille: u16) {
        self.advance(now);
        self.wrong = permille;
    }

    /// What a chip's sensor shows (T1): a code of ten bits.
    pub fn set_sensor(&mut self, chip: usize, code: u16) {
        if let Some(c) = self.chips.get_mut(chip) {
            c.sensor = code & 0x3ff;
        }
    }

    /// The clock of the chips, on average; 0 where they have no power or are in reset.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
        if self.listens() { self.clocks.0 } else { Megahertz(0.0) }
    }

    /// The fastest chip's clock.
    #[must_use]
    pub fn fastest(&self) -> Megahertz {
        if self.listens() { self.clocks.1 } else { Megahertz(0.0) }
    }

    /// The clock of one chip; 0 as for [`SpiRing::clock`], and beyond the ring's end.
    #[must_use]
    pub fn chip_clock(&self, chip: usize) -> Megahertz {
        let chip = if self.listens() { self.chips[..self.reach].get(chip) } else { None };
        chip.map_or(Megahertz(0.0), |c| c.clock)
    }

    /// When one of its chips took its last job.
    #[must_use]
    pub fn job_at(&self) -> Time {
        self.job_at
    }

    /// Whether any chip works on a job.
    #[must_use]
    pub fn hashing(&self) -> bool {
        self.listens() && self.clocks.1.0 > 0.0 && self.chips[..self.reach].iter().any(|c| !c.silent && !c.jobs.is_empty())
    }

    /// How many candidates were really hashed.
    #[must_use]
    pub fn hashes_tested(&self) -> u64 {
        self.hashes_tested
    }

    /// How many of them were tested before, on a job that was given twice.
    #[must_use]
    pub fn hashes_repeated(&self) -> u64 {
        self.hashes_repeated
    }

    /// How many chips have nothing to do.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.chips[..self.reach].iter().filter(|c| c.jobs.is_empty()).count()
    }

    /// When a chip's block of registers, its sensor among them, was read last.
    #[must_use]
    pub fn felt_at(&self) -> Time {
        self.felt_at
    }

    /// Volts across one chip.
    fn chip_volts(&self) -> Volt {
        Volt(self.volts.0 / f64::from(self.layout.domains.max(1)))
    }

    fn powered(&self) -> bool {
        self.chip_volts().0 >= self.kind.bears.least_volt
    }

    fn listens(&self) -> bool {
        self.powered() && !self.held
    }

    fn forget(&mut self) {
        (self.numbered, self.counted) = (false, false);
        self.wire = Wire::new(self.kind);
        self.chips.iter_mut().for_each(Chip::reset);
        self.look_at_clocks();
    }

    /// Brings what is told of the clocks to where they are.
    fn look_at_clocks(&mut self) {
        for n in 0..self.chips.len() {
            self.chips[n].clock = self.clock_of(&self.chips[n]);
        }
        let clocks: Vec<f64> = self.chips[..self.reach].iter().map(|c| c.clock.0).collect();
        let top = clocks.iter().copied().fold(0.0, f64::max);
        let low = clocks.iter().copied().fold(top, f64::min);
        // A sum's rounding would make of 1,332 MHz a little more.
        let mean = if low < top { clocks.iter().sum::<f64>() / clocks.len() as f64 } else { top };
        self.clocks = (Megahertz(mean), Megahertz(top));
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

    /// Sets the host's mode and clock.
    pub(crate) fn configure(&mut self, mode: SpiMode, hertz: u32) {
        (self.mode, self.hertz) = (Some(mode), hertz);
    }

    /// Clocks bytes through the ring.
    pub(crate) fn clock_through(&mut self, bytes: &mut [u8]) {
        let slow = f64::from(self.hertz) * CLOCKS_A_BIT <= self.clocks.1.0.max(120.0) * 1e6;
        let heard = self.listens() && self.mode == Some(self.kind.mode) && (slow || !self.kind.bus_follows_clock);
        for word in bytes.chunks_exact_mut(2) {
            let sent = [word[0], word[1]];
            let (back, command) = self.wire.pass(sent, heard, self.reach, self.numbered);
            word.copy_from_slice(&back);
            if let Some(command) = command {
                self.obey(command);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Number { reach } => {
                let count = if std::mem::replace(&mut self.counted, true) { 0 } else { self.reach as u8 };
                self.numbered = true;
                // Its echo is the command; the word behind it tells the count.
                self.wire.answer_at(reach + 1, &[0, count]);
            }
            Command::Reset { how } => {
                for chip in &mut self.chips[..self.reach] {
                    match how {
                        0xed => {
                            chip.jobs.clear();
                            (chip.done, chip.stratum, chip.until) = (0, 0, 0);
                        }
                        0 => chip.reset(),
                        _ => {}
                    }
                }
                self.counted &= how == 0xed;
                self.numbered &= how != 0;
                self.look_at_clocks();
            }
            Command::Result => {
                let mut ring = self.chips[..self.reach].iter_mut().filter(|c| !c.silent);
                if let Some(result) = ring.find_map(|c| c.results.pop_front()) {
                    self.answer(self.reach * 2, result);
                }
            }
            Command::Write { chip, block } => {
                let lock = Time::from_micros(self.now.micros() + LOCK_MICROS);
                for c in self.of(chip) {
                    c.register.copy_from_slice(&block);
                    c.locked_at = lock;
                }
                self.look_at_clocks();
            }
            Command::Read { chip } => {
                let place = usize::from(chip).checked_sub(1).filter(|n| self.numbered && *n < self.reach);
                let Some(n) = place.filter(|n| !self.chips[*n].silent) else { return };
                self.felt_at = self.now;
                let block = self.block(n);
                self.answer(2 * usize::from(chip) - 1, [&[0x1a, chip], &block[..]].concat());
            }
            Command::Job { id, chip, frame } => {
                let job = Job::read(&self.kind, id, &frame);
                self.job_at = self.now;
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
        let (all, numbered) = (chip == 0, self.numbered);
        let meant = move |n: usize| all || (numbered && n + 1 == usize::from(chip));
        self.chips[..self.reach].iter_mut().enumerate().filter(move |(n, c)| meant(*n) && !c.silent).map(|(_, c)| c)
    }

    /// A chip's register block as it reads.
    fn block(&self, n: usize) -> Vec<u8> {
        let c = &self.chips[n];
        let queued = (1u8 << c.jobs.len()) - 1;
        let mut block = c.register.clone();
        if self.kind.model == ChipModel::BitmineA1 {
            block[2] = block[2] & !1 | u8::from(self.now >= c.locked_at && c.clock.0 > 0.0);
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
}

/// The host's end of a ring that somebody else also looks at; its time is its owner's.
#[derive(Clone)]
pub struct SimSpi(pub Arc<Mutex<SpiRing>>);

impl Spi for SimSpi {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).configure(mode, hertz);
        Ok(())
    }

    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clock_through(bytes);
        Ok(())
    }
}
