//! Microchip EMC2103: one fan with tach, its own temperature and those of two diodes (Bitaxe Gamma Turbo). Its tach counts as an
//! EMC2305's does. What it must be set up with travels with every duty, and the diodes' data are compared at every reading: a part
//! that lost its power is itself again at once. Not here: its own speed control, and the hot shutdown by its pin.

use super::emc2101::tune;
use super::{FanError, Fans, rpm_of_13_bits, share};
use crate::bus::{BusError, I2c, Message};
use crate::sensor::{Sensor, SensorError, byte};
use model::{Celsius, Diode, DiodeTune, FanId, Percent, Rpm};

const INTERNAL: u8 = 0x00;
/// Registers of the first diode; those of the second follow.
const EXTERNAL: u8 = 0x02;
const IDEALITY: u8 = 0x11;
const BETA: u8 = 0x14;
const DUTY: u8 = 0x40;
const FAN_CONFIGURATION: u8 = 0x42;
/// As after power-on: duty by register, tach range 2×, five edges.
const DIRECT: u8 = 0x2b;
const TACH_HIGH: u8 = 0x4e;
const TACH_LOW: u8 = 0x4f;
const PRODUCT: u8 = 0xfd;
/// EMC2103-1, and EMC2103-2 and -4.
const PRODUCTS: [u8; 2] = [0x24, 0x26];
const MAKER: u8 = 0xfe;
const MICROCHIP: u8 = 0x5d;
/// A diode that is open or shorted: it does not say which.
const FAULT: u16 = 0x8000;
/// The coldest that the part works at.
const COLDEST: f64 = -55.0;

/// One controller.
#[derive(Clone, Copy, Debug)]
pub struct Emc2103 {
    address: u8,
}

impl Emc2103 {
    /// The controller at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Emc2103 {
        Emc2103 { address }
    }
}

impl Fans for Emc2103 {
    fn set_duty(&mut self, bus: &mut dyn I2c, fan: FanId, duty: Percent) -> Result<(), FanError> {
        only(fan)?;
        let value = (share(duty) * 255.0).round() as u8;
        bus.transfer(self.address, &mut [Message::Write(&[FAN_CONFIGURATION, DIRECT])])?;
        Ok(bus.transfer(self.address, &mut [Message::Write(&[DUTY, value])])?)
    }

    fn rpm(&mut self, bus: &mut dyn I2c, fan: FanId) -> Result<Option<Rpm>, FanError> {
        only(fan)?;
        let configuration = byte(bus, self.address, FAN_CONFIGURATION)?;
        // The high byte first: reading it holds the low one.
        let high = byte(bus, self.address, TACH_HIGH)?;
        Ok(rpm_of_13_bits(configuration, high, byte(bus, self.address, TACH_LOW)?))
    }

    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        identify(bus, self.address)
    }
}

fn only(fan: FanId) -> Result<(), FanError> {
    if fan.0 == 0 { Ok(()) } else { Err(FanError::NoSuchFan { fan: fan.0, fans: 1 }) }
}

fn identify(bus: &mut dyn I2c, address: u8) -> Result<bool, BusError> {
    Ok(byte(bus, address, MAKER)? == MICROCHIP && PRODUCTS.contains(&byte(bus, address, PRODUCT)?))
}

/// One of the part's three temperatures.
#[derive(Clone, Copy, Debug)]
pub struct Emc2103Sensor {
    address: u8,
    diode: Diode,
    tune: Option<DiodeTune>,
}

impl Emc2103Sensor {
    /// The temperature of that diode, which may need data.
    #[must_use]
    pub const fn new(address: u8, diode: Diode, tune: Option<DiodeTune>) -> Emc2103Sensor {
        Emc2103Sensor { address, diode, tune }
    }
}

