//! One chain's start, step by step, and each way it can fail.

use super::*;
use crate::testing::{LIMITS, PRODUCT};

struct Bench {
    c: Chain,
    faults: Faults,
    supply: bool,
    clock: Option<Megahertz>,
    work_since: Option<Time>,
}

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

impl Bench {
    fn new() -> Bench {
        let c = Chain::new(ChainId(0), &PRODUCT.hashboards[0], LIMITS);
        Bench { c, faults: Faults::default(), supply: true, clock: Some(LIMITS.clock_nominal), work_since: None }
    }
    fn tick(&mut self, now: Time) -> Vec<Order> {
        let mut orders = vec![];
        let want = Want { clock: self.clock, supply: self.supply, work_since: self.work_since, silence: TIMING.silence_first };
        self.c.tick(now, want, &mut self.faults, &mut orders);
        orders
    }
    fn rail(&mut self, now: Time, value: Result<Option<Volt>, String>) -> Vec<Order> {
        let mut orders = vec![];
        self.c.rail(now, value, &mut self.faults, &mut orders);
        orders
    }
    fn count(&mut self, now: Time, chips: u32) -> Vec<Order> {
        let mut orders = vec![];
        self.c.counted(now, chips, &mut self.faults, &mut orders);
        orders
    }
    fn hashing(&mut self, now: Time) -> Vec<Order> {
        let mut orders = vec![];
        self.c.hashing(now, Duration::from_secs(2), &mut self.faults, &mut orders);
        orders
    }
    fn to_counting() -> Bench {
        let mut b = Bench::new();
        assert_eq!(b.tick(ms(0)), [Order::Reset { chain: ChainId(0), held: true }, rail(Some(14.0))]);
        assert_eq!(b.tick(ms(500)), []);
        assert_eq!(b.rail(ms(500), Ok(Some(Volt(14.0)))), []);
        assert_eq!(b.tick(ms(1499)), [], "the rail settles for a second");
        assert_eq!(b.tick(ms(1500)), [Order::Reset { chain: ChainId(0), held: false }]);
        assert_eq!(b.tick(ms(1599)), []);
        assert_eq!(b.tick(ms(1600)), [Order::StartChain(ChainId(0))]);
        b
    }
    fn to_hashing() -> Bench {
        let mut b = Bench::to_counting();
        assert_eq!(b.count(ms(2000), 12), []);
        b.c.ready(ms(2500));
        assert_eq!(b.tick(ms(2500)), [Order::Clock { chain: ChainId(0), clock: Megahertz(500.0) }]);
        assert_eq!(b.hashing(ms(5000)), [rail(Some(13.0))]);
        assert!(!b.c.is_hashing());
        assert_eq!(b.rail(ms(6000), Ok(Some(Volt(13.0)))), []);
        assert!(b.c.is_hashing());
        b
    }
    fn has(&self, code: FaultCode) -> bool {
        self.faults.has(code, "chain 0")
    }
}

fn rail(volt: Option<f64>) -> Order {
    Order::Rail { chain: ChainId(0), volt: volt.map(Volt) }
}

fn off() -> [Order; 3] {
    [rail(None), Order::Reset { chain: ChainId(0), held: true }, Order::StopChain(ChainId(0))]
}

#[test]
fn a_chain_starts_step_by_step_and_stops_at_once() {
    let mut b = Bench::to_hashing();
    assert_eq!(b.tick(ms(7000)), []);
    b.clock = Some(Megahertz(475.0));
    assert_eq!(b.tick(ms(7100)), [Order::Clock { chain: ChainId(0), clock: Megahertz(475.0) }]);
    b.clock = None;
    assert_eq!(b.tick(ms(7200)), off());
    assert_eq!(b.c.stage(), Stage::Off);
    assert!(b.c.is_powered(), "not before its regulator says so");
    b.rail(ms(7300), Ok(None));
    assert!(!b.c.is_powered());
}

