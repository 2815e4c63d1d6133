//! A real node (Bitcoin SV's C++ `bitcoind`, regression chain) gives the templates, takes our blocks and checks every rule.
//!
//! The node is installed by `./setup test`; without it these tests fail and say so. Miners' dialects are `stratum`'s matter.

mod node;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use model::{CoinbaseJob, Difficulty, Hash, JobBody, Target, UpstreamId, Verdict};
use node::{PAYOUT, RealNode, bitcoin_sv, free_port};
use pool::{
    address::payout_script,
    courier::{Courier, Delivery},
    hex,
    journal::Journal,
    node::{Answer, Node},
    rpc::{RpcConfig, RpcNode},
    server::{PoolConfig, PoolStatus, serve},
    solo::{BlockFound, Claim, Offer, SoloConfig, SoloPool},
};
use serde_json::{Value, json};

fn solo() -> SoloPool {
    SoloPool::new(SoloConfig {
        script_pubkey: payout_script(bitcoin_sv(), PAYOUT).expect("an address of regtest"),
        tag: b"otedama test".to_vec(),
        share_difficulty: Difficulty::ONE,
        version_mask: bitcoin_sv().version_mask,
        first_job: 1,
        upstream: UpstreamId(0),
    })
}

/// Every second nonce is a block on a regression chain.
fn mine(pool: &mut SoloPool, offer: &Offer) -> BlockFound {
    let (one, two) = ([1, 2, 3, 4], [9; 8]);
    let JobBody::Coinbase(body) = offer.job_for(one).body;
    body.check().expect("a job within all limits");
    let mut header = body.header(&two);
    header.version |= 0x0000_2000;
    let target = Target::from_compact(header.bits).expect("valid");
    header.nonce = (0..1000).find(|n| target.is_met_by(&model::Header { nonce: *n, ..header }.hash())).expect("an easy target");
    let (verdict, block) = pool.judge(&Claim {
        job_name: &offer.job.name,
        extranonce1: &one,
        extranonce2: &two,
        time: header.time,
        nonce: header.nonce,
        version_bits: Some(0x2000),
    });
    assert_eq!(verdict, Verdict::Accepted);
    let block = block.expect("a block");
    assert_eq!(block.hash, header.hash());
    block
}

