//! What chips tell of themselves while they run: their thermometers, an inner voltage, their counters. All chips are asked in
//! turn, a few at a time, so that a round is over in time for whoever cools them and the line stays free for nonces.
//! Not here: what follows from a temperature.

use super::super::addressing::Addressing;
use super::super::frame::Command;
use super::super::{Chip, Watch, register as r};
use super::through::Through;
use super::{Chain, Phase};
use crate::bus::{BusError, Uart};
use crate::chip::{ChainEvent, ChipReading, WatchError};
use model::{Celsius, ChainLayout, Time, Volt};
use std::time::Duration;

/// Chips are asked in batches this far apart, at full fifths of a second: all chains together, so that their owner wakes once.
const BATCH: Duration = Duration::from_millis(200);
/// Two batches are so far apart at least: 60 ms are asked for between a converter's start and its reading.
const APART: Duration = Duration::from_millis(60);
/// Batches of a round where it tells a temperature: 2 s, for a reading that is older than 5 s may not count.
const BATCHES_HOT: u8 = 10;
/// Batches of a round where it tells counters alone.
const BATCHES_COLD: u8 = 50;
/// The converter's settings, its last word but one and the one that starts it.
const CONVERTER: [(u8, u32); 5] = [
    (r::CONVERTER_CONTROL, 0x3f01_4381),
    (0xba, 0x0004_0010),
    (0xbb, 0x0334_0e80),
    (r::CONVERTER, 0x230c_030d),
    (r::CONVERTER, 0x232c_030d),
];
/// A reading is there.
const VALID: u32 = 1 << 31;
/// Of the chips that were there at the start so many parts of three must tell theirs in a round: damaged answers are fewer, and of a
/// chain that tells less the hottest part may be the one that is not heard.
const HEARD_OF_THREE: usize = 2;
/// What a chip's temperature can be; beyond it the thermometer is broken.
const BELIEVABLE: std::ops::RangeInclusive<f64> = -40.0..=150.0;

/// Asks and remembers.
pub(super) struct Watcher {
    watch: Watch,
    at: Addressing,
    chips: u8,
    readings: Vec<ChipReading>,
    /// Who is asked next.
    position: u8,
    round: usize,
    due: Time,
    hottest: Option<Celsius>,
    refused: Option<WatchError>,
    /// Who answered since it was asked last.
    heard: Vec<bool>,
    /// How many there are, where they were counted.
    present: Option<u32>,
    through: Option<Through>,
}

impl Watcher {
    pub(super) fn new(chip: &'static Chip, layout: &ChainLayout) -> Watcher {
        let at = Addressing::of(layout);
        let sensor = chip.watch.sensor_on.filter(|position| *position < layout.chips);
        let told = chip.watch.thermometer || !chip.watch.counters.is_empty();
        let mut watcher = Watcher {
            watch: chip.watch,
            at,
            chips: layout.chips,
            readings: if told { vec![ChipReading::default(); usize::from(layout.chips)] } else { vec![] },
            position: 0,
            round: 0,
            due: Time::ZERO,
            hottest: None,
            refused: None,
            heard: vec![false; usize::from(layout.chips)],
            present: None,
            through: sensor.map(|position| Through::new(position, at.address(position))),
        };
        watcher.forget();
        watcher
    }

    /// Nothing is known any more: the chips are off.
    pub(super) fn forget(&mut self) {
        self.readings.fill(ChipReading::default());
        (self.position, self.round, self.due) = (0, 0, Time::ZERO);
        (self.hottest, self.refused) = (None, None);
        self.heard.fill(false);
        self.present = None;
        if let Some(through) = &mut self.through {
            through.forget();
        }
    }

    /// So many answered at the start.
    pub(super) fn counted(&mut self, chips: u32) {
        self.present = Some(chips);
    }

    /// What a round came to. Who was asked and said nothing is not known any more: what it told before would stand for ever.
    fn end_round(&mut self) -> Result<Celsius, WatchError> {
        let heard = self.heard.iter().filter(|h| **h).count();
        for (reading, heard) in self.readings.iter_mut().zip(&mut self.heard) {
            if !std::mem::take(heard) {
                *reading = ChipReading::default();
            }
        }
        let chips = usize::from(self.chips);
        let there = self.present.map_or(chips, |n| chips.min(n as usize));
        let (hottest, refused) = (self.hottest.take(), self.refused.take());
        match hottest {
            _ if heard == 0 => Err(WatchError::Silent),
            Some(_) if heard * 3 < there * HEARD_OF_THREE => Err(WatchError::Few { heard: heard as u32, there: there as u32 }),
            Some(celsius) => Ok(celsius),
            None => Err(refused.unwrap_or(WatchError::Silent)),
        }
    }

    /// For tests that look at other frames.
    #[cfg(test)]
    pub(super) fn silence(&mut self) {
        (self.readings, self.through) = (vec![], None);
    }

    pub(super) fn readings(&self) -> &[ChipReading] {
        &self.readings
    }

