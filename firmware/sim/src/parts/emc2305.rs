//! Microchip EMC2305: five fan drivers with tach. Fan n has its drive setting at 0x30 + 16·n, its first configuration two above
//! (its own speed control in bit 7, tach range in bits 6-5) and its tach reading 14 above, 13 bits from the top. Reads run on through the registers.

use super::Target;
use model::{Percent, Rpm, Time};

const FANS: usize = 5;
const DRIVE: u8 = 0x30;
const STEP: u8 = 0x10;
/// Offsets within a fan's registers.
const CONFIGURATION: u8 = 0x02;
const TACH_HIGH: u8 = 0x0e;
const TACH_LOW: u8 = 0x0f;
/// Of the configuration: speeds are held by the part.
const OWN_CONTROL: u8 = 0x80;
/// What that drives a fan with whose target nobody set.
const CREEP: Percent = Percent(10.0);
/// Turns a minute × count at range 1: 60 s × 32.768 kHz × (5 edges − 1) / 2 poles.
const TACH_FACTOR: f64 = 3_932_160.0;

/// The simulated controller.
#[derive(Debug)]
pub struct Emc2305 {
    /// How fast each fan turns; what the tach sees.
    pub speeds: [Rpm; FANS],
    registers: [u8; 256],
    pointer: u8,
}

impl Default for Emc2305 {
    fn default() -> Self {
        let mut registers = [0; 256];
        registers[0x20] = 0x40;
        for fan in 0..FANS {
            registers[usize::from(DRIVE + CONFIGURATION) + fan * usize::from(STEP)] = 0x2b;
        }
        registers[0xfd..].copy_from_slice(&[0x34, 0x5d, 0x80]);
        Emc2305 { speeds: [Rpm(0.0); FANS], registers, pointer: 0 }
    }
}

impl Emc2305 {
    /// The duty that fan `fan` (0 to 4) is driven with: what it was told, but for one that its own speed control has in hand, which
    /// lets it creep to no target.
    #[must_use]
    pub fn duty(&self, fan: usize) -> Percent {
        if self.registers[usize::from(DRIVE + CONFIGURATION) + fan * usize::from(STEP)] & OWN_CONTROL != 0 {
            return CREEP;
        }
        Percent(f64::from(self.registers[usize::from(DRIVE) + fan * usize::from(STEP)]) / 2.55)
    }

    fn value(&self, register: u8) -> u8 {
        let fan = usize::from(register.wrapping_sub(DRIVE) / STEP);
        if register < DRIVE || fan >= FANS {
            return self.registers[usize::from(register)];
        }
        let count = {
            let configuration = self.registers[usize::from(DRIVE + CONFIGURATION) + fan * usize::from(STEP)];
            let multiplier = f64::from(1u8 << (configuration >> 5 & 3));
            (TACH_FACTOR * multiplier / self.speeds[fan].0.max(1.0)).min(8191.0) as u16
        };
        match register % STEP {
            TACH_HIGH => (count >> 5) as u8,
            TACH_LOW => (count << 3) as u8,
            _ => self.registers[usize::from(register)],
        }
    }
}

impl Target for Emc2305 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        let [pointer, values @ ..] = bytes else { return };
        self.pointer = *pointer;
        for v in values {
            if self.pointer < 0xfd {
                self.registers[usize::from(self.pointer)] = *v;
            }
            self.pointer = self.pointer.wrapping_add(1);
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        for b in buffer {
            *b = self.value(self.pointer);
            self.pointer = self.pointer.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duty_is_taken_and_the_tach_counts() {
        let mut e = Emc2305::default();
        e.write(Time::ZERO, &[0x40, 0xff]);
        assert_eq!((e.duty(0), e.duty(1)), (Percent(0.0), Percent(100.0)));
        e.speeds[1] = Rpm(6000.0);
        let mut b = [0; 2];
        e.write(Time::ZERO, &[0x4e]);
        e.read(Time::ZERO, &mut b);
        let rpm = 3_932_160.0 * 2.0 / f64::from(u16::from_be_bytes(b) >> 3);
        assert!((5990.0..6010.0).contains(&rpm), "{rpm}");
        e.write(Time::ZERO, &[0x3e]);
        e.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xff, 0xf8], "a fan that stands");
    }

    #[test]
    fn its_identity_cannot_be_written() {
        let mut e = Emc2305::default();
        e.write(Time::ZERO, &[0xfd, 0]);
        let mut b = [0; 2];
        e.write(Time::ZERO, &[0xfd]);
        e.read(Time::ZERO, &mut b);
        assert_eq!(b, [0x34, 0x5d]);
    }
}
