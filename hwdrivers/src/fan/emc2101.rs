//! Microchip EMC2101: one fan with tach, its own temperature and that of a diode inside another chip (Bitaxe).
//!
//! What it must be set up with travels with every duty, so that a part which lost its power is itself again at once; the diode's
//! data are compared at every reading for the same reason. Not here: its table of duty over temperature, which stays unused.

use super::{FanError, Fans, share};
use crate::bus::{BusError, I2c, Message};
use crate::sensor::{Sensor, SensorError, byte};
use model::{Celsius, Diode, DiodeTune, FanId, Percent, Rpm};

const INTERNAL: u8 = 0x00;
const EXTERNAL_HIGH: u8 = 0x01;
const EXTERNAL_LOW: u8 = 0x10;
const CONFIGURATION: u8 = 0x03;
/// The pin is the tach's input, not an alert.
const TACH_INPUT: u8 = 0x04;
const IDEALITY: u8 = 0x17;
const BETA: u8 = 0x18;
const TACH_LOW: u8 = 0x46;
const TACH_HIGH: u8 = 0x47;
const FAN_CONFIGURATION: u8 = 0x4a;
/// Duty by register instead of table, and the tach counted in full (ESP-Miner writes the same).
const DIRECT: u8 = 0x23;
const DUTY: u8 = 0x4c;
const PWM_FREQUENCY: u8 = 0x4d;
/// The duty's register is compared with twice this number: 31 spreads it over all 64 steps. With 23, as after power-on, everything
/// from 46 on would be full. It is also the divider: 5.8 kHz instead of 7.8 kHz, which four-wire fans take as well.
const ALL_STEPS: u8 = 0x1f;
const FULL: f64 = 63.0;
const PRODUCT: u8 = 0xfd;
const PRODUCTS: [u8; 2] = [0x16, 0x28];
const MAKER: u8 = 0xfe;
const MICROCHIP: u8 = 0x5d;
/// Turns a minute × count.
const TACH_FACTOR: f64 = 5_400_000.0;
const STOPPED: u16 = 0xffff;
/// Steps of 0.125 °C that are no temperature.
const OPEN: u16 = 0x3f8;
const SHORT: u16 = 0x3ff;
/// The coldest that the part works at.
const COLDEST: f64 = -55.0;

/// One controller.
#[derive(Clone, Copy, Debug)]
pub struct Emc2101 {
    address: u8,
}

impl Emc2101 {
    /// The controller at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Emc2101 {
        Emc2101 { address }
    }
}

impl Fans for Emc2101 {
    fn set_duty(&mut self, bus: &mut dyn I2c, fan: FanId, duty: Percent) -> Result<(), FanError> {
        only(fan)?;
        let value = (share(duty) * FULL).round() as u8;
        let writes = [(CONFIGURATION, TACH_INPUT), (FAN_CONFIGURATION, DIRECT), (PWM_FREQUENCY, ALL_STEPS), (DUTY, value)];
        for (register, value) in writes {
            bus.transfer(self.address, &mut [Message::Write(&[register, value])])?;
        }
        Ok(())
    }

