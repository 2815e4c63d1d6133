//! What the machine does when its parts and pools fail: it protects itself, keeps what is well at work, and comes back alone.
//!
//! Every test ends with all three chains hashing and no violation. Not here: runs without a fault (`seeds`).

use model::{Celsius, FaultCode, Time};
use sim::fault::Picked;
use sim::lock;
use sim::simulation::{Scenario, Simulation};
use std::time::Duration;

const SENSORS: std::ops::RangeInclusive<u8> = 0x48..=0x4e;
const REGULATORS: std::ops::RangeInclusive<u8> = 0x20..=0x22;
const SUPPLY: u8 = 0x10;
const FANS: u8 = 0x2d;
/// From anything that can be repaired to full hashing: rests, retries and one bring-up.
const RECOVERY: u64 = 300;

struct Bench(Simulation);

impl Bench {
    fn cold(pools: u8) -> Bench {
        let product = &board::antminer_s19jpro::PRODUCT;
        let scenario = Scenario { product, seed: 7, duration: Duration::from_secs(3600), faults: Picked::NONE };
        Bench(Simulation::with_pools(scenario, pools).expect("drivers for every part"))
    }

    /// Hashing for a while.
    fn warm(pools: u8) -> Bench {
        let mut b = Bench::cold(pools);
        b.run(240);
        assert_eq!(b.0.hashing(), 3);
        assert!(b.0.rig().faults().is_empty(), "{:?}", b.0.rig().faults());
        b
    }

    fn run(&mut self, seconds: u64) {
        let end = self.0.now() + Duration::from_secs(seconds);
        self.0.run_until(end);
    }

    /// Runs until this holds and gives the time it took, at most `limit` seconds.
    fn until(&mut self, limit: u64, what: &str, holds: impl Fn(&Simulation) -> bool) -> u64 {
        for s in 0..limit {
            if holds(&self.0) {
                return s;
            }
            self.run(1);
        }
        panic!("not within {limit} s: {what}; faults {:?}; {:?}", self.0.rig().faults(), self.0.violations());
    }

    fn has(&self, code: FaultCode) -> bool {
        has(&self.0, code)
    }

    fn silence(&self, addresses: impl IntoIterator<Item = u8>, silent: bool) {
        let mut world = lock(self.0.world());
        addresses.into_iter().for_each(|a| world.silence(a, silent));
    }

    fn hashes(&self, chain: usize) -> (u64, u64) {
        lock(self.0.world()).hashes(chain)
    }

    fn accepted(&mut self, pool: usize) -> u64 {
        self.0.pool(pool).expect("in the list").answers().accepted
    }

    /// Everything is well again, and nothing was ever wrong.
    fn end(mut self) {
        self.until(RECOVERY, "all chains hash and no fault is left", |s| s.hashing() == 3 && s.rig().faults().is_empty());
        let before = self.0.report().shares;
        self.run(180);
        assert!(self.0.report().shares > before);
        assert_eq!(self.0.violations(), Vec::<String>::new());
    }
}

fn has(s: &Simulation, code: FaultCode) -> bool {
    s.rig().faults().iter().any(|f| f.code == code)
}

fn rails_off(s: &Simulation) -> bool {
    let world = lock(s.world());
    (0..3).all(|c| world.rail(c).is_some_and(|v| v.0 == 0.0))
}

fn off(s: &Simulation, chain: usize) -> bool {
    lock(s.world()).rail(chain).is_some_and(|v| v.0 == 0.0)
}

#[test]
fn a_silent_control_bus_switches_everything_off_within_40_seconds() {
    let mut b = Bench::warm(1);
    let all = || SENSORS.chain(REGULATORS).chain([SUPPLY, FANS]);
    b.silence(all(), true);
    b.until(40, "nothing hashes and no rail is on", |s| s.hashing() == 0 && rails_off(s));
    b.run(120);
    assert!(rails_off(&b.0));
    assert!(b.has(FaultCode::SensorLost));
    b.silence(all(), false);
    b.end();
}

#[test]
fn a_lost_sensor_switches_its_board_off_and_no_other() {
    let mut b = Bench::warm(1);
    b.silence([0x49], true);
    let took = b.until(40, "board 1 is off", |s| off(s, 1));
    assert!(took >= 5, "a single missing answer is no reason: {took} s");
    assert!(b.has(FaultCode::SensorLost));
    b.run(120);
    assert!(off(&b.0, 1));
    assert_eq!(b.0.hashing(), 2);
    assert_eq!((b.hashes(0).1, b.hashes(2).1), (0, 0));
    b.silence([0x49], false);
    b.end();
}

