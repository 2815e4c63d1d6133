//! Bitmain's chips with a serial chain. [`chain::Chain`] is the one driver; what differs by chip is a constant of type [`Chip`],
//! one file each.
//!
//! Facts are from captures of stock firmware and from published drivers; none of the sources has minimised the start sequence,
//! so every write of it is kept.

pub mod addressing;
pub mod bm1362;
pub mod bm1366;
pub mod bm1368;
pub mod bm1370;
pub mod bm1387;
pub mod bm1397;
pub mod bm1398;
pub mod chain;
pub mod crc;
pub mod decoder;
pub mod frame;
pub mod job;
pub mod pll;
pub mod register;
pub mod ticket;

use addressing::Addressing;
use frame::{Framing, ReplySize};
use model::{Baud, ChipAt, ChipModel, Hashrate, Megahertz};
use pll::PllLimits;
use std::time::Duration;

/// What is the chip's own, as data.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    /// The maker's name.
    pub name: &'static str,
    /// What [`register::CHIP_ID`] holds after reset; its upper half is the model.
    pub id: u32,
    /// Cores.
    pub cores: u8,
    /// Small cores in a core: versions, or parts of a core's nonces, that are hashed at once.
    pub small_cores_per_core: u8,
    /// Small cores that work, of the whole chip: with the clock they give its hashrate.
    pub small_cores: u32,
    /// What its oscillator can do, and how it is told.
    pub pll: PllLimits,
    /// The clock that a chain starts at.
    pub first_clock: Megahertz,
    /// How commands look.
    pub framing: Framing,
    /// How long replies are, once the first writes are done.
    pub replies: ReplySize,
    /// What it is handed.
    pub jobs: Jobs,
    /// What a nonce says of who found it.
    pub place: Place,
    /// How its sweep is bounded.
    pub sweep: Sweep,
    /// The ticket's register.
    pub ticket_register: u8,
    /// Line rate after reset, as the host sets it.
    pub baud_reset: Baud,
    /// Line rates at work; the last one for as many chips or fewer is taken.
    pub rates: &'static [Rate],
    /// From reset to [`crate::chip::ChainEvent::Ready`].
    pub start: &'static [Do],
    /// From there to work; the ramp is a part of it.
    pub bring_up: &'static [Do],
    /// Its waits.
    pub waits: Waits,
    /// What it tells of itself.
    pub watch: Watch,
}

/// What a chip is handed, and how a reply names it.
#[derive(Clone, Copy, Debug)]
pub struct Jobs {
    /// What a job brings.
    pub kind: JobKind,
    /// Jobs that a reply can tell apart, at most 32.
    pub ids: u8,
    /// From one id to the next, modulo [`Jobs::ids`].
    pub step: u8,
    /// Where the id sits in a job's id byte.
    pub sent_shift: u8,
    /// Where it sits in a reply's.
    pub reply_shift: u8,
}

/// What a job brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// The whole header less its nonce; the chip rolls versions by itself.
    Header {
        /// The length byte, which chips do not check: stock firmware says 0x36, others 0x56.
        length: u8,
    },
    /// Up to four midstates, of as many versions; the driver rolls versions.
    Midstates,
}

/// What a nonce says of who found it. The number is read most significant byte first from the wire, but for BM1387.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Core in bits 31-25, address in bits 24-17, its lowest one shared with the counter where addresses are even.
    Address,
    /// Core in bits 31-25, then a counter that starts at the chip's offset.
    Offset,
    /// Core in bits 31-24, small core in 23-22, address in 21-14. One source of three that disagree; the one that has room for
    /// 168 cores.
    Bm1397,
    /// Least significant byte first: core in bits 30-24, position in bits 7-2.
    Bm1387,
}

/// How a sweep is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// By itself: the register is left as it is.
    Own,
    /// By this number of crystal ticks.
    Ticks(u32),
    /// By what covers a core's share of the nonces once, less so many ticks: a sweep overruns by about 130.
    Cover {
        /// The ticks less.
        guard: u32,
    },
}

/// A line rate.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// For chains of at least so many chips.
    pub from_chips: u8,
    /// As the host sets it.
    pub host: Baud,
    /// Writes to every chip that set it.
    pub writes: &'static [(u8, u32)],
}

/// One step of a start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Do {
    /// Switch version rolling on.
    Rolling,
    /// Ask who is there, and count.
    Count,
    /// Write a register of every chip.
    All(u8, u32),
    /// Write a register of the first chip.
    First(u8, u32),
    /// Make every chip wait for an address.
    Inactive,
    /// Give every chip its address.
    Addresses,
    /// Set the ticket.
    Ticket,
    /// Help the signals across the gaps between voltage domains: the last chip of each drives its clock at full strength, the first and
    /// the last relay the line; between the two, where it is said, the register of the ring oscillators' pads is written.
    Domains {
        /// Whether it is.
        pads: bool,
    },
    /// Change to the line rate at work.
    Fast,
    /// These writes to each chip in turn.
    Each(&'static [(u8, u32)]),
    /// A longer wait behind what was sent last.
    Settle(Duration),
    /// Set the first clock.
    FirstClock,
    /// Ramp to the ordered clock.
    Ramp,
    /// Hand every core a job of nothing, so many times.
    NullJobs(u8),
    /// Where there are several chips, tell each where its sweep starts, behind one job.
    Offsets,
    /// Bound the sweep.
    Sweep,
}

