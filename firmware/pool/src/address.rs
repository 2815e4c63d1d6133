//! From the address in the settings to the script that the coinbase pays to.
//!
//! An address of another network is refused by name: a block that pays to nobody's key is lost for ever. Not here: keys and
//! signatures, which a pool never sees.

use crate::coin::{COINS, Coin};

/// Longest address that is read at all; the longest valid one has 90 characters.
const ADDRESS_LIMIT: usize = 100;

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither base58 nor bech32, or a wrong checksum: a mistyped address.
    #[error("'{0}' is not an address: a character is wrong or missing")]
    Malformed(String),
    /// A good address of another network.
    #[error("'{address}' is an address of {found}, and the coin is {wanted}")]
    WrongNetwork {
        /// The address.
        address: String,
        /// A network that it belongs to.
        found: &'static str,
        /// The network of the settings.
        wanted: &'static str,
    },
    /// A prefix that no coin here has.
    #[error("'{0}' is an address of a network that is not known here")]
    UnknownNetwork(String),
    /// A witness version that nobody can spend yet.
    #[error("'{address}' is of witness version {version} with {bytes} bytes, which cannot be spent safely")]
    Witness {
        /// The address.
        address: String,
        /// Its witness version.
        version: u8,
        /// Length of its program.
        bytes: usize,
    },
}

/// The output script that pays to `address` on `coin`'s network.
///
/// # Errors
/// The address is mistyped, belongs to another network, or cannot be spent.
pub fn payout_script(coin: &Coin, address: &str) -> Result<Vec<u8>, AddressError> {
    let shown = || address.chars().take(ADDRESS_LIMIT).collect::<String>();
    if address.len() > ADDRESS_LIMIT {
        return Err(AddressError::Malformed(shown()));
    }
    if let Ok((hrp, version, program)) = bech32::segwit::decode(address) {
        let hrp = hrp.to_lowercase();
        belongs(coin, &shown(), |c| c.bech32 == Some(hrp.as_str()))?;
        return match (version.to_u8(), program.len()) {
            (0, 20 | 32) => Ok([&[0x00, program.len() as u8], program.as_slice()].concat()),
            (1, 32) => Ok([&[0x51, 32], program.as_slice()].concat()),
            (version, bytes) => Err(AddressError::Witness { address: shown(), version, bytes }),
        };
    }
    let bytes = bs58::decode(address).with_check(None).into_vec().map_err(|_| AddressError::Malformed(shown()))?;
    let Some((&prefix, hash)) = bytes.split_first().filter(|(_, hash)| hash.len() == 20) else {
        return Err(AddressError::Malformed(shown()));
    };
    belongs(coin, &shown(), |c| c.p2pkh == prefix || c.p2sh == Some(prefix))?;
    Ok(if coin.p2pkh == prefix {
        [&[0x76, 0xa9, 20], hash, &[0x88, 0xac]].concat() // DUP HASH160 <hash> EQUALVERIFY CHECKSIG
    } else {
        [&[0xa9, 20], hash, &[0x87]].concat() // HASH160 <hash> EQUAL
    })
}

fn belongs(coin: &Coin, address: &str, fits: impl Fn(&Coin) -> bool) -> Result<(), AddressError> {
    if fits(coin) {
        return Ok(());
    }
    Err(match COINS.iter().find(|c| fits(c)) {
        Some(other) => AddressError::WrongNetwork { address: address.to_owned(), found: other.name, wanted: coin.name },
        None => AddressError::UnknownNetwork(address.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{coin::coin, hex};

    fn script(coin_name: &str, address: &str) -> Result<String, AddressError> {
        payout_script(coin(coin_name).expect("listed"), address).map(|s| hex::encode(&s))
    }

    #[test]
    fn known_addresses_give_their_scripts() {
        for (name, address, wanted) in [
            // The genesis block's key; BIP 16's and BIP 173's own examples; BIP 350's example of a taproot address.
            ("bitcoin", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
            ("bitcoin", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"),
            ("bitcoin", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
            (
                "bitcoin",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
                "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            ),
            (
                "bitcoin-testnet",
                "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
                "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
            ),
        ] {
            assert_eq!(script(name, address).as_deref(), Ok(wanted), "{address}");
        }
    }

    #[test]
    fn another_network_is_refused_by_name() {
        let e = script("bitcoin-regtest", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa").expect_err("mainnet");
        assert!(e.to_string().contains("an address of bitcoin, and the coin is bitcoin-regtest"), "{e}");
        let e = script("bitcoin", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx").expect_err("testnet");
        assert!(matches!(e, AddressError::WrongNetwork { found: "bitcoin-testnet", .. }), "{e}");
        // Bitcoin SV has no SegWit and no script hashes, whatever network they are of.
        assert!(script("bitcoinsv-regtest", "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc").is_err());
    }

    #[test]
    fn mistyped_addresses_are_refused() {
        for bad in [
            "",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx", // version 1 with a version 0 checksum
            &"1".repeat(5000),
            "é",
        ] {
            assert!(script("bitcoin", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn witness_versions_of_the_future_are_refused() {
        let e = script("bitcoin", "BC1SW50QGDZ25J").expect_err("version 16");
        assert!(matches!(e, AddressError::Witness { version: 16, .. }), "{e}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~é]{0,110}") {
            proptest::prop_assert!(script("bitcoin", &text).is_err());
        }
    }
}
