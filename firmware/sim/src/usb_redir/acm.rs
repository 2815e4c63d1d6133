//! One serial line of a simulated USB device: a CDC-ACM function, as a line's near end.
//!
//! What the host sends is kept with the rate it was sent at, so that a rate that is changed right behind it does not reach back.
//! Without a host that has the line open nothing is kept: it would be read by the next one. Not here: descriptors, and how
//! requests arrive (`device`).

use super::frame::Setup;
use crate::pty::PtyError;
use crate::serial_line::NearEnd;
use model::Baud;
use std::collections::VecDeque;

/// Class requests to an interface: from the host, and for it.
const TO_US: u8 = 0x21;
const FROM_US: u8 = 0xa1;
/// Rate, stop bits, parity, data bits: 9600 8N1 until a host says something else, as Linux expects of a fresh one.
const CODING: [u8; 7] = [0x80, 0x25, 0, 0, 0, 0, 8];

/// A read that waits for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its id.
    pub id: u64,
    /// Its stream.
    pub stream: u32,
    /// Most bytes.
    pub length: usize,
}

/// The function.
#[derive(Debug)]
pub struct Acm {
    coding: [u8; 7],
    /// Whether a host has it open.
    open: bool,
    /// What the host sent, at which rate.
    heard: VecDeque<(Baud, VecDeque<u8>)>,
    /// What it has not fetched yet.
    said: VecDeque<u8>,
    /// Its reads that wait.
    wanted: VecDeque<Wanted>,
}

impl Default for Acm {
    fn default() -> Acm {
        Acm { coding: CODING, open: false, heard: VecDeque::new(), said: VecDeque::new(), wanted: VecDeque::new() }
    }
}

impl Acm {
    fn rate(&self) -> Baud {
        Baud(u32::from_le_bytes([self.coding[0], self.coding[1], self.coding[2], self.coding[3]]))
    }

    /// Answers a request of its class; `None` is a stall.
    pub fn obey(&mut self, setup: &Setup, bytes: &[u8]) -> Option<Vec<u8>> {
        match (setup.request_type, setup.request, bytes) {
            (TO_US, 0x20, [rate @ .., _, _, _]) if bytes.len() == self.coding.len() && rate.iter().any(|b| *b != 0) => {
                self.coding.copy_from_slice(bytes);
                Some(Vec::new())
            }
            (FROM_US, 0x21, _) => Some(self.coding.to_vec()),
            (TO_US, 0x22, []) => {
                self.open = setup.value & 1 != 0;
                if !self.open {
                    self.said.clear();
                }
                Some(Vec::new())
            }
            // Nobody behind it listens for a break.
            (TO_US, 0x23, []) => Some(Vec::new()),
            _ => None,
        }
    }

    /// Bytes from the host.
    pub fn hear(&mut self, bytes: &[u8]) {
        let rate = self.rate();
        match self.heard.back_mut() {
            Some((baud, before)) if *baud == rate => before.extend(bytes),
            _ => self.heard.push_back((rate, bytes.iter().copied().collect())),
        }
    }

    /// A read that waits now; gives how many there are.
    pub fn want(&mut self, wanted: Wanted) -> usize {
        self.wanted.push_back(wanted);
        self.wanted.len()
    }

    /// Takes a waiting read back.
    pub fn cancel(&mut self, id: u64) -> Option<Wanted> {
        let at = self.wanted.iter().position(|w| w.id == id)?;
        self.wanted.remove(at)
    }

    /// The next read that can end, with its bytes.
    pub fn end_one(&mut self) -> Option<(Wanted, Vec<u8>)> {
        if self.said.is_empty() {
            return None;
        }
        let wanted = self.wanted.pop_front()?;
        let n = wanted.length.min(self.said.len());
        Some((wanted, self.said.drain(..n).collect()))
    }

    /// As after a reset of the port; gives the reads that waited.
    pub fn reset(&mut self) -> VecDeque<Wanted> {
        std::mem::take(self).wanted
    }
}

impl NearEnd for Acm {
    fn baud(&self) -> Result<Baud, PtyError> {
        Ok(self.heard.front().map_or_else(|| self.rate(), |(baud, _)| *baud))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PtyError> {
        let Some((_, bytes)) = self.heard.front_mut() else { return Ok(0) };
        let n = bytes.len().min(buffer.len());
        buffer.iter_mut().zip(bytes.drain(..n)).for_each(|(to, from)| *to = from);
        if bytes.is_empty() {
            self.heard.pop_front();
        }
        Ok(n)
    }

    fn is_idle(&self) -> bool {
        self.said.is_empty()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PtyError> {
        if self.open {
            self.said.extend(bytes);
        }
        Ok(())
    }
}
