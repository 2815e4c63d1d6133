//! The real driver on a simulated chain of every serial chip: from reset to true nonces at the promised rate, each found by a chip
//! that exists and none of them twice, with what chips tell of themselves on the way.

use hwdrivers::bus::{BusError, Uart};
use hwdrivers::chip::bm13xx::chain::Chain;
use hwdrivers::chip::{ChainDriver, ChainEvent, ChainTrouble, Scale, WatchError, hashrate};
use hwdrivers::sensor::tmp451::Family;
use model::{Baud, Celsius, ChainId, ChainLayout, ChipModel, Hash, Header, JobId, Megahertz, Target, Time, Volt, Work, WorkId};
use sim::SimChain;
use sim::parts::{Diode, tmp451::Tmp451};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A simulated chain's line, at the time that its owner says.
#[derive(Clone)]
struct Line {
    chain: Arc<Mutex<(SimChain, Time)>>,
    baud: Baud,
}

impl Line {
    fn chain(&self) -> MutexGuard<'_, (SimChain, Time)> {
        self.chain.lock().expect("one thread")
    }
}

impl Uart for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        let mut chain = self.chain();
        let now = chain.1;
        chain.0.tell_bytes(now, self.baud, bytes);
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let mut chain = self.chain();
        let now = chain.1;
        Ok(chain.0.take_bytes(now, self.baud, buffer))
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.baud = baud;
        Ok(())
    }
}

struct Bench {
    line: Line,
    driver: Chain<Line>,
    now: Time,
    works: u64,
    fresh_at: Time,
    hashing: bool,
    events: Vec<ChainEvent>,
}

fn layout(chip: ChipModel, chips: u8, domains: u8, address_interval: u8) -> ChainLayout {
    ChainLayout { chip, chips, domains, address_interval }
}

fn work(id: u64) -> Work {
    let header = Header {
        version: 0x2000_0000,
        merkle_root: Hash([id as u8 ^ 0x5a; 32]),
        time: 1_700_000_000 + id as u32,
        bits: 0x1703_4219,
        ..Header::default()
    };
    Work { id: WorkId(id), job: JobId(1), chain: ChainId(0), header, version_mask: 0x1fff_e000, extranonce2: vec![] }
}

impl Bench {
    /// The driver thinks it has `told`, what is there is `there`.
    fn new(told: ChainLayout, there: ChainLayout, volts: f64, scale: Scale) -> Bench {
        let mut chain = SimChain::new(there, 11, scale);
        chain.set_power(Time::ZERO, Volt(volts));
        chain.set_heat(Celsius(55.0));
        chain.set_reset(Time::ZERO, false);
        let line = Line { chain: Arc::new(Mutex::new((chain, Time::ZERO))), baud: Baud(115_200) };
        let driver = Chain::new(line.clone(), &told, scale);
        Bench { line, driver, now: Time::from_millis(100), works: 0, fresh_at: Time::ZERO, hashing: false, events: vec![] }
    }

    /// Lets time pass and hands new work in time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.line.chain().1 = self.now;
            self.driver.turn(self.now).expect("the line stands");
            while let Some(event) = self.driver.next_event() {
                self.hashing |= event == ChainEvent::Hashing;
                self.events.push(event);
            }
            if self.hashing && self.now >= self.fresh_at {
                self.works += 1;
                self.driver.submit(&work(self.works)).expect("the line stands");
                self.fresh_at = self.now + self.driver.epoch().mul_f64(0.6);
            }
            self.now = self.driver.wake_at().max(self.now + Duration::from_micros(1)).min(end);
        }
    }

    fn start(&mut self, clock: Megahertz) {
        self.driver.start(self.now);
        self.driver.set_clock(clock);
        for _ in 0..60 {
            if self.hashing {
                break;
            }
            self.pass(Duration::from_secs(1));
        }
    }
}

/// About eight nonces a second, whatever the chain.
fn scale_of(layout: ChainLayout, clock: Megahertz) -> Scale {
    let rate = hashrate(layout.chip, clock, u32::from(layout.chips)).0;
    Scale { zero_bits: 0, scale_bits: (rate / 256.0 / 8.0).log2().floor().clamp(0.0, 40.0) as u8, stretch_bits: 10 }
}

