//! Bitmain's APW9 and APW12 supplies. Four dialects are reported (asic.md A11), and one address: which one a supply speaks is
//! found by reading alone, and so is its kind, which says how it turns a number into a voltage. One that speaks none of them, or
//! is of a kind that the product is not sold with, is told nothing. Not here: the line that switches it on, and which voltage is
//! safe.
//!
//! Never sent: commands 04 and 05, which on some of its programs write calibration, and 06 and 86, which set and write as well.

use super::exchange::{Ask, Exchange, Heard, Pace, PowerError, Protocol, Request, TRIES, Wire, power_by_exchange};
use super::{Event, Measured, Order};
use model::{ApwCurve, Volt};
use std::time::Duration;

/// How often its watchdog is fed: it trips about a minute behind the last time.
const FEED_PERIOD: Duration = Duration::from_secs(20);
/// Comes back from register 0x11 of a supply that speaks packets.
const PROBE: u8 = 0xf5;
const PROBE_WAIT: Duration = Duration::from_millis(10);

const FIRMWARE: u8 = 0x01;
const KIND: u8 = 0x02;
const GET_VOLTAGE: u8 = 0x03;
const WATCHDOG: u8 = 0x81;
const SET_VOLTAGE: u8 = 0x83;

/// What the watchdog is told.
const ARM: u8 = 1;

/// Steps of an identification.
const STEP_PROBE: u8 = 0;
const STEP_FIRST_DIALECT: u8 = 1;
const STEP_FIRMWARE: u8 = 10;

/// A way to speak. All frames are `55 AA length command data sum`, the sum over what stands between.
#[derive(Debug)]
struct Dialect {
    name: &'static str,
    /// How bytes travel.
    wire: Wire,
    /// How they travel in commands that change something, those from 80 up.
    change: Wire,
    gap: Duration,
    wait: Duration,
    /// What `length` counts beside the data.
    overhead: u8,
    /// Bytes of the sum, low byte first; data are as many bytes wide.
    wide: usize,
}

/// Probed in this order. Packets: HS19, HS-RE and a protocol description for S17 supplies \[2\]. The same through register 0:
/// HS19 \[1\]. The one of S17 days, slow and with every byte of a change coming back, and a sum of one byte: DCENT \[1\]; that
/// the answers of the former are framed as its requests is inferred \[?\]. It stands before the latter because its shorter
/// frames are nothing to that one, while the other way round half a frame would be left lying in the supply.
const DIALECTS: [Dialect; 4] = [
    Dialect {
        name: "packets",
        wire: Wire::Register(0x11),
        change: Wire::Register(0x11),
        gap: Duration::ZERO,
        wait: Duration::from_millis(400),
        overhead: 4,
        wide: 2,
    },
    Dialect {
        name: "packets by register 0",
        wire: Wire::Register(0x00),
        change: Wire::Register(0x00),
        gap: Duration::ZERO,
        wait: Duration::from_millis(400),
        overhead: 4,
        wide: 2,
    },
    Dialect {
        name: "echoes",
        wire: Wire::Stream,
        change: Wire::Echo,
        gap: Duration::from_millis(3),
        wait: Duration::from_millis(50),
        overhead: 2,
        wide: 1,
    },
    Dialect {
        name: "byte sums",
        wire: Wire::Stream,
        change: Wire::Stream,
        gap: Duration::ZERO,
        wait: Duration::from_millis(50),
        overhead: 3,
        wide: 1,
    },
];

/// So often all dialects are tried before a supply counts as foreign.
const ROUNDS: u8 = 3;

/// How kinds turn a step into a voltage: the step for 0 V, steps a volt, and the steps they take. 0x41 by the protocol
/// description for S17 supplies, 0x71 and its limits by HS19, the others by HS21's test jig (DCENT) \[1\]. Kinds that are not
/// here have no formula that anybody wrote down: 0xC1 is sold with S21 and takes another form of the command.
const STEPS: [(&[u8], f64, f64, f64, f64); 5] = [
    (&[0x41, 0x42], 21_360.0 * 253.0 / 7060.0, 1000.0 * 253.0 / 7060.0, 0.0, 255.0),
    (&[0x43], 933.240_365, 59.806_034, 0.0, 255.0),
    (&[0x71, 0x72, 0x75, 0x77], 1_190.935_338, 78.743, 9.0, 246.0),
    (&[0x73, 0x78], 1_280.577_821, 73.979_365, 0.0, 255.0),
    (&[0x74, 0x76], 1_156.107_585, 76.090_494, 0.0, 255.0),
];
/// What a voltage may lie beyond the ends of a supply and still mean the end.
const SLACK: Volt = Volt(0.05);

