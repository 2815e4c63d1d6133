//! The sensor on the pins of one chip, as on an Antminer S9: the chip is told an I²C exchange by a register, and asked by the same
//! one until it is done. A BM1387's replies name neither chip nor register, so one question is out at a time.
//!
//! A TMP451, TMP42x or ADT7461 reads the chip's diode. An NCT218 reads its own place alone: the chip is [`CHIP_OVER_BOARD`] warmer.
//! Not here: what follows from a temperature.

use super::super::frame::Command;
use crate::chip::WatchError;
use crate::sensor::SensorError;
use crate::sensor::tmp451::{self, Family};
use model::{Celsius, Diode, Time};
use std::convert::Infallible;
use std::time::Duration;

/// The register that reaches the pins: bit 31 busy, bit 24 go, then 8-bit address (odd to write), register and data.
const I2C: u8 = 0x20;
const BUSY: u32 = 1 << 31;
const GO: u32 = 1 << 24;
/// The chip's MISC register, and what makes its pins an I²C bus: rate kept, clock inverted, several midstates, both pin selectors.
const PINS: (u8, u32) = (0x1c, 0x4020_41e0);
/// Where such boards have the sensor, as 8-bit addresses.
const PLACES: [u8; 3] = [0x98, 0x9a, 0x9c];
/// Registers of all these sensors.
const LOCAL: u8 = 0x00;
const REMOTE: u8 = 0x01;
const STATUS: u8 = 0x02;
const CONFIG: u8 = 0x09;
const REMOTE_LOW: u8 = 0x11;
const MAKER: u8 = 0xfe;
const DEVICE: u8 = 0xff;
/// The extended range, in which readings are taken as the same parts' are on a bus.
const EXTENDED: u8 = 0x04;
/// What a chip is warmer than its board, where no diode tells.
const CHIP_OVER_BOARD: Celsius = Celsius(15.0);
/// An answer takes 0.1 ms of line and waits behind nonces; beyond this it is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two rounds of readings.
const PERIOD: Duration = Duration::from_secs(1);
/// Before it is looked for again where none is found.
const RETRY: Duration = Duration::from_secs(2);
/// Questions whether the exchange is done, before it is given up. An exchange of three bytes at 100 kHz is 0.4 ms.
const TRIES: u8 = 10;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The chip's pins are made a bus.
    Pins,
    Maker,
    Device,
    Configure,
    State,
    Value,
}

/// The way through one chip.
pub(super) struct Through {
    position: u8,
    chip: u8,
    place: usize,
    maker: u8,
    family: Family,
    step: Step,
    /// When the question that is out was asked.
    asked_at: Option<Time>,
    /// Questions of this exchange so far.
    tries: u8,
    /// The exchange was told and is not done: it is asked for again, not told again, which would confuse the chip's bus.
    running: bool,
    due: Time,
    told: Option<Result<Celsius, WatchError>>,
}

