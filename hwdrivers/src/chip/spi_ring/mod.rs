//! Chips in a ring on SPI (Bitmine A1, DragonMint T1): the family's driver. A command goes down the chain a word a chip and its
//! answer comes back the same way, for as long as the host keeps clocking. Each chip holds two jobs; the driver looks how full
//! their queues are and gives each chip its own versions, or where a job allows too few its own part of the nonces.
//!
//! ```text
//!          start                       set_clock            ramp, self-test, each chip's cores
//!   Off ──────────▶ Starting ──▶ Ready ────────────▶ Bringup ──────────────────────────▶ Hashing ◀─ set_clock
//!    ▲                 │ no chip answers                                                    │
//!    └─────────────────┴──────────────────── stop, from anywhere ◀──────────────────────────┘
//! ```
//!
//! It was run on the simulator's bus, not through `/dev/spidev` of a kernel. What the self-test found wrong stays switched off by
//! the chips themselves; a chip with too few cores, or one that does not answer, gets no work.

mod ring;
#[cfg(test)]
mod tests;

pub use ring::crc;

use super::{ChainDriver, ChainEvent, ChipReading, Counters, Scale, WatchError};
use crate::bus::{BusError, Spi, SpiMode};
use model::{Celsius, ChainLayout, ChipAt, ChipModel, Header, Megahertz, Time, Work, WorkId};
use ring::{Ring, rolled};
use std::collections::VecDeque;
use std::time::Duration;

/// Between two looks at results. Also the shortest time between two looks at queues: half of the 168 ms that a job of all nonces lasts
/// at the highest clock of a T1 and at the usual one of an A1, so that of the two jobs that a chip holds the second is never through.
/// Rejected: the 40 ms of asic.md A14, which look at each job four times and cost four times as much.
const POLL: Duration = Duration::from_millis(80);
/// Between two tellings of the chips' sensors. They stand in the same block as the queue, so it is looked at as often at least.
const SENSOR_PERIOD: Duration = Duration::from_secs(1);
/// A PLL is waited for this often, this long.
const LOCK_TRIES: u32 = 25;
const LOCK_WAIT: Duration = Duration::from_millis(40);
/// Behind detection, a reset or a clock.
const WAIT: Duration = Duration::from_millis(10);
/// Behind one step of a ramp.
const STEP_WAIT: Duration = Duration::from_millis(1);
/// What a self-test takes.
const TEST_WAIT: Duration = Duration::from_secs(1);
/// Results taken in one look, so that chips that babble cannot hold a turn.
const RESULTS: usize = 64;
/// A block is asked for so often in a row before its chip counts as silent: a line with noise takes every sixth answer.
const READ_TRIES: u32 = 3;
/// A chip that did not answer in so many looks in a row gets no more work until the next start.
const SILENT_LIMIT: u8 = 5;
/// Events that wait for the owner.
const EVENT_LIMIT: usize = 1024;
/// Steps of one ramp: the longest table has 324 settings.
const STEPS_LIMIT: usize = 400;
/// Job ids run from 1 to this.
const SLOTS: usize = 4;

/// The drop-all-jobs reset, the full one and the one in front of a self-test.
const RESET_JOBS: u8 = 0xed;
const RESET_ALL: u8 = 0x00;
const RESET_TEST: u8 = 0x20;