#[test]
fn stuck_fans_cut_the_power_before_it_is_too_hot() {
    let mut b = Bench::warm(1);
    (0..4).for_each(|fan| lock(b.0.world()).stick_fan(fan, true));
    b.until(60, "rails are off", rails_off);
    assert!(b.has(FaultCode::FanFailed));
    b.run(120);
    assert!(rails_off(&b.0));
    assert_eq!(b.0.violations(), Vec::<String>::new());
    (0..4).for_each(|fan| lock(b.0.world()).stick_fan(fan, false));
    b.end();
}

#[test]
fn one_stuck_fan_of_four_is_told_and_mining_goes_on() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).stick_fan(2, true);
    b.run(600);
    assert_eq!(b.0.hashing(), 3);
    assert!(b.has(FaultCode::FanFailed));
    lock(b.0.world()).stick_fan(2, false);
    b.end();
}

#[test]
fn hot_air_throttles_and_full_speed_returns_with_cool_air() {
    let mut b = Bench::warm(1);
    let nominal = board::antminer_s19jpro::PRODUCT.limits.clock_nominal;
    let full = |s: &Simulation| (0..3).all(|c| lock(s.world()).clock(c).is_some_and(|m| (m.0 - nominal.0).abs() < 5.0));
    assert!(full(&b.0));
    lock(b.0.world()).set_ambient(Celsius(60.0));
    b.until(1200, "the clock is lowered", |s| !full(s));
    b.run(1200);
    assert_eq!(b.0.violations(), Vec::<String>::new());
    lock(b.0.world()).set_ambient(Celsius(25.0));
    b.until(1200, "full clock", full);
    b.end();
}

#[test]
fn a_chain_that_was_cut_works_with_the_chips_that_are_left() {
    let mut b = Bench::cold(1);
    lock(b.0.world()).cut_chain(1, 40);
    b.run(240);
    assert_eq!(b.0.hashing(), 3);
    assert!(b.has(FaultCode::ChainShort));
    b.run(600);
    let ((whole, repeated), (cut, cut_repeated)) = (b.hashes(0), b.hashes(1));
    assert_eq!((repeated, cut_repeated), (0, 0));
    let part = cut as f64 / whole as f64;
    assert!((0.27..0.36).contains(&part), "40 of 126 chips gave {part}");
    assert_eq!(b.0.violations(), Vec::<String>::new());
}

#[test]
fn a_chain_that_is_cut_while_it_hashes_is_found_restarted_and_alone() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).cut_chain(1, 60);
    // Half of 1.9 nonces a second is told from chance within minutes.
    b.until(400, "its loss is seen", |s| s.rig().faults().iter().any(|f| f.code == FaultCode::ChainSlow && f.place == "chain 1"));
    assert_eq!(b.0.hashing(), 2);
    b.until(120, "it works on with what is left", |s| s.hashing() == 3 && has(s, FaultCode::ChainShort));
    b.run(1200);
    assert_eq!(b.0.rig().faults().len(), 1, "60 chips give what 60 promise: {:?}", b.0.rig().faults());
    for chain in [0, 2] {
        let (hashed, repeated) = b.hashes(chain);
        assert!(repeated * 100 <= hashed, "chain {chain}: {repeated} of {hashed}");
    }
    assert_eq!(b.0.violations(), Vec::<String>::new());
}

#[test]
fn a_chain_that_falls_silent_is_named_restarted_and_alone() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).cut_chain(1, 0);
    b.until(60, "its silence is seen", |s| has(s, FaultCode::ChainSilent));
    b.until(60, "nobody answers", |s| has(s, FaultCode::ChainMissing));
    b.run(300);
    assert_eq!(b.0.hashing(), 2);
    for chain in [0, 2] {
        let (hashed, repeated) = b.hashes(chain);
        assert!(repeated * 100 <= hashed, "chain {chain}: {repeated} of {hashed}");
    }
    lock(b.0.world()).cut_chain(1, 126);
    b.end();
}

