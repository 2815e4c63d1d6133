//! Heat, fans and silence, as tables of seconds.

use super::*;
use crate::testing::{LIMITS, PRODUCT};
use model::{CoolingMode, Hashboard, SensorPart, SensorSpot};

#[derive(Clone, Copy, Debug)]
enum Noise {
    Absurd,
    Jumping,
}

struct Bench {
    t: Thermal,
    faults: Faults,
    now: u64,
    powered: [bool; 2],
    hashing: [bool; 2],
    present: [bool; 2],
    /// What all four board sensors read; chips are 15 °C above.
    board: [Result<f64, &'static str>; 4],
    /// What they last said.
    said: [f64; 4],
    /// They leap to what they say instead of passing through what lies between.
    leaps: bool,
    /// Sensors do not even move by their least step.
    still: bool,
    fans: [Option<f64>; 2],
    noise: Option<Noise>,
    fans_answer: bool,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(PRODUCT, Cooling::default())
    }
    fn of(product: Product, cooling: Cooling) -> Bench {
        Bench {
            t: Thermal::new(Time::ZERO, &product, cooling),
            faults: Faults::default(),
            now: 0,
            powered: [false; 2],
            hashing: [true; 2],
            present: [true; 2],
            board: [Ok(30.0); 4],
            said: [30.0; 4],
            leaps: false,
            still: false,
            fans: [Some(1.0); 2],
            noise: None,
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
                // A sensor that lives moves by its least step now and then.
                let step = if self.still { 0.0 } else { (self.now % 2) as f64 / 16.0 };
                if let Ok(c) = v {
                    let from = std::mem::replace(&mut self.said[usize::from(id)], c);
                    let steps = ((c - from).abs() / 2.0) as u32;
                    for i in (1..=steps).filter(|_| !self.leaps) {
                        let between = from + (c - from) * f64::from(i) / f64::from(steps + 1);
                        self.t.temperature(now, SensorId(id), Ok(Celsius(between)));
                    }
                }
                self.t.temperature(now, SensorId(id), v.map(|c| Celsius(c + step)).map_err(str::to_owned));
            }
            for (id, part) in (0u8..).zip(self.fans).filter(|_| self.fans_answer) {
                let rpm = match self.noise.filter(|_| id == 1) {
                    Some(Noise::Absurd) => Some(Rpm(9700.0)),
                    Some(Noise::Jumping) => Some(Rpm(if self.now.is_multiple_of(2) { 1500.0 } else { 5900.0 })),
                    None => part.map(|p| Rpm(p * 60.0 * self.t.duty().0)),
                };
                self.t.fan(now, FanId(id), Ok(rpm));
            }
            let seat = |i: usize| Seat {
                powered: self.powered[i],
                present: self.present[i],
                hashing: self.powered[i] && self.hashing[i],
                load: f64::from(u8::from(self.powered[i])),
            };
            self.t.tick(now, &[seat(0), seat(1)], &mut self.faults);
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
/// One step lower.
const LOWER: Permit = Permit::Run(Megahertz(475.0));
const SLOWEST: Permit = Permit::Run(Megahertz(100.0));

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
fn silence_first_means_full_fans_then_the_slowest_clock_then_off_and_ends_with_a_reading() {
    // Full fans after reading_age_max, 10 s here; the slowest clock after 10 s; off after 30 s.
    let mut b = Bench::at_work();
    b.run(100);
    assert!(b.t.duty().0 < 100.0);
    b.board[1] = Err("nothing answers");
    b.run(10);
    assert!(b.t.duty().0 < 100.0, "still counts");
    assert_eq!(b.permit(0), FULL);
    b.run(1);
    assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), SLOWEST));
    assert_eq!(b.t.state(0), Some(State::Throttle));
    assert!(b.faults.has(FaultCode::SensorLost, "chain 0 sensor 1"));
    b.run(19);
    assert_eq!(b.permit(0), SLOWEST);
    b.run(1);
    assert_eq!((b.permit(0), b.permit(1)), (Permit::NoProof, FULL));
    b.board[1] = Ok(30.0);
    b.run(1);
    assert_eq!((b.permit(0), b.faults.iter().count()), (FULL, 0));
}

