//! The wire to and from pools: Stratum v1, client and server halves.
//!
//! Both halves are state machines that are told lines and time and give back lines and events; [`net`] is the one file that
//! carries bytes. Not here: choosing a pool (`control`), checking a share (`pool`), any clock or thread.

pub mod net;
mod url;
pub mod v1;

pub use url::{Scheme, Url, UrlError};
