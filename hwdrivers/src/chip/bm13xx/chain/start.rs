//! How a start, a ramp and a change of clock are scripted: the chip's steps become frames with pauses. Not here: when a script
//! runs, and what the chips answer.

use super::super::frame::Command;
use super::super::job::{Tail, VERSION_SHIFT, job_frame, midstate_frame};
use super::super::pll::Pll;
use super::super::ticket::ticket_mask;
use super::super::{Do, JobKind, RAMP_STEP, TICKET_BITS, register};
use super::{Chain, ChainEvent, Own, Phase, Step};
use crate::bus::Uart;
use model::{Header, Megahertz};
use std::time::Duration;

/// Version rolling on, automatic, one midstate at a time.
const ROLLING_ON: u32 = 0x9000_0000;
/// Chains of so many domains or fewer are not helped across their gaps. No source names a number: the captures and the factory's log
/// that show help are of 11, 12 and 13 domains, and boards of one chip to a few, which have none, show none. This lies between \[?\].
const DOMAINS_UNHELPED: u8 = 9;
/// Clock output of a domain's last chip at full strength, all else as for every chip.
const CLOCK_DRIVER: u32 = 0x0000_f000;
/// A word that guards the register of the ring oscillators' pads.
const RING_GUARD: u32 = 0x5aa5_5aa5;
/// A relay waits for the chips behind it, one each, and this. A capture of 13 domains of 5 chips shows 0x4F to 0x13.
const RELAY_WAIT: u32 = 14;
/// Both directions of the line are relayed.
const RELAY_BOTH: u32 = 3;
/// What a core that is to be opened is told as its target.
const OPEN_CORE: Tail = Tail { bits: u32::MAX, time: 0, root: [0xff; 4] };

impl<U: Uart> Chain<U> {
    pub(super) fn bring_up(&mut self, target: Megahertz) {
        self.script.clear();
        self.phase = Phase::Bringup;
        self.script_steps(self.chip.bring_up, target);
        self.script.push_back(Step::Tell(Phase::Hashing, ChainEvent::Hashing));
    }

    /// Scripts these steps; `target` is where a ramp among them leads.
    pub(super) fn script_steps(&mut self, steps: &'static [Do], target: Megahertz) {
        let w = self.chip.waits;
        let mut last = target;
        for step in steps {
            match *step {
                Do::Rolling => self.send(self.rolling(), w.write),
                Do::Count => {
                    self.script.push_back(Step::Count);
                    self.send(Command::ReadAll { register: register::CHIP_ID }, w.count);
                    self.script.push_back(Step::Counted);
                }
                Do::All(register, value) => self.send(Command::WriteAll { register, value }, w.write),
                Do::First(register, value) => self.send(Command::Write { chip: 0, register, value }, w.write),
                Do::Inactive => self.send(Command::Inactive, w.write),
                Do::Addresses => self.at.offered().for_each(|address| self.send(Command::SetAddress(address), w.write)),
                Do::Ticket => {
                    let register = self.chip.ticket_register;
                    self.send(Command::WriteAll { register, value: ticket_mask(TICKET_BITS) }, w.write);
                }
                Do::Domains { pads } => self.send_domains(pads),
                Do::Fast => self.send_fast(),
                Do::Each(writes) => self.send_each(writes),
                Do::Settle(wait) => self.pause(wait),
                Do::FirstClock => {
                    if let Some(pll) = Pll::solve(self.chip.first_clock, &self.chip.pll) {
                        self.send_clock(self.chip.first_clock, pll);
                        self.settle_clock();
                    }
                }
                Do::Ramp => last = self.ramp(target),
                Do::NullJobs(count) => (0..count).for_each(|_| self.send_null_job()),
                Do::Offsets => self.send_offsets(),
                Do::Sweep => self.send_sweep(last),
            }
        }
    }

