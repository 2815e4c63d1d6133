//! A second real node, bcoin (JavaScript, regression chain), which knows SegWit: its templates carry a witness commitment, and it
//! checks ours. Installed by `./setup test`; without it this test fails and says so.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use model::{Difficulty, Header, JobBody, Target, UpstreamId, Verdict};
use pool::{
    address::payout_script,
    coin::coin,
    courier::{Courier, Delivery},
    hex,
    rpc::{RpcConfig, RpcNode},
    solo::{Claim, SoloConfig, SoloPool},
};
use serde_json::json;

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_segwit_node_takes_our_blocks_and_pays_a_bech32_address() {
    let cache = std::env::var_os("OTEDAMA_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME or OTEDAMA_CACHE is set")).join(".cache/otedama"),
        PathBuf::from,
    );
    let modules = cache.join("nodes/bcoin-1.0.2/node_modules");
    assert!(modules.exists(), "{} is not there: run `./setup test`", modules.display());
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bcoin/regtest.js"))
        .arg(&modules)
        .arg(port.to_string())
        .env("NODE_BACKEND", "js")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start node");
    let mut child = Ended(child);
    let coin = coin("bcoin-regtest").expect("listed");
    let config = RpcConfig { address: format!("127.0.0.1:{port}"), user: "x".into(), password: "k".into() };
    let rpc = RpcNode::new(config, coin);
    let deadline = Instant::now() + Duration::from_secs(60);
    while rpc.call("getblockcount", json!([])).is_err() {
        assert!(child.0.try_wait().expect("our child").is_none(), "the node ended");
        assert!(Instant::now() < deadline, "the node does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }

    let payout = bech32::segwit::encode_v0(bech32::Hrp::parse("rb").expect("a prefix"), &[5; 20]).expect("an address");
    let script_pubkey = payout_script(coin, &payout).expect("its address");
    let mut pool = SoloPool::new(SoloConfig {
        script_pubkey: script_pubkey.clone(),
        tag: b"otedama test".to_vec(),
        share_difficulty: Difficulty::ONE,
        version_mask: coin.version_mask,
        first_job: 1,
        upstream: UpstreamId(0),
    });
    let mut courier = Courier::new(Box::new(rpc.clone()), None);
    let (one, two) = ([0; 4], [1; 8]);
    for round in 0..6 {
        if round == 3 {
            // The vote on SegWit takes three periods of 144 blocks.
            rpc.call("generatetoaddress", json!([440, payout])).expect("blocks");
        }
        let template = courier.template().expect("a template");
        assert_eq!(template.witness_commitment.is_some(), round >= 3, "a witness only once SegWit is active");
        let offer = pool.told_template(template).expect("a job");
        let JobBody::Coinbase(body) = offer.job_for(one).body;
        let header = body.header(&two);
        let target = Target::from_compact(header.bits).expect("valid");
        let header =
            (0..1000).map(|nonce| Header { nonce, ..header }).find(|h| target.is_met_by(&h.hash())).expect("an easy target");
        let (verdict, block) = pool.judge(&Claim {
            job_name: &offer.job.name,
            extranonce1: &one,
            extranonce2: &two,
            time: header.time,
            nonce: header.nonce,
            version_bits: None,
        });
        assert_eq!(verdict, Verdict::Accepted);
        let block = block.expect("a block");
        let hash = block.hash.to_explorer_hex();
        assert_eq!(courier.deliver(block.clone()).0, Delivery::Tip(block));
        assert_eq!(rpc.call("getbestblockhash", json!([])).expect("the tip"), json!(hash));
        let raw = rpc.call("getblock", json!([hash, false])).expect("our block");
        assert!(raw.as_str().expect("hex").contains(&hex::encode(&script_pubkey)), "the coinbase pays us");
    }
}
