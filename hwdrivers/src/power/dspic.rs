//! The controller that regulates or switches the rail of S17 and S19 hashboards: a dsPIC33EP16GS202 or a PIC1704 at 0x20 + slot.
//! Three framings are reported for it, and which one a board speaks is its data: length and 16-bit sum, one byte a write, as the
//! maker's own programs have it \[2\]; the same without length and sum, where only the version is answered \[1\]; and registers
//! for version, voltage, current, status and control \[1\], where the supply alone regulates, so that a voltage is not its
//! business, and whose temperature is left out, for its source gives it in a unit that does not fit its byte.
//!
//! Of the first framing its sources show enable, heartbeat and version \[2\]. That a voltage is set by command 10 is from them as
//! well; that it takes millivolts in two bytes, as the short frames do, and that it is answered like the others are inferred
//! \[?\]: what is sent is at least within the board's own rail. That it cuts the rail some ten seconds behind the last heartbeat is
//! known of the S9's controller only \[?\]. Not here: who sends heartbeats. Never sent: jump, reset, and whatever writes its flash.

use super::exchange::{Ask, Exchange, Heard, Pace, PowerError, Protocol, Request, TRIES, Wire, power_by_exchange};
use super::{Event, Measured, Order, Span};
use model::{Ampere, DspicFraming, Volt};
use std::time::Duration;

/// How often the owner orders a heartbeat: were it cut off as the S9's is, ten seconds behind the last, three fit with tries to spare;
/// the register style is fed every 2 s by its source.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_secs(2);
/// Versions of programs that run a rail (0x89 is usual on S19 Pro); all else is told nothing.
pub const VERSIONS: [u8; 3] = [0x88, 0x89, 0x8a];

/// What its boot loader calls itself: no rail program runs.
const BOOT_LOADER: u8 = 0x86;
const SET_VOLTAGE: u8 = 0x10;
const ENABLE: u8 = 0x15;
const HEARTBEAT: u8 = 0x16;
const VERSION: u8 = 0x17;

/// Registers of the register style.
const REG_VERSION: u8 = 0x00;
const REG_MILLIVOLTS: u8 = 0x02;
const REG_MILLIAMPERES: u8 = 0x04;
const REG_STATUS: u8 = 0x08;
const REG_CONTROL: u8 = 0x09;
const STATUS_ON: u8 = 1;
/// The step of a heartbeat that is one, behind the one that asks.
const FED: u8 = 1;
const STATUS_FAULT: u8 = 1 << 2;
const STATUS_TOO_HOT: u8 = 1 << 3;

/// One controller.
#[derive(Debug)]
pub struct Dspic(Exchange<Dialect>);

impl Dspic {
    /// The controller at this 7-bit address, in this framing, of a rail that may have these voltages.
    #[must_use]
    pub const fn new(address: u8, framing: DspicFraming, span: Span) -> Dspic {
        Dspic(Exchange::new(address, Dialect { framing, span, millivolts: 0 }))
    }
}

power_by_exchange!(Dspic);

#[derive(Debug)]
struct Dialect {
    framing: DspicFraming,
    span: Span,
    /// Read in the first step of a measurement.
    millivolts: u16,
}

impl Dialect {
    fn request(&self, command: u8, data: &[u8], answer: usize, wait_millis: u64) -> Ask {
        let (bytes, answer) = match self.framing {
            DspicFraming::LengthSum => (frame(command, data), answer),
            _ => ([&[0x55, 0xaa, command], data].concat(), usize::from(command == VERSION)),
        };
        Ask::Send(Request { wire: Wire::Stream, bytes, gap: Duration::ZERO, answer, wait: Duration::from_millis(wait_millis) })
    }
}

fn registers(bytes: &[u8], answer: usize) -> Ask {
    let bytes = bytes.to_vec();
    Ask::Send(Request { wire: Wire::Whole, bytes, gap: Duration::ZERO, answer, wait: Duration::ZERO })
}

