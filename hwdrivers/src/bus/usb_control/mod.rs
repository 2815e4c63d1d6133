//! The board's own controller behind a USB serial line, as Bitaxe-raw and EmberOne00 have it: I²C, lines, analog inputs and a light.
//!
//! It is asked and answers, one request at a time, so a call waits for its answer, at most [`ANSWER_LIMIT`]. A board has one such
//! line for its I²C bus and its GPIO lines: [`UsbControl`] does both, and [`Handle`]s share one where two owners are asked for.
//! Both live in one hand's thread, so their lock is never waited for. Not here: finding the line (`usb`), and the chips' own line.

pub mod frame;

use super::tty::LinuxTty;
use super::{BusError, Gpio, I2c, Message, Uart};
use frame::{Answer, Decoder, Expected, Format, Page, Refusal};
use model::Baud;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Longest wait for an answer. 255 bytes of I²C at 100 kHz take 25 ms, USB a few; what is later than this does not come.
pub const ANSWER_LIMIT: Duration = Duration::from_millis(100);
/// How long the line must be silent before it counts as in step again, and before an old error counts as whole. The firmware
/// drops half a request after 4 ms.
const QUIET: Duration = Duration::from_millis(10);
/// Reads until the line must be silent; one that goes on babbling is no controller.
const QUIET_READS: usize = 64;
/// Any rate does: it is a USB device, and its controller does not look at it.
const BAUD: Baud = Baud(115_200);
/// Rate of the I²C bus: that of all Bitaxe and EmberOne parts (asic.md A13).
const I2C_HERTZ: u32 = 100_000;
/// Most bytes of one I²C write or read: the firmware counts them in one byte.
pub const I2C_LIMIT: usize = 255;

const SET_FREQUENCY: u8 = 0x10;
const WRITE: u8 = 0x20;
const READ: u8 = 0x30;
const WRITE_READ: u8 = 0x40;
const SET_COLOUR: u8 = 0x10;

/// An analog input of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analog {
    /// The chips' rail.
    Vdd = 0x50,
    /// The board's supply.
    Vin = 0x51,
}

/// A serial line whose bytes can be waited for.
pub trait Line: Uart {
    /// Waits for bytes, at most so long; gives how long it waited.
    ///
    /// # Errors
    /// The line is gone.
    fn wait(&mut self, up_to: Duration) -> Result<Duration, BusError>;
}

impl Line for LinuxTty {
    fn wait(&mut self, up_to: Duration) -> Result<Duration, BusError> {
        LinuxTty::wait(self, up_to)
    }
}

/// A controller and its line.
pub struct UsbControl<L: Line> {
    line: L,
    format: Format,
    decoder: Decoder,
    next_id: u8,
    /// An answer did not come or came wrong: what is on the line belongs to nobody.
    out_of_step: bool,
}

impl UsbControl<LinuxTty> {
    /// Opens the controller behind a line such as `/dev/ttyACM0`. Its lines and parts are left as they are.
    ///
    /// # Errors
    /// It cannot be opened, or what is there does not speak the protocol.
    pub fn open(path: &Path) -> Result<UsbControl<LinuxTty>, BusError> {
        let described = |e: BusError| match e {
            BusError::Os { attempt, source } => BusError::Os { attempt: format!("{attempt} at {}", path.display()), source },
            other => other,
        };
        UsbControl::new(LinuxTty::open(path, BAUD)?).map_err(described)
    }
}

impl<L: Line> UsbControl<L> {
    /// The controller behind this line. It is asked what tells the two formats apart.
    ///
    /// # Errors
    /// Nothing answers, or nothing that speaks the protocol.
    pub fn new(line: L) -> Result<UsbControl<L>, BusError> {
        // Out of step at first: what a former owner asked may still be answered.
        let (decoder, out_of_step) = (Decoder::default(), true);
        let mut control = UsbControl { line, format: Format::Old, decoder, next_id: 0, out_of_step };
        control.format = control.probe()?;
        // One that does not know the command runs at its first rate, which is the same.
        match control.ask(Page::I2c, SET_FREQUENCY, &I2C_HERTZ.to_le_bytes(), 4, "set the rate of its I²C bus")? {
            Ok(_) | Err(_) => Ok(control),
        }
    }

