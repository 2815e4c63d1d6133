//! What is known of each chip of the family, one table: ids, cores, registers at reset, dividers, rates, nonces, sensors.
//!
//! Taken from captures of stock firmware and from published notes and drivers, not from this tree's driver, so that an error
//! there is seen here. What no source tells is marked as inferred. Not here: what a chip does with any of it.

use super::clocking::{BaudRule, Dividers, PllRule};
use super::register as r;
use crate::strain::Bears;
use model::ChipModel;

/// How commands are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No preamble either way, command codes of its own, replies of seven bytes.
    Bare,
    /// `55 AA` to the chips, `AA 55` from them.
    Preamble,
}

/// What a job brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// The hash of the header's first block, for one, two or four versions.
    Midstates,
    /// The whole header; the chip rolls its version.
    Header,
}

/// How the job and what found it share the id byte of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdRule {
    /// The job's id plus the midstate's number.
    PlusMidstate,
    /// The job in bits 7-3, the small core below.
    Eighths,
    /// The job's bits 6-3 in bits 7-4, the small core below.
    Sixteenths,
}

/// Where a nonce's bits say who found it, and where a chip's part of them begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceRule {
    /// As a little-endian number: core in bits 30-24, address bits 7-2 in bits 7-2, the counter in the other 19.
    Bm1387,
    /// Core in bits 31-24, small core in 23-22, address in 21-14, counter below. One source of three that disagree.
    Bm1397,
    /// Core in bits 31-25, the address without its `drop` low bits from bit `shift` up, counter below.
    Address { drop: u32, shift: u32 },
    /// Core in bits 31-25, then a counter that starts where CHIP_NONCE_OFFSET says.
    Offset,
}

/// What opens the way for nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    /// Nothing has to be set.
    Always,
    /// Any of bits 31-28 of MISC_CONTROL opens all cores: stock firmware sets three of a BM1362's and hears every core.
    Any,
    /// Each of them opens its quarter of the cores, as measured on a BM1370.
    Quarters,
}

/// How a chip counts what it hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// No register of it is known.
    Unknown,
    /// A register with the rate, in units of 2^24 H/s.
    Rate(u8),
    /// 88 to 8B and 8C: hashes in units of 2^32, for each quarter and in all; 4C the bad ones.
    Totals,
}

/// One chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// CHIP_ID at reset.
    pub(crate) id: u32,
    pub(crate) cores: u64,
    pub(crate) small_per_core: u64,
    /// Small cores that work, from the first on: clock times this is the published hashrate.
    pub(crate) small_cores: u64,
    /// Values after reset of the registers that do not read 0, CHIP_ID aside.
    pub(crate) reset: &'static [(u8, u32)],
    pub(crate) framing: Framing,
    pub(crate) job: JobKind,
    pub(crate) id_rule: IdRule,
    pub(crate) nonce: NonceRule,
    pub(crate) reports: Reports,
    pub(crate) counting: Counting,
    pub(crate) ticket: u8,
    /// Sweep deadline in ticks of the crystal, where jobs are whole headers.
    pub(crate) sweep: u8,
    pub(crate) pll: PllRule,
    pub(crate) baud: BaudRule,
    /// The register that reaches a sensor hung on the chip.
    pub(crate) i2c: u8,
    /// Its own thermometer at B0 and B4 works.
    pub(crate) thermometer: bool,
    /// Volts of a step of 1.0 of its converter at B8 to BD.
    pub(crate) converter: Option<f64>,
    /// Cores work only once they were opened, each by a job that came while bit 15 of MISC (gate_block) was set.
    pub(crate) opened_by_jobs: bool,
    /// At which clock and voltage its work goes wrong.
    pub(crate) bears: Bears,
}

const BM1387: Facts = Facts {
    id: 0x1387_9000,
    cores: 114,
    small_per_core: 1,
    small_cores: 114,
    // Inferred: the divider that gives the rate after reset. The PLL's word at reset is not known; 50 MHz is.
    reset: &[(r::MISC_1387, 0x0000_1a00), (r::PLL_1387, 0x0020_0144)],
    framing: Framing::Bare,
    job: JobKind::Midstates,
    id_rule: IdRule::PlusMidstate,
    nonce: NonceRule::Bm1387,
    reports: Reports::Always,
    counting: Counting::Rate(0x08),
    ticket: r::TICKET_1387,
    sweep: r::SWEEP_1387,
    pll: PllRule { register: r::PLL_1387, dividers: Dividers::Bm1387, feedback: (32, 127), vco: (0, 10_000), clock: (12, 1200) },
    baud: BaudRule::Bm1387,
    i2c: 0x20,
    thermometer: false,
    converter: None,
    opened_by_jobs: true,
    // Inferred: an S9 runs 550 to 700 MHz at 8.1 to 9.4 V of 21 domains.
    bears: Bears { knee: 720.0, volt: 8.9 / 21.0, least_volt: 0.3 },
};