#[test]
fn a_board_whose_data_are_stricter_goes_off_earlier() {
    let strict = Limits { reading_age_max: Duration::from_secs(5), ..LIMITS };
    let mut b = Bench::of(Product { limits: strict, ..PRODUCT }, Cooling::default());
    b.powered = [true; 2];
    b.run(100);
    b.board[1] = Err("nothing answers");
    // Seconds of silence so far, whether fans are full, and the permit.
    for (silent, full, permit) in [(5, false, FULL), (6, true, FULL), (10, true, FULL), (11, true, SLOWEST), (15, true, SLOWEST)]
    {
        b.run(silent - (b.now - 100));
        assert_eq!((b.t.duty().0 >= 100.0, b.permit(0)), (full, permit), "{silent} s");
    }
    b.run(1);
    assert_eq!(b.permit(0), Permit::NoProof);
}

#[test]
fn a_sensor_that_fails_switches_off_at_once_and_is_named() {
    for value in [127.9, -64.0, 0.0, f64::NAN, 255.0, -1.0] {
        let mut b = Bench::at_work();
        b.run(60);
        b.leaps = true;
        b.board[1] = Ok(value);
        b.run(1);
        assert_eq!(b.permit(0), FULL, "{value}: once is a disturbed wire");
        b.run(1);
        assert_eq!((b.permit(0), b.permit(1), b.t.duty()), (Permit::NoProof, FULL, Percent(100.0)), "{value}");
        assert!(b.faults.has(FaultCode::SensorAbsurd, "chain 0 sensor 1"), "{value}");
        b.board[1] = Ok(30.0);
        b.run(3);
        assert_eq!((b.permit(0), b.faults.iter().count()), (FULL, 0), "{value}");
    }
    // A part that says of itself that its line is open.
    let mut b = Bench::at_work();
    b.board[1] = Err("");
    for _ in 0..2 {
        b.t.broken(b.now(), SensorId(1), "open circuit".to_owned());
        b.run(1);
    }
    assert_eq!(b.permit(0), Permit::NoProof);
    assert!(b.faults.iter().any(|f| f.code == FaultCode::SensorAbsurd && f.detail == "open circuit"));
}