/// What a kind can give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    at_zero: f64,
    a_volt: f64,
    first: f64,
    last: f64,
}

impl Scale {
    /// The scale of a kind, where it is known.
    #[must_use]
    pub fn of(kind: u8) -> Option<Scale> {
        let (_, at_zero, a_volt, first, last) = STEPS.into_iter().find(|(kinds, ..)| kinds.contains(&kind))?;
        Some(Scale { at_zero, a_volt, first, last })
    }

    /// The step for a voltage; `None` where it cannot be given.
    #[must_use]
    pub fn step(self, v: Volt) -> Option<u8> {
        let fits = v >= self.volt(self.last) - SLACK && v <= self.volt(self.first) + SLACK;
        fits.then(|| (self.at_zero - self.a_volt * v.0).round().clamp(self.first, self.last) as u8)
    }

    /// What a step gives.
    #[must_use]
    pub fn voltage(self, step: u8) -> Volt {
        self.volt(f64::from(step))
    }

    fn volt(self, step: f64) -> Volt {
        Volt((self.at_zero - step) / self.a_volt)
    }
}

/// One supply.
#[derive(Debug)]
pub struct Apw(Exchange<Talk>);

impl Apw {
    /// The supply at this 7-bit address, of a family and of one of these kinds.
    #[must_use]
    pub const fn new(address: u8, curve: ApwCurve, kinds: &'static [u8]) -> Apw {
        Apw(Exchange::new(address, Talk { curve, kinds, dialect: 0, kind: 0, scale: None, heard: String::new(), rounds: 0 }))
    }
}

power_by_exchange!(Apw);

#[derive(Debug)]
struct Talk {
    curve: ApwCurve,
    kinds: &'static [u8],
    /// The dialect that is tried, and then the one that is spoken.
    dialect: usize,
    kind: u8,
    scale: Option<Scale>,
    /// What an identification read so far, in words.
    heard: String,
    /// How often it has found no dialect in a row.
    rounds: u8,
}

impl Talk {
    fn dialect(&self) -> &'static Dialect {
        &DIALECTS[self.dialect]
    }

    fn request(&self, command: u8, value: Option<u8>) -> Ask {
        let d = self.dialect();
        let data: Vec<u8> = value.map(|v| (0..d.wide).map(|i| if i == 0 { v } else { 0 }).collect()).unwrap_or_default();
        let len = d.overhead + data.len() as u8;
        let sum = sum(len, command, &data).to_le_bytes();
        let bytes = [&[0x55, 0xaa, len, command][..], &data, &sum[..d.wide]].concat();
        let (wire, gap) = (if command < 0x80 { d.wire } else { d.change }, d.gap);
        // An echo is answer enough.
        let answer = if wire == Wire::Echo { 0 } else { 4 + 2 * d.wide };
        Ask::Send(Request { wire, bytes, gap, answer, wait: if answer == 0 { Duration::ZERO } else { d.wait } })
    }

    /// The value of an answer to this command, where frame and sum are right.
    fn value(&self, command: u8, b: &[u8]) -> Option<u8> {
        let d = self.dialect();
        let (head, rest) = b.split_at_checked(4)?;
        let (data, given) = rest.split_at_checked(d.wide)?;
        // Supplies with byte sums drop the top bit of what they obeyed.
        let same = head[3] == command || (d.wide == 1 && head[3] == command & 0x7f);
        let len = d.overhead + d.wide as u8;
        let right = head[..3] == [0x55, 0xaa, len] && same && sum(len, head[3], data).to_le_bytes()[..d.wide] == *given;
        right.then_some(data[0])
    }

    /// What it is, once all is read.
    fn identified(&mut self, firmware: Option<u8>) -> Result<Heard, PowerError> {
        let firmware = firmware.map_or_else(|| "unknown".to_owned(), |f| format!("0x{f:02x}"));
        let what = format!("{} supply of kind 0x{:02x}, firmware {firmware}", self.dialect().name, self.kind);
        if !self.kinds.contains(&self.kind) {
            return Err(PowerError::Unfit(format!("it is a {what}, and the product takes the kinds {:02x?}", self.kinds)));
        }
        self.scale = Scale::of(self.kind);
        if self.scale.is_none() {
            return Err(PowerError::Unfit(format!("it is a {what}, whose voltages nobody has written down")));
        }
        Ok(Heard::End(Event::Identified(what)))
    }
}

fn sum(len: u8, command: u8, data: &[u8]) -> u16 {
    data.iter().fold(u16::from(len) + u16::from(command), |sum, b| sum + u16::from(*b))
}

