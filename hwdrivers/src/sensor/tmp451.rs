//! TMP451, TMP421 to TMP423, ADT7461 and NCT218: a sensor for its own place and for a diode beside or inside another chip, in one
//! register map with small differences.
//!
//! They are read in their extended range, code 0 at −64 °C: in the other one a TMP451 and an ADT7461 give 0 °C for all that is
//! colder and for a short, and stop at 127 °C. A part that is found in the other range is put into this one. Boards of one kind
//! carry one or the other, so a part is asked what it is before it is read. Not here: what a chip is warmer than its board where no
//! diode is connected.

use super::{Sensor, SensorError, byte};
use crate::bus::{BusError, I2c, Message};
use model::{Celsius, Diode};

const MAKER: u8 = 0xfe;
const DEVICE: u8 = 0xff;
const TEXAS_INSTRUMENTS: u8 = 0x55;
const ANALOG_DEVICES: u8 = 0x41;
const ON_SEMICONDUCTOR: u8 = 0x1a;
/// TMP421, 422, 423. A TMP451 has nothing of use in that register.
const TMP42X: std::ops::RangeInclusive<u8> = 0x21..=0x23;

const STATUS: u8 = 0x02;
/// In `STATUS`: the diode is not connected.
const STATUS_OPEN: u8 = 0x04;
/// In the low byte of a TMP42x's temperature: the diode is not connected; the value is not valid.
const LOW_OPEN: u8 = 0x01;
const LOW_INVALID: u8 = 0x02;
/// In the configuration of all of them.
const EXTENDED: u8 = 0x04;
const CONFIGURATION_WRITE: u8 = 0x09;
/// What code 0 means.
const OFFSET: f64 = -64.0;
/// The coldest that any of them measures.
const COLDEST: f64 = -55.0;
/// The whole degrees of a bus that nobody drives.
const NOBODY: u8 = 0xff;

/// Which register map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// TMP451, and TMP411 alike.
    Tmp451,
    /// TMP421, TMP422, TMP423.
    Tmp42x,
    /// ADT7461: its own place in whole degrees.
    Adt7461,
    /// NCT218: its own place alone, in whole degrees; a published driver of such boards reads no diode of it (braiins `tmp451.rs`).
    Nct218,
}

impl Family {
    /// The family of this maker and device; `None` where it is of none. The device is asked for where the maker does not say it.
    ///
    /// # Errors
    /// Whatever asking for the device comes to.
    pub fn of<E>(maker: u8, device: impl FnOnce() -> Result<u8, E>) -> Result<Option<Family>, E> {
        Ok(match maker {
            TEXAS_INSTRUMENTS if TMP42X.contains(&device()?) => Some(Family::Tmp42x),
            TEXAS_INSTRUMENTS => Some(Family::Tmp451),
            ANALOG_DEVICES => Some(Family::Adt7461),
            ON_SEMICONDUCTOR => Some(Family::Nct218),
            _ => None,
        })
    }

    fn configuration(self) -> u8 {
        if self == Family::Tmp42x { CONFIGURATION_WRITE } else { 0x03 }
    }

    /// Whole degrees, and the register with their fraction; `None` where the family has no such diode.
    fn registers(self, diode: Diode) -> Option<(u8, Option<u8>)> {
        match (diode, self) {
            (Diode::Local, Family::Tmp451) => Some((0x00, Some(0x15))),
            (Diode::Local, Family::Tmp42x) => Some((0x00, Some(0x10))),
            (Diode::Local, Family::Adt7461 | Family::Nct218) => Some((0x00, None)),
            (Diode::Remote, Family::Tmp42x) => Some((0x01, Some(0x11))),
            (Diode::SecondRemote, Family::Tmp42x) => Some((0x02, Some(0x12))),
            (Diode::Remote, Family::Tmp451 | Family::Adt7461) => Some((0x01, Some(0x10))),
            (Diode::Remote | Diode::SecondRemote, _) => None,
        }
    }
}

/// One place that one part measures.
#[derive(Clone, Copy, Debug)]
pub struct Tmp451 {
    address: u8,
    diode: Diode,
    /// What the part said it is; forgotten with every failure of the bus, for it may be another one behind it.
    family: Option<Family>,
}

