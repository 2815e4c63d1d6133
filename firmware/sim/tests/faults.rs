//! Every fault of the catalogue in every product, by twenty seeds: the invariants hold, each is named and each is recovered from.
//!
//! In four tests, so that processor cores share them; `make seeds` looks at a thousand. Not here: what a single fault looks like
//! (`safety`).

use sim::fault::catalogue::{KINDS, Picked};
use sim::fault::luck::Luck;
use sim::simulation::{Report, Scenario, Simulation};
use std::collections::BTreeSet;
use std::time::Duration;

const DURATION: Duration = Duration::from_secs(2 * 3600);

fn run(product: &'static model::Product, seed: u64) -> Report {
    let scenario = Scenario { product, seed, duration: DURATION, faults: Picked::ALL };
    Simulation::new(scenario).expect("drivers for every part").run()
}

/// What was injected.
fn kinds_of(report: &Report) -> BTreeSet<&'static str> {
    report.faults.iter().map(|f| f.name).collect()
}

/// What a product has a part for, whichever board is hit.
fn kinds_for(product: &'static model::Product) -> BTreeSet<&'static str> {
    KINDS.iter().filter(|k| (0..32).all(|luck| k.harm.aim(product, &mut Luck::new(luck)).is_some())).map(|k| k.name).collect()
}

fn check(seeds: std::ops::Range<usize>) {
    for seed in seeds {
        check_one(&board::PRODUCTS[seed % board::PRODUCTS.len()], seed as u64);
    }
}

fn check_one(product: &'static model::Product, seed: u64) {
    let r = run(product, seed);
    let what = format!("{} seed {seed}", product.name);
    assert!(r.violations.is_empty(), "{what}: {:?}", r.violations);
    assert!(r.fresh_work_fraction > 0.99, "{what}: {}", r.fresh_work_fraction);
    assert!(kinds_of(&r).is_superset(&kinds_for(product)), "{what}: {:?}", kinds_of(&r));
    assert!(r.duplicates == 0 && r.shares > 100, "{what}: {r:?}");
    for f in &r.faults {
        let kind = KINDS.iter().find(|k| k.name == f.name).expect("a row");
        assert_eq!((f.latched, f.recovered_seconds.is_none()), (kind.latches, kind.latches), "{what}: {f:?}");
    }
}

/// Luck that found something once: the product, its seed, and what it was.
const FOUND: &[(&str, u64, &str)] = &[(
    "antminer-s17",
    223,
    "noise lost a start's ticket: all nonces wrong for minutes, and a second start long after the first had mended it",
)];

#[test]
fn what_luck_found_once_stays_mended() {
    for (name, seed, what) in FOUND {
        println!("{what}");
        check_one(board::product(name).expect("a product"), *seed);
    }
}

#[test]
fn seeds_1_to_5() {
    check(1..6);
}

#[test]
fn seeds_6_to_10() {
    check(6..11);
}

#[test]
fn seeds_11_to_15() {
    check(11..16);
}

#[test]
fn seeds_16_to_20() {
    check(16..21);
}

#[test]
fn a_product_gets_every_kind_that_it_has_a_part_for_and_the_same_seed_the_same_bytes() {
    let product = &board::antminer_s19jpro::PRODUCT;
    let r = run(product, 21);
    let order: Vec<_> = r.faults.iter().map(|f| f.name).collect();
    let none = "it hangs neither on USB nor on SPI, and nothing measures what its supply gives";
    assert_eq!(kinds_for(product).len(), KINDS.len() - 3, "{none}");
    assert_eq!((kinds_of(&r), order.len()), (kinds_for(product), KINDS.len() - 3));
    let again = run(&board::antminer_s19jpro::PRODUCT, 21);
    let text = |r: &Report| serde_json::to_string(r).expect("numbers and texts");
    assert_eq!(text(&r), text(&again));
    let other = run(&board::antminer_s19jpro::PRODUCT, 22);
    assert_ne!(order, other.faults.iter().map(|f| f.name).collect::<Vec<_>>(), "another seed, another order");
}
