//! dsPIC33EP16GS202 and PIC1704 of S17/S19 hashboards, in the three framings that are reported of them. It switches the board's
//! rail and cuts it when the host's heartbeat stops. Not here: what its boot loader and its flash take; that somebody wrote to
//! a boot loader is kept for tests to see.

use super::{Packets, Target, Turned, sum};
use model::{Ampere, DspicFraming, Time, Volt};
use std::time::Duration;

/// Without a heartbeat for this long the rail is cut (about 10 s on boards).
pub const HEARTBEAT_LIMIT: Duration = Duration::from_secs(10);
/// What it calls itself: application, as on most S19 Pro boards.
pub const VERSION: u8 = 0x89;
/// What its boot loader calls itself.
pub const BOOT_LOADER: u8 = 0x86;
/// When an answer is ready; until then reads give zeros. Hosts wait longer.
const READY: Duration = Duration::from_millis(5);
const READY_SLOW: Duration = Duration::from_millis(50);
/// A host asks so often what it is, at least: each heartbeat of two seconds does, or is answered. It looks at boards each second.
const ASKED: Duration = Duration::from_secs(3);

/// The simulated controller.
#[derive(Debug)]
pub struct Dspic {
    /// How it speaks.
    pub framing: DspicFraming,
    /// What it says it is; with [`BOOT_LOADER`] it answers nothing else.
    pub version: u8,
    /// It answers nothing at all, though it acknowledges.
    pub mute: bool,
    /// The sums of its answers are wrong.
    pub wrong_sums: bool,
    /// It protected the rail and latched.
    pub fault: bool,
    /// What its rail is at and gives, for its registers.
    pub seen: (Volt, Ampere),
    /// Commands beside the version that a boot loader or the controller of a strange board was sent, and resets.
    pub trespasses: u32,
    /// Since when it sits on a board that does not belong here, and may be told nothing.
    pub strange: Option<Time>,
    turned: Turned,
    packets: Packets,
    short: Vec<u8>,
    pointer: u8,
    enabled: bool,
    /// What was asked of the regulator; until then the supply's voltage passes.
    asked: Option<Volt>,
    fed: Time,
    reply: Vec<u8>,
    reply_at: Time,
}

impl Default for Dspic {
    fn default() -> Self {
        Dspic::new(DspicFraming::LengthSum)
    }
}

impl Dspic {
    /// A controller that runs its program and speaks in this framing.
    #[must_use]
    pub fn new(framing: DspicFraming) -> Dspic {
        Dspic {
            framing,
            version: VERSION,
            mute: false,
            wrong_sums: false,
            fault: false,
            seen: (Volt(0.0), Ampere(0.0)),
            trespasses: 0,
            strange: None,
            turned: Turned::default(),
            packets: Packets::default(),
            short: Vec::new(),
            pointer: 0,
            enabled: false,
            asked: None,
            fed: Time::ZERO,
            reply: Vec::new(),
            reply_at: Time::ZERO,
        }
    }

    /// It resets, and its boot loader runs from now on.
    pub fn fall_into_loader(&mut self, now: Time) {
        *self = Dspic { version: BOOT_LOADER, turned: Turned::at(now), strange: self.strange, ..Dspic::new(self.framing) };
    }

    /// Whether a host must know that it may not be told anything.
    fn is_closed(&self, now: Time) -> bool {
        let strange = self.strange.is_some_and(|since| now.since(since) > ASKED);
        strange || (self.version == BOOT_LOADER && self.turned.is_known(now, ASKED))
    }

    /// The board's rail, given what the supply feeds it.
    #[must_use]
    pub fn rail(&self, now: Time, supply: Volt) -> Volt {
        if !self.enabled || self.fault || now.since(self.fed) > HEARTBEAT_LIMIT {
            return Volt(0.0);
        }
        self.asked.map_or(supply, |v| v.min(supply))
    }

    fn switch(&mut self, now: Time, on: bool) {
        (self.enabled, self.fed) = (on, now);
    }

    fn feed(&mut self, now: Time) {
        self.enabled &= now.since(self.fed) <= HEARTBEAT_LIMIT;
        self.fed = now;
    }

