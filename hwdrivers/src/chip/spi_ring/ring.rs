//! Commands and answers on a ring of chips: what is clocked where, and where in what comes back an answer stands. Not here: when
//! what is said.
//!
//! A command for chip c begins to come back 4c − 2 bytes behind its own beginning, one for all of n chips 4n bytes behind it.

use super::Family;
use crate::bus::{BusError, Spi};

const BIST_START: u8 = 0x01;
const BIST_FIX: u8 = 0x03;
const RESET: u8 = 0x04;
const READ_RESULT: u8 = 0x08;
const WRITE_REG: u8 = 0x09;
const READ_REG: u8 = 0x0a;
const REG_ANSWER: u8 = 0x1a;
/// All chips.
const ALL: u8 = 0;
/// Bytes clocked to empty a ring of what was on its way.
const FLUSH: usize = 64;

/// What a chip found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) job: u8,
    /// From 1.
    pub(super) chip: u8,
    pub(super) midstate: u8,
    /// The header's nonce.
    pub(super) nonce: u32,
}

/// A result, or one that was damaged on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) good: Option<Found>,
}

/// An answer's sum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The ring and its bus.
pub(super) struct Ring<S: Spi> {
    spi: S,
    family: &'static Family,
    /// How many chips; the longest chain before they were counted.
    chips: u8,
}

impl<S: Spi> Ring<S> {
    pub(super) fn new(spi: S, family: &'static Family) -> Ring<S> {
        Ring { spi, family, chips: family.chips_max }
    }

    pub(super) fn spi(&mut self) -> &mut S {
        &mut self.spi
    }

    /// Another ring may be there after a reset.
    pub(super) fn forget(&mut self) {
        self.chips = self.family.chips_max;
    }

    pub(super) fn configure(&mut self, hertz: u32) -> Result<(), BusError> {
        self.spi.configure(self.family.mode, hertz)?;
        self.spi.transfer(&mut [0; FLUSH])
    }

    /// Drops jobs, or all.
    pub(super) fn reset(&mut self, how: u8) -> Result<bool, BusError> {
        let answer = self.ask(&[RESET, ALL, how, how], 4, |b| b[0] == RESET)?;
        Ok(answer.is_some())
    }

    /// Starts the chips' self-test, which numbers them: 0 where none answers, and on any but the first time after a reset. No sum
    /// guards the answer, and it cannot be asked again: whoever asks has to make sure of it.
    pub(super) fn count(&mut self) -> Result<u8, BusError> {
        let answer = self.ask(&[BIST_START, ALL, 0, 0], 4, |b| b[..2] == [BIST_START, ALL])?;
        let chips = answer.map_or(0, |a| a[3]);
        Ok(if (1..=self.family.chips_max).contains(&chips) { chips } else { 0 })
    }

    /// So many there are: what is asked of all is waited for that long.
    pub(super) fn hold(&mut self, chips: u8) {
        self.chips = chips;
    }

    /// Makes what the self-test found last.
    pub(super) fn fix(&mut self) -> Result<bool, BusError> {
        let answer = self.ask(&[BIST_FIX, ALL, 0, 0], 2, |b| b[0] == BIST_FIX)?;
        Ok(answer.is_some())
    }

    /// Writes a chip's register block, or all chips'. Whether it came through shows when it is read.
    pub(super) fn write(&mut self, chip: u8, block: &[u8]) -> Result<(), BusError> {
        let mut frame = [&[WRITE_REG, chip], block].concat();
        if self.family.checked {
            frame.extend(crc(&frame).to_be_bytes());
        }
        self.ask(&frame, 2, |b| b[0] & 0x0f == WRITE_REG).map(drop)
    }

    /// Reads a chip's register block; `None` where it is silent, an error inside where its sum is wrong.
    pub(super) fn read(&mut self, chip: u8) -> Result<Option<Result<Vec<u8>, Damaged>>, BusError> {
        let size = 2 + self.family.register;
        let answer = self.ask(&[READ_REG, chip], size + self.sum(), |b| b[0] == REG_ANSWER && b[1] == chip)?;
        Ok(answer.map(|a| if self.is_whole(&a) { Ok(a[2..size].to_vec()) } else { Err(Damaged) }))
    }

    /// Gives a chip a job. Its answer is not waited for: the queue's state shows whether it was taken.
    pub(super) fn job(&mut self, chip: u8, mut frame: Vec<u8>) -> Result<(), BusError> {
        frame.resize(frame.len() + 4 * usize::from(chip) + 2, 0);
        self.spi.transfer(&mut frame)
    }

    /// The oldest result of any chip.
    pub(super) fn result(&mut self) -> Result<Option<Taken>, BusError> {
        let size = if self.family.midstates > 1 { 8 } else { 6 };
        let Some(a) = self.ask(&[READ_RESULT, ALL, 0, 0], size + self.sum(), |b| b[0] & 0x0f == READ_RESULT && b[1] != 0)? else {
            return Ok(None);
        };
        if !self.is_whole(&a) {
            return Ok(Some(Taken { good: None }));
        }
        // One hot: 0, 2, 4 and 8 name midstates 0 to 3.
        let midstate = if size == 8 { a[3].checked_ilog2().unwrap_or(0) as u8 } else { 0 };
        let nonce = u32::from_le_bytes([a[size - 4], a[size - 3], a[size - 2], a[size - 1]]);
        let good = usize::from(midstate) < self.family.midstates;
        let found = Found { job: a[0] >> 4, chip: a[1], midstate, nonce };
        Ok(Some(Taken { good: good.then_some(found) }))
    }

    fn sum(&self) -> usize {
        if self.family.checked { 2 } else { 0 }
    }

    fn is_whole(&self, answer: &[u8]) -> bool {
        if !self.family.checked {
            return true;
        }
        let (data, sum) = answer.split_at(answer.len() - 2);
        crc(data).to_be_bytes() == sum
    }

    /// Clocks a command out and its answer of `length` bytes in: the first one at a whole word that `is` takes for its head.
    fn ask(&mut self, frame: &[u8], length: usize, is: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>, BusError> {
        let reach = usize::from(if frame[1] == ALL { self.chips } else { frame[1] });
        let mut bytes = frame.to_vec();
        // Some answers begin when the whole command has arrived, so it is clocked through behind itself.
        bytes.resize(frame.len() + 4 * reach + length + 4, 0);
        self.spi.transfer(&mut bytes)?;
        let starts = (2..=bytes.len() - length.max(2)).step_by(2);
        Ok(starts.map(|at| &bytes[at..at + length.max(2)]).find(|b| is(b)).map(<[u8]>::to_vec))
    }
}

/// CRC-16 with the polynomial A001 from FFFF, over bytes swapped in pairs.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    let swapped = bytes.chunks(2).flat_map(|pair| pair.iter().rev());
    swapped.fold(0xffff, |mut crc: u16, byte| {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
        }
        crc
    })
}

/// The version with this number among those that a mask allows.
pub(super) fn rolled(version: u32, mask: u32, mut index: u64) -> u32 {
    let mut bits = 0;
    for bit in (0..32).filter(|bit| mask >> bit & 1 == 1) {
        bits |= ((index & 1) as u32) << bit;
        index >>= 1;
    }
    version & !mask | bits
}
