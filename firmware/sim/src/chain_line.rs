//! A hashboard's chips as the world sees them: on a serial line or in a ring on SPI, with the same ways to feed, heat and break both.
//!
//! Not here: what chips do (`chip`, `chip_spi`), and their board's supply and heat (`machine`, `heat`).

use crate::SimChain;
use crate::chip_spi::SpiRing;
use hwdrivers::chip::Scale;
use model::{Celsius, ChainLine, Hashboard, Megahertz, Time, Volt};

/// The chips of one board.
pub(crate) enum Chips {
    /// On a serial line.
    Serial(Box<SimChain>),
    /// In a ring.
    Ring(Box<SpiRing>),
}

/// Calls the same method of either kind.
macro_rules! either {
    ($self:ident, $chips:ident => $call:expr) => {
        match $self {
            Chips::Serial($chips) => $call,
            Chips::Ring($chips) => $call,
        }
    };
}

impl Chips {
    /// A board's chips, in reset and without power. `scale` as for [`SimChain::new`].
    ///
    /// # Panics
    /// Where the board's data name a chip that its line does not reach, which the boards' own tests would see.
    pub(crate) fn new(board: &Hashboard, seed: u64, scale: Scale) -> Chips {
        match board.line {
            ChainLine::Uart => Chips::Serial(Box::new(SimChain::new(board.chain, seed, scale))),
            ChainLine::Spi => {
                let ring = SpiRing::new(board.chain, seed, scale);
                Chips::Ring(Box::new(ring.expect("only boards whose chips are on SPI name it")))
            }
        }
    }

    /// A chain of chips on a serial line.
    pub(crate) fn serial(&mut self) -> Option<&mut SimChain> {
        match self {
            Chips::Serial(chain) => Some(chain),
            Chips::Ring(_) => None,
        }
    }

    /// A ring of chips on SPI.
    pub(crate) fn ring(&mut self) -> Option<&mut SpiRing> {
        match self {
            Chips::Serial(_) => None,
            Chips::Ring(ring) => Some(ring),
        }
    }

    /// When one of the chips' thermometers was read last.
    pub(crate) fn felt_at(&self) -> Time {
        either!(self, c => c.felt_at())
    }

    pub(crate) fn advance(&mut self, now: Time) {
        either!(self, c => c.advance(now));
    }

    pub(crate) fn set_power(&mut self, now: Time, volts: Volt) {
        either!(self, c => c.set_power(now, volts));
    }

    pub(crate) fn set_reset(&mut self, now: Time, held: bool) {
        either!(self, c => c.set_reset(now, held));
    }

    /// The heat of each chip, in the order of the chain.
    pub(crate) fn set_heats(&mut self, heats: &[Celsius]) {
        either!(self, c => c.set_heats(heats));
    }

    pub(crate) fn set_quality(&mut self, now: Time, quality: f64) {
        either!(self, c => c.set_quality(now, quality));
    }

    pub(crate) fn set_wrong(&mut self, now: Time, permille: u16) {
        either!(self, c => c.set_wrong(now, permille));
    }

    pub(crate) fn cut(&mut self, now: Time, chips: u8) {
        either!(self, c => c.cut(now, chips));
    }

    pub(crate) fn kill_domain(&mut self, now: Time, domain: u8, dead: bool) {
        either!(self, c => c.kill_domain(now, domain, dead));
    }

    pub(crate) fn clock(&self) -> Megahertz {
        either!(self, c => c.clock())
    }

    /// The fastest chip's clock.
    pub(crate) fn fastest(&self) -> Megahertz {
        either!(self, c => c.fastest())
    }

    pub(crate) fn hashing(&self) -> bool {
        either!(self, c => c.hashing())
    }

    /// When it took its last job.
    pub(crate) fn job_at(&self) -> Time {
        either!(self, c => c.job_at())
    }

    /// Candidates that were hashed, and how many of them before on the same job.
    pub(crate) fn hashes(&self) -> (u64, u64) {
        either!(self, c => (c.hashes_tested(), c.hashes_repeated()))
    }
}
