//! The hardware watchdog: it resets the board when it is not fed. Whether it may be fed is for the keeper to say.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where Linux shows it.
pub const PATH: &str = "/dev/watchdog";
/// The byte that disarms it, so that a clean end is not taken for a hang.
const DISARM: &[u8] = b"V";

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
