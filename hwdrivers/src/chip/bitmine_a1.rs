//! Bitmine A1 (CoinCraft): 32 cores, one midstate a job, a ring on SPI. Constants and frames; the driver is [`super::spi_ring`].
//!
//! From two independent copies of its cgminer driver (asic.md A14 [2]). Its weak spot there: nothing checks a frame.

use super::spi_ring::{Family, Job, Setting, rolled_bytes};
use crate::bus::SpiMode;
use model::{ChipModel, Megahertz};

/// The crystal.
pub const CRYSTAL: Megahertz = Megahertz(16.0);
/// The feedback divider has nine bits.
const FEEDBACK_MAX: f64 = 511.0;
/// A 2 MHz clock is what the source runs at, whatever the chips' own.
const SPI_HERTZ: u32 = 2_000_000;

/// The family.
pub const FAMILY: Family = Family {
    model: ChipModel::BitmineA1,
    name: "Bitmine A1",
    // The sources run their controller in mode 1, while the board's guide says 0; asic.md goes with the guide [?].
    mode: SpiMode::Zero,
    chips_max: 64,
    cores: 32,
    hashes_per_core: 1,
    broken_below: 26,
    midstates: 1,
    register: 6,
    checked: false,
    cores_at: 5,
    queue_at: 3,
    lock: Some((2, 1)),
    sensor: None,
    // Difficulty 16: three reports a second from eight chips.
    nbits: 0x1c0f_fff0,
    ticket_bits: 4,
    first_clock: Megahertz(400.0),
    speed: |_| SPI_HERTZ,
    pll,
    // The source sets the clock in one go.
    next_clock: |_, target| target,
    full_reset: false,
    self_test: false,
    job,
};

/// sys = 16 MHz × feedback ÷ (pre × 2^(post − 1)), with pre 1: a higher post divider is preferred to a higher pre divider.
fn pll(clock: Megahertz) -> Option<Setting> {
    // post 3 divides by 4: steps of 4 MHz, up to 511 × 4 MHz, beyond what any chip bears.
    let feedback = (clock.0 / 4.0).round();
    if !(1.0..=FEEDBACK_MAX).contains(&feedback) || !(100.0..=1200.0).contains(&clock.0) {
        return None;
    }
    let (pre, post, feedback) = (1u8, 3u8, feedback as u16);
    let register = vec![post << 6 | pre << 1 | (feedback >> 8) as u8, feedback as u8, 0x21, 0x84, 0, 0];
    Some(Setting { register, clock: Megahertz(f64::from(feedback) * 4.0) })
}

/// 58 bytes: command, chip, midstate, the header's last twelve bytes, first nonce, target, last nonce.
fn job(job: &Job<'_>) -> Vec<u8> {
    let mut frame = vec![job.id << 4 | 0x07, job.chip];
    frame.extend(rolled_bytes(&job.midstates[0]));
    frame.extend(job.tail);
    // Only 0 and all ones are known of first and last; their order is inferred from the target's between them [?].
    frame.extend(job.first.to_le_bytes());
    frame.extend(FAMILY.nbits.to_le_bytes());
    frame.extend(job.last.to_le_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_give_the_clock_that_they_say_and_absurd_ones_are_refused() {
        for (asked, bytes) in [(800.0, [0xc2, 0xc8]), (400.0, [0xc2, 0x64]), (1100.0, [0xc3, 0x13])] {
            let setting = pll(Megahertz(asked)).expect("within the limits");
            assert_eq!(setting.register[..2], bytes, "{asked}");
            assert_eq!(setting.clock, Megahertz(asked));
        }
        for clock in [0.0, 99.0, 1201.0, -5.0, f64::NAN, f64::INFINITY] {
            assert!(pll(Megahertz(clock)).is_none(), "{clock}");
        }
    }

    #[test]
    fn a_job_frame_has_every_field_at_its_place() {
        let midstates = [core::array::from_fn(|i| 0x0101_0101 * i as u32)];
        let tail = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let frame = job(&Job { id: 2, chip: 5, midstates: &midstates, tail: &tail, first: 0, last: u32::MAX });
        assert_eq!(frame.len(), 58);
        assert_eq!(frame[..6], [0x27, 5, 7, 7, 7, 7]);
        assert_eq!((&frame[30..34], &frame[34..46]), (&[0; 4][..], &tail[..]));
        assert_eq!(frame[46..], [0, 0, 0, 0, 0xf0, 0xff, 0x0f, 0x1c, 0xff, 0xff, 0xff, 0xff]);
    }
}
