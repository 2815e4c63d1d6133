//! What a coin node wants mined: the result of `getblocktemplate`, checked on the way in.
//!
//! A damaged template would cost a block, so whatever can be compared is compared: target with bits, the witness commitment with
//! the transactions. Not here: fetching it (`rpc`) and turning it into a job (`solo`).

use model::{Hash, Target};
use serde::Deserialize;

use crate::{coinbase, hex};

/// Most transactions in a template; a full Bitcoin block has about 7,000, the largest of Bitcoin SV about 2,000,000, which no
/// machine of this kind can hold.
pub const TRANSACTIONS_LIMIT: usize = 200_000;
/// Longest long-poll name that is kept; Bitcoin's has 65 characters or a few more.
const LONGPOLL_LIMIT: usize = 256;
/// Soft forks that need nothing of a miner beyond what is done here. A leading `!` in a template marks those that do matter.
const RULES: &[&str] = &["csv", "segwit", "taproot", "testdummy", "bip34", "bip65", "bip66"];

/// One transaction besides the coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// As it stands in the block, witness included.
    pub data: Vec<u8>,
    /// Its id, computed order: without witness.
    pub txid: Hash,
}

/// What a node wants mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Header version.
    pub version: u32,
    /// The block to build on, computed order.
    pub previous: Hash,
    /// Height of the block to be.
    pub height: u32,
    /// Compact block target.
    pub bits: u32,
    /// The node's time, seconds.
    pub time: u32,
    /// Earliest time that the chain accepts.
    pub min_time: u32,
    /// What the coinbase may pay out, in the smallest unit.
    pub coinbase_value: u64,
    /// Transactions besides the coinbase, in order.
    pub transactions: Vec<Transaction>,
    /// Output script of the witness commitment, where the block needs one.
    pub witness_commitment: Option<Vec<u8>>,
    /// Name to wait with for the next template, where the node offers that.
    pub longpoll_id: Option<String>,
}

/// Why a template cannot be mined.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not the JSON of a template.
    #[error("read the template: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that does not hold what it must.
    #[error("read the template's '{0}'")]
    Field(&'static str),
    /// Too many transactions.
    #[error("a template with {0} transactions (limit {TRANSACTIONS_LIMIT})")]
    Transactions(usize),
    /// A soft fork that must be understood to mine, and is not.
    #[error("the chain's rule '{0}' is not known here; a newer version is needed to mine it")]
    Rule(String),
    /// `target` is not what `bits` says.
    #[error("the template's target and bits disagree")]
    Target,
    /// The commitment does not belong to the transactions.
    #[error("the template's witness commitment is not that of its transactions")]
    Commitment,
}

#[derive(Deserialize)]
struct Raw {
    version: i64,
    previousblockhash: String,
    height: u32,
    bits: String,
    target: Option<String>,
    curtime: u32,
    mintime: Option<u32>,
    coinbasevalue: u64,
    transactions: Vec<RawTransaction>,
    default_witness_commitment: Option<String>,
    longpollid: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Deserialize)]
struct RawTransaction {
    data: String,
    txid: Option<String>,
    hash: Option<String>,
}

