//! An I²C bus of Linux (`/dev/i2c-N`), by combined transfers: the address travels in each message, so that one open file serves
//! every part.

use super::{BusError, I2c, Message};
use i2c_linux_sys::{Flags, I2C_RDWR_IOCTL_MAX_MSGS, i2c_msg, i2c_rdwr_ioctl_data, ioctls::i2c_rdwr};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// What a bus says when no part acknowledges: drivers differ.
const NACKS: [i32; 2] = [rustix::io::Errno::NXIO.raw_os_error(), rustix::io::Errno::REMOTEIO.raw_os_error()];

/// One bus.
#[derive(Debug)]
pub struct LinuxI2c {
    bus: File,
}

impl LinuxI2c {
    /// Opens a bus such as `/dev/i2c-0`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<LinuxI2c, BusError> {
        let bus = File::options().read(true).write(true).open(path);
        bus.map(|bus| LinuxI2c { bus })
            .map_err(|source| BusError::Os { attempt: format!("open I²C bus {}", path.display()), source })
    }
}

impl I2c for LinuxI2c {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let refuse = |what| BusError::Os { attempt: what, source: io::ErrorKind::InvalidInput.into() };
        if messages.len() > I2C_RDWR_IOCTL_MAX_MSGS {
            return Err(refuse(format!("send {} I²C messages at once", messages.len())));
        }
        let mut raw = Vec::with_capacity(messages.len());
        for message in messages.iter_mut() {
            let (flags, len, buf) = match message {
                Message::Write(bytes) => (Flags::empty(), bytes.len(), bytes.as_ptr().cast_mut()),
                Message::Read(buffer) => (Flags::RD, buffer.len(), buffer.as_mut_ptr()),
            };
            let len = u16::try_from(len).map_err(|_| refuse(format!("send an I²C message of {len} bytes")))?;
            raw.push(i2c_msg { addr: u16::from(address), flags, len, buf });
        }
        let mut request = i2c_rdwr_ioctl_data { msgs: raw.as_mut_ptr(), nmsgs: raw.len() as i32 };
        #[expect(
            unsafe_code,
            reason = "the safe call of i2c-linux drops the count of messages, which is how some buses tell a NACK"
        )]
        // SAFETY: every pointer comes from a slice that `messages` borrows until the call returns, with that slice's length; the
        // kernel writes only to buffers flagged RD, which are borrowed mutably.
        let done = unsafe { i2c_rdwr(self.bus.as_raw_fd(), &raw mut request) };
        outcome(address, raw.len(), done)
    }
}

fn outcome(address: u8, asked: usize, done: io::Result<i32>) -> Result<(), BusError> {
    match done {
        Ok(n) if usize::try_from(n) == Ok(asked) => Ok(()),
        // Some buses report a NACK not as an error but as fewer messages.
        Ok(_) => Err(BusError::Nack(address)),
        Err(e) if e.raw_os_error().is_some_and(|code| NACKS.contains(&code)) => Err(BusError::Nack(address)),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Err(BusError::Gone),
        // Seen with a PC's own bus, which Linux may number before the one that was meant.
        Err(source) if source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {
            Err(BusError::Os { attempt: "use this bus, which knows SMBus alone: name another".to_owned(), source })
        }
        Err(source) => Err(BusError::Os { attempt: format!("talk to I²C address 0x{address:02x}"), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn fewer_messages_than_asked_are_a_nack() {
        let failed = |e: Errno| outcome(0x48, 2, Err(io::Error::from(e)));
        assert!(outcome(0x48, 2, Ok(2)).is_ok());
        for n in [0, 1, -1] {
            assert!(matches!(outcome(0x48, 2, Ok(n)), Err(BusError::Nack(0x48))), "{n}");
        }
        assert!(matches!(failed(Errno::NXIO), Err(BusError::Nack(0x48))));
        assert!(matches!(failed(Errno::REMOTEIO), Err(BusError::Nack(0x48))));
        assert!(matches!(failed(Errno::NODEV), Err(BusError::Gone)));
        assert!(failed(Errno::OPNOTSUPP).is_err_and(|e| e.to_string().contains("name another")));
        assert!(matches!(failed(Errno::TIMEDOUT), Err(BusError::Os { .. })));
    }

    #[test]
    fn what_is_no_bus_is_an_error_and_limits_hold() {
        assert!(LinuxI2c::open(Path::new("/nonexistent/i2c")).is_err());
        let mut bus = LinuxI2c::open(Path::new("/dev/null")).expect("opens");
        assert!(matches!(bus.transfer(0x48, &mut [Message::Write(&[0])]), Err(BusError::Os { .. })));
        let mut many: Vec<Message<'_>> = (0..43).map(|_| Message::Write(&[0])).collect();
        let error = bus.transfer(0x48, &mut many).expect_err("too many");
        assert!(error.to_string().contains("43"), "{error}");
        let long = vec![0; 70_000];
        let error = bus.transfer(0x48, &mut [Message::Write(&long)]).expect_err("too long");
        assert!(error.to_string().contains("70000"), "{error}");
    }
}
