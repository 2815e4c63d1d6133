//! Bitmain's chips with a serial chain. [`chain::Chain`] is the one driver; what differs by chip is a constant of type [`Chip`].
//!
//! Facts are from captures of stock firmware and from published drivers; none of the sources has minimised the start sequence,
//! so every write of it is kept.

pub mod bm1362;
pub mod chain;
pub mod crc;
pub mod frame;
pub mod job;
pub mod pll;
pub mod ticket;

use model::{Baud, ChipAt, ChipModel, Hashrate, Megahertz};
use pll::PllLimits;
use std::time::Duration;

/// Registers that the driver names.
pub mod register {
    /// Model, and the address once it is set.
    pub const CHIP_ID: u8 = 0x00;
    /// The hash clock.
    pub const PLL0: u8 = 0x08;
    /// How long a core sweeps, in ticks of the crystal; 0 stops hashing.
    pub const HASH_COUNTING: u8 = 0x10;
    /// What a nonce must have for a report.
    pub const TICKET_MASK: u8 = 0x14;
    /// Nonce reports on or off.
    pub const MISC_CONTROL: u8 = 0x18;
    /// The line rate.
    pub const UART_BAUD: u8 = 0x28;
    /// Mailbox to the cores' own registers.
    pub const CORE_CONTROL: u8 = 0x3c;
    /// What the analog pin shows.
    pub const ANALOG_MUX: u8 = 0x54;
    /// Strength of the output pins.
    pub const IO_DRIVER: u8 = 0x58;
    /// Version rolling: which bits.
    pub const VERSION_ROLLING: u8 = 0xa4;
    /// Resets of inner blocks.
    pub const SOFT_RESET: u8 = 0xa8;
}

/// What is the chip's own, as data.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    /// The maker's name.
    pub name: &'static str,
    /// What [`register::CHIP_ID`] holds after reset.
    pub id: u32,
    /// Cores.
    pub cores: u8,
    /// Small cores in a core: versions that are hashed at once.
    pub small_cores_per_core: u8,
    /// Small cores that work, of the whole chip: with the clock they give its hashrate.
    pub small_cores: u32,
    /// What its oscillator can do.
    pub pll: PllLimits,
    /// The clock that a chain starts at.
    pub first_clock: Megahertz,
    /// The length byte of a job frame, as stock firmware sends it.
    pub job_length: u8,
    /// Bits of the id byte that are the job; the rest is the small core.
    pub job_id_mask: u8,
    /// Line rate after reset, as the host sets it.
    pub baud_reset: Baud,
    /// Line rate at work, as the host sets it.
    pub baud_work: Baud,
    /// [`register::UART_BAUD`] for it.
    pub baud_word: u32,
    /// Writes to every chip before addresses are given.
    pub reset_state: &'static [(u8, u32)],
    /// Writes to every chip once addresses are given; the ticket follows.
    pub cores_on: &'static [(u8, u32)],
    /// Writes to every chip between the ticket and the change of line rate.
    pub pins: &'static [(u8, u32)],
    /// Writes to each chip in turn, after the first ramp.
    pub each: &'static [(u8, u32)],
    /// Its waits.
    pub waits: Waits,
}

/// How long the chips need, wherever they run.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Behind every write.
    pub write: Duration,
    /// Behind the question who is there, until the last of a full chain has answered.
    pub count: Duration,
    /// Behind a milestone: the end of addressing and of the first writes.
    pub milestone: Duration,
    /// Behind the change of line rate, until all bytes are out and every chip has changed.
    pub baud: Duration,
    /// Behind each step of the ramp.
    pub ramp: Duration,
}

/// A ramp's step.
pub const RAMP_STEP: Megahertz = Megahertz(6.25);
/// The ticket is 2^8 = 256: about one report a second for each TH/s, enough to see a chain well and little for its line.
pub const TICKET_BITS: u8 = 8;

/// The constants of a model; `None` where it is no chip of this family, or none that is driven.
#[must_use]
pub const fn chip(model: ChipModel) -> Option<&'static Chip> {
    match model {
        ChipModel::Bm1362 => Some(&bm1362::BM1362),
        _ => None,
    }
}

impl Chip {
    /// What `chips` of these hash at this clock.
    #[must_use]
    pub fn hashrate(&self, clock: Megahertz, chips: u32) -> Hashrate {
        Hashrate(clock.0 * 1e6 * f64::from(self.small_cores) * f64::from(chips))
    }

    /// Who found this nonce (as in [`model::Header`]). `None` for a place that does not exist.
    #[must_use]
    pub fn locate(&self, nonce: u32, address_interval: u8, chips: u8) -> Option<ChipAt> {
        let n = nonce.swap_bytes();
        let core = (n >> 25) as u8;
        let chip = (n >> 17 & 0xff) as u8 / address_interval.max(1);
        (core < self.cores && chip < chips).then_some(ChipAt { chip, core })
    }

    /// The sweep's length in crystal ticks at this clock: what covers a core's share of the nonces once, less a guard, for a sweep
    /// overruns by about 130 ticks. A core counts two nonces a clock.
    #[must_use]
    pub fn sweep_ticks(&self, clock: Megahertz, address_interval: u8) -> u32 {
        const GUARD: f64 = 200.0;
        let shares =
            f64::from(u32::from(self.cores).next_power_of_two() * (256 / u32::from(address_interval.max(1))).next_power_of_two());
        let ticks = 4_294_967_296.0 / shares * pll::CRYSTAL.0 / clock.0 * 0.5;
        (ticks.floor() - GUARD).max(1.0) as u32
    }
}