#[test]
fn a_sensor_that_stands_still_while_the_load_changes_is_off_at_once() {
    let mut b = Bench::new();
    b.run(30);
    (b.still, b.powered) = (true, [true; 2]);
    b.run(65);
    assert_eq!(b.permit(0), FULL);
    b.run(15);
    assert_eq!((b.permit(0), b.t.duty()), (FULL, Percent(100.0)), "full fans move what is not stuck");
    b.run(65);
    assert_eq!(b.permit(0), Permit::NoProof);
    b.still = false;
    b.run(5);
    assert_eq!(b.permit(0), FULL);
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
fn danger_cuts_at_once_for_a_minute_and_until_cool_and_comes_back_a_step_lower() {
    let mut b = Bench::at_work();
    b.board[1] = Ok(65.0);
    b.run(60);
    b.board[1] = Ok(71.0);
    b.run(2);
    assert_eq!(b.permit(0), LOWER, "hot alone");
    b.board[1] = Ok(80.0);
    b.run(1);
    assert_eq!((b.permit(0), b.permit(1)), (Permit::Heat, FULL), "chip = warmest of its board + 15");
    assert_eq!((b.t.state(0), b.t.machine()), (Some(State::Cooldown), State::Cooldown));
    b.board[1] = Ok(30.0);
    b.run(59);
    assert_eq!(b.permit(0), Permit::Heat);
    b.run(31);
    assert_eq!(b.permit(0), LOWER, "once more hot, once in danger: two steps, one of which comes back");
    b.run(3000);
    assert_eq!(b.permit(0), LOWER, "what a danger cost is not given back");
    b.t.release_latches();
    assert_eq!(b.permit(0), FULL, "but by a person");
    b.warm(95.0);
    b.run(2);
    b.warm(60.0);
    b.run(500);
    assert_eq!(b.permit(0), Permit::Heat, "not below resume");
}

#[test]
fn chips_that_run_ahead_of_their_boards_sensor_are_switched_off_before_it_shows_their_danger() {
    // Chips reach 95 °C 15 above the sensor at rest, and 32 at most while it rises.
    for (second_a_degree, off_at) in [(20, 73.0..79.0), (4, 66.0..73.0), (2, 62.0..66.0)] {
        let mut b = Bench::at_work();
        let mut celsius = 40.0;
        while matches!(b.permit(0), Permit::Run(_)) && celsius < 90.0 {
            celsius += 1.0;
            b.board[1] = Ok(celsius);
            b.run(second_a_degree);
        }
        assert!(off_at.contains(&celsius), "a degree in {second_a_degree} s: off at {celsius}");
        assert_eq!((b.permit(0), b.permit(1)), (Permit::Heat, FULL));
    }
}

#[test]
fn a_reading_that_nothing_confirms_cuts_too_but_is_no_trip() {
    let mut b = Bench::at_work();
    b.leaps = true;
    for _ in 0..5 {
        b.board[0] = Ok(110.0);
        b.run(1);
        assert_eq!((b.permit(0), b.t.duty()), (Permit::Heat, Percent(100.0)), "it counts as the worst case");
        b.board[0] = Ok(30.0);
        b.run(60);
        assert_eq!(b.permit(0), FULL);
    }
}

#[test]
fn a_sensor_that_jumps_is_off_at_once_until_it_jumps_back_or_a_cold_board_vouches_for_it() {
    // Where it jumps to from 35 °C, and what it says when the board is cold. 7 °C may be the air's, and may be 23 too few.
    for (jumps_to, cold, believed) in [(75.0, 70.0, false), (110.0, 110.0, false), (12.0, 7.0, false), (75.0, 30.0, true)] {
        let mut b = Bench::at_work();
        b.board[0] = Ok(35.0);
        b.run(60);
        b.leaps = true;
        b.board[0] = Ok(jumps_to);
        b.run(2);
        b.powered[0] = false;
        assert!(matches!(b.permit(0), Permit::NoProof | Permit::Heat), "{jumps_to}");
        assert!(b.faults.has(FaultCode::SensorAbsurd, "chain 0 sensor 0"), "{jumps_to}");
        b.leaps = false;
        b.board[0] = Ok(cold);
        b.run(300);
        assert_eq!(b.permit(0) == FULL, believed, "{jumps_to} {cold}");
        assert_eq!(b.permit(1), FULL, "the other goes on");
        b.leaps = true;
        b.board[0] = Ok(30.0);
        b.run(3);
        assert!(matches!(b.permit(0), Permit::Run(_)), "{jumps_to}");
        b.run(40);
        assert_eq!((b.permit(0), b.faults.iter().count()), (FULL, 0), "{jumps_to}: no trip");
    }
}

#[test]
fn a_reading_that_gets_old_gets_worse() {
    let mut b = Bench::at_work();
    b.warm(83.0);
    b.run(60);
    assert!(!b.faults.has(FaultCode::TooHot, "chain 0"));
    b.board[1] = Err("nothing answers");
    b.run(7);
    assert!(b.faults.has(FaultCode::TooHot, "chain 0"), "83 °C and 5 s late at half a degree a second");
}

#[test]
fn three_dangers_in_an_hour_need_a_person() {
    let trip = |b: &mut Bench| {
        b.warm(95.0);
        b.run(2);
        b.warm(45.0);
        b.run(100);
    };
    let mut b = Bench::at_work();
    trip(&mut b);
    trip(&mut b);
    assert!(matches!(b.permit(0), Permit::Run(_)));
    trip(&mut b);
    assert_eq!((b.permit(0), b.t.state(0)), (Permit::Latched, Some(State::Fault)));
    assert!(b.faults.has(FaultCode::Latched, "chain 0"));
    b.run(7200);
    assert_eq!(b.permit(0), Permit::Latched);
    b.t.release_latches();
    b.run(1);
    assert_eq!(b.permit(0), FULL);
    assert!(!b.faults.has(FaultCode::Latched, "chain 0"));

    let mut b = Bench::at_work();
    for _ in 0..6 {
        trip(&mut b);
        b.run(1800);
        assert!(matches!(b.permit(0), Permit::Run(_)), "two in an hour are not three");
    }

    let mut b = Bench::new();
    b.t.latch(b.now(), 1);
    b.run(7200);
    assert_eq!((b.permit(0), b.permit(1)), (FULL, Permit::Latched), "as the program before this one left it");
}

#[test]
fn other_places_have_bounds_of_their_own() {
    // Place of the second board's outlet sensor, what it reads, what that costs board 1 and board 0.
    for (place, celsius, own, other) in [
        // It is the only one of twelve that is measured: the warmest may have 4 °C more.
        (SensorPlace::Chip, 80.0, FULL, FULL),
        (SensorPlace::Chip, 82.0, Permit::Run(Megahertz(475.0)), FULL),
        (SensorPlace::Chip, 91.0, Permit::Heat, FULL),
        (SensorPlace::BoardOutlet, 81.0, Permit::Heat, FULL),
        (SensorPlace::Regulator, 97.0, FULL, FULL),
        (SensorPlace::Regulator, 99.0, Permit::Run(Megahertz(475.0)), FULL),
        (SensorPlace::Regulator, 105.0, Permit::Heat, FULL),
        (SensorPlace::ControlBoard, 74.0, FULL, FULL),
        (SensorPlace::ControlBoard, 86.0, Permit::Heat, Permit::Heat),
    ] {
        let sensors = [PRODUCT.hashboards[1].sensors[0], SensorSpot { place, ..PRODUCT.hashboards[1].sensors[1] }];
        let board = Hashboard { sensors: sensors.to_vec().leak(), ..PRODUCT.hashboards[1] };
        let boards = vec![PRODUCT.hashboards[0], board].leak();
        let mut b = Bench::of(Product { hashboards: boards, ..PRODUCT }, Cooling::default());
        b.powered = [true; 2];
        b.board[3] = Ok(celsius);
        b.run(1);
        b.run(6);
        assert_eq!((b.permit(1), b.permit(0)), (own, other), "{place:?} at {celsius}");
    }
    let mut b = Bench::at_work();
    b.t.regulator(b.now(), 0, Celsius(106.0));
    b.run(1);
    assert_eq!((b.permit(0), b.permit(1)), (Permit::Heat, FULL), "what a regulator measures of itself counts");
    b.run(100);
    assert_eq!(b.permit(0), LOWER, "and is forgotten when it says nothing more");
}

#[test]
fn chips_that_measure_themselves_are_started_slowly_and_must_then_speak() {
    let spot = [SensorSpot { part: SensorPart::OnChip, place: SensorPlace::Chip }];
    let board = Hashboard { sensors: spot.to_vec().leak(), ..PRODUCT.hashboards[0] };
    let mut b = Bench::of(Product { hashboards: vec![board, board].leak(), ..PRODUCT }, Cooling::default());
    b.board = [Err("not started"); 4];
    b.run(10);
    assert_eq!((b.permit(0), b.t.duty()), (FULL, Percent(100.0)), "off, nothing is known and nothing can be");
    (b.powered, b.hashing) = ([true; 2], [false; 2]);
    b.run(30);
    assert_eq!((b.permit(0), b.t.duty()), (SLOWEST, Percent(100.0)), "no proof, no clock");
    assert!(b.faults.is_empty());
    (b.hashing, b.board) = ([true; 2], [Ok(50.0), Err("not started"), Ok(50.0), Ok(50.0)]);
    b.run(30);
    assert_eq!((b.permit(0), b.permit(1)), (FULL, SLOWEST));
    b.run(2);
    assert_eq!((b.permit(0), b.permit(1)), (FULL, Permit::NoProof), "silent for 30 s at work");
    assert!(b.faults.has(FaultCode::SensorLost, "chain 1 sensor 1"));
    (b.powered[1], b.hashing[1]) = (false, false);
    b.run(38);
    assert_eq!(b.permit(1), Permit::NoProof, "it rests");
    assert!(b.faults.has(FaultCode::SensorLost, "chain 1 sensor 1"), "and says why");
    b.run(5);
    assert_eq!((b.permit(1), b.faults.iter().count()), (FULL, 0));
    (b.powered, b.hashing) = ([false; 2], [false; 2]);
    b.board = [Err("not started"); 4];
    b.run(85);
    assert_eq!(b.t.duty(), Percent(100.0), "blind: cooled for a minute and a half, and a minute more");
    b.run(70);
    assert_eq!(b.t.duty(), Percent(20.0));
}

#[test]
fn a_slow_start_lasts_until_it_is_warm_or_over() {
    let slow = model::Preheat { clock: Megahertz(200.0), until: Celsius(35.0), limit: Duration::from_secs(240) };
    let limits = Limits { care: model::Care { preheat: Some(slow), ..LIMITS.care }, ..LIMITS };
    let product = Product { limits, ..PRODUCT };
    let mut b = Bench::of(product, Cooling::default());
    (b.powered, b.board) = ([true; 2], [Ok(10.0); 4]);
    b.run(60);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(200.0)));
    b.warm(35.0);
    b.run(3);
    assert_eq!(b.permit(0), FULL);
    b.warm(30.0);
    b.run(3);
    assert_eq!(b.permit(0), FULL, "once a start");
    let mut b = Bench::of(product, Cooling::default());
    (b.powered, b.board) = ([true; 2], [Ok(10.0); 4]);
    b.run(240);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(200.0)));
    b.run(2);
    assert_eq!(b.permit(0), FULL);
}

