//! BM1362, of the Antminer S19j Pro and the EmberOne00. Values are those of stock firmware's captured start.

use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Rate, Sweep, WAITS, Watch, register as r};
use model::{Baud, Megahertz};

const MISC: u32 = 0xb000_c100;

/// The constants.
pub const BM1362: Chip = Chip {
    name: "BM1362",
    id: 0x1362_0300,
    cores: 65,
    small_cores_per_core: 8,
    // 65 × 8 less the dead ones of the last core and those that never report: what the machine's nameplate comes to.
    small_cores: 514,
    pll: PllLimits {
        form: PllForm::LessOne,
        register: r::PLL0,
        feedback_min: 16,
        feedback_max: 250,
        vco_min: Megahertz(2000.0),
        vco_max: Megahertz(3200.0),
    },
    first_clock: Megahertz(56.25),
    framing: Framing::Preamble,
    replies: ReplySize::Long,
    jobs: Jobs { kind: JobKind::Header { length: 0x36 }, ids: 32, step: 1, sent_shift: 3, reply_shift: 3 },
    place: Place::Address,
    sweep: Sweep::Cover { guard: 200 },
    ticket_register: r::TICKET_MASK,
    // The chip's own rates are 115,740 and 3,125,000; a line takes 5 %.
    baud_reset: Baud(115_200),
    rates: &[Rate { from_chips: 0, host: Baud(3_000_000), writes: &[(r::UART_BAUD, 0x1130_0000)] }],
    start: &[
        Do::Rolling,
        Do::Count,
        Do::Rolling,
        Do::Rolling,
        Do::All(r::SOFT_RESET, 0),
        Do::All(r::MISC_CONTROL, MISC),
        Do::Inactive,
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::All(r::CORE_CONTROL, 0x8000_8540),
        Do::All(r::CORE_CONTROL, 0x8000_8008),
        Do::Ticket,
        Do::All(r::ANALOG_MUX, 3),
        Do::All(r::IO_DRIVER, 0x0001_1111),
        Do::Settle(WAITS.milestone),
        Do::Fast,
        Do::FirstClock,
    ],
    bring_up: &[
        Do::Ramp,
        Do::Each(&[
            (r::SOFT_RESET, 2),
            (r::MISC_CONTROL, MISC),
            (r::CORE_CONTROL, 0x8000_8540),
            (r::CORE_CONTROL, 0x8000_8008),
            (r::CORE_CONTROL, 0x8000_82aa),
        ]),
        Do::Sweep,
        Do::Rolling,
    ],
    waits: WAITS,
    // Its converter sits elsewhere than its successors' and is not decoded; no counters of it are published.
    watch: Watch { thermometer: false, converter: None, counters: &[], sensor_on: None },
};
