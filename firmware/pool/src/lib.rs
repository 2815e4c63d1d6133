//! Being a pool: templates, sessions, share validation, coin nodes.
//!
//! [`solo::SoloPool`] decides and does no I/O; [`node::Node`] is the seam to a coin; [`server`] carries bytes between miners, the
//! pool and the node. Pays whole blocks to one address: a ledger, rewards and payouts are not here yet.

pub mod address;
pub mod block;
pub mod coin;
pub mod coinbase;
pub mod courier;
pub mod hex;
pub mod journal;
pub mod keeper;
pub mod node;
pub mod rpc;
pub mod server;
pub mod solo;
pub mod template;
