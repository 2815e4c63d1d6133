//! The coins that can be mined here: one entry of data each. A new coin of Bitcoin's family is a new entry and no code.
//!
//! Not here: the subsidy (the template says it) and where the node is (a setting).

use model::Difficulty;

/// What differs between the coins of Bitcoin's family.
#[derive(Debug, PartialEq, Eq)]
pub struct Coin {
    /// The word of the settings: `coins: [bitcoin]`.
    pub name: &'static str,
    /// First byte of a base58 address that pays to a key's hash.
    pub p2pkh: u8,
    /// First byte of a base58 address that pays to a script's hash; `None` where the chain refuses such outputs.
    pub p2sh: Option<u8>,
    /// The human-readable part of a bech32 address; `None` where the chain has no SegWit.
    pub bech32: Option<&'static str>,
    /// What `getblocktemplate` must be asked with.
    pub rules: &'static [&'static str],
    /// Version bits that miners may roll.
    pub version_mask: u32,
    /// log2 of the share difficulty where the settings name none.
    pub share_exponent: i32,
}

/// The bits that BIP 320 leaves to miners.
pub const BIP320_MASK: u32 = 0x1fff_e000;

impl Coin {
    /// The share difficulty where the settings name none.
    #[must_use]
    pub fn share_difficulty(&self) -> Difficulty {
        Difficulty::power_of_two(self.share_exponent)
    }
}

const BITCOIN: Coin = Coin {
    name: "bitcoin",
    p2pkh: 0x00,
    p2sh: Some(0x05),
    bech32: Some("bc"),
    rules: &["segwit"],
    version_mask: BIP320_MASK,
    // 100 TH/s then sends a share every 0.7 s at 2^14; one machine at home is the usual solo miner.
    share_exponent: 14,
};

const BITCOIN_TESTNET: Coin = Coin { name: "bitcoin-testnet", p2pkh: 0x6f, p2sh: Some(0xc4), bech32: Some("tb"), ..BITCOIN };

const BITCOIN_REGTEST: Coin = Coin { name: "bitcoin-regtest", bech32: Some("bcrt"), share_exponent: -18, ..BITCOIN_TESTNET };

/// Every coin, in the order in which they are listed to a user.
pub const COINS: &[Coin] = &[
    BITCOIN,
    BITCOIN_TESTNET,
    BITCOIN_REGTEST,
    // bcoin's own regression chain: its prefixes are nobody else's.
    Coin { name: "bcoin-regtest", p2pkh: 0x3c, p2sh: Some(0x26), bech32: Some("rb"), ..BITCOIN_REGTEST },
    // Bitcoin SV refuses pay-to-script-hash outputs since its block 620,538, and never had SegWit.
    Coin { name: "bitcoinsv-regtest", p2sh: None, bech32: None, rules: &[], ..BITCOIN_REGTEST },
    // The practice chain of this program; its addresses are as worthless as those of a regression chain, and look so.
    Coin { name: "practice", rules: &[], ..BITCOIN_REGTEST },
];

/// The coin of that name.
#[must_use]
pub fn coin(name: &str) -> Option<&'static Coin> {
    COINS.iter().find(|c| c.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for c in COINS {
            assert_eq!(COINS.iter().filter(|o| o.name == c.name).count(), 1, "{}", c.name);
            assert_eq!(coin(c.name), Some(c));
        }
        assert_eq!(coin("dogecoin"), None);
    }
}
