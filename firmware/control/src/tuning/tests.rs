//! The machine as a whole: parts of the aim, hours, pauses, profiles.

use super::*;
use crate::testing::{LIMITS, PRODUCT};
use model::{ChainProfile, Hours, Volt};

const DAY: u64 = 1_767_225_600;

fn hashing() -> Circumstance {
    Circumstance {
        wanted: true,
        hashing: true,
        failed: false,
        works: true,
        chips: 12,
        clock: LIMITS.clock_nominal,
        held: false,
        nonce_bits: 40,
        aim: None,
        most: None,
        chip: None,
    }
}

struct Bench {
    tuner: Tuner,
    faults: Faults,
    chains: [Circumstance; 2],
    now: Time,
}

impl Bench {
    fn new(aim: Option<Aim>) -> Bench {
        let mut tuner = Tuner::new(Time::ZERO, &PRODUCT, 500);
        tuner.set(PowerPlan { aim, ..PowerPlan::default() });
        Bench { tuner, faults: Faults::default(), chains: [hashing(); 2], now: Time::ZERO }
    }

    fn run(&mut self, seconds: u64, trouble: bool) -> Vec<Order> {
        let mut orders = vec![];
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.tuner.tick(self.now, &mut self.chains, trouble, &mut self.faults, &mut orders);
            for (i, c) in self.chains.iter_mut().enumerate() {
                c.clock = self.tuner.level(i).expect("two chains");
            }
        }
        orders
    }
}

#[test]
fn chains_share_the_aim_and_one_that_is_gone_for_long_leaves_its_part() {
    let mut b = Bench::new(Some(Aim::Power(Watt(1600.0))));
    b.run(1, false);
    assert_eq!(b.chains.map(|c| c.aim), [Some(Aim::Power(Watt(800.0))); 2]);
    b.chains[1].hashing = false;
    b.run(599, false);
    assert_eq!(b.chains[0].aim, Some(Aim::Power(Watt(800.0))), "a restart is no reason");
    b.run(2, false);
    assert_eq!(b.chains[0].aim, Some(Aim::Power(Watt(1600.0))));
    b.chains[1].hashing = true;
    b.run(1, false);
    assert_eq!(b.chains.map(|c| c.aim), [Some(Aim::Power(Watt(800.0))); 2]);
}

#[test]
fn a_clock_that_jumps_only_changes_what_is_done_now() {
    let mut b = Bench::new(None);
    let night = Hours { from: 22 * 60, to: 6 * 60, task: Task::Pause };
    b.tuner.set(PowerPlan { aim: None, hours: vec![night], ahead_minutes: 0 });
    assert!(!b.tuner.is_paused(b.now), "no clock yet");
    for (unix, paused) in [(DAY, true), (0, false), (DAY + 12 * 3600, false), (DAY - 60, true), (u64::MAX / 2, false)] {
        b.tuner.wall_clock(b.now, unix);
        assert_eq!(b.tuner.is_paused(b.now), paused, "{unix}");
    }
    b.tuner.wall_clock(b.now, DAY + 6 * 3600 - 5);
    assert!(b.tuner.is_paused(b.now + Duration::from_secs(4)));
    assert!(!b.tuner.is_paused(b.now + Duration::from_secs(5)), "it runs on between two looks");
}

#[test]
fn a_person_pauses_and_goes_on_and_overrides_the_hours_once() {
    let mut b = Bench::new(None);
    b.tuner.pause(true);
    assert!(b.tuner.is_paused(b.now));
    b.tuner.pause(false);
    assert!(!b.tuner.is_paused(b.now));
    let night = Hours { from: 0, to: 60, task: Task::Pause };
    b.tuner.set(PowerPlan { aim: None, hours: vec![night], ahead_minutes: 0 });
    b.tuner.wall_clock(b.now, DAY);
    b.run(1, false);
    assert!(!b.tuner.is_paused(b.now), "asked to go on in the middle of it");
    b.tuner.wall_clock(b.now, DAY + 3600);
    b.run(1, false);
    b.tuner.wall_clock(b.now, DAY + 86_400);
    b.run(1, false);
    assert!(b.tuner.is_paused(b.now), "the next night counts again");
}

