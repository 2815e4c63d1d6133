//! TI TMP75, TMP1075 and LM75A: two bytes of temperature in register 0. Not here: what is too hot, or how old a reading may be.

use crate::bus::{BusError, I2c, Message};
use model::Celsius;

const TEMPERATURE: u8 = 0x00;

/// One sensor.
#[derive(Clone, Copy, Debug)]
pub struct Tmp75 {
    address: u8,
}

impl Tmp75 {
    /// The sensor at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Tmp75 {
        Tmp75 { address }
    }

    /// Reads it.
    ///
    /// # Errors
    /// The bus's.
    pub fn read(&self, bus: &mut dyn I2c) -> Result<Celsius, BusError> {
        let mut b = [0; 2];
        bus.transfer(self.address, &mut [Message::Write(&[TEMPERATURE]), Message::Read(&mut b)])?;
        // Twelve bits, two's complement, left in the word: 1/16 °C each. An LM75A leaves the lowest three 0.
        Ok(Celsius(f64::from(i16::from_be_bytes(b) >> 4) / 16.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    #[test]
    fn datasheet_rows() {
        for (word, celsius) in [
            (0x7ff0u16, 127.9375),
            (0x6400, 100.0),
            (0x1910, 25.0625),
            (0x0000, 0.0),
            (0xfff0, -0.0625),
            (0xe700, -25.0),
            (0x9000, -112.0),
        ] {
            let mut bus = Recorder::answering(&[&word.to_be_bytes()]);
            assert_eq!(Tmp75::new(0x48).read(&mut bus).expect("answers"), Celsius(celsius), "{word:04x}");
            assert_eq!(bus.written, [(0x48, vec![0])]);
        }
    }

    #[test]
    fn an_absent_sensor_is_an_error_not_a_temperature() {
        assert!(matches!(Tmp75::new(0x48).read(&mut Recorder::absent()), Err(BusError::Nack(0x48))));
    }
}
