//! The hand of the shared control bus: sensors, fans, regulators, supply and the lines of reset and enable.
//!
//! It reads what is due, carries out orders and says what came of them. Whether a value is good is for `control` to judge; that
//! no value came is told as well, for silence is danger.

use crate::Hand;
use crate::air::Air;
use crate::eeprom::Eeprom;
use crate::rail::{Rail, Said, drive, fed_behind};
use control::{Fact, Order, PowerPlace};
use hwdrivers::bus::{Gpio, I2c, Pwm};
use hwdrivers::power::{self, Measured, Power};
use hwdrivers::sensor::ina260::Ina260;
use hwdrivers::sensor::{self, Sensor, SensorError};
use model::{ChainId, GpioLine, Product, RegulatorPart, SensorId, SensorPart, Time, Volt};
use std::time::Duration;

/// How often temperatures are read: a chip heats by half a degree a second (S21 factory log, asic.md A15).
const SENSOR_PERIOD: Duration = Duration::from_secs(1);
/// How often regulators that are no sensor are asked what they measure: nothing that must be quick depends on it, and an answer may
/// take half a second.
const POWER_PERIOD: Duration = Duration::from_secs(10);
/// How often the supply is asked while it is on: what sags or is overloaded is to lose its load before it protects itself.
const SUPPLY_PERIOD: Duration = Duration::from_secs(1);
/// How often the regulator of a board that is off is asked what it is: one that was mended is then known without a person.
const IDENTIFY_PERIOD: Duration = Duration::from_secs(20);
/// How often fans are read; a tach counts turns over about a second.
const FAN_PERIOD: Duration = Duration::from_secs(2);

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
    sensors: Vec<(SensorId, Box<dyn Sensor>)>,
    /// The sensor that the regulator is.
    own_sensor: Option<SensorId>,
    rail: Rail,
    /// Whether its rail is the supply itself.
    on_supply: bool,
    reset: GpioLine,
    plug: Option<GpioLine>,
    plugged: bool,
    /// What measures the power that it takes.
    meter: Option<Ina260>,
    /// What says which board it is.
    eeprom: Option<Eeprom>,
}

/// The shared bus's hand.
pub struct BoardHand {
    i2c: Box<dyn I2c>,
    gpio: Box<dyn Gpio>,
    boards: Vec<Board>,
    air: Air,
    supply: Box<dyn Power>,
    supply_enable: Option<GpioLine>,
    /// What the supply is to give; `None` off.
    supply_ordered: Option<Volt>,
    /// It said that it gives that.
    supply_on: bool,
    /// It measured something once.
    supply_measures: bool,
    feed_at: Time,
    /// Lines of the boards' logic power that are not on yet.
    logic: Vec<GpioLine>,
    measure_at: Time,
    identify_at: Time,
    sensors_at: Time,
    sensor_period: Duration,
    fans_at: Time,
    facts: Vec<Fact>,
}

impl BoardHand {
    /// Opens the parts of a product; nothing is written to a bus yet. `pwm` are the outputs of the control board, of which there are
    /// none where no fan hangs on them.
    ///
    /// # Errors
    /// A part that no driver fits.
    pub fn open(
        product: &'static Product,
        i2c: Box<dyn I2c>,
        gpio: Box<dyn Gpio>,
        pwm: Box<dyn Pwm>,
    ) -> Result<BoardHand, OpenError> {
        let mut boards = Vec::new();
        let mut next_sensor = 0;
        let no_driver = |part: String| OpenError::Part { part };
        for hashboard in product.hashboards {
            let (mut sensors, mut own_sensor) = (Vec::new(), None);
            for spot in hashboard.sensors {
                let id = SensorId(next_sensor);
                next_sensor += 1;
                match spot.part {
                    SensorPart::Regulator => own_sensor = Some(id),
                    // The chain's own hand reads these.
                    SensorPart::OnChip | SensorPart::ThroughChip { .. } => {}
                    part => sensors.push((id, sensor::driver(part).ok_or_else(|| no_driver(format!("{part:?}")))?)),
                }
            }
            let regulator = power::regulator(hashboard.regulator, &product.limits);
            let period = if own_sensor.is_some() { SENSOR_PERIOD } else { POWER_PERIOD };
            let rail = Rail::new(regulator, hashboard.enables, period);
            let meter = hashboard.meter.map(|m| Ina260::new(m.address()));
            let on_supply = hashboard.regulator == RegulatorPart::Supply;
            boards.push(Board {
                sensors,
                own_sensor,
                rail,
                on_supply,
                reset: hashboard.reset,
                plug: hashboard.plug,
                plugged: false,
                meter,
                eeprom: Eeprom::of(hashboard),
            });
        }
        Ok(BoardHand {
            i2c,
            gpio,
            boards,
            air: Air::new(product.fan, product.fans, pwm),
            supply: power::supply(product.supply),
            supply_enable: product.supply_enable,
            supply_ordered: None,
            supply_on: false,
            supply_measures: false,
            feed_at: Time::NEVER,
            logic: product.hashboards.iter().filter_map(|b| b.logic).collect(),
            measure_at: Time::ZERO,
            identify_at: Time::ZERO,
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
                let (sensor, told) = (*sensor, |e: &SensorError| format!("read sensor {} of chain {}: {e}", sensor.0, chain.0));
                facts.push(match part.read(&mut *self.i2c) {
                    Ok(celsius) => Fact::Temperature { sensor, chain, value: Ok(celsius) },
                    Err(e @ (SensorError::Bus(_) | SensorError::Settling)) => {
                        Fact::Temperature { sensor, chain, value: Err(told(&e)) }
                    }
                    Err(e) => Fact::SensorBroken { sensor, chain, why: told(&e) },
                });
            }
        }
    }

