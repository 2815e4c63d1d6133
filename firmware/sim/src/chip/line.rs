//! The line and the registers behind it: what each frame does, and bytes on their way back.
//!
//! Not here: frames as bytes (`frame`), registers that measure (`sense`).

use super::frame::{Frame, To, register_reply};
use super::{LOCK, OUTPUT_LIMIT, SimChain, register};
use model::Time;
use std::time::Duration;

impl SimChain {
    /// How many chips, from the host's end, the line reaches: up to the cut or the first dead domain.
    pub(super) fn reach(&self) -> usize {
        let dead = self.faults.dead_domains.iter().map(|d| self.domain(*d).start).min();
        self.chips.len().min(dead.unwrap_or(usize::MAX))
    }

    /// Does what a frame says; gives whether walks have to be planned anew.
    pub(super) fn obey(&mut self, frame: Frame) -> bool {
        let reach = self.reach();
        match frame {
            Frame::Inactive => self.chips[..reach].iter_mut().for_each(|c| c.waiting = true),
            Frame::SetAddress(address) => {
                if let Some(chip) = self.chips[..reach].iter_mut().find(|c| c.waiting) {
                    (chip.address, chip.waiting) = (address, false);
                }
            }
            Frame::Read { to, register } => {
                self.read(to, register);
                return false;
            }
            Frame::Write { to, register, value } => return self.write(to, register, value),
            Frame::Job(job) => self.take_job(job),
        }
        self.job.is_some()
    }

    fn is_meant(&self, to: To, index: usize) -> bool {
        to == To::All || to == To::One(self.chips[index].address)
    }

    fn chosen(&self, to: To) -> Vec<usize> {
        (0..self.reach()).filter(|i| self.is_meant(to, *i)).collect()
    }

    fn read(&mut self, to: To, register: u8) {
        for index in 0..self.reach() {
            if !self.is_meant(to, index) || self.bodies[index].dead || self.chips[index].pll.is_none() {
                continue;
            }
            let value = self.value(index, register);
            let reply = register_reply(value, self.chips[index].address, register, self.shape(index));
            self.send(self.now, &reply);
        }
    }

    fn write(&mut self, to: To, register: u8, value: u32) -> bool {
        let f = self.facts;
        if register == register::CHIP_ID {
            return false;
        }
        let value = if register == f.pll.register { value & !(1 << 31) } else { value };
        // Counts go up to here at the old clock.
        self.settle();
        let chosen = self.chosen(to);
        for index in &chosen {
            if register == f.pll.register && self.register(&self.chips[*index], register) != value {
                let chip = &mut self.chips[*index];
                (chip.pll, chip.locked_at) = (f.pll.decode(value), self.now + LOCK);
            }
        }
        if to == To::All {
            self.shared.insert(register, value);
            let reach = self.reach();
            for chip in &mut self.chips[..reach] {
                chip.own.remove(&register);
            }
            if f.baud.reads(register)
                && let Some(baud) = f.baud.rate(|r| self.shared(r)).filter(|b| *b != self.baud)
            {
                self.baud = baud;
                self.faults.baud_changed();
            }
        } else {
            for index in &chosen {
                self.chips[*index].own.insert(register, value);
            }
        }
        for index in chosen {
            self.sense(index, register, value);
        }
        if register == f.pll.register {
            self.look_at_clocks();
        }
        let decides = [f.pll.register, f.sweep, f.ticket, register::MISC, register::NONCE_OFFSET, register::ROLLING];
        self.job.is_some() && decides.contains(&register)
    }

    /// Puts a frame on the line behind those that are on it already; a frame that does not fit is lost whole.
    pub(super) fn send(&mut self, at: Time, bytes: &[u8]) {
        if self.output.len() + bytes.len() > OUTPUT_LIMIT || self.faults.silent {
            return;
        }
        let baud = self.baud;
        let start = self.line_free.max(at);
        let after = |n: usize| start + Duration::from_micros(10_000_000 * n as u64 / u64::from(baud.0));
        self.line_free = after(bytes.len());
        for (i, byte) in bytes.iter().enumerate() {
            if let Some(byte) = self.damage_out(*byte) {
                self.output.push_back((after(i + 1), byte, baud));
            }
        }
    }
}
