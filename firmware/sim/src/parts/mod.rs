//! Simulated parts on the I²C bus, at the level of their registers: one file a part, as in `hwdrivers`.
//!
//! Each is told what the host writes and gives what it reads; the world tells it the physics (a temperature, a turning fan) and
//! asks it for its outputs (a duty, a voltage). Written from datasheets and captures, not from the drivers. Not here: heat.

pub mod apw;
pub mod at24c02;
pub mod contact;
pub mod ds4432u;
pub mod dspic;
pub mod emc2101;
pub mod emc2103;
pub mod emc2305;
pub mod ina260;
pub mod pic16;
pub mod pwm_fans;
pub mod tmp451;
pub mod tmp75;
pub mod tps546;
pub mod vid;

use model::Time;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What every part on the bus can do.
pub trait Target: Send {
    /// Takes one write message.
    fn write(&mut self, now: Time, bytes: &[u8]);
    /// Fills one read message.
    fn read(&mut self, now: Time, buffer: &mut [u8]);
}

/// A part that hangs on a chip and is felt by the world.
impl<T: Target> Target for Arc<Mutex<T>> {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        self.lock().unwrap_or_else(PoisonError::into_inner).write(now, bytes);
    }
    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        self.lock().unwrap_or_else(PoisonError::into_inner).read(now, buffer);
    }
}

/// When a part became something else than its host takes it for, and whether the host has read from it since. Before that nobody can
/// know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turned {
    at: Option<Time>,
    read: bool,
}

impl Turned {
    /// It became so at this moment.
    pub(crate) fn at(now: Time) -> Turned {
        Turned { at: Some(now), read: false }
    }

    /// The host reads.
    pub(crate) fn read(&mut self) {
        self.read = true;
    }

    /// Whether the host must know: it has read, or had this long to do so. What was so from the start is known.
    pub(crate) fn is_known(self, now: Time, patience: Duration) -> bool {
        self.at.is_none_or(|at| self.read || now.since(at) > patience)
    }
}

/// How a diode outside a sensor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diode {
    /// It measures.
    #[default]
    Good,
    /// Its line is cut.
    Open,
    /// Its lines touch.
    Short,
}

/// Finds the `55 AA length …` packets of a dsPIC in bytes that come one at a time. `length` counts itself, command,
/// data and the two bytes of the sum.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    pending: Vec<u8>,
}

/// Longest packet behind its preamble that it takes.
const PACKET_LIMIT: usize = 16;

impl Packets {
    /// Takes one byte; gives command and data of a packet that it completes, with the sum's two bytes as they came.
    pub(crate) fn tell(&mut self, byte: u8) -> Option<(u8, Vec<u8>, [u8; 2])> {
        self.pending.push(byte);
        while !matches!(self.pending.as_slice(), [] | [0x55] | [0x55, 0xaa] | [0x55, 0xaa, 4..=16, ..]) {
            self.pending.remove(0);
        }
        let size = usize::from(*self.pending.get(2)?).min(PACKET_LIMIT);
        if self.pending.len() < size + 2 {
            return None;
        }
        let packet = std::mem::take(&mut self.pending);
        Some((packet[3], packet[4..size].to_vec(), [packet[size], packet[size + 1]]))
    }
}

/// The sum over length, command and data.
pub(crate) fn sum(command: u8, data: &[u8]) -> u16 {
    let length = 4 + data.len() as u16;
    data.iter().fold(length + u16::from(command), |s, b| s.wrapping_add(u16::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_in_noise_and_absurd_lengths_are_skipped() {
        let mut p = Packets::default();
        let noise = [0x55, 0xaa, 0xff, 0x00, 0x55, 0x55, 0xaa, 0x05, 0x15, 0x01, 0x00, 0x1b];
        let found: Vec<_> = noise.iter().filter_map(|b| p.tell(*b)).collect();
        assert_eq!(found, [(0x15, vec![1], [0x00, 0x1b])]);
        assert_eq!(sum(0x15, &[1]), 0x1b);
        assert_eq!(sum(0x83, &[0x0d, 0]), 0x96);
    }
}