    /// Which format the firmware speaks: it is asked the level of a line, and where it knows no such line for an analog input. The
    /// answer's length differs. (The USB device's version tells it too, but not of a line that was named without its device.)
    fn probe(&mut self) -> Result<Format, BusError> {
        let mut last = None;
        for (page, command, length) in [(Page::Gpio, 0, 1), (Page::Adc, Analog::Vdd as u8, 2)] {
            for format in [Format::Old, Format::New] {
                self.format = format;
                match self.ask(page, command, &[], length, "speak to the board's controller") {
                    Ok(Ok(_)) => return Ok(format),
                    // An error looks alike in both formats.
                    Ok(Err(refusal)) => last = Some(failed("speak to the board's controller", refusal)),
                    Err(BusError::Gone) => return Err(BusError::Gone),
                    Err(e) => last = Some(e),
                }
            }
        }
        Err(last.unwrap_or(BusError::Gone))
    }

    /// Reads an analog input: twelve bits, as the controller measures them. What a bit is worth is the board's.
    ///
    /// # Errors
    /// The controller does not do it, or is gone.
    pub fn analog(&mut self, input: Analog) -> Result<u16, BusError> {
        let attempt = format!("read the analog input {input:?}");
        let answer = self.ask(Page::Adc, input as u8, &[], 2, &attempt)?;
        let bytes = answer.map_err(|r| failed(&attempt, r))?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// Sets the light's colour.
    ///
    /// # Errors
    /// The controller does not do it, or is gone.
    pub fn light(&mut self, [red, green, blue]: [u8; 3]) -> Result<(), BusError> {
        let attempt = "set the board's light";
        let answer = self.ask(Page::Led, SET_COLOUR, &[red, green, blue], 3, attempt)?;
        answer.map(drop).map_err(|r| failed(attempt, r))
    }

    /// Sends a request and waits for its answer of `length` bytes.
    fn ask(&mut self, page: Page, command: u8, data: &[u8], length: usize, attempt: &str) -> Result<Answer, BusError> {
        let id = self.next_id;
        let Some(frame) = frame::request(id, page, command, data) else {
            return Err(refuse(attempt, format!("{} bytes are more than the {} it takes", data.len(), frame::DATA_LIMIT)));
        };
        self.next_id = (self.next_id + 1) % frame::NAMELESS;
        if self.out_of_step {
            self.fall_in_step(attempt)?;
        }
        // Until a good answer is there, this one may still come.
        self.out_of_step = true;
        self.line.write(&frame)?;
        let answer = self.answer(Expected { id, length }, attempt)?;
        self.out_of_step = false;
        Ok(answer)
    }

    fn answer(&mut self, expected: Expected, attempt: &str) -> Result<Answer, BusError> {
        let (mut waited, mut quiet, mut buffer) = (Duration::ZERO, Duration::ZERO, [0; 512]);
        loop {
            let n = self.line.read(&mut buffer)?;
            self.decoder.push(&buffer[..n]);
            quiet = if n > 0 { Duration::ZERO } else { quiet };
            match self.decoder.take(self.format, expected, quiet >= QUIET) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(e) => return Err(BusError::Os { attempt: attempt.to_owned(), source: io::Error::other(e) }),
            }
            if waited >= ANSWER_LIMIT {
                return Err(BusError::Os { attempt: attempt.to_owned(), source: io::ErrorKind::TimedOut.into() });
            }
            let pause = self.line.wait(QUIET)?;
            waited += pause;
            quiet += pause;
        }
    }

    /// Drops what is on the line until it is silent.
    fn fall_in_step(&mut self, attempt: &str) -> Result<(), BusError> {
        let mut buffer = [0; 512];
        let (mut quiet, mut reads) = (Duration::ZERO, 0);
        while quiet < QUIET {
            if self.line.read(&mut buffer)? > 0 {
                quiet = Duration::ZERO;
                reads += 1;
            }
            if reads >= QUIET_READS {
                return Err(refuse(attempt, "the line babbles: it is no board's controller".to_owned()));
            }
            quiet += self.line.wait(QUIET.saturating_sub(quiet))?;
        }
        self.decoder.clear();
        Ok(())
    }
}

fn refuse(attempt: &str, why: String) -> BusError {
    BusError::Os { attempt: attempt.to_owned(), source: io::Error::new(io::ErrorKind::InvalidInput, why) }
}

fn failed(attempt: &str, refusal: Refusal) -> BusError {
    BusError::Os { attempt: attempt.to_owned(), source: io::Error::other(refusal) }
}

