//! Our own small bus traits: the seam between drivers and the world. Implementors are Linux's ([`tty`], [`i2c`], [`gpio`], [`spi`]), the
//! controller of a USB board ([`usb_control`]), the simulator's and a way to the simulator's ([`socket`]); nothing above knows which. Not here: any knowledge of a part.

pub mod gpio;
pub mod i2c;
pub mod open;
pub mod pwm;
#[cfg(test)]
pub(crate) mod record;
pub mod socket;
pub mod spi;
pub mod tty;
pub mod usb;
pub mod usb_control;

use model::{Baud, Percent};

/// Why a bus operation failed. The caller adds what it was for.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No part acknowledged this address.
    #[error("nothing answers at address 0x{0:02x}")]
    Nack(u8),
    /// The line runs at another rate than asked.
    #[error("asked the line for {asked} baud, it reads back {got}")]
    Baud {
        /// Asked for.
        asked: u32,
        /// Read back.
        got: u32,
    },
    /// The device is gone (unplugged, hung up).
    #[error("the device is gone")]
    Gone,
    /// The operating system said no.
    #[error("{attempt}")]
    Os {
        /// What was attempted.
        attempt: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// A serial line, 8N1. It never blocks.
pub trait Uart: Send {
    /// Sends all bytes or says why not.
    ///
    /// # Errors
    /// The line is gone or its buffer stays full.
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError>;
    /// Takes what has arrived; 0 means nothing has.
    ///
    /// # Errors
    /// The line is gone.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError>;
    /// Sets the rate and reads it back: rates within 3 % of the one asked for are taken.
    ///
    /// # Errors
    /// [`BusError::Baud`] where the hardware fell back to another rate.
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError>;
    /// Whether its owner is woken when bytes arrive. Without that it must be read by the clock.
    fn wakes(&self) -> bool {
        false
    }
}

impl Uart for Box<dyn Uart> {
    fn wakes(&self) -> bool {
        (**self).wakes()
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        (**self).write(bytes)
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        (**self).read(buffer)
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        (**self).set_baud(baud)
    }
}

/// One message of an I²C transfer.
#[derive(Debug)]
pub enum Message<'a> {
    /// To the part.
    Write(&'a [u8]),
    /// From the part, the whole buffer.
    Read(&'a mut [u8]),
}

/// An I²C bus. A transfer is all its messages with repeated starts between them.
pub trait I2c: Send {
    /// Runs one transfer with the part at the 7-bit `address`.
    ///
    /// # Errors
    /// [`BusError::Nack`] where nothing answers, [`BusError::Os`] else.
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError>;
}

/// The lines of a GPIO chip, by their offset.
pub trait Gpio: Send {
    /// Drives a line.
    ///
    /// # Errors
    /// The line is taken by another program or the chip is gone.
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError>;
    /// Reads a line.
    ///
    /// # Errors
    /// As for [`Gpio::set`].
    fn get(&mut self, line: u32) -> Result<bool, BusError>;
    /// How often a line fell since it was first asked for here; a tach's pulses. A line that is asked for too rarely loses
    /// nothing. The count starts anew where the lines were opened anew.
    ///
    /// # Errors
    /// As for [`Gpio::set`], and where these lines count nothing.
    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        Err(BusError::Os { attempt: format!("count edges of GPIO line {line}"), source: std::io::ErrorKind::Unsupported.into() })
    }
}

/// The outputs of a PWM chip, by their channel.
pub trait Pwm: Send {
    /// Gives an output this duty: the part of the time that it is high.
    ///
    /// # Errors
    /// There is no such channel, the duty is no number, or the chip is gone.
    fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError>;
}

/// For machines without PWM outputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPwm;

impl Pwm for NoPwm {
    fn set(&mut self, channel: u32, _duty: Percent) -> Result<(), BusError> {
        Err(BusError::Os { attempt: format!("drive PWM output {channel}"), source: std::io::ErrorKind::NotFound.into() })
    }
}

/// When an SPI device reads and writes its lines, by polarity and phase of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpiMode {
    /// The clock rests low, the first edge reads.
    Zero,
    /// The clock rests low, the second edge reads.
    One,
}

/// One device on an SPI bus, eight bits a word.
pub trait Spi: Send {
    /// Sets mode and clock.
    ///
    /// # Errors
    /// The controller cannot do it.
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError>;
    /// Clocks all bytes out, and in their places what comes in meanwhile.
    ///
    /// # Errors
    /// The controller refuses or is gone.
    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError>;
}

impl Spi for Box<dyn Spi> {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        (**self).configure(mode, hertz)
    }
    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        (**self).transfer(bytes)
    }
}
