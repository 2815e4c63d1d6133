//! TI TPS546D24, a buck converter on PMBus (ESP-Miner `TPS546.c`, data sheet SLUSEA1). All its limits are written before it is
//! ever enabled, and its own protection is told in words. Not here: which voltage is safe.
//!
//! Never sent: what stores its settings (15, 11) — ESP-Miner warns that it can end a part for good.

use super::exchange::{Ask, Exchange, Heard, Pace, PowerError, Protocol, Request, TRIES, Wire, power_by_exchange};
use super::{Event, Measured, Order, Span};
use model::{Ampere, Celsius, Volt};
use std::time::Duration;

const OPERATION: u8 = 0x01;
const ON: u8 = 0x80;
const OFF: u8 = 0x00;
const ON_OFF_CONFIG: u8 = 0x02;
/// Power follows the OPERATION command alone, and goes off at once. Without bit 3 of this the part takes OPERATION, gives it back
/// when read, and obeys its pin instead (PMBus).
const BY_COMMAND: u8 = 0x1b;
const CLEAR_FAULTS: u8 = 0x03;
const PHASE: u8 = 0x04;
const VOUT_MODE: u8 = 0x20;
const VOUT_COMMAND: u8 = 0x21;
const VOUT_MAX: u8 = 0x24;
const VOUT_SCALE_LOOP: u8 = 0x29;
const VOUT_MIN: u8 = 0x2b;
const FREQUENCY: u8 = 0x33;
const VIN_ON: u8 = 0x35;
const VIN_OFF: u8 = 0x36;
const VOUT_OV_FAULT: u8 = 0x40;
const VOUT_OV_WARN: u8 = 0x42;
const VOUT_UV_WARN: u8 = 0x43;
const VOUT_UV_FAULT: u8 = 0x44;
const IOUT_OC_FAULT: u8 = 0x46;
const IOUT_OC_RESPONSE: u8 = 0x47;
const IOUT_OC_WARN: u8 = 0x4a;
const OT_FAULT: u8 = 0x4f;
const OT_RESPONSE: u8 = 0x50;
const OT_WARN: u8 = 0x51;
const VIN_OV_FAULT: u8 = 0x55;
const VIN_OV_RESPONSE: u8 = 0x56;
const VIN_UV_WARN: u8 = 0x58;
const STATUS_WORD: u8 = 0x79;
const READ_VIN: u8 = 0x88;
const READ_VOUT: u8 = 0x8b;
const READ_IOUT: u8 = 0x8c;
const READ_TEMPERATURE: u8 = 0x8d;
const DEVICE_ID: u8 = 0xad;
const SYNC_CONFIG: u8 = 0xe4;
const STACK_CONFIG: u8 = 0xec;

/// The way of counting that it leaves the maker with: relative limits, linear numbers, steps of 1/512 V. Another exponent in one
/// unprotected read is a disturbed bit, and believed it would double the voltage or halve it.
const MODE: u8 = 0x97;
const STEP: f64 = 1.0 / 512.0;

/// What it says it is: TPS546D24A and TPS546D24S.
const DEVICES: [[u8; 6]; 2] = [[0x54, 0x49, 0x54, 0x6d, 0x24, 0x41], [0x54, 0x49, 0x54, 0x6d, 0x24, 0x62]];
/// Limits of its output, as parts of what it is told to give.
const OV_FAULT: f64 = 1.25;
const OV_WARN: f64 = 1.16;
const UV_WARN: f64 = 0.9;
const UV_FAULT: f64 = 0.75;

/// What the status registers 7A to 7D say, and whether it is a fault, beyond a warning.
const WORDS: [(u8, u8, bool, &str); 11] = [
    (0x7a, 0x80, true, "output over-voltage"),
    (0x7a, 0x40, false, "output over-voltage warning"),
    (0x7a, 0x20, false, "output under-voltage warning"),
    (0x7a, 0x10, true, "output under-voltage"),
    (0x7a, 0x04, true, "output not reached in time"),
    (0x7b, 0x80, true, "over-current"),
    (0x7b, 0x20, false, "over-current warning"),
    (0x7c, 0x80, true, "input over-voltage"),
    (0x7c, 0x20, false, "input under-voltage warning"),
    (0x7c, 0x08, true, "input too low"),
    (0x7d, 0x80, true, "over-temperature"),
];
/// The registers of [`WORDS`], in the order they are read.
const STATUS_REGISTERS: [u8; 4] = [0x7a, 0x7b, 0x7c, 0x7d];
/// Bits of the status word that lead there: output, current, input, output off, and the five faults of its low byte.
const STATUS_CARE: u16 = 0xe000 | STATUS_OFF | 0x003c;
const STATUS_OFF: u16 = 0x0040;

