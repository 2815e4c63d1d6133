//! The real driver of SPI chips on simulated ones, in virtual time: both families, whole and broken.

use hwdrivers::chip::{ChainDriver, ChainEvent, Scale, spi_ring};
use model::{ChainId, ChipModel, Header, JobId, Megahertz, Target, Time, Work, WorkId};
use sim::chip_spi::{SimSpi, SpiRing};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Some reports a second from a ring of a few hundred GH/s.
const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 28, stretch_bits: 0 };
/// Turns that a bench may take for what it waits for.
const TURNS: usize = 20_000;

struct Bench {
    ring: Arc<Mutex<SpiRing>>,
    chain: Box<dyn ChainDriver>,
    now: Time,
    events: Vec<ChainEvent>,
    /// The rate of the bus, where its device tells it.
    hertz: Arc<AtomicU32>,
}

impl Bench {
    fn new(model: ChipModel, chips: u8) -> Bench {
        let layout = model::ChainLayout { chip: model, chips, domains: 1, address_interval: 1 };
        let mut ring = SpiRing::new(layout, 1, SCALE).expect("an SPI chip");
        ring.set_power(Time::ZERO, model::Volt(0.8));
        ring.set_reset(Time::ZERO, false);
        let ring = Arc::new(Mutex::new(ring));
        let chain = spi_ring::chain(SimSpi(Arc::clone(&ring)), &layout, SCALE).expect("an SPI chip");
        Bench { ring, chain, now: Time::ZERO, events: vec![], hertz: Arc::default() }
    }

    fn ring(&self) -> MutexGuard<'_, SpiRing> {
        self.ring.lock().expect("nobody panicked")
    }

    fn turn(&mut self) -> Result<(), hwdrivers::bus::BusError> {
        self.now = self.chain.wake_at().max(self.now + Duration::from_millis(1)).min(self.now + Duration::from_millis(200));
        self.ring().advance(self.now);
        let done = self.chain.turn(self.now);
        while let Some(event) = self.chain.next_event() {
            self.events.push(event);
        }
        done
    }

    fn until(&mut self, what: &str, mut seen: impl FnMut(&ChainEvent) -> bool) {
        for _ in 0..TURNS {
            if self.events.iter().any(&mut seen) {
                return;
            }
            self.turn().expect("a bus");
        }
        panic!("never {what}: {:?}", self.events.iter().rev().take(5).collect::<Vec<_>>());
    }

    fn bring_up(&mut self, clock: Megahertz) {
        self.chain.start(self.now);
        self.chain.set_clock(clock);
        self.until("hashing", |e| *e == ChainEvent::Hashing);
    }

    fn submit(&mut self, id: u64, mask: u32) -> Header {
        let header = Header { version: 0x2000_0000, time: 7 + id as u32, bits: 0x1d00_ffff, ..Header::default() };
        let work = Work { id: WorkId(id), job: JobId(id), chain: ChainId(0), header, version_mask: mask, extranonce2: vec![] };
        self.events.clear();
        self.chain.submit(&work).expect("a bus");
        header
    }

    /// Nonces of a while, each checked: chip, and the header that it makes.
    fn nonces(&mut self, header: &Header, mask: u32, seconds: u64) -> Vec<(u8, u32, u32)> {
        let end = self.now + Duration::from_secs(seconds);
        let mut found = vec![];
        while self.now < end {
            self.turn().expect("a bus");
            for event in self.events.drain(..) {
                let ChainEvent::Found { nonce, version, chip, .. } = event else { continue };
                assert_eq!((version ^ header.version) & !mask, 0, "no bit outside the mask");
                let hash = Header { nonce, version, ..*header }.hash();
                let ticket = Target::from_zero_bits(u32::from(SCALE.zero_bits) + u32::from(self.chain.ticket_bits()));
                assert!(ticket.is_met_by(&hash), "{nonce:08x} of version {version:08x}");
                found.push((chip.expect("a chip of the ring").chip, nonce, version));
            }
        }
        found
    }
}

const MASK: u32 = 0x1fff_e000;
const BOTH: [(ChipModel, u8, f64); 2] = [(ChipModel::BitmineA1, 8, 800.0), (ChipModel::DragonMintT1, 12, 1332.0)];

#[test]
fn chips_are_counted_ramped_and_every_one_finds_true_nonces_that_are_never_the_same() {
    for (model, chips, clock) in BOTH {
        let mut bench = Bench::new(model, chips);
        bench.bring_up(Megahertz(clock));
        assert!(bench.events.contains(&ChainEvent::Counted { chips: u32::from(chips) }), "{model:?}");
        assert_eq!(bench.ring().clock(), Megahertz(clock), "{model:?}");
        let header = bench.submit(1, MASK);
        let found = bench.nonces(&header, MASK, 60);
        let by: BTreeSet<u8> = found.iter().map(|f| f.0).collect();
        assert_eq!(by.len(), usize::from(chips), "{model:?}: {} nonces", found.len());
        let different: BTreeSet<_> = found.iter().map(|f| (f.1, f.2)).collect();
        assert_eq!(different.len(), found.len(), "{model:?}");
        let versions: BTreeSet<u32> = found.iter().map(|f| f.2).collect();
        assert!(versions.len() > 10, "{model:?}: {} versions", versions.len());
        assert_eq!(bench.ring().idle(), 0, "{model:?}: queues never run dry");
        assert_eq!((bench.chain.counters().frame_errors, bench.chain.counters().unknown_jobs), (0, 0), "{model:?}");
    }
}

