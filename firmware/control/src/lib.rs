//! Decisions, without I/O, clock or threads: facts and `now` go in, orders come out.
//!
//! [`Brain`] is told a [`Fact`] and gives [`Order`]s; `rig` obeys them and nothing else does. Where two controllers disagree the
//! precedence is, in one place (`brain`): thermal > bringup > tuning > schedule. Not here: any bus, pool connection or register.

pub mod brain;
pub mod bringup;
mod describe;
pub mod failover;
pub mod faults;
mod guard;
pub mod health;
pub mod hunger;
pub mod ladder;
mod poisson;
pub mod power;
pub mod schedule;
pub mod supply;
pub mod tally;
#[cfg(test)]
mod testing;
pub mod thermal;
pub mod tuning;

pub use brain::{Brain, Plan};
pub use describe::Held;
pub use ladder::Rung;

use model::{
    Celsius, ChainId, Command, FanId, Fault, FaultCode, Job, Measured, Megahertz, Nonce, Percent, PowerPlan, Profile, Rpm,
    SensorId, Share, ShareId, UpstreamId, Verdict, Volt, Work,
};

/// What one chip was heard to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChipCount {
    /// Nonces whose hash met the ticket.
    pub right: u64,
    /// Nonces whose hash did not.
    pub wrong: u64,
}

/// What happened, as told to [`Brain::tell`]. A closed list: everything that can move a decision is here.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A user asked for something.
    Command(Command),
    /// An upstream is authorised and may send jobs.
    UpstreamReady(UpstreamId),
    /// An upstream is unusable; its connection is gone or must go.
    UpstreamFailed {
        /// Which.
        upstream: UpstreamId,
        /// Which row of the catalogue.
        code: FaultCode,
        /// What was attempted and what came of it.
        detail: String,
    },
    /// A pool offers work.
    Job(Job),
    /// A pool judged a share.
    Verdict {
        /// Which share.
        share: ShareId,
        /// What it said.
        verdict: Verdict,
    },
    /// A hand found a nonce and verified it against the chip's ticket.
    Nonce(Nonce),
    /// How many nonces each chip of a chain sent since its last start, nearest the controller first.
    ChipStats {
        /// Which chain.
        chain: ChainId,
        /// Its chips.
        chips: Vec<ChipCount>,
    },
    /// So often was this rung tried today before the program was started.
    Restarted {
        /// Which.
        rung: Rung,
        /// How often.
        times: u32,
    },
    /// What hashboards are tuned for, and when.
    PowerPlan(PowerPlan),
    /// Seconds of Unix time, as far as the machine knows. It may jump.
    WallClock(u64),
    /// What was found when the machine ran before; `Err` says why what was kept cannot be read.
    Profile(Result<Profile, String>),
    /// A chip sent a nonce whose hash misses the ticket.
    HardwareError(ChainId),
    /// A started chain was counted; 0 chips means that nothing answered.
    ChainCounted {
        /// Which.
        chain: ChainId,
        /// How many answered.
        chips: u32,
    },
    /// A chain is addressed and set up at its lowest clock: it may be ramped.
    ChainReady(ChainId),
    /// One ramp step was made.
    ChainClock {
        /// Which.
        chain: ChainId,
        /// The clock now.
        clock: Megahertz,
    },
    /// A chain reached the ordered clock and takes work. `epoch` is how long one work lasts it at this clock.
    ChainHashing {
        /// Which.
        chain: ChainId,
        /// After this the chain repeats itself unless it gets new work.
        epoch: std::time::Duration,
        /// One of its nonces counts as 2^this hashes: built-in zero bits, ticket and scale together.
        nonce_bits: u8,
    },
    /// A chain's serial line failed or went silent beyond the driver's patience.
    ChainFailed {
        /// Which.
        chain: ChainId,
        /// Which row of the catalogue.
        code: FaultCode,
        /// What was attempted and what came of it.
        detail: String,
    },
    /// Many frames from a chain had wrong checksums.
    ChainNoise {
        /// Which.
        chain: ChainId,
        /// Wrong ones among them.
        frame_errors: u64,
        /// Frames that were judged.
        frames: u64,
    },
    /// How many frames from a chain had wrong checksums since the start.
    FrameErrors {
        /// Which.
        chain: ChainId,
        /// So many.
        count: u64,
    },
    /// A hand did not take orders: its queue was full, or it is gone.
    OrdersLost {
        /// Which hand.
        place: String,
        /// How many orders.
        count: u64,
    },
    /// A board sensor was asked. `Err` says why there is no value.
    Temperature {
        /// Which sensor of the machine.
        sensor: SensorId,
        /// On which chain's board.
        chain: ChainId,
        /// What it said.
        value: Result<Celsius, String>,
    },
    /// A sensor answered, and that it is broken: an open or a shorted line, or what no sensor measures.
    SensorBroken {
        /// Which sensor of the machine.
        sensor: SensorId,
        /// On which chain's board.
        chain: ChainId,
        /// What it said.
        why: String,
    },
    /// A part of a hashboard, its regulator or its EEPROM, was asked what it is. `Err` is what was read where it does not belong here: the
    /// board is left off.
    Identity {
        /// Which.
        chain: ChainId,
        /// Which part of it.
        part: BoardPart,
        /// What it is.
        value: Result<String, String>,
    },
    /// A supply or a regulator measured.
    Power {
        /// Which.
        place: PowerPlace,
        /// What it measured.
        measured: Measured,
    },
    /// A chain was too hot too often before the program started, and no person has started it since.
    Latched(ChainId),
    /// A hashboard's plug line was read.
    Plugged {
        /// Which.
        chain: ChainId,
        /// Whether a board is there.
        plugged: bool,
    },
    /// A fan's tach was asked. `Ok(None)`: it stands still.
    FanSpeed {
        /// Which.
        fan: FanId,
        /// What it said.
        value: Result<Option<Rpm>, String>,
    },
    /// The supply reached what was ordered (`None` = off), or did not.
    Supply(Result<Option<Volt>, String>),
    /// A chain's regulator reached what was ordered (`None` = off), or did not.
    Rail {
        /// Which.
        chain: ChainId,
        /// What it did.
        value: Result<Option<Volt>, String>,
    },
}