const BM1397: Facts = Facts {
    id: 0x1397_1800,
    cores: 168,
    small_per_core: 4,
    small_cores: 672,
    reset: &[
        (0x04, 0x8000_0000),
        (r::PLL, 0xc060_0161),
        (r::MISC, 0x0000_3a01),
        (0x1c, 0x0100_0000),
        (0x20, 0x0000_ffff),
        (r::FAST_UART, 0x0600_000f),
        (0x2c, 0x000f_0000),
        (0x44, 0x0000_0100),
        (0x58, 0x0211_2111),
        (0x5c, 0x0000_ffff),
        (r::PLL3, 0x0070_0111),
    ],
    framing: Framing::Preamble,
    job: JobKind::Midstates,
    id_rule: IdRule::PlusMidstate,
    nonce: NonceRule::Bm1397,
    reports: Reports::Always,
    counting: Counting::Rate(0x04),
    ticket: r::TICKET,
    sweep: r::SWEEP,
    pll: PllRule { register: r::PLL, dividers: Dividers::Plain, feedback: (60, 200), vco: (0, 10_000), clock: (12, 1200) },
    baud: BaudRule::Bm1397,
    i2c: 0x1c,
    thermometer: false,
    converter: None,
    opened_by_jobs: false,
    // Inferred: a Bitaxe Max runs 400 to 600 MHz at 1.1 to 1.5 V.
    bears: Bears { knee: 620.0, volt: 1.4, least_volt: 0.9 },
};

/// Inferred throughout from its neighbour, but for cores, product and rates: no source has had a nonce from it.
const BM1398: Facts = Facts {
    id: 0x1398_0000,
    cores: 156,
    small_cores: 623,
    bears: Bears { knee: 600.0, volt: 13.2 / 38.0, least_volt: 0.25 },
    ..BM1397
};

const BM1362: Facts = Facts {
    id: 0x1362_0300,
    cores: 65,
    small_per_core: 8,
    // 64 whole cores, and 2 of the last one.
    small_cores: 514,
    reset: &[
        (r::PLL, 0x4054_0165),
        (r::MISC, 0x0000_c100),
        (0x1c, 0x0100_0000),
        (0x20, 0x0000_ffff),
        (r::FAST_UART, 0x0130_1a00),
        (0x2c, 0x000f_0000),
        (0x58, 0x0001_2111),
        (r::ROLLING, 0x0000_ffff),
    ],
    framing: Framing::Preamble,
    job: JobKind::Header,
    id_rule: IdRule::Eighths,
    nonce: NonceRule::Address { drop: 1, shift: 18 },
    reports: Reports::Any,
    counting: Counting::Unknown,
    ticket: r::TICKET,
    sweep: r::SWEEP,
    pll: PllRule { register: r::PLL, dividers: Dividers::LessOne, feedback: (16, 250), vco: (2000, 3200), clock: (12, 1200) },
    baud: BaudRule::Fast,
    i2c: 0x1c,
    thermometer: false,
    converter: None,
    opened_by_jobs: false,
    // Inferred: an S19j Pro's nominal 525 MHz lie well below.
    bears: Bears { knee: 620.0, volt: 13.2 / 42.0, least_volt: 0.25 },
};

const BM1366: Facts = Facts {
    id: 0x1366_0000,
    cores: 112,
    small_cores: 894,
    reset: &[
        (r::PLL, 0xc054_0165),
        (r::MISC, 0x0000_c100),
        (0x1c, 0x0100_0000),
        (0x20, 0x0000_ffff),
        (r::FAST_UART, 0x0130_1a00),
        (0x2c, 0x000f_0000),
        (0x30, 0x70),
        (0x58, 0x0001_2111),
        (0x60, 0x2050_0174),
        (0x9c, 0x00fd_0077),
        (r::ROLLING, 0x0000_ffff),
        (0xa8, 0x0007_0000),
    ],
    counting: Counting::Totals,
    // Inferred: hosts use a feedback of 144 to 235 with reference 2; the word at reset has 84 with reference 1.
    pll: PllRule { vco: (1600, 3200), ..BM1362.pll },
    // Inferred: 485 MHz at 1.2 V is nominal, 575 the most that is set.
    bears: Bears { knee: 560.0, volt: 1.2, least_volt: 0.9 },
    ..BM1362
};

