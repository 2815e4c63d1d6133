//! How a product's work is simulated: in process so that any of them gives about six reports a second, whatever it hashes; in real
//! time, on ptys and in QEMU, at hardware's rate, and a board of few chips more often. Firmware and chips must count with the same numbers: both ask here.
//!
//! Not here: what the numbers do (`chip`, and the drivers of hwdrivers).

use crate::real_time::SCALE;
use hwdrivers::chip::{self, Scale};
use model::{ChainLine, ChipModel, Product};

/// Reports a second of a whole machine: enough to see its chains, few enough for hours in seconds.
const REPORTS: f64 = 6.0;
/// Leading zero bits of a chip's ticket.
const TICKET_BITS: f64 = 8.0;
/// A midstate chip lives about a millisecond on a job; a thousand times as long is about as long as the others do.
const STRETCH_BITS: u8 = 10;
/// Reports a second that a machine in real time gives at least: the practice coin takes a share of one in 512, and somebody waits.
const REAL_TIME_REPORTS: f64 = 32.0;
/// The same in real time: a job each 30 to 200 ms, as a guest under emulation can still send them.
const REAL_TIME_STRETCH_BITS: u8 = 6;

/// The three numbers of a product's simulated work.
#[must_use]
pub fn in_process(product: &Product) -> Scale {
    let bits = bits_for(product, REPORTS).round().clamp(0.0, 48.0);
    Scale { zero_bits: 0, scale_bits: bits as u8, stretch_bits: if has_midstates(product) { STRETCH_BITS } else { 0 } }
}

/// The same in real time.
#[must_use]
pub fn real_time(product: &Product) -> Scale {
    let bits = bits_for(product, REAL_TIME_REPORTS).floor().clamp(0.0, f64::from(SCALE.scale_bits));
    Scale { scale_bits: bits as u8, stretch_bits: if has_midstates(product) { REAL_TIME_STRETCH_BITS } else { 0 }, ..SCALE }
}

/// The scale at which all its chains give so many reports a second.
fn bits_for(product: &Product, reports: f64) -> f64 {
    let clock = product.limits.clock_nominal;
    let rate: f64 = product.hashboards.iter().map(|b| chip::hashrate(b.chain.chip, clock, u32::from(b.chain.chips)).0).sum();
    rate.max(1.0).log2() - TICKET_BITS - reports.log2()
}

/// Chips that are given midstates, by serial line or by SPI.
fn has_midstates(product: &Product) -> bool {
    let serial = |chip| matches!(chip, ChipModel::Bm1387 | ChipModel::Bm1397 | ChipModel::Bm1398);
    product.hashboards.iter().any(|b| serial(b.chain.chip) || b.line == ChainLine::Spi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_reports_about_as_often() {
        for p in board::PRODUCTS {
            let clock = p.limits.clock_nominal;
            let rate: f64 = p.hashboards.iter().map(|b| chip::hashrate(b.chain.chip, clock, u32::from(b.chain.chips)).0).sum();
            let reports = rate / f64::from(in_process(p).scale_bits).exp2() / 256.0;
            assert!((4.0..9.0).contains(&reports), "{}: {reports} a second", p.name);
        }
        assert_eq!(in_process(&board::antminer_s19jpro::PRODUCT).scale_bits, 36);
        assert_eq!(in_process(&board::bitaxe_gamma::PRODUCT).scale_bits, 29);
    }

    #[test]
    fn in_real_time_none_is_slower_than_hardware_and_a_small_board_reports_for_all_that() {
        assert_eq!(real_time(&board::antminer_s19jpro::PRODUCT), SCALE);
        for p in board::PRODUCTS {
            let scale = real_time(p);
            assert!(scale.scale_bits <= SCALE.scale_bits, "{}", p.name);
            assert!(bits_for(p, REAL_TIME_REPORTS) >= f64::from(scale.scale_bits), "{}: too few reports", p.name);
            assert_eq!(scale.stretch_bits > 0, in_process(p).stretch_bits > 0, "{}", p.name);
        }
    }
}