#[test]
fn without_supply_nothing_starts() {
    let mut b = Bench { supply: false, ..Bench::new() };
    assert_eq!(b.tick(ms(0)), []);
    assert!(b.c.needs_supply());
    let mut b = Bench::to_hashing();
    b.supply = false;
    assert_eq!(b.tick(ms(7000)), off());
}

#[test]
fn every_wait_has_its_limit_and_name() {
    let mut b = Bench::new();
    b.tick(ms(0));
    assert_eq!(b.tick(ms(10_000)), off());
    assert!(b.has(FaultCode::RailFailed));

    let mut b = Bench::to_counting();
    assert_eq!(b.tick(ms(11_599)), []);
    assert_eq!(b.tick(ms(11_600)), off());
    assert!(b.has(FaultCode::ChainMissing));

    let mut b = Bench::to_counting();
    b.count(ms(2000), 12);
    assert_eq!(b.tick(ms(61_999)), []);
    assert_eq!(b.tick(ms(62_000)), off());
    assert!(b.has(FaultCode::ChainSilent));

    let mut b = Bench::to_counting();
    b.count(ms(2000), 12);
    b.c.ready(ms(2000));
    b.tick(ms(2000));
    assert_eq!(b.tick(ms(62_000)), off());
    assert!(b.has(FaultCode::ChainSilent));
}

#[test]
fn a_chain_with_work_and_no_nonce_for_20_s_or_10_behind_its_start_is_restarted_and_recovers() {
    for (nonce_at, silent_at) in [(None, 110_000), (Some(105_000), 125_000)] {
        let mut b = Bench::to_hashing();
        assert_eq!(b.tick(ms(100_000)), [], "no work, no nonce");
        b.work_since = Some(ms(100_000));
        if let Some(at) = nonce_at {
            b.c.nonce(ms(at), &mut b.faults);
        }
        assert_eq!(b.c.wake_at(b.work_since), ms(silent_at));
        assert_eq!(b.tick(ms(silent_at - 1)), []);
        assert_eq!(b.tick(ms(silent_at)), off());
        assert!(b.has(FaultCode::ChainSilent));
        b.rail(ms(silent_at + 100), Ok(None));
        b.work_since = None;
        b.tick(ms(silent_at + 2000));
        assert!(matches!(b.c.stage(), Stage::RailStart { .. }));
    }
}

#[test]
fn short_chains_work_on_and_empty_ones_do_not() {
    let mut b = Bench::to_counting();
    assert_eq!(b.count(ms(2000), 7), []);
    assert!(b.has(FaultCode::ChainShort));
    assert!(matches!(b.c.stage(), Stage::Readying { .. }));
    let mut b = Bench::to_counting();
    assert_eq!(b.count(ms(2000), 0), off());
    assert!(b.has(FaultCode::ChainMissing));
}

#[test]
fn three_failures_make_it_failed_then_it_is_tried_each_quarter_minute() {
    let mut b = Bench::new();
    let (mut now, mut starts) = (ms(0), vec![]);
    while now < Time::from_secs(300) {
        if b.tick(now).contains(&rail(Some(14.0))) {
            starts.push(now.micros() / 1_000_000);
            let mut orders = vec![];
            b.c.failed(now, FaultCode::ChainSilent, "gone", &mut b.faults, &mut orders);
            assert_eq!(orders, off());
            b.rail(now, Ok(None));
        }
        now = now + Duration::from_millis(500);
    }
    let later = (6..300).step_by(15);
    assert_eq!(starts, [0, 2].into_iter().chain(later).collect::<Vec<_>>());
    assert!(b.has(FaultCode::ChainSilent));
}