    fn rpm(&mut self, bus: &mut dyn I2c, fan: FanId) -> Result<Option<Rpm>, FanError> {
        only(fan)?;
        // The low byte first: reading it holds the high one.
        let (low, high) = (byte(bus, self.address, TACH_LOW)?, byte(bus, self.address, TACH_HIGH)?);
        Ok(match u16::from_be_bytes([high, low]) {
            0 => None,
            STOPPED => Some(Rpm(0.0)),
            count => Some(Rpm(TACH_FACTOR / f64::from(count))),
        })
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

/// One of the part's two temperatures.
#[derive(Clone, Copy, Debug)]
pub struct Emc2101Sensor {
    address: u8,
    diode: Diode,
    tune: Option<DiodeTune>,
}

impl Emc2101Sensor {
    /// The temperature of that diode, which may need data.
    #[must_use]
    pub const fn new(address: u8, diode: Diode, tune: Option<DiodeTune>) -> Emc2101Sensor {
        Emc2101Sensor { address, diode, tune }
    }

    fn read_external(&self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        if let Some(t) = self.tune
            && tune(bus, self.address, [(IDEALITY, t.ideality), (BETA, t.beta)])?
        {
            return Err(SensorError::Settling);
        }
        // The high byte first: reading it holds the low one.
        let (high, low) = (byte(bus, self.address, EXTERNAL_HIGH)?, byte(bus, self.address, EXTERNAL_LOW)?);
        let raw = u16::from_be_bytes([high, low]);
        let celsius = f64::from(raw.cast_signed()) / 256.0;
        match raw >> 5 {
            _ if raw & 0x1f != 0 || celsius < COLDEST => Err(SensorError::Absurd { raw }),
            OPEN => Err(SensorError::OpenCircuit),
            SHORT => Err(SensorError::Short),
            _ => Ok(Celsius(celsius)),
        }
    }
}

/// Writes what reads back otherwise; `true` where something did.
pub(super) fn tune(bus: &mut dyn I2c, address: u8, data: [(u8, u8); 2]) -> Result<bool, BusError> {
    let mut new = false;
    for (register, value) in data {
        if byte(bus, address, register)? != value {
            bus.transfer(address, &mut [Message::Write(&[register, value])])?;
            new = true;
        }
    }
    Ok(new)
}

impl Sensor for Emc2101Sensor {
    fn read(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        match self.diode {
            Diode::Local => {}
            Diode::Remote => return self.read_external(bus),
            Diode::SecondRemote => return Err(SensorError::Foreign),
        }
        let raw = byte(bus, self.address, INTERNAL)?;
        let celsius = f64::from(raw.cast_signed());
        if celsius < COLDEST { Err(SensorError::Absurd { raw: raw.into() }) } else { Ok(Celsius(celsius)) }
    }

    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        identify(bus, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    /// As a Bitaxe Gamma has it.
    const GAMMA: DiodeTune = DiodeTune { ideality: 0x24, beta: 0x00 };

    fn external(answers: &[u8]) -> (Result<Celsius, SensorError>, Vec<Vec<u8>>) {
        let answers: Vec<&[u8]> = answers.iter().map(std::slice::from_ref).collect();
        let mut bus = Recorder::answering(&answers);
        let value = Emc2101Sensor::new(0x4c, Diode::Remote, Some(GAMMA)).read(&mut bus);
        (value, bus.written.into_iter().map(|(_, bytes)| bytes).collect())
    }

    #[test]
    fn duty_has_64_steps_and_nonsense_is_full() {
        for (percent, value) in [(0.0, 0), (50.0, 32), (100.0, 63), (1e9, 63), (-1.0, 0), (f64::NAN, 63)] {
            let mut bus = Recorder::answering(&[]);
            Emc2101::new(0x4c).set_duty(&mut bus, FanId(0), Percent(percent)).expect("answers");
            let written: Vec<_> = bus.written.iter().map(|(_, bytes)| bytes.as_slice()).collect();
            assert_eq!(written, [&[0x03, 0x04][..], &[0x4a, 0x23], &[0x4d, 0x1f], &[0x4c, value]]);
        }
    }

    #[test]
    fn speed_stop_and_nonsense_of_the_tach() {
        let rpm = |low, high| {
            let mut bus = Recorder::answering(&[&[low], &[high]]);
            let rpm = Emc2101::new(0x4c).rpm(&mut bus, FanId(0)).expect("answers");
            assert_eq!(bus.written, [(0x4c, vec![0x46]), (0x4c, vec![0x47])]);
            rpm
        };
        assert_eq!(rpm(0xe8, 0x03), Some(Rpm(5400.0)));
        assert_eq!(rpm(0xff, 0xff), Some(Rpm(0.0)));
        assert_eq!(rpm(0, 0), None);
    }

    #[test]
    fn a_second_fan_is_refused_and_an_absent_part_told() {
        let refused = Emc2101::new(0x4c).set_duty(&mut Recorder::answering(&[]), FanId(1), Percent(1.0));
        assert!(matches!(refused, Err(FanError::NoSuchFan { fan: 1, fans: 1 })));
        let absent = Emc2101::new(0x4c).rpm(&mut Recorder::absent(), FanId(0));
        assert!(matches!(absent, Err(FanError::Bus(BusError::Nack(0x4c)))));
    }

    #[test]
    fn the_diodes_temperature_in_eighths() {
        for (high, low, celsius) in [(0x19, 0x20, 25.125), (0x7e, 0xe0, 126.875), (0x00, 0x00, 0.0), (0xff, 0xe0, -0.125)] {
            let (value, asked) = external(&[0x24, 0x00, high, low]);
            assert_eq!(value.expect("a value"), Celsius(celsius));
            assert_eq!(asked, [[0x17], [0x18], [0x01], [0x10]]);
        }
    }

    #[test]
    fn open_short_and_nonsense_are_told_apart() {
        assert!(matches!(external(&[0x24, 0x00, 0x7f, 0x00]).0, Err(SensorError::OpenCircuit)));
        assert!(matches!(external(&[0x24, 0x00, 0x7f, 0xe0]).0, Err(SensorError::Short)));
        assert!(matches!(external(&[0x24, 0x00, 0xff, 0xff]).0, Err(SensorError::Absurd { raw: 0xffff })));
        assert!(matches!(external(&[0x24, 0x00, 0x80, 0x00]).0, Err(SensorError::Absurd { raw: 0x8000 })));
        let absent = Emc2101Sensor::new(0x4c, Diode::Local, None).read(&mut Recorder::absent());
        assert!(matches!(absent, Err(SensorError::Bus(BusError::Nack(0x4c)))));
    }

    #[test]
    fn a_part_that_lost_its_power_gets_its_diodes_data_again() {
        let (value, written) = external(&[0x12, 0x08]);
        assert!(matches!(value, Err(SensorError::Settling)));
        assert_eq!(written, [vec![0x17], vec![0x17, 0x24], vec![0x18], vec![0x18, 0x00]]);
    }

    #[test]
    fn without_data_the_diode_is_read_as_the_part_starts() {
        let mut bus = Recorder::answering(&[&[0x2a], &[0x00]]);
        let value = Emc2101Sensor::new(0x4c, Diode::Remote, None).read(&mut bus);
        assert_eq!(value.expect("a value"), Celsius(42.0));
        let second = Emc2101Sensor::new(0x4c, Diode::SecondRemote, None).read(&mut Recorder::answering(&[]));
        assert!(matches!(second, Err(SensorError::Foreign)));
    }

    #[test]
    fn its_own_temperature_is_whole_degrees() {
        let internal = |b: u8| Emc2101Sensor::new(0x4c, Diode::Local, None).read(&mut Recorder::answering(&[&[b]]));
        assert_eq!(internal(0x2a).expect("a value"), Celsius(42.0));
        assert_eq!(internal(0xf6).expect("a value"), Celsius(-10.0));
        assert!(matches!(internal(0x80), Err(SensorError::Absurd { raw: 0x80 })));
    }

    #[test]
    fn it_knows_both_of_its_kinds() {
        let identify =
            |maker, product| Emc2101::new(0x4c).identify(&mut Recorder::answering(&[&[maker], &[product]])).expect("answers");
        assert!(identify(0x5d, 0x16));
        assert!(identify(0x5d, 0x28));
        assert!(!identify(0x5d, 0x34));
        assert!(!identify(0xff, 0xff));
    }
}