impl Tmp451 {
    /// That place of the part at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8, diode: Diode) -> Tmp451 {
        Tmp451 { address, diode, family: None }
    }

    fn known(&mut self, bus: &mut dyn I2c) -> Result<Family, SensorError> {
        if self.family.is_none() {
            self.family = recognise(bus, self.address)?;
        }
        self.family.ok_or(SensorError::Foreign)
    }

    fn measure(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        let family = self.known(bus)?;
        let (high, low) = family.registers(self.diode).ok_or(SensorError::Foreign)?;
        let configuration = byte(bus, self.address, family.configuration())?;
        if configuration & EXTENDED == 0 {
            let new = configuration | EXTENDED;
            bus.transfer(self.address, &mut [Message::Write(&[CONFIGURATION_WRITE, new])])?;
            return Err(SensorError::Settling);
        }
        // The high byte first: reading it holds the low one.
        let whole = byte(bus, self.address, high)?;
        let fraction = low.map_or(Ok(0), |low| byte(bus, self.address, low))?;
        if self.diode != Diode::Local && whole != NOBODY {
            let open = match family {
                Family::Tmp42x => fraction & LOW_OPEN != 0,
                Family::Tmp451 | Family::Adt7461 | Family::Nct218 => byte(bus, self.address, STATUS)? & STATUS_OPEN != 0,
            };
            if open {
                return Err(SensorError::OpenCircuit);
            }
        }
        if family == Family::Tmp42x && fraction & LOW_INVALID != 0 {
            return Err(SensorError::Absurd { raw: u16::from_be_bytes([whole, fraction]) });
        }
        celsius(self.diode, whole, fraction)
    }
}

/// What family the part at an address is of, by maker and device; `None` where it is of none.
///
/// # Errors
/// The bus's.
pub fn recognise(bus: &mut dyn I2c, address: u8) -> Result<Option<Family>, BusError> {
    let maker = byte(bus, address, MAKER)?;
    Family::of(maker, || byte(bus, address, DEVICE))
}

/// The temperature of a reading in the extended range, for those who read the registers through something else.
///
/// # Errors
/// A short, or what cannot have been measured.
pub fn celsius(diode: Diode, whole: u8, fraction: u8) -> Result<Celsius, SensorError> {
    // Four bits of fraction at most; what is below them are flags.
    let value = f64::from(whole) + f64::from(fraction >> 4) / 16.0 + OFFSET;
    if value <= OFFSET && diode != Diode::Local {
        return Err(SensorError::Short);
    }
    if whole == NOBODY || value < COLDEST {
        return Err(SensorError::Absurd { raw: u16::from_be_bytes([whole, fraction]) });
    }
    Ok(Celsius(value))
}

