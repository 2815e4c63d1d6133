//! Words on the ring: what a command is, and how many words later its echo or its answer comes by. Not here: what chips do.

use super::Kind;
use std::collections::VecDeque;

/// A command that has arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The self-test that numbers the chips; its echo begins `reach` words behind it.
    Number { reach: usize },
    /// Drop jobs (ed), all (00), or begin a self-test (20).
    Reset { how: u8 },
    /// Ask for a result.
    Result,
    /// Set a register block.
    Write { chip: u8, block: Vec<u8> },
    /// Ask for one.
    Read { chip: u8 },
    /// A job, its whole frame.
    Job { id: u8, chip: u8, frame: Vec<u8> },
}

/// The words on their way.
#[derive(Debug)]
pub(super) struct Wire {
    kind: Kind,
    /// Words that have passed.
    passed: usize,
    /// What comes back, the next word first.
    back: VecDeque<[u8; 2]>,
    /// The command that is arriving, when it began and how long it is.
    frame: Vec<u8>,
    began: usize,
    length: usize,
    reach: usize,
}

impl Wire {
    pub(super) fn new(kind: Kind) -> Wire {
        Wire { kind, passed: 0, back: VecDeque::new(), frame: Vec::new(), began: 0, length: 0, reach: 0 }
    }

    /// Passes a word in; gives the word that comes out, and a command that it completes. A single chip hears its own commands only
    /// where chips are `numbered`.
    pub(super) fn pass(&mut self, word: [u8; 2], heard: bool, chips: usize, numbered: bool) -> ([u8; 2], Option<Command>) {
        let at = self.passed;
        self.passed += 1;
        let out = self.back.pop_front().unwrap_or([0, 0]);
        if !heard || chips == 0 {
            self.frame.clear();
            return ([0, 0], None);
        }
        if self.frame.is_empty() {
            let Some(length) = self.length_of(word[0]) else { return (out, None) };
            let all = word[1] == 0;
            self.reach = if all { 2 * chips } else { 2 * usize::from(word[1]) - 1 };
            // Beyond the ring's end nobody answers, nor does one that does not know its place.
            if usize::from(word[1]) > if numbered { chips } else { 0 } {
                self.reach = usize::MAX;
            }
            (self.began, self.length) = (at, length);
        }
        self.frame.extend(word);
        if self.reach != usize::MAX && !matches!(self.frame[0] & 0x0f, 0x08 | 0x0a) {
            self.put(at + self.reach, word);
        }
        if self.frame.len() < self.length {
            return (out, None);
        }
        let frame = std::mem::take(&mut self.frame);
        (out, self.read(&frame))
    }

    /// Puts an answer where it comes by, counted in words from the command's beginning.
    pub(super) fn answer_at(&mut self, reach: usize, bytes: &[u8]) {
        for (i, word) in bytes.chunks_exact(2).enumerate() {
            // An answer cannot come before it is asked for to its end.
            let at = (self.began + reach).max(self.passed) + i;
            self.put(at, [word[0], word[1]]);
        }
    }

    /// Puts a word where it comes by; one that should have passed by now is lost.
    fn put(&mut self, at: usize, word: [u8; 2]) {
        let Some(ahead) = at.checked_sub(self.passed) else { return };
        if self.back.len() <= ahead {
            self.back.resize(ahead + 1, [0, 0]);
        }
        self.back[ahead] = word;
    }

    /// Bytes of a command by its first.
    fn length_of(&self, first: u8) -> Option<usize> {
        let sum = if self.kind.checked { 2 } else { 0 };
        Some(match first & 0x0f {
            0x01 | 0x03 | 0x04 | 0x08 => 4,
            0x09 => 2 + self.kind.register + sum,
            0x0a => 2,
            n if n == self.kind.job.0 => self.kind.job.1,
            _ => return None,
        })
    }

    fn read(&self, frame: &[u8]) -> Option<Command> {
        let (command, chip) = (frame[0] & 0x0f, frame[1]);
        let block = 2 + self.kind.register;
        Some(match command {
            // These three are for all chips at once.
            0x01 if chip == 0 => Command::Number { reach: self.reach },
            0x04 if chip == 0 => Command::Reset { how: frame[2] },
            0x08 if chip == 0 => Command::Result,
            0x09 if self.is_whole(&frame[..block], &frame[block..]) => Command::Write { chip, block: frame[2..block].to_vec() },
            0x0a => Command::Read { chip },
            n if n == self.kind.job.0 => {
                let data = self.kind.job.1 - if self.kind.checked { 4 } else { 0 };
                let whole = self.is_whole(&frame[..data], frame.get(data..data + 2).unwrap_or(&[]));
                let id = frame[0] >> 4;
                return (whole && (1..=4).contains(&id)).then(|| Command::Job { id, chip, frame: frame.to_vec() });
            }
            _ => return None,
        })
    }

    fn is_whole(&self, data: &[u8], told: &[u8]) -> bool {
        !self.kind.checked || sum(data).to_be_bytes() == told
    }
}

/// CRC-16, polynomial A001 from FFFF, over bytes swapped in pairs.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0xffff_u16;
    for pair in bytes.chunks(2) {
        for byte in pair.iter().rev() {
            sum ^= u16::from(*byte);
            for _ in 0..8 {
                let low = sum & 1;
                sum >>= 1;
                if low == 1 {
                    sum ^= 0xa001;
                }
            }
        }
    }
    sum
}

/// Leading zero bits of a compact target.
pub(super) fn zeros_of(bits: u32) -> u32 {
    let (exponent, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    let length = (8 * exponent + (32 - mantissa.leading_zeros())).saturating_sub(24);
    256u32.saturating_sub(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_comes_back_two_words_a_chip_later_and_one_chips_answer_sooner() {
        for (chip, chips, reach) in [(0, 8, 16), (1, 8, 1), (5, 8, 9)] {
            let mut wire = Wire::new(super::super::A1);
            let mut out = vec![];
            for n in 0..40 {
                let word = if n == 0 { [0x04, chip] } else { [0, 0] };
                out.push(wire.pass(word, true, chips, true).0);
            }
            assert_eq!(out.iter().position(|w| *w == [0x04, chip]), Some(reach), "chip {chip}");
        }
    }

    #[test]
    fn targets_are_told_in_zero_bits() {
        for (bits, zeros) in [(0x1d00_ffff, 32), (0x1c0f_fff0, 36), (0x1c00_ffff, 40)] {
            assert_eq!(zeros_of(bits), zeros, "{bits:x}");
        }
    }
}
