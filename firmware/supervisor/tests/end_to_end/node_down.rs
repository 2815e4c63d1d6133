//! A node that dies while `serve` runs: named, mined past where an upstream is set, and no found block lost, whichever of the
//! two programs dies.
//!
//! Time goes into the node's starts (3 s each). Before it is killed the node is made to write its chain to disk: otherwise it comes
//! back without its last blocks, which is the node's own affair and leaves ours without a parent.

use crate::bench::{self, CPU, IDLE, Serve, accepted, faults, wait};
use crate::node::{RealNode, spawn};
use crate::real_node::{call, found, height, pool, until_height};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Longer than the pool's look at the tip, so that what was on its way has arrived.
const QUIET: Duration = Duration::from_secs(3);

fn kill(node: &mut RealNode) {
    node.child.kill().expect("it runs");
    node.child.wait().expect("it ends");
}

fn start_again(node: &mut RealNode) {
    node.child = spawn(&node.place);
    node.join();
}

fn is_down(status: &Value) -> bool {
    faults(status, "pool").iter().any(|f| {
        let text = |key: &str| f[key].as_str().unwrap_or_default();
        f["code"] == "node-down" && text("advice").contains("node") && !text("detail").is_empty()
    })
}

/// A node that is dead while `serve` mines on its last template, and a block that nobody took yet.
fn block_without_a_node(name: &str) -> (RealNode, std::path::PathBuf, Serve, String) {
    let (mut node, folder) = (RealNode::start(name), bench::folder(name));
    let serve = Serve::start(&folder, &(CPU.to_owned() + &pool(&node)));
    until_height(&node, &serve, 2);
    serve.ask("POST", "/api/mining/stop");
    serve.until("it stopped", |s| s["mining"] == false);
    std::thread::sleep(QUIET);
    call(&node, "gettxoutsetinfo", json!([]));
    let (blocks, before) = (height(&node), found(&serve.log()).len());
    kill(&mut node);
    serve.until("node-down", is_down);
    serve.ask("POST", "/api/mining/start");
    let kept = || journal(&folder);
    let block = wait("a block is kept", kept, || serve.log());
    println!("kept {block} upon height {blocks}");
    // It is said once it is on disk.
    wait("it is said", || (found(&serve.log()).len() > before).then_some(()), || serve.log());
    let shares = serve.until("mining goes on", |s| s["mining"] == true && is_down(s) && accepted(s, 0) > 0);
    serve.until("a further share", |s| accepted(s, 0) > accepted(&shares, 0));
    assert_eq!(found(&serve.log()).len(), before + 1, "one block upon a block: {}", serve.log());
    (node, folder, serve, block)
}

/// The block that waits in the journal.
fn journal(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("found-blocks")).ok()?;
    let line = text.lines().rfind(|l| l.starts_with("found "))?;
    line.split(' ').nth(1).map(str::to_owned)
}

/// Waits until the chain has it.
fn until_taken(node: &RealNode, serve: &Serve, block: &str) {
    let look = || {
        let known = node.rpc.call("getblockheader", json!([block])).ok()?;
        (known["confirmations"].as_i64()? > 0).then_some(())
    };
    wait("the node has the block", look, || format!("{block} at {}\n{}", height(node), serve.log()));
}

#[test]
fn a_block_found_while_the_node_is_dead_is_its_next_one_and_mining_goes_on() {
    let (mut node, folder, serve, block) = block_without_a_node("down-node");
    let blocks = {
        start_again(&mut node);
        until_taken(&node, &serve, &block);
        height(&node)
    };
    serve.until("well again", |s| s["faults"] == json!([]));
    until_height(&node, &serve, blocks + 2);
    serve.end();
    assert!(folder.join("found-blocks").exists());
}

#[test]
fn a_block_found_while_the_node_is_dead_outlives_serve() {
    let (mut node, folder, serve, block) = block_without_a_node("down-both");
    serve.kill();
    let serve = Serve::start(&folder, &(IDLE.to_owned() + &pool(&node)));
    serve.until("node-down", is_down);
    start_again(&mut node);
    until_taken(&node, &serve, &block);
    // Nothing mines, so it is still the tip.
    assert_eq!(call(&node, "getbestblockhash", json!([])), json!(block));
    serve.until("well again", |s| s["faults"] == json!([]));
    wait("nothing waits any more", || journal(&folder).is_none().then_some(()), || serve.log());
    serve.end();
}

#[test]
fn a_dead_node_does_not_disturb_mining_for_an_upstream() {
    let mut node = RealNode::start("down-aside");
    let practice = format!("{IDLE}pool: {{enable: true, address: '127.0.0.1:0', coins: [practice]}}\n");
    let upstream = Serve::start(&bench::folder("down-upstream"), &practice);
    let url = format!("stratum+tcp://{}", upstream.address("pool"));
    let settings = format!("{CPU}{}upstreams: [{{url: '{url}', user: rig}}]\n", pool(&node));
    let serve = Serve::start(&bench::folder("down-aside"), &settings);
    let well = |s: &Value| s["upstream"] == url.as_str() && s["faults"] == json!([]);
    serve.until("its upstream takes shares", |s| well(s) && accepted(s, 0) > 0);
    call(&node, "gettxoutsetinfo", json!([]));
    kill(&mut node);
    let shares = accepted(&serve.until("node-down", is_down), 0);
    let status = serve.until("shares go on", |s| accepted(s, 0) > shares + 2);
    assert_eq!((&status["upstream"], is_down(&status)), (&json!(url), true), "{status:#}");
    // It answers, and gives no template as long as it reads its chain and has no peer.
    node.child = spawn(&node.place);
    serve.until("the new reason", |s| is_down(s) && !faults(s, "pool")[0].to_string().contains("refused"));
    node.join();
    serve.until("well again", well);
    serve.end();
    upstream.end();
}