    /// A plug that cannot be read tells nothing: the board itself then shows whether it is there. A board that was just plugged in says
    /// what it is before anything is asked of it.
    fn read_plugs(&mut self, now: Time, facts: &mut Vec<Fact>) {
        // Boards answer only with their logic on; it stays on as long as the program runs.
        for line in std::mem::take(&mut self.logic) {
            if let Err(why) = drive(&mut *self.gpio, line, true) {
                tracing::warn!(%why, "a board's logic has no power");
            }
        }
        let again = self.identify_at <= now;
        if again {
            self.identify_at = now + IDENTIFY_PERIOD;
        }
        for (chain, board) in (0u8..).map(ChainId).zip(&mut self.boards) {
            let seen = match board.plug {
                Some(plug) => self.gpio.get(plug.number).ok().map(|high| plug.is_active(high)),
                None => Some(true),
            };
            let Some(plugged) = seen else { continue };
            if plugged && (!board.plugged || again) {
                board.rail.identify();
                // Of a board at work no more is wanted than its temperatures.
                let read = board.eeprom.as_ref().filter(|_| board.rail.ordered().is_none());
                facts.extend(read.and_then(|e| e.read(chain, &mut *self.i2c)));
            }
            // Behind what it is: a board that does not belong here is never told to start.
            if board.plug.is_some() {
                facts.push(Fact::Plugged { chain, plugged });
            }
            board.plugged = plugged;
        }
    }

    /// What meters say goes in: what lies on a board's input, and what it takes.
    fn read_meters(&mut self, facts: &mut Vec<Fact>) {
        for (chain, board) in (0u8..).map(ChainId).zip(&mut self.boards) {
            // One that does not answer is shown by its value growing old.
            let Some(Ok(m)) = board.meter.as_mut().map(|meter| meter.read(&mut *self.i2c)) else { continue };
            let measured = Measured { input: m.volt, watt: m.watt, ..Measured::default() };
            facts.push(Fact::Power { place: PowerPlace::Rail(chain), measured });
        }
    }

    /// The supply goes on in this order: it says what it is, takes its voltage, gets its line. Off is the line, without asking.
    fn order_supply(&mut self, now: Time, volt: Option<Volt>) {
        self.supply_ordered = volt;
        self.supply_on = false;
        match volt {
            Some(v) => {
                self.supply.order(power::Order::Identify);
                self.supply.order(power::Order::SetVoltage(v));
                self.feed_at = fed_behind(now, self.supply.feed_period());
            }
            None => {
                self.feed_at = Time::NEVER;
                let off = self.supply_enable.map_or(Ok(()), |line| drive(&mut *self.gpio, line, false));
                self.supply.order(power::Order::Disable);
                self.facts.push(Fact::Supply(off.map(|()| None)));
            }
        }
    }

