//! Maxim DS4432U on a Bitaxe: two code registers, the first of which trims the buck converter beside it. Not here: the line that
//! enables the converter.

use super::Target;
use model::{Time, Volt};

/// The simulated DAC.
#[derive(Debug, Default)]
pub struct Ds4432u {
    /// It does not keep what it is told.
    pub stuck: bool,
    pointer: u8,
    codes: [u8; 2],
}

impl Ds4432u {
    /// What the converter gives while it is on.
    #[must_use]
    pub fn output(&self) -> Volt {
        // Feedback of 0.6 V by 4750 and 3320 ohms; a full code is 0.997 V over 80 kiloohms, times 127/16.
        let full = 0.997 / 80_000.0 * 127.0 / 16.0;
        let share = f64::from(self.codes[0] & 0x7f) / 127.0;
        let sourced = if self.codes[0] & 0x80 == 0 { -share } else { share } * full;
        Volt(0.6 + 4750.0 * (0.6 / 3320.0 - sourced))
    }
}

impl Target for Ds4432u {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        self.pointer = bytes.first().copied().unwrap_or_default();
        if let [register @ (0xf8 | 0xf9), code] = bytes
            && !self.stuck
        {
            self.codes[usize::from(register & 1)] = *code;
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        let known = matches!(self.pointer, 0xf8 | 0xf9);
        buffer.fill(if known { self.codes[usize::from(self.pointer & 1)] } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sourcing_lowers_and_sinking_raises() {
        let mut d = Ds4432u::default();
        for (code, volt) in [(0, 1.458), (0xff, 0.989), (0x7f, 1.928), (0xc6, 1.199)] {
            d.write(Time::ZERO, &[0xf8, code]);
            assert!((d.output().0 - volt).abs() < 0.001, "{code:02x}: {}", d.output());
        }
        d.write(Time::ZERO, &[0xf9, 0x11]);
        let mut b = [0];
        d.write(Time::ZERO, &[0xf8]);
        d.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xc6]);
    }
}