const BM1368: Facts = Facts {
    id: 0x1368_0000,
    cores: 80,
    small_per_core: 16,
    small_cores: 1276,
    reset: &[
        (r::PLL, 0xc054_0165),
        (r::MISC, 0x0000_c100),
        (0x1c, 0x0100_0000),
        (0x20, 0x0000_ffff),
        (r::FAST_UART, 0x0130_1a00),
        (0x2c, 0x000f_0000),
        (0x58, 0x0001_2111),
        (r::ROLLING, 0x0000_ffff),
        (0xa8, 0x0007_0000),
    ],
    id_rule: IdRule::Sixteenths,
    // Published drivers take bits 24-17 for the address; the factory's sweep of 15A4 ticks at 490 MHz counts 217,000, more than 17 bits
    // hold, so the lowest is the counter's, as on the chips before.
    nonce: NonceRule::Address { drop: 1, shift: 18 },
    thermometer: true,
    converter: Some(0.6),
    // The factory's sweep of a real S21 board: 108 chips in 12 domains at 13.60 V.
    bears: Bears { knee: 455.0, volt: 13.6 / 12.0, least_volt: 0.9 },
    ..BM1366
};

const BM1370: Facts = Facts {
    id: 0x1370_0000,
    cores: 128,
    small_cores: 2040,
    reset: &[
        (r::PLL, 0xc054_0165),
        (r::MISC, 0x0000_c100),
        (0x1c, 0x0100_0000),
        (0x20, 0x0000_ffff),
        (r::FAST_UART, 0x0130_1a00),
        (0x2c, 0x000f_0000),
        (0x30, 0x80),
        (0x58, 0x0001_2111),
        (0x9c, 0x00f7_0073),
        (r::ROLLING, 0x0000_ffff),
        (0xa8, 0x0007_0000),
    ],
    nonce: NonceRule::Offset,
    reports: Reports::Quarters,
    // Its registers are there and read 0.
    thermometer: false,
    converter: Some(1.0),
    // Inferred: an S21 Pro runs 587.5 MHz at 13.6 V of 13 domains, a Bitaxe Gamma 525 at 1.15 V and 625 at the most.
    bears: Bears { knee: 575.0, volt: 13.6 / 13.0, least_volt: 0.9 },
    ..BM1368
};

/// The facts of a model; `None` where it has no serial chain.
pub(crate) const fn facts(model: ChipModel) -> Option<&'static Facts> {
    match model {
        ChipModel::Bm1387 => Some(&BM1387),
        ChipModel::Bm1397 => Some(&BM1397),
        ChipModel::Bm1398 => Some(&BM1398),
        ChipModel::Bm1362 => Some(&BM1362),
        ChipModel::Bm1366 => Some(&BM1366),
        ChipModel::Bm1368 => Some(&BM1368),
        ChipModel::Bm1370 => Some(&BM1370),
        ChipModel::BitmineA1 | ChipModel::DragonMintT1 => None,
    }
}

impl IdRule {
    /// The id byte of a reply.
    pub(crate) fn pack(self, job: u8, small: u32, midstate: u8) -> u8 {
        match self {
            IdRule::PlusMidstate => job.wrapping_add(midstate),
            IdRule::Eighths => job & 0xf8 | small as u8 & 7,
            IdRule::Sixteenths => (job & 0x78) << 1 | small as u8 & 0xf,
        }
    }
}

impl NonceRule {
    /// Bits that all chips of a chain share among them for each core (or small core, where that has bits of its own).
    pub(crate) fn range_bits(self) -> u32 {
        if self == NonceRule::Bm1397 { 22 } else { 25 }
    }

    /// Where in that range a chip starts.
    pub(crate) fn start(self, address: u8, offset: u32) -> u32 {
        match self {
            NonceRule::Bm1387 => u32::from(address >> 2) << 19,
            NonceRule::Bm1397 => u32::from(address) << 14,
            NonceRule::Address { drop, shift } => u32::from(address >> drop) << shift,
            NonceRule::Offset if offset >> 31 == 1 => (offset & 0xffff) << 9,
            NonceRule::Offset => 0,
        }
    }

