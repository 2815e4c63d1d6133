//! A bus by its path in the settings: a device of Linux, or a simulation's socket. One place decides which, so that who drives a
//! machine and who makes it safe can never disagree. Not here: serial lines, which are ttys in both cases.

use super::gpio::LinuxGpio;
use super::i2c::LinuxI2c;
use super::socket::{SocketGpio, SocketI2c};
use super::{BusError, Gpio, I2c};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens the I²C bus at this path.
///
/// # Errors
/// It is not there, is none, or may not be opened.
pub fn i2c(path: &Path) -> Result<Box<dyn I2c>, BusError> {
    Ok(if is_socket(path) { Box::new(SocketI2c::open(path)?) } else { Box::new(LinuxI2c::open(path)?) })
}

/// Opens the GPIO lines at this path.
///
/// # Errors
/// As for [`i2c`].
pub fn gpio(path: &Path) -> Result<Box<dyn Gpio>, BusError> {
    Ok(if is_socket(path) { Box::new(SocketGpio::open(path)?) } else { Box::new(LinuxGpio::open(path)?) })
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}
