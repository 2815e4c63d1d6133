//! Heat, fans and silence, as tables of seconds.

use super::*;
use crate::testing::PRODUCT;

struct Bench {
    t: Thermal,
    faults: Faults,
    now: u64,
    powered: [bool; 2],
    present: [bool; 2],
    /// What all four board sensors read; chips are 15 °C above.
    board: [Result<f64, &'static str>; 4],
    fans: [Option<f64>; 2],
    fans_answer: bool,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            t: Thermal::new(Time::ZERO, &PRODUCT, Cooling::default()),
            faults: Faults::default(),
            now: 0,
            powered: [false; 2],
            present: [true; 2],
            board: [Ok(30.0); 4],
            fans: [Some(1.0); 2],
            fans_answer: true,
        }
    }
    fn now(&self) -> Time {
        Time::from_secs(self.now)
    }
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            let now = self.now();
            for (id, v) in (0u8..).zip(self.board) {
                self.t.temperature(now, SensorId(id), v.map(Celsius).map_err(str::to_owned));
            }
            for (id, part) in (0u8..).zip(self.fans).filter(|_| self.fans_answer) {
                let rpm = part.map(|p| Rpm(p * 60.0 * self.t.duty().0));
                self.t.fan(now, FanId(id), Ok(rpm));
            }
            self.t.tick(now, &self.powered, &self.present, &mut self.faults);
        }
    }
    fn permit(&self, i: usize) -> Permit {
        self.t.permit(self.now(), i)
    }
    fn warm(&mut self, chip: f64) {
        self.board = [Ok(chip - 15.0); 4];
    }
    fn at_work() -> Bench {
        let mut b = Bench::new();
        b.powered = [true; 2];
        b.run(10);
        b
    }
}

const FULL: Permit = Permit::Run(Megahertz(500.0));

#[test]
fn nothing_known_means_full_fans_and_no_start() {
    let mut b = Bench::new();
    assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), Permit::NoProof));
    b.board = [Ok(30.0), Err("bus"), Ok(30.0), Ok(30.0)];
    b.run(20);
    assert_eq!((b.t.duty(), b.permit(0), b.permit(1)), (Percent(100.0), Permit::NoProof, FULL), "each chain by itself");
    assert!(b.faults.has(FaultCode::SensorLost, "chain 0 sensor 1"));
    assert_eq!(b.permit(7), Permit::NoProof, "a chain that is not there");
}

#[test]
fn a_bus_on_which_nothing_answers_is_named_itself_and_one_answer_ends_it() {
    let mut b = Bench::at_work();
    (b.board, b.fans_answer) = ([Err("the device is gone"); 4], false);
    b.run(5);
    assert!(!b.faults.has(FaultCode::BusFailed, BUS));
    b.run(1);
    assert!(b.faults.has(FaultCode::BusFailed, BUS));
    assert!(b.faults.iter().any(|f| f.code == FaultCode::BusFailed && f.detail == "the device is gone"));
    b.board[2] = Ok(30.0);
    b.run(1);
    assert!(!b.faults.has(FaultCode::BusFailed, BUS));
}

#[test]
fn a_board_that_is_not_there_needs_no_answer_but_one_with_power_does() {
    let mut b = Bench::at_work();
    b.run(200);
    let quiet = b.t.duty();
    assert!(quiet.0 < 100.0, "{quiet}");
    b.board = [Ok(30.0), Ok(30.0), Err("gone"), Err("gone")];
    b.present[1] = false;
    b.run(15);
    assert!(b.faults.has(FaultCode::SensorLost, "chain 1 sensor 2"), "it may still have power");
    assert_eq!(b.t.duty(), Percent(100.0));
    b.powered[1] = false;
    b.run(100);
    assert!(b.faults.is_empty());
    assert!(b.t.duty().0 < 100.0);
    assert_eq!(b.permit(0), FULL);
    assert_eq!(b.permit(1), Permit::NoProof);
}

#[test]
fn silence_first_means_full_fans_then_off_and_ends_with_a_reading() {
    for (value, code) in [
        (Err("nothing answers"), FaultCode::SensorLost),
        (Ok(127.9), FaultCode::SensorAbsurd),
        (Ok(-64.0), FaultCode::SensorAbsurd),
        (Ok(0.0), FaultCode::SensorAbsurd),
        (Ok(f64::NAN), FaultCode::SensorAbsurd),
    ] {
        let mut b = Bench::at_work();
        b.run(60);
        assert!(b.t.duty().0 < 100.0);
        b.board[1] = value;
        b.run(10);
        assert!(b.t.duty().0 < 100.0, "{value:?}: still counts");
        b.run(1);
        assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), FULL));
        assert!(b.faults.has(code, "chain 0 sensor 1"), "{value:?}");
        b.run(19);
        assert_eq!(b.permit(0), FULL);
        b.run(1);
        assert_eq!((b.permit(0), b.permit(1)), (Permit::NoProof, FULL));
        b.board[1] = Ok(30.0);
        b.run(1);
        assert_eq!(b.permit(0), FULL);
        assert_eq!(b.faults.iter().count(), 0);
    }
}

