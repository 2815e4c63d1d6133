//! The hardware watchdog: it resets the board when it is not fed. Whether it may be fed is for the keeper to say.
//!
//! Its patience is what the kernel says in `/sys` (CONFIG_WATCHDOG_SYSFS) and stays as the driver set it: setting it takes an
//! ioctl for which no safe call exists.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Where Linux shows it.
pub const PATH: &str = "/dev/watchdog";
/// Where Linux shows its patience, in seconds.
pub const TIMEOUT: &str = "/sys/class/watchdog/watchdog0/timeout";
/// Taken where the kernel does not say it; the shortest of common drivers.
const PATIENCE: Duration = Duration::from_secs(15);
/// The byte that disarms it, so that a clean end is not taken for a hang.
const DISARM: &[u8] = b"V";

/// How long it waits for food. Between two feedings lies a third of it.
pub fn patience(timeout: &Path) -> Duration {
    let said = std::fs::read_to_string(timeout).ok().and_then(|text| text.trim().parse().ok());
    said.filter(|s| (1..=3600).contains(s)).map_or(PATIENCE, Duration::from_secs)
}

/// An armed watchdog; absent on a board that has none.
#[derive(Debug)]
pub struct Watchdog(Option<File>);

impl Watchdog {
    /// Arms it by opening it. A board without one gives a watchdog that does nothing.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    pub fn open(path: &Path) -> io::Result<Watchdog> {
        match File::options().write(true).open(path) {
            Ok(file) => Ok(Watchdog(Some(file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Watchdog(None)),
            Err(e) => Err(e),
        }
    }

    /// One line for the console.
    pub fn shown(&self, path: &Path, period: Duration) -> String {
        match self.0 {
            Some(_) => format!("watchdog {}, fed every {:.1} s while all is well", path.display(), period.as_secs_f64()),
            None => "no hardware watchdog: a board that hangs stays so until somebody comes".to_owned(),
        }
    }

    /// Feeds it.
    ///
    /// # Errors
    /// It does not take food.
    pub fn feed(&mut self) -> io::Result<()> {
        self.write(b"\0")
    }

    /// Disarms it. Dropping it without this leaves it armed, which is meant.
    ///
    /// # Errors
    /// It does not listen.
    pub fn disarm(mut self) -> io::Result<()> {
        self.write(DISARM)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |f| f.write_all(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_patience_is_what_the_kernel_says_or_the_shortest_of_common_drivers() {
        let path = std::env::temp_dir().join(format!("otedama-patience-{}", std::process::id()));
        for (said, seconds) in [("60\n", 60), ("3\n", 3), ("", 15), ("0\n", 15), ("x", 15), ("99999999999999999999", 15)] {
            std::fs::write(&path, said).expect("written");
            assert_eq!(patience(&path), Duration::from_secs(seconds), "{said:?}");
        }
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(patience(&path), Duration::from_secs(15), "the kernel does not say");
    }

    #[test]
    fn feeding_never_disarms_and_a_missing_one_is_no_error() {
        let path = std::env::temp_dir().join(format!("otedama-watchdog-{}", std::process::id()));
        File::create(&path).expect("made");
        let mut dog = Watchdog::open(&path).expect("opens");
        dog.feed().expect("fed");
        dog.feed().expect("fed");
        assert_eq!(std::fs::read(&path).expect("read"), b"\0\0");
        dog.disarm().expect("disarmed");
        assert_eq!(std::fs::read(&path).expect("read"), b"\0\0V");
        std::fs::remove_file(&path).expect("removed");
        let mut none = Watchdog::open(&path).expect("a board may have none");
        none.feed().expect("does nothing");
        assert!(Watchdog::open(&std::env::temp_dir()).is_err(), "a folder is no watchdog");
    }
}