#[test]
fn a_start_that_takes_too_long_is_told() {
    let mut b = Bench::new();
    (b.powered, b.hashing) = ([true; 2], [true, false]);
    b.run(181);
    assert!(!b.t.is_overdue(b.now(), 0));
    assert!(b.t.is_overdue(b.now(), 1));
}

#[test]
fn fans_turn_well_while_boards_warm_up() {
    for mode in [CoolingMode::Auto, CoolingMode::Manual(10)] {
        let mut b = Bench::of(PRODUCT, Cooling { mode, ..Cooling::default() });
        b.powered = [true; 2];
        b.run(90);
        assert!(b.t.duty().0 >= 60.0, "{}", b.t.duty());
        b.run(30);
        assert!(b.t.duty().0 < 60.0, "{}", b.t.duty());
    }
}

#[test]
fn a_fixed_duty_keeps_every_limit_and_immersion_all_but_the_fans() {
    let mut b = Bench::of(PRODUCT, Cooling { mode: CoolingMode::Manual(35), ..Cooling::default() });
    b.powered = [true; 2];
    b.run(200);
    assert_eq!(b.t.duty(), Percent(35.0));
    b.warm(86.0);
    b.run(3);
    assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), Permit::Run(Megahertz(475.0))), "hot");
    b.warm(96.0);
    b.run(3);
    assert_eq!(b.permit(0), Permit::Heat);
    let mut b = Bench::of(PRODUCT, Cooling { mode: CoolingMode::Manual(0), ..Cooling::default() });
    b.powered = [true; 2];
    b.run(200);
    assert_eq!(b.t.duty(), Percent(20.0), "never below what the board says");
    b.fans[1] = None;
    b.run(40);
    assert_eq!(b.permit(0), Permit::NoProof, "fan rules hold");

    let mut b = Bench::of(PRODUCT, Cooling { mode: CoolingMode::Immersion, ..Cooling::default() });
    (b.powered, b.fans) = ([true; 2], [None; 2]);
    b.run(100);
    assert_eq!((b.permit(0), b.faults.iter().count()), (FULL, 0));
    b.board[0] = Err("nothing answers");
    b.warm(95.0);
    b.run(3);
    assert_eq!(b.permit(0), Permit::Heat);
    let mut b = Bench::of(PRODUCT, Cooling { mode: CoolingMode::Immersion, ..Cooling::default() });
    b.powered = [true; 2];
    b.run(50);
    b.board[0] = Err("nothing answers");
    b.run(31);
    assert_eq!(b.permit(0), Permit::NoProof, "silence is danger there too");
}

