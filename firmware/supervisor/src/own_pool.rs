//! The machine's own pool, from the settings: which coin, paid to whom, on which node. Not here: how a pool works (`pool`).

use crate::simulated::{SHARE_EXPONENT, practice_node, unix_seconds};
use model::settings::{Coin, Network, NodeCoin, Place, Problem, Settings};
use model::{Difficulty, UpstreamId};
use pool::address::payout_script;
use pool::coin::{self, COINS};
use pool::node::Node;
use pool::rpc::{RpcConfig, RpcNode};
use pool::server::PoolConfig;
use pool::solo::SoloConfig;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// The practice coin pays a script that anybody may spend: its coins are worth nothing.
const OP_TRUE: u8 = 0x51;
/// Job numbers begin at the start's second, with room for so many jobs each second, so that names never come again.
const JOBS_A_SECOND_BITS: u32 = 20;

/// A pool that is ready to be served.
pub struct OwnPool {
    /// What it is set to.
    pub config: PoolConfig,
    /// The coin's node.
    pub node: Box<dyn Node>,
}

/// The pool of the settings; `None` where nothing is named to mine, or nobody would mine it.
///
/// A pool that lets no others in still serves this machine where no upstream is set: at a free port of loopback.
///
/// # Errors
/// What is wrong with the coin, and where.
pub fn open(settings: &Settings, state: &Path) -> Result<Option<OwnPool>, Problem> {
    let pool = &settings.pool;
    let Some(first) = pool.coins.first() else { return Ok(None) };
    let address = match pool.enable {
        true => pool.address,
        false if settings.upstreams.is_empty() => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        false => return Ok(None),
    };
    // The practice coin comes first and once, so that a second coin has a node.
    if let Some(Coin::Node(second)) = pool.coins.get(1) {
        return Err(second.place.problem("'coins': this version mines one coin at a time; name one"));
    }
    let (solo, node, state): (_, Box<dyn Node>, _) = match first {
        Coin::Practice => {
            let kind = coin::coin("practice").ok_or_else(|| Place::default().problem("there is no practice coin"))?;
            (solo(kind, vec![OP_TRUE], Difficulty::power_of_two(SHARE_EXPONENT)), practice_node(), None)
        }
        Coin::Node(of) => {
            let kind = known(of)?;
            let script =
                payout_script(kind, &of.address).map_err(|e| of.place.problem(format!("'address' of {}: {e}", of.name)))?;
            let rpc = RpcConfig {
                address: of.rpc.url.to_string(),
                user: of.rpc.user.clone(),
                password: of.rpc.password.reveal().to_owned(),
            };
            (solo(kind, script, kind.share_difficulty()), Box::new(RpcNode::new(rpc, kind)), Some(state.to_owned()))
        }
    };
    let max_connections = usize::try_from(pool.max_connections).unwrap_or(usize::MAX);
    let config = PoolConfig { address: address.to_string(), max_connections, solo, state };
    Ok(Some(OwnPool { config, node }))
}

fn solo(coin: &coin::Coin, script_pubkey: Vec<u8>, share_difficulty: Difficulty) -> SoloConfig {
    SoloConfig {
        script_pubkey,
        tag: b"/otedama/".to_vec(),
        share_difficulty,
        version_mask: coin.version_mask,
        first_job: u64::from(unix_seconds()) << JOBS_A_SECOND_BITS,
        upstream: UpstreamId(0),
    }
}

/// A coin's other networks are entries of their own: `bitcoin` with `network: regtest` is `bitcoin-regtest`.
fn known(of: &NodeCoin) -> Result<&'static coin::Coin, Problem> {
    let name = match of.network {
        Network::Main => of.name.clone(),
        other => format!("{}-{}", of.name, other.word()),
    };
    coin::coin(&name).filter(|c| c.name != "practice").ok_or_else(|| {
        let names: Vec<&str> = COINS.iter().map(|c| c.name).filter(|n| *n != "practice").collect();
        of.place.problem(format!("'name': no coin '{name}'; known with their networks are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(coins: &str) -> Settings {
        let text = format!("pool: {{enable: true, coins: {coins}}}");
        model::settings::read(&text).expect("good settings").0
    }

    fn refused(coins: &str) -> String {
        match open(&pool(coins), Path::new("/nowhere")) {
            Err(problem) => problem.what,
            Ok(_) => panic!("{coins} was taken"),
        }
    }

    #[test]
    fn the_practice_coin_keeps_no_journal_and_no_coin_is_no_pool() {
        let own = open(&pool("[practice]"), Path::new("/nowhere")).expect("good").expect("a pool");
        assert_eq!((own.config.state, own.config.solo.script_pubkey), (None, vec![OP_TRUE]));
        assert!(open(&pool("[]"), Path::new("/nowhere")).expect("good").is_none());
    }

    #[test]
    fn a_pool_that_is_off_serves_this_machine_alone_and_only_without_upstreams() {
        let mut settings = pool("[practice]");
        settings.pool.enable = false;
        let own = open(&settings, Path::new("/nowhere")).expect("good").expect("a pool");
        assert_eq!(own.config.address, "127.0.0.1:0");
        let text = "pool: {enable: false, coins: [practice]}\nupstreams: [{url: 'stratum+tcp://a:1', user: u}]\n";
        let settings = model::settings::read(text).expect("good settings").0;
        assert!(open(&settings, Path::new("/nowhere")).expect("good").is_none());
    }

    #[test]
    fn a_network_is_part_of_the_coin_and_a_foreign_address_is_refused() {
        let rpc = "rpc: {url: 'http://127.0.0.1:8332', user: u, password: p}";
        let main = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
        let good = open(&pool(&format!("[{{name: bitcoin, {rpc}, address: {main}, network: main}}]")), Path::new("/s"));
        let own = good.expect("good").expect("a pool");
        assert_eq!((own.config.state.as_deref(), own.config.solo.script_pubkey.len()), (Some(Path::new("/s")), 22));
        assert!(refused(&format!("[{{name: bitcoin, {rpc}, address: {main}, network: regtest}}]")).contains("address"));
        assert!(refused(&format!("[{{name: dogecoin, {rpc}, address: {main}, network: main}}]")).contains("no coin 'dogecoin'"));
    }
}