#[test]
fn a_regulator_that_lies_or_refuses_is_seen() {
    let mut b = Bench::new();
    b.tick(ms(0));
    assert_eq!(b.rail(ms(1), Ok(Some(Volt(15.1)))), off(), "above its limit");
    let mut b = Bench::new();
    b.tick(ms(0));
    assert_eq!(b.rail(ms(1), Ok(Some(Volt(f64::NAN)))), off());
    let mut b = Bench::to_hashing();
    assert_eq!(b.rail(ms(7000), Ok(None)), off(), "it switched itself off");

    // It was on and does not go off: the supply must.
    let mut b = Bench::to_hashing();
    b.clock = None;
    b.tick(ms(7000));
    assert!(!b.c.needs_cut(true, false));
    b.rail(ms(7100), Err("no answer".to_owned()));
    assert!(b.c.needs_cut(true, false));
    b.c.supply_is_off();
    assert!(!b.c.needs_cut(false, false));
    assert!(!b.c.is_powered());

    // Silence is a refusal too.
    let mut b = Bench::to_hashing();
    b.clock = None;
    b.tick(ms(7000));
    b.tick(ms(12_000));
    assert!(b.c.needs_cut(true, false));

    // One whose plug was seen open is given time to turn out as pulled.
    for (pulled, cut) in [(true, false), (false, true)] {
        let mut b = Bench::to_hashing();
        b.c.plug(false, &mut b.faults);
        assert_eq!(b.rail(ms(7000), Err("no answer".to_owned())), off());
        b.rail(ms(7100), Err("no answer".to_owned()));
        assert!(!b.c.needs_cut(true, false));
        b.clock = None;
        for at in [8000, 9000, 9700] {
            b.c.plug(!pulled, &mut b.faults);
            b.tick(ms(at));
        }
        assert_eq!(b.c.needs_cut(true, false), cut, "pulled: {pulled}");
    }

    // It never was on: the other chains are left alone, unless this one is too hot.
    let mut b = Bench::new();
    b.tick(ms(0));
    b.rail(ms(1), Err("no answer".to_owned()));
    b.rail(ms(2), Err("no answer".to_owned()));
    assert!(!b.c.needs_cut(true, false));
    assert!(b.c.needs_cut(false, false));
}

#[test]
fn of_two_failures_none_is_left_behind_when_the_chain_is_well_again() {
    let mut b = Bench::to_hashing();
    let mut orders = vec![];
    b.c.failed(ms(7000), FaultCode::ChainMissing, "the line is gone", &mut b.faults, &mut orders);
    b.rail(ms(7100), Err("the bus is gone".to_owned()));
    assert!(b.faults.has(FaultCode::RailFailed, "chain 0") && !b.faults.has(FaultCode::ChainMissing, "chain 0"));
    b.rail(ms(7200), Ok(None));
    b.tick(ms(9000));
    b.rail(ms(9500), Ok(Some(Volt(14.0))));
    b.tick(ms(10_500));
    b.tick(ms(10_600));
    b.count(ms(11_000), 12);
    b.c.ready(ms(11_500));
    b.tick(ms(11_500));
    b.hashing(ms(14_000));
    b.rail(ms(14_500), Ok(Some(Volt(13.0))));
    assert!(b.c.is_hashing() && b.faults.is_empty(), "{:?}", b.faults);
}

#[test]
fn facts_out_of_turn_change_nothing() {
    let mut b = Bench::new();
    assert_eq!(b.count(ms(0), 12), []);
    b.c.ready(ms(0));
    assert_eq!(b.hashing(ms(0)), []);
    b.c.nonce(ms(0), &mut b.faults);
    b.c.clocked(Megahertz(f64::NAN));
    assert_eq!(b.c.stage(), Stage::Off);
    assert_eq!(b.c.clock, Megahertz(0.0));
}

/// A board whose rail is the supply itself.
fn unswitched() -> Bench {
    let board = Hashboard { regulator: RegulatorPart::Supply, ..PRODUCT.hashboards[0] };
    Bench { c: Chain::new(ChainId(0), &board, LIMITS), ..Bench::new() }
}

