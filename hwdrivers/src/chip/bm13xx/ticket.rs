//! The ticket: how much work a chip wants to have done before it reports a nonce.

/// The ticket mask register for a ticket of 2^`bits` (0 to 32): ones, with the bits inside each byte reversed.
#[must_use]
pub const fn ticket_mask(bits: u8) -> u32 {
    assert!(bits <= 32, "a ticket has at most 32 bits");
    let ones = if bits == 32 { u32::MAX } else { (1 << bits) - 1 };
    // Reversing the whole word and then its bytes reverses the bits inside each byte.
    ones.reverse_bits().swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_match_stock_firmware() {
        for (difficulty, mask) in [(64, 0xfc), (256, 0xff), (512, 0x80ff), (1024, 0xc0ff), (2048, 0xe0ff), (8192, 0xf8ff)] {
            let bits = u64::trailing_zeros(difficulty) as u8;
            assert_eq!(ticket_mask(bits), mask, "{difficulty}");
        }
        assert_eq!((ticket_mask(0), ticket_mask(32)), (0, u32::MAX));
    }
}
