//! Frames of the control protocol of Bitaxe-raw and EmberOne00: bytes to replies and requests to bytes, nothing else.
//!
//! ```text
//! request  length u16 (of all), id, bus 0, page, command, data…          all numbers little endian
//! reply    old   length u16 (of the data), id, data…                     success
//!                length u16 (of all), id, code [, text]                  an error, as emberone-usbserial-fw sends it up to 5.0.0
//!                length u16 (of the data), id, FF, code [, text]         an error, as mujina's PROTOCOL.md describes it
//!          new   length u16 (of all), id, code (0 = success), data…      firmware minor version 1 and later
//! ```
//!
//! An old reply does not say whether it is an error: only who asked knows how long a good one is, so a decoder is told. One case
//! stays open until no more bytes come: an error whose length is that of the good answer. A request that the firmware cannot read
//! is refused under id FF, whatever its own was; so no request has that one.

use std::collections::VecDeque;

/// Bytes in front of a request's data.
pub const REQUEST_HEAD: usize = 6;
/// Most data in a request or a reply: the firmware's buffers hold 256 bytes.
pub const DATA_LIMIT: usize = 256;
/// Longest reply of either format: length, id, code and data.
const REPLY_LIMIT: usize = 4 + DATA_LIMIT;

/// The id of errors whose request could not be read.
pub const NAMELESS: u8 = 0xff;

/// How a firmware frames its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// All firmware of 2025.
    Old,
    /// From firmware minor version 1 on: each reply has a code.
    New,
}

/// Which of the controller's parts a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The I²C bus.
    I2c = 5,
    /// Its lines.
    Gpio = 6,
    /// Its analog inputs.
    Adc = 7,
    /// Its light.
    Led = 8,
}

/// Why the controller did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Code 10: it waited in vain.
    #[error("the board's controller timed out")]
    Timeout,
    /// Code 11: it does not know the request.
    #[error("the board's controller does not know this request: is its firmware older than the board's data?")]
    Invalid,
    /// Code 12: the request is too long for it.
    #[error("the board's controller has no room for this request")]
    Overflow,
    /// Code FF: in its own words.
    #[error("the board's controller says: {0}")]
    Said(String),
}

impl Refusal {
    fn of(code: u8, text: &[u8]) -> Option<Refusal> {
        match code {
            0x10 => Some(Refusal::Timeout),
            0x11 => Some(Refusal::Invalid),
            0x12 => Some(Refusal::Overflow),
            0xff => Some(Refusal::Said(String::from_utf8_lossy(text).into_owned())),
            _ => None,
        }
    }
}

/// What was answered.
pub type Answer = Result<Vec<u8>, Refusal>;

/// Bytes that are no reply to what was asked: the line is out of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfStep(pub &'static str);

/// The bytes of a request; `None` where there is more data than the controller takes.
#[must_use]
pub fn request(id: u8, page: Page, command: u8, data: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(REQUEST_HEAD + data.len()).ok().filter(|_| data.len() <= DATA_LIMIT)?;
    Some([&length.to_le_bytes()[..], &[id, 0, page as u8, command], data].concat())
}

/// What is expected of the next reply.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The request's id; not [`NAMELESS`].
    pub id: u8,
    /// How many bytes of data a good reply has.
    pub length: usize,
}

/// Finds the reply to one request in bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: VecDeque<u8>,
}

impl Decoder {
    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        // Beyond a reply and a half nothing can become one: it is out of step already, and need not grow.
        let room = (2 * REPLY_LIMIT).saturating_sub(self.bytes.len());
        self.bytes.extend(bytes.iter().take(room));
    }

    /// Forgets all that came.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The reply, once it is whole. `quiet` says that no more bytes will come.
    ///
    /// # Errors
    /// What came is no reply to this request.
    pub fn take(&mut self, format: Format, expected: Expected, quiet: bool) -> Result<Option<Answer>, OutOfStep> {
        if self.bytes.len() < 3 {
            return Ok(None);
        }
        let bytes = self.bytes.make_contiguous();
        let length = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        let nameless = bytes[2] == NAMELESS;
        if bytes[2] != expected.id && !nameless {
            return Err(OutOfStep("an answer to another request"));
        }
        let (size, answer) = match format {
            Format::New => match new(bytes, length, expected.length, nameless)? {
                Some(answer) => (length, answer),
                None => return Ok(None),
            },
            Format::Old => match old(bytes, length, expected.length, nameless, quiet)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        self.bytes.drain(..size);
        Ok(Some(answer))
    }
}

const UNLIKE: OutOfStep = OutOfStep("an answer of another length than was asked for");
const UNKNOWN: OutOfStep = OutOfStep("an answer that is neither what was asked for nor a known error");