    fn hear_supply(&mut self, event: power::Event) {
        let Some(ordered) = self.supply_ordered else {
            // An answer that comes after the supply was switched off says nothing any more.
            return;
        };
        let value = match event {
            power::Event::Done(power::Order::SetVoltage(_)) if self.supply_on => return,
            power::Event::Done(power::Order::SetVoltage(_)) => {
                let on = self.supply_enable.map_or(Ok(()), |line| drive(&mut *self.gpio, line, true));
                self.supply_on = on.is_ok();
                self.supply.order(power::Order::Feed);
                on.map(|()| Some(ordered))
            }
            power::Event::Measured(measured) => {
                self.supply_measures = true;
                self.facts.push(Fact::Power { place: PowerPlace::Supply, measured });
                return;
            }
            power::Event::Done(_) | power::Event::Identified(_) => return,
            // One that never measured has no means to; one that did and answers no more is not to be trusted with anything else.
            power::Event::Failed { order: power::Order::Measure, .. } if !self.supply_measures => return,
            power::Event::Failed { order, error } => Err(format!("order {order:?} from the supply: {error}")),
        };
        self.facts.push(Fact::Supply(value));
    }

    fn order_rail(&mut self, now: Time, chain: ChainId, volt: Option<Volt>) {
        let Some(board) = self.boards.get_mut(usize::from(chain.0)) else { return };
        board.rail.order(now, volt, &mut *self.gpio);
        // One supply is the rail of several boards: it gives what the one that wants most asked for.
        let wanted = self.boards.iter().filter(|b| b.on_supply).filter_map(|b| b.rail.ordered()).reduce(Volt::max);
        if let (Some(v), true) = (wanted, self.supply_on)
            && self.supply_ordered != Some(v)
        {
            self.supply_ordered = Some(v);
            self.supply.order(power::Order::SetVoltage(v));
        }
    }
}

impl Hand for BoardHand {
    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::Duty(duty) => {
                self.air.order(now, duty, &mut *self.i2c, &mut self.facts);
            }
            Order::Reset { chain, held } => {
                let Some(line) = self.boards.get(usize::from(chain.0)).map(|b| b.reset) else { return };
                if let Err(why) = drive(&mut *self.gpio, line, held) {
                    self.facts.push(Fact::Rail { chain, value: Err(why) });
                }
            }
            Order::Rail { chain, volt } => self.order_rail(now, chain, volt),
            Order::Supply(volt) => self.order_supply(now, volt),
            _ => {}
        }
    }

    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        self.air.turn(now, &mut *self.i2c, facts);
        if self.sensors_at <= now {
            self.sensors_at = now + self.sensor_period;
            self.read_plugs(now, facts);
            self.read_sensors(facts);
            self.read_meters(facts);
        }
        if self.fans_at <= now {
            self.fans_at = now + FAN_PERIOD;
            self.air.read(now, &mut *self.i2c, &mut *self.gpio, facts);
        }
        for (chain, board) in (0u8..).map(ChainId).zip(&mut self.boards) {
            board.rail.turn(now, &mut *self.i2c, &mut *self.gpio);
            while let Some(said) = board.rail.next_said(chain, &mut *self.gpio) {
                // A regulator that fails may have been pulled with its board: that is told first.
                if let (Said::Fact(Fact::Rail { value: Err(_), .. }), Some(plug)) = (&said, board.plug)
                    && board.plugged
                    && self.gpio.get(plug.number).is_ok_and(|high| !plug.is_active(high))
                {
                    board.plugged = false;
                    facts.push(Fact::Plugged { chain, plugged: false });
                }
                let value = match said {
                    Said::Fact(fact) => {
                        facts.push(fact);
                        continue;
                    }
                    Said::Measured(measured) => {
                        facts.push(Fact::Power { place: PowerPlace::Rail(chain), measured });
                        measured.celsius.ok_or_else(|| "the regulator gives no temperature".to_owned())
                    }
                    Said::Unmeasured(why) => Err(format!("read the regulator of chain {}: {why}", chain.0)),
                };
                facts.extend(board.own_sensor.map(|sensor| Fact::Temperature { sensor, chain, value }));
            }
        }
        if self.feed_at <= now {
            self.feed_at = fed_behind(now, self.supply.feed_period());
            self.supply.order(power::Order::Feed);
        }
        if self.measure_at <= now {
            self.measure_at = now + SUPPLY_PERIOD;
            if self.supply_on {
                self.supply.order(power::Order::Measure);
            }
        }
        self.supply.turn(now, &mut *self.i2c, &mut *self.gpio);
        while let Some(event) = self.supply.next_event() {
            self.hear_supply(event);
        }
        facts.append(&mut self.facts);
    }

    fn wake_at(&self) -> Time {
        if !self.facts.is_empty() {
            return Time::ZERO;
        }
        let rails = self.boards.iter().map(|b| b.rail.wake_at());
        let own = self
            .sensors_at
            .min(self.fans_at)
            .min(self.air.wake_at())
            .min(self.feed_at)
            .min(self.measure_at)
            .min(self.supply.wake_at());
        rails.fold(own, Time::min)
    }
}