/// How a board uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Input where it starts.
    pub vin_on: Volt,
    /// And where it stops.
    pub vin_off: Volt,
    /// Input that it warns of, where it does.
    pub vin_warn: Option<Volt>,
    /// Input that is too much.
    pub vin_max: Volt,
    /// What part of the output its loop sees.
    pub scale_loop: f64,
    /// The outputs that it ever gives, held by the part itself.
    pub vout: Span,
    /// Current that it warns of.
    pub ampere_warn: Ampere,
    /// Current that switches it off.
    pub ampere_max: Ampere,
    /// Its own temperature that it warns of.
    pub celsius_warn: Celsius,
    /// Its own temperature that switches it off.
    pub celsius_max: Celsius,
    /// Switching frequency in kHz.
    pub kilohertz: f64,
    /// PHASE.
    pub phase: u8,
    /// `STACK_CONFIG`: how many share the work.
    pub stack: u16,
    /// `SYNC_CONFIG`.
    pub sync: u8,
}

/// One of them on 5 V, as on Bitaxe Gamma, whose rail may have these voltages.
#[must_use]
pub const fn on_5_volts(vout: Span) -> Profile {
    Profile {
        vin_on: Volt(4.8),
        vin_off: Volt(4.5),
        // None: with a limit of its own the part latches a warning at start (ESP-Miner).
        vin_warn: None,
        vin_max: Volt(6.5),
        scale_loop: 0.25,
        vout,
        ampere_warn: Ampere(25.0),
        ampere_max: Ampere(30.0),
        celsius_warn: Celsius(105.0),
        celsius_max: Celsius(145.0),
        kilohertz: 650.0,
        phase: 0,
        stack: 0,
        sync: 0x10,
    }
}

/// One converter.
#[derive(Debug)]
pub struct Tps546(Exchange<PmBus>);

impl Tps546 {
    /// The converter at this 7-bit address, on a board that uses it so.
    #[must_use]
    pub const fn new(address: u8, profile: Profile) -> Tps546 {
        let pmbus =
            PmBus { profile, configured: false, on: false, status: 0, words: Vec::new(), fault: false, measured: NOTHING };
        Tps546(Exchange::new(address, pmbus))
    }
}

power_by_exchange!(Tps546);

const NOTHING: Measured = Measured { volt: None, ampere: None, watt: None, celsius: None, input: None };

/// A number of PMBus with its exponent in the top five bits.
#[must_use]
pub fn linear11(value: f64) -> u16 {
    let exponent = (-16..16).find(|e| (value / 2f64.powi(*e)).round() <= 1023.0).unwrap_or(15);
    let mantissa = (value / 2f64.powi(exponent)).round().clamp(-1024.0, 1023.0) as i16;
    (exponent as u16 & 0x1f) << 11 | mantissa as u16 & 0x7ff
}

/// What such a number means.
#[must_use]
pub fn from_linear11(word: u16) -> f64 {
    let signed = |value: u16, bits: u32| f64::from((value << (16 - bits)) as i16 >> (16 - bits));
    signed(word & 0x7ff, 11) * 2f64.powf(signed(word >> 11, 5))
}

#[derive(Debug)]
struct PmBus {
    profile: Profile,
    /// Its limits are written.
    configured: bool,
    /// It was switched on, so that an output that is off is a fault.
    on: bool,
    status: u16,
    /// What its status registers said so far.
    words: Vec<&'static str>,
    fault: bool,
    measured: Measured,
}

fn read(register: u8, answer: usize) -> Ask {
    Ask::Send(Request { wire: Wire::Whole, bytes: vec![register], gap: Duration::ZERO, answer, wait: Duration::ZERO })
}

/// An output voltage in its steps.
fn vout(volt: f64) -> u16 {
    (volt / STEP).round() as u16
}

