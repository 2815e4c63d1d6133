//! Sensors, one file a part: temperatures, and what a board takes.
//!
//! A sensor that measures nothing says so: an open line, a short and a value that no such part measures are errors of their own,
//! and never a number. Not here: what is too hot, or how old a reading may be.

pub mod ina260;
pub mod tmp451;
pub mod tmp75;

use crate::bus::{BusError, I2c, Message};
use crate::fan::emc2101::Emc2101Sensor;
use crate::fan::emc2103::Emc2103Sensor;
use model::{Celsius, SensorPart};

/// Why a sensor gave no value.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The measured diode is not connected.
    #[error("the sensor's diode is not connected (open circuit)")]
    OpenCircuit,
    /// The measured diode is shorted.
    #[error("the sensor's diode is shorted")]
    Short,
    /// The measured diode is one of both: the part does not say which.
    #[error("the sensor's diode is not connected or shorted")]
    OpenOrShort,
    /// It gave what no part of its kind measures: another part, a part without power, or a bus that hangs.
    #[error("the sensor gives 0x{raw:04x}, which it cannot have measured")]
    Absurd {
        /// The register as it was read.
        raw: u16,
    },
    /// Another part answers at its address; nothing was written to it.
    #[error("another part than the sensor answers at its address")]
    Foreign,
    /// It was found in another mode than it is read in (it lost its power, or was never set up) and put right; the next
    /// reading counts.
    #[error("the sensor was just set up and has not measured yet")]
    Settling,
    /// The bus failed; a part that does not answer is [`BusError::Nack`].
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A temperature sensor: one place that a part measures. A part with two has two of these.
pub trait Sensor: Send {
    /// Reads it.
    ///
    /// # Errors
    /// There is no value: see [`SensorError`].
    fn read(&mut self, bus: &mut dyn I2c) -> Result<Celsius, SensorError>;

    /// Whether the part is the one that it is taken for; only read, never written. A part without an identity of its own is
    /// taken for itself where it answers.
    ///
    /// # Errors
    /// The bus's.
    fn identify(&self, bus: &mut dyn I2c) -> Result<bool, BusError>;
}

/// The driver of a sensor on the shared bus; `None` where the part is reached another way.
#[must_use]
pub fn driver(part: SensorPart) -> Option<Box<dyn Sensor>> {
    Some(match part {
        SensorPart::Tmp75 { address } => Box::new(tmp75::Tmp75::new(address)),
        SensorPart::Tmp451 { address, diode } => Box::new(tmp451::Tmp451::new(address, diode)),
        SensorPart::Emc2101 { address, diode, tune } => Box::new(Emc2101Sensor::new(address, diode, tune)),
        SensorPart::Emc2103 { address, diode, tune } => Box::new(Emc2103Sensor::new(address, diode, tune)),
        SensorPart::Regulator | SensorPart::OnChip | SensorPart::ThroughChip { .. } => return None,
    })
}

/// A register of one byte.
pub(crate) fn byte(bus: &mut dyn I2c, address: u8, register: u8) -> Result<u8, BusError> {
    let mut b = [0];
    bus.transfer(address, &mut [Message::Write(&[register]), Message::Read(&mut b)])?;
    Ok(b[0])
}

/// A register of two bytes, most significant first.
pub(crate) fn word(bus: &mut dyn I2c, address: u8, register: u8) -> Result<u16, BusError> {
    let mut b = [0; 2];
    bus.transfer(address, &mut [Message::Write(&[register]), Message::Read(&mut b)])?;
    Ok(u16::from_be_bytes(b))
}
