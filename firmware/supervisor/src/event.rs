//! The one closed list of what wakes the deciding thread.

use control::Fact;
use model::{Command, Time, UpstreamId};
use std::time::Instant;

/// Events that wait for the deciding thread. It takes them in microseconds; a full channel holds back the senders.
pub const EVENT_LIMIT: usize = 1024;

/// What happened.
pub enum Event {
    /// What a hand reports of one turn.
    Facts(Vec<Fact>),
    /// Something about a pool's connection.
    Net {
        /// Which pool.
        upstream: UpstreamId,
        /// Which of its connections: news of an earlier one that was dropped may still be on its way.
        connection: u64,
        /// What.
        net: rig::Net,
    },
    /// A user asks.
    Command(Command),
    /// SIGTERM or SIGINT: end cleanly.
    Stop,
}

/// The time since the program's start.
pub fn now(epoch: Instant) -> Time {
    Time::from_micros(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
}
