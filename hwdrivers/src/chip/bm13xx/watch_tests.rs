//! What chips tell of themselves, against a line that answers questions.

use super::super::frame::ReplySize;
use super::tests::{Line, run};
use super::*;
use crate::chip::WatchError;
use model::{Celsius, ChipModel};

/// A chain of three BM1368 that hash, and when.
fn hashing() -> (Chain<Line>, Time) {
    let chip = super::super::chip(ChipModel::Bm1368).expect("driven");
    let layout = ChainLayout { chip: ChipModel::Bm1368, chips: 3, domains: 1, address_interval: 2 };
    let mut chain = Chain::new(Line::of(chip, 3), &layout, Scale::HARDWARE);
    chain.start(Time::ZERO);
    chain.set_clock(Megahertz(62.5));
    let (events, now) = run(&mut chain, Time::ZERO, Some(&ChainEvent::Hashing));
    assert_eq!(events.last(), Some(&ChainEvent::Hashing));
    chain.uart.sent.clear();
    (chain, now)
}

/// The frames of one write, whose codes stand at this place; a job is a write of its own.
fn frames(mut write: &[u8], at: usize) -> Vec<&[u8]> {
    let mut frames = vec![];
    while !write.is_empty() {
        let length = if write[at] & 0x40 == 0 { write.len() } else { at + usize::from(write[at + 1]) };
        let (frame, rest) = write.split_at(length);
        (frames, write) = ([frames, vec![frame]].concat(), rest);
    }
    frames
}

/// Lets seconds pass; `answer` answers each question with a value or not at all.
fn pass(chain: &mut Chain<Line>, now: &mut Time, seconds: u64, answer: impl Fn(u8, u8) -> Option<u32>) -> Vec<ChainEvent> {
    let mut events = vec![];
    let (end, size) = (*now + Duration::from_secs(seconds), chain.chip.replies);
    let at = if size == ReplySize::Bare { 0 } else { 2 };
    while *now < end {
        chain.turn(*now).expect("the line stands");
        for frame in std::mem::take(&mut chain.uart.sent).iter().flat_map(|write| frames(write, at)) {
            let (code, chip, register) = (frame[at], frame[at + 2], frame[at + 3]);
            if let (0x42 | 0x44, Some(value)) = (code, answer(chip, register)) {
                chain.uart.inbox.extend(Reply::Register { value, chip, register }.to_bytes(size));
            }
        }
        events.extend(std::iter::from_fn(|| chain.next_event()));
        *now = chain.wake_at().max(*now);
    }
    events
}

/// The code that a thermometer has for this temperature.
fn code(celsius: f64) -> u32 {
    1 << 31 | ((celsius + 299.514_4) / 0.171_342).round() as u32
}

fn temperatures(events: &[ChainEvent]) -> Vec<Result<f64, WatchError>> {
    let of = |e: &ChainEvent| if let ChainEvent::Temperature(t) = e { Some(t.map(|c| c.0)) } else { None };
    events.iter().filter_map(of).collect()
}

#[test]
fn the_hottest_chip_of_a_round_is_told_often_enough() {
    let (mut chain, mut now) = hashing();
    let events = pass(&mut chain, &mut now, 20, |chip, register| (register == 0xb4).then(|| code(60.0 + f64::from(chip))));
    let told = temperatures(&events);
    assert!(told.len() >= 5, "a reading that is older than 5 s does not count: {}", told.len());
    assert!(told.iter().skip(1).all(|t| t.is_ok_and(|t| (t - 64.0).abs() < 0.1)), "{told:?}");
    let readings: Vec<f64> = chain.readings().iter().filter_map(|r| r.celsius).map(|c| c.0.round()).collect();
    assert_eq!(readings, [60.0, 62.0, 64.0]);
}

#[test]
fn silent_cold_and_absurd_thermometers_are_told_as_such() {
    for (value, error) in [(None, WatchError::Silent), (Some(0), WatchError::NotMeasured)] {
        let (mut chain, mut now) = hashing();
        let told = temperatures(&pass(&mut chain, &mut now, 5, |_, register| value.filter(|_| register == 0xb4)));
        assert!(told.contains(&Err(error)), "{told:?}");
        assert!(told.iter().all(Result::is_err), "{told:?}");
    }
    let (mut chain, mut now) = hashing();
    let told = temperatures(&pass(&mut chain, &mut now, 5, |_, register| (register == 0xb4).then(|| code(900.0))));
    assert!(matches!(told.last(), Some(Err(WatchError::Absurd(Celsius(_))))), "{told:?}");
    // One broken thermometer does not hide the others.
    let told = temperatures(&pass(&mut chain, &mut now, 5, |chip, register| {
        (register == 0xb4).then(|| if chip == 2 { 0 } else { code(50.0) })
    }));
    assert!(told.last().is_some_and(|t| t.is_ok_and(|t| (t - 50.0).abs() < 0.1)), "{told:?}");
}

