//! LM75A, TMP75 and TMP1075: two bytes of temperature in register 0, in steps as fine as the model has bits. A TMP75 starts with
//! nine bits, half a degree, and is left so: that is fine enough for a board. Not here: what is too hot, or how old a reading
//! may be.

use super::{Sensor, SensorError, word};
use crate::bus::{BusError, I2c};
use model::Celsius;

const TEMPERATURE: u8 = 0x00;
/// Only the TMP1075 has it.
const IDENTITY: u8 = 0x0f;
const TMP1075: u16 = 0x7500;
/// The coldest that parts of the family measure. Upwards their register ends at 127.9, which a board that burns reads as well:
/// hot must not look like broken.
const COLDEST: f64 = -55.0;
/// What a bus gives that nobody drives.
const NOBODY: u16 = 0xffff;

/// Which of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Eleven bits, 0.125 °C; what it sends below them means nothing.
    Lm75a,
    /// Twelve bits at most, 0.0625 °C; those below its resolution are 0.
    Tmp75,
    /// Twelve bits, and a register that says what it is.
    Tmp1075,
}

/// One sensor.
#[derive(Clone, Copy, Debug)]
pub struct Tmp75 {
    address: u8,
    model: Model,
}

impl Tmp75 {
    /// Any part of the family at this 7-bit address: read as an LM75A, whose bits all of them have.
    #[must_use]
    pub const fn new(address: u8) -> Tmp75 {
        Tmp75 { address, model: Model::Lm75a }
    }

    /// A part of this model at this 7-bit address.
    #[must_use]
    pub const fn of(model: Model, address: u8) -> Tmp75 {
        Tmp75 { address, model }
    }
}

impl Sensor for Tmp75 {
    fn read(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        let raw = word(bus, self.address, TEMPERATURE)?;
        let unused = if self.model == Model::Lm75a { 0x001f } else { 0x000f };
        let celsius = f64::from((raw & !unused).cast_signed()) / 256.0;
        let stray = self.model != Model::Lm75a && raw & unused != 0;
        if raw == NOBODY || stray || celsius < COLDEST { Err(SensorError::Absurd { raw }) } else { Ok(Celsius(celsius)) }
    }

    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        match self.model {
            Model::Tmp1075 => Ok(word(bus, self.address, IDENTITY)? == TMP1075),
            Model::Lm75a | Model::Tmp75 => word(bus, self.address, TEMPERATURE).map(|raw| raw != NOBODY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn read(model: Model, word: u16) -> Result<Celsius, SensorError> {
        let mut bus = Recorder::answering(&[&word.to_be_bytes()]);
        let value = Tmp75::of(model, 0x48).read(&mut bus);
        assert_eq!(bus.written, [(0x48, vec![0])]);
        value
    }

    #[test]
    fn datasheet_rows() {
        for (word, celsius) in [
            (0x7ff0u16, 127.9375),
            (0x7d00, 125.0),
            (0x6400, 100.0),
            (0x1910, 25.0625),
            (0x0000, 0.0),
            (0xfff0, -0.0625),
            (0xe700, -25.0),
            (0xc900, -55.0),
        ] {
            assert_eq!(read(Model::Tmp75, word).expect("answers"), Celsius(celsius), "{word:04x}");
            assert_eq!(read(Model::Tmp1075, word).expect("answers"), Celsius(celsius), "{word:04x}");
        }
    }

    #[test]
    fn an_lm75a_has_eleven_bits_and_rubbish_below_them() {
        for (word, celsius) in [(0x191fu16, 25.0), (0x193f, 25.125), (0xe71f, -25.0), (0x001f, 0.0)] {
            assert_eq!(read(Model::Lm75a, word).expect("answers"), Celsius(celsius), "{word:04x}");
        }
    }

    #[test]
    fn what_the_part_cannot_measure_is_absurd() {
        for (model, raw) in [
            (Model::Tmp75, 0xffff),
            (Model::Tmp75, 0x1901),
            (Model::Tmp1075, 0x7ff1),
            (Model::Tmp75, 0x8000),
            (Model::Tmp75, 0xc000),
            (Model::Lm75a, 0xffff),
            (Model::Lm75a, 0x8000),
        ] {
            assert!(matches!(read(model, raw), Err(SensorError::Absurd { raw: r }) if r == raw), "{raw:04x}");
        }
    }

    #[test]
    fn an_absent_sensor_is_an_error_not_a_temperature() {
        let read = Tmp75::new(0x48).read(&mut Recorder::absent());
        assert!(matches!(read, Err(SensorError::Bus(BusError::Nack(0x48)))));
    }

    #[test]
    fn a_tmp1075_says_that_it_is_one_and_others_that_they_are_there() {
        let identify = |model, word: u16| {
            let mut bus = Recorder::answering(&[&word.to_be_bytes()]);
            (Tmp75::of(model, 0x4a).identify(&mut bus).expect("answers"), bus.written)
        };
        assert_eq!(identify(Model::Tmp1075, 0x7500), (true, vec![(0x4a, vec![0x0f])]));
        assert!(!identify(Model::Tmp1075, 0x5000).0);
        assert_eq!(identify(Model::Tmp75, 0x1900), (true, vec![(0x4a, vec![0])]));
        assert!(!identify(Model::Lm75a, 0xffff).0);
        assert!(Tmp75::new(0x4a).identify(&mut Recorder::absent()).is_err());
    }
}
