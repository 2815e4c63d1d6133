//! Everything a user may ask of a running miner.

/// What the page, the interface or the console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Mine.
    Start,
    /// Stop hashing and stay cool; fans go on as long as they must.
    Stop,
    /// Take as little power as can be had without a new start; [`Command::Resume`] is answered within seconds.
    Pause,
    /// Go on after a pause, or in spite of one that the hours of the settings ask for.
    Resume,
}