impl Protocol for Talk {
    fn pace(&self) -> Pace {
        Pace { rest: Duration::from_millis(100), retry: Duration::from_millis(500), tries: TRIES }
    }

    fn may_turn(&self) -> bool {
        true
    }

    fn knows(&self, order: Order) -> bool {
        match order {
            Order::Identify | Order::SetVoltage(_) => true,
            Order::Enable | Order::Disable => false,
            // The description for S17 supplies knows no watchdog. What 03 gives on an APW12 is its set-point by HS19 and HS-RE and a
            // counter by a disassembly of the program 0x71 (DCENT `psu.rs`) [?]: nothing is read into it.
            Order::Feed => self.curve == ApwCurve::Apw12,
            Order::Measure => self.curve == ApwCurve::Apw9,
        }
    }

    fn ask(&mut self, order: Order, step: u8) -> Ask {
        match order {
            Order::Identify if step == STEP_PROBE => {
                self.heard.clear();
                let (wire, bytes) = (DIALECTS[0].wire, vec![PROBE]);
                Ask::Send(Request { wire, bytes, gap: Duration::ZERO, answer: 1, wait: PROBE_WAIT })
            }
            Order::Identify if step == STEP_FIRMWARE => self.request(FIRMWARE, None),
            Order::Identify => {
                self.dialect = usize::from(step - STEP_FIRST_DIALECT);
                self.request(KIND, None)
            }
            Order::SetVoltage(v) => match (self.scale, self.scale.and_then(|s| s.step(v))) {
                (_, Some(value)) => self.request(SET_VOLTAGE, Some(value)),
                (Some(s), None) => {
                    let error = PowerError::Range { asked: v, lowest: s.volt(s.last), highest: s.volt(s.first) };
                    Ask::End(Event::Failed { order, error })
                }
                (None, None) => Ask::End(Event::Failed { order, error: PowerError::Unidentified }),
            },
            Order::Feed => self.request(WATCHDOG, Some(ARM)),
            Order::Measure => self.request(GET_VOLTAGE, None),
            Order::Enable | Order::Disable => Ask::End(Event::Done(order)),
        }
    }

    fn hear(&mut self, order: Order, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        let wrong = || PowerError::Answer(b.to_vec());
        match order {
            Order::Identify if step == STEP_PROBE => {
                self.heard = format!("probe {b:02x?}");
                // Without the echo it is no use to ask for packets.
                Ok(Heard::Step(STEP_FIRST_DIALECT + u8::from(b != [PROBE])))
            }
            Order::Identify if step == STEP_FIRMWARE => {
                let firmware = self.value(FIRMWARE, b);
                self.identified(firmware)
            }
            Order::Identify => {
                if let Some(kind) = self.value(KIND, b) {
                    (self.kind, self.rounds) = (kind, 0);
                    return Ok(Heard::Step(STEP_FIRMWARE));
                }
                self.heard += &format!(", {} {b:02x?}", self.dialect().name);
                if self.dialect + 1 < DIALECTS.len() {
                    return Ok(Heard::Step(step + 1));
                }
                // A frame that a disturbed bus cut short takes what follows into itself, and an answer that was not fetched is read later: asking
                // again is what clears both.
                self.rounds += 1;
                if self.rounds < ROUNDS {
                    return Ok(Heard::Step(STEP_PROBE));
                }
                self.rounds = 0;
                Err(PowerError::Foreign(self.heard.clone()))
            }
            Order::SetVoltage(_) | Order::Feed => {
                let command = if order == Order::Feed { WATCHDOG } else { SET_VOLTAGE };
                // What it obeyed comes back: another step is a voltage that nobody asked for. An echo was compared byte by byte.
                let told = match order {
                    Order::SetVoltage(v) => self.scale.and_then(|s| s.step(v)),
                    _ => Some(ARM),
                };
                let heard = b.is_empty() || (told.is_some() && self.value(command, b) == told);
                if heard { Ok(Heard::End(Event::Done(order))) } else { Err(wrong()) }
            }
            Order::Measure => {
                let value = self.value(GET_VOLTAGE, b).ok_or_else(wrong)?;
                let volt = self.scale.map(|s| s.voltage(value));
                Ok(Heard::End(Event::Measured(Measured { volt, ..Measured::default() })))
            }
            Order::Enable | Order::Disable => Ok(Heard::End(Event::Done(order))),
        }
    }

    fn feed_period(&self) -> Option<Duration> {
        self.knows(Order::Feed).then_some(FEED_PERIOD)
    }
}

#[cfg(test)]
#[path = "apw_tests.rs"]
mod tests;
