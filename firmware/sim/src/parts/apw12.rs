//! Bitmain APW12 supply, type 0x71: packets of length and 16-bit sum, least significant byte first, through register 0x11. It
//! gives its set voltage while its enable line is low, and cuts it when an armed watchdog is not fed. Not here: calibration.

use super::{Packets, Target, sum};
use model::{Time, Volt};
use std::time::Duration;

/// The register that all bytes go through.
const REGISTER: u8 = 0x11;
/// Its type: 121215a.
const TYPE: u8 = 0x71;
/// An armed watchdog cuts the output after this (hosts feed every 20 s).
pub const WATCHDOG: Duration = Duration::from_secs(60);
/// When an answer is ready; hosts wait 400 ms.
const READY: Duration = Duration::from_millis(100);
/// The lowest output: what it starts with.
const LOWEST: u8 = 246;

/// The simulated supply.
#[derive(Debug)]
pub struct Apw12 {
    /// Whether its enable line is asserted.
    pub enabled: bool,
    packets: Packets,
    set_point: u8,
    /// When the watchdog was fed last, where it is armed.
    fed: Option<Time>,
    echo: u8,
    reply: Vec<u8>,
    reply_at: Time,
}

impl Default for Apw12 {
    fn default() -> Self {
        Apw12 {
            enabled: false,
            packets: Packets::default(),
            set_point: LOWEST,
            fed: None,
            echo: 0,
            reply: Vec::new(),
            reply_at: Time::ZERO,
        }
    }
}

impl Apw12 {
    /// What it gives now.
    #[must_use]
    pub fn output(&self, now: Time) -> Volt {
        if !self.enabled || self.fed.is_some_and(|f| now.since(f) > WATCHDOG) {
            return Volt(0.0);
        }
        Volt((1_190_935_338.0 - f64::from(self.set_point) * 1e6) / 78_743.0 / 1000.0)
    }

    fn obey(&mut self, now: Time, command: u8, data: &[u8]) {
        let answer = match (command, data) {
            (0x01, []) => vec![1, 0],
            (0x02, []) => vec![TYPE, 0],
            (0x03, []) => vec![self.set_point, 0],
            (0x83, [value, ..]) => {
                self.set_point = (*value).clamp(9, LOWEST);
                data.to_vec()
            }
            (0x81, [arm, ..]) => {
                self.fed = (*arm == 1).then_some(now);
                data.to_vec()
            }
            _ => return,
        };
        let s = sum(command, &answer).to_le_bytes();
        self.reply = [&[0x55, 0xaa, 4 + answer.len() as u8, command][..], &answer, &s].concat();
        self.reply_at = now + READY;
    }
}

impl Target for Apw12 {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        let [REGISTER, bytes @ ..] = bytes else { return };
        for b in bytes {
            self.echo = *b;
            if let Some((command, data, s)) = self.packets.tell(*b)
                && sum(command, &data).to_le_bytes() == s
            {
                self.obey(now, command, &data);
            }
        }
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        for b in buffer {
            *b = if now >= self.reply_at && !self.reply.is_empty() { self.reply.remove(0) } else { self.echo };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(a: &mut Apw12, now: Time, bytes: &[u8]) {
        bytes.iter().for_each(|b| a.write(now, &[REGISTER, *b]));
    }

    #[test]
    fn the_documented_bytes_are_answered() {
        let mut a = Apw12::default();
        let mut b = [0];
        tell(&mut a, Time::ZERO, &[0xf5]);
        a.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xf5], "packet protocol");
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 4, 2, 6, 0]);
        let mut b = [0; 8];
        a.read(Time::from_millis(400), &mut b);
        assert_eq!(b, [0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0]);
    }

    #[test]
    fn it_gives_the_set_voltage_while_enabled() {
        let mut a = Apw12 { enabled: true, ..Apw12::default() };
        let near = |a: &Apw12, v: f64| (a.output(Time::ZERO).0 - v).abs() < 0.01;
        assert!(near(&a, 12.0));
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x83, 152, 0, 0x21, 1]);
        assert!(near(&a, 13.194), "{}", a.output(Time::ZERO));
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x97, 0]);
        assert!(near(&a, 13.194), "a wrong sum is nothing");
        a.enabled = false;
        assert_eq!(a.output(Time::ZERO), Volt(0.0));
    }

    #[test]
    fn an_armed_watchdog_bites() {
        let mut a = Apw12 { enabled: true, ..Apw12::default() };
        tell(&mut a, Time::ZERO, &[0x55, 0xaa, 6, 0x81, 1, 0, 0x88, 0]);
        assert!(a.output(Time::from_secs(59)) > Volt(11.0));
        assert_eq!(a.output(Time::from_secs(61)), Volt(0.0));
    }
}