fn frame(command: u8, data: &[u8]) -> Vec<u8> {
    let len = 4 + data.len() as u8;
    let sum = data.iter().fold(u16::from(len) + u16::from(command), |sum, b| sum + u16::from(*b));
    [&[0x55, 0xaa, len, command][..], data, &sum.to_be_bytes()].concat()
}

fn identified(version: u8) -> Result<Heard, PowerError> {
    match version {
        BOOT_LOADER => Err(PowerError::BootLoader(format!("version 0x{version:02x}"))),
        v if VERSIONS.contains(&v) => Ok(Heard::End(Event::Identified(format!("rail controller, version 0x{version:02x}")))),
        _ => Err(PowerError::Unfit(format!("its program has the unknown version 0x{version:02x}"))),
    }
}

/// Whether it says that all is well, and that its rail is on where it has to be.
fn status(answer: &[u8], on: bool) -> Result<(), PowerError> {
    match answer {
        [s] if s & STATUS_TOO_HOT != 0 => Err(PowerError::Fault(format!("over-temperature (status 0x{s:02x})"))),
        [s] if s & STATUS_FAULT != 0 => Err(PowerError::Fault(format!("a latched fault of its rail (status 0x{s:02x})"))),
        [s] if (s & STATUS_ON != 0) == on => Ok(()),
        _ => Err(PowerError::Answer(answer.to_vec())),
    }
}

impl Protocol for Dialect {
    fn pace(&self) -> Pace {
        Pace { rest: Duration::from_millis(10), retry: Duration::from_secs(1), tries: TRIES }
    }

    fn may_turn(&self) -> bool {
        true
    }

    fn knows(&self, order: Order) -> bool {
        match order {
            Order::Measure => self.framing == DspicFraming::Registers,
            Order::SetVoltage(_) => self.framing != DspicFraming::Registers,
            _ => true,
        }
    }

    fn ask(&mut self, order: Order, step: u8) -> Ask {
        if self.framing == DspicFraming::Registers {
            return match (order, step) {
                (Order::Identify, _) => registers(&[REG_VERSION], 1),
                (Order::Measure, 0) => registers(&[REG_MILLIVOLTS], 2),
                (Order::Measure, _) => registers(&[REG_MILLIAMPERES], 2),
                (Order::Enable, 0) => registers(&[REG_CONTROL, 1], 0),
                (Order::Disable, 0) => registers(&[REG_CONTROL, 0], 0),
                // As in short frames: it is fed when it has said that its program runs.
                (Order::Feed, 0) => registers(&[REG_VERSION], 1),
                (Order::Feed, FED) => registers(&[REG_CONTROL, 2], 0),
                _ => registers(&[REG_STATUS], 1),
            };
        }
        match order {
            Order::Identify => self.request(VERSION, &[], 5, 100),
            Order::SetVoltage(v) => {
                if let Some(refused) = self.span.refuses(v) {
                    return Ask::End(refused);
                }
                let millivolts = (v.0 * 1000.0).round() as u16;
                self.request(SET_VOLTAGE, &millivolts.to_be_bytes(), 2, 500)
            }
            Order::Enable => self.request(ENABLE, &[1], 2, 500),
            Order::Disable => self.request(ENABLE, &[0], 2, 500),
            // Short frames are not answered: a controller that fell into its boot loader is found by asking first.
            Order::Feed if self.framing == DspicFraming::Short && step == 0 => self.request(VERSION, &[], 5, 100),
            Order::Feed => self.request(HEARTBEAT, &[], 6, 500),
            Order::Measure => Ask::End(Event::Done(order)),
        }
    }