#[test]
fn chips_that_fall_silent_are_forgotten_and_too_few_tell_no_temperature() {
    let (mut chain, mut now) = hashing();
    let answer =
        |from: u8| move |chip: u8, register: u8| (chip >= from && register == 0xb4).then(|| code(80.0 - f64::from(chip)));
    pass(&mut chain, &mut now, 6, answer(0));
    // One of three: what it told last does not stand any more, and the others speak for it.
    let told = temperatures(&pass(&mut chain, &mut now, 8, answer(2)));
    assert!(told.last().is_some_and(|t| t.is_ok_and(|t| (t - 78.0).abs() < 0.1)), "{told:?}");
    assert_eq!(chain.readings()[0], ChipReading::default());
    assert!(chain.readings()[1..].iter().all(|r| r.celsius.is_some()));
    // Two of three: the coolest one's word is not the chain's.
    let told = temperatures(&pass(&mut chain, &mut now, 8, answer(4)));
    assert_eq!(told.last(), Some(&Err(WatchError::Few { heard: 1, there: 3 })), "{told:?}");
}

#[test]
fn factory_codes_read_as_the_factory_read_them() {
    // Ends of a factory log's 5,400 chip temperatures: each is a whole code.
    for (celsius, code) in [(44.5, 2008), (80.9, 2220)] {
        let value = f64::from(code) * 0.171_342 - 299.514_4;
        assert!((value - celsius).abs() < 0.1, "{value}");
    }
}

#[test]
fn counters_and_the_inner_supply_are_read_in_turn() {
    let (mut chain, mut now) = hashing();
    let events = pass(&mut chain, &mut now, 60, |chip, register| {
        Some(match register {
            0xb4 => code(50.0),
            // 1.5 steps less 1.0, times the chip's 0.6.
            0xbd => 1 << 31 | 0x6000,
            0x8c => 1000 + u32::from(chip),
            0x4c => 7,
            0x88..=0x8b => u32::from(register),
            _ => return None,
        })
    });
    assert!(!events.iter().any(|e| matches!(e, ChainEvent::Register { .. })), "what was asked for here is kept here");
    for (position, reading) in chain.readings().iter().enumerate() {
        assert_eq!(reading.hashes, Some(1000 + 2 * position as u32));
        assert_eq!((reading.errors, reading.quarters), (Some(7), [0x88, 0x89, 0x8a, 0x8b].map(Some)));
        assert!(reading.volt.is_some_and(|v| (v.0 - 0.3).abs() < 1e-9), "{:?}", reading.volt);
    }
    chain.stop().expect("the line stands");
    assert!(chain.readings().iter().all(|r| *r == ChipReading::default()), "nothing is known of chips that are off");
}

/// An S9's chip 61 with a sensor of this maker and device at this place, and its registers.
struct Sensor {
    place: u8,
    registers: std::collections::BTreeMap<u8, u8>,
    word: u32,
    /// Questions that are still answered with busy.
    busy: u32,
    pins: bool,
}

impl Sensor {
    fn new(place: u8, registers: &[(u8, u8)]) -> Sensor {
        Sensor { place, registers: registers.iter().copied().collect(), word: 0, busy: 0, pins: false }
    }

    /// What the chip's registers do with a frame.
    fn hear(&mut self, frame: &[u8]) -> Option<u32> {
        let value = || u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        match (frame[0], frame[2], frame[3]) {
            (0x48, 244, 0x1c) => self.pins = value() == 0x4020_41e0,
            (0x48, 244, 0x20) => {
                let word = value();
                assert!(self.pins && word >> 24 == 1, "{word:08x}");
                let (place, register) = ((word >> 16) as u8, (word >> 8) as u8);
                let mut data = word as u8;
                if place == self.place | 1 {
                    self.registers.insert(register, data);
                } else if place == self.place {
                    data = self.registers.get(&register).copied().unwrap_or(0);
                }
                self.word = word & 0x00ff_ff00 | u32::from(data);
                self.busy = 2;
            }
            (0x44, 244, 0x20) => {
                let busy = self.busy > 0;
                self.busy = self.busy.saturating_sub(1);
                return Some(if busy { self.word | 1 << 31 } else { self.word });
            }
            _ => {}
        }
        None
    }
}