    /// Scripts the steps to `target` and returns the clock they end at. A step of chips that hash also carries their sweep, at
    /// each moment the shorter of the two: a sweep too long would run into the neighbour's nonces.
    ///
    /// Chips with clocks of their own: faster ones come back to the common one first. Slower ones stay where they are until the common
    /// clock comes down to them, for each step is told to all and would lift them to it at once; where the ramp ends above them, they
    /// rise behind it as all chips do.
    pub(super) fn ramp(&mut self, target: Megahertz) -> Megahertz {
        let hashing = self.phase == Phase::Hashing;
        let (mut at, mut own) = (self.clock, self.own.clone());
        if own.values().any(|clock| *clock > at)
            && let Some(pll) = Pll::solve(at, &self.chip.pll)
        {
            self.send_common(at, pll, &mut own);
        }
        // The grid's count bounds the loop: no chip of the family reaches 2,000 MHz.
        for _ in 0..320 {
            let gap = target.0 - at.0;
            if gap.abs() < 1e-6 || !gap.is_finite() {
                break;
            }
            let next = if gap.abs() <= RAMP_STEP.0 { target } else { at + RAMP_STEP * gap.signum() };
            let Some(pll) = Pll::solve(next, &self.chip.pll) else { break };
            if hashing && gap > 0.0 {
                self.send_sweep(next);
            }
            self.send_common(next, pll, &mut own);
            if hashing && gap < 0.0 {
                self.send_sweep(next);
            }
            self.script.push_back(Step::Tell(self.phase, ChainEvent::Clock(next)));
            at = next;
        }
        self.lift(at, own);
        at
    }

    /// All chips' dividers, and right behind them again those of chips that are slower.
    fn send_common(&mut self, clock: Megahertz, pll: Pll, own: &mut Own) {
        own.retain(|_, slower| *slower < clock);
        self.send_clock(clock, pll);
        for (chip, slower) in own {
            if let Some(pll) = Pll::solve(*slower, &self.chip.pll) {
                self.send_own(*chip, *slower, pll);
            }
        }
        self.settle_clock();
    }

    /// Lets slower chips rise to the common clock, a ramp's step at a time.
    fn lift(&mut self, clock: Megahertz, mut own: Own) {
        // The grid's count bounds this one too.
        for _ in 0..320 {
            own.retain(|_, slower| *slower < clock);
            if own.is_empty() {
                break;
            }
            for (chip, slower) in &mut own {
                *slower = if clock - *slower <= RAMP_STEP { clock } else { *slower + RAMP_STEP };
                if let Some(pll) = Pll::solve(*slower, &self.chip.pll) {
                    self.send_own(*chip, *slower, pll);
                }
            }
            self.settle_clock();
        }
    }

    /// One chip's dividers, as its own.
    pub(super) fn send_own(&mut self, chip: u8, clock: Megahertz, pll: Pll) {
        self.send_pll(Some(self.at.address(chip)), pll);
        if let Some(Step::Send(command, _)) = self.script.pop_back() {
            // Where the next follows at once, the common clock that was told to all lasts no longer than a frame.
            self.script.push_back(Step::Own(chip, clock, command, Duration::ZERO));
        }
    }

    /// A ramp's wait behind the dividers that were sent last.
    fn settle_clock(&mut self) {
        if let Some(Step::Clock(.., wait) | Step::Own(.., wait)) = self.script.back_mut() {
            *wait = self.chip.waits.ramp;
        }
    }

    pub(super) fn send_sweep(&mut self, clock: Megahertz) {
        if let Some(value) = self.chip.sweep_ticks(clock, &self.at) {
            self.send(Command::WriteAll { register: register::HASH_COUNTING, value }, self.chip.waits.write);
        }
    }

    /// Scripts one chip's dividers, or every chip's.
    pub(super) fn send_pll(&mut self, chip: Option<u8>, pll: Pll) {
        let wait = self.chip.waits.write;
        for (register, value) in self.chip.pll.writes(pll) {
            let command = match chip {
                Some(chip) => Command::Write { chip, register, value },
                None => Command::WriteAll { register, value },
            };
            self.send(command, wait);
        }
    }