#[test]
fn a_tightened_limit_holds_from_the_start() {
    let mut b = Bench::of(PRODUCT, Cooling { hot: Some(Celsius(75.0)), ..Cooling::default() });
    b.powered = [true; 2];
    b.warm(76.0);
    b.run(2);
    assert_eq!(b.permit(0), Permit::Run(Megahertz(475.0)));
}

#[test]
fn noise_of_a_tach_is_no_speed() {
    for noise in [Noise::Absurd, Noise::Jumping] {
        let mut b = Bench::at_work();
        b.run(120);
        b.noise = Some(noise);
        b.run(8);
        assert!(b.faults.has(FaultCode::FanFailed, "fan 1"), "{noise:?}");
        assert_eq!((b.permit(0), b.t.duty()), (SLOWEST, Percent(100.0)));
        assert_eq!(b.t.fans(b.now())[1], None);
        b.run(30);
        assert_eq!(b.permit(0), Permit::NoProof, "{noise:?}");
        b.noise = None;
        b.run(20);
        assert_eq!(b.permit(0), FULL, "{noise:?}");
    }
}

#[test]
fn a_fan_that_stands_fills_the_others_and_too_few_slow_and_stop_the_machine() {
    for fan in [None, Some(0.1)] {
        let mut b = Bench::at_work();
        b.run(120);
        b.fans[1] = fan;
        b.run(5);
        assert_eq!(b.faults.iter().count(), 0, "not yet for 5 s");
        b.run(1);
        assert!(b.faults.has(FaultCode::FanFailed, "fan 1"));
        assert_eq!((b.t.duty(), b.permit(0)), (Percent(100.0), SLOWEST));
        b.run(29);
        assert_eq!(b.permit(0), SLOWEST);
        b.run(1);
        assert_eq!((b.permit(0), b.permit(1)), (Permit::NoProof, Permit::NoProof));
        b.fans[1] = Some(1.0);
        b.run(16);
        assert_eq!(b.permit(0), FULL);
    }
    // Silence is no proof either.
    let mut b = Bench::at_work();
    b.fans_answer = false;
    b.run(16);
    assert!(b.faults.has(FaultCode::FanFailed, "fan 0"));
    b.run(30);
    assert_eq!(b.permit(0), Permit::NoProof);
    // Where fewer are enough, one may stand.
    let mut b = Bench::of(Product { limits: Limits { fans_min: 1, ..LIMITS }, ..PRODUCT }, Cooling::default());
    (b.powered, b.fans[1]) = ([true; 2], None);
    b.run(100);
    assert_eq!((b.permit(0), b.t.duty()), (FULL, Percent(100.0)));
}

#[test]
fn fans_of_a_machine_without_power_are_full_until_it_has_been_cool_for_a_minute() {
    let mut b = Bench::at_work();
    b.warm(80.0);
    b.run(200);
    b.powered = [false; 2];
    b.warm(65.0);
    b.run(200);
    assert_eq!(b.t.duty(), Percent(100.0), "warm");
    b.warm(40.0);
    b.run(60);
    assert_eq!(b.t.duty(), Percent(100.0));
    b.run(4);
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