impl<L: Line> I2c for UsbControl<L> {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let attempt = format!("talk to I²C address 0x{address:02x}");
        let count = |bytes: usize| {
            u8::try_from(bytes)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| refuse(&attempt, format!("{bytes} bytes at once; 1 to {I2C_LIMIT}")))
        };
        let (command, data, length, into) = match messages {
            [Message::Write(bytes)] => {
                count(bytes.len())?;
                (WRITE, [&[address], &bytes[..]].concat(), 1, None)
            }
            [Message::Read(buffer)] => (READ, vec![address, count(buffer.len())?], buffer.len(), Some(buffer)),
            [Message::Write(bytes), Message::Read(buffer)] => {
                count(bytes.len())?;
                let data = [&[address], &bytes[..], &[count(buffer.len())?]].concat();
                (WRITE_READ, data, buffer.len(), Some(buffer))
            }
            // The firmware knows these three; a repeated start between two writes it cannot make.
            _ => return Err(refuse(&attempt, "only a write, a read, or a write and a read can be one transfer".to_owned())),
        };
        match self.ask(Page::I2c, command, &data, length, &attempt)? {
            Ok(bytes) => {
                if let Some(buffer) = into {
                    buffer.copy_from_slice(&bytes);
                }
                Ok(())
            }
            // All that its bus refuses comes in words, and a part that is not there is nearly always why.
            Err(Refusal::Said(_)) => Err(BusError::Nack(address)),
            Err(refusal) => Err(failed(&attempt, refusal)),
        }
    }
}

impl<L: Line> Gpio for UsbControl<L> {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        let attempt = format!("drive line {line}");
        let level = u8::from(high);
        let number =
            u8::try_from(line).map_err(|_| refuse(&attempt, "the controller numbers its lines from 0 to 255".to_owned()))?;
        let bytes = self.ask(Page::Gpio, number, &[level], 1, &attempt)?.map_err(|r| failed(&attempt, r))?;
        if bytes == [level] { Ok(()) } else { Err(refuse(&attempt, format!("asked for {level}, it reads back {bytes:?}"))) }
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        let attempt = format!("read line {line}");
        let number =
            u8::try_from(line).map_err(|_| refuse(&attempt, "the controller numbers its lines from 0 to 255".to_owned()))?;
        let bytes = self.ask(Page::Gpio, number, &[], 1, &attempt)?.map_err(|r| failed(&attempt, r))?;
        Ok(bytes != [0])
    }
}

/// A controller that an I²C owner and a GPIO owner share.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<Shared>>);

struct Shared {
    control: UsbControl<LinuxTty>,
    /// Which device it is.
    device: Device,
    /// It is gone: who asks for its path gets another.
    gone: bool,
}

/// A device's node, and which device it stands for.
type Device = (u64, u64, u64);

/// The controllers that are open in this process, for the second owner of a path: a serial line opens once.
static OPEN: Mutex<Vec<Weak<Mutex<Shared>>>> = Mutex::new(Vec::new());

impl Handle {
    /// A handle to the controller at this path, opened where no other handle holds it.
    ///
    /// # Errors
    /// As for [`UsbControl::open`].
    pub fn open(path: &Path) -> Result<Handle, BusError> {
        let meta = std::fs::metadata(path)
            .map_err(|source| BusError::Os { attempt: format!("open serial line {}", path.display()), source })?;
        let device = (meta.dev(), meta.ino(), meta.rdev());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|held| held.strong_count() > 0);
        for held in open.iter().filter_map(Weak::upgrade) {
            let same = { lock(&held).device == device && !lock(&held).gone };
            if same {
                return Ok(Handle(held));
            }
        }
        let control = UsbControl::open(path)?;
        let held = Arc::new(Mutex::new(Shared { control, device, gone: false }));
        open.push(Arc::downgrade(&held));
        Ok(Handle(held))
    }

    /// Uses the controller.
    ///
    /// # Errors
    /// Those of the use.
    pub fn with<R>(&self, used: impl FnOnce(&mut UsbControl<LinuxTty>) -> Result<R, BusError>) -> Result<R, BusError> {
        let mut shared = lock(&self.0);
        let done = used(&mut shared.control);
        shared.gone |= matches!(done, Err(BusError::Gone));
        done
    }
}

/// A controller between two requests is whole, also where another thread panicked with it.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl I2c for Handle {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        self.with(|control| control.transfer(address, messages))
    }
}

impl Gpio for Handle {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        self.with(|control| control.set(line, high))
    }
    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        self.with(|control| control.get(line))
    }
}

#[cfg(test)]
mod tests;