#[test]
fn heat_that_lasts_lowers_power_with_a_notice() {
    let mut b = Bench::new(None);
    b.run(60, true);
    assert!(!b.faults.has(FaultCode::PowerLowered, PLACE));
    b.run(61, true);
    assert!(b.faults.has(FaultCode::PowerLowered, PLACE));
    b.run(2, false);
    let lowered = b.tuner.level(0).expect("a chain");
    assert!(lowered < LIMITS.clock_nominal, "{lowered}");
    b.run(1300, false);
    assert!(!b.faults.has(FaultCode::PowerLowered, PLACE));
    assert_eq!(b.tuner.level(0), Some(LIMITS.clock_nominal));
}

fn kept(aim: &str, rail: f64) -> Profile {
    let chain = ChainProfile {
        rail: Volt(rail),
        level: Megahertz(500.0),
        ceilings: vec![Megahertz(450.0); 12],
        watt: Watt(700.0),
        rate: Hashrate(3e12),
    };
    Profile { product: PRODUCT.name.into(), aim: aim.into(), chains: vec![Some(chain), None] }
}

#[test]
fn a_profile_of_another_aim_or_machine_is_left_alone() {
    for (profile, refused, used) in [
        (kept("1600 W", 12.5), false, true),
        (kept("1500 W", 12.5), false, false),
        (kept("1600 W", 11.9), true, false),
        (Profile { product: "other".into(), ..kept("1600 W", 12.5) }, true, false),
    ] {
        let mut b = Bench::new(Some(Aim::Power(Watt(1600.0))));
        b.tuner.restore(Ok(profile.clone()), &mut b.faults);
        assert_eq!(b.faults.has(FaultCode::ProfileRefused, PLACE), refused, "{profile:?}");
        for c in &mut b.chains {
            c.hashing = false;
        }
        b.run(1, false);
        for c in &mut b.chains {
            c.hashing = true;
        }
        let orders = b.run(240, false);
        let to = |rail| orders.contains(&Order::Rail { chain: ChainId(0), volt: Some(Volt(rail)) });
        assert_eq!(to(12.5), used, "{profile:?}: {orders:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let mut b = Bench::new(None);
    b.tuner.restore(Err("read the profile: end of file".to_owned()), &mut b.faults);
    assert!(b.faults.has(FaultCode::ProfileRefused, PLACE));
}

#[test]
fn counts_are_told_from_the_start_of_a_chain_and_begin_anew_with_it() {
    let mut b = Bench::new(Some(Aim::Power(Watt(1600.0))));
    let of = |right, wrong| vec![ChipCount { right, wrong }; 12];
    b.tuner.count(ChainId(0), &of(10, 1));
    b.tuner.count(ChainId(0), &of(15, 1));
    assert_eq!(b.tuner.chains[0].counted(0), (15, 1));
    b.tuner.count(ChainId(0), &of(3, 0));
    assert_eq!(b.tuner.chains[0].counted(0), (18, 1));
    b.tuner.count(ChainId(0), &vec![ChipCount { right: 1000, wrong: 0 }; 255]);
    b.tuner.count(ChainId(9), &of(1, 0));
}

#[test]
fn a_settled_machine_tells_a_profile_that_passes_its_own_check() {
    let mut b = Bench::new(Some(Aim::Power(Watt(1500.0))));
    let (mut told, mut right) = (None, 0);
    for _ in 0..8 * 360 {
        right += 3;
        for chain in 0..2 {
            b.tuner.count(ChainId(chain), &[ChipCount { right, wrong: 0 }; 12]);
        }
        for order in b.run(10, false) {
            if let Order::Keep(profile) = order {
                told = Some(profile);
            }
        }
    }
    let profile = told.expect("settled within eight hours");
    assert_eq!(profile.check(&PRODUCT), Ok(()));
    assert_eq!(profile.aim, "1500 W");
    assert!(profile.chains.iter().flatten().all(|c| near(c.rail, LIMITS.rail_min) && c.watt <= Watt(750.0)), "{profile:?}");
}

fn near(a: Volt, b: Volt) -> bool {
    (a.0 - b.0).abs() < 0.11
}
