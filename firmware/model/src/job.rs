//! `Job` (what a pool offers) and `Work` (one header space of it, for one hand).

use crate::{ChainId, Hash, Header, Target, hash::sha256d};

/// One of the pools in the order of the settings, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u8);

/// Our own number of a job: unique in a process, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Our own number of a piece of work: unique in a process, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// Longest extranonce1 + extranonce2, bytes: what fits a coinbase script beside the height (100 bytes in all by consensus).
pub const EXTRANONCE_LIMIT: usize = 32;
/// Longest merkle branch: 2^32 transactions.
pub const BRANCH_LIMIT: usize = 32;
/// Longest coinbase half, bytes. Real ones are below 4 kB; a federation's with 500 outputs is 17 kB.
pub const COINBASE_LIMIT: usize = 64 * 1024;

/// What a pool offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Our number.
    pub id: JobId,
    /// Who offered it.
    pub upstream: UpstreamId,
    /// The pool's own name for it, echoed with each share.
    pub name: String,
    /// What is hashed.
    pub body: JobBody,
    /// What a share must meet.
    pub target: Target,
    /// Whether all earlier jobs of this upstream are void.
    pub clean: bool,
}

/// What is hashed, by family of coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobBody {
    /// Bitcoin's family: a coinbase to finish, a merkle branch and a header.
    Coinbase(CoinbaseJob),
}

/// A job of Bitcoin's family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseJob {
    /// Header version without rolled bits.
    pub version: u32,
    /// Bits of the version that may be rolled (BIP 320); 0 = none.
    pub version_mask: u32,
    /// Previous block, computed order.
    pub previous: Hash,
    /// Coinbase bytes before the extranonces.
    pub coinbase_prefix: Vec<u8>,
    /// Coinbase bytes behind them.
    pub coinbase_suffix: Vec<u8>,
    /// The pool's share of the extranonce.
    pub extranonce1: Vec<u8>,
    /// Bytes of extranonce that are ours to roll, 1 to 16.
    pub extranonce2_size: u8,
    /// Merkle branch from the coinbase up, computed order.
    pub branch: Vec<Hash>,
    /// Compact block target.
    pub bits: u32,
    /// Header time, seconds.
    pub time: u32,
}

/// Why a job cannot be mined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// More or fewer extranonce bytes than we can roll.
    #[error("extranonce of {extranonce1} + {extranonce2} bytes (1 to 16 to roll, {EXTRANONCE_LIMIT} in all)")]
    Extranonce {
        /// The pool's bytes.
        extranonce1: usize,
        /// Ours.
        extranonce2: usize,
    },
    /// A merkle branch deeper than any block's.
    #[error("a merkle branch of {0} hashes (limit {BRANCH_LIMIT})")]
    Branch(usize),
    /// A coinbase that is too long.
    #[error("a coinbase half of {0} bytes (limit {COINBASE_LIMIT})")]
    Coinbase(usize),
    /// A compact target that is zero, negative or beyond 256 bits.
    #[error("nBits {0:08x} is not a target")]
    Bits(u32),
}

impl CoinbaseJob {
    /// Checks every limit before the job is let in.
    ///
    /// # Errors
    /// The first limit that is broken.
    pub fn check(&self) -> Result<(), JobError> {
        let (one, two) = (self.extranonce1.len(), usize::from(self.extranonce2_size));
        if two == 0 || two > 16 || one + two > EXTRANONCE_LIMIT {
            return Err(JobError::Extranonce { extranonce1: one, extranonce2: two });
        }
        if self.branch.len() > BRANCH_LIMIT {
            return Err(JobError::Branch(self.branch.len()));
        }
        let longest = self.coinbase_prefix.len().max(self.coinbase_suffix.len());
        if longest > COINBASE_LIMIT {
            return Err(JobError::Coinbase(longest));
        }
        Target::from_compact(self.bits).ok_or(JobError::Bits(self.bits)).map(|_| ())
    }

    /// How many different extranonce2 values there are, as the last one (2^(8·size) − 1, at most 2^64 − 1).
    #[must_use]
    pub fn last_extranonce2(&self) -> u64 {
        if self.extranonce2_size >= 8 { u64::MAX } else { (1 << (8 * u32::from(self.extranonce2_size))) - 1 }
    }

    /// The bytes of an extranonce2: big-endian, left-padded to the size.
    #[must_use]
    pub fn extranonce2_bytes(&self, extranonce2: u64) -> Vec<u8> {
        let (size, b) = (usize::from(self.extranonce2_size), extranonce2.to_be_bytes());
        let mut out = vec![0; size];
        let n = size.min(8);
        out[size - n..].copy_from_slice(&b[8 - n..]);
        out
    }

    /// The whole coinbase transaction with these extranonce2 bytes.
    #[must_use]
    pub fn coinbase(&self, extranonce2: &[u8]) -> Vec<u8> {
        [&self.coinbase_prefix, &self.extranonce1, extranonce2, &self.coinbase_suffix].concat()
    }

    /// The merkle root with these extranonce2 bytes.
    #[must_use]
    pub fn merkle_root(&self, extranonce2: &[u8]) -> Hash {
        self.branch.iter().fold(sha256d(&self.coinbase(extranonce2)), |node, sibling| {
            let mut pair = [0; 64];
            pair[..32].copy_from_slice(&node.0);
            pair[32..].copy_from_slice(&sibling.0);
            sha256d(&pair)
        })
    }

    /// The header with these extranonce2 bytes, nonce 0 and no version bit rolled.
    #[must_use]
    pub fn header(&self, extranonce2: &[u8]) -> Header {
        Header {
            version: self.version,
            previous: self.previous,
            merkle_root: self.merkle_root(extranonce2),
            time: self.time,
            bits: self.bits,
            nonce: 0,
        }
    }
}

/// One header space for one hand: every nonce, and every version within the mask, of one merkle root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Our number.
    pub id: WorkId,
    /// The job it belongs to.
    pub job: JobId,
    /// Who works on it.
    pub chain: ChainId,
    /// The header, nonce 0.
    pub header: Header,
    /// Version bits that may be rolled.
    pub version_mask: u32,
    /// The extranonce2 bytes that the merkle root was made with.
    pub extranonce2: Vec<u8>,
}