impl PmBus {
    /// All that is written to set a voltage: the first time with every limit before it.
    fn writes(&self, v: Volt) -> Vec<Vec<u8>> {
        let word = |register: u8, value: u16| [&[register][..], &value.to_le_bytes()].concat();
        let number = |register: u8, value: f64| word(register, linear11(value));
        let command = word(VOUT_COMMAND, vout(v.0));
        if self.configured {
            return vec![command];
        }
        let p = &self.profile;
        let mut writes = vec![
            vec![OPERATION, OFF],
            vec![ON_OFF_CONFIG, BY_COMMAND],
            word(STACK_CONFIG, p.stack),
            vec![SYNC_CONFIG, p.sync],
            vec![PHASE, p.phase],
            number(FREQUENCY, p.kilohertz),
        ];
        writes.extend(p.vin_warn.map(|v| number(VIN_UV_WARN, v.0)));
        writes.extend([
            number(VIN_ON, p.vin_on.0),
            number(VIN_OFF, p.vin_off.0),
            number(VIN_OV_FAULT, p.vin_max.0),
            vec![VIN_OV_RESPONSE, 0xb7],
            number(VOUT_SCALE_LOOP, p.scale_loop),
            command,
            word(VOUT_MAX, vout(p.vout.highest.0)),
            word(VOUT_MIN, vout(p.vout.lowest.0)),
            word(VOUT_OV_FAULT, vout(OV_FAULT)),
            word(VOUT_OV_WARN, vout(OV_WARN)),
            word(VOUT_UV_WARN, vout(UV_WARN)),
            word(VOUT_UV_FAULT, vout(UV_FAULT)),
            number(IOUT_OC_WARN, p.ampere_warn.0),
            number(IOUT_OC_FAULT, p.ampere_max.0),
            // Off and latched: what drew so much will draw it again.
            vec![IOUT_OC_RESPONSE, 0xc0],
            number(OT_WARN, p.celsius_warn.0),
            number(OT_FAULT, p.celsius_max.0),
            // Off and latched as well; ESP-Miner lets it start again when it is cool, which is not for a part to decide.
            vec![OT_RESPONSE, 0x80],
        ]);
        writes
    }

    fn identify(&mut self, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        if step == 0 {
            return match b {
                [6, id @ ..] if DEVICES.iter().any(|known| known == id) => Ok(Heard::Step(1)),
                // Nobody drives the bus.
                [0xff, ..] => Err(PowerError::Answer(b.to_vec())),
                _ => Err(PowerError::Unfit(format!("its device id is {b:02x?}, not that of a TPS546D24"))),
            };
        }
        let [mode] = b else { return Err(PowerError::Answer(b.to_vec())) };
        if *mode != MODE {
            let why = format!("it says that it counts voltages otherwise than by 1/512 V (mode 0x{mode:02x})");
            return Err(PowerError::Unfit(why));
        }
        (self.configured, self.on) = (false, false);
        Ok(Heard::End(Event::Identified("TPS546D24, voltages in steps of 1/512 V".to_owned())))
    }

    /// Step 0 is the status word, 1 to 4 its details, and then the four readings.
    fn measure(&mut self, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        let word = match b {
            [low] => u16::from(*low),
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => return Err(PowerError::Answer(b.to_vec())),
        };
        let number = from_linear11(word);
        match step {
            0 => {
                (self.status, self.fault) = (word, false);
                self.words.clear();
                let care = if self.on { STATUS_CARE } else { STATUS_CARE & !STATUS_OFF };
                return Ok(Heard::Step(if word & care == 0 { 5 } else { 1 }));
            }
            1..=4 => {
                let register = STATUS_REGISTERS[usize::from(step) - 1];
                for (_, _, fault, text) in WORDS.into_iter().filter(|w| w.0 == register && u16::from(w.1) & word != 0) {
                    self.words.push(text);
                    self.fault |= fault;
                }
                if step == 4 && self.on && self.status & STATUS_OFF != 0 {
                    self.words.push("output off");
                    self.fault = true;
                }
                // While it is off a fault is history, which the next start clears; its temperature must be known before that.
                if step == 4 && self.fault && self.on {
                    return Err(PowerError::Fault(format!("{} (status 0x{:04x})", self.words.join(", "), self.status)));
                }
            }
            5 => self.measured = Measured { input: Some(Volt(number)), ..NOTHING },
            6 => self.measured.volt = Some(Volt(f64::from(word) * STEP)),
            7 => {
                self.measured.ampere = Some(Ampere(number));
                self.measured.watt = self.measured.volt.map(|v| v * Ampere(number));
            }
            _ => {
                self.measured.celsius = Some(Celsius(number));
                return Ok(Heard::End(Event::Measured(self.measured)));
            }
        }
        Ok(Heard::Step(step + 1))
    }
}

impl Protocol for PmBus {
    fn pace(&self) -> Pace {
        Pace { rest: Duration::ZERO, retry: Duration::from_millis(10), tries: TRIES }
    }

