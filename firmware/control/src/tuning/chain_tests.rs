//! A model of a board whose chips differ: what each bears, and nonces and errors by chance.

use super::*;
use crate::testing::{self, PRODUCT};
use model::{ChainLayout, Hashboard, Hashrate, JoulePerTerahash};

/// 2^40 hashes a nonce, as on hardware.
const NONCE_BITS: u8 = 40;
const CORES: u32 = 500;
const CHIPS: usize = 126;

/// Even numbers from 0 to 1 (SplitMix64), the same for the same seed.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal, of mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }

    /// A count of this mean (Knuth); means here are below 10.
    fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut n, mut product) = ((-mean).exp(), 0, self.next());
        while product > limit {
            (n, product) = (n + 1, product * self.next());
        }
        n
    }
}

/// A rail that goes low enough for chips to err.
const LIMITS: Limits = Limits { rail_min: Volt(11.0), ..testing::LIMITS };

const BOARD: Hashboard =
    Hashboard { chain: ChainLayout { chips: CHIPS as u8, domains: 42, ..PRODUCT.hashboards[0].chain }, ..PRODUCT.hashboards[0] };

/// One board of many chips.
fn product() -> Product {
    Product { hashboards: &[BOARD], power: Watt(943.0), limits: LIMITS, ..PRODUCT }
}

struct Bench {
    tuner: ChainTuner,
    luck: Luck,
    now: Time,
    /// Part of the usual clock that each chip bears.
    quality: Vec<f64>,
    clocks: Vec<Megahertz>,
    rail: Volt,
    level: Megahertz,
    c: Circumstance,
    /// Right and wrong nonces, and joules, since they were last looked at.
    right: f64,
    wrong: f64,
    joules: f64,
    seconds: f64,
    steps: Vec<Volt>,
    worst: f64,
}

impl Bench {
    /// Chips that bear this spread, in parts; 0 makes them all alike.
    fn new(seed: u64, spread: f64, aim: Aim) -> Bench {
        let mut luck = Luck(seed);
        let quality = (0..CHIPS).map(|_| (1.0 + spread * luck.normal()).max(0.7)).collect();
        let c = Circumstance {
            wanted: true,
            hashing: true,
            failed: false,
            works: true,
            chips: CHIPS,
            clock: LIMITS.clock_nominal,
            held: false,
            nonce_bits: NONCE_BITS,
            aim: Some(aim),
            most: None,
            chip: Some(Celsius(65.0)),
        };
        Bench {
            tuner: ChainTuner::new(ChainId(0), &product(), CORES),
            luck,
            now: Time::ZERO,
            quality,
            clocks: vec![LIMITS.clock_nominal; CHIPS],
            rail: LIMITS.rail_nominal,
            level: LIMITS.clock_nominal,
            c,
            right: 0.0,
            wrong: 0.0,
            joules: 0.0,
            seconds: 0.0,
            steps: vec![],
            worst: 0.0,
        }
    }

    /// Part of a chip's nonces that is wrong: none up to what it bears, which rises with the rail, all of them a fifth above.
    fn wrong_part(&self, chip: usize) -> f64 {
        let borne = 580.0 * self.quality[chip] * self.rail.0 / LIMITS.rail_nominal.0;
        ((self.clocks[chip].0 / borne - 1.0) / 0.2).clamp(0.0, 1.0)
    }

    /// What the board really takes: 8 % more than the model says, as leakage does.
    fn watt(&self) -> f64 {
        let of = |c: &Megahertz| 8.39e-5 * c.0 * self.rail.0 * self.rail.0;
        (self.clocks.iter().map(of).sum::<f64>() + 50.0) * 1.08
    }

    fn second(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        for chip in 0..CHIPS {
            let mean = self.clocks[chip].0 * 1e6 * f64::from(CORES) / f64::from(NONCE_BITS).exp2();
            let wrong = self.wrong_part(chip);
            let (good, bad) = (self.luck.poisson(mean * (1.0 - wrong)), self.luck.poisson(mean * wrong));
            self.tuner.count(chip, good, bad);
            self.right += good as f64;
            self.wrong += bad as f64;
        }
        self.joules += self.watt();
        self.seconds += 1.0;
        let mut orders = vec![];
        self.tuner.tick(self.now, &self.c, &mut orders);
        for order in orders {
            match order {
                Order::Rail { volt: Some(v), .. } => {
                    assert!((v.0 - self.rail.0).abs() < 0.1001, "from {} to {v} at once", self.rail);
                    assert!(v <= LIMITS.rail_nominal && v >= LIMITS.rail_min, "{v}");
                    self.rail = v;
                    self.steps.push(v);
                }
                Order::ChipClock { chip, clock, .. } => {
                    assert!(clock >= LIMITS.clock_min && clock <= LIMITS.clock_max, "{clock}");
                    self.clocks[usize::from(chip)] = clock;
                }
                other => panic!("{other:?}"),
            }
        }
        self.worst = self.worst.max((0..CHIPS).map(|c| self.wrong_part(c)).sum::<f64>() / CHIPS as f64);
        let level = self.tuner.level();
        if level != self.level {
            assert!(level >= LIMITS.clock_min && level <= LIMITS.clock_max, "{level}");
            self.level = level;
            self.clocks.fill(level);
            self.c.clock = level;
        }
    }