fn s9(mut sensor: Option<Sensor>, seconds: u64) -> (Vec<Result<f64, WatchError>>, Option<Sensor>) {
    let chip = super::super::chip(ChipModel::Bm1387).expect("driven");
    let layout = ChainLayout { chip: ChipModel::Bm1387, chips: 63, domains: 21, address_interval: 4 };
    let mut chain = Chain::new(Line::of(chip, 63), &layout, Scale::HARDWARE);
    chain.uart.wakes = true;
    chain.start(Time::ZERO);
    let (mut now, mut told) = (Time::ZERO, vec![]);
    while now < Time::from_secs(seconds) {
        chain.turn(now).expect("the line stands");
        for frame in std::mem::take(&mut chain.uart.sent).iter().flat_map(|write| frames(write, 0)) {
            if let Some(value) = sensor.as_mut().and_then(|s| s.hear(frame)) {
                chain.uart.inbox.extend(Reply::Register { value, chip: 0, register: 0 }.to_bytes(ReplySize::Bare));
            }
        }
        told.extend(std::iter::from_fn(|| chain.next_event()));
        // An answer wakes whoever waits for it.
        let arrival = if chain.uart.inbox.is_empty() { Time::NEVER } else { now + Duration::from_millis(1) };
        now = chain.wake_at().min(arrival).max(now);
    }
    (temperatures(&told), sensor)
}

#[test]
fn the_sensor_on_a_chips_pins_is_found_and_read() {
    for (place, registers, celsius) in [
        // TMP451: diode and status.
        (0x98, &[(0xfe, 0x55), (0xff, 0x00), (0x00, 64 + 40), (0x01, 64 + 71), (0x02, 0)][..], 71.0),
        // TMP421: the diode's state is elsewhere; its status register reads as something else.
        (0x9c, &[(0xfe, 0x55), (0xff, 0x21), (0x01, 64 + 66), (0x02, 0xff), (0x11, 0x80)], 66.0),
        // ADT7461.
        (0x9a, &[(0xfe, 0x41), (0x01, 64 + 50), (0x02, 0)], 50.0),
        // NCT218 has no diode: its own place and 15 °C more.
        (0x98, &[(0xfe, 0x1a), (0x00, 64 + 45)], 60.0),
    ] {
        let (told, sensor) = s9(Some(Sensor::new(place, registers)), 12);
        assert!(told.len() >= 4 && told.iter().all(|t| *t == Ok(celsius)), "{place:02x}: {told:?}");
        assert_eq!(sensor.and_then(|s| s.registers.get(&0x09).copied()), Some(0x04), "the range that readings are taken in");
    }
}

#[test]
fn a_sensor_that_measures_nothing_says_why() {
    for (registers, error) in [
        (&[(0xfe, 0x55), (0x01, 64), (0x02, 4)][..], WatchError::OpenCircuit),
        (&[(0xfe, 0x55), (0x01, 0), (0x02, 0)], WatchError::ShortCircuit),
        (&[(0xfe, 0x55), (0xff, 0x22), (0x01, 64), (0x11, 1)], WatchError::OpenCircuit),
        (&[(0xfe, 0x55), (0x01, 0xff), (0x02, 0)], WatchError::Absurd(Celsius(191.0))),
        // An NCT218's own place cannot be shorted, and no board is so cold: not -49 °C of its chip.
        (&[(0xfe, 0x1a), (0x00, 0)], WatchError::Absurd(Celsius(-64.0))),
        (&[], WatchError::NoSensor(61)),
    ] {
        let (told, _) = s9(Some(Sensor::new(0x98, registers)), 12);
        assert!(!told.is_empty() && told.iter().all(|t| *t == Err(error)), "{error:?}: {told:?}");
    }
    let (told, _) = s9(None, 12);
    assert!(told.len() >= 2 && told.iter().all(|t| *t == Err(WatchError::Silent)), "{told:?}");
}

/// Without a byte from the chips, and without a look at the clock in between, all are asked as often as ever.
#[test]
fn a_line_that_wakes_its_owner_is_turned_to_only_when_something_is_due() {
    let (mut chain, mut now) = hashing();
    let asked = |chain: &mut Chain<Line>, now: &mut Time| {
        let (end, mut turns, mut bytes) = (*now + Duration::from_secs(10), 0, 0);
        while *now < end {
            chain.turn(*now).expect("the line stands");
            (turns, bytes) = (turns + 1, bytes + std::mem::take(&mut chain.uart.sent).concat().len());
            assert!(chain.wake_at() > *now, "it comes to rest");
            *now = chain.wake_at();
        }
        (turns, bytes)
    };
    let (often, before) = asked(&mut chain, &mut now);
    chain.uart.wakes = true;
    let (seldom, after) = asked(&mut chain, &mut now);
    assert!(often >= 500 && seldom <= 101, "{often} turns, then {seldom}");
    assert!(after.abs_diff(before) <= before / 20, "{after} bytes after {before}");
}
