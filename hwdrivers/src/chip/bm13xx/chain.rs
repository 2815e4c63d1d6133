//! The driver of one chain: it owns the line, is told the time, and never waits. Orders become a script of frames with a pause
//! behind each; [`ChainDriver::turn`] sends what is due and reads what came.
//!
//! ```text
//!            start                         set_clock              ramp and each chip done
//!   Off ────────────▶ Starting ──▶ Ready ────────────▶ Bringup ──────────────────────────▶ Hashing ◀─ set_clock
//!    ▲                   │ no chip answers                                                    │
//!    └───────────────────┴───────────────────── stop, from anywhere ◀─────────────────────────┘
//! ```
//!
//! It does not hash: whether a nonce is right, new or worth a share is for its owner to see. It does not retry either: after an
//! error of the line the owner resets the chips and starts again.

use super::frame::{Command, Decoder, Reply, ReplySize};
use super::job::{VERSION_SHIFT, job_frame, rolled_version};
use super::pll::Pll;
use super::ticket::ticket_mask;
use super::{Chip, RAMP_STEP, TICKET_BITS, register};
use crate::bus::{BusError, Uart};
use crate::chip::{ChainDriver, ChainEvent, Counters, Scale};
use model::{Baud, ChainLayout, Megahertz, Time, Work, WorkId};
use std::collections::VecDeque;
use std::time::Duration;

/// Jobs that a reply can still name: the chip's id has five bits.
pub const JOBS: usize = 32;
/// Events that wait for the owner. One chain reports some ten nonces a second; this is beyond a minute of them.
pub const EVENT_LIMIT: usize = 1024;
/// Reads in one turn, so that a babbling line cannot hold it.
const READS: usize = 16;
/// A line is read at least this often while chips run: 20 ms of 3 Mbaud is 6,000 bytes, and real traffic a hundredth of it.
const READ_PERIOD: Duration = Duration::from_millis(20);
/// All sixteen bits that BIP 320 lets roll.
const FULL_MASK: u32 = 0xffff << VERSION_SHIFT;
/// Version rolling on, automatic, one midstate at a time.
const ROLLING_ON: u32 = 0x9000_0000;

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
    Send(Command, Duration),
    Clock(Megahertz, Pll),
    Baud(Baud),
    Count,
    Counted,
    Tell(Phase, ChainEvent),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    work: WorkId,
    version: u32,
    mask: u32,
}

/// One chain of chips behind one line.
pub struct Chain<U: Uart> {
    uart: U,
    chip: &'static Chip,
    layout: ChainLayout,
    scale: Scale,
    phase: Phase,
    script: VecDeque<Step>,
    due: Time,
    read_at: Time,
    decoder: Decoder,
    counting: Option<u32>,
    clock: Megahertz,
    target: Option<Megahertz>,
    mask: u32,
    jobs: [Option<Slot>; JOBS],
    next_job: usize,
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
            scale,
            phase: Phase::Off,
            script: VecDeque::new(),
            due: Time::ZERO,
            read_at: Time::ZERO,
            decoder: Decoder::new(ReplySize::Long),
            counting: None,
            clock: chip.first_clock,
            target: None,
            mask: FULL_MASK,
            jobs: [None; JOBS],
            next_job: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Reads a register of the chip at this address; `Register` follows.
    ///
    /// # Errors
    /// The line's.
    pub fn read_register(&mut self, chip: u8, register: u8) -> Result<(), BusError> {
        self.uart.write(&Command::Read { chip, register }.to_bytes())
    }

    /// Whether chips take work.
    #[must_use]
    pub fn is_hashing(&self) -> bool {
        self.phase == Phase::Hashing
    }

    /// The clock that chips run at now.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
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

    fn forget(&mut self) {
        self.script.clear();
        self.jobs = [None; JOBS];
        self.counting = None;
        self.target = None;
    }

    fn bring_up(&mut self, target: Megahertz) {
        let (chip, w) = (self.chip, self.chip.waits);
        self.script.clear();
        self.phase = Phase::Bringup;
        let last = self.ramp(target);
        for n in 0..self.layout.chips {
            let address = n.saturating_mul(self.layout.address_interval);
            for (register, value) in chip.each {
                self.send(Command::Write { chip: address, register: *register, value: *value }, w.write);
            }
        }
        self.send(self.sweep(last), w.write);
        self.send_rolling();
        self.script.push_back(Step::Tell(Phase::Hashing, ChainEvent::Hashing));
    }

