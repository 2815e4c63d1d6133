//! Stratum v1: JSON, one message a line, for coins of Bitcoin's family.
//!
//! [`Client`] mines for a pool, [`Session`] is one miner of ours, `wire` is what they share. Not here: sockets.

mod client;
mod server;
pub mod wire;

pub use client::{Client, ClientError, ClientEvent, HANDSHAKE_LIMIT, NO_ANSWER, SILENCE_LIMIT, VERDICT_LIMIT};
pub use server::{
    AUTHORIZE_LIMIT, CloseReason, SUBSCRIBE_LIMIT, Session, SessionEvent, Submission, Token, UNANSWERED_LIMIT, notify_line,
};