#[test]
fn a_board_on_the_supplys_own_rail_is_held_in_reset_and_cuts_the_others_only_in_danger() {
    let held = |held| Order::Reset { chain: ChainId(0), held };
    let rail = |volt| Order::Rail { chain: ChainId(0), volt };
    let mut b = unswitched();
    assert_eq!(b.tick(ms(0)), [held(true), rail(Some(LIMITS.rail_start))], "what the others have it at is not what it starts at");
    b.rail(ms(10), Ok(None));
    assert!(matches!(b.c.stage(), Stage::Settling { .. }), "an answer to an earlier stop");
    b.rail(ms(20), Ok(Some(LIMITS.rail_start)));
    assert_eq!(b.tick(ms(999)), []);
    assert_eq!(b.tick(ms(1000)), [held(false)]);
    assert_eq!(b.tick(ms(1100)), [Order::StartChain(ChainId(0))]);
    b.count(ms(2000), 12);
    b.c.ready(ms(2500));
    b.tick(ms(2500));
    assert_eq!(b.hashing(ms(5000)), [rail(Some(LIMITS.rail_nominal))], "its part of what the supply is to give");
    assert!(b.c.is_hashing() && b.c.is_powered());
    let mut orders = vec![];
    b.c.failed(ms(6000), FaultCode::ChainSilent, "gone", &mut b.faults, &mut orders);
    assert_eq!(orders, [rail(None), held(true), Order::StopChain(ChainId(0))]);
    b.tick(ms(6100));
    assert!(b.c.rail.is_some() && !b.c.is_powered(), "a rail that nothing can switch, over chips in reset");
    assert!(!b.c.needs_cut(true, false) && !b.c.needs_cut(false, false), "a dead chain leaves the others alone");
    assert!(b.c.needs_cut(false, true), "one in danger does not");
    assert!(!Bench::to_hashing().c.needs_cut(false, true), "a rail with a switch of its own is switched");
}

#[test]
fn off_is_ordered_until_the_regulator_says_so_where_no_supply_proves_it() {
    let board = Hashboard { regulator: RegulatorPart::Tps546 { address: 0x24 }, ..PRODUCT.hashboards[0] };
    let off = [Order::Rail { chain: ChainId(0), volt: None }, Order::Reset { chain: ChainId(0), held: true }];
    let mut b = Bench { c: Chain::new(ChainId(0), &board, LIMITS).behind_fixed_supply(), clock: None, ..Bench::new() };
    assert_eq!(b.tick(ms(0)), off, "what a former life left on is switched off first");
    assert!(!b.c.is_powered(), "nothing says that it is on");
    assert_eq!(b.tick(ms(4999)), []);
    b.rail(ms(4999), Err("nothing answers".to_owned()));
    assert!(b.has(FaultCode::RailFailed));
    assert_eq!(b.c.wake_at(None), ms(5000));
    assert_eq!(b.tick(ms(5000)), off);
    b.c.supply_is_off();
    assert_eq!(b.tick(ms(10_000)), off, "a supply that nobody switches proves nothing");
    b.rail(ms(10_100), Ok(None));
    assert_eq!((b.tick(ms(60_000)), b.has(FaultCode::RailFailed)), (vec![], false));
    // It says that it is off, and measures that it is not.
    let measured = |volt| Measured { volt: Some(Volt(volt)), ..Measured::default() };
    let mut orders = vec![];
    for (volt, stray) in [(13.0, false), (0.2, false), (13.0, false), (13.0, false), (13.0, true)] {
        b.c.measured(ms(61_000), measured(volt), &mut b.faults, &mut orders);
        assert_eq!(b.has(FaultCode::RailFailed), stray);
    }
    assert!(b.c.is_powered() && b.c.needs_cut(true, false), "whatever can cut it, cuts it");
    assert_eq!((b.tick(ms(66_000)), orders), (off.to_vec(), vec![]));
    // A regulator that lets go without its heartbeat is off with a supply that rested, and is told nothing at the start.
    let board = Hashboard { regulator: RegulatorPart::Pic16 { address: 0x55 }, ..PRODUCT.hashboards[0] };
    let mut b = Bench { c: Chain::new(ChainId(0), &board, LIMITS).behind_fixed_supply(), clock: None, ..Bench::new() };
    assert_eq!(b.tick(ms(0)), []);
    b.rail(ms(100), Err("nothing answers".to_owned()));
    b.c.supply_is_off();
    assert_eq!(b.tick(ms(9000)), []);
}

