//! The hand of the shared control bus: sensors, fans, regulators, supply and the lines of reset and enable.
//!
//! It reads what is due, carries out orders and says what came of them. Whether a value is good is for `control` to judge; that
//! no value came is told as well, for silence is danger.

use crate::Hand;
use control::{Fact, Order};
use hwdrivers::bus::{Gpio, I2c};
use hwdrivers::fan::{Fans, emc2305::Emc2305};
use hwdrivers::power::{self, Power};
use hwdrivers::sensor::{Sensor, tmp75::Tmp75};
use model::{ChainId, FanId, FanPart, GpioLine, Percent, Product, SensorId, SensorPart, Time, Volt};
use std::time::Duration;

/// How often temperatures are read: a chip heats by half a degree a second (S21 factory log, asic.md A15).
const SENSOR_PERIOD: Duration = Duration::from_secs(1);
/// How often fans are read; a tach counts turns over about a second.
const FAN_PERIOD: Duration = Duration::from_secs(2);
/// How often a duty that could not be set is tried again.
const DUTY_RETRY: Duration = Duration::from_millis(500);

/// Why a product's parts cannot be driven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The board data names a part in a place where no driver of its kind exists.
    #[error("no driver for {part}")]
    Part {
        /// What it says.
        part: String,
    },
}

struct Board {
    sensors: Vec<(SensorId, Tmp75)>,
    regulator: Box<dyn Power>,
    /// What was ordered; heartbeats are sent while it is some.
    rail: Option<Volt>,
    heartbeat_at: Time,
    /// Whether the regulator said that it is on.
    started: bool,
    reset: GpioLine,
    plug: Option<GpioLine>,
}

impl Board {
    fn order(&mut self, now: Time, volt: Option<Volt>) {
        match (self.rail, volt) {
            (_, None) => self.regulator.order(power::Order::Disable),
            (Some(_), Some(v)) => self.regulator.order(power::Order::SetVoltage(v)),
            (None, Some(v)) => {
                // A part that is not what it should be is told nothing more.
                self.regulator.order(power::Order::Identify);
                self.regulator.order(power::Order::SetVoltage(v));
                self.regulator.order(power::Order::Enable);
            }
        }
        self.heartbeat_at = fed_behind(now, volt.and(self.regulator.feed_period()));
        self.rail = volt;
    }

    /// What an answer of the regulator means for the rail; `None` where it is not the last answer of an order.
    fn hear(&mut self, chain: ChainId, event: power::Event) -> Option<Fact> {
        use power::{Event, Order};
        let value = match event {
            // A voltage that was set before the rail is on is not the end of the order.
            Event::Done(Order::SetVoltage(v)) if self.started => Ok(Some(v)),
            Event::Done(Order::Enable) => {
                self.started = true;
                Ok(self.rail)
            }
            Event::Done(Order::Disable) => {
                self.started = false;
                Ok(None)
            }
            Event::Done(_) | Event::Identified(_) | Event::Measured(_) => return None,
            Event::Failed { order, error } => Err(format!("order {order:?} from the regulator of chain {}: {error}", chain.0)),
        };
        Some(Fact::Rail { chain, value })
    }
}

/// When a part that was fed just now wants to be fed again.
fn fed_behind(now: Time, period: Option<Duration>) -> Time {
    period.map_or(Time::NEVER, |p| now + p)
}

/// The shared bus's hand.
pub struct BoardHand {
    i2c: Box<dyn I2c>,
    gpio: Box<dyn Gpio>,
    boards: Vec<Board>,
    fans: u8,
    fan_controller: Emc2305,
    supply: Box<dyn Power>,
    supply_enable: Option<GpioLine>,
    supply_ordered: Option<Volt>,
    feed_at: Time,
    duty: Option<Percent>,
    duty_at: Time,
    sensors_at: Time,
    sensor_period: Duration,
    fans_at: Time,
    facts: Vec<Fact>,
}

impl BoardHand {
    /// Opens the parts of a product; nothing is written to a bus yet.
    ///
    /// # Errors
    /// A part that no driver fits.
    pub fn open(product: &'static Product, i2c: Box<dyn I2c>, gpio: Box<dyn Gpio>) -> Result<BoardHand, OpenError> {
        let mut boards = Vec::new();
        let mut next_sensor = 0;
        for hashboard in product.hashboards {
            let mut sensors = Vec::new();
            for spot in hashboard.sensors {
                let SensorPart::Tmp75 { address } = spot.part else {
                    return Err(OpenError::Part { part: format!("{:?}", spot.part) });
                };
                sensors.push((SensorId(next_sensor), Tmp75::new(address)));
                next_sensor += 1;
            }
            let (reset, plug) = (hashboard.reset, hashboard.plug);
            let regulator = power::regulator(hashboard.regulator);
            let (rail, heartbeat_at) = (None, Time::NEVER);
            boards.push(Board { sensors, regulator, started: false, rail, heartbeat_at, reset, plug });
        }
        let FanPart::Emc2305 { address } = product.fan else {
            return Err(OpenError::Part { part: format!("{:?}", product.fan) });
        };
        Ok(BoardHand {
            i2c,
            gpio,
            boards,
            fans: product.fans,
            fan_controller: Emc2305::new(address),
            supply: power::supply(product.supply),
            supply_enable: product.supply_enable,
            supply_ordered: None,
            feed_at: Time::NEVER,
            duty: None,
            duty_at: Time::NEVER,
            sensors_at: Time::ZERO,
            sensor_period: SENSOR_PERIOD,
            fans_at: Time::ZERO,
            facts: Vec::new(),
        })
    }

