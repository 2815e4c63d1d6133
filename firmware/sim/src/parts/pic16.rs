//! PIC16F1704 of S9 hashboards: `55 AA command data`, one byte a transfer. It regulates the board's rail from a fixed supply and
//! cuts it when the host's heartbeat stops. Its parser does not look for a preamble within a broken one, as on hardware. Not
//! here: its flash; that somebody tried to write or reset it is kept for tests to see.

use super::{Target, Turned};
use model::{Time, Volt};
use std::time::Duration;

/// Without a heartbeat for this long the rail is cut (about 10 s on boards).
pub const HEARTBEAT_LIMIT: Duration = Duration::from_secs(10);
/// The program that boards run.
const VERSION: u8 = 0x03;
/// What the boot loader answers to anything.
const LOADER_ANSWER: u8 = 0xcc;
/// A host asks so often what it is, at least: with each heartbeat.
const ASKED: Duration = Duration::from_secs(3);
/// What only asks: for the version and the voltage.
const QUESTIONS: [u8; 2] = [0x17, 0x18];
/// The supply that it needs.
const SUPPLY_LEAST: Volt = Volt(11.0);

/// The simulated controller.
#[derive(Debug)]
pub struct Pic16 {
    /// What its program calls itself.
    pub version: u8,
    /// Its boot loader runs instead.
    pub loader: bool,
    /// It answers nothing, though it acknowledges.
    pub mute: bool,
    /// It forgets what voltage it was told.
    pub forgets: bool,
    /// Commands that it was sent which write flash, reset it or start its program, and any but a question to its boot loader.
    pub trespasses: u32,
    turned: Turned,
    matched: u8,
    command: u8,
    missing: usize,
    data: Vec<u8>,
    step: u8,
    enabled: bool,
    fed: Time,
    reply: u8,
}

impl Default for Pic16 {
    fn default() -> Self {
        Pic16 {
            version: VERSION,
            loader: false,
            mute: false,
            forgets: false,
            trespasses: 0,
            turned: Turned::default(),
            matched: 0,
            command: 0,
            missing: 0,
            data: Vec::new(),
            // What boards start with is not known; the lowest is our choice.
            step: u8::MAX,
            enabled: false,
            fed: Time::ZERO,
            reply: u8::MAX,
        }
    }
}

impl Pic16 {
    /// It resets, and its boot loader runs from now on.
    pub fn fall_into_loader(&mut self, now: Time) {
        *self = Pic16 { loader: true, turned: Turned::at(now), ..Pic16::default() };
    }

    /// The board's rail, given what the supply feeds it.
    #[must_use]
    pub fn rail(&self, now: Time, supply: Volt) -> Volt {
        if !self.enabled || supply < SUPPLY_LEAST || now.since(self.fed) > HEARTBEAT_LIMIT {
            return Volt(0.0);
        }
        Volt((1608.420446 - f64::from(self.step)) / 170.423497)
    }

    fn obey(&mut self, now: Time) {
        self.reply = u8::MAX;
        let closed = self.loader && self.turned.is_known(now, ASKED) && !QUESTIONS.contains(&self.command);
        self.trespasses += u32::from(closed || matches!(self.command, 0x01..=0x09));
        if self.loader {
            self.reply = LOADER_ANSWER;
            return;
        }
        match (self.command, self.data.as_slice()) {
            (0x10, [step]) if !self.forgets => self.step = *step,
            (0x15, [on]) => (self.enabled, self.fed) = (*on == 1, now),
            (0x16, _) => {
                self.enabled &= now.since(self.fed) <= HEARTBEAT_LIMIT;
                self.fed = now;
            }
            (0x17, _) => self.reply = self.version,
            (0x18, _) => self.reply = self.step,
            _ => {}
        }
    }
}

/// Bytes that follow a command.
fn arguments(command: u8) -> usize {
    match command {
        0x01 => 2,
        0x02 => 16,
        0x10 | 0x15 => 1,
        _ => 0,
    }
}

impl Target for Pic16 {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        for b in bytes {
            match (self.matched, *b) {
                (0, 0x55) | (1, 0xaa) => self.matched += 1,
                (0 | 1, _) => self.matched = 0,
                (2, command) => {
                    (self.command, self.missing) = (command, arguments(command));
                    self.data.clear();
                    self.matched = 3;
                }
                (_, data) => {
                    self.data.push(data);
                    self.missing -= 1;
                }
            }
            if self.matched == 3 && self.missing == 0 {
                self.matched = 0;
                self.obey(now);
            }
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        self.turned.read();
        // Only the first byte of a read is true.
        buffer.fill(u8::MAX);
        if let Some(first) = buffer.first_mut().filter(|_| !self.mute) {
            *first = self.reply;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(p: &mut Pic16, now: Time, bytes: &[u8]) {
        bytes.iter().for_each(|b| p.write(now, &[*b]));
    }

    #[test]
    fn it_regulates_and_cuts_without_a_heartbeat() {
        let mut p = Pic16::default();
        tell(&mut p, Time::ZERO, &[0x55, 0xaa, 0x10, 92, 0x55, 0xaa, 0x15, 1]);
        assert!((p.rail(Time::from_secs(9), Volt(12.0)).0 - 8.9).abs() < 0.01);
        assert_eq!(p.rail(Time::from_secs(9), Volt(5.0)), Volt(0.0));
        tell(&mut p, Time::from_secs(9), &[0x55, 0xaa, 0x16]);
        assert!(p.rail(Time::from_secs(18), Volt(12.0)) > Volt(8.0));
        assert_eq!(p.rail(Time::from_secs(20), Volt(12.0)), Volt(0.0));
    }

    #[test]
    fn a_broken_preamble_is_not_looked_into_and_zeros_end_it() {
        let (mut p, mut b) = (Pic16::default(), [0]);
        tell(&mut p, Time::ZERO, &[0x55, 0x55, 0xaa, 0x17]);
        p.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xff]);
        tell(&mut p, Time::ZERO, &[0x55, 0xaa, 0x02, 1, 2, 3]);
        tell(&mut p, Time::ZERO, &[0; 16]);
        tell(&mut p, Time::ZERO, &[0x55, 0xaa, 0x17]);
        p.read(Time::ZERO, &mut b);
        assert_eq!(b, [3]);
        assert_eq!(p.trespasses, 1);
    }

    #[test]
    fn its_boot_loader_may_be_asked_and_nothing_more() {
        let mut p = Pic16::default();
        p.fall_into_loader(Time::ZERO);
        tell(&mut p, Time::from_secs(1), &[0x55, 0xaa, 0x16]);
        assert_eq!(p.trespasses, 0, "nobody has asked yet");
        p.read(Time::from_secs(1), &mut [0]);
        tell(&mut p, Time::from_secs(1), &[0x55, 0xaa, 0x17, 0x55, 0xaa, 0x18]);
        assert_eq!(p.trespasses, 0);
        tell(&mut p, Time::from_secs(1), &[0x55, 0xaa, 0x15, 0]);
        assert_eq!(p.trespasses, 1);
    }
}
