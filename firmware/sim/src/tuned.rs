//! What tuning is worth on a simulated machine whose chips differ: the same run as the factory meant it, and aimed at the same hash rate
//! and at the same power. Power is what the parts really take, hashes are verified nonces. Not here: how it is found (`control::tuning`).

use crate::machine::lock;
use crate::simulation::{Scenario, Simulation};
use control::Fact;
use model::{Aim, Hashrate, JoulePerTerahash, PowerPlan, Product, Time, Watt};
use std::time::Duration;

/// Longest search.
const SEARCH: Duration = Duration::from_secs(48 * 3600);
/// Heat settles before it is looked at.
const WARM: Duration = Duration::from_secs(1800);
/// How long is looked at: 126 chips give 7,000 nonces in it, a deviation of 0.7 % for a machine of three chains.
const LOOK: Duration = Duration::from_secs(2 * 3600);
/// Between two looks at the power.
const EVERY: Duration = Duration::from_secs(10);

/// What a machine gives and takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// What it gives.
    pub rate: Hashrate,
    /// What its boards take.
    pub watt: Watt,
    /// How long the search took.
    pub search: Duration,
    /// Whether every chain settled.
    pub settled: bool,
    /// What must never be and was.
    pub violations: usize,
}

impl Gain {
    /// What its hashes cost.
    #[must_use]
    pub fn efficiency(&self) -> JoulePerTerahash {
        self.watt.per(self.rate)
    }
}

/// Runs the machine of a seed with this aim until every chain has settled, and looks at it then.
///
/// # Errors
/// The board data names a part that no driver fits.
pub fn run(product: &'static Product, seed: u64, aim: Option<Aim>) -> Result<Gain, rig::OpenError> {
    let mut s = Simulation::new(Scenario { product, seed, duration: Duration::ZERO, faults: crate::fault::Picked::NONE })?;
    s.tell(Fact::PowerPlan(PowerPlan { aim, ..PowerPlan::default() }));
    let settled = |s: &Simulation| s.rig().status(s.now()).chains.iter().all(|c| c.tuning == "settled");
    while aim.is_some() && !settled(&s) && s.now() < Time::ZERO + SEARCH {
        s.run_until(s.now() + Duration::from_secs(60));
    }
    let search = s.now().since(Time::ZERO);
    let all = settled(&s);
    s.run_until(s.now() + WARM);
    let (begun, before) = (s.now(), right(&s));
    let (mut joules, mut looks) = (0.0, 0.0);
    while s.now().since(begun) < LOOK {
        s.run_until(s.now() + EVERY);
        joules += lock(s.world()).power().0;
        looks += 1.0;
    }
    let hashes = (right(&s) - before) * s.hashes_a_nonce();
    let rate = Hashrate(hashes / s.now().since(begun).as_secs_f64());
    Ok(Gain { rate, watt: Watt(joules / looks), search, settled: all, violations: s.violations().len() })
}

fn right(s: &Simulation) -> f64 {
    s.rig().status(s.now()).chains.iter().map(|c| c.nonces as f64).sum()
}
