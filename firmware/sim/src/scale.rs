//! How a product's work is simulated in process: so that any of them gives about six reports a second, whatever it hashes.
//!
//! Not here: ptys and QEMU, where chips report at hardware's rate (`real_time`).

use hwdrivers::chip::{self, Scale};
use model::{ChipModel, Product};

/// Reports a second of a whole machine: enough to see its chains, few enough for hours in seconds.
const REPORTS: f64 = 6.0;
/// Leading zero bits of a chip's ticket.
const TICKET_BITS: f64 = 8.0;
/// A midstate chip lives about a millisecond on a job; a thousand times as long is about as long as the others do.
const STRETCH_BITS: u8 = 10;

/// The three numbers of a product's simulated work.
#[must_use]
pub fn in_process(product: &Product) -> Scale {
    let clock = product.limits.clock_nominal;
    let rate: f64 = product.hashboards.iter().map(|b| chip::hashrate(b.chain.chip, clock, u32::from(b.chain.chips)).0).sum();
    let bits = (rate.max(1.0).log2() - TICKET_BITS - REPORTS.log2()).round().clamp(0.0, 48.0);
    let midstates =
        product.hashboards.iter().any(|b| matches!(b.chain.chip, ChipModel::Bm1387 | ChipModel::Bm1397 | ChipModel::Bm1398));
    Scale { zero_bits: 0, scale_bits: bits as u8, stretch_bits: if midstates { STRETCH_BITS } else { 0 } }
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
}
