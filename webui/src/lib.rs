//! The page, and the HTTP interface that feeds it.
//!
//! It shows the latest [`model::Status`] and sends [`model::Command`]; it never reaches further. Three listeners, each handed in
//! already bound: the page with its interface ([`serve`]), health ([`serve_health`]) and metrics ([`serve_metrics`]). Each sits
//! behind the gate of `gate.rs`, which holds what tiny_http lacks: caps and deadlines.
//! Not here: sign-in, TLS and the WebSocket.

mod answer;
mod gate;
mod guard;
mod health;
mod metrics;
mod page;
mod route;
mod server;
mod shared;

pub use gate::Limits;
pub use health::serve_health;
pub use metrics::serve_metrics;
pub use route::{Options, serve, serve_with};
pub use server::{Error, Server};
pub use shared::Shared;