impl Sensor for Tmp451 {
    fn read(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError> {
        let value = self.measure(bus);
        if matches!(value, Err(SensorError::Bus(_))) {
            self.family = None;
        }
        value
    }

    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        Ok(recognise(bus, self.address)?.and_then(|family| family.registers(self.diode)).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn answering(answers: &[u8]) -> Recorder {
        let answers: Vec<&[u8]> = answers.iter().map(std::slice::from_ref).collect();
        Recorder::answering(&answers)
    }

    /// A part that said already what it is.
    fn read(family: Family, diode: Diode, answers: &[u8]) -> (Result<Celsius, SensorError>, Vec<u8>) {
        let mut bus = answering(answers);
        let value = Tmp451 { family: Some(family), ..Tmp451::new(0x4c, diode) }.read(&mut bus);
        (value, bus.written.into_iter().flat_map(|(_, bytes)| bytes).collect())
    }

    #[test]
    fn datasheet_rows_of_the_extended_range() {
        for (whole, fraction, celsius) in [
            (0x40, 0x00, 0.0),
            (0x41, 0x00, 1.0),
            (0x59, 0x40, 25.25),
            (0xbf, 0xf0, 127.9375),
            (0xd6, 0x00, 150.0),
            (0x0e, 0, -50.0),
        ] {
            let (value, wire) = read(Family::Tmp451, Diode::Remote, &[EXTENDED, whole, fraction, 0]);
            assert_eq!(value.expect("a value"), Celsius(celsius));
            assert_eq!(wire, [0x03, 0x01, 0x10, 0x02]);
        }
    }

    #[test]
    fn each_family_and_place_has_its_registers() {
        for (family, diode, answers, wire) in [
            (Family::Tmp451, Diode::Local, &[4, 0x59, 0x80][..], &[0x03, 0x00, 0x15][..]),
            (Family::Tmp42x, Diode::Local, &[4, 0x59, 0x80], &[0x09, 0x00, 0x10]),
            (Family::Tmp42x, Diode::SecondRemote, &[4, 0x59, 0x80], &[0x09, 0x02, 0x12]),
            (Family::Adt7461, Diode::Remote, &[4, 0x59, 0x80, 0], &[0x03, 0x01, 0x10, 0x02]),
        ] {
            let (value, asked) = read(family, diode, answers);
            assert_eq!((value.expect("a value"), &asked[..]), (Celsius(25.5), wire), "{family:?} {diode:?}");
        }
        let (value, asked) = read(Family::Adt7461, Diode::Local, &[4, 0x59]);
        assert_eq!((value.expect("a value"), asked), (Celsius(25.0), vec![0x03, 0x00]));
        assert!(matches!(read(Family::Tmp451, Diode::SecondRemote, &[]).0, Err(SensorError::Foreign)));
        assert!(matches!(read(Family::Nct218, Diode::Remote, &[]).0, Err(SensorError::Foreign)), "it has no diode");
    }

    #[test]
    fn open_short_and_nonsense_are_told_apart() {
        let remote = |family, answers: &[u8]| read(family, Diode::Remote, answers).0;
        assert!(matches!(remote(Family::Tmp451, &[4, 0x80, 0, STATUS_OPEN]), Err(SensorError::OpenCircuit)));
        assert!(matches!(remote(Family::Tmp42x, &[4, 0x00, LOW_OPEN]), Err(SensorError::OpenCircuit)));
        assert!(matches!(remote(Family::Tmp451, &[4, 0x00, 0x00, 0]), Err(SensorError::Short)));
        assert!(matches!(remote(Family::Tmp42x, &[4, 0x00, 0x00]), Err(SensorError::Short)));
        assert!(matches!(remote(Family::Tmp42x, &[4, 0x60, LOW_INVALID]), Err(SensorError::Absurd { raw: 0x6002 })));
        assert!(matches!(remote(Family::Tmp451, &[0xff, 0xff, 0xff]), Err(SensorError::Absurd { raw: 0xffff })));
        assert!(matches!(remote(Family::Tmp451, &[4, 0x02, 0x00, 0]), Err(SensorError::Absurd { raw: 0x0200 })));
        let local = read(Family::Tmp451, Diode::Local, &[4, 0x00, 0x00]).0;
        assert!(matches!(local, Err(SensorError::Absurd { raw: 0 })), "its own place cannot be shorted");
        let absent = Tmp451::new(0x4c, Diode::Local).read(&mut Recorder::absent());
        assert!(matches!(absent, Err(SensorError::Bus(BusError::Nack(0x4c)))));
    }

    #[test]
    fn a_part_in_the_other_range_is_put_right_and_its_old_value_not_taken() {
        for (family, ask) in [(Family::Tmp451, 0x03), (Family::Tmp42x, 0x09)] {
            let (value, wire) = read(family, Diode::Local, &[0x80]);
            assert!(matches!(value, Err(SensorError::Settling)));
            assert_eq!(wire, [ask, 0x09, 0x84], "its other bits stay");
        }
    }

    #[test]
    fn maker_and_device_tell_the_family() {
        for (maker, device, family) in [
            (0x55, 0x00, Some(Family::Tmp451)),
            (0x55, 0x21, Some(Family::Tmp42x)),
            (0x55, 0x23, Some(Family::Tmp42x)),
            (0x41, 0x57, Some(Family::Adt7461)),
            (0x1a, 0x00, Some(Family::Nct218)),
            (0xff, 0xff, None),
        ] {
            assert_eq!(recognise(&mut answering(&[maker, device]), 0x4c).expect("answers"), family);
            let taken = Tmp451::new(0x4c, Diode::Local).identify(&mut answering(&[maker, device]));
            assert_eq!(taken.expect("answers"), family.is_some());
            let second = Tmp451::new(0x4c, Diode::SecondRemote).identify(&mut answering(&[maker, device]));
            assert_eq!(second.expect("answers"), family == Some(Family::Tmp42x));
        }
    }

    #[test]
    fn a_part_is_asked_once_and_again_when_the_bus_failed() {
        let mut sensor = Tmp451::new(0x4c, Diode::Local);
        let mut bus = answering(&[0x55, 0x00, EXTENDED, 0x59, 0x00, EXTENDED, 0x59, 0x00]);
        assert!(sensor.read(&mut bus).is_ok());
        assert!(sensor.read(&mut bus).is_ok());
        assert!(sensor.read(&mut bus).is_err());
        let mut other = answering(&[0x5d, 0x16]);
        assert!(matches!(sensor.read(&mut other), Err(SensorError::Foreign)));
        assert_eq!(other.written, [(0x4c, vec![0xfe])], "nothing is written to a stranger");
    }
}
