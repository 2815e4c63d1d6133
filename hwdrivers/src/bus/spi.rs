//! An SPI device of Linux (`/dev/spidevB.C`). Not run against a kernel yet: no machine here has a spidev, so the chips behind it
//! are shown on the simulator's [`Spi`] alone. Not here: what is said on it.

use super::{BusError, Spi, SpiMode};
use spidev::{SpiModeFlags, Spidev, SpidevOptions, SpidevTransfer};
use std::path::{Path, PathBuf};

/// Most bytes of one transfer: spidev's buffer, as it is where nobody set `spidev.bufsiz`.
pub const TRANSFER_LIMIT: usize = 4096;

/// One device.
pub struct LinuxSpi {
    device: Spidev,
    path: PathBuf,
}

impl LinuxSpi {
    /// Opens a device such as `/dev/spidev0.0`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<LinuxSpi, BusError> {
        let device = Spidev::open(path);
        device
            .map(|device| LinuxSpi { device, path: path.to_owned() })
            .map_err(|source| BusError::Os { attempt: format!("open SPI device {}", path.display()), source })
    }

    fn error(&self, attempt: &str, source: std::io::Error) -> BusError {
        match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NODEV | rustix::io::Errno::SHUTDOWN) => BusError::Gone,
            _ => BusError::Os { attempt: format!("{attempt} {}", self.path.display()), source },
        }
    }
}

impl Spi for LinuxSpi {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        let mode = match mode {
            SpiMode::Zero => SpiModeFlags::SPI_MODE_0,
            SpiMode::One => SpiModeFlags::SPI_MODE_1,
        };
        let options = SpidevOptions::new().bits_per_word(8).max_speed_hz(hertz).mode(mode).build();
        self.device.configure(&options).map_err(|e| self.error("set mode and clock of", e))
    }

    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        if bytes.len() > TRANSFER_LIMIT {
            let why = format!("{} bytes at once; the limit is {TRANSFER_LIMIT}", bytes.len());
            return Err(self.error("talk to", std::io::Error::new(std::io::ErrorKind::InvalidInput, why)));
        }
        let sent = bytes.to_vec();
        let done = self.device.transfer(&mut SpidevTransfer::read_write(&sent, bytes));
        done.map_err(|e| self.error("talk to", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_spi_device_is_refused_by_name_and_too_much_before_it_is_sent() {
        let error = LinuxSpi::open(Path::new("/nonexistent/spidev0.0")).err().expect("not there");
        assert!(error.to_string().contains("/nonexistent/spidev0.0"), "{error}");
        let mut spi = LinuxSpi::open(Path::new("/dev/null")).expect("opens");
        assert!(spi.configure(SpiMode::One, 1_000_000).is_err_and(|e| e.to_string().contains("/dev/null")));
        assert!(matches!(spi.transfer(&mut [0; 2]), Err(BusError::Os { .. })));
        assert!(spi.transfer(&mut vec![0; TRANSFER_LIMIT + 1]).is_err());
    }
}
