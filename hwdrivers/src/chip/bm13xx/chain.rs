//! The driver of one chain: it owns the line, is told the time, and never waits. Orders become a script of frames with a pause
//! behind each; [`ChainDriver::turn`] sends what is due and reads what came.
//!
//! ```text
//!            start                         set_clock              ramp and each chip done
//!   Off ────────────▶ Starting ──▶ Ready ────────────▶ Bringup ──────────────────────────▶ Hashing ◀─ set_clock
//!    ▲                   │ no chip answers, or a stranger                                     │
//!    └───────────────────┴───────────────────── stop, from anywhere ◀─────────────────────────┘
//! ```
//!
//! It does not hash: whether a nonce is right, new or worth a share is for its owner to see. It does not retry either: after an
//! error of the line the owner resets the chips and starts again.
//! In files of their own: how a start is scripted (`start`), how work becomes jobs (`work`), what chips tell of themselves
//! (`watch`) and the sensor on a chip's pins (`through`).

mod start;
mod through;
mod watch;
mod work;

use super::addressing::Addressing;
use super::decoder::Decoder;
use super::frame::{Command, Reply, ReplySize};
use super::job::VERSION_SHIFT;
use super::pll::Pll;
use super::{Chip, JobKind, TICKET_BITS, register};
use crate::bus::{BusError, Uart};
use crate::chip::{ChainDriver, ChainEvent, ChainTrouble, ChipReading, Counters, Scale};
use model::{Baud, ChainLayout, Megahertz, Time, Work};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use watch::Watcher;
use work::{Roller, Slot};

/// Jobs that a reply can still name: ids have five bits at most.
pub const JOBS: usize = 32;
/// Events that wait for the owner. One chain reports some ten nonces a second; this is beyond a minute of them.
pub const EVENT_LIMIT: usize = 1024;
/// Reads in one turn, so that a babbling line cannot hold it: 32 kB, more than 3 Mbaud bring while its owner lets replies gather.
const READS: usize = 64;
/// A line that does not wake its owner is read at least this often while chips run: 20 ms of 3 Mbaud is 6,000 bytes, and real traffic a hundredth of it.
const READ_PERIOD: Duration = Duration::from_millis(20);
/// All sixteen bits that BIP 320 lets roll.
const FULL_MASK: u32 = 0xffff << VERSION_SHIFT;
/// Replies of the wrong size in a row that are no accident: of damaged ones about one in a hundred looks like one.
const MISFITS: u32 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Off,
    Starting,
    Ready,
    Bringup,
    Hashing,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Command, Duration),
    Job(Vec<u8>, Duration),
    Clock(Megahertz, Command, Duration),
    Own(u8, Megahertz, Command, Duration),
    Baud(Baud),
    Count,
    Counted,
    Tell(Phase, ChainEvent),
}

/// Clocks of chips, by position, that are not the common one.
type Own = BTreeMap<u8, Megahertz>;

/// Who answered the question who is there.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    chips: u32,
    /// What another chip says it is.
    stranger: Option<u32>,
}

/// One chain of chips behind one line.
pub struct Chain<U: Uart> {
    uart: U,
    chip: &'static Chip,
    layout: ChainLayout,
    at: Addressing,
    scale: Scale,
    phase: Phase,
    script: VecDeque<Step>,
    due: Time,
    read_at: Time,
    decoder: Decoder,
    counting: Option<Count>,
    clock: Megahertz,
    own: Own,
    /// The fastest chip's clock: it bounds the sweep of all.
    fastest: Megahertz,
    target: Option<Megahertz>,
    mask: u32,
    jobs: [Option<Slot>; JOBS],
    next_job: u8,
    roller: Option<Roller>,
    watcher: Watcher,
    misfits_told: bool,
    events: VecDeque<ChainEvent>,
    counters: Counters,
}

