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

/// Lines there are: the numbers of every product's board data lie below, those of the S9's and T1's kernels above 900.
const LINES: u16 = 1024;
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
    lines: Vec<Line>,
}

impl GpioChip {
    pub(super) fn new(world: Arc<Mutex<World>>) -> GpioChip {
        GpioChip { world, lines: vec![UNTOUCHED; usize::from(LINES)] }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chip() -> (Arc<Mutex<World>>, GpioChip) {
        let world = Arc::new(Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, crate::real_time::SCALE)));
        (Arc::clone(&world), GpioChip::new(world))
    }

    fn request(kind: u16, line: u16, value: u32) -> Request {
        Request { asked: [&kind.to_le_bytes()[..], &line.to_le_bytes(), &value.to_le_bytes()].concat(), room: 2 }
    }

    impl GpioChip {
        fn ask(&mut self, kind: u16, line: u16, value: u32) -> Vec<u8> {
            self.answer(&[request(kind, line, value)]).remove(0).bytes
        }
    }

    #[test]
    fn a_level_is_taken_with_the_direction_and_held_until_the_line_floats() {
        let (world, mut c) = chip();
        let supply_off = || !lock(&world).line(65);
        assert_eq!((c.ask(GET_DIRECTION, 65, 0), c.ask(GET_VALUE, 65, 0)), (vec![0, IN], vec![0, 0]), "pulled down");
        assert_eq!(c.ask(SET_VALUE, 65, 1), [0, 0]);
        assert!(supply_off(), "not an output yet");
        assert_eq!(c.ask(SET_DIRECTION, 65, OUT.into()), [0, 0]);
        assert!(!supply_off());
        assert_eq!((c.ask(GET_DIRECTION, 65, 0), c.ask(GET_VALUE, 65, 0)), (vec![0, OUT], vec![0, 1]));
        assert_eq!(c.ask(SET_VALUE, 65, 0), [0, 0]);
        assert!(supply_off());
        c.ask(SET_VALUE, 65, 1);
        assert_eq!(c.ask(SET_DIRECTION, 65, NONE.into()), [0, 0]);
        assert!(!supply_off(), "given back, not let go of");
        c.ask(SET_DIRECTION, 65, IN.into());
        assert!(supply_off());
        c.ask(SET_DIRECTION, 65, OUT.into());
        assert!(!supply_off());
        c.reset();
        assert!(supply_off());
        assert_eq!(c.ask(GET_DIRECTION, 65, 0), [0, IN]);
    }

    #[test]
    fn plug_lines_are_seen() {
        let (world, mut c) = chip();
        assert_eq!(c.ask(GET_VALUE, 48, 0), [0, 1]);
        lock(&world).unplug(1);
        assert_eq!(c.ask(GET_VALUE, 48, 0), [0, 0]);
    }

    #[test]
    fn what_has_another_form_fails_within_its_room_and_moves_nothing() {
        let (world, mut c) = chip();
        for (kind, line, value) in [
            (GET_VALUE, LINES, 0),
            (SET_VALUE, u16::MAX, 0),
            (SET_VALUE, 65, 2),
            (SET_DIRECTION, 65, 3),
            (SET_DIRECTION, 65, 0x101),
            (0, 65, 0),
            (1, 0, 0),
            (6, 65, 1),
            (u16::MAX, 65, u32::MAX),
        ] {
            assert_eq!(c.ask(kind, line, value), [FAILED, 0], "{kind} {line} {value}");
        }
        let whole = request(SET_DIRECTION, 65, OUT.into());
        for size in [0, 7] {
            let short = Request { asked: whole.asked[..size].to_vec(), room: 2 };
            assert_eq!(c.answer(&[short])[0].bytes, [FAILED, 0]);
        }
        let long = Request { asked: [&whole.asked[..], &[0]].concat(), room: usize::MAX };
        assert_eq!(c.answer(&[long])[0].bytes, [FAILED, 0]);
        for room in [0, 1] {
            let answers = c.answer(&[Request { room, ..whole.clone() }]);
            assert_eq!(answers, [Answer { skip: 0, bytes: vec![FAILED; room] }]);
        }
        assert!(!lock(&world).line(65));
        assert_eq!(c.ask(GET_DIRECTION, 65, 0), [0, IN]);
    }

    #[test]
    fn every_products_lines_are_within_the_controller() {
        for p in board::PRODUCTS {
            let boards = p.hashboards.iter().flat_map(|b| b.enables.iter().copied().chain([b.reset]).chain(b.plug));
            assert!(boards.chain(p.supply_enable).all(|l| l.number < u32::from(LINES)), "{}", p.name);
        }
        assert_eq!(chip().1.configuration(), [0, 4, 0, 0, 0, 0, 0, 0]);
    }
}