    fn knows(&self, order: Order) -> bool {
        order != Order::Feed
    }

    fn ask(&mut self, order: Order, step: u8) -> Ask {
        let write = |bytes: Vec<u8>| {
            Ask::Send(Request { wire: Wire::Whole, bytes, gap: Duration::ZERO, answer: 0, wait: Duration::ZERO })
        };
        match order {
            Order::Identify if step == 0 => read(DEVICE_ID, 7),
            Order::Identify => read(VOUT_MODE, 1),
            Order::SetVoltage(v) => {
                if let Some(refused) = self.profile.vout.refuses(v) {
                    return Ask::End(refused);
                }
                self.writes(v).into_iter().nth(usize::from(step)).map_or_else(|| read(VOUT_COMMAND, 2), write)
            }
            // Nothing is switched on whose limits nobody wrote.
            Order::Enable if !self.configured => {
                let error = PowerError::Fault("no voltage that was set".to_owned());
                Ask::End(Event::Failed { order, error })
            }
            Order::Enable if step == 0 => write(vec![CLEAR_FAULTS]),
            Order::Enable if step == 1 => write(vec![OPERATION, ON]),
            // One that nobody configured yet may follow its pin: it is told to obey before it is told to go off.
            Order::Disable if step == 0 => {
                self.on = false;
                write(vec![ON_OFF_CONFIG, BY_COMMAND])
            }
            Order::Disable if step == 1 => write(vec![OPERATION, OFF]),
            Order::Disable if step == 2 => read(ON_OFF_CONFIG, 1),
            Order::Enable | Order::Disable => read(OPERATION, 1),
            Order::Measure => match step {
                0 => read(STATUS_WORD, 2),
                1..=4 => read(STATUS_REGISTERS[usize::from(step) - 1], 1),
                5 => read(READ_VIN, 2),
                6 => read(READ_VOUT, 2),
                7 => read(READ_IOUT, 2),
                _ => read(READ_TEMPERATURE, 2),
            },
            Order::Feed => Ask::End(Event::Done(order)),
        }
    }

    fn hear(&mut self, order: Order, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        match (order, b) {
            (Order::Identify, _) => self.identify(step, b),
            (Order::Measure, _) => self.measure(step, b),
            (_, []) => Ok(Heard::Step(step + 1)),
            (Order::SetVoltage(v), [low, high]) if u16::from_le_bytes([*low, *high]) == vout(v.0) => {
                self.configured = true;
                Ok(Heard::End(Event::Done(order)))
            }
            (Order::Enable, [ON]) => {
                self.on = true;
                Ok(Heard::End(Event::Done(order)))
            }
            (Order::Disable, [BY_COMMAND]) if step == 2 => Ok(Heard::Step(3)),
            (Order::Disable, [OFF]) if step == 3 => Ok(Heard::End(Event::Done(order))),
            _ => Err(PowerError::Answer(b.to_vec())),
        }
    }

