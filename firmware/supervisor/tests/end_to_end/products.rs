//! Products on ptys: `simulate PRODUCT --pty` gives the settings of a machine, and `serve` mines with them. One of each kind: a USB
//! board whose parts sit behind its own controller, an Antminer that rolls versions, one that works on midstates.
//!
//! Not here: every product (`sim`'s `products.rs`, in virtual time), and the S19j Pro, which all else is tested with.

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
