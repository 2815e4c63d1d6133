//! TI INA260: current, voltage and power of what flows through it, by its own shunt. It measures all the time from power-on. Not
//! here: its alert limits, and what is too much.

use super::{SensorError, word};
use crate::bus::{BusError, I2c};
use crate::power::Measured;
use model::{Ampere, Volt, Watt};

const CURRENT: u8 = 0x01;
const VOLTAGE: u8 = 0x02;
const POWER: u8 = 0x03;
const MAKER: u8 = 0xfe;
const DIE: u8 = 0xff;
/// "TI".
const TEXAS_INSTRUMENTS: u16 = 0x5449;
/// Above the revision in the lowest four bits.
const INA260: u16 = 0x227;
/// A step of current, two's complement, and of voltage.
const AMPERE_STEP: f64 = 0.00125;
const VOLT_STEP: f64 = 0.00125;
const WATT_STEP: f64 = 0.01;
/// Never set in a voltage.
const SIGN: u16 = 0x8000;

/// One meter.
#[derive(Clone, Copy, Debug)]
pub struct Ina260 {
    address: u8,
}

impl Ina260 {
    /// The meter at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Ina260 {
        Ina260 { address }
    }

    /// Reads it: voltage, current (negative where it flows back) and power.
    ///
    /// # Errors
    /// A voltage that cannot be, or the bus's.
    pub fn read(&mut self, bus: &mut dyn I2c) -> Result<Measured, SensorError> {
        let raw = word(bus, self.address, VOLTAGE)?;
        if raw & SIGN != 0 {
            return Err(SensorError::Absurd { raw });
        }
        let current = word(bus, self.address, CURRENT)?.cast_signed();
        let power = word(bus, self.address, POWER)?;
        Ok(Measured {
            volt: Some(Volt(f64::from(raw) * VOLT_STEP)),
            ampere: Some(Ampere(f64::from(current) * AMPERE_STEP)),
            watt: Some(Watt(f64::from(power) * WATT_STEP)),
            ..Measured::default()
        })
    }

    /// Reads maker and die; only read, never written.
    ///
    /// # Errors
    /// The bus's.
    pub fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        Ok(word(bus, self.address, MAKER)? == TEXAS_INSTRUMENTS && word(bus, self.address, DIE)? >> 4 == INA260)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn read(words: [u16; 3]) -> Result<Measured, SensorError> {
        let bytes = words.map(u16::to_be_bytes);
        Ina260::new(0x40).read(&mut Recorder::answering(&[&bytes[0], &bytes[1], &bytes[2]]))
    }

    #[test]
    fn datasheet_rows() {
        // 9,584 × 1.25 mV = 11.98 V; 8,000 × 1.25 mA = 10 A; 11,980 × 10 mW = 119.8 W (the datasheet's worked example).
        let m = read([9584, 8000, 11_980]).expect("answers");
        let near = |value: f64, wanted: f64| (value - wanted).abs() < 1e-9;
        assert!(near(m.volt.expect("volts").0, 11.98));
        assert!(near(m.ampere.expect("amperes").0, 10.0));
        assert!(near(m.watt.expect("watts").0, 119.8));
        assert_eq!((m.celsius, m.input), (None, None));
        let back = read([4000, 0xfff0, 2]).expect("answers");
        assert!(near(back.ampere.expect("amperes").0, -0.02));
    }

    #[test]
    fn a_bus_that_hangs_is_no_power_and_an_absent_meter_a_nack() {
        assert!(matches!(read([0xffff; 3]), Err(SensorError::Absurd { raw: 0xffff })));
        let absent = Ina260::new(0x40).read(&mut Recorder::absent());
        assert!(matches!(absent, Err(SensorError::Bus(BusError::Nack(0x40)))));
    }

    #[test]
    fn it_knows_itself_in_any_revision() {
        let identify = |maker: u16, die: u16| {
            let mut bus = Recorder::answering(&[&maker.to_be_bytes(), &die.to_be_bytes()]);
            Ina260::new(0x40).identify(&mut bus).expect("answers")
        };
        assert!(identify(0x5449, 0x2270));
        assert!(identify(0x5449, 0x2271));
        assert!(!identify(0x5449, 0x2260), "an INA226");
        assert!(!identify(0xffff, 0xffff));
    }
}