/// The constants and frames of a chip.
pub struct Family {
    /// Which.
    pub model: ChipModel,
    /// What people call it.
    pub name: &'static str,
    /// Its SPI mode.
    pub mode: SpiMode,
    /// Longest chain.
    pub chips_max: u8,
    /// Cores of a whole chip.
    pub cores: u8,
    /// Hashes of one core in one clock.
    pub hashes_per_core: u32,
    /// A chip with fewer cores gets no work.
    pub broken_below: u8,
    /// Midstates in a job.
    pub midstates: usize,
    /// Bytes of its register block.
    pub register: usize,
    /// Whether register blocks and results carry a sum.
    pub checked: bool,
    /// Where in the block the number of its working cores is.
    pub cores_at: usize,
    /// Where its queue's state is: two bits, one a job.
    pub queue_at: usize,
    /// Byte and bit of the PLL's lock, where one is told.
    pub lock: Option<(usize, u8)>,
    /// Where the code of its sensor is, ten bits in two bytes, and what a code means.
    pub sensor: Option<(usize, Code)>,
    /// The target of its jobs, compact.
    pub nbits: u32,
    /// The same as zero bits beyond the first 32.
    pub ticket_bits: u8,
    /// Its clock at the start.
    pub first_clock: Megahertz,
    /// The SPI clock that it bears at its own.
    pub speed: fn(Megahertz) -> u32,
    /// The register block for a clock.
    pub pll: fn(Megahertz) -> Option<Setting>,
    /// The next clock on the way from one to another.
    pub next_clock: fn(Megahertz, Megahertz) -> Megahertz,
    /// Whether it is reset by a command before it is counted.
    pub full_reset: bool,
    /// Whether its self-test is repeated at the clock of work, and masks what fails.
    pub self_test: bool,
    /// A job's frame.
    pub job: fn(&Job<'_>) -> Vec<u8>,
}

/// What a sensor's code means; `None` where it measures nothing.
pub type Code = fn(u16) -> Option<Celsius>;

/// What a job's frame holds.
pub struct Job<'a> {
    /// 1 to 4.
    pub id: u8,
    /// The chip, from 1.
    pub chip: u8,
    /// As many as the family takes.
    pub midstates: &'a [[u32; 8]],
    /// The header's last bytes before the nonce.
    pub tail: &'a [u8; 12],
    /// The first nonce.
    pub first: u32,
    /// The last one.
    pub last: u32,
}

/// A clock as a chip takes it.
pub struct Setting {
    /// The register block.
    pub register: Vec<u8>,
    /// What it really gives.
    pub clock: Megahertz,
}

/// A midstate as these chips take it: all bytes of the state in reverse.
#[must_use]
pub fn rolled_bytes(midstate: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_exact_mut(4).zip(midstate.iter().rev()) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Starting,
    Ready,
    Bringup,
    Hashing,
}

#[derive(Clone, Debug)]
enum Step {
    Configure(Megahertz),
    Reset(u8),
    Detect,
    Clock(Megahertz),
    Lock(u32),
    Test,
    Fix,
    Cores,
    Tell(Phase, ChainEvent),
}

/// A job that a chip was given.
#[derive(Clone, Copy, Debug)]
struct Slot {
    work: WorkId,
    version: u32,
    mask: u32,
    /// Which of the versions its first midstate has.
    index: u64,
}

#[derive(Clone, Debug, Default)]
struct Chip {
    cores: u8,
    silent: u8,
    slots: [Option<Slot>; SLOTS],
    next: usize,
    /// Jobs given of the work of now.
    given: u64,
}

/// One ring of chips behind one SPI device.
pub struct Chain<S: Spi> {
    ring: Ring<S>,
    family: &'static Family,
    scale: Scale,
    phase: Phase,
    script: VecDeque<Step>,
    due: Time,
    /// When queues are looked at next, and sensors told.
    queues_at: Time,
    sensors_at: Time,
    clock: Megahertz,
    /// The slowest clock that a chip was given as its own since all were given one.
    own: Option<Megahertz>,
    target: Option<Megahertz>,
    chips: Vec<Chip>,
    work: Option<Work>,
    /// Jobs given of the work of now, to all chips.
    given: u64,
    readings: Vec<ChipReading>,
    events: VecDeque<ChainEvent>,
    counters: Counters,
}

/// The driver for a chain of this chip; `None` where it is of another family.
pub fn chain<S: Spi + 'static>(spi: S, layout: &ChainLayout, scale: Scale) -> Option<Box<dyn ChainDriver>> {
    Some(Box::new(Chain::new(spi, family(layout.chip)?, scale)))
}

/// The constants of a chip of this family.
#[must_use]
pub const fn family(model: ChipModel) -> Option<&'static Family> {
    match model {
        ChipModel::BitmineA1 => Some(&super::bitmine_a1::FAMILY),
        ChipModel::DragonMintT1 => Some(&super::dragonmint_t1::FAMILY),
        _ => None,
    }
}

