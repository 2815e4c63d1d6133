//! The end of `serve` while it mines for a real node, asked for and not: no block is lost and the next start goes on with the same state.
//!
//! Time goes into the node's start (3 s) and a few blocks of one thread, one or two a second.

use crate::bench::{self, CPU, IDLE, Serve, wait};
use crate::node::RealNode;
use crate::real_node::{call, found, height, pool, until_height};
use serde_json::json;
use std::path::Path;

/// Starts once more, with no hash power, so that what was kept is sent; then every block that was said to be found is in the chain, and
/// at most so many that were kept and not yet said.
fn assert_all_taken(node: &RealNode, folder: &Path, logs: &[String], unsaid: usize) {
    let serve = Serve::start(folder, &(IDLE.to_owned() + &pool(node)));
    let blocks: Vec<String> = logs.iter().flat_map(|log| found(log)).collect();
    assert!(blocks.len() > 2, "{logs:?}");
    for block in &blocks {
        let look = || {
            let known = node.rpc.call("getblockheader", json!([block])).ok()?;
            (known["confirmations"].as_i64()? > 0).then_some(())
        };
        wait("the chain has every block", look, || format!("{block} at {}\n{}\n{}", height(node), logs.concat(), serve.log()));
    }
    // The first block is the node's own; nobody else mines.
    let count = call(node, "getblockcount", json!([])).as_u64().expect("a number");
    let said = blocks.len() as u64 + 1;
    assert!((said..=said + unsaid as u64).contains(&count), "{count} blocks, {said} said: {logs:?}");
    serve.end();
}

#[test]
fn asked_to_end_it_ends_with_0_and_every_block_is_in_the_chain() {
    let (node, folder) = (RealNode::start("ends-term"), bench::folder("ends-term"));
    let mut logs = Vec::new();
    for wanted in [3, 5] {
        let serve = Serve::start(&folder, &(CPU.to_owned() + &pool(&node)));
        until_height(&node, &serve, wanted);
        logs.push(serve.end());
    }
    assert_all_taken(&node, &folder, &logs, 0);
}

#[test]
fn killed_at_any_time_it_goes_on_from_its_state_and_no_block_is_lost() {
    let (node, folder) = (RealNode::start("ends-kill"), bench::folder("ends-kill"));
    let mut logs = Vec::new();
    for _ in 0..4 {
        let serve = Serve::start(&folder, &(CPU.to_owned() + &pool(&node)));
        // Killed the moment that it says so: the block is on disk and may not have been sent.
        wait("a block", || (found(&serve.log()).len() > 1).then_some(()), || serve.log());
        logs.push(serve.kill());
    }
    // Each kill may fall between the disk and the word.
    assert_all_taken(&node, &folder, &logs, logs.len());
}