    /// The nonce as its four bytes stand on the line and in a header, most significant first.
    pub(crate) fn nonce(self, core: u32, small: u32, at: u32) -> u32 {
        let at = at & ((1 << self.range_bits()) - 1);
        match self {
            NonceRule::Bm1387 => {
                let (chip, counter) = (at >> 19, at & 0x7_ffff);
                let n = (counter >> 18) << 31 | core << 24 | (counter >> 2 & 0xffff) << 8 | chip << 2 | counter & 3;
                n.swap_bytes()
            }
            NonceRule::Bm1397 => core << 24 | small << 22 | at,
            NonceRule::Address { .. } | NonceRule::Offset => core << 25 | at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_name_job_and_small_core_as_published() {
        // A BM1370's job 0x68 came back as 0xd2 from small core 2.
        assert_eq!(IdRule::Sixteenths.pack(0x68, 2, 0), 0xd2);
        assert_eq!(IdRule::Sixteenths.pack(0x18, 0, 0), 0x30);
        assert_eq!(IdRule::Eighths.pack(0x18, 7, 0), 0x1f);
        assert_eq!(IdRule::PlusMidstate.pack(0x24, 0, 3), 0x27);
    }

    #[test]
    fn nonces_name_their_place() {
        let of = |n: u32| n.swap_bytes();
        let s9 = NonceRule::Bm1387;
        for counter in [0, 3, 4, 0x3_ffff, 0x7_ffff] {
            let n = of(s9.nonce(113, 0, s9.start(62 * 4, 0) + counter));
            assert_eq!((n >> 24 & 0x7f, n >> 2 & 0x3f), (113, 62), "{counter:x}");
        }
        let s19 = NonceRule::Address { drop: 1, shift: 18 };
        assert_eq!(s19.nonce(64, 7, s19.start(250, 0) + 5), 64 << 25 | 125 << 18 | 5);
        let s21 = NonceRule::Address { drop: 0, shift: 17 };
        assert_eq!(s21.nonce(1, 0, s21.start(215, 0)) >> 17 & 0xff, 215);
        assert_eq!(NonceRule::Offset.start(4, 0x8000_03f1), 0x3f1 << 9);
        assert_eq!(NonceRule::Offset.start(4, 0x03f1), 0, "not switched on");
        assert_eq!(NonceRule::Bm1397.nonce(167, 3, NonceRule::Bm1397.start(255, 0)), 167 << 24 | 3 << 22 | 255 << 14);
    }

    /// A machine at the clock and rail that it is sold with loses little, and at the board's limits still works.
    #[test]
    fn products_bear_what_they_are_sold_with() {
        for p in board::PRODUCTS {
            let (l, chain) = (p.limits, p.hashboards[0].chain);
            let Some(f) = facts(chain.chip) else { continue };
            let volt = model::Volt(l.rail_nominal.0 / f64::from(chain.domains));
            let loss = |clock, heat| f.bears.loss(clock, volt, heat, 1.0);
            let (nominal, most) = (loss(l.clock_nominal, model::Celsius(75.0)), loss(l.clock_max, l.danger));
            assert!(nominal < 0.005 && most < 0.1, "{}: {nominal} {most}", p.name);
            assert!(l.danger.0 + 20.0 < crate::strain::BURNT.0, "{}", p.name);
            assert!(l.rail_min.0 / f64::from(chain.domains) >= f.bears.least_volt, "{}", p.name);
        }
    }

    #[test]
    fn small_cores_fit_their_cores_and_a_counter_shows_them_all() {
        for model in [
            ChipModel::Bm1387,
            ChipModel::Bm1397,
            ChipModel::Bm1398,
            ChipModel::Bm1362,
            ChipModel::Bm1366,
            ChipModel::Bm1368,
            ChipModel::Bm1370,
        ] {
            let f = facts(model).expect("a serial chip");
            assert!(f.small_cores <= f.cores * f.small_per_core, "{model:?}");
            assert!(f.small_cores > (f.cores - 1) * f.small_per_core, "{model:?}");
            assert!(f.bears.least_volt < f.bears.volt && f.id >> 28 == 1, "{model:?}");
        }
    }
}