#[test]
fn our_blocks_become_the_tip_and_pay_us() {
    let node = RealNode::start("tip");
    let state = node.place.folder.join("state");
    let mut pool = solo();
    let mut courier = Courier::new(Box::new(node.rpc.clone()), Some(Journal::open(&state).expect("a journal")));
    // Past height 16, where the height in the coinbase changes its form.
    for height in 2..=20 {
        let template = courier.template().expect("a template");
        assert_eq!(template.height, height);
        let offer = pool.told_template(template.clone()).expect("a job");
        assert!(offer.job.clean);
        let block = mine(&mut pool, &offer);
        let (delivery, trouble) = courier.deliver(block.clone());
        assert!(trouble.is_none(), "{trouble:?}");
        assert_eq!(delivery, Delivery::Tip(block.clone()));
        let tip = node.rpc.call("getbestblockhash", json!([])).expect("the tip");
        assert_eq!(tip, json!(block.hash.to_explorer_hex()));

        let seen = node.rpc.call("getblock", json!([block.hash.to_explorer_hex(), 2])).expect("our block");
        let output = &seen["tx"][0]["vout"][0];
        assert_eq!(output["scriptPubKey"]["addresses"], json!([PAYOUT]), "{seen}");
        assert_eq!(output["value"].as_f64().map(|v| (v * 1e8).round() as u64), Some(template.coinbase_value));
    }
    // 101 blocks on top free the first of the node's own wallet, and a payment of it makes a block with a merkle branch.
    let own = node.rpc.call("getnewaddress", json!([])).expect("an address");
    node.rpc.call("generatetoaddress", json!([101, own])).expect("blocks");
    for _ in 0..3 {
        node.rpc.call("sendtoaddress", json!([own, 1])).expect("a payment");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let template = loop {
        let t = courier.template().expect("a template");
        if t.transactions.len() == 3 {
            break t;
        }
        assert!(Instant::now() < deadline, "the payments are not in the template");
        std::thread::sleep(Duration::from_millis(200));
    };
    let offer = pool.told_template(template).expect("a job");
    let block = mine(&mut pool, &offer);
    assert_eq!(courier.deliver(block.clone()).0, Delivery::Tip(block));
}

#[test]
fn a_bad_block_is_refused_and_a_late_one_is_sent_after_a_restart() {
    let mut node = RealNode::start("late");
    let mut pool = solo();
    let offer = pool.told_template(node.rpc.template(None).expect("a template")).expect("a job");
    let good = mine(&mut pool, &offer);

    let mut bad = hex::decode(&good.hex).expect("hex");
    bad[40] ^= 1; // the merkle root
    assert!(matches!(node.rpc.submit(&hex::encode(&bad)).expect("an answer"), Answer::Refused(_)));
    assert!(matches!(node.rpc.submit("00").expect("an answer"), Answer::Refused(_)));

    // The node is away when the block is found.
    let state = node.place.folder.join("state");
    let nowhere = RpcConfig { address: format!("127.0.0.1:{}", free_port()), user: "u".into(), password: "p".into() };
    let away = Box::new(RpcNode::new(nowhere, bitcoin_sv()));
    let (delivery, _) = Courier::new(away, Some(Journal::open(&state).expect("a journal"))).deliver(good.clone());
    assert!(matches!(delivery, Delivery::Waiting(..)), "{delivery:?}");
    let mut courier = Courier::new(Box::new(node.rpc.clone()), Some(Journal::open(&state).expect("a journal")));
    assert_eq!(courier.deliver_again(), [Delivery::Tip(good)]);
}

/// A miner that knows nothing but the wire.
struct WireMiner {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    jobs: Vec<Value>,
}

impl WireMiner {
    fn connect(at: SocketAddr) -> WireMiner {
        let writer = TcpStream::connect(at).expect("connect to the pool");
        writer.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        WireMiner { reader: BufReader::new(writer.try_clone().expect("a second handle")), writer, jobs: Vec::new() }
    }

    fn line(&mut self) -> Value {
        let mut text = String::new();
        assert!(self.reader.read_line(&mut text).expect("a line") > 0, "the pool closed the connection");
        serde_json::from_str(&text).expect("JSON")
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        writeln!(self.writer, "{}", json!({"id": 4, "method": method, "params": params})).expect("sent");
        loop {
            let line = self.line();
            if line["id"] == 4 {
                return line;
            }
            self.note(line);
        }
    }

    fn note(&mut self, line: Value) {
        if line["method"] == "mining.notify" {
            self.jobs.push(line["params"].clone());
        }
    }

    /// The job after those of `previous`.
    fn job(&mut self, previous: &Value) -> Value {
        loop {
            if let Some(job) = self.jobs.last().filter(|j| j[1] != *previous) {
                return job.clone();
            }
            let line = self.line();
            self.note(line);
        }
    }
}

#[test]
fn miners_on_the_wire_find_blocks_through_the_served_pool() {
    let node = RealNode::start("serve");
    let config = PoolConfig {
        address: "127.0.0.1:0".into(),
        max_connections: 2,
        solo: SoloConfig {
            script_pubkey: payout_script(bitcoin_sv(), PAYOUT).expect("an address of regtest"),
            tag: Vec::new(),
            share_difficulty: Difficulty::ONE,
            version_mask: bitcoin_sv().version_mask,
            first_job: 1,
            upstream: UpstreamId(0),
        },
        state: Some(node.place.folder.join("state")),
    };
    let (status, seen) = tokio::sync::watch::channel(PoolStatus::default());
    let rpc = Box::new(node.rpc.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                end = serve(config, rpc, status) => panic!("the pool ended: {end:?}"),
                _ = stopped => {}
            }
        });
    });
    let until = |what: &str, done: &dyn Fn(&PoolStatus) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done(&seen.borrow()) {
            assert!(Instant::now() < deadline, "not within 30 s: {what}: {:?}", *seen.borrow());
            std::thread::sleep(Duration::from_millis(20));
        }
        seen.borrow().clone()
    };
    let at = until("a template", &|s| s.height == Some(2)).listening.expect("it listens");

    let mut miner = WireMiner::connect(at);
    writeln!(miner.writer, "garbage").expect("sent");
    assert!(miner.line()["error"].is_array());
    let subscribed = miner.ask("mining.subscribe", json!(["test"]));
    let extranonce1 = hex::decode(subscribed["result"][1].as_str().expect("text")).expect("hex");
    assert_eq!(subscribed["result"][2], 8);
    assert_eq!(miner.ask("mining.authorize", json!(["worker.1", "x"]))["result"], true);
    let mut previous = Value::Null;
    for height in 2..=5u32 {
        let job = miner.job(&previous);
        previous = job[1].clone();
        assert_eq!(job[8], true, "a job on a new block is clean");
        let text = |i: usize| job[i].as_str().expect("text");
        let word = |i: usize| u32::from_str_radix(text(i), 16).expect("hex");
        let body = CoinbaseJob {
            version: word(5),
            version_mask: 0,
            // The wire swaps the bytes of each word.
            previous: Hash(
                hex::decode(text(1))
                    .expect("hex")
                    .chunks(4)
                    .flat_map(|w| w.iter().rev().copied())
                    .collect::<Vec<_>>()
                    .try_into()
                    .expect("32"),
            ),
            coinbase_prefix: hex::decode(text(2)).expect("hex"),
            coinbase_suffix: hex::decode(text(3)).expect("hex"),
            extranonce1: extranonce1.clone(),
            extranonce2_size: 8,
            branch: vec![],
            bits: word(6),
            time: word(7),
        };
        assert_eq!(job[4], json!([]));
        let header = body.header(&[7; 8]);
        let target = Target::from_compact(body.bits).expect("valid");
        let header =
            (0..1000).map(|nonce| model::Header { nonce, ..header }).find(|h| target.is_met_by(&h.hash())).expect("easy");
        let share = json!(["worker.1", text(0), "0707070707070707", text(7), format!("{:08x}", header.nonce)]);
        assert_eq!(miner.ask("mining.submit", share.clone())["result"], true);
        let again = miner.ask("mining.submit", share)["error"][0].clone();
        assert!(again == 22 || again == 21, "a repeat is a duplicate, or late once the block is the tip: {again}");
        until("our block is the tip", &|s| s.blocks == u64::from(height) - 1);
        let tip = node.rpc.call("getbestblockhash", json!([])).expect("the tip");
        assert_eq!(tip, json!(header.hash().to_explorer_hex()));
    }
    let status = until("the counts", &|s| s.workers.first().is_some_and(|w| w.shares.accepted == 4));
    assert_eq!((status.connections, status.blocks_lost, status.workers[0].name.as_str()), (1, 0, "worker.1"));

    // A block from elsewhere brings a new job as well; an endless line ends only its own connection.
    node.rpc.call("generatetoaddress", json!([1, PAYOUT])).expect("a block");
    assert_ne!(miner.job(&previous)[1], previous);
    let mut flood = WireMiner::connect(at);
    until("two miners", &|s| s.connections == 2);
    let mut third = TcpStream::connect(at).expect("connect");
    third.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    assert_eq!(third.read(&mut [0; 16]).unwrap_or(0), 0, "one more than the limit is closed");
    let _ = flood.writer.write_all(&[b'x'; 100_000]);
    until("the flood is gone", &|s| s.connections == 1);
    assert_eq!(miner.ask("mining.ping", json!([]))["result"], "pong");
    stop.send(()).expect("it still runs");
    server.join().expect("it ends cleanly");
}
