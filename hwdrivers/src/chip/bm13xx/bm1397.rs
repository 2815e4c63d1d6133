//! BM1397, of the Antminer S17 and the Bitaxe Max: it is handed midstates, and its line rate sits in MISC. The start is that of the
//! published Bitaxe driver. Rates above 3.125 Mbaud run from the third oscillator, as its register notes have it.

use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Rate, Sweep, WAITS, Watch, register as r};
use model::{Baud, Megahertz};

/// The third oscillator at 2800 MHz and its divider of 7: 400 MHz, from which fast rates are made.
pub(super) const PLL3: (u8, u32) = (0x68, 0xc070_0111);
/// See [`PLL3`].
const FAST_DIVIDER: (u8, u32) = (r::UART_BAUD, 0x0600_000f);

/// The constants.
pub const BM1397: Chip = Chip {
    name: "BM1397",
    id: 0x1397_1800,
    cores: 168,
    small_cores_per_core: 4,
    small_cores: 672,
    pll: PllLimits {
        form: PllForm::AsIs,
        register: r::PLL0,
        feedback_min: 60,
        feedback_max: 200,
        // No source tells its oscillator's range: this is what its feedback's makes with the reference divider that hosts use.
        vco_min: Megahertz(750.0),
        vco_max: Megahertz(2500.0),
    },
    first_clock: Megahertz(56.25),
    framing: Framing::Preamble,
    replies: ReplySize::Short,
    jobs: Jobs { kind: JobKind::Midstates, ids: 32, step: 1, sent_shift: 2, reply_shift: 2 },
    place: Place::Bm1397,
    sweep: Sweep::Own,
    ticket_register: r::TICKET_MASK,
    baud_reset: Baud(115_200),
    rates: &[
        Rate { from_chips: 0, host: Baud(3_000_000), writes: &[(r::MISC_CONTROL, 0x0000_6031)] },
        // A chain's jobs last 0.5 ms and are 152 bytes: 3.125 Mbaud would carry nothing else. 400 MHz ÷ (8 × 4); the word is put
        // together from the register's fields, no capture of it is published.
        Rate { from_chips: 13, host: Baud(12_500_000), writes: &[(r::MISC_CONTROL, 0x0001_6331)] },
    ],
    start: &[
        Do::Count,
        Do::Inactive,
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::All(0x80, 0),
        Do::All(0x84, 0),
        Do::All(0x20, 1),
        Do::All(r::CORE_CONTROL, 0x8000_8074),
        Do::Ticket,
        Do::All(PLL3.0, PLL3.1),
        Do::All(FAST_DIVIDER.0, FAST_DIVIDER.1),
        Do::Settle(WAITS.milestone),
        Do::Fast,
        Do::FirstClock,
    ],
    bring_up: &[Do::Ramp],
    waits: WAITS,
    // Hashrate and wrong nonces, as the Bitaxe driver reads them; its rate is not used, for verified nonces tell it.
    watch: Watch { thermometer: false, converter: None, counters: &[r::NONCE_ERRORS], sensor_on: None },
};
