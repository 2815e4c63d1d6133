//! The real driver of every chip on simulated chains of every product: from reset to true nonces, over nothing but the line.

use hwdrivers::bus::{BusError, Uart};
use hwdrivers::chip::bm13xx::{chain::Chain, chip};
use hwdrivers::chip::{ChainDriver, ChainEvent, Scale};
use model::{Baud, ChainId, ChainLayout, Hash, Hashboard, Header, JobId, Megahertz, Product, Target, Time, Volt, Work, WorkId};
use sim::SimChain;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 34, stretch_bits: 10 };
const STEP: Duration = Duration::from_millis(5);
/// How long a chain's nonces are counted.
const LOOK: Duration = Duration::from_secs(30);
/// The longest start: 108 chips of half a second and a ramp.
const START_LIMIT: Duration = Duration::from_secs(200);

struct World {
    chain: SimChain,
    now: Time,
}

struct Line {
    world: Arc<Mutex<World>>,
    baud: Baud,
}

impl Uart for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        let mut w = self.world.lock().expect("one thread");
        let now = w.now;
        w.chain.tell_bytes(now, self.baud, bytes);
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let mut w = self.world.lock().expect("one thread");
        let now = w.now;
        Ok(w.chain.take_bytes(now, self.baud, buffer))
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.baud = baud;
        Ok(())
    }
}

fn work(id: u64) -> Work {
    let header = Header {
        version: 0x2000_0000,
        previous: Hash([7; 32]),
        merkle_root: Hash([id as u8; 32]),
        time: 1_700_000_000,
        bits: 0x1d00_ffff,
        nonce: 0,
    };
    Work { id: WorkId(id), job: JobId(1), chain: ChainId(0), header, version_mask: 0x1fff_e000, extranonce2: vec![id as u8] }
}

/// Runs one board's chain at its nominal clock and checks all that it says.
fn mine(product: &Product, board: &Hashboard) {
    let layout: ChainLayout = board.chain;
    let name = product.name;
    let limits = product.limits;
    let Some(chip) = chip(layout.chip) else { return };
    let mut sim = SimChain::new(layout, 3, SCALE);
    // At half as much again no chip errs.
    sim.set_power(Time::ZERO, Volt(limits.rail_nominal.0 * 1.5));
    sim.set_reset(Time::ZERO, false);
    let world = Arc::new(Mutex::new(World { chain: sim, now: Time::from_millis(100) }));
    let mut chain = Chain::new(Line { world: Arc::clone(&world), baud: Baud(115_200) }, &layout, SCALE);
    let mut now = Time::from_millis(100);
    chain.start(now);
    chain.set_clock(limits.clock_nominal);
    let (mut counted, mut since, mut found, mut next, mut fresh_at) = (0, None, 0_u32, 1, Time::ZERO);
    let mut chips = BTreeSet::new();
    let mut before = (0, 0);
    while since.is_none_or(|s: Time| now.since(s) < LOOK) {
        assert!(since.is_some() || now.since(Time::ZERO) < START_LIMIT, "{name} never hashes");
        now = now + STEP;
        world.lock().expect("one thread").now = now;
        chain.turn(now).expect("a line");
        while let Some(e) = chain.next_event() {
            match e {
                ChainEvent::Counted { chips } => counted = chips,
                ChainEvent::Hashing => {
                    since = Some(now);
                    let w = world.lock().expect("one thread");
                    before = (w.chain.hashes_tested(), w.chain.hashes_repeated());
                }
                ChainEvent::Found { work: id, nonce, version, chip, .. } => {
                    let hash = Header { nonce, version, ..work(id.0).header }.hash();
                    assert!(Target::from_zero_bits(8).is_met_by(&hash), "{name}: {hash:?}");
                    chips.insert(chip.unwrap_or_else(|| panic!("{name}: {nonce:08x} names nobody")).chip);
                    found += 1;
                }
                _ => {}
            }
        }
        if since.is_some() && now >= fresh_at {
            chain.submit(&work(next)).expect("a line");
            next += 1;
            fresh_at = now + chain.epoch() / 2;
        }
    }
    assert_eq!(counted, u32::from(layout.chips), "{name}");
    let expected = chip.hashrate(limits.clock_nominal, u32::from(layout.chips)).0 * LOOK.as_secs_f64();
    let nonces = expected / chain.hashes_per_nonce();
    let sigma = (f64::from(found) - nonces) / nonces.sqrt();
    assert!(sigma.abs() < 5.0, "{name}: {found} nonces of {nonces}");
    if nonces / f64::from(layout.chips) > 12.0 {
        assert_eq!(chips.len(), usize::from(layout.chips), "{name}: everybody finds some");
    }
    let counters = chain.counters();
    assert_eq!(counters.frame_errors, 0, "{name}");
    // A start may hand the chips a job of nothing, of which a nonce may come.
    assert!(counters.unknown_jobs <= 2, "{name}: {counters:?}");
    let w = world.lock().expect("one thread");
    let (tested, repeated) = (w.chain.hashes_tested() - before.0, w.chain.hashes_repeated() - before.1);
    assert!(repeated * 100 <= tested, "{name}: {repeated} of {tested} were hashed before");
    assert!((w.chain.clock().0 - limits.clock_nominal.0).abs() < 1.0, "{name}: {}", w.chain.clock());
    assert!(w.chain.clock() == w.chain.fastest() && w.chain.clock() > Megahertz(0.0), "{name}");
}

#[test]
fn the_drivers_of_every_serial_chip_find_true_nonces_on_every_product() {
    for product in [
        &board::antminer_s9::PRODUCT,
        &board::antminer_s17::PRODUCT,
        &board::antminer_s19pro::PRODUCT,
        &board::antminer_s19jpro::PRODUCT,
        &board::antminer_s19xp::PRODUCT,
        &board::antminer_s21::PRODUCT,
        &board::antminer_s21pro::PRODUCT,
        &board::bitaxe_max::PRODUCT,
        &board::bitaxe_ultra::PRODUCT,
        &board::bitaxe_supra::PRODUCT,
        &board::bitaxe_gamma::PRODUCT,
        &board::emberone00::PRODUCT,
    ] {
        mine(product, &product.hashboards[0]);
    }
}