    /// Reads sensors this often, where that is more often than they are read in any case.
    pub fn read_every(&mut self, interval: Duration) {
        self.sensor_period = interval.min(SENSOR_PERIOD);
    }

    fn read_sensors(&mut self, facts: &mut Vec<Fact>) {
        for (chain, board) in (0u8..).map(ChainId).zip(&mut self.boards) {
            for (sensor, part) in &mut board.sensors {
                let value = part.read(&mut *self.i2c).map_err(|e| format!("read sensor {} of chain {}: {e}", sensor.0, chain.0));
                facts.push(Fact::Temperature { sensor: *sensor, chain, value });
            }
        }
    }

    /// A plug that cannot be read tells nothing: the board itself then shows whether it is there.
    fn read_plugs(&mut self, facts: &mut Vec<Fact>) {
        for (chain, board) in (0u8..).map(ChainId).zip(&self.boards) {
            let Some(plug) = board.plug else { continue };
            facts.extend(self.gpio.get(plug.number).ok().map(|high| Fact::Plugged { chain, plugged: plug.is_active(high) }));
        }
    }

    fn read_fans(&mut self, facts: &mut Vec<Fact>) {
        for fan in (0..self.fans).map(FanId) {
            let value = self.fan_controller.rpm(&mut *self.i2c, fan).map_err(|e| format!("read the speed of fan {}: {e}", fan.0));
            facts.push(Fact::FanSpeed { fan, value });
        }
    }

    fn set_fans(&mut self, now: Time) {
        let Some(duty) = self.duty else { return };
        let mut all_set = true;
        for fan in (0..self.fans).map(FanId) {
            if let Err(e) = self.fan_controller.set_duty(&mut *self.i2c, fan, duty) {
                all_set = false;
                self.facts.push(Fact::FanSpeed { fan, value: Err(format!("set fan {} to {duty}: {e}", fan.0)) });
            }
        }
        self.duty_at = if all_set { Time::NEVER } else { now + DUTY_RETRY };
    }

    fn set_line(&mut self, line: GpioLine, active: bool) -> Result<(), String> {
        let (number, high) = (line.number, line.is_high(active));
        self.gpio.set(number, high).map_err(|e| format!("drive line {number} {}: {e}", if high { "high" } else { "low" }))
    }
}

impl Hand for BoardHand {
    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::Duty(duty) => {
                self.duty = Some(duty);
                self.set_fans(now);
            }
            Order::Reset { chain, held } => {
                let Some(line) = self.boards.get(usize::from(chain.0)).map(|b| b.reset) else { return };
                if let Err(why) = self.set_line(line, held) {
                    self.facts.push(Fact::Rail { chain, value: Err(why) });
                }
            }
            Order::Rail { chain, volt } => {
                if let Some(board) = self.boards.get_mut(usize::from(chain.0)) {
                    board.order(now, volt);
                }
            }
            Order::Supply(volt) => {
                // The line goes on before the supply is spoken to, and off without asking it.
                if let Some(line) = self.supply_enable
                    && let Err(why) = self.set_line(line, volt.is_some())
                {
                    self.facts.push(Fact::Supply(Err(why)));
                    return;
                }
                match volt {
                    Some(v) => {
                        self.supply.order(power::Order::Identify);
                        self.supply.order(power::Order::SetVoltage(v));
                        self.supply.order(power::Order::Feed);
                        self.feed_at = fed_behind(now, self.supply.feed_period());
                    }
                    None => {
                        self.feed_at = Time::NEVER;
                        self.facts.push(Fact::Supply(Ok(None)));
                    }
                }
                self.supply_ordered = volt;
            }
            _ => {}
        }
    }

    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        if self.duty_at <= now {
            self.set_fans(now);
        }
        if self.sensors_at <= now {
            self.sensors_at = now + self.sensor_period;
            self.read_plugs(facts);
            self.read_sensors(facts);
        }
        if self.fans_at <= now {
            self.fans_at = now + FAN_PERIOD;
            self.read_fans(facts);
        }
        for (chain, board) in (0u8..).map(ChainId).zip(&mut self.boards) {
            if board.heartbeat_at <= now {
                board.heartbeat_at = fed_behind(now, board.regulator.feed_period());
                board.regulator.order(power::Order::Feed);
            }
            board.regulator.turn(now, &mut *self.i2c, &mut *self.gpio);
            while let Some(event) = board.regulator.next_event() {
                facts.extend(board.hear(chain, event));
            }
        }
        if self.feed_at <= now {
            self.feed_at = fed_behind(now, self.supply.feed_period());
            self.supply.order(power::Order::Feed);
        }
        self.supply.turn(now, &mut *self.i2c, &mut *self.gpio);
        while let Some(event) = self.supply.next_event() {
            match event {
                // An answer that comes after the supply was switched off says nothing any more.
                _ if self.supply_ordered.is_none() => {}
                power::Event::Done(power::Order::SetVoltage(v)) => facts.push(Fact::Supply(Ok(Some(v)))),
                power::Event::Done(_) | power::Event::Identified(_) | power::Event::Measured(_) => {}
                power::Event::Failed { order, error } => {
                    facts.push(Fact::Supply(Err(format!("order {order:?} from the supply: {error}"))));
                }
            }
        }
        facts.append(&mut self.facts);
    }

    fn wake_at(&self) -> Time {
        if !self.facts.is_empty() {
            return Time::ZERO;
        }
        let regulators = self.boards.iter().map(|b| b.regulator.wake_at().min(b.heartbeat_at));
        let own = self.sensors_at.min(self.fans_at).min(self.duty_at).min(self.feed_at).min(self.supply.wake_at());
        regulators.fold(own, Time::min)
    }
}
