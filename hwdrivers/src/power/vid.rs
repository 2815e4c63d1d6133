//! The voltage id of DragonMint T1 hashboards: a number from 0 (most volts) to 31, pulsed into the board on one line. A frame is
//! 4 ms of sync, half of it high, then eight bits of 1 ms, lowest first, and the same bits inverted; a one is high for three
//! quarters of its millisecond, a zero for one (cgminer `dm_compat.c`, `hub_set_vid_vid`, asic.md A14). Nothing comes back.
//!
//! Pulses are edges in time, so a turn that comes too late would bend one: the line then goes low, and the whole frame is sent
//! again. The board does nothing with a frame whose inverse does not fit. Not here: the line that switches the board on.

use super::exchange::TRIES;
use super::{Event, Order, Power, PowerError};
use crate::bus::{Gpio, I2c};
use model::{Time, Volt};
use std::collections::VecDeque;
use std::time::Duration;

/// The highest id, which gives the least.
pub const HIGHEST: u8 = 31;
/// What id 0 gives, and what each further one takes from it. The driver's table for converters on I²C has 1608 to 1329 in steps
/// of 9 for the ids 0 to 31; that this is hundredths of a volt is inferred \[?\].
pub const VOLT_AT_ZERO: Volt = Volt(16.08);
/// See [`VOLT_AT_ZERO`].
pub const VOLT_A_STEP: Volt = Volt(0.09);

/// The unit of all pulses.
const QUARTER: Duration = Duration::from_micros(250);
/// How late an edge may come: less than half a quarter still tells a one from a zero.
const LATEST: Duration = Duration::from_micros(120);
/// Between two frames, so that the next sync stands alone.
const REST: Duration = Duration::from_millis(10);

/// One line.
#[derive(Debug)]
pub struct Vid {
    line: u32,
    /// The id that the board has, where one was sent.
    sent: Option<u8>,
    queue: VecDeque<Order>,
    frame: Option<Frame>,
    due: Time,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Frame {
    /// The id that is being sent: one step towards the one that is asked for.
    id: u8,
    /// Edges still to come: how many quarters behind the last one, and where to.
    edges: VecDeque<(u32, bool)>,
    tries: u8,
}

impl Vid {
    /// The board behind this line.
    #[must_use]
    pub const fn new(line: u32) -> Vid {
        Vid { line, sent: None, queue: VecDeque::new(), frame: None, due: Time::ZERO, events: VecDeque::new() }
    }

    fn fail(&mut self, now: Time, error: PowerError) {
        self.frame = None;
        self.due = now + REST;
        self.events.extend(self.queue.pop_front().map(|order| Event::Failed { order, error }));
    }
}

/// The id for a voltage: the first one that does not give more. `None` where there is none.
#[must_use]
pub fn id(v: Volt) -> Option<u8> {
    // A hair above the step still counts as the step.
    let steps = ((VOLT_AT_ZERO - v).0 / VOLT_A_STEP.0 - 1e-6).ceil();
    (0.0..=f64::from(HIGHEST)).contains(&steps).then_some(steps as u8)
}

/// What an id gives.
#[must_use]
pub fn voltage(id: u8) -> Volt {
    VOLT_AT_ZERO - VOLT_A_STEP * f64::from(id)
}

/// The edges of a frame: quarters since the edge before, and the level.
fn edges(id: u8) -> VecDeque<(u32, bool)> {
    let mut edges = VecDeque::from([(0, true), (8, false)]);
    let mut low = 8;
    for bit in (0..8).map(|i| id >> i & 1).chain((0..8).map(|i| !id >> i & 1)) {
        let high = if bit == 1 { 3 } else { 1 };
        edges.extend([(low, true), (high, false)]);
        low = 4 - high;
    }
    edges
}

impl Power for Vid {
    fn order(&mut self, order: Order) {
        match order {
            Order::SetVoltage(_) => {
                // The one that is being sent ends at its own next step; a waiting one gives way.
                self.queue.truncate(usize::from(self.frame.is_some()));
                self.queue.push_back(order);
            }
            Order::Identify => self.events.push_back(Event::Identified("voltage id by pulses, nothing comes back".to_owned())),
            // A frame under way goes to its end: half of one would leave the line high.
            _ => self.events.push_back(Event::Done(order)),
        }
    }

    fn turn(&mut self, now: Time, _i2c: &mut dyn I2c, gpio: &mut dyn Gpio) {
        while self.due <= now {
            let Some(Order::SetVoltage(v)) = self.queue.front().copied() else { return };
            let Some(target) = id(v) else {
                self.fail(now, PowerError::Range { asked: v, lowest: voltage(HIGHEST), highest: voltage(0) });
                continue;
            };
            let Some(frame) = &mut self.frame else {
                // Step by step, as the maker does: the converter follows slowly. The first one says where it is.
                let id = match self.sent {
                    Some(sent) if sent < target => sent + 1,
                    Some(sent) if sent > target => sent - 1,
                    _ => target,
                };
                self.frame = Some(Frame { id, edges: edges(id), tries: 0 });
                self.due = now;
                continue;
            };
            let late = now.since(self.due);
            let first = frame.edges.len() == 2 * 17;
            let Some((_, level)) = frame.edges.front().copied() else { return };
            let bent = !first && late > LATEST;
            if let Err(e) = gpio.set(self.line, level && !bent) {
                self.fail(now, PowerError::Bus(e));
                continue;
            }
            if bent {
                frame.tries += 1;
                if frame.tries == TRIES {
                    self.fail(now, PowerError::Late(late));
                } else {
                    frame.edges = edges(frame.id);
                    self.due = now + REST;
                }
                continue;
            }
            frame.edges.pop_front();
            // The first edge starts the clock; all others keep to it, or small delays would add up.
            let base = if first { now } else { self.due };
            if let Some((quarters, _)) = frame.edges.front() {
                self.due = base + QUARTER * *quarters;
                continue;
            }
            let reached = frame.id == target;
            (self.sent, self.frame, self.due) = (Some(frame.id), None, now + REST);
            if reached {
                self.events.extend(self.queue.pop_front().map(Event::Done));
            }
        }
    }

