//! The simulated GPIO lines as a virtio controller: a guest's `/dev/gpiochipN`.
//!
//! ```text
//! request   kind u16, line u16, value u32
//! answer    status u8 (0 done, 1 failed), value u8
//! ```
//!
//! A line that a guest gives back keeps its level, as on Zynq boards: the case that a firmware must bear. One that it makes an
//! input floats, and all do when it starts anew or is gone. Not here: interrupts and names of lines; neither is offered.

use super::queue::{Answer, Device, Request};
use crate::machine::{World, lock};
use std::sync::{Arc, Mutex};

/// Lines there are: four banks of 32, as on a BeagleBone.
const LINES: u16 = 128;
/// What a guest may ask.
const GET_DIRECTION: u16 = 2;
const SET_DIRECTION: u16 = 3;
const GET_VALUE: u16 = 4;
const SET_VALUE: u16 = 5;
/// Directions.
const NONE: u8 = 0;
const OUT: u8 = 1;
const IN: u8 = 2;
const FAILED: u8 = 1;

#[derive(Clone, Copy)]
struct Line {
    direction: u8,
    /// The level that it takes, or took, as an output.
    level: bool,
    /// It holds its level.
    driven: bool,
}

/// A line that nobody touched.
const UNTOUCHED: Line = Line { direction: IN, level: false, driven: false };

/// The controller.
pub(super) struct GpioChip {
    world: Arc<Mutex<World>>,
    lines: [Line; LINES as usize],
}

impl GpioChip {
    pub(super) fn new(world: Arc<Mutex<World>>) -> GpioChip {
        GpioChip { world, lines: [UNTOUCHED; LINES as usize] }
    }

    fn obey(&mut self, asked: &[u8]) -> Option<u8> {
        let &[k0, k1, l0, l1, v0, v1, v2, v3] = asked else { return None };
        let (kind, offset) = (u16::from_le_bytes([k0, k1]), u16::from_le_bytes([l0, l1]));
        let value = u8::try_from(u32::from_le_bytes([v0, v1, v2, v3])).ok()?;
        let line = self.lines.get_mut(usize::from(offset))?;
        let offset = u32::from(offset);
        match (kind, value) {
            (GET_DIRECTION, _) => return Some(line.direction),
            (GET_VALUE, _) => return Some(u8::from(lock(&self.world).line(offset))),
            (SET_VALUE, 0 | 1) => {
                line.level = value == 1;
                if line.driven {
                    lock(&self.world).drive_line(offset, line.level);
                }
            }
            (SET_DIRECTION, OUT) => {
                (line.direction, line.driven) = (OUT, true);
                lock(&self.world).drive_line(offset, line.level);
            }
            (SET_DIRECTION, IN) => {
                let driven = std::mem::replace(line, Line { direction: IN, driven: false, ..*line }).driven;
                if driven {
                    lock(&self.world).float_line(offset);
                }
            }
            (SET_DIRECTION, NONE) => line.direction = NONE,
            _ => return None,
        }
        Some(0)
    }
}

impl Device for GpioChip {
    /// QEMU's has one for events as well, whether they are offered or not.
    const QUEUES: usize = 2;
    const FEATURES: u64 = 0;

    fn configuration(&self) -> Vec<u8> {
        let names_length = 0u32.to_le_bytes();
        [&LINES.to_le_bytes()[..], &[0; 2], &names_length].concat()
    }

    fn answer(&mut self, burst: &[Request]) -> Vec<Answer> {
        let answer = |r: &Request| {
            let answered = if r.room >= 2 { self.obey(&r.asked) } else { None };
            let mut bytes = answered.map_or_else(|| vec![FAILED, 0], |value| vec![0, value]);
            bytes.truncate(r.room);
            Answer { skip: 0, bytes }
        };
        burst.iter().map(answer).collect()
    }

    fn reset(&mut self) {
        let mut world = lock(&self.world);
        for (offset, line) in (0..).zip(&mut self.lines) {
            if line.driven {
                world.float_line(offset);
            }
            *line = UNTOUCHED;
        }
    }
}