/// What a chip tells of itself, and what hangs on it.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Whether its own thermometer works.
    pub thermometer: bool,
    /// Volts of a step of 1.0 of its converter, where that is free to be used.
    pub converter: Option<f64>,
    /// Registers that are read in turn.
    pub counters: &'static [u8],
    /// Position of the chip that has a sensor on its pins.
    pub sensor_on: Option<u8>,
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
    /// Behind the writes to one chip, beyond that behind every write.
    pub each: Duration,
    /// Behind the change of line rate, until all bytes are out and every chip has changed.
    pub baud: Duration,
    /// Behind each step of the ramp.
    pub ramp: Duration,
}

/// What stock firmware waits, with 122 ms for 128 replies of 11 bytes at 115,200 baud.
pub const WAITS: Waits = Waits {
    write: Duration::from_millis(10),
    count: Duration::from_millis(300),
    milestone: Duration::from_millis(100),
    each: Duration::ZERO,
    baud: Duration::from_millis(60),
    ramp: Duration::from_millis(100),
};

/// A ramp's step.
pub const RAMP_STEP: Megahertz = Megahertz(6.25);
/// The ticket is 2^8 = 256: about one report a second for each TH/s, enough to see a chain well and little for its line.
pub const TICKET_BITS: u8 = 8;

