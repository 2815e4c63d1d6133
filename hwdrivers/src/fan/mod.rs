//! Fans, one file a part. Duty is driven directly: no part's own speed control is used, for the curve is decided elsewhere.

pub mod emc2101;
pub mod emc2103;
pub mod emc2305;
pub mod pwm;

use crate::bus::{BusError, I2c};
use model::{FanId, FanPart, Percent, Rpm};

/// Why a fan could not be driven or read.
#[derive(Debug, thiserror::Error)]
pub enum FanError {
    /// The part has fewer.
    #[error("there is no fan {fan}: the controller has {fans}")]
    NoSuchFan {
        /// Which was asked for, from 0.
        fan: u8,
        /// How many there are.
        fans: u8,
    },
    /// The bus failed; a part that does not answer is [`BusError::Nack`].
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A controller of fans on an I²C bus.
pub trait Fans: Send {
    /// Drives a fan. A duty that is no number counts as full: too loud is better than too hot.
    ///
    /// # Errors
    /// No such fan, or the bus's.
    fn set_duty(&mut self, bus: &mut dyn I2c, fan: FanId, duty: Percent) -> Result<(), FanError>;

    /// What a fan turns: 0 where the tach sees no edge, `None` where the count makes no sense.
    ///
    /// # Errors
    /// No such fan, or the bus's.
    fn rpm(&mut self, bus: &mut dyn I2c, fan: FanId) -> Result<Option<Rpm>, FanError>;

    /// Whether the part is the one that it is taken for; only read, never written.
    ///
    /// # Errors
    /// The bus's.
    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError>;
}

/// The driver of a controller on the shared bus; `None` where fans are driven another way, or there are none.
#[must_use]
pub fn driver(part: FanPart) -> Option<Box<dyn Fans>> {
    Some(match part {
        FanPart::Emc2305 { address } => Box::new(emc2305::Emc2305::new(address)),
        FanPart::Emc2101 { address } => Box::new(emc2101::Emc2101::new(address)),
        FanPart::Emc2103 { address } => Box::new(emc2103::Emc2103::new(address)),
        FanPart::Pwm(_) | FanPart::None => return None,
    })
}

/// A duty as a part of 1; full where it is no number.
pub(crate) fn share(duty: Percent) -> f64 {
    if duty.0.is_nan() { 1.0 } else { (duty.0 / 100.0).clamp(0.0, 1.0) }
}

/// What a fan turns by the 13-bit tach that EMC2103 and EMC2305 share: `high` and `low` as read, `configuration` the fan's first
/// register of that name.
pub(crate) fn rpm_of_13_bits(configuration: u8, high: u8, low: u8) -> Option<Rpm> {
    /// 60 s × 32.768 kHz × (5 edges − 1) / 2 poles.
    const FACTOR: f64 = 3_932_160.0;
    /// A count of all ones: the tach saw no edge in time.
    const STOPPED: u16 = 0x1fff;
    // Bits 6-5 are the range; the tach counts slower by it.
    let multiplier = f64::from(1u8 << (configuration >> 5 & 3));
    match u16::from(high) << 5 | u16::from(low >> 3) {
        0 => None,
        STOPPED => Some(Rpm(0.0)),
        count => Some(Rpm(FACTOR * multiplier / f64::from(count))),
    }
}
