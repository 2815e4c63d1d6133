//! The proofs of work: hash, verify, and search on a CPU.
//!
//! One folder an algorithm: [`sha256d`](mod@sha256d), [`scrypt`](mod@scrypt), [`ethash`], [`kawpow`], and with the feature of that
//! name `randomx`. All of them but that are a [`ProofOfWork`]: they hash one nonce, verify a claim, and search many nonces. Which
//! instructions do the work is a [`Path`], chosen when the program runs: by their usual order, or by [`calibrate`]. Not here:
//! threads, clocks, memory of the operating system (RandomX's library takes its own), and which nonces to try next; nothing
//! allocates while it hashes.

mod calibrate;
pub mod ethash;
pub mod kawpow;
mod keccak;
mod line;
mod path;
mod proof;
#[cfg(feature = "randomx")]
pub mod randomx;
pub mod scrypt;
pub mod sha256d;

pub use calibrate::{Rate, calibrate};
pub use line::Line;
pub use model::sha256d;
pub use path::{Path, PathError};
pub use proof::{ProofOfWork, Refusal};
pub use sha256d::{Midstate, Search, SelfTestError, self_test, verify};
