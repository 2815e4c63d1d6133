//! The proofs of work: hash, verify, and search on a CPU.
//!
//! One folder an algorithm: [`sha256d`](mod@sha256d), [`scrypt`](mod@scrypt), [`ethash`], [`kawpow`], and with the feature of that
//! name `randomx`. Each has `verify`, which hashes one header, and a search, which tries many nonces of one. Which instructions do
//! the work is a [`Path`], chosen when the program runs: by their usual order, or by [`calibrate`]. Not here: threads, clocks,
//! memory of the operating system (RandomX's library takes its own), and which nonces to try next; nothing allocates while it
//! hashes.

mod calibrate;
pub mod ethash;
pub mod kawpow;
mod keccak;
mod path;
#[cfg(feature = "randomx")]
pub mod randomx;
pub mod scrypt;
pub mod sha256d;

pub use calibrate::{Rate, calibrate};
pub use model::sha256d;
pub use path::{Path, PathError};
pub use sha256d::{Midstate, Search, SelfTestError, self_test, verify};