impl<U: Uart> Chain<U> {
    /// A chain whose chips are held in reset.
    ///
    /// # Panics
    /// Where the layout's chips are of another family.
    pub fn new(uart: U, layout: &ChainLayout, scale: Scale) -> Chain<U> {
        let chip = super::chip(layout.chip).expect("board data puts this driver on chips of the family alone");
        Chain {
            uart,
            chip,
            layout: *layout,
            at: Addressing::of(layout),
            scale,
            phase: Phase::Off,
            script: VecDeque::new(),
            due: Time::ZERO,
            read_at: Time::ZERO,
            decoder: Decoder::new(chip.replies),
            counting: None,
            clock: chip.first_clock,
            own: Own::new(),
            fastest: chip.first_clock,
            target: None,
            mask: FULL_MASK,
            jobs: [None; JOBS],
            next_job: 0,
            roller: None,
            watcher: Watcher::new(chip, layout),
            misfits_told: false,
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Whether chips take work.
    #[cfg(test)]
    fn is_hashing(&self) -> bool {
        self.phase == Phase::Hashing
    }

    /// The clock that chips run at now, but for those that were given their own.
    #[cfg(test)]
    fn clock(&self) -> Megahertz {
        self.clock
    }

    /// Hashes that one verified nonce stands for, on average.
    #[must_use]
    pub fn hashes_per_nonce(&self) -> f64 {
        2f64.powi(i32::from(self.scale.zero_bits) + i32::from(TICKET_BITS) + i32::from(self.scale.scale_bits))
    }

    /// The constants of its chips.
    #[must_use]
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// The line, for its owner's eyes.
    pub fn uart(&mut self) -> &mut U {
        &mut self.uart
    }

    fn write(&mut self, command: Command) -> Result<(), BusError> {
        self.uart.write(&command.framed(self.chip.framing))
    }

    fn forget(&mut self) {
        self.script.clear();
        self.jobs = [None; JOBS];
        self.roller = None;
        self.counting = None;
        self.target = None;
        self.watcher.forget();
    }

    fn run(&mut self, step: Step) -> Result<Duration, BusError> {
        match step {
            Step::Send(command, wait) => {
                self.write(command)?;
                return Ok(wait);
            }
            Step::Job(frame, wait) => {
                self.uart.write(&frame)?;
                return Ok(wait);
            }
            Step::Clock(clock, command, wait) => {
                self.write(command)?;
                self.pace(clock);
                self.clock = clock;
                self.own.clear();
                return Ok(wait);
            }
            Step::Own(chip, clock, command, wait) => {
                self.write(command)?;
                if clock == self.clock {
                    self.own.remove(&chip);
                } else {
                    self.own.insert(chip, clock);
                }
                return Ok(wait);
            }
            Step::Baud(baud) => self.uart.set_baud(baud)?,
            Step::Count => self.counting = Some(Count::default()),
            Step::Counted => self.counted(),
            Step::Tell(phase, event) => {
                self.phase = phase;
                self.tell(event);
                if let (Phase::Ready, Some(target)) = (self.phase, self.target) {
                    self.bring_up(target);
                }
            }
        }
        Ok(Duration::ZERO)
    }

    fn counted(&mut self) {
        let Count { chips, stranger } = self.counting.take().unwrap_or_default();
        match (chips, stranger) {
            (0, Some(found)) => {
                self.tell(ChainEvent::Trouble(ChainTrouble::Model { expected: self.chip.id >> 16, found: found >> 16 }))
            }
            (0, None) if self.decoder.misfits() > 0 => self.tell_size(),
            _ => self.tell(ChainEvent::Counted { chips }),
        }
        self.watcher.counted(chips);
        if chips == 0 {
            self.forget();
            self.phase = Phase::Off;
        }
    }

    fn tell_size(&mut self) {
        let expected = self.decoder.size();
        let found = if expected == ReplySize::Long { ReplySize::Short } else { ReplySize::Long };
        self.misfits_told = true;
        self.tell(ChainEvent::Trouble(ChainTrouble::ReplySize { expected: expected.bytes(), found: found.bytes() }));
    }

    fn receive(&mut self, now: Time) -> Result<(), BusError> {
        let mut buffer = [0; 512];
        for _ in 0..READS {
            let n = self.uart.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            // What arrives while the chips are off is the noise of their reset.
            if self.phase == Phase::Off {
                continue;
            }
            self.decoder.push(&buffer[..n]);
            while let Some(reply) = self.decoder.next_reply() {
                self.take(now, reply);
            }
            if !self.misfits_told && self.counting.is_none() && self.decoder.misfits() >= MISFITS {
                self.tell_size();
            }
        }
        Ok(())
    }

    fn take(&mut self, now: Time, reply: Reply) {
        match (reply, &mut self.counting) {
            (Reply::Register { value, register: register::CHIP_ID, .. }, Some(count)) => {
                if value >> 16 == self.chip.id >> 16 {
                    count.chips += 1;
                } else {
                    count.stranger.get_or_insert(value);
                }
            }
            (Reply::Register { value, chip, register }, _) => {
                // A BM1387's reply names neither; the driver asks it one question at a time.
                let (chip, register) = self.watcher.asked().unwrap_or((chip, register));
                if !self.watcher.take(now, chip, register, value) {
                    self.tell(ChainEvent::Register { chip, register, value });
                }
            }
            (Reply::Nonce { nonce, id, version, .. }, _) => {
                self.counters.nonces += 1;
                match self.found(nonce, id, version) {
                    Some(event) => self.tell(event),
                    None => self.counters.unknown_jobs += 1,
                }
            }
        }
    }

    fn tell(&mut self, event: ChainEvent) {
        if self.events.len() < EVENT_LIMIT {
            self.events.push_back(event);
        } else {
            self.counters.events_lost += 1;
        }
    }
}

impl<U: Uart> ChainDriver for Chain<U> {
    fn start(&mut self, now: Time) {
        self.forget();
        (self.phase, self.due, self.read_at) = (Phase::Starting, now, now);
        (self.clock, self.fastest) = (self.chip.first_clock, self.chip.first_clock);
        self.own.clear();
        (self.mask, self.misfits_told) = (FULL_MASK, false);
        // Long replies from the first write on, which switches them on before anything is asked.
        self.decoder.restart(self.chip.replies);
        self.script.push_back(Step::Baud(self.chip.baud_reset));
        self.script_steps(self.chip.start, self.chip.first_clock);
        self.script.push_back(Step::Tell(Phase::Ready, ChainEvent::Ready));
    }

    /// A target that no setting of the dividers comes near is taken as the step below it.
    fn set_clock(&mut self, target: Megahertz) {
        if self.target == Some(target) {
            return;
        }
        self.target = Some(target);
        match self.phase {
            Phase::Off | Phase::Starting => {}
            Phase::Ready | Phase::Bringup => self.bring_up(target),
            Phase::Hashing => {
                self.script.clear();
                let last = self.ramp(target);
                // A ramp that this one cuts short may have left a shorter sweep than its clock's.
                self.send_sweep(last);
                // Another sweep is another epoch: whoever hands out work must hear of it.
                self.script.push_back(Step::Tell(Phase::Hashing, ChainEvent::Hashing));
            }
        }
    }

    fn set_chip_clock(&mut self, chip: u8, clock: Megahertz) {
        let Some(pll) = Pll::solve(clock, &self.chip.pll) else { return };
        if self.phase != Phase::Hashing || chip >= self.layout.chips {
            return;
        }
        if clock > self.fastest {
            self.pace(clock);
            self.send_sweep(clock);
            self.script.push_back(Step::Tell(Phase::Hashing, ChainEvent::Hashing));
        }
        // The next order for all is new, even where it names the clock of before.
        self.target = None;
        self.send_own(chip, clock, pll);
        if let Some(Step::Own(.., wait)) = self.script.back_mut() {
            *wait = self.chip.waits.write;
        }
    }

    fn submit(&mut self, work: &Work) -> Result<(), BusError> {
        match (self.phase, self.chip.jobs.kind) {
            (Phase::Hashing, JobKind::Header { length }) => self.submit_header(work, length),
            (Phase::Hashing, JobKind::Midstates) => self.submit_midstates(work),
            _ => Ok(()),
        }
    }

    fn stop(&mut self) -> Result<(), BusError> {
        let spoke = self.phase != Phase::Off;
        self.forget();
        self.phase = Phase::Off;
        // Chips that bound their sweep themselves cannot be told to stop; they run dry.
        if !spoke || self.chip.sweep == super::Sweep::Own {
            return Ok(());
        }
        self.write(Command::WriteAll { register: register::HASH_COUNTING, value: 0 })
    }

    fn turn(&mut self, now: Time) -> Result<(), BusError> {
        self.read_at = now;
        self.receive(now)?;
        while self.due <= now {
            let Some(step) = self.script.pop_front() else { break };
            let wait = self.run(step)?;
            self.due = now + wait;
        }
        self.roll(now)?;
        self.watch(now)
    }

    fn wake_at(&self) -> Time {
        let script = if self.script.is_empty() { Time::NEVER } else { self.due };
        let frame = self.roller.as_ref().map_or(Time::NEVER, Roller::due);
        match self.phase {
            Phase::Off => Time::NEVER,
            _ if self.uart.wakes() => script.min(frame).min(self.watch_due()),
            _ => script.min(frame).min(self.read_at + READ_PERIOD),
        }
    }

    fn next_event(&mut self) -> Option<ChainEvent> {
        self.events.pop_front()
    }

    fn epoch(&self) -> Duration {
        self.work_lasts()
    }

    fn counters(&self) -> Counters {
        Counters { frame_errors: self.decoder.errors(), ..self.counters }
    }

    fn ticket_bits(&self) -> u8 {
        TICKET_BITS
    }

    fn readings(&self) -> &[ChipReading] {
        self.watcher.readings()
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "start_tests.rs"]
mod start_tests;

#[cfg(test)]
#[path = "watch_tests.rs"]
mod watch_tests;

#[cfg(test)]
#[path = "work_tests.rs"]
mod work_tests;
