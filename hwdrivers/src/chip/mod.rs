//! Chips that hash: one folder a family, one file of constants a chip, one driver a family. [`ChainDriver`] is what an owner sees
//! of any of them. Not here: who decides their clock, and whether a nonce is right.

pub mod bitmine_a1;
pub mod bm13xx;
pub mod dragonmint_t1;
pub mod spi_ring;

use crate::bus::BusError;
use model::{Celsius, ChipAt, ChipModel, Hashrate, Megahertz, Time, Volt, Work, WorkId};
use std::time::Duration;

/// How a simulated chip is easier than a real one; 32, 0 and 0 for hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Leading zero bits built into the chip.
    pub zero_bits: u8,
    /// Each candidate stands for 2^this.
    pub scale_bits: u8,
    /// A midstate chip's job lasts 2^this times as long as on hardware, where it is about a millisecond: virtual hours of a
    /// thousand jobs a second would be all that a simulation does.
    pub stretch_bits: u8,
}

impl Scale {
    /// Real chips.
    pub const HARDWARE: Scale = Scale { zero_bits: 32, scale_bits: 0, stretch_bits: 0 };
}

/// What a chain has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum ChainEvent {
    /// So many chips answered. 0 ends the start.
    Counted {
        /// How many.
        chips: u32,
    },
    /// Chips have addresses, talk fast and run at the first clock.
    Ready,
    /// One step of a ramp is done.
    Clock(Megahertz),
    /// Chips take work from now on.
    Hashing,
    /// A chip reports a nonce.
    Found {
        /// The work it names.
        work: WorkId,
        /// The header's nonce.
        nonce: u32,
        /// The header's version, rolled.
        version: u32,
        /// Who found it; `None` where the nonce names no chip of this chain.
        chip: Option<ChipAt>,
    },
    /// A register that was read.
    Register {
        /// Address of the chip.
        chip: u8,
        /// Which.
        register: u8,
        /// What it holds.
        value: u32,
    },
    /// The hottest chip of a round over all that have a thermometer, or why there is none.
    Temperature(Result<Celsius, WatchError>),
    /// Chips are not what the board data say, or not as they were set.
    Trouble(ChainTrouble),
}

/// What makes a chain unusable as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainTrouble {
    /// Other chips answer than there should be.
    #[error("chips answer as {found:04x}, this board's are {expected:04x}: another hashboard is plugged, or another product set")]
    Model {
        /// Model that the board data name.
        expected: u32,
        /// Model that answers.
        found: u32,
    },
    /// Replies are longer or shorter than they were set to be.
    #[error("chips reply in {found} bytes instead of {expected}: they missed a setting, or were reset")]
    ReplySize {
        /// Bytes that were set.
        expected: usize,
        /// Bytes that come.
        found: usize,
    },
}

/// Why there is no temperature of the chips.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum WatchError {
    /// Nothing was answered.
    #[error("read the chips' temperature: no chip answers")]
    Silent,
    /// Too few answered to say which is the hottest.
    #[error("read the chips' temperature: {heard} of {there} chips answer")]
    Few {
        /// Who answered.
        heard: u32,
        /// Who was there at the start.
        there: u32,
    },
    /// It answers that it has nothing yet.
    #[error("read the chips' temperature: none is measured")]
    NotMeasured,
    /// A value that no chip can have.
    #[error("read the chips' temperature: {0} is nonsense")]
    Absurd(Celsius),
    /// The sensor's diode is not connected.
    #[error("read the chip's diode: open circuit")]
    OpenCircuit,
    /// The sensor's diode is shorted.
    #[error("read the chip's diode: short circuit")]
    ShortCircuit,
    /// No sensor answers on the chip's pins.
    #[error("look for a sensor on the pins of chip {0}: none of a known maker answers")]
    NoSensor(u8),
    /// The chip's bus stays busy.
    #[error("ask the sensor on the pins of chip {0}: its bus stays busy")]
    Busy(u8),
}

/// What one chip told of itself last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChipReading {
    /// Its thermometer.
    pub celsius: Option<Celsius>,
    /// Its inner supply.
    pub volt: Option<Volt>,
    /// Hashes that it counted, in its own unit; wraps.
    pub hashes: Option<u32>,
    /// The same for each quarter of its cores.
    pub quarters: [Option<u32>; 4],
    /// Wrong nonces that it counted; wraps.
    pub errors: Option<u32>,
}

/// What was counted since the chain was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Damaged or unreadable replies.
    pub frame_errors: u64,
    /// Nonces for a job that is not among the last ones.
    pub unknown_jobs: u64,
    /// Nonces received, known or not.
    pub nonces: u64,
    /// Events lost because nobody took them.
    pub events_lost: u64,
}

/// The driver of one chain with the bus it owns. It is told the time and never waits: orders are taken at once, [`turn`] does what
/// is due, and what came of it is told by [`next_event`].
///
/// [`turn`]: ChainDriver::turn
/// [`next_event`]: ChainDriver::next_event
pub trait ChainDriver: Send {
    /// Starts the chips: their reset was just released. `Counted` and `Ready` follow, then the chain waits for a clock (which may
    /// be set at once).
    fn start(&mut self, now: Time);
    /// Ramps every chip to this clock; the first ramp ends with `Hashing`.
    fn set_clock(&mut self, clock: Megahertz);
    /// Sets one chip's own clock, by its position on the chain. It lasts until the next [`ChainDriver::set_clock`]; before
    /// `Hashing` it has no effect.
    fn set_chip_clock(&mut self, chip: u8, clock: Megahertz);
    /// Hands the chips new work, at once. Without effect before `Hashing`.
    ///
    /// # Errors
    /// The bus's.
    fn submit(&mut self, work: &Work) -> Result<(), BusError>;
    /// Stops hashing. The owner cuts power or pulls reset behind it; only [`ChainDriver::start`] leads on.
    ///
    /// # Errors
    /// The bus's; the chain counts as stopped also then.
    fn stop(&mut self) -> Result<(), BusError>;
    /// Reads what came and sends what is due.
    ///
    /// # Errors
    /// The bus's; what was to be sent is lost, and the owner stops the chain.
    fn turn(&mut self, now: Time) -> Result<(), BusError>;
    /// When the next turn is due at the latest; a turn in between does no harm.
    fn wake_at(&self) -> Time;
    /// What happened, oldest first.
    fn next_event(&mut self) -> Option<ChainEvent>;
    /// How long one work lasts at this clock: behind it the chips hash the same headers again.
    fn epoch(&self) -> Duration;
    /// What was counted.
    fn counters(&self) -> Counters;
    /// Leading zero bits, beyond those built into the chip, that its nonces have.
    fn ticket_bits(&self) -> u8;
    /// What each chip told of itself last, by position; empty where chips tell nothing.
    fn readings(&self) -> &[ChipReading] {
        &[]
    }
}

/// Small cores of a chip that work: with the clock they give its hashrate.
#[must_use]
pub const fn small_cores(model: ChipModel) -> u32 {
    match bm13xx::chip(model) {
        Some(chip) => chip.small_cores,
        None => match spi_ring::family(model) {
            Some(family) => family.cores as u32 * family.hashes_per_core,
            None => 0,
        },
    }
}

/// What `chips` of this model hash at this clock.
#[must_use]
pub fn hashrate(model: ChipModel, clock: Megahertz, chips: u32) -> Hashrate {
    Hashrate(clock.0 * 1e6 * f64::from(small_cores(model)) * f64::from(chips))
}