#[test]
fn a_part_that_does_not_belong_here_keeps_the_board_off() {
    let mut b = Bench::new();
    for (part, until) in [(BoardPart::Regulator, RETRY.as_secs()), (BoardPart::Eeprom, u64::MAX / 2_000_000)] {
        b.c.identified(ms(0), part, Err("86: it is in its boot loader".to_owned()), &mut b.faults);
        assert!(b.faults.iter().any(|f| f.code == FaultCode::BoardUnknown && f.detail.contains("boot loader")));
        assert!(b.c.is_stranger(Time::from_secs(until - 1)));
        assert_eq!(b.c.is_stranger(Time::from_secs(until)), part == BoardPart::Eeprom, "a regulator is asked again");
        assert!(b.has(FaultCode::BoardUnknown), "until it is well");
        b.c.identified(ms(0), part, Ok("89".to_owned()), &mut b.faults);
        assert!(!b.c.is_stranger(ms(1)) && b.faults.is_empty());
    }
    // The next board in the slot is another one.
    b.c.identified(ms(0), BoardPart::Eeprom, Err("BHB68603".to_owned()), &mut b.faults);
    (0..3).for_each(|_| b.c.plug(false, &mut b.faults));
    b.c.plug(true, &mut b.faults);
    assert!(!b.c.is_stranger(ms(1)) && b.faults.is_empty());
}

#[test]
fn a_rail_that_is_measured_too_high_is_off_and_a_meter_before_it_is_no_measure_of_it() {
    let volts = |v: f64| Measured { volt: Some(Volt(v)), ..Measured::default() };
    for (volt, meter, ends) in
        [(13.0, false, false), (15.4, false, false), (15.5, false, true), (f64::NAN, false, true), (30.0, true, false)]
    {
        let meter = meter.then_some(model::MeterPart::Ina260 { address: 0x40 });
        let board = Hashboard { meter, ..PRODUCT.hashboards[0] };
        let mut b = Bench { c: Chain::new(ChainId(0), &board, LIMITS), ..Bench::new() };
        b.tick(ms(0));
        b.rail(ms(500), Ok(Some(Volt(14.0))));
        let mut orders = vec![];
        b.c.measured(ms(600), volts(volt), &mut b.faults, &mut orders);
        assert_eq!((!orders.is_empty(), b.has(FaultCode::RailFailed)), (ends, ends), "{volt}");
    }
}

#[test]
fn chips_that_noise_hid_when_they_were_counted_show_themselves_by_their_nonces() {
    let mut b = Bench::to_counting();
    b.count(ms(2000), 10);
    b.c.ready(ms(2500));
    b.tick(ms(2500));
    b.hashing(ms(5000));
    (0..12).for_each(|chip| b.c.seen(chip, &mut b.faults));
    assert!(b.has(FaultCode::ChainShort), "it does not hash yet");
    b.rail(ms(6000), Ok(Some(Volt(13.0))));
    for _ in 0..3 {
        (0..11).for_each(|chip| b.c.seen(chip, &mut b.faults));
    }
    assert_eq!((b.c.chips, b.has(FaultCode::ChainShort)), (11, true));
    b.c.seen(11, &mut b.faults);
    assert_eq!((b.c.chips, b.has(FaultCode::ChainShort)), (12, false));
}
