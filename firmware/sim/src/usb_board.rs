//! The controller of a USB board (EmberOne00, Bitaxe-raw) that is not there: requests for I²C, lines, analog inputs
//! and the light go to the simulated machine's buses, as its firmware would pass them to the board's parts.
//!
//! Written from the firmware's source (emberone-usbserial-fw, asic.md A13), its oddities included: replies of firmware 5.0.0 have
//! the data's length but errors the whole frame's; a request that cannot be read is refused under id FF; half a request is
//! dropped after 4 ms of silence. Not here: its line, and the chips', which
//! is a [`crate::SerialLine`] as on every other board.

use crate::pty::PtyError;
use crate::serial_line::NearEnd;
use hwdrivers::bus::{BusError, Gpio, I2c, Message};
use model::Time;
use std::time::Duration;

/// Silence after which the firmware forgets half a request.
const SILENCE: Duration = Duration::from_millis(4);
/// The firmware's buffer for requests.
const REQUEST_LIMIT: usize = 4098;
/// Its buffer for the bytes of one transfer.
const DATA_LIMIT: usize = 256;
/// Requests carried out in one turn; a host has one under way.
const REQUESTS: usize = 16;
/// The first lines can be driven, the others are inputs (reset, power, logic power; power good, overheated, alert).
const DRIVEN: u8 = 3;
const LINES: u8 = 6;

/// Which firmware it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// 5.0.0: replies without a code.
    Old,
    /// 5.1.0: each reply has one.
    New,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It says that it waited in vain.
    Timeout,
    /// It says that it knows no such request.
    Invalid,
    /// It says that it has no room.
    Overflow,
    /// It takes requests and says nothing.
    Mute,
}

/// The simulated controller.
#[derive(Debug)]
pub struct UsbBoard {
    /// What its analog inputs measure, twelve bits: the chips' rail and the board's supply.
    pub analog: [u16; 2],
    /// The light's colour.
    pub light: [u8; 3],
    /// What is wrong with it now.
    pub trouble: Option<Trouble>,
    firmware: Firmware,
    heard: Vec<u8>,
    heard_at: Time,
}

impl UsbBoard {
    /// A board that was just plugged in.
    #[must_use]
    pub fn new(firmware: Firmware) -> UsbBoard {
        let (heard, heard_at) = (Vec::new(), Time::ZERO);
        UsbBoard { analog: [0; 2], light: [0; 3], trouble: None, firmware, heard, heard_at }
    }

    /// Answers what came on its line since the last turn.
    ///
    /// # Errors
    /// The line is gone.
    pub fn turn(&mut self, line: &mut dyn NearEnd, now: Time, i2c: &mut dyn I2c, gpio: &mut dyn Gpio) -> Result<(), PtyError> {
        let mut buffer = [0; REQUEST_LIMIT];
        let n = line.read(&mut buffer)?;
        if n > 0 {
            self.heard_at = now;
        } else if now >= self.heard_at + SILENCE {
            self.heard.clear();
        }
        self.heard.extend(&buffer[..n]);
        for _ in 0..REQUESTS {
            let Some(request) = take(&mut self.heard) else { break };
            if self.trouble == Some(Trouble::Mute) {
                continue;
            }
            let (id, answer) = match request {
                Some(request) => (request.id, self.obey(&request, i2c, gpio)),
                None => (0xff, Err(Refused::Invalid)),
            };
            // The firmware knows its reader from its doer: what cannot be read has no id.
            let id = if matches!(answer, Err(Refused::Invalid | Refused::Overflow)) { 0xff } else { id };
            line.write(&reply(self.firmware, id, answer.as_deref()))?;
        }
        line.write(&[])
    }

