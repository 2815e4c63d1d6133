//! The serving end of `hwdrivers::bus::socket`: I²C bus, GPIO lines and PWM outputs of a simulated machine for other
//! processes.
//!
//! A client that breaks the form, or sends on without reading its answers, loses its connection; nobody else notices. It never
//! blocks. Not here: the form itself, and what sits on the bus.

use crate::socket_file::{SocketFile, SocketFileError};
use hwdrivers::bus::socket::{BODY_LIMIT, FULL_DUTY, Piece, Reply, Request, take_body};
use hwdrivers::bus::{BusError, Gpio, I2c, Message, Pwm};
use model::Percent;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Clients at once: a firmware has one for the bus and one for the lines, the rest is for looking on.
const CLIENTS_LIMIT: usize = 8;
/// Answers that wait for a client, bytes. It asks and reads in turn; more than a few answers ahead is a client gone wrong.
const ANSWERS_LIMIT: usize = 4 * BODY_LIMIT;
/// GPIO lines there are, far more than any control board has.
const LINES: u32 = 1024;

struct Client {
    stream: UnixStream,
    arrived: Vec<u8>,
    answers: Vec<u8>,
}

/// One socket and those who use it.
pub struct BenchSocket {
    file: SocketFile,
    clients: Vec<Client>,
}

impl BenchSocket {
    /// Listens on a new socket at this path.
    ///
    /// # Errors
    /// The path is taken or cannot be made.
    pub fn open(path: &Path) -> Result<BenchSocket, SocketFileError> {
        Ok(BenchSocket { file: SocketFile::open(path)?, clients: Vec::new() })
    }

    /// Where clients find it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What to poll for arriving bytes and clients.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.file.as_fd()).chain(self.clients.iter().map(|c| c.stream.as_fd()))
    }

    /// Takes in who came, answers what was asked, lets go who left or broke the form.
    pub fn turn(&mut self, i2c: &mut dyn I2c, gpio: &mut dyn Gpio, pwm: &mut dyn Pwm) {
        while let Ok((stream, _)) = self.file.listener().accept() {
            // One too many is closed at once: it shall not wait in the dark.
            if self.clients.len() < CLIENTS_LIMIT && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client { stream, arrived: Vec::new(), answers: Vec::new() });
            }
        }
        self.clients.retain_mut(|c| c.turn(i2c, gpio, pwm).is_ok());
    }
}

impl Client {
    /// An error ends the connection.
    fn turn(&mut self, i2c: &mut dyn I2c, gpio: &mut dyn Gpio, pwm: &mut dyn Pwm) -> io::Result<()> {
        let wrong = |e| io::Error::new(ErrorKind::InvalidData, e);
        let mut buffer = [0; BODY_LIMIT];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => self.arrived.extend(&buffer[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
        while let Some(body) = take_body(&mut self.arrived).map_err(wrong)? {
            let reply = answer(Request::from_body(&body).map_err(wrong)?, i2c, gpio, pwm);
            self.answers.extend(reply.to_frame().map_err(wrong)?);
            if self.answers.len() > ANSWERS_LIMIT {
                return Err(ErrorKind::QuotaExceeded.into());
            }
        }
        while !self.answers.is_empty() {
            match self.stream.write(&self.answers) {
                Ok(n) => drop(self.answers.drain(..n)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn answer(request: Request, i2c: &mut dyn I2c, gpio: &mut dyn Gpio, pwm: &mut dyn Pwm) -> Reply {
    let outcome = match request {
        Request::Transfer { address, pieces } => transfer(address, &pieces, i2c),
        Request::Set { line, .. } | Request::Get { line } | Request::Edges { line } if line >= LINES => {
            return Reply::Failed(format!("there are {LINES} lines"));
        }
        Request::Set { line, high } => gpio.set(line, high).map(|()| Vec::new()),
        Request::Get { line } => gpio.get(line).map(|high| vec![u8::from(high)]),
        Request::Edges { line } => gpio.edges(line).map(|count| count.to_le_bytes().to_vec()),
        Request::Duty { channel, millionths } => {
            pwm.set(channel, Percent(f64::from(millionths) * 100.0 / f64::from(FULL_DUTY))).map(|()| Vec::new())
        }
    };
    match outcome {
        Ok(bytes) => Reply::Done(bytes),
        Err(BusError::Nack(_)) => Reply::Nack,
        Err(e) => Reply::Failed(e.to_string()),
    }
}

fn transfer(address: u8, pieces: &[Piece], i2c: &mut dyn I2c) -> Result<Vec<u8>, BusError> {
    let room = |p: &Piece| if let Piece::Read(n) = p { vec![0; *n] } else { Vec::new() };
    let mut read: Vec<Vec<u8>> = pieces.iter().map(room).collect();
    let pairs = pieces.iter().zip(&mut read);
    let mut messages: Vec<Message<'_>> = pairs
        .map(|(piece, buffer)| match piece {
            Piece::Write(bytes) => Message::Write(bytes),
            Piece::Read(_) => Message::Read(buffer),
        })
        .collect();
    i2c.transfer(address, &mut messages)?;
    Ok(read.concat())
}