    /// The one question that waits for its answer, where replies do not say what they answer.
    pub(super) fn asked(&self) -> Option<(u8, u8)> {
        self.through.as_ref().and_then(Through::asked)
    }

    /// What a register said; false where it was not asked for here.
    pub(super) fn take(&mut self, now: Time, address: u8, register: u8, value: u32) -> bool {
        if let Some(through) = &mut self.through
            && through.take(now, address, register, value)
        {
            return true;
        }
        let position = usize::from(self.at.position(address));
        let Some(reading) = self.readings.get_mut(position) else { return false };
        match register {
            r::TEMPERATURE if self.watch.thermometer => {
                self.heard[position] = true;
                match celsius(value) {
                    Ok(celsius) => {
                        reading.celsius = Some(celsius);
                        self.hottest = Some(self.hottest.map_or(celsius, |hottest| hottest.max(celsius)));
                    }
                    Err(error) => {
                        reading.celsius = None;
                        self.refused = Some(error);
                    }
                }
            }
            r::CONVERTED if self.watch.converter.is_some() => {
                let step = self.watch.converter.unwrap_or(1.0);
                reading.volt = (value & VALID != 0).then(|| Volt((f64::from(value & 0x7fff) / 16384.0 - 1.0) * step));
            }
            _ if !self.watch.counters.contains(&register) => return false,
            r::HASHES => reading.hashes = Some(value),
            r::NONCE_ERRORS => reading.errors = Some(value),
            0x88..=0x8b => reading.quarters[usize::from(register - 0x88)] = Some(value),
            _ => return false,
        }
        true
    }

    /// When [`Watcher::ask`] has something to say next.
    fn due(&self) -> Time {
        match &self.through {
            Some(through) => through.due(),
            None if self.readings.is_empty() => Time::NEVER,
            None => self.due,
        }
    }

    /// What is to be sent now, and what a round came to.
    fn ask(&mut self, now: Time) -> (Vec<Command>, Option<Result<Celsius, WatchError>>) {
        if let Some(through) = &mut self.through {
            return through.ask(now);
        }
        if self.readings.is_empty() || now < self.due {
            return (vec![], None);
        }
        let full = (now + APART).micros().div_ceil(BATCH.as_micros() as u64);
        self.due = Time::from_micros(full * BATCH.as_micros() as u64);
        let (mut commands, mut told) = (vec![], None);
        if self.position >= self.chips {
            if self.watch.thermometer {
                told = Some(self.end_round());
            }
            self.position = 0;
            self.round = self.round.wrapping_add(1);
        }
        // One register beside the temperature each round, and one round for the converter.
        let kinds = self.watch.counters.len() + usize::from(self.watch.converter.is_some());
        let extra = self.watch.counters.get(self.round % kinds.max(1)).copied();
        let extra = extra.or(self.watch.converter.map(|_| r::CONVERTED));
        if self.position == 0 && extra == Some(r::CONVERTED) && told.is_some() {
            // They are read with the next batch.
            commands.extend(CONVERTER.map(|(register, value)| Command::WriteAll { register, value }));
            return (commands, told);
        }
        let batches = if self.watch.thermometer { BATCHES_HOT } else { BATCHES_COLD };
        for _ in 0..self.chips.div_ceil(batches) {
            if self.position >= self.chips {
                break;
            }
            let chip = self.at.address(self.position);
            if self.watch.thermometer {
                commands.push(Command::Read { chip, register: r::TEMPERATURE });
            }
            commands.extend(extra.map(|register| Command::Read { chip, register }));
            self.position += 1;
        }
        (commands, told)
    }
}

/// A BM1368's thermometer.
fn celsius(value: u32) -> Result<Celsius, WatchError> {
    if value & VALID == 0 {
        return Err(WatchError::NotMeasured);
    }
    let celsius = f64::from(value & 0xffff) * 0.171_342 - 299.514_4;
    if BELIEVABLE.contains(&celsius) { Ok(Celsius(celsius)) } else { Err(WatchError::Absurd(Celsius(celsius))) }
}

impl<U: Uart> Chain<U> {
    /// When somebody is to be asked.
    pub(super) fn watch_due(&self) -> Time {
        if self.phase < Phase::Ready { Time::NEVER } else { self.watcher.due() }
    }

    /// Asks who is due, and tells what came of a round.
    pub(super) fn watch(&mut self, now: Time) -> Result<(), BusError> {
        if self.phase < Phase::Ready {
            return Ok(());
        }
        let (commands, told) = self.watcher.ask(now);
        // One write: a chain of 108 chips is asked 110 times a second.
        let frames: Vec<u8> = commands.into_iter().flat_map(|c| c.framed(self.chip.framing)).collect();
        if !frames.is_empty() {
            self.uart.write(&frames)?;
        }
        if let Some(value) = told {
            self.tell(ChainEvent::Temperature(value));
        }
        Ok(())
    }
}