    fn feed_period(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::testing::{ALL, Line, run};

    const ID: &[u8] = &[6, 0x54, 0x49, 0x54, 0x6d, 0x24, 0x41];
    const MODE: &[u8] = &[0x97];

    fn part() -> Tps546 {
        Tps546::new(0x24, on_5_volts(Span { lowest: Volt(1.0), highest: Volt(1.25) }))
    }

    #[test]
    fn numbers_are_those_of_the_standard() {
        for (value, word) in [(4.8, 0xca66), (6.5, 0xcb40), (30.0, 0xdbc0), (105.0, 0xeb48), (145.0, 0xf244), (650.0, 0x028a)] {
            assert_eq!(linear11(value), word, "{value}");
            assert!((from_linear11(word) / value - 1.0).abs() < 0.002, "{value}");
        }
        for (word, value) in [(0xf801, 0.5), (0x07ff, -1.0), (0xe7c0, -4.0), (0x0819, 50.0), (0, 0.0)] {
            assert!((from_linear11(word) - value).abs() < 1e-9, "{word:04x}: {}", from_linear11(word));
        }
    }

    #[test]
    fn every_limit_is_written_before_it_is_enabled() {
        let mut line = Line::answering(&[ID, MODE, &[0x66, 0x02], &[ON]]);
        let (events, _) = run(&mut part(), &mut line, &[Order::SetVoltage(Volt(1.2)), Order::Enable]);
        assert!(matches!(&events[..], [Event::Identified(_), Event::Done(_), Event::Done(Order::Enable)]), "{events:?}");
        let on = line.written.iter().position(|b| *b == [OPERATION, ON]).expect("switched on");
        for register in [
            VOUT_MAX,
            VOUT_MIN,
            VOUT_OV_FAULT,
            VOUT_UV_FAULT,
            IOUT_OC_FAULT,
            IOUT_OC_WARN,
            OT_FAULT,
            OT_WARN,
            VIN_ON,
            VIN_OFF,
            VIN_OV_FAULT,
            VOUT_SCALE_LOOP,
            FREQUENCY,
            VOUT_COMMAND,
        ] {
            let at = line.written.iter().position(|b| b.len() > 1 && b[0] == register).expect("written");
            assert!(at < on, "{register:02x}");
        }
        // 1.2 V and the ends of the board's rail, 1.0 and 1.25 V, in steps of 1/512 V, and a quarter more than asked.
        let [command, max, min] = [[VOUT_COMMAND, 0x66, 0x02], [VOUT_MAX, 0x80, 0x02], [VOUT_MIN, 0x00, 0x02]];
        for write in [command, max, min, [VOUT_OV_FAULT, 0x80, 0x02]] {
            assert!(line.written.iter().any(|b| *b == write), "{write:02x?}");
        }
        assert_eq!(line.written[on - 1], [CLEAR_FAULTS]);
    }

    #[test]
    fn off_is_said_only_of_a_part_that_obeys() {
        let wrote = [vec![ON_OFF_CONFIG, BY_COMMAND], vec![OPERATION, OFF]];
        let mut line = Line::answering(&[ID, MODE, &[BY_COMMAND], &[OFF]]);
        let (events, _) = run(&mut part(), &mut line, &[Order::Disable]);
        assert!(matches!(&events[..], [Event::Identified(_), Event::Done(Order::Disable)]), "{events:?}");
        assert_eq!(line.written.iter().filter(|b| b.len() > 1).cloned().collect::<Vec<_>>(), wrote);
        // One that goes on following its pin gives OPERATION back as it was written.
        let pin: &[u8] = &[0x16];
        let mut line = Line::answering(&[ID, MODE, pin, pin, pin]);
        let (events, _) = run(&mut part(), &mut line, &[Order::Disable]);
        assert!(matches!(&events[..], [_, Event::Failed { order: Order::Disable, .. }]), "{events:?}");
    }

    #[test]
    fn no_order_stores_settings() {
        let (id, mode, two, one): (&[u8], &[u8], &[u8], &[u8]) = (ID, MODE, &[0x66, 0x02], &[ON]);
        let orders = [Order::SetVoltage(Volt(1.2)), Order::Enable, Order::Feed];
        let mut line = Line::answering(&[id, mode, two, one]);
        run(&mut part(), &mut line, &orders);
        for order in ALL {
            run(&mut part(), &mut line, &[order]);
        }
        assert!(line.written.iter().all(|b| ![0x11, 0x12, 0x15, 0x16].contains(&b[0])), "{:02x?}", line.written);
    }

    #[test]
    fn another_part_and_another_way_of_counting_are_told_nothing() {
        let other: &[u8] = &[6, 0x54, 0x49, 0x54, 0x6b, 0x24, 0x41];
        // 0x96: a bit that fell over on the way, by which 1.15 V would be written as 2.3 V.
        for answers in [&[other][..], &[ID, &[0x17]], &[ID, &[0xb7]], &[ID, &[0x96]], &[ID, &[0x98]]] {
            let mut line = Line::answering(answers);
            let orders = [Order::SetVoltage(Volt(1.2)), Order::Enable];
            let (events, _) = run(&mut part(), &mut line, &orders);
            assert!(line.written.iter().all(|b| b.len() == 1), "only registers to read: {:02x?}", line.written);
            assert!(events.iter().all(|e| matches!(e, Event::Failed { error: PowerError::Unfit(_), .. })), "{events:?}");
        }
    }

    #[test]
    fn what_is_out_of_range_or_without_limits_is_refused() {
        for v in [0.9, 1.26, 2.3, f64::NAN] {
            let mut line = Line::answering(&[ID, MODE]);
            let (events, _) = run(&mut part(), &mut line, &[Order::SetVoltage(Volt(v)), Order::Enable]);
            assert!(
                matches!(&events[1..], [Event::Failed { error: PowerError::Range { .. }, .. }, Event::Failed { .. }]),
                "{events:?}"
            );
            assert!(line.written.iter().all(|b| b.len() == 1), "{:02x?}", line.written);
        }
    }
}