/// The constants of a model; `None` where it is no chip of this family, or none that is driven.
#[must_use]
pub const fn chip(model: ChipModel) -> Option<&'static Chip> {
    match model {
        ChipModel::Bm1387 => Some(&bm1387::BM1387),
        ChipModel::Bm1397 => Some(&bm1397::BM1397),
        ChipModel::Bm1398 => Some(&bm1398::BM1398),
        ChipModel::Bm1362 => Some(&bm1362::BM1362),
        ChipModel::Bm1366 => Some(&bm1366::BM1366),
        ChipModel::Bm1368 => Some(&bm1368::BM1368),
        ChipModel::Bm1370 => Some(&bm1370::BM1370),
        ChipModel::BitmineA1 | ChipModel::DragonMintT1 => None,
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
    pub fn locate(&self, nonce: u32, at: &Addressing) -> Option<ChipAt> {
        let n = nonce.swap_bytes();
        let (core, chip) = match self.place {
            Place::Address => (n >> 25, at.position((n >> 17) as u8)),
            // The host's slices begin at the next whole step behind i/chips of the range.
            Place::Offset => (n >> 25, (((n >> 9 & 0xffff) * u32::from(at.chips())) >> 16) as u8),
            Place::Bm1397 => (n >> 24, at.position((n >> 14) as u8)),
            Place::Bm1387 => (nonce >> 24 & 0x7f, (nonce >> 2 & 0x3f) as u8),
        };
        let core = core as u8;
        (core < self.cores && chip < at.chips()).then_some(ChipAt { chip, core })
    }

    /// Whether a chain of these is told each chip's part of the nonces.
    #[must_use]
    pub fn has_offsets(&self, at: &Addressing) -> bool {
        self.place == Place::Offset && at.chips() > 1
    }

    /// The sweep's length in crystal ticks at this clock; `None` where the chip bounds it. A core counts two nonces a clock.
    #[must_use]
    pub fn sweep_ticks(&self, clock: Megahertz, at: &Addressing) -> Option<u32> {
        let guard = match self.sweep {
            Sweep::Own => return None,
            Sweep::Ticks(ticks) => return Some(ticks),
            Sweep::Cover { guard } => guard,
        };
        // Addresses part the range by whole bits; offsets part it as finely as there are chips.
        let chips = if self.place == Place::Offset { u32::from(at.chips()) } else { at.slots().next_power_of_two() };
        let shares = f64::from(u32::from(self.cores).next_power_of_two()) * f64::from(chips);
        let ticks = 4_294_967_296.0 / shares * pll::CRYSTAL.0 / clock.0 * 0.5;
        Some((ticks.floor() - f64::from(guard)).max(1.0) as u32)
    }

    /// How long a job of so many midstates lasts: each small core then has hashed its part of the nonces with each of them.
    #[must_use]
    pub fn midstates_last(&self, midstates: u32, clock: Megahertz, at: &Addressing) -> Duration {
        let lanes = u32::from(self.cores).next_power_of_two() * u32::from(self.small_cores_per_core);
        let nonces = 4_294_967_296.0 / (f64::from(lanes) * f64::from(at.slots().next_power_of_two()));
        Duration::from_secs_f64(nonces * f64::from(midstates) / (clock.0 * 1e6).max(1.0))
    }

    /// The line rate of a chain of so many chips.
    #[must_use]
    pub fn rate(&self, chips: u8) -> Option<&'static Rate> {
        self.rates.iter().rfind(|rate| rate.from_chips <= chips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ChainLayout;

    fn at(chip: ChipModel, chips: u8, address_interval: u8) -> Addressing {
        Addressing::of(&ChainLayout { chip, chips, domains: 1, address_interval })
    }

    #[test]
    fn sweeps_cover_what_published_hosts_let_them_cover() {
        for (model, chips, interval, clock, ticks) in [
            (ChipModel::Bm1362, 126, 2, 525.0, 0x1861 - 200),
            (ChipModel::Bm1366, 1, 0, 485.0, 0xd_3224 - 200),
            (ChipModel::Bm1368, 1, 0, 490.0, 0xd_0fac - 200),
            (ChipModel::Bm1370, 1, 0, 525.0, 0xc_30c3 - 268),
        ] {
            let chip = chip(model).expect("driven");
            assert_eq!(chip.sweep_ticks(Megahertz(clock), &at(model, chips, interval)), Some(ticks), "{}", chip.name);
        }
        // The factory's own number of the S21 Pro covers 73 % of a chip's slice.
        let s21pro = chip(ChipModel::Bm1370).expect("driven").sweep_ticks(Megahertz(600.0), &at(ChipModel::Bm1370, 65, 2));
        let share = f64::from(0x1eb5) / f64::from(s21pro.expect("bounded") + 268);
        assert!((0.72..0.74).contains(&share), "{share}");
    }

    #[test]
    fn hashrates_are_those_of_the_nameplates() {
        for (model, chips, clock, terahash) in [
            (ChipModel::Bm1362, 3 * 126, 525.0, 102.0),
            (ChipModel::Bm1366, 3 * 110, 485.0, 143.0),
            (ChipModel::Bm1368, 3 * 108, 490.0, 202.6),
            (ChipModel::Bm1370, 3 * 65, 590.0, 234.7),
            (ChipModel::Bm1370, 1, 525.0, 1.071),
            (ChipModel::Bm1387, 3 * 63, 650.0, 14.0),
            (ChipModel::Bm1397, 1, 425.0, 0.2856),
            (ChipModel::Bm1398, 3 * 114, 525.0, 111.9),
        ] {
            let rate = chip(model).expect("driven").hashrate(Megahertz(clock), chips).0 / 1e12;
            assert!((rate / terahash - 1.0).abs() < 0.005, "{model:?}: {rate} TH/s");
        }
    }

    #[test]
    fn midstate_jobs_last_as_long_as_hosts_let_them() {
        let s9 = chip(ChipModel::Bm1387).expect("driven");
        let at_s9 = at(ChipModel::Bm1387, 63, 4);
        // A host of the S9 sends the next of four midstates at 650 MHz after 0.9 of this, 2.9 ms.
        let lasts = s9.midstates_last(4, Megahertz(650.0), &at_s9).as_secs_f64();
        assert!((lasts * 0.9 - 2.9e-3).abs() < 0.02e-3, "{lasts} s");
        let s17 = chip(ChipModel::Bm1397).expect("driven").midstates_last(4, Megahertz(525.0), &at(ChipModel::Bm1397, 48, 5));
        assert!((s17.as_secs_f64() - 0.5e-3).abs() < 0.01e-3, "{s17:?}");
        assert_eq!(s9.midstates_last(1, Megahertz(650.0), &at_s9) * 4, s9.midstates_last(4, Megahertz(650.0), &at_s9));
    }

    #[test]
    fn nonces_name_their_chip_and_core() {
        let of = |n: u32| n.swap_bytes();
        for (model, chips, interval, nonce, place) in [
            (ChipModel::Bm1362, 126, 2, of(64 << 25 | 250 << 17 | 0x1_2345), Some((125, 64))),
            (ChipModel::Bm1362, 126, 2, of(65 << 25), None),
            (ChipModel::Bm1362, 126, 2, of(252 << 17), None),
            (ChipModel::Bm1366, 6, 0, of(111 << 25 | 210 << 17), Some((5, 111))),
            (ChipModel::Bm1368, 108, 2, of(79 << 25 | 21 << 17), Some((10, 79))),
            (ChipModel::Bm1370, 65, 2, of(127 << 25 | 0x03f1 << 9), Some((1, 127))),
            (ChipModel::Bm1370, 65, 2, of(0x03f0 << 9 | 0x1ff), Some((0, 0))),
            (ChipModel::Bm1370, 65, 2, of(0xfc10 << 9), Some((64, 0))),
            (ChipModel::Bm1387, 63, 4, 0x71 << 24 | 62 << 2 | 3, Some((62, 113))),
            (ChipModel::Bm1387, 63, 4, 0x72 << 24, None),
            (ChipModel::Bm1397, 48, 5, of(167 << 24 | 3 << 22 | 235 << 14), Some((47, 167))),
            (ChipModel::Bm1397, 48, 5, of(168 << 24), None),
            // Seen on a Bitaxe Gamma: core 38 of its one chip.
            (ChipModel::Bm1370, 1, 0, of(0x4c03_5275), Some((0, 38))),
        ] {
            let found = chip(model).expect("driven").locate(nonce, &at(model, chips, interval)).map(|p| (p.chip, p.core));
            assert_eq!(found, place, "{model:?} {nonce:08x}");
        }
    }
}