impl Through {
    pub(super) fn new(position: u8, chip: u8) -> Through {
        Through {
            position,
            chip,
            place: 0,
            maker: 0,
            family: Family::Tmp451,
            step: Step::Pins,
            asked_at: None,
            tries: 0,
            running: false,
            due: Time::ZERO,
            told: None,
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Through::new(self.position, self.chip);
    }

    pub(super) fn asked(&self) -> Option<(u8, u8)> {
        self.asked_at.map(|_| (self.chip, I2C))
    }

    /// When [`Through::ask`] has something to say next.
    pub(super) fn due(&self) -> Time {
        match self.asked_at {
            _ if self.told.is_some() => Time::ZERO,
            Some(at) => at + PATIENCE,
            None => self.due,
        }
    }

    /// What is to be sent now, and what came of a reading.
    pub(super) fn ask(&mut self, now: Time) -> (Vec<Command>, Option<Result<Celsius, WatchError>>) {
        let told = self.told.take();
        match self.asked_at {
            Some(at) if now < at + PATIENCE => return (vec![], told),
            Some(_) => {
                // Lost or refused: from the start, for the chip may have been reset.
                self.fail(now, WatchError::Silent);
                return (vec![], self.told.take());
            }
            None if now < self.due => return (vec![], told),
            None => {}
        }
        let chip = self.chip;
        let mut commands = vec![];
        if self.step == Step::Pins {
            commands.push(Command::Write { chip, register: PINS.0, value: PINS.1 });
            self.step = Step::Maker;
        }
        if !self.running {
            commands.push(Command::Write { chip, register: I2C, value: self.word() });
        }
        commands.push(Command::Read { chip, register: I2C });
        (self.asked_at, self.running) = (Some(now), true);
        (commands, told)
    }

    /// An answer of the chip's; false where it is not for here.
    pub(super) fn take(&mut self, now: Time, chip: u8, register: u8, value: u32) -> bool {
        if self.asked_at.is_none() || (chip, register) != (self.chip, I2C) {
            return false;
        }
        self.asked_at = None;
        let (busy, ours) = (value & BUSY != 0, (value ^ self.word()) & 0x00ff_ff00 == 0);
        if busy || !ours {
            // Not done, or the answer to an exchange before this one: then it is told once more, which does a sensor no harm.
            self.running = busy;
            self.tries += 1;
            if self.tries >= TRIES {
                self.fail(now, WatchError::Busy(self.position));
            }
            return true;
        }
        (self.running, self.tries) = (false, 0);
        self.heard(now, value as u8);
        true
    }

    /// The exchange of this step, as the register's word.
    fn word(&self) -> u32 {
        let place = PLACES[self.place];
        let (write, register, data) = match self.step {
            Step::Pins | Step::Maker => (0, MAKER, 0),
            Step::Device => (0, DEVICE, 0),
            Step::Configure => (1, CONFIG, EXTENDED),
            Step::State => (0, if self.family == Family::Tmp42x { REMOTE_LOW } else { STATUS }, 0),
            Step::Value => (0, if self.family == Family::Nct218 { LOCAL } else { REMOTE }, 0),
        };
        GO | u32::from(place | write) << 16 | u32::from(register) << 8 | u32::from(data)
    }

    fn heard(&mut self, now: Time, data: u8) {
        self.due = now;
        match self.step {
            // Where the maker says not enough, the device is asked for next.
            Step::Pins | Step::Maker => match Family::of(data, || Err(())) {
                Err(()) => (self.maker, self.step) = (data, Step::Device),
                Ok(Some(family)) => (self.family, self.step) = (family, Step::Configure),
                Ok(None) if self.place + 1 < PLACES.len() => self.place += 1,
                Ok(None) => self.fail(now, WatchError::NoSensor(self.position)),
            },
            Step::Device => match Family::of::<Infallible>(self.maker, || Ok(data)) {
                Ok(Some(family)) => (self.family, self.step) = (family, Step::Configure),
                Ok(None) => self.fail(now, WatchError::NoSensor(self.position)),
            },
            Step::Configure => self.next_reading(now),
            Step::State => {
                let open = if self.family == Family::Tmp42x { data & 1 != 0 } else { data & 4 != 0 };
                if open {
                    self.told = Some(Err(WatchError::OpenCircuit));
                    self.next_reading(now);
                } else {
                    self.step = Step::Value;
                }
            }
            Step::Value => {
                let diode = if self.family == Family::Nct218 { Diode::Local } else { Diode::Remote };
                self.told = Some(match tmp451::celsius(diode, data, 0) {
                    Ok(board) if diode == Diode::Local => Ok(board + CHIP_OVER_BOARD),
                    Ok(chip) => Ok(chip),
                    Err(SensorError::Short) => Err(WatchError::ShortCircuit),
                    Err(_) => Err(WatchError::Absurd(Celsius(f64::from(data) - 64.0))),
                });
                self.next_reading(now);
            }
        }
    }

    fn next_reading(&mut self, now: Time) {
        // The first reading behind the change of range may be in the old one.
        self.due = now + PERIOD;
        self.step = if self.family == Family::Nct218 { Step::Value } else { Step::State };
    }

    fn fail(&mut self, now: Time, error: WatchError) {
        let (position, chip) = (self.position, self.chip);
        *self = Through { due: now + RETRY, told: Some(Err(error)), ..Through::new(position, chip) };
    }
}
