//! The machine's fans, whoever drives them: a controller on the shared bus, or outputs and tach lines of the control board. A duty that
//! could not be set is tried again until it is. Not here: which duty is right, and what a fan that stands means (`control`).

use control::Fact;
use hwdrivers::bus::{Gpio, I2c, Pwm};
use hwdrivers::fan::pwm::BoardFans;
use hwdrivers::fan::{self, FanError, Fans};
use model::{FanId, FanPart, Percent, Rpm, Time};
use std::time::Duration;

/// How often a duty that could not be set is tried again.
const RETRY: Duration = Duration::from_millis(500);

enum Drive {
    /// The product is cooled by its surroundings.
    Nobody,
    Controller(Box<dyn Fans>),
    Board(BoardFans, Box<dyn Pwm>),
}

/// All fans of a machine.
pub(crate) struct Air {
    drive: Drive,
    fans: u8,
    duty: Option<Percent>,
    set_at: Time,
}

impl Air {
    /// The fans of a product; nothing is written yet.
    pub(crate) fn new(part: FanPart, fans: u8, pwm: Box<dyn Pwm>) -> Air {
        let drive = match part {
            FanPart::Pwm(data) => Drive::Board(BoardFans::new(data), pwm),
            part => fan::driver(part).map_or(Drive::Nobody, Drive::Controller),
        };
        Air { drive, fans, duty: None, set_at: Time::NEVER }
    }

    /// Sets this duty now.
    pub(crate) fn order(&mut self, now: Time, duty: Percent, i2c: &mut dyn I2c, facts: &mut Vec<Fact>) {
        self.duty = Some(duty);
        self.set(now, i2c, facts);
    }

    /// Tries again what is due.
    pub(crate) fn turn(&mut self, now: Time, i2c: &mut dyn I2c, facts: &mut Vec<Fact>) {
        if self.set_at <= now {
            self.set(now, i2c, facts);
        }
    }

    /// When something is due next.
    pub(crate) fn wake_at(&self) -> Time {
        self.set_at
    }

    fn set(&mut self, now: Time, i2c: &mut dyn I2c, facts: &mut Vec<Fact>) {
        let Some(duty) = self.duty else { return };
        let fans = (0..self.fans).map(FanId);
        let failed: Vec<(FanId, FanError)> = match &mut self.drive {
            Drive::Nobody => vec![],
            Drive::Controller(c) => fans.filter_map(|fan| Some((fan, c.set_duty(i2c, fan, duty).err()?))).collect(),
            Drive::Board(board, pwm) => board.set_duty(&mut **pwm, duty).err().map(|e| (FanId(0), e)).into_iter().collect(),
        };
        self.set_at = if failed.is_empty() { Time::NEVER } else { now + RETRY };
        let told = |(fan, e): (FanId, FanError)| Fact::FanSpeed { fan, value: Err(format!("set fan {} to {duty}: {e}", fan.0)) };
        facts.extend(failed.into_iter().map(told));
    }

    /// Tells what each fan turns.
    pub(crate) fn read(&mut self, now: Time, i2c: &mut dyn I2c, gpio: &mut dyn Gpio, facts: &mut Vec<Fact>) {
        for fan in (0..self.fans).map(FanId) {
            let rpm: Result<Option<Rpm>, FanError> = match &mut self.drive {
                Drive::Nobody => return,
                Drive::Controller(c) => c.rpm(i2c, fan),
                Drive::Board(board, _) => board.rpm(gpio, now, fan),
            };
            let value = rpm.map_err(|e| format!("read the speed of fan {}: {e}", fan.0));
            facts.push(Fact::FanSpeed { fan, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwdrivers::bus::{BusError, Message};
    use model::PwmFans;
    use std::sync::{Arc, Mutex};

    /// Outputs that write down or fail, and lines whose tach is told.
    #[derive(Clone, Default)]
    struct Bench(Arc<Mutex<Outputs>>);

    #[derive(Default)]
    struct Outputs {
        told: Vec<(u32, f64)>,
        broken: bool,
    }

    impl Pwm for Bench {
        fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
            let mut state = self.0.lock().expect("one thread");
            if state.broken {
                return Err(BusError::Gone);
            }
            state.told.push((channel, duty.0));
            Ok(())
        }
    }

    impl I2c for Bench {
        fn transfer(&mut self, address: u8, _: &mut [Message<'_>]) -> Result<(), BusError> {
            Err(BusError::Nack(address))
        }
    }

    struct Tach(u64);

    impl Gpio for Tach {
        fn set(&mut self, _: u32, _: bool) -> Result<(), BusError> {
            Err(BusError::Gone)
        }
        fn get(&mut self, _: u32) -> Result<bool, BusError> {
            Err(BusError::Gone)
        }
        fn edges(&mut self, _: u32) -> Result<u64, BusError> {
            Ok(self.0)
        }
    }

    const BOARD: FanPart = FanPart::Pwm(PwmFans { channels: &[0, 1], hertz: 25_000, inverted: true, tachs: &[7, 8], pulses: 2 });

    #[test]
    fn fans_of_a_control_board_are_driven_tried_again_and_counted() {
        let (bench, mut facts) = (Bench::default(), vec![]);
        let mut air = Air::new(BOARD, 2, Box::new(bench.clone()));
        bench.0.lock().expect("one thread").broken = true;
        air.order(Time::ZERO, Percent(30.0), &mut bench.clone(), &mut facts);
        assert!(matches!(&facts[..], [Fact::FanSpeed { fan: FanId(0), value: Err(_) }]), "{facts:?}");
        assert_eq!(air.wake_at(), Time::from_millis(500));
        bench.0.lock().expect("one thread").broken = false;
        air.turn(Time::from_millis(500), &mut bench.clone(), &mut facts);
        assert_eq!(bench.0.lock().expect("one thread").told, [(0, 70.0), (1, 70.0)], "turned over");
        assert_eq!(air.wake_at(), Time::NEVER);
        facts.clear();
        air.read(Time::from_secs(1), &mut bench.clone(), &mut Tach(0), &mut facts);
        air.read(Time::from_secs(3), &mut bench.clone(), &mut Tach(400), &mut facts);
        let fan = FanId(1);
        assert_eq!(facts[3], Fact::FanSpeed { fan, value: Ok(Some(Rpm(6000.0))) });
    }

    #[test]
    fn a_product_without_fans_says_nothing_of_them() {
        let (bench, mut facts) = (Bench::default(), vec![]);
        let mut air = Air::new(FanPart::None, 0, Box::new(bench.clone()));
        air.order(Time::ZERO, Percent(100.0), &mut bench.clone(), &mut facts);
        air.read(Time::ZERO, &mut bench.clone(), &mut Tach(0), &mut facts);
        assert_eq!((facts, air.wake_at()), (vec![], Time::NEVER));
    }
}