    pub(super) fn rolling(&self) -> Command {
        Command::WriteAll { register: register::VERSION_ROLLING, value: ROLLING_ON | self.mask >> VERSION_SHIFT }
    }

    pub(super) fn send(&mut self, command: Command, wait: Duration) {
        self.script.push_back(Step::Send(command, wait));
    }

    /// All chips' dividers; the last write of them is the step that counts.
    fn send_clock(&mut self, clock: Megahertz, pll: Pll) {
        self.send_pll(None, pll);
        if let Some(Step::Send(command, _)) = self.script.pop_back() {
            self.script.push_back(Step::Clock(clock, command, Duration::ZERO));
        }
    }

    fn send_each(&mut self, writes: &[(u8, u32)]) {
        let w = self.chip.waits;
        for position in 0..self.layout.chips {
            let chip = self.at.address(position);
            for (register, value) in writes {
                self.send(Command::Write { chip, register: *register, value: *value }, w.write);
            }
            self.pause(w.write + w.each);
        }
    }

    fn send_fast(&mut self) {
        let Some(rate) = self.chip.rate(self.layout.chips) else { return };
        for (register, value) in rate.writes {
            self.send(Command::WriteAll { register: *register, value: *value }, self.chip.waits.write);
        }
        self.pause(self.chip.waits.baud);
        self.script.push_back(Step::Baud(rate.host));
    }

    /// What every chip's outputs are told in the start.
    fn drivers(&self) -> Option<u32> {
        self.chip.start.iter().find_map(|step| match step {
            Do::All(register::IO_DRIVER, value) => Some(*value),
            _ => None,
        })
    }

    fn send_domains(&mut self, pads: bool) {
        let (chips, domains, wait) = (self.layout.chips, self.layout.domains, self.chip.waits.write);
        if domains <= DOMAINS_UNHELPED {
            return;
        }
        let size = chips / domains;
        for (domain, own) in (0..domains).zip(std::iter::repeat(self.drivers()).flatten()) {
            let chip = self.at.address(domain * size + size - 1);
            self.send(Command::Write { chip, register: register::IO_DRIVER, value: own | CLOCK_DRIVER }, wait);
        }
        if pads {
            self.send(Command::WriteAll { register: register::RING_OSCILLATOR, value: RING_GUARD }, wait);
        }
        for domain in 0..domains {
            let first = domain * size;
            let value = (u32::from(chips - first) + RELAY_WAIT) << 16 | RELAY_BOTH;
            for position in [first, first + size - 1] {
                let chip = self.at.address(position);
                self.send(Command::Write { chip, register: register::UART_RELAY, value }, wait);
            }
        }
    }

    fn send_offsets(&mut self) {
        if !self.chip.has_offsets(&self.at) {
            return;
        }
        self.send_null_job();
        let chips = u32::from(self.layout.chips);
        for position in 0..self.layout.chips {
            // The next whole step behind the chip's share, as captured: 0, 03F1 … FC10 for 65 chips.
            let offset = (u32::from(position) << 16).div_ceil(chips);
            let chip = self.at.address(position);
            self.send(Command::Write { chip, register: register::NONCE_OFFSET, value: 1 << 31 | offset }, self.chip.waits.write);
        }
    }

    /// A job of nothing: what it finds names no job of ours.
    fn send_null_job(&mut self) {
        let frame = match self.chip.jobs.kind {
            JobKind::Header { length } => job_frame(0, length, &Header::default()).to_vec(),
            JobKind::Midstates => midstate_frame(self.chip.framing, 0, OPEN_CORE, &[[0; 8]; 4]),
        };
        self.script.push_back(Step::Job(frame, self.chip.waits.write));
    }

    /// Sets the pause behind the last frame.
    fn pause(&mut self, wait: Duration) {
        if let Some(Step::Send(_, last) | Step::Job(_, last)) = self.script.back_mut() {
            *last = wait;
        }
    }
}