impl Sensor for Emc2103Sensor {
    fn read(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        let (high, index) = match self.diode {
            Diode::Local => (INTERNAL, None),
            Diode::Remote => (EXTERNAL, Some(0)),
            Diode::SecondRemote => (EXTERNAL + 2, Some(1)),
        };
        if let (Some(i), Some(t)) = (index, self.tune)
            && tune(bus, self.address, [(IDEALITY + i, t.ideality), (BETA + i, t.beta)])?
        {
            return Err(SensorError::Settling);
        }
        // The high byte first: reading it holds the low one.
        let raw = u16::from_be_bytes([byte(bus, self.address, high)?, byte(bus, self.address, high + 1)?]);
        let celsius = f64::from(raw.cast_signed()) / 256.0;
        if raw == FAULT && index.is_some() {
            return Err(SensorError::OpenOrShort);
        }
        if raw & 0x1f != 0 || celsius < COLDEST { Err(SensorError::Absurd { raw }) } else { Ok(Celsius(celsius)) }
    }

    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        identify(bus, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    const TUNE: DiodeTune = DiodeTune { ideality: 0x24, beta: 0x00 };

    fn second(answers: &[u8]) -> (Result<Celsius, SensorError>, Vec<Vec<u8>>) {
        let answers: Vec<&[u8]> = answers.iter().map(std::slice::from_ref).collect();
        let mut bus = Recorder::answering(&answers);
        let value = Emc2103Sensor::new(0x2e, Diode::SecondRemote, Some(TUNE)).read(&mut bus);
        (value, bus.written.into_iter().map(|(_, bytes)| bytes).collect())
    }

    #[test]
    fn duty_goes_to_its_register_and_nonsense_is_full() {
        for (percent, value) in [(0.0, 0), (50.0, 128), (100.0, 255), (1e9, 255), (f64::NAN, 255)] {
            let mut bus = Recorder::answering(&[]);
            Emc2103::new(0x2e).set_duty(&mut bus, FanId(0), Percent(percent)).expect("answers");
            assert_eq!(bus.written, [(0x2e, vec![0x42, 0x2b]), (0x2e, vec![0x40, value])]);
        }
    }

    #[test]
    fn speed_is_read_with_its_range() {
        let count = 1311u16 << 3;
        let mut bus = Recorder::answering(&[&[0x2b], &[(count >> 8) as u8], &[count as u8]]);
        let rpm = Emc2103::new(0x2e).rpm(&mut bus, FanId(0)).expect("answers").expect("turns");
        assert!((rpm.0 - 5998.7).abs() < 0.1, "{rpm}");
        let read =
            |high, low| Emc2103::new(0x2e).rpm(&mut Recorder::answering(&[&[0x2b], &[high], &[low]]), FanId(0)).expect("answers");
        assert_eq!(read(0xff, 0xf8), Some(Rpm(0.0)));
        assert_eq!(read(0, 0), None);
    }

    #[test]
    fn a_second_fan_is_refused_and_an_absent_part_told() {
        let refused = Emc2103::new(0x2e).rpm(&mut Recorder::answering(&[]), FanId(1));
        assert!(matches!(refused, Err(FanError::NoSuchFan { fan: 1, fans: 1 })));
        let absent = Emc2103::new(0x2e).set_duty(&mut Recorder::absent(), FanId(0), Percent(1.0));
        assert!(matches!(absent, Err(FanError::Bus(BusError::Nack(0x2e)))));
    }

    #[test]
    fn temperatures_in_eighths_from_the_place_asked_for() {
        let (value, asked) = second(&[0x24, 0x00, 0x41, 0x60]);
        assert_eq!((value.expect("a value"), asked), (Celsius(65.375), vec![vec![0x12], vec![0x15], vec![0x04], vec![0x05]]));
        let mut bus = Recorder::answering(&[&[0xf6], &[0x80]]);
        assert_eq!(Emc2103Sensor::new(0x2e, Diode::Local, None).read(&mut bus).expect("a value"), Celsius(-9.5));
    }

    #[test]
    fn a_fault_of_the_diode_and_nonsense_are_told_apart() {
        assert!(matches!(second(&[0x24, 0x00, 0x80, 0x00]).0, Err(SensorError::OpenOrShort)));
        assert!(matches!(second(&[0x24, 0x00, 0xff, 0xff]).0, Err(SensorError::Absurd { raw: 0xffff })));
        let internal = Emc2103Sensor::new(0x2e, Diode::Local, None).read(&mut Recorder::answering(&[&[0x80], &[0x00]]));
        assert!(matches!(internal, Err(SensorError::Absurd { raw: 0x8000 })), "its own place has no diode to lose");
        let absent = Emc2103Sensor::new(0x2e, Diode::Local, None).read(&mut Recorder::absent());
        assert!(matches!(absent, Err(SensorError::Bus(BusError::Nack(0x2e)))));
    }

    #[test]
    fn a_part_that_lost_its_power_gets_its_diodes_data_again() {
        let (value, written) = second(&[0x12, 0x00]);
        assert!(matches!(value, Err(SensorError::Settling)));
        assert_eq!(written, [vec![0x12], vec![0x12, 0x24], vec![0x15]], "what is right already is not written");
    }

    #[test]
    fn it_knows_its_kinds() {
        let identify =
            |maker, product| Emc2103::new(0x2e).identify(&mut Recorder::answering(&[&[maker], &[product]])).expect("answers");
        assert!(identify(0x5d, 0x24));
        assert!(identify(0x5d, 0x26));
        assert!(!identify(0x5d, 0x34));
    }
}
