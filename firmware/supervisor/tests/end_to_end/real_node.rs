//! A real node gives the templates: what `otedama serve` mines, on its processor or on a machine behind ptys, becomes its tip.
//!
//! Every nonce is a block on a regression chain. Time goes into the node's start (3 s) and a chain's protocol (32 s).

use crate::bench::{self, CPU, Machine, Serve, own_faults, wait};
use crate::node::{PAYOUT, RealNode};
use serde_json::{Value, json};
use std::path::Path;

/// Settings of a pool of this node's coin.
pub fn pool(node: &RealNode) -> String {
    let rpc = format!("rpc: {{url: 'http://{}', user: u, password: p}}", node.place.address);
    let coin = format!("{{name: bitcoinsv, {rpc}, address: {PAYOUT}, network: regtest}}");
    format!("pool: {{enable: true, address: '127.0.0.1:0', coins: [{coin}]}}\n")
}

/// The node's answer.
pub fn call(node: &RealNode, method: &str, params: Value) -> Value {
    node.rpc.call(method, params).unwrap_or_else(|e| panic!("{method}: {e}"))
}

/// How many blocks it has.
pub fn height(node: &RealNode) -> u64 {
    call(node, "getblockcount", json!([])).as_u64().expect("a number")
}

/// Waits until it has so many.
pub fn until_height(node: &RealNode, serve: &Serve, wanted: u64) {
    let look = || Some(height(node)).filter(|h| *h >= wanted);
    let reached = wait("the chain grows", look, || format!("{}\n{}", height(node), serve.log()));
    println!("height {reached}");
}

/// Blocks that a log says were found, first to last.
pub fn found(log: &str) -> Vec<String> {
    let hash = |l: &str| l.split_once("hash=").map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned());
    log.lines().filter(|l| l.contains("block found")).filter_map(hash).collect()
}

/// The tip is a block of ours that pays us.
fn assert_ours(node: &RealNode, serve: &Serve) {
    let tip = call(node, "getbestblockhash", json!([]));
    let block = call(node, "getblock", json!([tip, 2]));
    let coinbase = &block["tx"][0];
    let tag: String = b"/otedama/".iter().map(|b| format!("{b:02x}")).collect();
    assert!(coinbase["vin"][0]["coinbase"].as_str().is_some_and(|c| c.contains(&tag)), "{block:#}");
    assert_eq!(coinbase["vout"][0]["scriptPubKey"]["addresses"], json!([PAYOUT]), "{block:#}");
    let hash = tip.as_str().expect("a hash").to_owned();
    wait("the log has it", || found(&serve.log()).contains(&hash).then_some(()), || format!("{hash}\n{}", serve.log()));
    let status = serve.until("nothing is wrong", |s| own_faults(s).is_empty());
    assert_eq!(status["shares"]["rejected"], 0, "{status:#}");
}

fn start(name: &str, node: &RealNode, mining: &str) -> Serve {
    Serve::start(Path::new(&bench::folder(name)), &(mining.to_owned() + &pool(node)))
}

#[test]
fn the_processor_mines_blocks_that_a_real_node_takes_and_that_pay_us() {
    let node = RealNode::start("cpu");
    let serve = start("node-cpu", &node, CPU);
    until_height(&node, &serve, 4);
    assert_ours(&node, &serve);
    serve.end();
}

#[test]
fn chains_on_ptys_mine_blocks_that_a_real_node_takes_and_that_pay_us() {
    let node = RealNode::start("chains");
    let machine = Machine::start();
    let serve = start("node-chains", &node, &machine.settings(false, &machine.ttys()));
    let status = serve.until("all chains hash", |s| {
        s["chains"].as_array().is_some_and(|c| c.len() == 3 && c.iter().all(|c| c["state"] == "hashing"))
    });
    assert_eq!((&status["product"], &status["simulated"]), (&json!("antminer-s19jpro"), &json!(true)));
    until_height(&node, &serve, 4);
    assert_ours(&node, &serve);
    assert!(serve.log().contains("SIMULATED"));
    serve.end();
}
