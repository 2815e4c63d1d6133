//! Innosilicon DragonMint T1: 32 cores, four midstates a job, a ring on SPI whose frames are checked. Constants and frames; the
//! driver is [`super::spi_ring`], supply and reset are lines of the board data.
//!
//! From its cgminer driver's way by spidev (`dm_compat.c`, `dragonmint_t1.c`; asic.md A14 [1–2]).

use super::spi_ring::{Family, Job, Setting, crc, rolled_bytes};
use crate::bus::SpiMode;
use model::{Celsius, ChipModel, Megahertz};

/// The crystal.
pub const CRYSTAL: Megahertz = Megahertz(12.0);

/// The family.
pub const FAMILY: Family = Family {
    model: ChipModel::DragonMintT1,
    name: "DragonMint T1",
    mode: SpiMode::One,
    chips_max: 68,
    cores: 32,
    // What 16 TH/s of three boards of 63 chips at 1,332 MHz comes to [?].
    hashes_per_core: 2,
    broken_below: 5,
    midstates: 4,
    register: 12,
    checked: true,
    cores_at: 11,
    queue_at: 9,
    lock: None,
    sensor: Some((7, temperature)),
    nbits: 0x1c00_ffff,
    ticket_bits: 8,
    first_clock: Megahertz(120.0),
    // Of the vendor's six rates: the slowest finds chips, and what chips bear rises with their clock.
    speed: |clock| match clock.0 {
        c if c >= 1200.0 => 6_250_000,
        c if c >= 310.0 => 1_562_500,
        _ => 390_625,
    },
    pll,
    next_clock,
    full_reset: true,
    self_test: true,
    job,
};

/// One stretch of the vendor's table: from this clock on, pre divider and post divider.
const ROWS: [(f64, u32, u32); 6] = [(120.0, 1, 3), (150.0, 1, 2), (240.0, 2, 2), (300.0, 2, 1), (600.0, 2, 0), (1200.0, 1, 0)];
/// Where the table ends.
const CLOCK_MAX: f64 = 1596.0;

/// The stretch for a clock, or on the way down from its lowest one the stretch below.
fn row(clock: Megahertz, down: bool) -> Option<(f64, u32, u32)> {
    ROWS.iter().rev().copied().find(|(from, ..)| if down { clock.0 > *from } else { clock.0 >= *from })
}

/// MHz between two settings of a stretch.
fn step_of(pre: u32, post: u32) -> f64 {
    CRYSTAL.0 / f64::from(pre << post)
}

/// The vendor's table of 324 settings as the rule that makes it: clock = 12 MHz × feedback ÷ (pre × 2^post).
fn pll(clock: Megahertz) -> Option<Setting> {
    let (_, pre, post) = row(clock, false).filter(|_| clock.0 <= CLOCK_MAX)?;
    // The next setting below: a clock is never exceeded.
    let feedback = (clock.0 / step_of(pre, post) + 1e-9).floor() as u32;
    // Bits 25-31 of the first word hold pre, 16-24 feedback, 13-15 the fixed 010, 6-7 post, and 1 is set throughout the table.
    let word = pre << 25 | feedback << 16 | 0b010 << 13 | post << 6 | 0b10;
    let mut register = word.to_be_bytes().to_vec();
    let clock = Megahertz(f64::from(feedback) * step_of(pre, post));
    // As in the table, where the tenth byte changes with its 175th row.
    register.extend([0, 0, 0, 0xa0, 0, if clock.0 < 552.0 { 0x24 } else { 0x20 }, 0, 0]);
    Some(Setting { register, clock })
}

/// The vendor's ramp takes every setting of its table on the way.
fn next_clock(at: Megahertz, target: Megahertz) -> Megahertz {
    let down = target < at;
    let step = row(at, down).map_or(f64::MAX, |(_, pre, post)| step_of(pre, post));
    if (target.0 - at.0).abs() <= step { target } else { Megahertz(at.0 + if down { -step } else { step }) }
}

/// A chip's temperature by the code in its register block; `None` where the sensor measures nothing (a code of 0, or one that
/// would be far outside what silicon bears). The codes' rule is the driver's (588 − code) × 2/3 + ½.
#[must_use]
pub fn temperature(code: u16) -> Option<Celsius> {
    let celsius = (588.0 - f64::from(code)) * 2.0 / 3.0 + 0.5;
    (code != 0 && (-40.0..=150.0).contains(&celsius)).then_some(Celsius(celsius))
}

