//! A pause on the whole simulated machine: little power, no work, back within five seconds.
//!
//! Not here: the words that ask for one (`supervisor`), and hours that pause by themselves (`control::tuning`).

use model::{Command, Time};
use sim::fault::Picked;
use sim::lock;
use sim::simulation::{Scenario, Simulation};
use std::time::Duration;

/// Power of the machine and the rail of its first chain. One lock for both: two in one statement would wait for each other.
fn drawn(s: &Simulation) -> (f64, Option<model::Volt>) {
    let world = lock(s.world());
    (world.power().0, world.rail(0))
}

#[test]
fn a_pause_takes_little_and_ends_within_five_seconds() {
    let product = &board::antminer_s19jpro::PRODUCT;
    let scenario = Scenario { product, seed: 3, duration: Duration::ZERO, faults: Picked::NONE };
    let mut s = Simulation::new(scenario).expect("drivers for every part");
    s.run_until(Time::from_secs(120));
    let (full, rail) = drawn(&s);
    let found = |s: &Simulation| s.rig().status(s.now()).chains.iter().map(|c| c.nonces).collect::<Vec<_>>();
    assert!(found(&s).iter().all(|n| *n > 0), "{:?}", found(&s));
    s.command(Command::Pause);
    s.run_until(Time::from_secs(150));
    let before = found(&s);
    s.run_until(Time::from_secs(400));
    assert_eq!(found(&s), before, "nothing is mined meanwhile");
    let (paused, kept) = drawn(&s);
    assert!(paused < 0.25 * full, "{paused} of {full} W");
    assert_eq!(kept, rail, "the rail is kept");
    s.command(Command::Resume);
    s.run_until(Time::from_secs(405));
    let after = found(&s);
    assert!(after.iter().zip(&before).all(|(a, b)| a > b), "{after:?} after {before:?}");
    assert_eq!(s.violations(), Vec::<String>::new());
    assert!(s.rig().faults().is_empty(), "{:?}", s.rig().faults());
}