    /// Scripts the steps to `target` and returns the clock they end at. A step of chips that hash also carries their sweep, at
    /// each moment the shorter of the two: a sweep too long would run into the neighbour's nonces.
    fn ramp(&mut self, target: Megahertz) -> Megahertz {
        let hashing = self.phase == Phase::Hashing;
        let write = self.chip.waits.write;
        let mut at = self.clock;
        // The grid's count bounds the loop: no chip of the family reaches 2,000 MHz.
        for _ in 0..320 {
            let gap = target.0 - at.0;
            if gap.abs() < 1e-6 || !gap.is_finite() {
                break;
            }
            let next = if gap.abs() <= RAMP_STEP.0 { target } else { at + RAMP_STEP * gap.signum() };
            let Some(pll) = Pll::solve(next, &self.chip.pll) else { break };
            if hashing && gap > 0.0 {
                self.send(self.sweep(next), write);
            }
            self.script.push_back(Step::Clock(next, pll));
            if hashing && gap < 0.0 {
                self.send(self.sweep(next), write);
            }
            self.script.push_back(Step::Tell(self.phase, ChainEvent::Clock(next)));
            at = next;
        }
        at
    }

    fn sweep(&self, clock: Megahertz) -> Command {
        Command::WriteAll { register: register::HASH_COUNTING, value: self.chip.sweep_ticks(clock, self.layout.address_interval) }
    }

    fn rolling(&self) -> Command {
        Command::WriteAll { register: register::VERSION_ROLLING, value: ROLLING_ON | self.mask >> VERSION_SHIFT }
    }

    fn send_rolling(&mut self) {
        self.send(self.rolling(), self.chip.waits.write);
    }

    fn send_all(&mut self, writes: &[(u8, u32)]) {
        for (register, value) in writes {
            self.send(Command::WriteAll { register: *register, value: *value }, self.chip.waits.write);
        }
    }

    fn send(&mut self, command: Command, wait: Duration) {
        self.script.push_back(Step::Send(command, wait));
    }

    /// Lengthens the pause behind the last frame.
    fn pause(&mut self, wait: Duration) {
        if let Some(Step::Send(_, last)) = self.script.back_mut() {
            *last = wait;
        }
    }

    fn run(&mut self, step: Step) -> Result<Duration, BusError> {
        match step {
            Step::Send(command, wait) => {
                self.uart.write(&command.to_bytes())?;
                return Ok(wait);
            }
            Step::Clock(clock, pll) => {
                self.uart.write(&Command::WriteAll { register: register::PLL0, value: pll.to_register() }.to_bytes())?;
                self.clock = clock;
                return Ok(self.chip.waits.ramp);
            }
            Step::Baud(baud) => self.uart.set_baud(baud)?,
            Step::Count => self.counting = Some(0),
            Step::Counted => {
                let chips = self.counting.take().unwrap_or(0);
                self.tell(ChainEvent::Counted { chips });
                if chips == 0 {
                    self.forget();
                    self.phase = Phase::Off;
                }
            }
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

    fn receive(&mut self) -> Result<(), BusError> {
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
                self.take(reply);
            }
        }
        Ok(())
    }

