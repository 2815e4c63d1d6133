//! The coinbase transaction, in the halves between which a miner's extranonce stands, and the two merkle trees of a block.
//!
//! Not here: the root from a branch, which miners need too (`model::CoinbaseJob::merkle_root`).

use model::{Hash, sha256d};

/// Bytes of extranonce that tell our sessions apart: four billion of them before one comes again.
pub const EXTRANONCE1_SIZE: u8 = 4;
/// Bytes of extranonce that a miner rolls; rented hash power refuses fewer than four, and proxies split theirs further.
pub const EXTRANONCE2_SIZE: u8 = 8;
/// Longest coinbase script by consensus.
const SCRIPT_LIMIT: usize = 100;
/// Longest text of ours in it: what height and extranonce leave, with a reserve for a longer extranonce.
pub const TAG_LIMIT: usize = 60;

/// A coinbase, cut where the extranonce goes. No witness in it: this is the form whose hash is the transaction's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halves {
    /// Up to the extranonce.
    pub prefix: Vec<u8>,
    /// From behind it.
    pub suffix: Vec<u8>,
}

/// What a coinbase pays and says.
#[derive(Clone, Debug)]
pub struct Coinbase<'a> {
    /// Height of the block (BIP 34).
    pub height: u32,
    /// What it pays out.
    pub value: u64,
    /// To whom.
    pub script_pubkey: &'a [u8],
    /// The witness commitment's output script.
    pub witness_commitment: Option<&'a [u8]>,
    /// A word of ours; cut at [`TAG_LIMIT`].
    pub tag: &'a [u8],
}

impl Coinbase<'_> {
    /// Lays it out.
    #[must_use]
    pub fn halves(&self) -> Halves {
        let extranonce = EXTRANONCE1_SIZE + EXTRANONCE2_SIZE;
        let tag = &self.tag[..self.tag.len().min(TAG_LIMIT)];
        let mut script = height_script(self.height);
        script.push(extranonce); // a push of so many bytes
        let script_length = script.len() + usize::from(extranonce) + 1 + tag.len();
        assert!(script_length <= SCRIPT_LIMIT, "a coinbase script of {script_length} bytes");

        let mut prefix = vec![1, 0, 0, 0, 1]; // version 1, one input
        prefix.extend([0; 32]);
        prefix.extend([0xff; 4]);
        prefix.push(script_length as u8);
        prefix.extend(script);

        let mut suffix = vec![tag.len() as u8];
        suffix.extend(tag);
        suffix.extend([0xff; 4]);
        suffix.push(1 + u8::from(self.witness_commitment.is_some()));
        push_output(&mut suffix, self.value, self.script_pubkey);
        if let Some(commitment) = self.witness_commitment {
            push_output(&mut suffix, 0, commitment);
        }
        suffix.extend([0; 4]);
        Halves { prefix, suffix }
    }
}

fn push_output(out: &mut Vec<u8>, value: u64, script: &[u8]) {
    out.extend(value.to_le_bytes());
    push_count(out, script.len());
    out.extend(script);
}

/// A count in Bitcoin's variable length.
pub fn push_count(out: &mut Vec<u8>, n: usize) {
    match n {
        0..=0xfc => out.push(n as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend((n as u16).to_le_bytes());
        }
        _ => {
            out.push(0xfe);
            out.extend(u32::try_from(n).expect("counts and scripts are limited far below 2^32").to_le_bytes());
        }
    }
}

/// The height as BIP 34 wants it: the shortest push of a script number, so OP_1 to OP_16 are one byte.
#[must_use]
pub fn height_script(height: u32) -> Vec<u8> {
    match height {
        0 => vec![0],
        1..=16 => vec![0x50 + height as u8],
        _ => {
            let mut number = height.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            if number.last().is_some_and(|b| b & 0x80 != 0) {
                number.push(0); // the top bit is a sign
            }
            [vec![number.len() as u8], number].concat()
        }
    }
}

/// The coinbase as it stands in a block with SegWit: marker, flag, and the reserved value of zeros that the commitment was made with.
#[must_use]
pub fn with_witness(coinbase: &[u8]) -> Vec<u8> {
    let (body, lock_time) = coinbase.split_at(coinbase.len() - 4);
    [&body[..4], &[0, 1], &body[4..], &[1, 32], &[0; 32], lock_time].concat()
}

fn pair(a: &Hash, b: &Hash) -> Hash {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&a.0);
    both[32..].copy_from_slice(&b.0);
    sha256d(&both)
}

