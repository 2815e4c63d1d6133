//! Registers that measure: counters of hashes, the thermometer of a BM1368, the converter of its voltages, and sensors that hang
//! on a chip's own I²C pins.
//!
//! Not here: what there is to measure; the world sets it.

use super::facts::Counting;
use super::{SimChain, register as r};
use crate::parts::Target;
use model::Time;
use std::time::Duration;

/// What a code of the thermometer is worth, and what 0 is.
const DEGREES_PER_CODE: f64 = 0.171_342;
const DEGREES_AT_0: f64 = -299.5144;
/// The three words that switch it on, in order.
const THERMOMETER_ON: [u32; 3] = [0x0002_0000, 0x0102_0000, 0x1002_0000];
/// This bit of the converter's control starts it, and it takes this long: hosts wait 60 ms.
const CONVERT: u32 = 1 << 21;
const CONVERTED: Duration = Duration::from_millis(50);
const CODES_PER_STEP: f64 = 16_384.0;
/// Inferred: a chip's voltage is shared by four parts in series, for an S21's converter shows 0.27 to 0.33 V of 1.13.
const PARTS: f64 = 4.0;
/// A transfer to a hung sensor: some 30 bits at 100 kHz, rounded up. Inferred.
const TRANSFER: Duration = Duration::from_millis(1);
/// Units of the counters.
const HASHES_PER_COUNT: f64 = 4_294_967_296.0;
const HASHES_PER_RATE: f64 = 16_777_216.0;

/// What a chip's measuring parts have been told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Senses {
    /// How many of the words that switch the thermometer on have come.
    thermometer: usize,
    converting_since: Option<Time>,
    i2c_done: Time,
}

/// A sensor on a chip's own pins.
pub(super) struct Hung {
    chip: u8,
    address: u8,
    part: Box<dyn Target>,
}

impl std::fmt::Debug for Hung {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sensor {:#04x} on chip {}", self.address, self.chip)
    }
}

impl SimChain {
    /// Hangs a part on a chip's own I²C pins, at this 7-bit address. Who wants to go on feeling with it hangs a shared one.
    pub fn hang(&mut self, chip: u8, address: u8, part: Box<dyn Target>) {
        self.hung.push(Hung { chip, address, part });
    }

    /// When one of its chips' thermometers was read last.
    #[must_use]
    pub fn felt_at(&self) -> Time {
        self.felt_at
    }

    /// What a register of a chip reads as.
    pub(super) fn value(&mut self, index: usize, register: u8) -> u32 {
        let (f, chip) = (self.facts, &self.chips[index]);
        let word = self.register(chip, register);
        if register == r::CHIP_ID {
            return word & !0xff | u32::from(chip.address);
        }
        if register == f.pll.register {
            return word & !(1 << 31) | u32::from(self.now >= chip.locked_at) << 31;
        }
        if register == f.i2c {
            return word & !(1 << 31) | u32::from(self.now < chip.senses.i2c_done) << 31;
        }
        if let Some(count) = self.count(index, register) {
            return count;
        }
        let chip = &self.chips[index];
        match (register, f.converter) {
            (r::HEAT, _) if f.thermometer && chip.senses.thermometer == THERMOMETER_ON.len() => {
                self.felt_at = self.now;
                let code = ((self.bodies[index].heat.0 - DEGREES_AT_0) / DEGREES_PER_CODE).round();
                1 << 31 | code.clamp(0.0, 65_535.0) as u32
            }
            (r::VOLTAGE, Some(step)) if chip.senses.converting_since.is_some_and(|s| self.now >= s + CONVERTED) => {
                let code = (self.chip_volts().0 / PARTS / step + 1.0) * CODES_PER_STEP;
                1 << 31 | code.round().clamp(0.0, 32_767.0) as u32
            }
            _ => word,
        }
    }

    fn count(&mut self, index: usize, register: u8) -> Option<u32> {
        let counting = self.facts.counting;
        if counting == Counting::Rate(register) {
            return Some((self.chips[index].walk.map_or(0.0, |w| w.rate()) / HASHES_PER_RATE) as u32);
        }
        if counting != Counting::Totals || !matches!(register, r::NONCE_ERRORS | r::QUARTER_HASHES..=r::HASHES) {
            return None;
        }
        self.settle_one(index);
        let chip = &self.chips[index];
        let hashes = match register {
            r::HASHES => chip.hashed,
            r::NONCE_ERRORS => chip.bad,
            _ => chip.hashed / 4.0,
        };
        // Counters wrap as 32-bit ones do.
        Some((hashes / HASHES_PER_COUNT) as u64 as u32)
    }

    /// Lets a chip's measuring parts see a write.
    pub(super) fn sense(&mut self, index: usize, register: u8, value: u32) {
        if register == self.facts.i2c {
            self.pass_through(index, value);
            return;
        }
        let (now, senses) = (self.now, &mut self.chips[index].senses);
        match register {
            r::THERMOMETER => {
                let next = THERMOMETER_ON.get(senses.thermometer) == Some(&value);
                senses.thermometer = if next { senses.thermometer + 1 } else { usize::from(value == THERMOMETER_ON[0]) };
            }
            r::CONVERTER => senses.converting_since = (value & CONVERT != 0).then_some(now),
            _ => {}
        }
    }

    /// One byte to or from a sensor on the chip's pins: flags, 8-bit address (odd writes), register, data.
    fn pass_through(&mut self, index: usize, word: u32) {
        if word >> 24 & 1 == 0 {
            return;
        }
        let [_, address, register, data] = word.to_be_bytes();
        let (now, position) = (self.now, index);
        let part = self.hung.iter_mut().find(|h| usize::from(h.chip) == position && h.address == address >> 1);
        let answer = match part {
            Some(h) if address & 1 == 1 => {
                h.part.write(now, &[register, data]);
                data
            }
            Some(h) => {
                let mut byte = [0xff];
                h.part.write(now, &[register]);
                h.part.read(now, &mut byte);
                byte[0]
            }
            // Nobody pulls the wire down.
            None => 0xff,
        };
        let chip = &mut self.chips[index];
        chip.senses.i2c_done = now + TRANSFER;
        chip.own.insert(self.facts.i2c, word & 0x00ff_ff00 | u32::from(answer));
    }
}