    fn obey(&mut self, now: Time, command: u8, data: &[u8]) {
        if command != 0x17 {
            self.trespasses += u32::from(self.is_closed(now));
            if self.version == BOOT_LOADER {
                return;
            }
        }
        let framed = |data: &[u8]| {
            let s = (sum(command, data) + u16::from(self.wrong_sums)).to_be_bytes();
            [&[4 + data.len() as u8, command], data, &s].concat()
        };
        let (reply, ready) = match (command, data) {
            (0x10, [high, low]) => {
                self.asked = Some(Volt(f64::from(u16::from_be_bytes([*high, *low])) / 1000.0));
                (vec![command, 1], READY)
            }
            (0x15, [on]) => {
                self.switch(now, *on == 1);
                (vec![command, 1], READY)
            }
            (0x16, []) => {
                let reply = framed(&[1, 0]);
                self.feed(now);
                (reply, READY_SLOW)
            }
            (0x17, []) if self.framing == DspicFraming::Short => (vec![self.version], READY),
            (0x17, []) => (framed(&[self.version]), READY_SLOW),
            (0x06 | 0x07, _) => {
                self.trespasses += 1;
                return;
            }
            _ => return,
        };
        let answers = !self.mute && (self.framing == DspicFraming::LengthSum || command == 0x17);
        self.reply = if answers { reply } else { Vec::new() };
        self.reply_at = now + ready;
    }

    /// One byte of the framing without length and sum.
    fn tell_short(&mut self, now: Time, byte: u8) {
        self.short.push(byte);
        while !matches!(self.short.as_slice(), [] | [0x55] | [0x55, 0xaa, ..]) {
            self.short.remove(0);
        }
        let Some(command) = self.short.get(2).copied() else { return };
        let data = match command {
            0x10 => 2,
            0x15 => 1,
            _ => 0,
        };
        if self.short.len() == 3 + data {
            let frame = std::mem::take(&mut self.short);
            self.obey(now, command, &frame[3..]);
        }
    }

    /// A write of the register style.
    fn tell_register(&mut self, now: Time, register: u8, value: u8) {
        self.trespasses += u32::from(self.is_closed(now));
        match (register, value) {
            _ if self.version == BOOT_LOADER => {}
            (9, 0) => self.switch(now, false),
            (9, 1) => self.switch(now, true),
            (9, 2) => self.feed(now),
            (0, 0x5a) | (9, 0x80) => self.trespasses += 1,
            _ => {}
        }
    }

    fn register(&self, now: Time, register: u8) -> u8 {
        let (volt, ampere) = (self.seen.0.0 * 1000.0, self.seen.1.0 * 1000.0);
        let (volt, ampere) = ((volt as u16).to_le_bytes(), (ampere as u16).to_le_bytes());
        match register {
            0 => self.version,
            2 | 3 => volt[usize::from(register - 2)],
            4 | 5 => ampere[usize::from(register - 4)],
            8 => u8::from(self.rail(now, Volt(1.0)) > Volt(0.0)) | 2 | u8::from(self.fault) << 2,
            _ => 0,
        }
    }
}

