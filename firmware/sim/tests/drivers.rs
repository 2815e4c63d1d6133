//! The real drivers on the simulated machine: from a dark machine to true nonces, over nothing but the buses.

use hwdrivers::bus::I2c;
use hwdrivers::chip::bm13xx::chain::Chain;
use hwdrivers::chip::{ChainDriver, ChainEvent, Scale};
use hwdrivers::fan::{Fans, emc2305::Emc2305};
use hwdrivers::power::{self, Event, Order, Power, dspic};
use hwdrivers::sensor::{Sensor, tmp75::Tmp75};
use model::{Celsius, ChainId, FanId, Hash, Header, JobId, Megahertz, Percent, Target, Time, Volt, Work, WorkId};
use sim::{Buses, World, buses, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 36, stretch_bits: 0 };
const STEP: Duration = Duration::from_millis(10);

struct Bench {
    world: Arc<Mutex<World>>,
    buses: Buses,
    supply: Box<dyn Power>,
    rail: Box<dyn Power>,
    beat_at: Time,
}

impl Bench {
    fn new() -> Bench {
        let product = &board::antminer_s19jpro::PRODUCT;
        let world = Arc::new(Mutex::new(World::new(product, 1, SCALE)));
        let buses = buses(&world);
        Bench {
            world,
            buses,
            supply: power::supply(product.supply),
            rail: power::regulator(product.hashboards[0].regulator, &product.limits),
            beat_at: Time::ZERO,
        }
    }

    fn now(&self) -> Time {
        lock(&self.world).now()
    }

    /// One step of time; both power parts take their turns, and every failure of theirs ends the test.
    fn step(&mut self) {
        let now = self.now() + STEP;
        lock(&self.world).advance(now);
        if now >= self.beat_at {
            self.rail.order(Order::Feed);
            self.beat_at = now + dspic::HEARTBEAT_PERIOD;
        }
        let bus: &mut dyn I2c = &mut *self.buses.i2c;
        self.supply.turn(now, bus, &mut *self.buses.gpio);
        self.rail.turn(now, bus, &mut *self.buses.gpio);
        while let Some(e) = self.supply.next_event() {
            assert!(!matches!(e, Event::Failed { .. }), "{e:?}");
        }
        while let Some(e) = self.rail.next_event() {
            assert!(!matches!(e, Event::Failed { .. }), "{e:?}");
        }
    }

    fn run(&mut self, seconds: u64) {
        (0..seconds * 100).for_each(|_| self.step());
    }

    fn power_on(&mut self, volt: Volt) {
        self.buses.gpio.set(65, true).expect("a line");
        self.supply.order(Order::Identify);
        self.supply.order(Order::SetVoltage(volt));
        self.rail.order(Order::Identify);
        self.rail.order(Order::Enable);
        for fan in 0..4 {
            Emc2305::new(0x2d).set_duty(&mut *self.buses.i2c, FanId(fan), Percent(70.0)).expect("answers");
        }
        self.run(6);
    }
}

fn work(id: u64) -> Work {
    let merkle_root = Hash([id as u8; 32]);
    let header =
        Header { version: 0x2000_0000, previous: Hash([7; 32]), merkle_root, time: 1_700_000_000, bits: 0x1d00_ffff, nonce: 0 };
    Work { id: WorkId(id), job: JobId(1), chain: ChainId(0), header, version_mask: 0x1fff_e000, extranonce2: vec![id as u8] }
}

#[test]
fn from_dark_to_true_nonces_at_the_expected_rate_and_temperature() {
    let mut b = Bench::new();
    b.power_on(Volt(13.2));
    assert!((lock(&b.world).rail(0).expect("a chain").0 - 13.2).abs() < 0.02);
    b.buses.gpio.set(5, true).expect("a line");
    let layout = &board::antminer_s19jpro::PRODUCT.hashboards[0].chain;
    let mut chain = Chain::new(b.buses.uarts.remove(0), layout, SCALE);
    b.run(1);
    chain.start(b.now());
    chain.set_clock(Megahertz(525.0));
    let (mut counted, mut hashing_since, mut found, mut next_work, mut fresh_at) = (0, None, 0u32, 1, Time::ZERO);
    for _ in 0..40 * 60 * 100 {
        b.step();
        let now = b.now();
        chain.turn(now).expect("a line");
        while let Some(e) = chain.next_event() {
            match e {
                ChainEvent::Counted { chips } => counted = chips,
                ChainEvent::Hashing => hashing_since = Some(now),
                ChainEvent::Found { work: id, nonce, version, chip, .. } => {
                    let hash = Header { nonce, version, ..work(id.0).header }.hash();
                    assert!(Target::from_zero_bits(8).is_met_by(&hash), "{hash:?}");
                    assert!(chip.is_some());
                    found += 1;
                }
                _ => {}
            }
        }
        if hashing_since.is_some() && now >= fresh_at {
            chain.submit(&work(next_work)).expect("a line");
            next_work += 1;
            fresh_at = now + chain.epoch() / 2;
        }
        if hashing_since.is_some_and(|s| now.since(s) > Duration::from_secs(1200)) {
            break;
        }
    }
    assert_eq!(counted, 126);
    let seconds = b.now().since(hashing_since.expect("it came to hash")).as_secs_f64();
    let rate = f64::from(found) * chain.hashes_per_nonce() / seconds;
    let expected = 525e6 * 514.0 * 126.0;
    assert!((rate / expected - 1.0).abs() < 0.08, "{rate:e} of {expected:e} in {seconds} s");
    assert_eq!((chain.counters().frame_errors, chain.counters().unknown_jobs), (0, 0));

    let chip = lock(&b.world).chip_temperature(0).expect("a chain");
    let outlet = Tmp75::new(0x4c).read(&mut *b.buses.i2c).expect("answers");
    assert!(chip > Celsius(60.0) && chip < Celsius(76.0) && outlet < chip, "{chip} {outlet}");
    let rpm = Emc2305::new(0x2d).rpm(&mut *b.buses.i2c, FanId(3)).expect("answers").expect("turns");
    // 70 % of the duty: 5,200 of 6,700 rpm in the log, of 6,000 here.
    assert!((rpm.0 - 4657.0).abs() < 60.0, "{rpm}");
}