#[test]
fn without_versions_each_chip_has_its_own_part_of_the_nonces() {
    let mut bench = Bench::new(ChipModel::BitmineA1, 4);
    bench.bring_up(Megahertz(800.0));
    for id in 1..40 {
        let header = bench.submit(id, 0);
        // Within the first pass over the nonces, which is what an epoch is.
        assert!(bench.chain.epoch() < Duration::from_secs(1), "{:?}", bench.chain.epoch());
        for (chip, nonce, version) in bench.nonces(&header, 0, 0) {
            assert_eq!(version, header.version);
            assert_eq!((u64::from(nonce) * 4) >> 32, u64::from(chip));
        }
        let end = bench.now + bench.chain.epoch();
        while bench.now < end {
            bench.turn().expect("a bus");
        }
    }
    assert!(bench.ring().hashes_tested() > 500);
}

#[test]
fn new_work_replaces_the_old_at_once() {
    for (model, chips, clock) in BOTH {
        let mut bench = Bench::new(model, chips);
        bench.bring_up(Megahertz(clock));
        bench.submit(1, MASK);
        for _ in 0..20 {
            bench.turn().expect("a bus");
        }
        bench.submit(2, MASK);
        // What was found before is still on its way; behind that all is of the new work.
        for _ in 0..5 {
            bench.turn().expect("a bus");
        }
        bench.events.clear();
        for _ in 0..500 {
            bench.turn().expect("a bus");
        }
        let works: BTreeSet<WorkId> =
            bench.events.iter().filter_map(|e| if let ChainEvent::Found { work, .. } = e { Some(*work) } else { None }).collect();
        assert_eq!(works, BTreeSet::from([WorkId(2)]), "{model:?}");
    }
}

#[test]
fn a_broken_or_silent_chip_gets_no_work_and_the_others_go_on() {
    for (model, chips, clock) in BOTH {
        let mut bench = Bench::new(model, chips);
        bench.ring().break_cores(2, 3);
        bench.ring().silence(4, true);
        bench.bring_up(Megahertz(clock));
        let header = bench.submit(1, MASK);
        let by: BTreeSet<u8> = bench.nonces(&header, MASK, 60).iter().map(|f| f.0).collect();
        assert!(!by.contains(&2) && !by.contains(&4), "{model:?}: {by:?}");
        assert_eq!(by.len(), usize::from(chips) - 2, "{model:?}: {by:?}");
        // Another falls silent in the middle of it.
        bench.ring().silence(0, true);
        let header = bench.submit(2, MASK);
        bench.nonces(&header, MASK, 2);
        let by: BTreeSet<u8> = bench.nonces(&header, MASK, 60).iter().map(|f| f.0).collect();
        assert_eq!(by.len(), usize::from(chips) - 3, "{model:?}: {by:?}");
    }
}

#[test]
fn a_ring_that_dies_is_an_error_and_a_shorter_one_is_counted() {
    for (model, chips, clock) in BOTH {
        let mut bench = Bench::new(model, chips);
        bench.bring_up(Megahertz(clock));
        bench.submit(1, MASK);
        bench.ring().set_reset(Time::ZERO, true);
        let error = (0..TURNS).find_map(|_| bench.turn().err()).expect("it is told");
        assert!(error.to_string().contains("chips"), "{error}");
        bench.chain.stop().expect("a bus");

        let now = bench.now;
        bench.ring().cut(now, 3);
        bench.ring().set_reset(now, false);
        bench.events.clear();
        bench.bring_up(Megahertz(clock));
        assert!(bench.events.contains(&ChainEvent::Counted { chips: 3 }), "{model:?}");
    }
}

#[test]
fn damaged_answers_of_checked_chips_are_counted_and_never_believed() {
    let mut bench = Bench::new(ChipModel::DragonMintT1, 8);
    bench.bring_up(Megahertz(1332.0));
    bench.ring().disturb(7);
    let header = bench.submit(1, MASK);
    assert!(!bench.nonces(&header, MASK, 60).is_empty());
    assert!(bench.chain.counters().frame_errors > 10);
}

