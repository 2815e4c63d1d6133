//! Microchip EMC2305, five fans with tach; the EMC2301 to 2303 are the same with fewer. Duty is driven directly: its own speed
//! control stays off, for the curve is decided elsewhere.

use crate::bus::{BusError, I2c, Message};
use model::{FanId, Percent, Rpm};

/// Fans that one part drives.
pub const FANS: u8 = 5;
const FAN_BASE: u8 = 0x30;
const FAN_STRIDE: u8 = 0x10;
const DUTY: u8 = 0x00;
const CONFIG: u8 = 0x02;
const TACH_HIGH: u8 = 0x0e;
const TACH_LOW: u8 = 0x0f;
const PRODUCT: u8 = 0xfd;
const MAKER: u8 = 0xfe;
const MICROCHIP: u8 = 0x5d;
/// A count of all ones: the tach saw no edge in time.
const STOPPED: u16 = 0x1fff;

/// Why a fan could not be driven or read.
#[derive(Debug, thiserror::Error)]
pub enum FanError {
    /// The part has fewer.
    #[error("fan {0} of a controller with {FANS}")]
    NoSuchFan(u8),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// One controller.
#[derive(Clone, Copy, Debug)]
pub struct Emc2305 {
    address: u8,
}

impl Emc2305 {
    /// The controller at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Emc2305 {
        Emc2305 { address }
    }

    /// Reads maker and product; `true` where it is a part of this family.
    ///
    /// # Errors
    /// The bus's.
    pub fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        let (maker, product) = (self.get(bus, MAKER)?, self.get(bus, PRODUCT)?);
        Ok(maker == MICROCHIP && (0x34..=0x37).contains(&product))
    }

    /// Drives a fan. A duty that is no number counts as full: too loud is better than too hot.
    ///
    /// # Errors
    /// No such fan, or the bus's.
    pub fn set_duty(&self, bus: &mut dyn I2c, fan: FanId, duty: Percent) -> Result<(), FanError> {
        let share = if duty.0.is_nan() { 1.0 } else { (duty.0 / 100.0).clamp(0.0, 1.0) };
        let value = (share * 255.0).round() as u8;
        Ok(bus.transfer(self.address, &mut [Message::Write(&[base(fan)? + DUTY, value])])?)
    }

    /// What a fan turns: 0 where the tach sees no edge, `None` where the count makes no sense.
    ///
    /// # Errors
    /// No such fan, or the bus's.
    pub fn rpm(&self, bus: &mut dyn I2c, fan: FanId) -> Result<Option<Rpm>, FanError> {
        let base = base(fan)?;
        // Bits 6-5 are the range; the tach counts slower by it.
        let multiplier = 1u32 << (self.get(bus, base + CONFIG)? >> 5 & 3);
        // The high byte first: reading it holds the low one.
        let (high, low) = (self.get(bus, base + TACH_HIGH)?, self.get(bus, base + TACH_LOW)?);
        let count = u16::from(high) << 5 | u16::from(low >> 3);
        Ok(match count {
            0 => None,
            STOPPED => Some(Rpm(0.0)),
            count => Some(Rpm(3_932_160.0 * f64::from(multiplier) / f64::from(count))),
        })
    }

    fn get(&self, bus: &mut dyn I2c, register: u8) -> Result<u8, BusError> {
        let mut b = [0];
        bus.transfer(self.address, &mut [Message::Write(&[register]), Message::Read(&mut b)])?;
        Ok(b[0])
    }
}

fn base(fan: FanId) -> Result<u8, FanError> {
    if fan.0 < FANS { Ok(FAN_BASE + FAN_STRIDE * fan.0) } else { Err(FanError::NoSuchFan(fan.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    const PART: Emc2305 = Emc2305::new(0x2d);

    #[test]
    fn duty_goes_to_the_fans_own_register_and_nonsense_is_full() {
        for (fan, percent, wire) in [
            (0, 0.0, [0x30, 0]),
            (0, 100.0, [0x30, 255]),
            (3, 50.0, [0x60, 128]),
            (4, 1e9, [0x70, 255]),
            (1, f64::NAN, [0x40, 255]),
        ] {
            let mut bus = Recorder::answering(&[]);
            PART.set_duty(&mut bus, FanId(fan), Percent(percent)).expect("answers");
            assert_eq!(bus.written, [(0x2d, wire.to_vec())]);
        }
    }

    #[test]
    fn speed_is_read_with_its_range() {
        // 0x2B is the reset value: range 2×. A count of 1311 is 5,999 rpm.
        let count = 1311u16 << 3;
        let mut bus = Recorder::answering(&[&[0x2b], &[(count >> 8) as u8], &[count as u8]]);
        let rpm = PART.rpm(&mut bus, FanId(2)).expect("answers").expect("turns");
        assert!((rpm.0 - 5998.7).abs() < 0.1, "{rpm}");
        assert_eq!(bus.written, [(0x2d, vec![0x52]), (0x2d, vec![0x5e]), (0x2d, vec![0x5f])]);
    }

    #[test]
    fn a_stopped_fan_is_zero_and_an_impossible_count_is_none() {
        let read = |high, low| PART.rpm(&mut Recorder::answering(&[&[0x2b], &[high], &[low]]), FanId(0)).expect("answers");
        assert_eq!(read(0xff, 0xf8), Some(Rpm(0.0)));
        assert_eq!(read(0, 0), None);
    }

    #[test]
    fn a_sixth_fan_is_refused_and_an_absent_part_told() {
        let mut bus = Recorder::answering(&[]);
        assert!(matches!(PART.set_duty(&mut bus, FanId(5), Percent(1.0)), Err(FanError::NoSuchFan(5))));
        assert!(bus.written.is_empty());
        assert!(matches!(PART.rpm(&mut Recorder::absent(), FanId(0)), Err(FanError::Bus(BusError::Nack(0x2d)))));
    }

    #[test]
    fn it_knows_its_family() {
        assert!(PART.identify(&mut Recorder::answering(&[&[0x5d], &[0x34]])).expect("answers"));
        assert!(!PART.identify(&mut Recorder::answering(&[&[0x5d], &[0x16]])).expect("answers"));
    }
}
