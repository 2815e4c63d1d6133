//! Microchip EMC2101: one fan with tach, its own temperature and that of a diode. Duty is taken only while its table is switched
//! off (register 0x4a), and is compared with twice the PWM frequency's number, 23 after power-on: so a host that forgets either
//! sees it. Not here: the table itself.

use super::{Diode, Target};
use model::{Celsius, Percent, Rpm, Time};

const CONFIGURATION: usize = 0x03;
const TACH_INPUT: u8 = 0x04;
const FAN_CONFIGURATION: usize = 0x4a;
/// The table is switched off.
const DIRECT: u8 = 0x20;
const DUTY: u8 = 0x4c;
const PWM_FREQUENCY: usize = 0x4d;

/// The simulated controller.
#[derive(Debug)]
pub struct Emc2101 {
    /// What its own die feels.
    pub internal: Celsius,
    /// What its diode feels.
    pub external: Celsius,
    /// How its diode is.
    pub diode: Diode,
    /// How fast its fan turns.
    pub speed: Rpm,
    registers: [u8; 256],
    pointer: u8,
}

impl Default for Emc2101 {
    fn default() -> Self {
        let mut registers = [0; 256];
        for (register, value) in
            [(0x04, 0x08), (0x17, 0x12), (0x18, 0x08), (0x4a, 0x20), (0x4b, 0x3f), (0x4d, 0x17), (0x4e, 0x01)]
        {
            registers[register] = value;
        }
        registers[0xfd..].copy_from_slice(&[0x16, 0x5d, 0x01]);
        Emc2101 { internal: Celsius(25.0), external: Celsius(25.0), diode: Diode::Good, speed: Rpm(0.0), registers, pointer: 0 }
    }
}

impl Emc2101 {
    /// The duty that its fan is driven with.
    #[must_use]
    pub fn duty(&self) -> Percent {
        let full = f64::from(2 * (self.registers[PWM_FREQUENCY] & 0x1f).max(1));
        Percent((f64::from(self.registers[usize::from(DUTY)] & 0x3f) / full).min(1.0) * 100.0)
    }

    fn external(&self) -> [u8; 2] {
        let eighths = match self.diode {
            Diode::Good => (self.external.0 * 8.0).floor().clamp(-512.0, 1015.0) as i16,
            Diode::Open => 0x3f8,
            Diode::Short => 0x3ff,
        };
        (eighths << 5).to_be_bytes()
    }

    fn tach(&self) -> [u8; 2] {
        // Without the tach at its pin it counts nothing.
        let seen = self.registers[CONFIGURATION] & TACH_INPUT != 0;
        ((5_400_000.0 / self.speed.0.max(1.0)).min(if seen { 65_535.0 } else { 0.0 }) as u16).to_be_bytes()
    }

    fn value(&self) -> u8 {
        match self.pointer {
            0x00 => (self.internal.0.floor().clamp(-128.0, 127.0) as i8).cast_unsigned(),
            0x01 => self.external()[0],
            0x10 => self.external()[1],
            0x02 => u8::from(self.diode != Diode::Good) << 2,
            0x46 => self.tach()[1],
            0x47 => self.tach()[0],
            register => self.registers[usize::from(register)],
        }
    }
}

impl Target for Emc2101 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        let [pointer, value @ ..] = bytes else { return };
        self.pointer = *pointer;
        let held = *pointer == DUTY && self.registers[FAN_CONFIGURATION] & DIRECT == 0;
        if let ([value, ..], true) = (value, *pointer < 0xfd && !held) {
            self.registers[usize::from(*pointer)] = *value;
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        buffer.fill(self.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_power_on_duty_saturates_early_and_the_table_locks_it() {
        let mut e = Emc2101::default();
        e.write(Time::ZERO, &[0x4c, 46]);
        assert_eq!(e.duty(), Percent(100.0));
        e.write(Time::ZERO, &[0x4d, 0x1f]);
        e.write(Time::ZERO, &[0x4c, 31]);
        assert_eq!(e.duty(), Percent(50.0));
        e.write(Time::ZERO, &[0x4a, 0x00]);
        e.write(Time::ZERO, &[0x4c, 0]);
        assert_eq!(e.duty(), Percent(50.0));
    }

    #[test]
    fn its_identity_cannot_be_written() {
        let mut e = Emc2101::default();
        e.write(Time::ZERO, &[0xfe, 0]);
        let mut b = [0];
        e.read(Time::ZERO, &mut b);
        assert_eq!(b, [0x5d]);
    }
}
