//! Every product of the list comes up under its real firmware, mines, stays cool and within its limits.
//!
//! Not here: faults (`faults`), long runs (`seeds`).

use sim::simulation::{Scenario, Simulation};
use std::time::Duration;

#[test]
fn every_product_mines_within_ten_minutes_of_plugging_in() {
    let mut wrong = Vec::new();
    for product in board::PRODUCTS {
        let scenario = Scenario { product, seed: 3, duration: Duration::from_secs(1200), faults: sim::fault::Picked::NONE };
        let mut s = Simulation::new(scenario).expect("drivers for every part");
        s.run_until(model::Time::from_secs(600));
        let started = s.hashing();
        s.run_until(model::Time::from_secs(1200));
        let r = s.report();
        let faults: Vec<String> =
            s.rig().faults().iter().map(|f| format!("{} {} {}", f.code.code(), f.place, f.detail)).collect();
        let line = format!(
            "{}: {started} of {} chains, {:.1} of {:.1} GH/s, {} shares, {} rejected, hottest {:.1}, {:?} {:?}",
            product.name,
            product.hashboards.len(),
            r.hashes_per_second / 1e9,
            r.expected_hashes_per_second / 1e9,
            r.shares,
            r.rejected,
            r.hottest_celsius,
            r.violations,
            faults
        );
        eprintln!("{line}");
        let mines = started == product.hashboards.len() && r.hashes_per_second > 0.85 * r.expected_hashes_per_second;
        if !mines || !r.violations.is_empty() || !faults.is_empty() || r.rejected > 0 || r.shares == 0 {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