#[test]
fn a_hot_chain_is_slowed_step_by_step_and_comes_back() {
    let mut b = Bench::at_work();
    b.warm(86.0);
    b.run(1);
    assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), Permit::Run(Megahertz(475.0))));
    assert!(b.faults.has(FaultCode::TooHot, "chain 0"));
    b.run(9);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(475.0)));
    b.run(1);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(450.0)));
    b.run(1000);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(100.0)), "never below the slowest");
    b.warm(70.0);
    b.run(29);
    assert!(!b.faults.has(FaultCode::TooHot, "chain 0"));
    assert_eq!(b.permit(0), Permit::Run(Megahertz(100.0)));
    b.run(2000);
    assert_eq!(b.permit(0), FULL);
}

#[test]
fn danger_cuts_at_once_for_a_minute_and_until_cool() {
    let mut b = Bench::at_work();
    b.board[1] = Ok(80.0);
    b.run(1);
    assert_eq!((b.permit(0), b.permit(1)), (Permit::Heat, FULL), "chip = warmest of its board + 15");
    b.board[1] = Ok(30.0);
    b.run(59);
    assert_eq!(b.permit(0), Permit::Heat);
    b.run(1);
    assert_eq!(b.permit(0), FULL);
    b.warm(95.0);
    b.run(1);
    b.warm(60.0);
    b.run(500);
    assert_eq!(b.permit(0), Permit::Heat, "not below resume");
}

#[test]
fn three_dangers_in_an_hour_need_a_person() {
    let trip = |b: &mut Bench| {
        b.warm(95.0);
        b.run(1);
        b.warm(45.0);
        b.run(100);
    };
    let mut b = Bench::at_work();
    trip(&mut b);
    trip(&mut b);
    assert_eq!(b.permit(0), FULL);
    trip(&mut b);
    assert_eq!(b.permit(0), Permit::Latched);
    b.run(7200);
    assert_eq!(b.permit(0), Permit::Latched);
    b.t.release_latches();
    b.run(1);
    assert_eq!(b.permit(0), FULL);

    let mut b = Bench::at_work();
    for _ in 0..6 {
        trip(&mut b);
        b.run(1800);
        assert_eq!(b.permit(0), FULL, "two in an hour are not three");
    }
}

#[test]
fn a_fan_that_stands_fills_the_others_and_too_few_stop_the_machine() {
    for fan in [None, Some(0.1)] {
        let mut b = Bench::at_work();
        b.run(60);
        b.fans[1] = fan;
        b.run(5);
        assert_eq!(b.faults.iter().count(), 0, "not yet for 5 s");
        b.run(1);
        assert!(b.faults.has(FaultCode::FanFailed, "fan 1"));
        assert_eq!(b.t.duty(), Percent(100.0));
        b.run(29);
        assert_eq!(b.permit(0), FULL);
        b.run(1);
        assert_eq!((b.permit(0), b.permit(1)), (Permit::NoProof, Permit::NoProof));
        b.fans[1] = Some(1.0);
        b.run(6);
        assert_eq!(b.permit(0), FULL);
    }
    // Silence is no proof either.
    let mut b = Bench::at_work();
    b.fans_answer = false;
    b.run(16);
    assert!(b.faults.has(FaultCode::FanFailed, "fan 0"));
    b.run(30);
    assert_eq!(b.permit(0), Permit::NoProof);
}

#[test]
fn stopped_fans_go_on_until_it_has_been_cool_for_a_minute() {
    let mut b = Bench::at_work();
    b.warm(80.0);
    b.run(60);
    let before = b.t.duty();
    assert!(before.0 > 30.0);
    b.powered = [false; 2];
    b.warm(65.0);
    b.run(200);
    assert_eq!(b.t.duty(), before, "warm");
    b.warm(40.0);
    b.run(60);
    assert_eq!(b.t.duty(), before);
    b.run(2);
    assert_eq!(b.t.duty(), Percent(20.0));
}

#[test]
fn the_loop_settles_on_the_target_without_wind_up() {
    // A board whose chips settle at 25 °C + 90 °C ÷ (0.5 + duty), within about a minute.
    let mut b = Bench::at_work();
    let (mut chip, mut hottest, mut last) = (40.0f64, 0.0f64, vec![]);
    for s in 0..3600 {
        let goal = 25.0 + 45.0 / (0.3 + b.t.duty().0 / 100.0);
        chip += (goal - chip) / 60.0;
        hottest = hottest.max(chip);
        b.warm(chip);
        b.run(1);
        if s > 3000 {
            last.push(chip);
        }
    }
    assert!(hottest < 80.0, "overshoot to {hottest}");
    assert!(last.iter().all(|c| (c - 70.0).abs() < 0.5), "{:?}", last.last());
}