#[test]
fn wrong_nonces_of_weak_chips_are_counted_and_none_reaches_the_pool() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).weaken(1, 0.585);
    b.run(600);
    let errors: Vec<u64> = b.0.rig().status(b.0.now()).chains.iter().map(|c| c.hardware_errors).collect();
    // About one of six of some 1200.
    assert!(errors[1] > 50 && errors[0] == 0 && errors[2] == 0, "{errors:?}");
    let shown: Vec<_> = b.0.rig().faults().iter().map(|f| (f.code, f.place.as_str())).collect();
    assert_eq!((b.0.hashing(), shown), (3, vec![(FaultCode::HardwareErrors, "chain 1")]));
    lock(b.0.world()).weaken(1, 0.45);
    b.until(400, "nonces that are all wrong are none", |s| has(s, FaultCode::ChainSlow) || has(s, FaultCode::ChainSilent));
    let report = b.0.report();
    assert_eq!((report.rejected, report.duplicates), (0, 0));
    lock(b.0.world()).weaken(1, 1.0);
    // Errors are shown for ten minutes.
    b.run(600);
    b.end();
}

#[test]
fn an_unplugged_board_is_named_and_the_others_go_on() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).unplug(2);
    b.until(10, "it is missed", |s| has(s, FaultCode::ChainMissing));
    for _ in 0..300 {
        b.run(1);
        assert_eq!(b.0.hashing(), 2, "the others go on without a pause");
    }
    assert!(!b.has(FaultCode::SensorLost) && !b.has(FaultCode::RailFailed), "one fault says it all");
    for chain in [0, 1] {
        let (hashed, repeated) = b.hashes(chain);
        assert!(repeated * 100 <= hashed, "chain {chain}: {repeated} of {hashed}");
    }
    lock(b.0.world()).plug(2);
    b.until(180, "it is back", |s| s.hashing() == 3);
    b.end();
}

#[test]
fn a_silent_regulator_stops_its_board_and_the_others_come_back() {
    let mut b = Bench::warm(1);
    b.silence([0x21], true);
    b.until(60, "its board is off", |s| off(s, 1) && has(s, FaultCode::RailFailed));
    b.until(180, "the others hash", |s| s.hashing() == 2);
    b.run(300);
    assert_eq!(b.0.hashing(), 2);
    b.silence([0x21], false);
    b.end();
}

#[test]
fn a_silent_supply_controller_is_named_and_nothing_is_on() {
    let mut b = Bench::cold(1);
    b.silence([SUPPLY], true);
    for _ in 0..300 {
        b.run(1);
        assert!(rails_off(&b.0));
    }
    assert!(b.has(FaultCode::SupplyFailed));
    b.silence([SUPPLY], false);
    b.end();

    let mut b = Bench::warm(1);
    b.silence([SUPPLY], true);
    b.until(60, "everything is off", |s| rails_off(s) && has(s, FaultCode::SupplyFailed));
    b.run(120);
    assert!(rails_off(&b.0));
    b.silence([SUPPLY], false);
    b.end();
}

#[test]
fn a_pool_that_cannot_be_reached_is_tried_until_it_is_back() {
    let mut b = Bench::warm(1);
    b.0.cut_pool(0, true);
    b.run(100);
    assert!(b.has(FaultCode::UpstreamDown) && !b.has(FaultCode::NoWork));
    assert_eq!(b.0.hashing(), 3, "boards are kept warm for a while");
    b.run(500);
    assert!(b.has(FaultCode::NoWork));
    assert!(rails_off(&b.0), "and not for ever");
    b.0.cut_pool(0, false);
    b.until(180, "it hashes again", |s| s.hashing() == 3);
    assert!(!b.has(FaultCode::NoWork));
    let before = b.accepted(0);
    // The longest back-off is 75 s; at this difficulty a share comes each 11 s.
    b.run(180);
    assert!(b.accepted(0) > before);
    b.end();
}

#[test]
fn the_next_pool_is_mined_for_while_the_first_is_gone_and_no_longer() {
    let mut b = Bench::warm(2);
    assert_eq!(b.accepted(1), 0);
    for way in ["gone", "mute", "refusing"] {
        let (first, second) = (b.accepted(0), b.accepted(1));
        let be = |b: &mut Bench, bad: bool| match way {
            "gone" => b.0.cut_pool(0, bad),
            "mute" => b.0.pool(0).expect("in the list").mute(bad),
            _ => b.0.pool(0).expect("in the list").refuse(bad),
        };
        be(&mut b, true);
        // 20 shares that are refused take four minutes at this difficulty.
        b.run(450);
        assert!(b.accepted(1) > second + 5, "{way}: {:?}", b.0.rig().faults());
        be(&mut b, false);
        b.run(400);
        assert!(b.accepted(0) > first + 5, "{way}: {:?}", b.0.rig().faults());
        let second = b.accepted(1);
        b.run(300);
        assert_eq!(b.accepted(1), second, "{way}");
    }
    b.end();
}