/// The hashes that lead from the coinbase to the root, for the ids of all transactions but the coinbase.
#[must_use]
pub fn merkle_branch(txids: &[Hash]) -> Vec<Hash> {
    // The coinbase's own place is left out of each level, so a level's first hash is always the sibling.
    let (mut level, mut branch) = (txids.to_vec(), Vec::new());
    while let Some((sibling, rest)) = level.split_first() {
        branch.push(*sibling);
        level = rest.chunks(2).map(|c| pair(&c[0], c.get(1).unwrap_or(&c[0]))).collect();
    }
    branch
}

/// The root of a whole tree from its leaves; zeros for none.
#[must_use]
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    let Some((first, rest)) = leaves.split_first() else { return Hash::default() };
    merkle_branch(rest).iter().fold(*first, |node, sibling| pair(&node, sibling))
}

/// The output script that commits to all witnesses (BIP 141), for the witness ids of all transactions but the coinbase.
#[must_use]
pub fn witness_commitment(witness_ids: &[Hash]) -> Vec<u8> {
    let leaves = [&[Hash::default()], witness_ids].concat();
    let commitment = pair(&merkle_root(&leaves), &Hash::default());
    [&[0x6a, 36, 0xaa, 0x21, 0xa9, 0xed], commitment.0.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn hashes(list: &[&str]) -> Vec<Hash> {
        list.iter().map(|h| hex::hash(h).expect("a hash")).collect()
    }

    #[test]
    fn the_tree_of_block_100000() {
        let ids = hashes(&[
            "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
            "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
            "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
            "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
        ]);
        let root = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766";
        assert_eq!(merkle_root(&ids).to_explorer_hex(), root);
        assert_eq!(merkle_branch(&ids[1..]).len(), 2);
    }

    #[test]
    fn odd_levels_repeat_their_last_hash() {
        let h = |n| Hash([n; 32]);
        let wanted = pair(&pair(&h(1), &h(2)), &pair(&h(3), &h(3)));
        assert_eq!(merkle_root(&[h(1), h(2), h(3)]), wanted);
        let right = pair(&h(5), &h(5));
        let wanted = pair(&pair(&pair(&h(1), &h(2)), &pair(&h(3), &h(4))), &pair(&right, &right));
        assert_eq!(merkle_root(&[h(1), h(2), h(3), h(4), h(5)]), wanted);
    }

    #[test]
    fn heights_are_pushed_in_the_shortest_way() {
        for (height, script) in [(0, "00"), (1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (255, "02ff00")]
        {
            assert_eq!(hex::encode(&height_script(height)), script, "{height}");
        }
        // Blocks 227,931 (the first that had to) and 840,000.
        assert_eq!(hex::encode(&height_script(227_931)), "035b7a03");
        assert_eq!(hex::encode(&height_script(840_000)), "0340d10c");
    }

    #[test]
    fn the_commitment_of_a_block_without_transactions() {
        let wanted = "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9";
        assert_eq!(hex::encode(&witness_commitment(&[])), wanted);
    }

    #[test]
    fn halves_and_extranonce_make_the_transaction() {
        let script = [0x51];
        let coinbase = Coinbase {
            height: 840_000,
            value: 312_500_000,
            script_pubkey: &script,
            witness_commitment: Some(&[0x6a]),
            tag: b"tag",
        };
        let halves = coinbase.halves();
        let whole = [halves.prefix.as_slice(), &[0xee; 12], &halves.suffix].concat();
        let wanted = concat!(
            "01000000",
            "01",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "ffffffff",
            "15",
            "0340d10c",
            "0c",
            "eeeeeeeeeeeeeeeeeeeeeeee",
            "03",
            "746167",
            "ffffffff",
            "02",
            "205fa01200000000",
            "01",
            "51",
            "0000000000000000",
            "01",
            "6a",
            "00000000"
        );
        assert_eq!(hex::encode(&whole), wanted);
        let witness = hex::encode(&with_witness(&whole));
        assert!(witness.starts_with("01000000000101"), "{witness}");
        assert!(witness.ends_with(&format!("6a0120{}00000000", "00".repeat(32))), "{witness}");
    }

    #[test]
    fn a_long_tag_is_cut_and_never_breaks_consensus() {
        let tag = [b'x'; 500];
        let coinbase = Coinbase { height: u32::MAX, value: 1, script_pubkey: &[], witness_commitment: None, tag: &tag };
        let halves = coinbase.halves();
        assert!(usize::from(halves.prefix[41]) <= SCRIPT_LIMIT);
    }

    #[test]
    fn counts_of_every_length() {
        for (n, wanted) in [(0xfc, "fc"), (0xfd, "fdfd00"), (0xffff, "fdffff"), (0x1_0000, "fe00000100")] {
            let mut out = Vec::new();
            push_count(&mut out, n);
            assert_eq!(hex::encode(&out), wanted);
        }
    }
}