    fn wake_at(&self) -> Time {
        match (self.events.is_empty(), self.queue.is_empty()) {
            (false, _) => Time::ZERO,
            (true, true) => Time::NEVER,
            (true, false) => self.due,
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn feed_period(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::testing::Line;

    /// Turns the part this much later than it wants to be.
    fn run(part: &mut Vid, lines: &mut Line, late: Duration) -> Vec<Event> {
        let (mut now, mut events) = (Time::ZERO, vec![]);
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at() + late);
            lines.now = now;
            part.turn(now, &mut Line::absent(), lines);
            events.extend(part.next_event());
        }
        events
    }

    /// How long the line was high each time, in microseconds.
    fn pulses(lines: &Line) -> Vec<u64> {
        lines.edges.chunks(2).map(|e| e[1].0.micros() - e[0].0.micros()).collect()
    }

    #[test]
    fn a_frame_is_a_sync_eight_bits_and_their_inverse() {
        let (mut part, mut lines) = (Vid::new(864), Line::default());
        part.order(Order::SetVoltage(voltage(5)));
        let events = run(&mut part, &mut lines, Duration::ZERO);
        assert!(matches!(events[..], [Event::Done(Order::SetVoltage(_))]), "{events:?}");
        let bits = |id: u8| (0..8).map(move |i| if id >> i & 1 == 1 { 750 } else { 250 });
        assert_eq!(pulses(&lines), [2000].into_iter().chain(bits(5)).chain(bits(!5)).collect::<Vec<u64>>());
        let rises: Vec<u64> = lines.edges.iter().filter(|e| e.2).map(|e| e.0.micros()).collect();
        assert_eq!(rises, [0].into_iter().chain((0..16).map(|i| 4000 + 1000 * i)).collect::<Vec<u64>>());
        assert!(lines.edges.iter().all(|e| e.1 == 864));
    }

    #[test]
    fn ids_cover_their_range_and_never_give_more_than_asked() {
        for i in 0..=HIGHEST {
            assert_eq!(id(voltage(i)), Some(i), "{i}");
        }
        assert_eq!(id(Volt(16.0)), Some(1));
        assert_eq!(id(Volt(15.0)), Some(12));
        for out in [16.2, 13.2, 0.0, f64::NAN] {
            assert_eq!(id(Volt(out)), None, "{out}");
        }
    }

    #[test]
    fn it_goes_there_step_by_step() {
        let (mut part, mut lines) = (Vid::new(864), Line::default());
        part.order(Order::SetVoltage(voltage(5)));
        run(&mut part, &mut lines, Duration::ZERO);
        lines.edges.clear();
        part.order(Order::SetVoltage(voltage(8)));
        run(&mut part, &mut lines, Duration::ZERO);
        assert_eq!(lines.edges.len(), 3 * 34);
        lines.edges.clear();
        part.order(Order::SetVoltage(Volt(99.0)));
        let events = run(&mut part, &mut lines, Duration::ZERO);
        assert!(matches!(events[..], [Event::Failed { error: PowerError::Range { .. }, .. }]), "{events:?}");
        assert!(lines.edges.is_empty());
    }

    #[test]
    fn a_late_turn_is_a_new_try_and_the_line_never_stays_high() {
        let (mut part, mut lines) = (Vid::new(864), Line::default());
        part.order(Order::SetVoltage(voltage(5)));
        let events = run(&mut part, &mut lines, Duration::from_micros(300));
        assert!(matches!(events[..], [Event::Failed { error: PowerError::Late(_), .. }]), "{events:?}");
        assert_eq!(lines.edges.last().map(|e| e.2), Some(false));
        let (mut part, mut lines) = (Vid::new(864), Line::default());
        part.order(Order::SetVoltage(voltage(5)));
        let events = run(&mut part, &mut lines, Duration::from_micros(100));
        assert!(matches!(events[..], [Event::Done(_)]), "{events:?}");
        assert!(pulses(&lines)[1..].iter().all(|p| p.abs_diff(500) >= 150), "{:?}", pulses(&lines));
    }

    #[test]
    fn a_line_that_is_gone_fails() {
        let mut part = Vid::new(864);
        part.order(Order::SetVoltage(voltage(5)));
        let events = run(&mut part, &mut Line::absent(), Duration::ZERO);
        assert!(matches!(events[..], [Event::Failed { error: PowerError::Bus(_), .. }]), "{events:?}");
    }
}
