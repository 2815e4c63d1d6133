//! TI TPS546D24 on PMBus: registers of the standard, one step of output voltage 1/512 V, limits relative to what it is told to
//! give. Its protection compares what it feels with its limits, latches, and switches off. Not here: its compensation and its
//! memory; that somebody tried to write that one is kept for tests to see.

use super::Target;
use model::{Ampere, Celsius, Time, Volt};
use std::collections::BTreeMap;

/// Linear numbers with relative limits and an exponent of -9.
const MODE: u8 = 0x97;
const STEP: f64 = 1.0 / 512.0;
/// Bit of ON_OFF_CONFIG with which OPERATION is obeyed; without it the pin alone counts, as the part comes from its maker.
const BY_OPERATION: u8 = 0x08;
/// What it gives where only its pin ever told it anything: a resistor's choice.
const STRAPPED: Volt = Volt(0.8);

/// The simulated converter.
#[derive(Debug)]
pub struct Tps546 {
    /// What it says it is.
    pub device: [u8; 6],
    /// How it says it counts.
    pub mode: u8,
    /// What it is fed.
    pub input: Volt,
    /// What its load draws while it is on.
    pub load: Ampere,
    /// Its own temperature.
    pub temperature: Celsius,
    /// Whether its enable pin is asserted.
    pub pin: bool,
    /// What its output is off from what it was told: a broken divider.
    pub error: Volt,
    /// Commands that store settings for ever.
    pub stored: u32,
    pointer: u8,
    registers: BTreeMap<u8, Vec<u8>>,
    /// STATUS_VOUT, IOUT, INPUT and TEMPERATURE, which latch.
    latched: [u8; 4],
    /// It protected itself and stays off until it is told off and on, or its faults are cleared.
    tripped: bool,
}

impl Default for Tps546 {
    fn default() -> Self {
        Tps546 {
            device: [0x54, 0x49, 0x54, 0x6d, 0x24, 0x41],
            mode: MODE,
            input: Volt(5.0),
            load: Ampere(15.0),
            temperature: Celsius(45.0),
            pin: false,
            error: Volt(0.0),
            stored: 0,
            pointer: 0,
            registers: BTreeMap::new(),
            latched: [0; 4],
            tripped: false,
        }
    }
}

impl Tps546 {
    /// What it gives now, which trips it where that is beyond its limits.
    pub fn output(&mut self) -> Volt {
        self.protect();
        self.given()
    }

    fn given(&self) -> Volt {
        if !self.is_told() || self.tripped {
            return Volt(0.0);
        }
        if self.byte(0x02) & BY_OPERATION == 0 {
            return STRAPPED;
        }
        let fed = self.input.0 >= self.number(0x36).unwrap_or(f64::INFINITY);
        if fed { Volt(self.commanded()) + self.error } else { Volt(0.0) }
    }

    /// Whether it is told to be on, by what it obeys.
    fn is_told(&self) -> bool {
        if self.byte(0x02) & BY_OPERATION == 0 { self.pin } else { self.byte(0x01) & 0x80 != 0 }
    }

    fn byte(&self, register: u8) -> u8 {
        self.registers.get(&register).and_then(|v| v.first()).copied().unwrap_or_default()
    }

    fn word(&self, register: u8) -> Option<u16> {
        match self.registers.get(&register).map(Vec::as_slice) {
            Some([low, high]) => Some(u16::from_le_bytes([*low, *high])),
            _ => None,
        }
    }

    /// A register in the format with its own exponent, where it was written.
    fn number(&self, register: u8) -> Option<f64> {
        let word = self.word(register)?;
        let exponent = i32::from((word >> 11) as i8) - if word & 0x8000 == 0 { 0 } else { 32 };
        let mantissa = f64::from(word & 0x3ff) - if word & 0x400 == 0 { 0.0 } else { 1024.0 };
        Some(mantissa * 2f64.powi(exponent))
    }

    /// What it is told to give, held within its ends.
    fn commanded(&self) -> f64 {
        let volt = |register| self.word(register).map(|w| f64::from(w) * STEP);
        let asked = volt(0x21).unwrap_or(0.0);
        asked.min(volt(0x24).unwrap_or(0.0)).max(volt(0x2b).unwrap_or(0.0))
    }

    fn protect(&mut self) {
        let given = self.given().0;
        if !self.is_told() {
            return;
        }
        let part = |register| self.word(register).map_or(f64::INFINITY, |w| f64::from(w) * STEP);
        let (asked, load, celsius) = (self.commanded(), self.load.0, self.temperature.0);
        let over = |register, value: f64| self.number(register).is_some_and(|limit| value > limit);
        let trips = [
            (0, 0x80, given > asked * part(0x40), true),
            (0, 0x40, given > asked * part(0x42), false),
            (0, 0x20, given > 0.0 && given < asked * self.word(0x43).map_or(0.0, |_| part(0x43)), false),
            (0, 0x10, given > 0.0 && given < asked * self.word(0x44).map_or(0.0, |_| part(0x44)), true),
            (1, 0x80, given > 0.0 && over(0x46, load), true),
            (1, 0x20, given > 0.0 && over(0x4a, load), false),
            (2, 0x80, over(0x55, self.input.0), true),
            (2, 0x08, self.number(0x36).is_some_and(|off| self.input.0 < off), false),
            (3, 0x80, over(0x4f, celsius), true),
            (3, 0x40, over(0x51, celsius), false),
        ];
        for (register, bit, happened, trip) in trips {
            if happened {
                self.latched[register] |= bit;
                self.tripped |= trip;
            }
        }
    }