#[test]
fn a_chips_own_clock_and_its_sensor() {
    let mut bench = Bench::new(ChipModel::DragonMintT1, 8);
    bench.ring().set_sensor(3, 468);
    bench.bring_up(Megahertz(1332.0));
    bench.until("the hottest chip", |e| matches!(e, ChainEvent::Temperature(Ok(c)) if (c.0 - 80.5).abs() < 1e-9));
    assert_eq!(bench.chain.readings()[0].celsius, Some(model::Celsius(50.5)));
    (0..8).for_each(|chip| bench.ring().set_sensor(chip, 0));
    bench.events.clear();
    bench.until("that nothing is measured", |e| matches!(e, ChainEvent::Temperature(Err(_))));
    bench.chain.set_chip_clock(0, Megahertz(1200.0));
    let ring = bench.ring();
    assert_eq!((ring.chip_clock(0), ring.chip_clock(1)), (Megahertz(1200.0), Megahertz(1332.0)));
    assert_eq!(ring.clock(), Megahertz((7.0 * 1332.0 + 1200.0) / 8.0), "the mean");
}

#[test]
fn a_slower_chip_is_still_heard_and_comes_back_with_the_next_clock_for_all() {
    let mut bench = miscounted(ChipModel::DragonMintT1, (0, 0));
    bench.bring_up(Megahertz(1332.0));
    let hertz = |bench: &Bench| bench.hertz.load(Ordering::Relaxed);
    assert_eq!(hertz(&bench), 6_250_000);
    // Below what the bus's highest rate asks for.
    bench.chain.set_chip_clock(5, Megahertz(600.0));
    assert_eq!(hertz(&bench), 1_562_500, "what passes it is as slow as it bears");
    assert_eq!(bench.ring().chip_clock(5), Megahertz(600.0));
    let header = bench.submit(1, MASK);
    assert!(!bench.nonces(&header, MASK, 10).is_empty(), "all that passes the chip is heard");
    assert_eq!(bench.chain.counters().frame_errors, 0);
    bench.chain.set_clock(Megahertz(1332.0));
    for _ in 0..50 {
        bench.turn().expect("a bus");
    }
    assert_eq!(bench.ring().chip_clock(5), Megahertz(1332.0), "though it is the clock of before");
    assert_eq!(hertz(&bench), 6_250_000);
    let header = bench.submit(2, MASK);
    assert!(!bench.nonces(&header, MASK, 10).is_empty());
}

/// A device behind which answers to "how many are you" are damaged: the first, or the second.
struct Miscounts {
    device: SimSpi,
    /// Which one, from 1, and what is put in its place.
    damaged: (u32, u8),
    counts: u32,
    hertz: Arc<AtomicU32>,
}

impl hwdrivers::bus::Spi for Miscounts {
    fn configure(&mut self, mode: hwdrivers::bus::SpiMode, hertz: u32) -> Result<(), hwdrivers::bus::BusError> {
        self.hertz.store(hertz, Ordering::Relaxed);
        self.device.configure(mode, hertz)
    }
    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), hwdrivers::bus::BusError> {
        let asks = bytes.starts_with(&[1, 0, 0, 0]);
        self.device.transfer(bytes)?;
        if asks {
            self.counts += 1;
            let answer = bytes.windows(4).position(|w| w[0] == 1 && w[1] == 0 && w[3] > 1);
            if let Some(at) = answer.filter(|_| self.counts == self.damaged.0) {
                bytes[at + 3] = self.damaged.1;
            }
        }
        Ok(())
    }
}

/// A bench whose ring of eight is miscounted so.
fn miscounted(model: ChipModel, damaged: (u32, u8)) -> Bench {
    let mut bench = Bench::new(model, 8);
    let layout = model::ChainLayout { chip: model, chips: 8, domains: 1, address_interval: 1 };
    let device = Miscounts { device: SimSpi(Arc::clone(&bench.ring)), damaged, counts: 0, hertz: Arc::clone(&bench.hertz) };
    bench.chain = spi_ring::chain(device, &layout, SCALE).expect("an SPI chip");
    bench
}

#[test]
fn a_damaged_count_is_not_believed() {
    for (model, _, clock) in BOTH {
        for count in [5, 24] {
            let mut bench = miscounted(model, (1, count));
            bench.chain.start(bench.now);
            bench.chain.set_clock(Megahertz(clock));
            let error = (0..TURNS).find_map(|_| bench.turn().err()).expect("it is told").to_string();
            assert!(error.contains(model_name(model)), "{error}");
            assert!(!bench.events.contains(&ChainEvent::Counted { chips: count.into() }), "{model:?}");
            bench.ring().set_reset(bench.now, true);
            bench.ring().set_reset(bench.now, false);
            bench.bring_up(Megahertz(clock));
            assert!(bench.events.contains(&ChainEvent::Counted { chips: 8 }), "{model:?}");
        }
    }
    // The count behind the self-test: only its answer is damaged, and all eight go on.
    let mut bench = miscounted(ChipModel::DragonMintT1, (2, 5));
    bench.bring_up(Megahertz(1332.0));
    let header = bench.submit(1, MASK);
    let found = bench.nonces(&header, MASK, 60);
    assert_eq!(found.iter().map(|f| f.0).collect::<BTreeSet<u8>>().len(), 8);
    assert_eq!(bench.chain.counters().frame_errors, 1);
}

fn model_name(model: ChipModel) -> &'static str {
    spi_ring::family(model).expect("an SPI chip").name
}