#[test]
fn lines_that_must_not_be_end_the_session_and_nothing_else() {
    let zero = br#"{"id":null,"method":"mining.set_difficulty","params":[0]}"#.to_vec();
    let notify = br#"{"id":null,"method":"mining.notify","params":["x","00",[],{},0,0,0,0,0]}"#.to_vec();
    let huge = [b"{\"id\":1,\"result\":\"".to_vec(), vec![b'x'; 4 << 20], b"\"}".to_vec()].concat();
    let deep = vec![b'['; 100_000];
    let garbage = vec![0xff, 0x00, 0x7b, 0x22];
    let mut b = Bench::warm(1);
    for (name, line) in [("zero", zero), ("notify", notify), ("huge", huge), ("deep", deep), ("garbage", garbage)] {
        let now = b.0.now();
        b.0.pool(0).expect("in the list").say(now, &line);
        b.until(5, name, |s| has(s, FaultCode::UpstreamProtocol));
        let before = b.accepted(0);
        b.until(120, name, |s| s.rig().faults().is_empty());
        b.run(120);
        assert!(b.accepted(0) > before, "{name}");
        assert_eq!(b.0.hashing(), 3, "{name}");
    }
    b.end();
}

#[test]
fn time_is_counted_from_plugging_in() {
    let mut b = Bench::cold(1);
    b.run(2);
    assert_eq!(b.0.now(), Time::from_secs(2));
    assert!(rails_off(&b.0), "nothing is known of heat and fans yet");
    b.until(120, "a rail comes on", |s| !rails_off(s));
    assert!(lock(b.0.world()).duty().is_some_and(|d| d.0 >= 20.0), "fans before power");
    assert_eq!(b.0.violations(), Vec::<String>::new());
}

#[test]
fn a_board_of_another_product_is_named_and_left_off_until_it_is_changed() {
    let mut b = Bench::warm(1);
    lock(b.0.world()).unplug(1);
    b.until(30, "the board is missed", |s| has(s, FaultCode::ChainMissing));
    lock(b.0.world()).set_eeprom(1, Some(b"\x05\x11\x00\x00BHB56902"));
    lock(b.0.world()).plug(1);
    b.until(30, "the board is named", |s| has(s, FaultCode::BoardUnknown));
    b.run(120);
    let faults = b.0.rig().faults();
    let named = faults.iter().find(|f| f.code == FaultCode::BoardUnknown).expect("still");
    assert!(named.place == "chain 1" && named.detail.contains("BHB56902, where a BHB42601 belongs"), "{named:?}");
    assert!(off(&b.0, 1) && b.0.hashing() == 2);
    lock(b.0.world()).set_eeprom(1, None);
    b.until(RECOVERY, "all hash", |s| s.hashing() == 3);
    b.end();
}

#[test]
fn fans_on_outputs_of_a_control_board_cool_and_are_counted() {
    let product = board::wiring::on(&board::antminer_s19jpro::PRODUCT, "bcb100").expect("fits");
    let scenario = Scenario { product, seed: 7, duration: Duration::from_secs(3600), faults: Picked::NONE };
    let mut b = Bench(Simulation::new(scenario).expect("drivers for every part"));
    b.run(600);
    assert_eq!((b.0.hashing(), b.0.rig().faults().len()), (3, 0), "{:?}", b.0.rig().faults());
    let duty = lock(b.0.world()).duty().expect("outputs").0;
    assert!((20.0..100.0).contains(&duty), "{duty}");
    lock(b.0.world()).stick_fan(2, true);
    b.until(30, "the fan is named", |s| has(s, FaultCode::FanFailed));
    assert!(b.0.rig().faults().iter().any(|f| f.place == "fan 2"), "{:?}", b.0.rig().faults());
    lock(b.0.world()).stick_fan(2, false);
    b.until(60, "nothing is wrong", |s| s.rig().faults().is_empty());
    b.end();
}
