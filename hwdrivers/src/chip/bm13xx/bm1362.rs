//! BM1362, of the Antminer S19j Pro. Values are those of stock firmware's captured start.

use super::pll::PllLimits;
use super::{Chip, Waits, register as r};
use model::{Baud, Megahertz};
use std::time::Duration;

const MISC: u32 = 0xb000_c100;

/// The constants.
pub const BM1362: Chip = Chip {
    name: "BM1362",
    id: 0x1362_0300,
    cores: 65,
    small_cores_per_core: 8,
    // 65 × 8 less the dead ones of the last core and those that never report: what the machine's nameplate comes to.
    small_cores: 514,
    pll: PllLimits { feedback_min: 16, feedback_max: 250, vco_min: Megahertz(2000.0), vco_max: Megahertz(3200.0) },
    first_clock: Megahertz(56.25),
    job_length: 0x36,
    job_id_mask: 0xf8,
    // The chip's own rates are 115,740 and 3,125,000; a line takes 5 %.
    baud_reset: Baud(115_200),
    baud_work: Baud(3_000_000),
    baud_word: 0x1130_0000,
    reset_state: &[(r::SOFT_RESET, 0), (r::MISC_CONTROL, MISC)],
    cores_on: &[(r::CORE_CONTROL, 0x8000_8540), (r::CORE_CONTROL, 0x8000_8008)],
    pins: &[(r::ANALOG_MUX, 3), (r::IO_DRIVER, 0x0001_1111)],
    each: &[
        (r::SOFT_RESET, 2),
        (r::MISC_CONTROL, MISC),
        (r::CORE_CONTROL, 0x8000_8540),
        (r::CORE_CONTROL, 0x8000_8008),
        (r::CORE_CONTROL, 0x8000_82aa),
    ],
    waits: Waits {
        write: Duration::from_millis(10),
        // 128 replies of 11 bytes at 115,200 baud are 122 ms.
        count: Duration::from_millis(300),
        milestone: Duration::from_millis(100),
        baud: Duration::from_millis(60),
        ramp: Duration::from_millis(100),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_and_hashrate_match_what_is_known_of_the_s19j_pro() {
        assert_eq!(BM1362.sweep_ticks(Megahertz(525.0), 2), 0x1861 - 200);
        let machine = BM1362.hashrate(Megahertz(525.0), 3 * 126).0 / 1e12;
        assert!((100.0..104.0).contains(&machine), "{machine} TH/s");
    }

    #[test]
    fn a_nonce_tells_its_place_and_impossible_places_are_none() {
        let nonce = |core: u32, address: u32, counter: u32| (core << 25 | address << 17 | counter).swap_bytes();
        let at = BM1362.locate(nonce(64, 250, 0x1_2345), 2, 126).expect("exists");
        assert_eq!((at.chip, at.core), (125, 64));
        assert_eq!(BM1362.locate(nonce(65, 0, 0), 2, 126), None);
        assert_eq!(BM1362.locate(nonce(0, 252, 0), 2, 126), None);
    }
}
