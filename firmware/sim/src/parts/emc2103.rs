//! Microchip EMC2103: one fan with tach (13 bits, as an EMC2305's), its own temperature and those of two diodes in eighths of a
//! degree. While its own speed control is on (bit 7 of 0x42) it does not take a duty. Not here: that control, and other pins.

use super::{Diode, Target};
use model::{Celsius, Percent, Rpm, Time};

const DUTY: usize = 0x40;
const FAN_CONFIGURATION: usize = 0x42;
/// The part's own speed control.
const AUTOMATIC: u8 = 0x80;
/// Turns a minute × count at range 1.
const TACH_FACTOR: f64 = 3_932_160.0;

/// The simulated controller.
#[derive(Debug)]
pub struct Emc2103 {
    /// What its own die feels.
    pub internal: Celsius,
    /// What its diodes feel.
    pub external: [Celsius; 2],
    /// How its diodes are.
    pub diodes: [Diode; 2],
    /// How fast its fan turns.
    pub speed: Rpm,
    registers: [u8; 256],
    pointer: u8,
}

impl Default for Emc2103 {
    fn default() -> Self {
        let mut registers = [0; 256];
        for (register, value) in [(0x11, 0x12), (0x12, 0x12), (0x14, 0x10), (0x15, 0x10), (DUTY, 0), (FAN_CONFIGURATION, 0x2b)] {
            registers[register] = value;
        }
        registers[0xfd..].copy_from_slice(&[0x26, 0x5d, 0x01]);
        Emc2103 {
            internal: Celsius(25.0),
            external: [Celsius(25.0); 2],
            diodes: [Diode::Good; 2],
            speed: Rpm(0.0),
            registers,
            pointer: 0,
        }
    }
}

impl Emc2103 {
    /// The duty that its fan is driven with.
    #[must_use]
    pub fn duty(&self) -> Percent {
        Percent(f64::from(self.registers[DUTY]) / 2.55)
    }

    fn temperature(&self, place: u8) -> [u8; 2] {
        let (celsius, diode) = match place {
            0 => (self.internal, Diode::Good),
            1 => (self.external[0], self.diodes[0]),
            _ => (self.external[1], self.diodes[1]),
        };
        match diode {
            Diode::Good => (((celsius.0 * 8.0).floor().clamp(-512.0, 1023.0) as i16) << 5).to_be_bytes(),
            Diode::Open | Diode::Short => [0x80, 0x00],
        }
    }

    fn value(&self, register: u8) -> u8 {
        let range = f64::from(1u8 << (self.registers[FAN_CONFIGURATION] >> 5 & 3));
        let count = (TACH_FACTOR * range / self.speed.0.max(1.0)).min(8191.0) as u16;
        match register {
            0x00..=0x05 => self.temperature(register / 2)[usize::from(register % 2)],
            0x4e => (count >> 5) as u8,
            0x4f => (count << 3) as u8,
            _ => self.registers[usize::from(register)],
        }
    }
}

impl Target for Emc2103 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        let [pointer, values @ ..] = bytes else { return };
        self.pointer = *pointer;
        for v in values {
            let at = usize::from(self.pointer);
            let held = at == DUTY && self.registers[FAN_CONFIGURATION] & AUTOMATIC != 0;
            if at < 0xfd && !held {
                self.registers[at] = *v;
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
    fn its_own_control_holds_the_duty() {
        let mut e = Emc2103::default();
        e.write(Time::ZERO, &[0x42, 0xab]);
        e.write(Time::ZERO, &[0x40, 0xff]);
        assert_eq!(e.duty(), Percent(0.0));
        e.write(Time::ZERO, &[0x42, 0x2b]);
        e.write(Time::ZERO, &[0x40, 0xff]);
        assert_eq!(e.duty(), Percent(100.0));
    }

    #[test]
    fn temperatures_run_on_and_a_bad_diode_is_the_lowest_code() {
        let mut e = Emc2103 { external: [Celsius(65.375), Celsius(0.0)], ..Emc2103::default() };
        e.diodes[1] = Diode::Short;
        let mut b = [0; 6];
        e.write(Time::ZERO, &[0]);
        e.read(Time::ZERO, &mut b);
        assert_eq!(b, [25, 0, 65, 0x60, 0x80, 0]);
    }
}
