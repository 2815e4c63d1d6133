//! Simulated USB devices for QEMU (`-device usb-redir`): serial lines that a guest's own kernel finds and drives, at any rate.
//!
//! All of them are CDC-ACM, as the USB boards really are. Rejected for the chains of control boards: the FTDI adapters that
//! people use there, whose 12 Mbaud at most cannot carry the 12.5 Mbaud of the S17 and the S19 Pro, and which would be a second
//! kind of device; QEMU's own `usb-serial`, an FTDI of 3 Mbaud whose rates QEMU rounds to those of a terminal (1,000,000 becomes
//! 921,600).
//!
//! One QEMU at a time is connected; the next one may come when it is gone, and finds a device that was just plugged in. It never
//! blocks. Not here: what is on the lines (`serial_line`, `usb_board`).

mod acm;
mod descriptor;
mod device;
mod frame;

pub use acm::Acm;
pub use descriptor::Who;

use crate::socket_file::{SocketFile, SocketFileError};
use device::{Device, TooManyReads};
use frame::FrameError;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Bytes read at once.
const CHUNK: usize = 4096;
/// Bytes read in one turn. What is on the lines is taken at every turn, so that no more than this waits.
const READ_LIMIT: usize = 64 * 1024;
/// Bytes that wait for a QEMU which does not read.
const OUT_LIMIT: usize = 1 << 20;

/// Why a QEMU lost its connection.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// What it sent is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It asks for too much.
    #[error(transparent)]
    Reads(#[from] TooManyReads),
    /// It does not read what it asked for.
    #[error("{0} bytes wait to be read, more than {OUT_LIMIT}")]
    Deaf(usize),
    /// It ended.
    #[error("it is gone")]
    Gone,
    /// The socket.
    #[error("exchange bytes with it: {0}")]
    Socket(io::Error),
}

struct Client {
    stream: UnixStream,
    arrived: Vec<u8>,
    /// Whether its hello has come.
    greeted: bool,
    out: Vec<u8>,
}

/// A USB port with a device in it, on a socket.
pub struct UsbPort {
    file: SocketFile,
    device: Device,
    plugged: bool,
    client: Option<Client>,
}

impl UsbPort {
    /// A device with so many lines, served at this path.
    ///
    /// # Errors
    /// The path is taken or cannot be made.
    pub fn open(path: &Path, who: Who, lines: usize) -> Result<UsbPort, SocketFileError> {
        Ok(UsbPort { file: SocketFile::open(path)?, device: Device::new(who, lines), plugged: true, client: None })
    }

    /// Where QEMU finds it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What to poll for arriving bytes and QEMUs.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.file.as_fd()).chain(self.client.iter().map(|c| c.stream.as_fd()))
    }

    /// A line's near end, while a QEMU is connected.
    pub fn line(&mut self, line: usize) -> Option<&mut Acm> {
        self.client.as_ref()?;
        self.device.line(line)
    }

    /// Pulls the device, or puts it back.
    pub fn plug(&mut self, plugged: bool) {
        if std::mem::replace(&mut self.plugged, plugged) != plugged && self.client.as_ref().is_some_and(|c| c.greeted) {
            if plugged { self.device.connect() } else { self.device.disconnect() }
        }
    }

    /// Takes in what came; lets who came in, if nobody else is. The error is why a QEMU was let go, which matters to nobody else.
    ///
    /// # Errors
    /// It left, or broke the form.
    pub fn receive(&mut self) -> Result<(), UsbError> {
        let taken = self.take();
        if taken.is_err() {
            self.client = None;
            // What it was to hear is not for the next one.
            self.device.take_out();
        }
        while let Ok((stream, _)) = self.file.listener().accept() {
            // One too many is closed at once: it shall not wait in the dark.
            if self.client.is_none() && stream.set_nonblocking(true).is_ok() {
                self.client = Some(Client { stream, arrived: Vec::new(), greeted: false, out: frame::hello() });
            }
        }
        taken
    }

    fn take(&mut self) -> Result<(), UsbError> {
        let Some(client) = &mut self.client else { return Ok(()) };
        // To the end of what there is, so that one which has left is gone before the next one is let in.
        let (mut buffer, mut left) = ([0; CHUNK], READ_LIMIT);
        while left > 0 {
            match client.stream.read(&mut buffer[..left.min(CHUNK)]) {
                Ok(0) => return Err(UsbError::Gone),
                Ok(n) => {
                    client.arrived.extend(&buffer[..n]);
                    left -= n;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(UsbError::Gone),
                Err(e) => return Err(UsbError::Socket(e)),
            }
        }
        if !client.greeted && frame::take_hello(&mut client.arrived)? {
            client.greeted = true;
            if self.plugged {
                self.device.connect();
            }
        }
        if client.greeted {
            while let Some((id, request)) = frame::take(&mut client.arrived)? {
                // To a device that was pulled nothing can be said; QEMU knows it in a moment.
                if self.plugged {
                    self.device.tell(id, request)?;
                }
            }
        }
        Ok(())
    }

    /// Sends what there is to say. The error is as for [`UsbPort::receive`].
    ///
    /// # Errors
    /// It left, or does not read.
    pub fn send(&mut self) -> Result<(), UsbError> {
        self.device.answer_reads();
        let frames = self.device.take_out();
        let Some(client) = &mut self.client else { return Ok(()) };
        client.out.extend(frames);
        let sent = client.flush();
        if sent.is_err() {
            self.client = None;
        }
        sent
    }
}

impl Client {
    fn flush(&mut self) -> Result<(), UsbError> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => drop(self.out.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return Err(UsbError::Gone),
                Err(e) => return Err(UsbError::Socket(e)),
            }
        }
        if self.out.len() > OUT_LIMIT { Err(UsbError::Deaf(self.out.len())) } else { Ok(()) }
    }
}