impl Target for Dspic {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        if self.framing == DspicFraming::Registers {
            self.pointer = bytes.first().copied().unwrap_or_default();
            if let [register, value] = bytes {
                self.tell_register(now, *register, *value);
            }
            return;
        }
        for b in bytes {
            if self.framing == DspicFraming::Short {
                self.tell_short(now, *b);
            } else if let Some((command, data, s)) = self.packets.tell(*b)
                && sum(command, &data).to_be_bytes() == s
            {
                self.obey(now, command, &data);
            }
        }
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        self.turned.read();
        for (i, b) in (0u8..).zip(buffer) {
            *b = match self.framing {
                DspicFraming::Registers if self.mute => 0xff,
                DspicFraming::Registers => self.register(now, self.pointer.wrapping_add(i)),
                _ if now < self.reply_at || self.reply.is_empty() => 0,
                _ => self.reply.remove(0),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(d: &mut Dspic, now: Time, bytes: &[u8]) {
        bytes.iter().for_each(|b| d.write(now, &[*b]));
    }

    #[test]
    fn the_documented_bytes_switch_the_rail_and_are_answered() {
        let mut d = Dspic::default();
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1a]);
        assert_eq!(d.rail(Time::ZERO, Volt(13.2)), Volt(0.0), "a wrong sum is nothing");
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b]);
        assert_eq!(d.rail(Time::ZERO, Volt(13.2)), Volt(13.2));
        let mut b = [0; 2];
        d.read(Time::ZERO, &mut b);
        assert_eq!(b, [0, 0], "too early");
        d.read(Time::from_millis(10), &mut b);
        assert_eq!(b, [0x15, 1]);
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 4, 0x17, 0, 0x1b]);
        let mut b = [0; 5];
        d.read(Time::from_millis(100), &mut b);
        assert_eq!(b, [5, 0x17, 0x89, 0, 0xa5]);
    }

    #[test]
    fn without_a_heartbeat_the_rail_is_cut_and_stays_cut() {
        let mut d = Dspic::default();
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b]);
        let beat = [0x55, 0xaa, 4, 0x16, 0, 0x1a];
        tell(&mut d, Time::from_secs(9), &beat);
        assert_eq!(d.rail(Time::from_secs(18), Volt(13.2)), Volt(13.2));
        assert_eq!(d.rail(Time::from_secs(20), Volt(13.2)), Volt(0.0));
        tell(&mut d, Time::from_secs(21), &beat);
        assert_eq!(d.rail(Time::from_secs(21), Volt(13.2)), Volt(0.0));
    }

    #[test]
    fn the_regulator_cannot_raise_what_the_supply_gives() {
        let mut d = Dspic::default();
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b]);
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 6, 0x10, 0x33, 0x90, 0, 0xd9]);
        assert_eq!(d.rail(Time::ZERO, Volt(15.0)), Volt(13.2));
        assert_eq!(d.rail(Time::ZERO, Volt(12.0)), Volt(12.0));
    }

    #[test]
    fn short_frames_and_registers_do_the_same() {
        let mut d = Dspic::new(DspicFraming::Short);
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 0x17]);
        let mut b = [0];
        d.read(Time::from_millis(100), &mut b);
        assert_eq!(b, [0x89]);
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 0x10, 0x35, 0xe8, 0x55, 0xaa, 0x15, 1]);
        assert_eq!(d.rail(Time::ZERO, Volt(15.0)), Volt(13.8));
        let mut d = Dspic::new(DspicFraming::Registers);
        d.write(Time::ZERO, &[9, 1]);
        assert_eq!(d.rail(Time::from_secs(9), Volt(15.0)), Volt(15.0));
        assert_eq!(d.rail(Time::from_secs(11), Volt(15.0)), Volt(0.0));
        (d.version, d.trespasses) = (BOOT_LOADER, 0);
        d.write(Time::ZERO, &[9, 1]);
        assert_eq!(d.trespasses, 1);
    }

    #[test]
    fn a_host_that_could_know_of_the_boot_loader_must_not_write_to_it() {
        let (mut d, beat) = (Dspic::default(), [0x55, 0xaa, 4, 0x16, 0, 0x1a]);
        tell(&mut d, Time::ZERO, &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b]);
        d.fall_into_loader(Time::from_secs(1));
        assert_eq!(d.rail(Time::from_secs(1), Volt(13.2)), Volt(0.0), "nothing holds its rail");
        tell(&mut d, Time::from_secs(2), &beat);
        assert_eq!(d.trespasses, 0, "nobody has asked yet");
        d.read(Time::from_secs(2), &mut [0; 6]);
        tell(&mut d, Time::from_secs(2), &[0x55, 0xaa, 4, 0x17, 0, 0x1b]);
        assert_eq!(d.trespasses, 0, "to ask is allowed");
        tell(&mut d, Time::from_secs(3), &beat);
        assert_eq!(d.trespasses, 1);
        d.fall_into_loader(Time::from_secs(10));
        tell(&mut d, Time::from_secs(14), &beat);
        assert_eq!(d.trespasses, 1, "and who does not ask is no better off");
        let mut d = Dspic { strange: Some(Time::ZERO), ..Dspic::default() };
        tell(&mut d, Time::from_secs(3), &beat);
        assert_eq!(d.trespasses, 0, "boards are looked at each second");
        tell(&mut d, Time::from_secs(4), &beat);
        assert_eq!(d.trespasses, 1);
    }
}
