//! TI TMP75 (LM75A alike): pointer, temperature at 0 (twelve bits from the top, 0.0625 °C), configuration at 1. Its resolution
//! bits are kept and obeyed: nine bits after power-on.

use super::Target;
use model::{Celsius, Time};

/// The simulated sensor.
#[derive(Debug, Default)]
pub struct Tmp75 {
    /// What its die feels.
    pub temperature: Celsius,
    pointer: u8,
    configuration: u8,
}

impl Tmp75 {
    fn register(&self) -> [u8; 2] {
        match self.pointer & 3 {
            0 => {
                let bits = 9 + (self.configuration >> 5 & 3);
                let sixteenths = (self.temperature.0.clamp(-128.0, 127.9375) * 16.0).floor() as i16;
                (sixteenths << 4 & !((1 << (16 - bits)) - 1)).to_be_bytes()
            }
            1 => [self.configuration; 2],
            2 => [0x4b, 0x00],
            _ => [0x50, 0x00],
        }
    }
}

impl Target for Tmp75 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        if let Some(pointer) = bytes.first() {
            self.pointer = *pointer;
        }
        if let [1, configuration, ..] = bytes {
            self.configuration = *configuration;
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        let value = self.register();
        for (i, b) in buffer.iter_mut().enumerate() {
            *b = value[i % 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_have_nine_bits_until_more_are_asked() {
        let mut t = Tmp75 { temperature: Celsius(56.8), ..Tmp75::default() };
        let mut b = [0; 2];
        t.write(Time::ZERO, &[0]);
        t.read(Time::ZERO, &mut b);
        assert_eq!(b, [56, 0x80]);
        t.write(Time::ZERO, &[1, 0x60]);
        t.write(Time::ZERO, &[0]);
        t.read(Time::ZERO, &mut b);
        assert_eq!(b, [56, 0xc0]);
        t.temperature = Celsius(-25.0);
        t.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xe7, 0x00]);
    }
}