    fn status(&self) -> u16 {
        let [vout, iout, input, temperature] = self.latched;
        let bit = |set: bool, bit: u32| u16::from(set) << bit;
        bit(vout != 0, 15)
            | bit(iout != 0, 14)
            | bit(input != 0, 13)
            | bit(self.given() == Volt(0.0), 6)
            | bit(vout & 0x80 != 0, 5)
            | bit(iout & 0x80 != 0, 4)
            | bit(input & 0x08 != 0, 3)
            | bit(temperature != 0, 2)
    }

    fn answer(&self) -> Vec<u8> {
        let given = self.given().0;
        let number = |value: f64, exponent: i32| {
            let mantissa = (value / 2f64.powi(exponent)).round() as i16 as u16 & 0x7ff;
            ((exponent as u16 & 0x1f) << 11 | mantissa).to_le_bytes().to_vec()
        };
        match self.pointer {
            0x20 => vec![self.mode],
            0x79 => self.status().to_le_bytes().to_vec(),
            status @ 0x7a..=0x7d => vec![self.latched[usize::from(status - 0x7a)]],
            0x88 => number(self.input.0, -6),
            0x8b => ((given / STEP).round() as u16).to_le_bytes().to_vec(),
            0x8c => number(if given > 0.0 { self.load.0 } else { 0.0 }, -4),
            0x8d => number(self.temperature.0, -1),
            0xad => [&[6][..], &self.device].concat(),
            register => self.registers.get(&register).cloned().unwrap_or_default(),
        }
    }
}

impl Target for Tps546 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        let [register, value @ ..] = bytes else { return };
        self.pointer = *register;
        match (*register, value) {
            (0x03, _) => (self.latched, self.tripped) = ([0; 4], false),
            (0x11 | 0x15, _) => self.stored += 1,
            (_, []) => {}
            (register, value) => {
                // Told to go off, it forgets that it tripped.
                self.tripped &= register != 0x01 || value[0] & 0x80 != 0;
                self.registers.insert(register, value.to_vec());
            }
        }
        self.protect();
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        self.protect();
        let answer = self.answer();
        for (i, b) in buffer.iter_mut().enumerate() {
            *b = answer.get(i).copied().unwrap_or(0xff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Tps546 {
        let mut t = Tps546::default();
        // 1.2 V, at most 2 V and a quarter over, on at 4.8 V and off at 4.5 V, 30 A, 145 °C.
        for write in [
            &[0x21, 0x66, 0x02][..],
            &[0x24, 0, 4],
            &[0x40, 0x80, 2],
            &[0x36, 0x40, 0xca],
            &[0x46, 0xc0, 0xdb],
            &[0x4f, 0x44, 0xf2],
            &[0x02, 0x1b],
            &[0x01, 0x80],
        ] {
            t.write(Time::ZERO, write);
        }
        t
    }

    #[test]
    fn it_gives_what_it_is_told_within_its_ends() {
        let mut t = on();
        assert!((t.output().0 - 1.2).abs() < 0.002, "{}", t.output());
        t.write(Time::ZERO, &[0x21, 0, 0x0c]);
        assert_eq!(t.output(), Volt(2.0));
        t.write(Time::ZERO, &[0x01, 0]);
        assert_eq!(t.output(), Volt(0.0));
    }

    #[test]
    fn its_protection_latches_until_it_is_cleared() {
        type Break = fn(&mut Tps546);
        let cases: [(Break, Break, usize, u8); 3] = [
            (|t| t.error = Volt(0.4), |t| t.error = Volt(0.0), 0, 0x80),
            (|t| t.load = Ampere(31.0), |t| t.load = Ampere(15.0), 1, 0x80),
            (|t| t.temperature = Celsius(150.0), |t| t.temperature = Celsius(45.0), 3, 0x80),
        ];
        for (harm, heal, register, bit) in cases {
            let mut t = on();
            harm(&mut t);
            assert_eq!(t.output(), Volt(0.0));
            assert_eq!(t.latched[register] & bit, bit);
            heal(&mut t);
            assert_eq!(t.output(), Volt(0.0), "latched");
            t.write(Time::ZERO, &[0x03]);
            assert!(t.output() > Volt(1.1));
        }
        let mut t = on();
        t.input = Volt(4.0);
        assert_eq!(t.output(), Volt(0.0));
    }
}