    fn run(&mut self, hours: f64) {
        (0..(hours * 3600.0) as u64).for_each(|_| self.second());
    }

    /// Rate and power from now on, over an hour.
    fn look(&mut self) -> (f64, f64) {
        (self.right, self.wrong, self.joules, self.seconds) = (0.0, 0.0, 0.0, 0.0);
        self.run(1.0);
        (self.right * f64::from(NONCE_BITS).exp2() / self.seconds, self.joules / self.seconds)
    }

    fn settled(&self) -> bool {
        matches!(self.tuner.phase(), Phase::Settled { .. })
    }
}

/// What the same chips give as the factory meant it.
fn factory(seed: u64, spread: f64) -> (f64, f64) {
    let mut b = Bench::new(seed, spread, Aim::Power(Watt(1.0)));
    b.c.aim = None;
    b.look()
}

#[test]
fn the_same_rate_costs_far_less_and_the_same_power_gives_more() {
    for seed in 1..4 {
        let (rate, watt) = factory(seed, 0.04);
        let mut b = Bench::new(seed, 0.04, Aim::Rate(Hashrate(rate)));
        b.run(8.0);
        assert!(b.settled(), "seed {seed}: {:?}", b.tuner.phase());
        let (tuned_rate, tuned_watt) = b.look();
        let (before, after) = (watt / rate, tuned_watt / tuned_rate);
        println!("seed {seed}: rate {:.4}, J/TH {:.2} to {:.2}, rail {}", tuned_rate / rate, before * 1e12, after * 1e12, b.rail);
        assert!(tuned_rate > 0.995 * rate, "seed {seed}: {tuned_rate:e} of {rate:e}");
        assert!(after < 0.88 * before, "seed {seed}: {after:e} of {before:e}");

        let modelled = b.tuner.factory().watt;
        let mut b = Bench::new(seed, 0.04, Aim::Power(modelled));
        b.run(8.0);
        assert!(b.settled(), "seed {seed}: {:?}", b.tuner.phase());
        let (more, took) = b.look();
        println!("seed {seed}: power {:.4}, rate {:.4}", took / watt, more / rate);
        assert!(took < 1.01 * watt && more > 1.04 * rate, "seed {seed}: {more:e} of {rate:e} for {took} of {watt}");
    }
}

#[test]
fn weak_chips_are_slowed_and_strong_ones_are_not() {
    let mut b = Bench::new(5, 0.0, Aim::Rate(Hashrate(30e12)));
    for chip in [3, 40, 100] {
        b.quality[chip] = 0.8;
    }
    b.run(6.0);
    assert!(b.settled(), "{:?}", b.tuner.phase());
    let slow: Vec<usize> = (0..CHIPS).filter(|c| b.clocks[*c] < b.level).collect();
    assert_eq!(slow, [3, 40, 100], "level {} at {}", b.level, b.rail);
    let (rate, _) = b.look();
    assert!(rate > 0.995 * 30e12, "{rate:e}");
    assert!(b.wrong < 0.01 * b.right, "{} wrong of {}", b.wrong, b.right);
}

#[test]
fn an_aim_of_efficiency_is_met_with_as_many_hashes_as_it_allows() {
    let e = JoulePerTerahash(26.0);
    let mut b = Bench::new(7, 0.03, Aim::Efficiency(e));
    b.run(8.0);
    assert!(b.settled(), "{:?}", b.tuner.phase());
    let gives = b.tuner.gives();
    assert!(gives.watt.per(gives.rate) <= e, "{gives:?}");
    assert!(b.level > LIMITS.clock_nominal && b.rail < LIMITS.rail_nominal, "{} at {}", b.level, b.rail);
}

#[test]
fn no_search_ever_runs_a_board_into_heavy_errors() {
    for seed in 10..14 {
        let mut b = Bench::new(seed, 0.05, Aim::Rate(Hashrate(31.5e12)));
        b.run(6.0);
        assert!(b.worst < 0.2, "seed {seed}: {}", b.worst);
        assert!(b.settled(), "seed {seed}: {:?}", b.tuner.phase());
    }
}