#[test]
fn every_chip_comes_to_work_and_gives_what_it_promises() {
    for (layout, volts, clock) in [
        (layout(ChipModel::Bm1387, 63, 21, 4), 8.9, 650.0),
        (layout(ChipModel::Bm1397, 48, 12, 5), 16.8, 500.0),
        (layout(ChipModel::Bm1397, 1, 1, 128), 1.4, 425.0),
        (layout(ChipModel::Bm1398, 114, 38, 2), 13.2, 525.0),
        (layout(ChipModel::Bm1362, 126, 42, 2), 13.2, 525.0),
        (layout(ChipModel::Bm1362, 12, 12, 21), 3.8, 500.0),
        (layout(ChipModel::Bm1366, 110, 11, 2), 13.2, 485.0),
        (layout(ChipModel::Bm1366, 1, 1, 128), 1.2, 485.0),
        (layout(ChipModel::Bm1368, 108, 12, 2), 13.6, 450.0),
        (layout(ChipModel::Bm1370, 65, 13, 2), 14.95, 525.0),
        (layout(ChipModel::Bm1370, 1, 1, 128), 1.15, 525.0),
    ] {
        let name = format!("{:?} × {}", layout.chip, layout.chips);
        let clock = Megahertz(clock);
        let scale = scale_of(layout, clock);
        let mut b = Bench::new(layout, layout, volts, scale);
        b.start(clock);
        assert!(b.hashing, "{name}: {:?}", b.events);
        assert_eq!(b.events[0], ChainEvent::Counted { chips: u32::from(layout.chips) }, "{name}");
        b.events.clear();
        let (_, _) = (b.pass(Duration::from_secs(2)), b.events.clear());
        let seconds = 60;
        b.pass(Duration::from_secs(seconds));

        let (mut seen, mut chips) = (BTreeSet::new(), BTreeSet::new());
        let mut wrong = 0;
        for event in &b.events {
            let ChainEvent::Found { work: id, nonce, version, chip } = event else { continue };
            let hash = Header { nonce: *nonce, version: *version, ..work(id.0).header }.hash();
            wrong += usize::from(!Target::from_zero_bits(8).is_met_by(&hash));
            assert!(seen.insert((*id, *nonce, *version)), "{name}: a nonce twice");
            chips.insert(chip.unwrap_or_else(|| panic!("{name}: nonce {nonce:08x} of no chip")).chip);
        }
        let expected =
            hashrate(layout.chip, clock, u32::from(layout.chips)).0 * seconds as f64 / 2f64.powi(8 + i32::from(scale.scale_bits));
        let share = seen.len() as f64 / expected;
        assert!((0.85..1.15).contains(&share), "{name}: {share} of {expected} nonces");
        assert!(wrong * 50 <= seen.len(), "{name}: {wrong} wrong of {}", seen.len());
        assert!(chips.len() * 10 >= usize::from(layout.chips) * 9, "{name}: {} chips", chips.len());
        let counters = b.driver.counters();
        assert_eq!((counters.frame_errors, counters.unknown_jobs), (0, 0), "{name}");
        let chain = b.line.chain();
        assert!(chain.0.hashes_repeated() * 1000 <= chain.0.hashes_tested(), "{name}: {} repeated", chain.0.hashes_repeated());
        println!("{name}: {:.3} of what is promised, epoch {:.2?}", share, b.driver.epoch());
    }
}

#[test]
fn an_s21s_hottest_chip_is_told_and_its_counters_are_read() {
    let layout = layout(ChipModel::Bm1368, 108, 12, 2);
    let clock = Megahertz(400.0);
    let mut b = Bench::new(layout, layout, 13.6, scale_of(layout, clock));
    b.line.chain().0.set_chip_heat(77, Celsius(68.0));
    b.start(clock);
    b.pass(Duration::from_secs(30));
    let told: Vec<f64> =
        b.events.iter().filter_map(|e| if let ChainEvent::Temperature(Ok(t)) = e { Some(t.0) } else { None }).collect();
    assert!(told.len() >= 12, "one in 2 s: {}", told.len());
    assert!(told.iter().all(|t| (t - 68.0).abs() < 0.2), "{told:?}");
    let readings = b.driver.readings();
    assert!(
        readings
            .iter()
            .enumerate()
            .all(|(i, r)| r.celsius.is_some_and(|t| (t.0 - if i == 77 { 68.0 } else { 55.0 }).abs() < 0.2))
    );
    let volts: Vec<f64> = readings.iter().filter_map(|r| r.volt).map(|v| v.0).collect();
    assert!(volts.len() == 108 && volts.iter().all(|v| (0.26..0.34).contains(v)), "{volts:?}");
    assert!(readings.iter().all(|r| r.hashes.is_some_and(|h| h > 0)));
}

