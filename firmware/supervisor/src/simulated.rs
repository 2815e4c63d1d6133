//! The one place that names the simulator: the practice chain for `serve`, only where `coins: [practice]` says so; the scale of
//! simulated chips, only where `simulated: true` does; and what `simulate` runs.

use pool::node::Node;
pub use sim::fault::Picked;
pub use sim::fault::by_hand::{ByHand, ON_THE_TABLE};
use sim::practice::{Pace, PracticeNode};
pub use sim::real_time::RealTime;
pub use sim::scale::real_time as scale;
pub use sim::simulation::{Report, Scenario, Simulation};
pub use sim::tuned;
pub use sim::{World, lock};
use std::time::{SystemTime, UNIX_EPOCH};

/// log2 of the practice coin's share difficulty in real time: one simulated machine then sends a share every few seconds.
pub const SHARE_EXPONENT: i32 = -15;

/// A new practice chain in real time, one block a minute.
pub fn practice_node() -> Box<dyn Node> {
    Box::new(PracticeNode::new(Pace::BY_THE_MINUTE, Box::new(unix_seconds)))
}

/// Unix time as headers carry it.
pub fn unix_seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