    fn take(&mut self, reply: Reply) {
        match (reply, &mut self.counting) {
            (Reply::Register { value, register: register::CHIP_ID, .. }, Some(count)) => {
                *count += u32::from(value >> 16 == self.chip.id >> 16);
            }
            (Reply::Register { value, chip, register }, _) => self.tell(ChainEvent::Register { chip, register, value }),
            (Reply::Nonce { nonce, id, version, .. }, _) => {
                self.counters.nonces += 1;
                let slot = usize::from((id & self.chip.job_id_mask) >> self.chip.job_id_mask.trailing_zeros());
                let Some(Slot { work, version: base, mask }) = self.jobs.get(slot).copied().flatten() else {
                    self.counters.unknown_jobs += 1;
                    return;
                };
                let chip = self.chip.locate(nonce, self.layout.address_interval, self.layout.chips);
                self.tell(ChainEvent::Found { work, nonce, version: rolled_version(base, mask, version), chip });
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
        let (chip, w) = (self.chip, self.chip.waits);
        self.forget();
        (self.phase, self.due, self.read_at) = (Phase::Starting, now, now);
        self.clock = chip.first_clock;
        self.mask = FULL_MASK;
        // Long replies from here on: the first write below switches them on, before anything is asked.
        self.decoder.restart(ReplySize::Long);
        self.script.push_back(Step::Baud(chip.baud_reset));
        self.send_rolling();
        self.script.push_back(Step::Count);
        self.send(Command::ReadAll { register: register::CHIP_ID }, w.count);
        self.script.push_back(Step::Counted);
        self.send_rolling();
        self.send_rolling();
        self.send_all(chip.reset_state);
        self.send(Command::Inactive, w.write);
        let interval = self.layout.address_interval.max(1);
        // Every slot is given, also where no chip is: the last chips would take none else if one in front missed its own.
        for address in (0..=u8::MAX).step_by(usize::from(interval)) {
            self.send(Command::SetAddress(address), w.write);
        }
        self.pause(w.milestone);
        self.send_all(chip.cores_on);
        self.send(Command::WriteAll { register: register::TICKET_MASK, value: ticket_mask(TICKET_BITS) }, w.write);
        self.send_all(chip.pins);
        self.pause(w.milestone);
        self.send(Command::WriteAll { register: register::UART_BAUD, value: chip.baud_word }, w.baud);
        self.script.push_back(Step::Baud(chip.baud_work));
        if let Some(pll) = Pll::solve(chip.first_clock, &chip.pll) {
            self.script.push_back(Step::Clock(chip.first_clock, pll));
        }
        self.script.push_back(Step::Tell(Phase::Ready, ChainEvent::Ready));
    }

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
                self.send(self.sweep(last), self.chip.waits.write);
            }
        }
    }

    fn submit(&mut self, work: &Work) -> Result<(), BusError> {
        if self.phase != Phase::Hashing {
            return Ok(());
        }
        if work.version_mask & FULL_MASK != self.mask {
            self.mask = work.version_mask & FULL_MASK;
            self.uart.write(&self.rolling().to_bytes())?;
        }
        let id = (self.next_job as u8) << self.chip.job_id_mask.trailing_zeros();
        self.jobs[self.next_job] = Some(Slot { work: work.id, version: work.header.version, mask: self.mask });
        self.next_job = (self.next_job + 1) % JOBS;
        self.uart.write(&job_frame(id, self.chip.job_length, &work.header))
    }

    fn stop(&mut self) -> Result<(), BusError> {
        let spoke = self.phase != Phase::Off;
        self.forget();
        self.phase = Phase::Off;
        if !spoke {
            return Ok(());
        }
        self.uart.write(&Command::WriteAll { register: register::HASH_COUNTING, value: 0 }.to_bytes())
    }

    fn turn(&mut self, now: Time) -> Result<(), BusError> {
        self.read_at = now;
        self.receive()?;
        while self.due <= now {
            let Some(step) = self.script.pop_front() else { break };
            let wait = self.run(step)?;
            self.due = now + wait;
        }
        Ok(())
    }

    fn wake_at(&self) -> Time {
        match (self.phase, self.script.is_empty()) {
            (Phase::Off, _) => Time::NEVER,
            (_, true) => self.read_at + READ_PERIOD,
            (_, false) => self.due.min(self.read_at + READ_PERIOD),
        }
    }

    fn next_event(&mut self) -> Option<ChainEvent> {
        self.events.pop_front()
    }

    fn epoch(&self) -> Duration {
        let versions = f64::from(1u32 << (self.mask.count_ones()));
        let batches = (versions / f64::from(self.chip.small_cores_per_core)).max(1.0);
        let ticks = f64::from(self.chip.sweep_ticks(self.clock, self.layout.address_interval));
        Duration::from_secs_f64(batches * ticks / (super::pll::CRYSTAL.0 * 1e6))
    }

    fn counters(&self) -> Counters {
        Counters { frame_errors: self.decoder.errors(), ..self.counters }
    }

    fn set_chip_clock(&mut self, chip: u8, clock: Megahertz) {
        if let (Phase::Hashing, Some(pll)) = (self.phase, Pll::solve(clock, &self.chip.pll))
            && chip < self.layout.chips
        {
            let chip = chip.saturating_mul(self.layout.address_interval);
            self.send(Command::Write { chip, register: register::PLL0, value: pll.to_register() }, self.chip.waits.write);
        }
    }

    fn ticket_bits(&self) -> u8 {
        TICKET_BITS
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
