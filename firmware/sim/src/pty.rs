//! A serial line's near end as a pty, so that a firmware in another process can open the far one.
//!
//! The host's baud rate is read from the terminal, so that a wrong one is as unreadable as on a wire. The owner turns it
//! in real time, far more often than a host waits behind a baud change. Not here: what is on the line (`serial_line`), and
//! a guest's lines (`usb_redir`).

use crate::serial_line::NearEnd;
use model::Baud;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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

/// A line's near end, and what a host opens.
#[derive(Debug)]
pub struct Pty {
    whose: String,
    master: OwnedFd,
    /// Held open so that settings and line live on while no host has it open.
    _slave: OwnedFd,
    path: String,
    /// Bytes for the host that the pty has not taken yet.
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

    /// What the host opens.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    fn error(&self, attempt: &'static str, source: Errno) -> PtyError {
        PtyError { attempt, whose: self.whose.clone(), source }
    }
}

impl NearEnd for Pty {
    fn baud(&self) -> Result<Baud, PtyError> {
        Ok(Baud(tcgetattr(&self.master).map_err(|e| self.error("read the rate of", e))?.output_speed()))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PtyError> {
        match rustix::io::read(&self.master, &mut *buffer) {
            Ok(n) => Ok(n),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(e) => Err(self.error("read", e)),
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PtyError> {
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
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}
