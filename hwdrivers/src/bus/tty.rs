//! A serial line of Linux: raw, 8N1, no flow control, any rate the hardware makes. Not here: what is said on it.

use super::{BusError, Uart};
use model::Baud;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Waits of [`WRITE_WAIT`] for room in the line's buffer before a write counts as failed. The buffer is about 4 kB, a frame at
/// most 154 bytes (a job of four midstates has 152, chips are asked in writes of no more): at 115,200 baud room for one comes in 14 ms.
const WRITE_WAITS: usize = 5;
const WRITE_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How far a rate may be off, in percent: the chips' own is up to 4 % off what the host is told (3.125 for 3.0 Mbaud), and a byte bears
/// some 5 % in all.
const TOLERANCE: u64 = 1;

/// One line, open for us alone.
#[derive(Debug)]
pub struct LinuxTty {
    line: OwnedFd,
    path: PathBuf,
}

impl LinuxTty {
    /// Opens a line such as `/dev/ttyS1` at this rate.
    ///
    /// # Errors
    /// It cannot be opened, is no serial line, or does not take the rate.
    pub fn open(path: &Path, baud: Baud) -> Result<LinuxTty, BusError> {
        let failed = |what: &str, e: Errno| BusError::Os { attempt: format!("{what} {}", path.display()), source: e.into() };
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let line = open(path, flags, Mode::empty()).map_err(|e| failed("open serial line", e))?;
        let mut settings = tcgetattr(&line).map_err(|e| failed("read settings of", e))?;
        ioctl_tiocexcl(&line).map_err(|e| failed("take for us alone", e))?;
        settings.make_raw();
        settings.control_modes.remove(ControlModes::CRTSCTS | ControlModes::CSTOPB | ControlModes::PARENB);
        settings.control_modes.insert(ControlModes::CLOCAL | ControlModes::CREAD | ControlModes::CS8);
        // One byte at least: then "nothing has come" is EAGAIN, and 0 bytes is a line that hung up.
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        let mut tty = LinuxTty { line, path: path.to_owned() };
        tty.apply(settings, baud)?;
        tcflush(&tty.line, QueueSelector::IOFlush).map_err(|e| tty.error("empty", e))?;
        Ok(tty)
    }

    fn apply(&mut self, mut settings: Termios, baud: Baud) -> Result<(), BusError> {
        settings.set_speed(baud.0).map_err(|e| self.error("set rate of", e))?;
        tcsetattr(&self.line, OptionalActions::Now, &settings).map_err(|e| self.error("set rate of", e))?;
        let back = tcgetattr(&self.line).map_err(|e| self.error("read back rate of", e))?;
        [back.output_speed(), back.input_speed()].into_iter().try_for_each(|got| near(baud.0, got))
    }

    /// Waits until bytes are there, at most so long; gives how long it waited.
    ///
    /// # Errors
    /// The wait itself fails; a line that is gone says so when it is read.
    pub fn wait(&self, up_to: Duration) -> Result<Duration, BusError> {
        let began = Instant::now();
        let timeout = Timespec { tv_sec: up_to.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: up_to.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.line, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(began.elapsed()),
            Err(e) => Err(self.error("wait for", e)),
        }
    }

    fn error(&self, attempt: &str, e: Errno) -> BusError {
        if matches!(e, Errno::IO | Errno::NODEV | Errno::NXIO) {
            return BusError::Gone;
        }
        BusError::Os { attempt: format!("{attempt} {}", self.path.display()), source: e.into() }
    }
}

fn near(asked: u32, got: u32) -> Result<(), BusError> {
    let off = u64::from(asked.abs_diff(got));
    if off * 100 <= u64::from(asked) * TOLERANCE { Ok(()) } else { Err(BusError::Baud { asked, got }) }
}

/// For `poll`, so that a reply is read when it arrives.
impl AsFd for LinuxTty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

impl Uart for LinuxTty {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), BusError> {
        let mut waits = 0;
        while !bytes.is_empty() {
            match rustix::io::write(&self.line, bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if waits < WRITE_WAITS => {
                    waits += 1;
                    let mut room = [PollFd::new(&self.line, PollFlags::OUT)];
                    match poll(&mut room, Some(&WRITE_WAIT)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(e) => return Err(self.error("wait for", e)),
                    }
                }
                Err(e) => return Err(self.error("write to", e)),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        match rustix::io::read(&self.line, &mut *buffer) {
            Ok(0) if !buffer.is_empty() => Err(BusError::Gone),
            Ok(n) => Ok(n),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(e) => Err(self.error("read from", e)),
        }
    }

    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        let settings = tcgetattr(&self.line).map_err(|e| self.error("read settings of", e))?;
        self.apply(settings, baud)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::os::unix::ffi::OsStrExt;

    /// The far end of a line, and the path of ours.
    fn pty() -> (OwnedFd, PathBuf) {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        let name = ptsname(&far, vec![]).expect("its name");
        (far, PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes())))
    }

    #[test]
    fn bytes_pass_unchanged_both_ways() {
        let (far, path) = pty();
        let mut tty = LinuxTty::open(&path, Baud(115_200)).expect("opens");
        let mut buffer = [0; 512];
        assert_eq!(tty.read(&mut buffer).expect("nothing yet"), 0);
        // Every byte: line ends, flow control and signals must not be taken for such.
        let every: Vec<u8> = (0..=255).collect();
        tty.write(&every).expect("written");
        let n = rustix::io::read(&far, &mut buffer).expect("arrives");
        assert_eq!(buffer[..n], every);
        assert_eq!(rustix::io::write(&far, &every).expect("written"), 256);
        let (mut got, mut tries) = (Vec::<u8>::new(), 0);
        while got.len() < 256 && tries < 1_000_000 {
            let n = tty.read(&mut buffer).expect("stands");
            got.extend(&buffer[..n]);
            tries += 1;
        }
        assert_eq!(got, every);
    }

    #[test]
    fn any_rate_is_set_and_read_back() {
        let (_far, path) = pty();
        let mut tty = LinuxTty::open(&path, Baud(115_200)).expect("opens");
        for baud in [3_000_000, 3_125_000, 1_562_500, 115_200] {
            tty.set_baud(Baud(baud)).expect("taken");
            assert_eq!(tcgetattr(&tty.line).expect("settings").output_speed(), baud);
        }
    }

    #[test]
    fn a_line_that_fell_back_to_another_rate_is_an_error() {
        assert!(near(3_000_000, 2_975_000).is_ok());
        // With the 4 % that the chips' own rate is off the other way, this is more than a byte bears.
        assert!(near(3_000_000, 2_950_000).is_err());
        assert!(near(115_200, 115_740).is_ok());
        assert!(matches!(near(3_000_000, 9_600), Err(BusError::Baud { asked: 3_000_000, got: 9_600 })));
        assert!(near(3_000_000, u32::MAX).is_err());
    }

    #[test]
    fn a_pulled_line_is_gone_and_a_full_one_an_error() {
        let (far, path) = pty();
        let mut tty = LinuxTty::open(&path, Baud(115_200)).expect("opens");
        assert!(matches!(tty.write(&[0; 1 << 20]), Err(BusError::Os { .. })), "nobody reads: the buffer stays full");
        drop(far);
        assert!(matches!(tty.read(&mut [0; 8]), Err(BusError::Gone)));
        assert!(matches!(tty.write(&[1]), Err(BusError::Gone)));
    }

    #[test]
    fn what_is_no_line_is_refused_by_name() {
        for path in ["/dev/null", "/nonexistent/tty"] {
            let error = LinuxTty::open(Path::new(path), Baud(115_200)).expect_err("no serial line");
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