    fn obey(&mut self, request: &Request, i2c: &mut dyn I2c, gpio: &mut dyn Gpio) -> Result<Vec<u8>, Refused> {
        match self.trouble {
            Some(Trouble::Timeout) => return Err(Refused::Timeout),
            Some(Trouble::Invalid) => return Err(Refused::Invalid),
            Some(Trouble::Overflow) => return Err(Refused::Overflow),
            Some(Trouble::Mute) | None => {}
        }
        let said = |text| move |_: BusError| Refused::Said(text);
        match (request.page, request.command, &request.data[..]) {
            (5, 0x10, rate @ [_, _, _, _]) => Ok(rate.to_vec()),
            (5, 0x20, [_, bytes @ ..]) | (5, 0x40, [_, bytes @ .., _]) if bytes.len() > DATA_LIMIT => Err(Refused::Overflow),
            (5, 0x20, [address, bytes @ ..]) => {
                i2c.transfer(*address, &mut [Message::Write(bytes)]).map_err(said("I2C Write Error"))?;
                Ok(vec![bytes.len() as u8])
            }
            (5, 0x30, [address, length]) => {
                let mut buffer = vec![0; usize::from(*length)];
                i2c.transfer(*address, &mut [Message::Read(&mut buffer)]).map_err(said("I2C Read Error"))?;
                Ok(buffer)
            }
            (5, 0x40, [address, bytes @ .., length]) => {
                let mut buffer = vec![0; usize::from(*length)];
                let messages = &mut [Message::Write(bytes), Message::Read(&mut buffer)];
                i2c.transfer(*address, messages).map_err(said("I2C WriteRead Error"))?;
                Ok(buffer)
            }
            (6, line, []) if line < LINES => {
                gpio.get(u32::from(line)).map(|high| vec![u8::from(high)]).map_err(said("GPIO Error"))
            }
            (6, line, [level]) if line < DRIVEN => {
                gpio.set(u32::from(line), *level > 0).map_err(said("GPIO Error"))?;
                Ok(vec![u8::from(*level > 0)])
            }
            (7, input @ (0x50 | 0x51), []) => Ok(self.analog[usize::from(input - 0x50)].to_le_bytes().to_vec()),
            (8, 0x10, colour @ [red, green, blue]) => {
                self.light = [*red, *green, *blue];
                Ok(colour.to_vec())
            }
            _ => Err(Refused::Invalid),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    id: u8,
    page: u8,
    command: u8,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Timeout,
    Invalid,
    Overflow,
    Said(&'static str),
}

/// The first request among these bytes, once it is whole; `Some(None)` where its length cannot be: all of them are dropped.
#[expect(clippy::option_option, reason = "no request yet and one that cannot be read are two things")]
fn take(bytes: &mut Vec<u8>) -> Option<Option<Request>> {
    let length = match bytes[..] {
        [low, high, ..] => usize::from(u16::from_le_bytes([low, high])),
        _ => return None,
    };
    if !(6..=REQUEST_LIMIT).contains(&length) {
        // The hardware's firmware panics at a length below 2 and starts anew.
        bytes.clear();
        return Some(None);
    }
    if bytes.len() < length {
        return None;
    }
    let frame: Vec<u8> = bytes.drain(..length).collect();
    Some(Some(Request { id: frame[2], page: frame[4], command: frame[5], data: frame[6..].to_vec() }))
}

fn reply(firmware: Firmware, id: u8, answer: Result<&[u8], &Refused>) -> Vec<u8> {
    let (code, data): (u8, &[u8]) = match answer {
        Ok(data) => (0, data),
        Err(Refused::Timeout) => (0x10, &[]),
        Err(Refused::Invalid) => (0x11, &[]),
        Err(Refused::Overflow) => (0x12, &[]),
        Err(Refused::Said(text)) => (0xff, text.as_bytes()),
    };
    // Transfers are at most 256 bytes, and so is every answer.
    let length = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
    match (firmware, answer) {
        (Firmware::Old, Ok(_)) => [&length(data.len())[..], &[id], data].concat(),
        _ => [&length(4 + data.len())[..], &[id, code], data].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_are_framed_as_each_firmware_does() {
        let row = |firmware, answer: Result<&[u8], &Refused>, bytes: &[u8]| assert_eq!(reply(firmware, 1, answer), bytes);
        row(Firmware::Old, Ok(&[7, 8]), &[2, 0, 1, 7, 8]);
        row(Firmware::Old, Err(&Refused::Timeout), &[4, 0, 1, 0x10]);
        row(Firmware::Old, Err(&Refused::Said("no")), &[6, 0, 1, 0xff, b'n', b'o']);
        row(Firmware::New, Ok(&[7, 8]), &[6, 0, 1, 0, 7, 8]);
        row(Firmware::New, Err(&Refused::Invalid), &[4, 0, 1, 0x11]);
        row(Firmware::New, Err(&Refused::Said("no")), &[6, 0, 1, 0xff, b'n', b'o']);
    }

    proptest! {
        #[test]
        fn any_bytes_are_requests_or_dropped_and_none_makes_it_grow(chunks in prop::collection::vec(prop::collection::vec(
            prop_oneof![0u8..10, any::<u8>()], 0..80), 0..20)) {
            let mut bytes = Vec::new();
            for chunk in chunks {
                let before = bytes.len() + chunk.len();
                bytes.extend(chunk);
                while let Some(request) = take(&mut bytes) {
                    prop_assert!(bytes.len() < before);
                    prop_assert!(request.is_none_or(|r| r.data.len() <= REQUEST_LIMIT - 6));
                }
                prop_assert!(bytes.len() < REQUEST_LIMIT);
            }
        }

        #[test]
        fn what_the_driver_sends_arrives(id in 0u8..0xff, command: u8, data in prop::collection::vec(any::<u8>(), 0..256)) {
            let mut bytes = hwdrivers::bus::usb_control::frame::request(
                id, hwdrivers::bus::usb_control::frame::Page::I2c, command, &data).expect("within the limits");
            prop_assert_eq!(take(&mut bytes), Some(Some(Request { id, page: 5, command, data })));
            prop_assert!(bytes.is_empty());
        }
    }
}
