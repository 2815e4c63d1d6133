//! `Nonce` (what a hand found), `Share` (verified, meets a target) and `Verdict` (what the pool said).

use crate::{ChainId, ChipAt, Difficulty, Hash, JobId, UpstreamId, WorkId};

/// What a hand found, already hashed by the hand. One whose hash misses the ticket is a hardware error, never a `Nonce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// The work it solves.
    pub work: WorkId,
    /// Who found it.
    pub chain: ChainId,
    /// Which chip and core, where the chip tells.
    pub chip: Option<ChipAt>,
    /// The header's nonce.
    pub nonce: u32,
    /// The header's whole version, rolled bits in place.
    pub version: u32,
    /// The hash of the finished header, by our own computation.
    pub hash: Hash,
}

/// Our own number of a share: unique in a process, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId(pub u64);

/// A verified nonce that meets its job's target: what is sent to a pool. The one `Share` of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Our number, to match the verdict.
    pub id: ShareId,
    /// Where it goes.
    pub upstream: UpstreamId,
    /// Our number of its job.
    pub job: JobId,
    /// The pool's name of its job.
    pub job_name: String,
    /// The rolled extranonce bytes.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub time: u32,
    /// Header nonce.
    pub nonce: u32,
    /// The rolled version bits alone (version & mask); `None` where the pool allows no rolling.
    pub version_bits: Option<u32>,
    /// Its hash.
    pub hash: Hash,
    /// The difficulty that its own hash reached, for the best-share display.
    pub reached: Difficulty,
}

/// Why a pool refused a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The same share was sent before.
    Duplicate,
    /// Above the target.
    LowDifficulty,
    /// The pool knows no such worker.
    Unauthorized,
    /// Anything else, in the pool's words (shortened to 200 characters).
    Other(String),
}

/// What became of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// Its job was superseded.
    Stale,
    /// It does not count.
    Rejected(Reject),
}
