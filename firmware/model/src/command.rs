//! Everything a user may ask of a running miner.

/// What the page, the interface or the console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Mine.
    Start,
    /// Stop hashing and stay cool; fans go on as long as they must.
    Stop,
}