impl Template {
    /// Reads the `result` of `getblocktemplate`.
    ///
    /// # Errors
    /// What is missing, malformed, contradictory or not understood.
    pub fn from_json(value: serde_json::Value) -> Result<Template, TemplateError> {
        use TemplateError::Field;
        let raw: Raw = serde_json::from_value(value)?;
        if raw.transactions.len() > TRANSACTIONS_LIMIT {
            return Err(TemplateError::Transactions(raw.transactions.len()));
        }
        if let Some(rule) = raw.rules.iter().find(|r| r.strip_prefix('!').is_some_and(|r| !RULES.contains(&r))) {
            return Err(TemplateError::Rule(rule.chars().take(40).collect()));
        }
        let bits = (raw.bits.len() == 8).then(|| u32::from_str_radix(&raw.bits, 16).ok()).flatten().ok_or(Field("bits"))?;
        let target = Target::from_compact(bits).ok_or(Field("bits"))?;
        if let Some(text) = raw.target {
            let said: [u8; 32] = hex::decode(&text).and_then(|b| b.try_into().ok()).ok_or(Field("target"))?;
            if Target::from_be_bytes(said) != target {
                return Err(TemplateError::Target);
            }
        }
        // Before SegWit is active a node may offer a commitment all the same, and refuses a block that carries a witness.
        let segwit = raw.rules.iter().any(|r| r.trim_start_matches('!') == "segwit");
        let witness_commitment = raw
            .default_witness_commitment
            .filter(|_| segwit)
            .map(|c| hex::decode(&c).ok_or(Field("default_witness_commitment")))
            .transpose()?;
        let mut transactions = Vec::with_capacity(raw.transactions.len());
        let mut witness_ids = Vec::with_capacity(raw.transactions.len());
        for t in &raw.transactions {
            let hash = t.hash.as_deref().map(|h| hex::hash(h).ok_or(Field("transactions.hash"))).transpose()?;
            // Before SegWit `hash` is the id.
            let txid = match &t.txid {
                Some(id) => hex::hash(id).ok_or(Field("transactions.txid"))?,
                None => hash.filter(|_| witness_commitment.is_none()).ok_or(Field("transactions.txid"))?,
            };
            witness_ids.extend(hash);
            transactions.push(Transaction { data: hex::decode(&t.data).ok_or(Field("transactions.data"))?, txid });
        }
        if let Some(said) = &witness_commitment {
            let complete = witness_ids.len() == transactions.len();
            if complete && *said != coinbase::witness_commitment(&witness_ids) {
                return Err(TemplateError::Commitment);
            }
        }
        Ok(Template {
            version: u32::try_from(raw.version & 0xffff_ffff).map_err(|_| Field("version"))?,
            previous: hex::hash(&raw.previousblockhash).ok_or(Field("previousblockhash"))?,
            height: raw.height,
            bits,
            time: raw.curtime,
            min_time: raw.mintime.unwrap_or(raw.curtime).min(raw.curtime),
            coinbase_value: raw.coinbasevalue,
            transactions,
            witness_commitment,
            longpoll_id: raw.longpollid.filter(|l| l.len() <= LONGPOLL_LIMIT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "capabilities": ["proposal"], "version": 536_870_912, "rules": ["csv", "!segwit", "taproot"],
            "previousblockhash": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            "transactions": [], "coinbaseaux": {}, "coinbasevalue": 5_000_000_000u64, "longpollid": "0f91880",
            "target": "7fffff0000000000000000000000000000000000000000000000000000000000", "mintime": 1_296_688_603,
            "curtime": 1_700_000_000, "bits": "207fffff", "height": 1,
            // Bitcoin Core's commitment of a block that holds nothing but its coinbase.
            "default_witness_commitment": "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
        })
    }

    #[test]
    fn a_template_of_bitcoin_core_is_read() {
        let t = Template::from_json(good()).expect("good");
        assert_eq!((t.version, t.height, t.bits, t.min_time), (0x2000_0000, 1, 0x207f_ffff, 1_296_688_603));
        assert_eq!(t.previous.to_explorer_hex(), "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206");
        assert_eq!(t.witness_commitment.map(|c| c.len()), Some(38));
        assert_eq!(t.longpoll_id.as_deref(), Some("0f91880"));
    }

    #[test]
    fn no_witness_before_segwit_is_active() {
        let mut t = good();
        t["rules"] = json!([]);
        assert_eq!(Template::from_json(t).expect("good").witness_commitment, None);
    }

    #[test]
    fn what_contradicts_itself_or_is_not_understood_is_refused() {
        for (field, value, words) in [
            ("bits", json!("1d00ffff"), "disagree"),
            ("bits", json!("00000000"), "'bits'"),
            ("bits", json!("+1d00fff"), "'bits'"),
            ("rules", json!(["!mweb"]), "'!mweb'"),
            ("previousblockhash", json!("00"), "previousblockhash"),
            ("coinbasevalue", json!(-1), "read the template"),
            ("coinbasevalue", Value::Null, "read the template"),
            ("default_witness_commitment", json!("6a24aa21a9ed00"), "commitment"),
            ("transactions", json!([{"data": "0"}]), "txid"),
            ("transactions", json!([{"data": "0", "txid": "00".repeat(32)}]), "transactions.data"),
        ] {
            let mut t = good();
            t[field] = value.clone();
            let e = Template::from_json(t).expect_err(field).to_string();
            assert!(e.contains(words), "{field} = {value}: {e}");
        }
        assert!(Template::from_json(json!("nonsense")).is_err());
    }

    proptest::proptest! {
        /// A node's answer with any byte changed is read or refused, and a read one can be made into a job's halves.
        #[test]
        fn a_changed_byte_never_panics(at in 0usize..2000, byte in 0u8..) {
            let mut text = good().to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            if let Some(t) = serde_json::from_slice(&text).ok().and_then(|v| Template::from_json(v).ok()) {
                let commitment = t.witness_commitment.as_deref();
                let of = coinbase::Coinbase {
                    height: t.height, value: t.coinbase_value, script_pubkey: &[0x51], witness_commitment: commitment, tag: b"t",
                };
                proptest::prop_assert!(of.halves().prefix.len() > 40);
            }
        }
    }
}