#[test]
fn a_board_that_fails_at_a_rail_never_gets_it_again() {
    let mut b = Bench::new(1, 0.0, Aim::Rate(Hashrate(25e12)));
    while b.rail > Volt(12.5) {
        b.second();
    }
    let failed = b.rail;
    (b.c.hashing, b.c.failed) = (false, true);
    b.second();
    assert_eq!(b.tuner.phase(), Phase::Cold);
    let ceilings = vec![LIMITS.clock_max; CHIPS];
    let (watt, rate) = (Watt(700.0), Hashrate(25e12));
    let kept = |rail| ChainProfile { rail, level: LIMITS.clock_nominal, ceilings, watt, rate };
    // What was kept of that rail is worth nothing any more.
    b.tuner.restore(b.c.aim, &kept(failed));
    (b.rail, b.c.hashing, b.c.failed) = (LIMITS.rail_nominal, true, false);
    b.steps.clear();
    b.run(6.0);
    assert!(b.settled() && b.steps.iter().all(|v| *v > failed), "{failed}: {:?}", b.steps);
}

#[test]
fn a_board_that_went_off_for_anothers_sake_gets_its_rail_again() {
    let mut b = Bench::new(1, 0.0, Aim::Rate(Hashrate(25e12)));
    b.run(6.0);
    assert!(b.settled());
    let settled = b.rail;
    b.c.hashing = false;
    b.second();
    (b.rail, b.c.hashing) = (LIMITS.rail_nominal, true);
    b.run(1.0);
    assert!(b.settled() && b.rail == settled, "{} after {settled}", b.rail);
}

#[test]
fn errors_from_nowhere_lead_back_to_the_last_good_point() {
    let mut b = Bench::new(1, 0.0, Aim::Rate(Hashrate(28e12)));
    b.run(6.0);
    assert!(b.settled() && b.rail < LIMITS.rail_nominal, "{}", b.rail);
    let low = b.rail;
    b.quality.fill(0.85);
    b.run(4.0);
    assert!(b.rail > low, "{} after {low}", b.rail);
    let (rate, _) = b.look();
    assert!(rate > 0.99 * 28e12 && b.wrong < 0.03 * b.right, "{rate:e}, {} wrong", b.wrong);
}

#[test]
fn without_an_aim_nothing_is_touched_and_without_one_again_it_is_as_the_factory_meant() {
    let mut b = Bench::new(1, 0.05, Aim::Rate(Hashrate(25e12)));
    b.c.aim = None;
    b.run(1.0);
    assert_eq!((b.steps.len(), b.level), (0, LIMITS.clock_nominal));
    b.c.aim = Some(Aim::Power(Watt(700.0)));
    b.run(1.0);
    assert!(b.rail < LIMITS.rail_nominal);
    b.c.aim = None;
    b.run(0.1);
    assert_eq!((b.rail, b.level), (LIMITS.rail_nominal, LIMITS.clock_nominal));
    assert!(b.clocks.iter().all(|c| *c == LIMITS.clock_nominal));
}

#[test]
fn a_lower_ceiling_of_power_is_met_at_once_and_a_higher_one_given_back() {
    let mut b = Bench::new(2, 0.03, Aim::Rate(Hashrate(30e12)));
    b.run(6.0);
    b.c.most = Some(Watt(600.0));
    b.run(0.02);
    assert!(b.tuner.gives().watt <= Watt(600.0), "{:?}", b.tuner.gives());
    b.c.most = None;
    b.run(0.02);
    assert!(b.tuner.gives().rate >= Hashrate(29.9e12), "{:?}", b.tuner.gives());
}

#[test]
fn a_kept_profile_is_gone_on_with_and_is_told_again_when_proven() {
    let aim = Aim::Rate(Hashrate(30e12));
    let mut b = Bench::new(3, 0.04, aim);
    b.run(6.0);
    assert!(b.tuner.take_news());
    let kept = b.tuner.profile().expect("settled");
    let mut again = Bench::new(3, 0.04, aim);
    again.tuner.restore(Some(aim), &kept);
    again.run(0.7);
    assert!(again.settled() && again.tuner.take_news(), "{:?}", again.tuner.phase());
    assert_eq!((again.rail, again.level), (kept.rail, kept.level));
    let clocks: Vec<Megahertz> = kept.ceilings.iter().map(|c| c.min(kept.level)).collect();
    assert!(clocks.iter().zip(&again.clocks).filter(|(a, b)| a != b).count() < 10, "the same but for what the proof found");
}

#[test]
fn nonces_that_name_no_chip_slow_no_chip() {
    let mut b = Bench::new(1, 0.0, Aim::Rate(Hashrate(25e12)));
    b.run(0.1);
    for _ in 0..6 * 3600 {
        b.now = b.now + Duration::from_secs(1);
        let mut orders = vec![];
        b.tuner.tick(b.now, &b.c, &mut orders);
        assert!(orders.iter().all(|o| !matches!(o, Order::ChipClock { .. })), "{orders:?}");
        b.c.clock = b.tuner.level();
    }
}
