//! A chain's serial line as a pty, so that a whole `otedama`, in QEMU as well, can mine on it.
//!
//! The guest's baud rate is read from the terminal, so that a wrong one is as unreadable as on a wire. The owner turns it
//! in real time, far more often than a host waits behind a baud change. Not here: the I²C bus and the GPIO lines.

use crate::World;
use crate::fault::line::{LineHarm, held};
use model::Baud;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

/// Bytes moved at once; a pty's own buffer holds 4096.
const CHUNK: usize = 4096;

/// Why a line cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} the pty of {whose}")]
pub struct PtyError {
    /// What was attempted.
    attempt: &'static str,
    /// Whose line.
    whose: String,
    /// Why not.
    source: Errno,
}

/// A line's near end, and what a guest opens.
#[derive(Debug)]
pub struct Pty {
    whose: String,
    master: OwnedFd,
    /// Held open so that settings and line live on while no guest has it open.
    _slave: OwnedFd,
    path: String,
    /// Bytes for the guest that the pty has not taken yet.
    pending: Vec<u8>,
}

impl Pty {
    /// Opens a pty. `whose` is for errors.
    ///
    /// # Errors
    /// The system gives none.
    pub fn open(whose: &str) -> Result<Pty, PtyError> {
        let fail = |attempt| move |source| PtyError { attempt, whose: whose.to_owned(), source };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(fail("open"))?;
        grantpt(&master).and_then(|()| unlockpt(&master)).map_err(fail("unlock"))?;
        rustix::io::ioctl_fionbio(&master, true).map_err(fail("set up"))?;
        let name = ptsname(&master, Vec::new()).map_err(fail("name"))?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).map_err(fail("open the far end of"))?;
        let mut settings = tcgetattr(&slave).map_err(fail("set up"))?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings).map_err(fail("set up"))?;
        let path = name.to_string_lossy().into_owned();
        Ok(Pty { whose: whose.to_owned(), master, _slave: slave, path, pending: Vec::new() })
    }

    /// What the guest opens.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The rate that the guest has set.
    ///
    /// # Errors
    /// The pty is gone.
    pub fn baud(&self) -> Result<Baud, PtyError> {
        Ok(Baud(tcgetattr(&self.master).map_err(|e| self.error("read the rate of", e))?.output_speed()))
    }

    /// Takes what the guest wrote; gives how much.
    ///
    /// # Errors
    /// The pty is gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PtyError> {
        match rustix::io::read(&self.master, &mut *buffer) {
            Ok(n) => Ok(n),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(e) => Err(self.error("read", e)),
        }
    }

    /// Whether all that was sent is on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Sends these bytes behind those that the pty has not taken yet.
    ///
    /// # Errors
    /// The pty is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PtyError> {
        self.pending.extend(bytes);
        if !self.pending.is_empty() {
            match rustix::io::write(&self.master, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(e) => return Err(self.error("write", e)),
            }
        }
        Ok(())
    }

    fn error(&self, attempt: &'static str, source: Errno) -> PtyError {
        PtyError { attempt, whose: self.whose.clone(), source }
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// One chain's line.
#[derive(Debug)]
pub struct PtyLine {
    chain: usize,
    pty: Pty,
    harm: Arc<Mutex<LineHarm>>,
    /// The guest's rate when the line was turned last.
    baud: Option<Baud>,
}

impl PtyLine {
    /// Opens a pty for the line of this chain; what damages it is shared.
    ///
    /// # Errors
    /// The system gives none.
    pub fn open(chain: usize, harm: Arc<Mutex<LineHarm>>) -> Result<PtyLine, PtyError> {
        Ok(PtyLine { chain, pty: Pty::open(&format!("chain {chain}"))?, harm, baud: None })
    }

    /// What the guest opens.
    #[must_use]
    pub fn path(&self) -> &str {
        self.pty.path()
    }

    /// Carries what the guest wrote to the chain, and what has arrived from it to the guest.
    ///
    /// # Errors
    /// The pty is gone.
    pub fn turn(&mut self, world: &mut World) -> Result<(), PtyError> {
        let baud = self.pty.baud()?;
        let mut harm = held(&self.harm);
        if self.baud.replace(baud).is_some_and(|before| before != baud) {
            harm.rate_changed();
        }
        let mut buffer = [0; CHUNK];
        let n = self.pty.read(&mut buffer)?;
        if n > 0 {
            let mut bytes = buffer[..n].to_vec();
            harm.send(&mut bytes);
            world.tell_line(self.chain, baud, &bytes);
        }
        if !self.pty.is_idle() {
            return self.pty.write(&[]);
        }
        let n = world.take_line(self.chain, baud, &mut buffer);
        let mut bytes = buffer[..n].to_vec();
        harm.receive(&mut bytes);
        self.pty.write(&bytes)
    }
}

impl AsFd for PtyLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pty.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwdrivers::bus::Message;
    use model::Time;

    /// A world whose first chain has power and runs.
    fn world() -> World {
        let shared =
            std::sync::Arc::new(std::sync::Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, crate::real_time::SCALE)));
        let mut b = crate::buses(&shared);
        b.gpio.set(65, false).expect("a line");
        b.gpio.set(5, true).expect("a line");
        let enable: [u8; 7] = [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b];
        b.i2c.transfer(0x20, &mut [Message::Write(&enable)]).expect("answers");
        drop(b);
        std::sync::Arc::into_inner(shared).and_then(|m| m.into_inner().ok()).expect("the last owner")
    }

    fn set_rate(line: &OwnedFd, baud: u32) {
        let mut t = tcgetattr(line).expect("a terminal");
        t.set_speed(baud).expect("a rate");
        tcsetattr(line, OptionalActions::Now, &t).expect("a terminal");
    }

    #[test]
    fn a_guest_counts_the_chips_at_the_right_rate_alone() {
        let (mut world, mut line) = (world(), PtyLine::open(0, Arc::new(Mutex::new(LineHarm::new(1)))).expect("a pty"));
        let guest =
            rustix::fs::open(line.path(), OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty()).expect("opens");
        for (baud, expected) in [(1_000_000, 0), (115_200, 126 * 9), (3_000_000, 0)] {
            set_rate(&guest, baud);
            rustix::io::write(&guest, &[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a]).expect("a line");
            line.turn(&mut world).expect("a pty");
            let later = world.now() + std::time::Duration::from_millis(200);
            world.advance(later);
            line.turn(&mut world).expect("a pty");
            let mut got = [0; CHUNK];
            assert_eq!(rustix::io::read(&guest, &mut got).unwrap_or(0), expected, "{baud}");
        }
        assert!(world.now() < Time::from_secs(1));
    }
}
