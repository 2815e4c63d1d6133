//! TI INA260: words of current, voltage and power of what flows through it, always measured anew. Not here: averaging and alerts.

use super::Target;
use model::{Ampere, Time, Volt};

/// The simulated meter.
#[derive(Debug, Default)]
pub struct Ina260 {
    /// What lies on its bus pin.
    pub volt: Volt,
    /// What flows through it; negative where it flows back.
    pub ampere: Ampere,
    pointer: u8,
}

impl Ina260 {
    fn value(&self) -> u16 {
        let step = |value: f64, step: f64, most: f64| (value / step).round().clamp(-most, most);
        match self.pointer {
            0x00 => 0x6127,
            0x01 => (step(self.ampere.0, 0.00125, 32_767.0) as i16).cast_unsigned(),
            0x02 => step(self.volt.0.max(0.0), 0.00125, 32_767.0) as u16,
            // Power has no sign.
            0x03 => step((self.volt.0 * self.ampere.0).abs(), 0.01, 65_535.0) as u16,
            0xfe => 0x5449,
            0xff => 0x2270,
            _ => 0,
        }
    }
}

impl Target for Ina260 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        if let Some(pointer) = bytes.first() {
            self.pointer = *pointer;
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        let value = self.value().to_be_bytes();
        for (i, b) in buffer.iter_mut().enumerate() {
            *b = value[i % 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_datasheets_worked_example() {
        let mut m = Ina260 { volt: Volt(11.98), ampere: Ampere(10.0), pointer: 0 };
        let words: Vec<u16> = [1, 2, 3]
            .map(|register| {
                let mut b = [0; 2];
                m.write(Time::ZERO, &[register]);
                m.read(Time::ZERO, &mut b);
                u16::from_be_bytes(b)
            })
            .to_vec();
        assert_eq!(words, [8000, 9584, 11_980]);
    }
}
