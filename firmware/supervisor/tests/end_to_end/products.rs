//! Products on ptys: `simulate PRODUCT --pty` gives the settings of a machine, and `serve` mines with them. All with a serial chain.
//!
//! Not here: virtual time (`sim`'s `products.rs`), and the S19j Pro, which all else is tested with.

use crate::bench::{self, Machine, Serve};
use serde_json::Value;

fn chains(status: &Value) -> &[Value] {
    status["chains"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// All its chips hash, each sensor and fan is read, and a pool takes its shares.
fn mines(product: &str) {
    let machine = Machine::of(product);
    let pool = "pool: {enable: true, address: '127.0.0.1:0', coins: [practice]}\n";
    let folder = bench::folder(&format!("product-{product}"));
    let serve = Serve::start(&folder, &(machine.settings(false, &machine.ttys()) + pool));
    let whole = |c: &Value| c["state"] == "hashing" && c["chips"] == c["chips_expected"];
    let status = serve.until("all chips hash", |s| !chains(s).is_empty() && chains(s).iter().all(whole));
    assert_eq!((&status["product"], &status["simulated"]), (&product.into(), &true.into()), "{status:#}");
    // Sensors in chips take a round over all of them.
    let read = |c: &Value| c["sensors"].as_array().is_some_and(|s| s.iter().all(|s| s["celsius"].is_f64()));
    serve.until("each sensor is read", |s| chains(s).iter().all(read));
    let status = serve.until("a share is accepted", |s| s["shares"]["accepted"].as_u64() > Some(0));
    assert_eq!(status["shares"]["rejected"], 0, "{status:#}");
    let wrong: u64 = chains(&status).iter().map(|c| c["hardware_errors"].as_u64().unwrap_or(0)).sum();
    let right: u64 = chains(&status).iter().map(|c| c["nonces"].as_u64().unwrap_or(0)).sum();
    assert!(wrong * 20 <= right, "{wrong} of {right} nonces are wrong: both ends count alike\n{status:#}");
    serve.end();
}

/// Those without a test of their own, in as many parts as processors may share.
fn others_mine(part: usize) {
    let named = ["antminer-s19jpro", "bitaxe-gamma", "antminer-s21", "antminer-s9"];
    let serial = |p: &&model::Product| p.hashboards.iter().all(|b| b.line == model::ChainLine::Uart);
    let others: Vec<_> = board::PRODUCTS.iter().filter(serial).filter(|p| !named.contains(&p.name)).collect();
    assert!(others.len() > 5, "{others:?}");
    others.iter().skip(part).step_by(3).for_each(|p| mines(p.name));
}

#[test]
fn a_third_of_the_others_mines() {
    others_mine(0);
}

#[test]
fn another_third_mines() {
    others_mine(1);
}

#[test]
fn the_last_third_mines() {
    others_mine(2);
}

#[test]
fn a_usb_board_mines_over_its_two_lines() {
    mines("bitaxe-gamma");
}

#[test]
fn an_antminer_that_rolls_versions_mines() {
    mines("antminer-s21");
}

#[test]
fn an_antminer_that_works_on_midstates_mines() {
    mines("antminer-s9");
}