    fn hear(&mut self, order: Order, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        let wrong = || Err(PowerError::Answer(b.to_vec()));
        match (self.framing, order, b) {
            (DspicFraming::Short | DspicFraming::Registers, Order::Identify, [version]) => return identified(*version),
            (DspicFraming::Short | DspicFraming::Registers, Order::Feed, [version]) if step == 0 => {
                return identified(*version).map(|_| Heard::Step(FED));
            }
            (DspicFraming::Short, _, []) => {}
            (DspicFraming::Registers, Order::Measure, [low, high]) => {
                let value = u16::from_le_bytes([*low, *high]);
                if step == 0 {
                    self.millivolts = value;
                    return Ok(Heard::Step(1));
                }
                let (volt, ampere) = (f64::from(self.millivolts) / 1000.0, f64::from(value) / 1000.0);
                let (volt, ampere) = (Volt(volt), Ampere(ampere));
                let measured =
                    Measured { volt: Some(volt), ampere: Some(ampere), watt: Some(volt * ampere), ..Measured::default() };
                return Ok(Heard::End(Event::Measured(measured)));
            }
            (DspicFraming::Registers, _, []) => return Ok(Heard::Step(step + 1)),
            (DspicFraming::Registers, Order::Enable | Order::Feed, _) => status(b, true)?,
            (DspicFraming::Registers, Order::Disable, [s]) if s & STATUS_ON == 0 => {}
            (DspicFraming::LengthSum, Order::Identify, [5, VERSION, version, high, low]) => {
                // The sum is over length, command and version.
                let right = u16::from_be_bytes([*high, *low]) == u16::from(*version) + 0x1c;
                return if right { identified(*version) } else { wrong() };
            }
            (DspicFraming::LengthSum, Order::SetVoltage(_), [SET_VOLTAGE, 1]) => {}
            (DspicFraming::LengthSum, Order::Enable | Order::Disable, [ENABLE, 1]) => {}
            (DspicFraming::LengthSum, Order::Feed, [_, HEARTBEAT, 1, ..]) => {}
            _ => return wrong(),
        }
        Ok(Heard::End(Event::Done(order)))
    }

