//! dsPIC33EP16GS202 of S17/S19 hashboards in its framing of length and 16-bit sum, most significant byte first, one byte a write.
//! It switches the board's rail and cuts it when the host's heartbeat stops. Not here: its bootloader and its flash.

use super::{Packets, Target, sum};
use model::{Time, Volt};
use std::time::Duration;

/// Without a heartbeat for this long the rail is cut (about 10 s on boards).
pub const HEARTBEAT_LIMIT: Duration = Duration::from_secs(10);
/// What it calls itself: application, as on most S19 Pro boards.
const VERSION: u8 = 0x89;
/// When an answer is ready; until then reads give zeros. Hosts wait longer.
const READY: Duration = Duration::from_millis(5);
const READY_SLOW: Duration = Duration::from_millis(50);

/// The simulated controller.
#[derive(Debug, Default)]
pub struct Dspic {
    packets: Packets,
    enabled: bool,
    /// What was asked of the regulator; until then the supply's voltage passes.
    asked: Option<Volt>,
    fed: Time,
    reply: Vec<u8>,
    reply_at: Time,
}

impl Dspic {
    /// The board's rail, given what the supply feeds it.
    #[must_use]
    pub fn rail(&self, now: Time, supply: Volt) -> Volt {
        if !self.enabled || now.since(self.fed) > HEARTBEAT_LIMIT {
            return Volt(0.0);
        }
        self.asked.map_or(supply, |v| v.min(supply))
    }

    fn obey(&mut self, now: Time, command: u8, data: &[u8]) {
        let alive = now.since(self.fed) <= HEARTBEAT_LIMIT;
        (self.reply, self.reply_at) = match (command, data) {
            (0x10, [high, low]) => {
                self.asked = Some(Volt(f64::from(u16::from_be_bytes([*high, *low])) / 1000.0));
                (vec![command, 1], now + READY)
            }
            (0x15, [on]) => {
                self.enabled = *on == 1;
                self.fed = now;
                (vec![command, 1], now + READY)
            }
            (0x16, []) => {
                self.enabled &= alive;
                self.fed = now;
                (framed(command, &[1, 0]), now + READY_SLOW)
            }
            (0x17, []) => (framed(command, &[VERSION]), now + READY_SLOW),
            _ => return,
        };
    }
}

fn framed(command: u8, data: &[u8]) -> Vec<u8> {
    let s = sum(command, data).to_be_bytes();
    [&[4 + data.len() as u8, command], data, &s].concat()
}

impl Target for Dspic {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        for b in bytes {
            if let Some((command, data, s)) = self.packets.tell(*b)
                && sum(command, &data).to_be_bytes() == s
            {
                self.obey(now, command, &data);
            }
        }
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        for b in buffer {
            *b = if now < self.reply_at || self.reply.is_empty() { 0 } else { self.reply.remove(0) };
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
}
