//! A bus by its path in the settings: a device of Linux, the serial line of a USB board's controller, or a simulation's socket.
//! One place decides which, so that who drives a machine and who makes it safe can never disagree. I²C and GPIO of a USB board
//! have one path, and share the line. Not here: the chips' serial lines, which are ttys in all cases.

use super::gpio::LinuxGpio;
use super::i2c::LinuxI2c;
use super::pwm::LinuxPwm;
use super::socket::{SocketGpio, SocketI2c, SocketPwm};
use super::usb_control::Handle;
use super::{BusError, Gpio, I2c, Pwm};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// Opens the I²C bus at this path.
///
/// # Errors
/// It is not there, is none, or may not be opened.
pub fn i2c(path: &Path) -> Result<Box<dyn I2c>, BusError> {
    Ok(match kind(path) {
        Kind::Socket => Box::new(SocketI2c::open(path)?),
        Kind::Tty => Box::new(Handle::open(path)?),
        Kind::Device => Box::new(LinuxI2c::open(path)?),
    })
}

/// Opens the GPIO lines at this path.
///
/// # Errors
/// As for [`i2c`].
pub fn gpio(path: &Path) -> Result<Box<dyn Gpio>, BusError> {
    Ok(match kind(path) {
        Kind::Socket => Box::new(SocketGpio::open(path)?),
        Kind::Tty => Box::new(Handle::open(path)?),
        Kind::Device => Box::new(LinuxGpio::open(path)?),
    })
}

/// Opens the PWM outputs at this path, a chip's folder in sysfs or a simulation's socket; a real one gets this period.
///
/// # Errors
/// As for [`i2c`].
pub fn pwm(path: &Path, period: Duration) -> Result<Box<dyn Pwm>, BusError> {
    Ok(match kind(path) {
        Kind::Socket => Box::new(SocketPwm::open(path)?),
        Kind::Tty | Kind::Device => Box::new(LinuxPwm::open(path, period)?),
    })
}

enum Kind {
    Socket,
    Tty,
    Device,
}

/// The major numbers of serial lines: 4 ttyS, 136 to 143 pts, 166 ttyACM, 188 ttyUSB, 204 lines of a processor's own (Linux,
/// admin-guide/devices.txt). Those with a number of no fixed kind are known by their place in sysfs.
const SERIAL_MAJORS: [u32; 12] = [4, 136, 137, 138, 139, 140, 141, 142, 143, 166, 188, 204];

fn kind(path: &Path) -> Kind {
    let Ok(meta) = std::fs::metadata(path) else { return Kind::Device };
    let device = meta.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let in_tty_class = || {
        let class = std::fs::canonicalize(format!("/sys/dev/char/{major}:{minor}/subsystem"));
        class.is_ok_and(|class| class.ends_with("tty"))
    };
    match meta.file_type() {
        t if t.is_socket() => Kind::Socket,
        t if t.is_char_device() && (SERIAL_MAJORS.contains(&major) || in_tty_class()) => Kind::Tty,
        _ => Kind::Device,
    }
}