fn new(bytes: &[u8], length: usize, good: usize, nameless: bool) -> Result<Option<Answer>, OutOfStep> {
    if !(4..=REPLY_LIMIT).contains(&length) {
        return Err(UNLIKE);
    }
    let Some(frame) = bytes.get(..length) else { return Ok(None) };
    match frame[3] {
        0 if length - 4 == good && !nameless => Ok(Some(Ok(frame[4..].to_vec()))),
        0 => Err(UNLIKE),
        code => Refusal::of(code, &frame[4..]).map(|r| Some(Err(r))).ok_or(UNKNOWN),
    }
}

/// The answer and how many bytes it took.
fn old(bytes: &[u8], length: usize, good: usize, nameless: bool, quiet: bool) -> Result<Option<(usize, Answer)>, OutOfStep> {
    if length == good && !nameless {
        if let Some(frame) = bytes.get(..3 + length) {
            return Ok(Some((frame.len(), Ok(frame[3..].to_vec()))));
        }
        // An error that is as long, header included: only the silence behind it tells.
        if quiet && bytes.len() == length && length >= 4 {
            let refusal = Refusal::of(bytes[3], &bytes[4..]).ok_or(UNKNOWN)?;
            return Ok(Some((length, Err(refusal))));
        }
        return Ok(None);
    }
    let Some(first) = bytes.get(3) else { return if length < 2 { Err(UNLIKE) } else { Ok(None) } };
    // FF and a code: the described form. FF and text: the form that is sent, whose text begins with a letter.
    if *first == 0xff {
        let Some(second) = bytes.get(4) else { return Ok(None) };
        if matches!(second, 0x10 | 0x11 | 0x12 | 0xff) {
            return whole(bytes, 3 + length, 4);
        }
    }
    whole(bytes, length, 3)
}