/// A part of a hashboard that says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BoardPart {
    /// The regulator of its rail. It is asked with each start, and told nothing where it does not fit.
    Regulator,
    /// The EEPROM, which says what the board is.
    Eeprom,
}

impl BoardPart {
    /// As people call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            BoardPart::Regulator => "regulator",
            BoardPart::Eeprom => "EEPROM",
        }
    }
}

/// What measures power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PowerPlace {
    /// The supply of all chains.
    Supply,
    /// The regulator of a chain's rail, or the meter before it.
    Rail(ChainId),
}

/// What is to be done. `rig::turn` is the one place that matches it.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Keep a connection to this upstream (idempotent).
    Connect(UpstreamId),
    /// Drop the connection to this upstream.
    Disconnect(UpstreamId),
    /// Send a share.
    Submit(Share),
    /// Hand a chain new work.
    Work(Work),
    /// Switch the supply: `None` off, else on at this voltage.
    Supply(Option<Volt>),
    /// Switch a chain's regulator: `None` off, else on at this voltage.
    Rail {
        /// Which.
        chain: ChainId,
        /// How.
        volt: Option<Volt>,
    },
    /// Drive a chain's reset line: `held` true keeps its chips in reset.
    Reset {
        /// Which.
        chain: ChainId,
        /// Whether in reset.
        held: bool,
    },
    /// Find, address and set up the chips of a chain whose reset was released.
    StartChain(ChainId),
    /// Ramp a chain to this clock.
    Clock {
        /// Which.
        chain: ChainId,
        /// To where.
        clock: Megahertz,
    },
    /// Set the clock of one chip of a chain that hashes, as a part of a tuned profile.
    ChipClock {
        /// Which chain.
        chain: ChainId,
        /// Position on the chain, nearest the controller first.
        chip: u8,
        /// To where.
        clock: Megahertz,
    },
    /// Forget a chain's chips and work (its reset is held by a separate order).
    StopChain(ChainId),
    /// Start the program or the board anew: nothing else helped.
    Restart(Rung),
    /// Keep what was found for the next start.
    Keep(Profile),
    /// Set all fans.
    Duty(Percent),
    /// A fault is there now.
    Raise(Fault),
    /// A fault of this code and place is gone.
    Clear {
        /// Which row.
        code: FaultCode,
        /// Which part.
        place: String,
    },
}
