//! What tuning is worth on a whole S19j Pro whose chips differ, through real drivers and parts.
//!
//! Not here: the search on a model of one board, over many seeds (`control::tuning`).

use model::{Aim, Watt};
use sim::tuned::run;

const PRODUCT: &model::Product = &board::antminer_s19jpro::PRODUCT;

/// The board lets the rail down by 6 % and the clock up by 3.8 %: what is promised is most of that.
const CHEAPER: f64 = 0.93;
const MORE: f64 = 1.015;
/// Two deviations of what is counted, and what the estimate of power may be off.
const EQUAL: f64 = 0.015;

#[test]
fn the_factorys_hash_rate_costs_less() {
    let factory = run(PRODUCT, 1, None).expect("drivers for every part");
    let tuned = run(PRODUCT, 1, Some(Aim::Rate(factory.rate))).expect("drivers for every part");
    println!("factory {factory:?}\ntuned {tuned:?}");
    assert!(tuned.settled && tuned.violations == 0, "{tuned:?}");
    assert!(tuned.rate.0 > factory.rate.0 * (1.0 - EQUAL), "{tuned:?} against {factory:?}");
    assert!(tuned.efficiency().0 < factory.efficiency().0 * CHEAPER, "{} against {}", tuned.efficiency(), factory.efficiency());
}

#[test]
fn the_factorys_power_gives_more() {
    let factory = run(PRODUCT, 2, None).expect("drivers for every part");
    let tuned = run(PRODUCT, 2, Some(Aim::Power(Watt(PRODUCT.power.0)))).expect("drivers for every part");
    println!("factory {factory:?}\ntuned {tuned:?}");
    assert!(tuned.settled && tuned.violations == 0, "{tuned:?}");
    assert!(tuned.watt.0 < factory.watt.0 * (1.0 + EQUAL), "{tuned:?} against {factory:?}");
    assert!(tuned.rate.0 > factory.rate.0 * MORE, "{tuned:?} against {factory:?}");
}