/// An error of this many bytes in all whose code stands at `at`.
fn whole(bytes: &[u8], size: usize, at: usize) -> Result<Option<(usize, Answer)>, OutOfStep> {
    if !(at + 1..=REPLY_LIMIT).contains(&size) {
        return Err(UNLIKE);
    }
    let refusal = Refusal::of(bytes[at], &[]).ok_or(UNKNOWN)?;
    let Some(frame) = bytes.get(..size) else { return Ok(None) };
    Ok(Some((size, Err(Refusal::of(frame[at], &frame[at + 1..]).unwrap_or(refusal)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(format: Format, length: usize, bytes: &[u8], quiet: bool) -> Result<Option<Answer>, OutOfStep> {
        let mut d = Decoder::default();
        d.push(bytes);
        d.take(format, Expected { id: 1, length }, quiet)
    }

    #[test]
    fn requests_are_those_of_the_firmwares_readme() {
        let row = |id, page, command, data: &[u8], bytes: &[u8]| {
            assert_eq!(request(id, page, command, data).as_deref(), Some(bytes));
        };
        row(1, Page::I2c, 0x20, &[0x4f, 0xde], &[8, 0, 1, 0, 5, 0x20, 0x4f, 0xde]);
        row(1, Page::I2c, 0x30, &[0x4c, 1], &[8, 0, 1, 0, 5, 0x30, 0x4c, 1]);
        row(1, Page::I2c, 0x40, &[0x32, 0xfe, 2], &[9, 0, 1, 0, 5, 0x40, 0x32, 0xfe, 2]);
        row(0, Page::Gpio, 0, &[1], &[7, 0, 0, 0, 6, 0, 1]);
        row(0, Page::Adc, 0x50, &[], &[6, 0, 0, 0, 7, 0x50]);
        row(0, Page::Led, 0x10, &[0xff, 0, 0xff], &[9, 0, 0, 0, 8, 0x10, 0xff, 0, 0xff]);
        assert!(request(0, Page::I2c, 0x20, &[0; DATA_LIMIT]).is_some());
        assert_eq!(request(0, Page::I2c, 0x20, &[0; DATA_LIMIT + 1]), None);
    }

    #[test]
    fn answers_and_errors_of_all_three_forms() {
        let said = |text: &str| Err(Refusal::Said(text.to_owned()));
        let rows: [(Format, usize, &[u8], Answer); 15] = [
            (Format::Old, 1, &[4, 0, 0xff, 0x11], Err(Refusal::Invalid)),
            (Format::Old, 4, &[4, 0, 0xff, 0x12], Err(Refusal::Overflow)),
            (Format::New, 1, &[4, 0, 0xff, 0x11], Err(Refusal::Invalid)),
            (Format::Old, 1, &[1, 0, 1, 1], Ok(vec![1])),
            (Format::Old, 0, &[0, 0, 1], Ok(vec![])),
            (Format::Old, 2, &[2, 0, 1, 0xff, 0x10], Ok(vec![0xff, 0x10])),
            (Format::Old, 1, &[4, 0, 1, 0x11], Err(Refusal::Invalid)),
            (Format::Old, 1, b"\x13\x00\x01\xffI2C Write Error", said("I2C Write Error")),
            (Format::Old, 1, &[2, 0, 1, 0xff, 0x10], Err(Refusal::Timeout)),
            (Format::Old, 1, &[4, 0, 1, 0xff, 0xff, b'n', b'o'], said("no")),
            (Format::New, 1, &[5, 0, 1, 0, 1], Ok(vec![1])),
            (Format::New, 2, &[6, 0, 1, 0, 0xff, 0x10], Ok(vec![0xff, 0x10])),
            (Format::New, 1, &[4, 0, 1, 0x12], Err(Refusal::Overflow)),
            (Format::New, 1, &[4, 0, 1, 0x10], Err(Refusal::Timeout)),
            (Format::New, 1, &[6, 0, 1, 0xff, b'n', b'o'], said("no")),
        ];
        for (format, length, bytes, answer) in rows {
            assert_eq!(one(format, length, bytes, false), Ok(Some(answer)), "{format:?} {bytes:02x?}");
            for cut in 0..bytes.len() {
                assert_eq!(one(format, length, &bytes[..cut], false), Ok(None), "{format:?} {:02x?}", &bytes[..cut]);
            }
        }
    }

    #[test]
    fn an_old_error_as_long_as_the_answer_is_told_by_the_silence_behind_it() {
        let error = [4, 0, 1, 0x11];
        assert_eq!(one(Format::Old, 4, &error, false), Ok(None));
        assert_eq!(one(Format::Old, 4, &error, true), Ok(Some(Err(Refusal::Invalid))));
        let answer = [4, 0, 1, 0x11, 2, 3, 4];
        assert_eq!(one(Format::Old, 4, &answer, true), Ok(Some(Ok(vec![0x11, 2, 3, 4]))));
    }

    #[test]
    fn what_answers_something_else_is_out_of_step() {
        let rows: [(Format, usize, &[u8]); 10] = [
            (Format::Old, 1, &[1, 0, 0xff, 1]),
            (Format::New, 1, &[5, 0, 0xff, 0, 1]),
            (Format::Old, 1, &[1, 0, 2, 1]),
            (Format::Old, 1, &[3, 0, 1, 5, 6, 7]),
            (Format::Old, 2, &[1, 0, 1, 1]),
            (Format::Old, 1, &[0xff, 0xff, 1, 0x10]),
            (Format::New, 1, &[4, 0, 1, 0]),
            (Format::New, 1, &[3, 0, 1, 0]),
            (Format::New, 1, &[0xff, 0xff, 1, 0]),
            (Format::New, 1, &[5, 0, 1, 0x33, 0]),
        ];
        for (format, length, bytes) in rows {
            assert!(one(format, length, bytes, true).is_err(), "{format:?} {bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_firmware_answers_arrives_however_it_is_cut(
            new in any::<bool>(),
            data in prop::collection::vec(any::<u8>(), 0..DATA_LIMIT),
            cuts in prop::collection::vec(1usize..40, 0..20),
        ) {
            let format = if new { Format::New } else { Format::Old };
            let length = (if new { data.len() + 4 } else { data.len() }) as u16;
            let head: &[u8] = if new { &[1, 0] } else { &[1] };
            let bytes = [&length.to_le_bytes()[..], head, &data].concat();
            let (mut d, mut rest, mut cuts) = (Decoder::default(), &bytes[..], cuts.into_iter());
            let expected = Expected { id: 1, length: data.len() };
            while !rest.is_empty() {
                prop_assert_eq!(d.take(format, expected, false), Ok(None));
                let n = cuts.next().unwrap_or(rest.len()).min(rest.len());
                d.push(&rest[..n]);
                rest = &rest[n..];
            }
            prop_assert_eq!(d.take(format, expected, false), Ok(Some(Ok(data))));
        }

        #[test]
        fn any_bytes_are_an_answer_out_of_step_or_not_yet_whole(
            new in any::<bool>(), length in 0usize..DATA_LIMIT, quiet in any::<bool>(),
            bytes in prop::collection::vec(prop_oneof![0u8..8, Just(0x10), Just(0x11), Just(0xff), any::<u8>()], 0..600),
        ) {
            let mut d = Decoder::default();
            d.push(&bytes);
            let format = if new { Format::New } else { Format::Old };
            if let Ok(Some(Ok(data))) = d.take(format, Expected { id: 1, length }, quiet) {
                prop_assert_eq!(data.len(), length);
            }
        }
    }
}
