//! RandomX, version 1: Monero's proof of work, a random program for a virtual machine with floats, branches and 2 GiB of memory.
//!
//! Hashing is the library of RandomX's own authors, which `randomx-rs` carries; a node, a pool and a miner agree on every bit of
//! it. A key (a block's hash, another every 2,048 blocks) makes a [`Cache`] of 256 MiB. A [`Vm`] hashes by it alone (light, a
//! pool's way) or by a [`Dataset`] of 2,080 MiB made from it (fast, a miner's, some twenty times as fast), which threads of the
//! caller [`fill`] together. The C functions are called in `library`, and nowhere else; hashing allocates nothing.
//!
//! Not here: threads, which memory there is (the caller asks the kernel and then [`check_memory`]), and version 2, which the
//! library does not have yet. A board that cannot run it is built without the feature `randomx` and carries none of this.
//!
//! Rejected: `randomx-rs`'s own wrapper, which fills a dataset in one thread, cannot be shared by threads, and allocates for
//! every hash; `rust-randomx`, which binds the same library and gives no more.

mod blob;
mod cache;
mod dataset;
mod known;
mod library;
mod needs;
mod vm;
mod way;

pub use blob::{Blob, BlobError, NONCE_AT, Refusal};
pub use cache::{BuildError, Cache, MAX_KEY_BYTES};
pub use dataset::{Blank, Dataset, Part, fill};
pub use known::{SelfTestError, self_test};
pub use needs::{MemoryError, Mode, Version, VersionError, check_memory, memory_needed};
pub use vm::Vm;
pub use way::{Pages, Way, WayError};

/// Bytes of a cache.
pub const CACHE_BYTES: u64 = 256 << 20;
/// Bytes of a dataset: one item fewer than 2,080 MiB.
pub const DATASET_BYTES: u64 = (2080 << 20) - ITEM_BYTES;
/// Bytes that each thread works in.
pub const SCRATCHPAD_BYTES: u64 = 2 << 20;
/// Bytes of an item of a dataset.
pub const ITEM_BYTES: u64 = 64;

#[cfg(test)]
mod tests;