#[test]
fn one_chips_clock_is_its_own() {
    for (layout, volts) in [(layout(ChipModel::Bm1370, 65, 13, 2), 14.95), (layout(ChipModel::Bm1397, 48, 12, 5), 16.8)] {
        let clock = Megahertz(450.0);
        let mut b = Bench::new(layout, layout, volts, scale_of(layout, clock));
        b.start(clock);
        b.driver.set_chip_clock(10, Megahertz(500.0));
        b.pass(Duration::from_secs(5));
        let of = |b: &Bench, chip| b.line.chain().0.chip_clock(chip).0;
        assert!((of(&b, 10) - 500.0).abs() < 3.0 && (of(&b, 11) - 450.0).abs() < 3.0, "{:?}", layout.chip);
        assert_eq!(b.line.chain().0.hashes_repeated(), 0, "{:?}: the faster chip stays within its part", layout.chip);
        b.driver.set_clock(clock);
        b.pass(Duration::from_secs(2));
        assert!((of(&b, 10) - 450.0).abs() < 3.0, "{:?}", layout.chip);
    }
}

#[test]
fn another_boards_chips_are_named() {
    let told = layout(ChipModel::Bm1362, 126, 42, 2);
    for (there, volts, found) in
        [(layout(ChipModel::Bm1366, 110, 11, 2), 13.2, 0x1366), (layout(ChipModel::Bm1368, 108, 12, 2), 13.6, 0x1368)]
    {
        let mut b = Bench::new(told, there, volts, scale_of(told, Megahertz(525.0)));
        b.driver.start(b.now);
        b.pass(Duration::from_secs(3));
        assert_eq!(b.events, [ChainEvent::Trouble(ChainTrouble::Model { expected: 0x1362, found })]);
    }
    // A midstate chip never makes its replies longer: the size is what is seen of it.
    let mut b = Bench::new(told, layout(ChipModel::Bm1397, 48, 12, 5), 16.8, scale_of(told, Megahertz(525.0)));
    b.driver.start(b.now);
    b.pass(Duration::from_secs(3));
    assert_eq!(b.events, [ChainEvent::Trouble(ChainTrouble::ReplySize { expected: 11, found: 9 })]);
}

#[test]
fn an_s9s_chip_is_read_through_its_neighbours() {
    let layout = layout(ChipModel::Bm1387, 63, 21, 4);
    let clock = Megahertz(650.0);
    for (family, open) in [(Family::Tmp451, false), (Family::Tmp42x, false), (Family::Adt7461, false), (Family::Tmp451, true)] {
        let mut b = Bench::new(layout, layout, 8.9, scale_of(layout, clock));
        let mut sensor = Tmp451::new(family);
        (sensor.local, sensor.remote[0]) = (Celsius(48.0), Celsius(63.0));
        if open {
            sensor.diode = Diode::Open;
        }
        b.line.chain().0.hang(61, 0x4c, Box::new(sensor));
        b.start(clock);
        b.pass(Duration::from_secs(20));
        let told: Vec<_> =
            b.events.iter().filter_map(|e| if let ChainEvent::Temperature(t) = e { Some(*t) } else { None }).collect();
        assert!(told.len() >= 15, "{family:?}: {}", told.len());
        for t in told {
            match t {
                Ok(t) => assert!(!open && (t.0 - 63.0).abs() <= 1.0, "{family:?}: {t}"),
                Err(error) => assert!(open && error == WatchError::OpenCircuit, "{family:?}: {error}"),
            }
        }
        let found = b.events.iter().filter(|e| matches!(e, ChainEvent::Found { .. })).count();
        assert!(found > 100, "nonces and the sensor share the line: {found}");
        assert_eq!(b.driver.counters().frame_errors, 0);
    }
}