    fn feed_period(&self) -> Option<Duration> {
        Some(HEARTBEAT_PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::Power;
    use crate::power::testing::{Line, run};
    use model::Time;

    const VERSION_89: &[u8] = &[5, 0x17, 0x89, 0, 0xa5];
    const SPAN: Span = Span { lowest: Volt(12.4), highest: Volt(15.0) };
    const ASK_VERSION: [u8; 6] = [0x55, 0xaa, 4, 0x17, 0, 0x1b];

    fn dspic_in_frames() -> Dspic {
        Dspic::new(0x20, DspicFraming::LengthSum, SPAN)
    }

    fn dspic(answers: &[&[u8]], orders: &[Order]) -> (Vec<u8>, Vec<Event>, Time) {
        let mut line = Line::answering(answers);
        let (events, at) = run(&mut dspic_in_frames(), &mut line, orders);
        assert!(line.written.iter().all(|b| b.len() == 1), "one byte a write");
        (line.written.concat(), events, at)
    }

    #[test]
    fn orders_are_the_frames_of_the_makers_programs() {
        for (order, answer, wire) in [
            (Order::Enable, &[0x15, 1][..], &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b][..]),
            (Order::Disable, &[0x15, 1], &[0x55, 0xaa, 5, 0x15, 0, 0, 0x1a]),
            (Order::Feed, &[6, 0x16, 1, 0, 0, 0x1d], &[0x55, 0xaa, 4, 0x16, 0, 0x1a]),
            (Order::SetVoltage(Volt(13.8)), &[0x10, 1], &[0x55, 0xaa, 6, 0x10, 0x35, 0xe8, 0x01, 0x33]),
        ] {
            let (written, events, _) = dspic(&[VERSION_89, answer], &[order]);
            assert_eq!(written[..6], ASK_VERSION, "it says what it is before anything else");
            assert_eq!(&written[6..], wire, "{order:?}");
            assert!(matches!(&events[..], [Event::Identified(_), Event::Done(done)] if *done == order), "{events:?}");
        }
    }

    #[test]
    fn short_frames_have_no_length_and_no_sum() {
        for (order, wire) in [
            (Order::Enable, &[0x55, 0xaa, 0x15, 1][..]),
            (Order::Feed, &[0x55, 0xaa, 0x17, 0x55, 0xaa, 0x16]),
            (Order::SetVoltage(Volt(13.8)), &[0x55, 0xaa, 0x10, 0x35, 0xe8]),
        ] {
            let mut line = Line::answering(&[&[0x89], &[0x89]]);
            let (events, _) = run(&mut Dspic::new(0x20, DspicFraming::Short, SPAN), &mut line, &[order]);
            assert_eq!(line.written.concat(), [&[0x55, 0xaa, 0x17], wire].concat());
            assert!(matches!(&events[..], [Event::Identified(_), Event::Done(done)] if *done == order), "{events:?}");
        }
    }

    #[test]
    fn the_register_style_checks_its_status_and_measures() {
        let mut line = Line::answering(&[&[0x89], &[3], &[0x84, 0x35], &[0x10, 0x27], &[0x89], &[0x07]]);
        let mut part = Dspic::new(0x20, DspicFraming::Registers, SPAN);
        let (events, _) = run(&mut part, &mut line, &[Order::SetVoltage(Volt(13.0)), Order::Enable, Order::Measure, Order::Feed]);
        let writes: Vec<&[u8]> = line.written.iter().map(Vec::as_slice).collect();
        assert_eq!(writes, [&[0][..], &[9, 1], &[8], &[2], &[4], &[0], &[9, 2], &[8]]);
        let measured = Measured {
            volt: Some(Volt(13.7)),
            ampere: Some(Ampere(10.0)),
            watt: Some(Volt(13.7) * Ampere(10.0)),
            ..Measured::default()
        };
        assert!(
            matches!(&events[..], [
                Event::Done(Order::SetVoltage(_)), Event::Identified(_), Event::Done(Order::Enable), Event::Measured(m),
                Event::Failed { order: Order::Feed, error: PowerError::Fault(_) },
            ] if *m == measured),
            "{events:?}"
        );
    }

    #[test]
    fn a_boot_loader_and_a_stranger_are_told_nothing_more() {
        for (framing, answer) in [
            (DspicFraming::LengthSum, &[5, 0x17, 0x86, 0, 0xa2][..]),
            (DspicFraming::LengthSum, &[5, 0x17, 0x42, 0, 0x5e]),
            (DspicFraming::Short, &[0x86]),
            (DspicFraming::Registers, &[0x86]),
        ] {
            let mut line = Line::answering(&[answer]);
            let orders = [Order::SetVoltage(Volt(13.0)), Order::Enable, Order::Feed];
            let (events, _) = run(&mut Dspic::new(0x20, framing, SPAN), &mut line, &orders);
            assert!(line.written.concat().len() <= 6, "{framing:?}: {:02x?}", line.written);
            let refused = events
                .iter()
                .filter(|e| matches!(e, Event::Failed { error: PowerError::Unfit(_) | PowerError::BootLoader(_), .. }));
            let refused = refused.count();
            let asked = if framing == DspicFraming::Registers { 3 } else { 4 };
            assert_eq!(refused, asked, "{framing:?}: {events:?}");
        }
    }

    #[test]
    fn a_controller_that_falls_into_its_boot_loader_is_told_nothing_more_and_is_off() {
        let loader: &[u8] = &[5, 0x17, 0x86, 0, 0xa2];
        // It is asked twice: what gives its rail is not given up for one answer.
        let mut line = Line::answering(&[VERSION_89, &[0x15, 1], &[0; 6], loader, loader]);
        let mut part = dspic_in_frames();
        run(&mut part, &mut line, &[Order::Enable]);
        line.written.clear();
        let (events, _) = run(&mut part, &mut line, &[Order::Feed]);
        let frames = [&[0x55, 0xaa, 4, 0x16, 0, 0x1a][..], &ASK_VERSION, &ASK_VERSION].concat();
        assert_eq!(line.written.concat(), frames, "one heartbeat, before anybody could know");
        assert!(
            matches!(
                &events[..],
                [
                    Event::Failed { order: Order::Identify, error: PowerError::BootLoader(_) },
                    Event::Failed { order: Order::Feed, error: PowerError::BootLoader(_) }
                ]
            ),
            "{events:?}"
        );
        line.written.clear();
        let (events, _) = run(&mut part, &mut line, &[Order::Disable]);
        assert!(matches!(&events[..], [Event::Done(Order::Disable)]) && line.written.is_empty(), "{events:?}");
    }

    #[test]
    fn a_stranger_in_the_place_of_one_that_gives_its_rail_is_not_said_to_be_off() {
        let stranger: &[u8] = &[5, 0x17, 0x42, 0, 0x5e];
        let mut line = Line::answering(&[VERSION_89, &[0x15, 1], &[0; 6], stranger, stranger]);
        let mut part = dspic_in_frames();
        run(&mut part, &mut line, &[Order::Enable, Order::Feed]);
        let (events, _) = run(&mut part, &mut line, &[Order::Disable]);
        assert!(matches!(&events[..], [Event::Failed { error: PowerError::Unfit(_), .. }]), "{events:?}");
    }

    #[test]
    fn a_wrong_answer_is_tried_three_times_a_second_apart() {
        let bad: &[u8] = &[5, 0x17, 0x89, 0, 0];
        let (written, events, at) = dspic(&[bad, bad, bad], &[Order::Identify]);
        assert_eq!(written.len(), 18);
        assert!(matches!(events[..], [Event::Failed { order: Order::Identify, error: PowerError::Answer(_) }]), "{events:?}");
        assert_eq!(at, Time::from_millis(2300));
        let (_, events, _) = dspic(&[bad, &[5, 0x17, 0x88, 0, 0xa4]], &[Order::Identify]);
        assert!(matches!(&events[..], [Event::Identified(what)] if what.contains("0x88")), "{events:?}");
    }

    #[test]
    fn off_does_not_wait_for_anything() {
        let (mut line, mut part) = (Line::answering(&[VERSION_89, &[0x15, 1]]), dspic_in_frames());
        run(&mut part, &mut line, &[Order::Identify]);
        part.order(Order::Feed);
        part.turn(Time::from_secs(1), &mut line, &mut Line::default());
        part.order(Order::SetVoltage(Volt(13.0)));
        part.order(Order::Disable);
        part.turn(Time::from_millis(1001), &mut line, &mut Line::default());
        assert_eq!(line.written.concat()[12..], [0x55, 0xaa, 5, 0x15, 0, 0, 0x1a]);
        part.turn(Time::from_secs(2), &mut line, &mut Line::default());
        assert!(matches!(part.next_event(), Some(Event::Done(Order::Disable))));
        assert_eq!(part.wake_at(), Time::NEVER);
    }

    #[test]
    fn repeated_orders_do_not_pile_up() {
        let mut line = Line::absent();
        let (events, _) = run(&mut dspic_in_frames(), &mut line, &[Order::Feed; 1000]);
        assert!(
            matches!(
                events[..],
                [
                    Event::Failed { order: Order::Identify, error: PowerError::Bus(_) },
                    Event::Failed { order: Order::Feed, error: PowerError::Unidentified }
                ]
            ),
            "{events:?}"
        );
    }

    #[test]
    fn voltages_that_the_boards_rail_does_not_have_are_refused() {
        for v in [0.0, -1.0, 1.3, 12.3, 15.1, 66.0, f64::NAN] {
            let (written, events, _) = dspic(&[VERSION_89], &[Order::SetVoltage(Volt(v))]);
            assert_eq!(written.len(), 6);
            assert!(matches!(events.last(), Some(Event::Failed { error: PowerError::Range { .. }, .. })), "{events:?}");
        }
    }
}