impl<S: Spi> Chain<S> {
    /// A chain whose chips are held in reset.
    pub fn new(spi: S, family: &'static Family, scale: Scale) -> Chain<S> {
        Chain {
            ring: Ring::new(spi, family),
            family,
            scale,
            phase: Phase::Off,
            script: VecDeque::new(),
            due: Time::ZERO,
            queues_at: Time::ZERO,
            sensors_at: Time::ZERO,
            clock: family.first_clock,
            own: None,
            target: None,
            chips: Vec::new(),
            work: None,
            given: 0,
            readings: Vec::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The SPI device, for its owner's eyes.
    pub fn spi(&mut self) -> &mut S {
        self.ring.spi()
    }

    /// Working cores of the chip at this place, from 0; `None` before they were counted.
    #[must_use]
    pub fn cores(&self, chip: usize) -> Option<u8> {
        self.chips.get(chip).map(|c| c.cores)
    }

    fn forget(&mut self) {
        self.script.clear();
        self.target = None;
        self.work = None;
    }

    fn works(&self, chip: usize) -> bool {
        self.chips.get(chip).is_some_and(|c| c.cores >= self.family.broken_below && c.silent < SILENT_LIMIT)
    }

    fn bring_up(&mut self, target: Megahertz) {
        self.phase = Phase::Bringup;
        self.script.clear();
        self.ramp(target);
        if self.family.lock.is_some() {
            self.script.push_back(Step::Lock(LOCK_TRIES));
        }
        if self.family.self_test {
            self.script.extend([Step::Reset(RESET_TEST), Step::Test]);
        }
        self.script.extend([Step::Fix, Step::Cores, Step::Tell(Phase::Hashing, ChainEvent::Hashing)]);
    }

    fn ramp(&mut self, target: Megahertz) {
        let (mut at, mut speed) = (self.clock, (self.family.speed)(self.clock));
        if self.own.is_some() {
            // Chips with clocks of their own come back to the common one first.
            self.script.push_back(Step::Clock(at));
        }
        for _ in 0..STEPS_LIMIT {
            if at == target || !target.0.is_finite() {
                break;
            }
            let Some(next) = (self.family.pll)((self.family.next_clock)(at, target)) else { break };
            if next.clock == at {
                break;
            }
            // A slower bus first where chips slow down, a faster one behind the clock that bears it.
            let bus = (self.family.speed)(next.clock);
            if bus < speed {
                self.script.push_back(Step::Configure(next.clock));
            }
            self.script.push_back(Step::Clock(next.clock));
            if bus > speed {
                self.script.push_back(Step::Configure(next.clock));
            }
            self.script.push_back(Step::Tell(self.phase, ChainEvent::Clock(next.clock)));
            (at, speed) = (next.clock, bus);
        }
    }

    /// Does what is due.
    fn go_on(&mut self, now: Time) -> Result<(), BusError> {
        while self.due <= now && self.phase != Phase::Off {
            let Some(step) = self.script.pop_front() else { break };
            let wait = self.run(step)?;
            self.due = now + wait;
        }
        if self.phase == Phase::Hashing && self.due <= now {
            self.take_results()?;
            if self.queues_at <= now {
                self.refill()?;
                self.queues_at = now + (self.job_lasts() / 2).clamp(POLL, SENSOR_PERIOD);
            }
            if self.sensors_at <= now {
                self.tell_sensors();
                self.sensors_at = now + SENSOR_PERIOD;
            }
            self.due = now + POLL;
        }
        Ok(())
    }

    fn run(&mut self, step: Step) -> Result<Duration, BusError> {
        match step {
            Step::Configure(clock) => {
                self.ring.configure((self.family.speed)(clock))?;
                return Ok(WAIT);
            }
            Step::Reset(how) => {
                self.ring.reset(how)?;
                return Ok(if how == RESET_TEST { TEST_WAIT } else { WAIT });
            }
            Step::Detect => {
                let chips = self.ring.count()?;
                if chips > 0 && !self.is_confirmed(chips)? {
                    return Err(dead(
                        &format!("count the {} chips", self.family.name),
                        &format!("they are not {chips}, as was answered"),
                    ));
                }
                self.ring.hold(chips.max(1));
                self.chips = vec![Chip::default(); usize::from(chips)];
                self.readings = vec![ChipReading::default(); usize::from(chips)];
                self.tell(ChainEvent::Counted { chips: u32::from(chips) });
                if chips == 0 {
                    self.forget();
                    self.phase = Phase::Off;
                }
                return Ok(WAIT);
            }
            Step::Clock(clock) => {
                if let Some(setting) = (self.family.pll)(clock) {
                    self.ring.write(0, &setting.register)?;
                    self.clock = setting.clock;
                    // The bus went no faster than the slowest of them bore.
                    if self.own.take().is_some_and(|own| (self.family.speed)(own) < (self.family.speed)(setting.clock)) {
                        self.script.push_front(Step::Configure(setting.clock));
                    }
                }
                return Ok(STEP_WAIT);
            }
            Step::Lock(tries) => {
                if tries > 0 && !self.locked()? {
                    self.script.push_front(Step::Lock(tries - 1));
                    return Ok(LOCK_WAIT);
                }
            }
            Step::Test => {
                // What fails from here on is masked by the chip itself: bit 4 of the first byte of the sensor's two.
                if let Some(mut block) = self.read(1)? {
                    if let Some(byte) = self.family.sensor.and_then(|(at, _)| block.get_mut(at)) {
                        *byte |= 0x10;
                    }
                    self.ring.write(0, &block)?;
                }
                // Another number, unless only the answer was damaged, is another ring.
                let (counted, known) = (self.ring.count()?, self.chips.len() as u8);
                if counted != known {
                    self.counters.frame_errors += 1;
                    if !self.is_confirmed(known)? {
                        let why = format!("they were {known}, and {counted} passed the self-test");
                        return Err(dead(&format!("test the {} chips", self.family.name), &why));
                    }
                }
                return Ok(WAIT);
            }
            Step::Fix => {
                self.ring.fix()?;
                return Ok(WAIT);
            }
            Step::Cores => self.count_cores()?,
            Step::Tell(phase, event) => {
                let begins = self.phase != phase;
                self.phase = phase;
                self.tell(event);
                match (phase, self.target) {
                    (Phase::Ready, Some(target)) => self.bring_up(target),
                    // Not with every step of a later ramp.
                    (Phase::Hashing, _) if begins => self.queues_at = Time::ZERO,
                    _ => {}
                }
            }
        }
        Ok(Duration::ZERO)
    }

    /// Whether so many chips are there: nobody answers behind the last, and of the last two one does. A single one may be dumb.
    fn is_confirmed(&mut self, chips: u8) -> Result<bool, BusError> {
        if chips < self.family.chips_max && self.read(chips + 1)?.is_some() {
            return Ok(false);
        }
        Ok(self.read(chips)?.is_some() || (chips > 1 && self.read(chips - 1)?.is_some()))
    }

    fn locked(&mut self) -> Result<bool, BusError> {
        let Some((byte, bit)) = self.family.lock else { return Ok(true) };
        let mut all = true;
        for chip in 1..=self.chips.len() as u8 {
            all &= self.read(chip)?.is_some_and(|block| block[byte] & bit != 0);
        }
        Ok(all)
    }

    fn count_cores(&mut self) -> Result<(), BusError> {
        let at = self.family.cores_at;
        for n in 0..self.chips.len() {
            let block = self.read(n as u8 + 1)?;
            let locked = |b: &Vec<u8>| self.family.lock.is_none_or(|(byte, bit)| b[byte] & bit != 0);
            let cores = block.filter(locked).map_or(0, |b| b[at].min(self.family.cores));
            self.chips[n].cores = cores;
        }
        if (0..self.chips.len()).any(|n| self.works(n)) {
            return Ok(());
        }
        Err(dead(&format!("count the cores of the {} chips", self.family.name), "none has enough that work"))
    }

    /// A chip's register block; `None` where it does not answer.
    fn read(&mut self, chip: u8) -> Result<Option<Vec<u8>>, BusError> {
        let mut lost = 0;
        for _ in 0..READ_TRIES {
            match self.ring.read(chip)? {
                Some(Ok(block)) => {
                    // It speaks, so what was not heard before was damaged beyond recognition.
                    self.counters.frame_errors += lost;
                    return Ok(Some(block));
                }
                Some(Err(_)) => self.counters.frame_errors += 1,
                // Silence is no damage.
                None => lost += 1,
            }
        }
        Ok(None)
    }

    /// How long a chip is busy with one job.
    fn job_lasts(&self) -> Duration {
        let rate = self.clock.0 * 1e6 * f64::from(u32::from(self.family.cores) * self.family.hashes_per_core);
        let hashes = self.family.midstates as f64 * 2f64.powi(32 + i32::from(self.scale.stretch_bits));
        let parts = if self.has_own_versions() { 1.0 } else { self.chips.len() as f64 };
        Duration::try_from_secs_f64(hashes / parts / rate.max(1.0)).unwrap_or(Duration::MAX)
    }

    /// Whether the work of now has versions for every chip; else each has its part of the nonces.
    fn has_own_versions(&self) -> bool {
        let versions = |w: &Work| 1u64 << w.version_mask.count_ones();
        self.work.as_ref().is_none_or(|w| versions(w) >= (self.chips.len() * self.family.midstates) as u64)
    }

    /// Looks at every chip's queue and sensor, and fills what is free.
    fn refill(&mut self) -> Result<(), BusError> {
        let (mut asked, mut silent) = (0, 0);
        self.readings.iter_mut().for_each(|r| r.celsius = None);
        for n in 0..self.chips.len() {
            if !self.works(n) {
                continue;
            }
            asked += 1;
            let Some(block) = self.read(n as u8 + 1)? else {
                silent += 1;
                self.chips[n].silent += 1;
                continue;
            };
            self.chips[n].silent = 0;
            if let Some((at, celsius_of)) = self.family.sensor {
                self.readings[n].celsius = celsius_of(u16::from_be_bytes([block[at], block[at + 1]]) & 0x3ff);
            }
            let queued = (block[self.family.queue_at] & 3).count_ones();
            for _ in queued..2 {
                self.give(n)?;
            }
        }
        if asked == 0 || (silent == asked && !(0..self.chips.len()).any(|n| self.works(n))) {
            return Err(dead(&format!("talk to the {} chips", self.family.name), "none answers any more"));
        }
        Ok(())
    }

    /// Gives a chip its next job of the work of now.
    fn give(&mut self, n: usize) -> Result<(), BusError> {
        let Some(work) = &self.work else { return Ok(()) };
        let count = self.chips.len() as u64;
        let (versions, m) = (1u64 << work.version_mask.count_ones(), self.family.midstates as u64);
        let (index, first, last) = if self.has_own_versions() {
            (self.given * m % versions, 0, u32::MAX)
        } else {
            let part = |n: u64| u32::try_from((n << 32) / count).unwrap_or(u32::MAX);
            let last = if n as u64 + 1 == count { u32::MAX } else { part(n as u64 + 1) - 1 };
            (self.chips[n].given * m % versions, part(n as u64), last)
        };
        let header = work.header.to_bytes();
        let version = |k| rolled(work.header.version, work.version_mask, index + k);
        let midstates: Vec<[u32; 8]> = (0..m).map(|k| Header { version: version(k), ..work.header }.midstate()).collect();
        let mut tail = [0; 12];
        tail.copy_from_slice(&header[64..76]);
        let slot = Slot { work: work.id, version: work.header.version, mask: work.version_mask, index };
        let chip = &mut self.chips[n];
        let (id, at) = (chip.next as u8 + 1, chip.next);
        let job = Job { id, chip: n as u8 + 1, midstates: &midstates, tail: &tail, first, last };
        self.ring.job(n as u8 + 1, (self.family.job)(&job))?;
        chip.slots[at] = Some(slot);
        chip.next = (at + 1) % SLOTS;
        chip.given += 1;
        self.given += 1;
        Ok(())
    }

    fn take_results(&mut self) -> Result<(), BusError> {
        for _ in 0..RESULTS {
            let Some(result) = self.ring.result()? else { return Ok(()) };
            let Some(result) = result.good else {
                self.counters.frame_errors += 1;
                continue;
            };
            self.counters.nonces += 1;
            let chip = usize::from(result.chip).wrapping_sub(1);
            let slots = self.chips.get(chip).map(|c| c.slots);
            let slot = slots.and_then(|s| s.get(usize::from(result.job).wrapping_sub(1)).copied().flatten());
            let Some(slot) = slot else {
                self.counters.unknown_jobs += 1;
                continue;
            };
            let version = rolled(slot.version, slot.mask, slot.index + u64::from(result.midstate));
            let chip = Some(ChipAt { chip: chip as u8, core: 0 });
            self.tell(ChainEvent::Found { work: slot.work, nonce: result.nonce, version, chip });
        }
        Ok(())
    }

    /// Tells the hottest of what chips measured of themselves.
    fn tell_sensors(&mut self) {
        if self.family.sensor.is_none() {
            return;
        }
        let hottest = self.readings.iter().filter_map(|r| r.celsius).reduce(|a, b| if b > a { b } else { a });
        let answered = self.chips.iter().any(|c| c.cores >= self.family.broken_below && c.silent == 0);
        let nothing = if answered { WatchError::NotMeasured } else { WatchError::Silent };
        self.tell(ChainEvent::Temperature(hottest.ok_or(nothing)));
    }

    fn tell(&mut self, event: ChainEvent) {
        if self.events.len() < EVENT_LIMIT {
            self.events.push_back(event);
        } else {
            self.counters.events_lost += 1;
        }
    }
}

fn dead(attempt: &str, why: &str) -> BusError {
    BusError::Os { attempt: attempt.to_owned(), source: std::io::Error::other(why.to_owned()) }
}

impl<S: Spi> ChainDriver for Chain<S> {
    fn start(&mut self, now: Time) {
        self.forget();
        self.chips.clear();
        self.ring.forget();
        (self.phase, self.due, self.clock, self.own) = (Phase::Starting, now, self.family.first_clock, None);
        self.script.push_back(Step::Configure(self.family.first_clock));
        if self.family.full_reset {
            self.script.push_back(Step::Reset(RESET_ALL));
        }
        self.script.extend([Step::Detect, Step::Clock(self.family.first_clock), Step::Tell(Phase::Ready, ChainEvent::Ready)]);
    }

    fn set_clock(&mut self, clock: Megahertz) {
        if self.target == Some(clock) {
            return;
        }
        self.target = Some(clock);
        match self.phase {
            Phase::Off | Phase::Starting => {}
            Phase::Ready | Phase::Bringup => self.bring_up(clock),
            Phase::Hashing => {
                self.script.clear();
                self.ramp(clock);
            }
        }
    }

    fn set_chip_clock(&mut self, chip: u8, clock: Megahertz) {
        let setting = (self.family.pll)(clock).filter(|_| self.phase == Phase::Hashing && usize::from(chip) < self.chips.len());
        let Some(setting) = setting else { return };
        // The next order for all is new, even where it names the clock of before.
        self.target = None;
        let bus = |own: Option<Megahertz>| (self.family.speed)(own.map_or(self.clock, |own| own.min(self.clock)));
        let slowest = self.own.map_or(setting.clock, |own| own.min(setting.clock));
        // What passes a chip must not be faster than it bears: a slower bus first.
        let (before, after) = (bus(self.own), bus(Some(slowest)));
        let slowed = if after < before { self.ring.configure(after) } else { Ok(()) };
        self.own = Some(slowest);
        if slowed.and_then(|()| self.ring.write(chip + 1, &setting.register)).is_err() {
            // The next turn meets the same bus and says so.
            self.counters.frame_errors += 1;
        }
    }

    fn submit(&mut self, work: &Work) -> Result<(), BusError> {
        if self.phase != Phase::Hashing {
            return Ok(());
        }
        self.work = Some(work.clone());
        self.given = 0;
        self.chips.iter_mut().for_each(|c| c.given = 0);
        self.ring.reset(RESET_JOBS)?;
        for n in 0..self.chips.len() {
            if self.works(n) {
                self.give(n)?;
                self.give(n)?;
            }
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), BusError> {
        let spoke = self.phase != Phase::Off;
        self.forget();
        self.phase = Phase::Off;
        if spoke { self.ring.reset(RESET_JOBS).map(drop) } else { Ok(()) }
    }

    fn turn(&mut self, now: Time) -> Result<(), BusError> {
        let done = self.go_on(now);
        if done.is_err() {
            // Nothing that was to follow holds any more: it waits for its next start.
            self.forget();
            self.phase = Phase::Off;
        }
        done
    }

    fn wake_at(&self) -> Time {
        match self.phase {
            Phase::Off => Time::NEVER,
            Phase::Ready if self.script.is_empty() => Time::NEVER,
            _ => self.due,
        }
    }

    fn next_event(&mut self) -> Option<ChainEvent> {
        self.events.pop_front()
    }

    fn epoch(&self) -> Duration {
        let mask = self.work.as_ref().map_or(0x1fff_e000, |w| w.version_mask);
        let (versions, m) = (1u64 << mask.count_ones(), self.family.midstates as u64);
        // Every chip tests all nonces of its versions, or its part of the nonces of all of them: the same in sum.
        let headers = (versions.div_ceil(m) * m) as f64 * 2f64.powi(32 + i32::from(self.scale.stretch_bits));
        let cores: u64 = self.chips.iter().map(|c| u64::from(c.cores)).sum();
        let rate = self.clock.0 * 1e6 * (cores.max(1) * u64::from(self.family.hashes_per_core)) as f64;
        Duration::try_from_secs_f64(headers / rate.max(1.0)).unwrap_or(Duration::MAX)
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn ticket_bits(&self) -> u8 {
        self.family.ticket_bits
    }

    fn readings(&self) -> &[ChipReading] {
        &self.readings
    }
}
