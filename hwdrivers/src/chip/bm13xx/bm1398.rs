//! BM1398, of the Antminer S19 Pro. **Unproven**: the one published attempt talks to the chips and never had a nonce from them.
//! What that attempt does not tell is taken from its neighbour, the BM1397; its values are kept here, apart from what is known.

use super::bm1397::{BM1397, PLL3};
use super::{Chip, Do, Rate, Sweep, WAITS, register as r};
use model::Baud;
use std::time::Duration;

/// Inner reset, and the bits of MISC that the attempt moves: clock on is bit 2, the oscillators' reset bit 18.
const RESET_CONTROL: u8 = 0x34;
/// Core timing.
const CORE_TIMING: u8 = 0x44;
/// How long a chip waits for a host.
const TIME_OUT: u8 = 0x5c;

/// The constants.
pub const BM1398: Chip = Chip {
    name: "BM1398",
    id: 0x1398_1800,
    cores: 156,
    small_cores: 623,
    // The factory's own number, whatever the clock.
    sweep: Sweep::Ticks(12_480),
    rates: &[Rate {
        from_chips: 0,
        host: Baud(12_500_000),
        // Fields as a BM1397's: base from the third oscillator, divider 4.
        writes: &[PLL3, (r::UART_BAUD, 0x0600_8f00), (r::MISC_CONTROL, 0x0001_a305)],
    }],
    start: &[
        Do::Count,
        Do::All(r::MISC_CONTROL, 0x0000_ba01),
        Do::All(RESET_CONTROL, 0x0000_00f0),
        Do::All(r::MISC_CONTROL, 0x0004_ba01),
        Do::All(r::MISC_CONTROL, 0x0000_ba01),
        Do::All(r::MISC_CONTROL, 0x0000_ba05),
        Do::All(RESET_CONTROL, 0x0000_00f8),
        Do::All(r::TICKET_MASK, u32::MAX),
        Do::Settle(Duration::from_millis(50)),
        Do::All(r::ANALOG_MUX, 3),
        Do::Inactive,
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        // Pulse mode 1, clock select 0.
        Do::All(r::CORE_CONTROL, 0x8000_8710),
        Do::All(CORE_TIMING, 0x0000_0100),
        Do::All(0x70, 0),
        Do::All(0x74, 0),
        Do::All(0x78, 0),
        Do::All(0x7c, 0),
        Do::FirstClock,
    ],
    bring_up: &[Do::Ramp, Do::Fast, Do::Ticket, Do::Sweep, Do::All(TIME_OUT, 0xffff)],
    ..BM1397
};
