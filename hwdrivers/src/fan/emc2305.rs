//! Microchip EMC2305, five fans with tach; the EMC2301 to 2303 are the same with fewer. Duty is driven directly: its own speed
//! control is switched off with every duty, for whoever ran before may have left it on, and it takes the same register for where it
//! starts from. The curve is decided elsewhere.

use super::{FanError, Fans, rpm_of_13_bits, share};
use crate::bus::{BusError, I2c, Message};
use crate::sensor::byte;
use model::{FanId, Percent, Rpm};

/// Fans that one part drives.
pub const FANS: u8 = 5;
const FAN_BASE: u8 = 0x30;
const FAN_STRIDE: u8 = 0x10;
const DUTY: u8 = 0x00;
const CONFIG: u8 = 0x02;
/// As after reset: no speed control of its own, tach range 2×, two poles.
const DIRECT: u8 = 0x2b;
const TACH_HIGH: u8 = 0x0e;
const TACH_LOW: u8 = 0x0f;
const PRODUCT: u8 = 0xfd;
const MAKER: u8 = 0xfe;
const MICROCHIP: u8 = 0x5d;

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
}

impl Fans for Emc2305 {
    fn set_duty(&mut self, bus: &mut dyn I2c, fan: FanId, duty: Percent) -> Result<(), FanError> {
        let value = (share(duty) * 255.0).round() as u8;
        let base = base(fan)?;
        bus.transfer(self.address, &mut [Message::Write(&[base + CONFIG, DIRECT])])?;
        Ok(bus.transfer(self.address, &mut [Message::Write(&[base + DUTY, value])])?)
    }

    fn rpm(&mut self, bus: &mut dyn I2c, fan: FanId) -> Result<Option<Rpm>, FanError> {
        let base = base(fan)?;
        let configuration = byte(bus, self.address, base + CONFIG)?;
        // The high byte first: reading it holds the low one.
        let high = byte(bus, self.address, base + TACH_HIGH)?;
        Ok(rpm_of_13_bits(configuration, high, byte(bus, self.address, base + TACH_LOW)?))
    }

    /// True for every part of this family.
    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError> {
        let (maker, product) = (byte(bus, self.address, MAKER)?, byte(bus, self.address, PRODUCT)?);
        Ok(maker == MICROCHIP && (0x34..=0x37).contains(&product))
    }
}

fn base(fan: FanId) -> Result<u8, FanError> {
    if fan.0 < FANS { Ok(FAN_BASE + FAN_STRIDE * fan.0) } else { Err(FanError::NoSuchFan { fan: fan.0, fans: FANS }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn part() -> Emc2305 {
        Emc2305::new(0x2d)
    }

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
            part().set_duty(&mut bus, FanId(fan), Percent(percent)).expect("answers");
            assert_eq!(bus.written, [(0x2d, vec![wire[0] + 2, 0x2b]), (0x2d, wire.to_vec())]);
        }
    }

    #[test]
    fn speed_is_read_with_its_range() {
        // 0x2B is the reset value: range 2×. A count of 1311 is 5,999 rpm.
        let count = 1311u16 << 3;
        let mut bus = Recorder::answering(&[&[0x2b], &[(count >> 8) as u8], &[count as u8]]);
        let rpm = part().rpm(&mut bus, FanId(2)).expect("answers").expect("turns");
        assert!((rpm.0 - 5998.7).abs() < 0.1, "{rpm}");
        assert_eq!(bus.written, [(0x2d, vec![0x52]), (0x2d, vec![0x5e]), (0x2d, vec![0x5f])]);
    }

    #[test]
    fn a_stopped_fan_is_zero_and_an_impossible_count_is_none() {
        let read = |high, low| part().rpm(&mut Recorder::answering(&[&[0x2b], &[high], &[low]]), FanId(0)).expect("answers");
        assert_eq!(read(0xff, 0xf8), Some(Rpm(0.0)));
        assert_eq!(read(0, 0), None);
    }

    #[test]
    fn a_sixth_fan_is_refused_and_an_absent_part_told() {
        let mut bus = Recorder::answering(&[]);
        assert!(matches!(part().set_duty(&mut bus, FanId(5), Percent(1.0)), Err(FanError::NoSuchFan { fan: 5, fans: 5 })));
        assert!(bus.written.is_empty());
        assert!(matches!(part().rpm(&mut Recorder::absent(), FanId(0)), Err(FanError::Bus(BusError::Nack(0x2d)))));
    }

    #[test]
    fn it_knows_its_family() {
        assert!(part().identify(&mut Recorder::answering(&[&[0x5d], &[0x34]])).expect("answers"));
        assert!(!part().identify(&mut Recorder::answering(&[&[0x5d], &[0x16]])).expect("answers"));
    }
}