/// 162 bytes: command, chip, midstates 3 to 0, the header's last twelve bytes, first nonce, target, last nonce, four zeros where
/// the sum and two more go.
fn job(job: &Job<'_>) -> Vec<u8> {
    let mut frame = vec![job.id << 4 | 0x0c, job.chip];
    for midstate in job.midstates.iter().rev() {
        frame.extend(rolled_bytes(midstate));
    }
    frame.extend(job.tail);
    // Only 0 and all ones are known of first and last; their order is inferred from the target's between them [?].
    frame.extend(job.first.to_le_bytes());
    frame.extend(FAMILY.nbits.to_le_bytes());
    frame.extend(job.last.to_le_bytes());
    frame.extend([0; 4]);
    let sum = crc(&frame);
    frame.extend(sum.to_be_bytes());
    frame.extend([0; 2]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_vendors_table() {
        let rows = [
            (120.0, [0x02, 0x50, 0x40, 0xc2]),
            (121.5, [0x02, 0x51, 0x40, 0xc2]),
            (147.0, [0x02, 0x62, 0x40, 0xc2]),
            (150.0, [0x02, 0x32, 0x40, 0x82]),
            (240.0, [0x04, 0xa0, 0x40, 0x82]),
            (330.0, [0x04, 0x6e, 0x40, 0x42]),
            (660.0, [0x04, 0x6e, 0x40, 0x02]),
            (1194.0, [0x04, 0xc7, 0x40, 0x02]),
            (1332.0, [0x02, 0x6f, 0x40, 0x02]),
            (1596.0, [0x02, 0x85, 0x40, 0x02]),
        ];
        for (clock, head) in rows {
            let setting = pll(Megahertz(clock)).expect("within the limits");
            assert_eq!(setting.register[..4], head, "{clock}");
            assert_eq!(setting.register[4..], [0, 0, 0, 0xa0, 0, if clock < 552.0 { 0x24 } else { 0x20 }, 0, 0]);
            assert_eq!(setting.clock, Megahertz(clock));
        }
        assert_eq!(pll(Megahertz(1340.0)).expect("below it").clock, Megahertz(1332.0));
        for clock in [119.0, 1597.0, 0.0, f64::NAN] {
            assert!(pll(Megahertz(clock)).is_none(), "{clock}");
        }
    }

    #[test]
    fn the_ramp_takes_every_setting_and_ends() {
        let (mut at, mut steps) = (Megahertz(120.0), 0);
        while at < Megahertz(1332.0) && steps < 1000 {
            at = next_clock(at, Megahertz(1332.0));
            steps += 1;
        }
        assert_eq!((at, steps), (Megahertz(1332.0), 301), "its place in the table");
        while at > Megahertz(120.0) && steps < 2000 {
            at = next_clock(at, Megahertz(120.0));
            steps += 1;
        }
        assert_eq!((at, steps), (Megahertz(120.0), 2 * 301));
    }

    #[test]
    fn codes_are_degrees_and_nonsense_is_none() {
        for (code, celsius) in [(588, 0.5), (513, 50.5), (468, 80.5)] {
            assert!((temperature(code).expect("a temperature").0 - celsius).abs() < 1e-9, "{code}");
        }
        for code in [0, 1, 0x3ff] {
            assert_eq!(temperature(code), None, "{code}");
        }
    }

    #[test]
    fn a_job_frame_has_every_field_at_its_place_and_a_sum() {
        let midstates = [[1; 8], [2; 8], [3; 8], [4; 8]];
        let frame = job(&Job { id: 4, chip: 63, midstates: &midstates, tail: &[9; 12], first: 0, last: u32::MAX });
        assert_eq!(frame.len(), 162);
        assert_eq!(frame[..6], [0x4c, 63, 4, 0, 0, 0]);
        assert_eq!((frame[98], frame[130], frame[141]), (1, 9, 9));
        assert_eq!(frame[142..158], [0, 0, 0, 0, 0xff, 0xff, 0, 0x1c, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(frame[158..160], crc(&frame[..158]).to_be_bytes());
    }
}
