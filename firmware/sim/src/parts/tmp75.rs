//! LM75A, TMP75 and TMP1075: pointer, temperature at 0 (from the top), configuration at 1. A TMP75 keeps and obeys its resolution
//! bits, nine after power-on; a TMP1075 always gives twelve and says what it is; an LM75A gives eleven and rubbish below them.

use super::Target;
use hwdrivers::sensor::tmp75::Model;
use model::{Celsius, Time};

/// The simulated sensor.
#[derive(Debug)]
pub struct Tmp75 {
    /// What its die feels.
    pub temperature: Celsius,
    model: Model,
    pointer: u8,
    configuration: u8,
}

impl Default for Tmp75 {
    fn default() -> Self {
        Tmp75::new(Model::Tmp75)
    }
}

impl Tmp75 {
    /// A part of this model that was just powered.
    #[must_use]
    pub fn new(model: Model) -> Tmp75 {
        Tmp75 { temperature: Celsius(0.0), model, pointer: 0, configuration: 0 }
    }

    fn register(&self) -> [u8; 2] {
        if self.model == Model::Tmp1075 && self.pointer == 0x0f {
            return [0x75, 0x00];
        }
        match self.pointer & 3 {
            0 => {
                let bits = match self.model {
                    Model::Lm75a => 11,
                    Model::Tmp75 => 9 + (self.configuration >> 5 & 3),
                    Model::Tmp1075 => 12,
                };
                // Any bits would do: they are those that a driver which forgot to drop them would show most.
                let rubbish = if self.model == Model::Lm75a { 0x1f } else { 0 };
                let sixteenths = (self.temperature.0.clamp(-128.0, 127.9375) * 16.0).floor() as i16;
                ((sixteenths << 4 & !((1 << (16 - bits)) - 1)) | rubbish).to_be_bytes()
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
