//! BM1366, of the Antminer S19 XP and S19k Pro and the Bitaxe Ultra. The start is that of the published Bitaxe driver, which took
//! it from a capture of an S19 XP; the line rate comes where that capture has it, and before it what the capture has of a whole chain's
//! domains (bm13xx-rs `bm1366`: 22 relays at the ends of 11 domains, and 130 ms behind them).

use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Rate, Sweep, WAITS, Watch, register as r};
use model::{Baud, Megahertz};
use std::time::Duration;

/// Line rates of the family's later chips: a single one on a microcontroller's line takes the 1.0417 Mbaud that boards of the
/// kind are built for, a chain 3.125 Mbaud.
pub(super) const RATES: &[Rate] = &[
    Rate { from_chips: 0, host: Baud(1_000_000), writes: &[(r::UART_BAUD, 0x1130_0200)] },
    Rate { from_chips: 13, host: Baud(3_000_000), writes: &[(r::UART_BAUD, 0x1130_0000)] },
];

/// Behind a chain's relays, as captured.
const RELAYS_SETTLE: Duration = Duration::from_millis(130);

/// Hash and error counters, as the Bitaxe driver reads them.
pub(super) const COUNTERS: &[u8] = &[r::HASHES, r::NONCE_ERRORS, 0x88, 0x89, 0x8a, 0x8b];

/// The constants.
pub const BM1366: Chip = Chip {
    name: "BM1366",
    id: 0x1366_0000,
    cores: 112,
    small_cores_per_core: 8,
    small_cores: 894,
    pll: PllLimits {
        form: PllForm::LessOne,
        register: r::PLL0,
        feedback_min: 144,
        feedback_max: 235,
        // No source tells its oscillator's range: this is what the factory's solver uses of its successor's.
        vco_min: Megahertz(2000.0),
        vco_max: Megahertz(2950.0),
    },
    first_clock: Megahertz(56.25),
    framing: Framing::Preamble,
    replies: ReplySize::Long,
    jobs: Jobs { kind: JobKind::Header { length: 0x36 }, ids: 16, step: 1, sent_shift: 3, reply_shift: 3 },
    place: Place::Address,
    sweep: Sweep::Cover { guard: 200 },
    ticket_register: r::TICKET_MASK,
    baud_reset: Baud(115_200),
    rates: RATES,
    start: &[
        Do::Rolling,
        Do::Rolling,
        Do::Rolling,
        Do::Count,
        Do::All(r::SOFT_RESET, 0x0007_0000),
        Do::All(r::MISC_CONTROL, 0xff0f_c100),
        Do::Inactive,
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::All(r::CORE_CONTROL, 0x8000_8540),
        Do::All(r::CORE_CONTROL, 0x8000_8020),
        Do::Ticket,
        Do::All(r::ANALOG_MUX, 3),
        Do::All(r::IO_DRIVER, 0x0211_1111),
        Do::First(r::UART_RELAY, 0x007c_0003),
        // Of a single chip or a few that is all; a chain of domains is told more.
        Do::Settle(WAITS.milestone),
        Do::Domains { pads: false },
        Do::Settle(RELAYS_SETTLE),
        Do::Fast,
        Do::Each(&[
            (r::SOFT_RESET, 0x0007_01f0),
            (r::MISC_CONTROL, 0xf000_c100),
            (r::CORE_CONTROL, 0x8000_8540),
            (r::CORE_CONTROL, 0x8000_8020),
            (r::CORE_CONTROL, 0x8000_82aa),
        ]),
        Do::FirstClock,
    ],
    bring_up: &[Do::Ramp, Do::Sweep, Do::Rolling],
    waits: WAITS,
    watch: Watch { thermometer: false, converter: None, counters: COUNTERS, sensor_on: None },
};
