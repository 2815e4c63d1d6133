//! BM1368, of the Antminer S21 and the Bitaxe Supra. The order is that of the published Bitaxe driver; what a whole S21 chain has
//! beyond it (domains, its wait for each chip) is from the factory's log and the sister chip's capture.

use super::bm1366::{COUNTERS, RATES};
use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Sweep, WAITS, Waits, Watch, register as r};
use model::{Baud, Megahertz};
use std::time::Duration;

/// The thermometer's three words: reset released, load set, running; 10 ms apart.
const THERMOMETER: [Do; 3] =
    [Do::All(r::THERMOMETER, 0x0002_0000), Do::All(r::THERMOMETER, 0x0102_0000), Do::All(r::THERMOMETER, 0x1002_0000)];

/// The constants.
pub const BM1368: Chip = Chip {
    name: "BM1368",
    id: 0x1368_0000,
    cores: 80,
    small_cores_per_core: 16,
    small_cores: 1276,
    pll: PllLimits {
        form: PllForm::LessOne,
        register: r::PLL0,
        feedback_min: 144,
        feedback_max: 235,
        // What 68 lines of a factory log span is 2000 to 2812; the feedback's limit ends where this does.
        vco_min: Megahertz(2000.0),
        vco_max: Megahertz(2950.0),
    },
    first_clock: Megahertz(56.25),
    framing: Framing::Preamble,
    replies: ReplySize::Long,
    // Steps of 24 in the id byte, as published hosts go: ids are multiples of 8, and 3 × 8 visits all sixteen.
    jobs: Jobs { kind: JobKind::Header { length: 0x36 }, ids: 16, step: 3, sent_shift: 3, reply_shift: 4 },
    place: Place::Address,
    sweep: Sweep::Cover { guard: 200 },
    ticket_register: r::TICKET_MASK,
    baud_reset: Baud(115_200),
    rates: RATES,
    start: &[
        Do::Rolling,
        Do::Rolling,
        Do::Rolling,
        Do::Rolling,
        Do::Count,
        Do::Inactive,
        Do::All(r::SOFT_RESET, 0x0007_0000),
        Do::All(r::MISC_CONTROL, 0xff0f_c100),
        Do::All(r::CORE_CONTROL, 0x8000_8b00),
        Do::All(r::CORE_CONTROL, 0x8000_8018),
        Do::Ticket,
        Do::All(r::ANALOG_MUX, 3),
        Do::All(r::IO_DRIVER, 0x0211_1111),
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::Domains { pads: true },
        Do::Fast,
        Do::Each(&[
            (r::SOFT_RESET, 0x0007_01f0),
            (r::MISC_CONTROL, 0xf000_c100),
            (r::CORE_CONTROL, 0x8000_8b00),
            (r::CORE_CONTROL, 0x8000_8018),
            (r::CORE_CONTROL, 0x8000_82aa),
        ]),
        Do::Ticket,
        THERMOMETER[0],
        THERMOMETER[1],
        THERMOMETER[2],
        Do::FirstClock,
    ],
    bring_up: &[Do::Ramp, Do::Sweep, Do::Rolling],
    // The factory takes 58 ms a chip; the Bitaxe driver waits 500, which is a minute for a chain.
    waits: Waits { each: Duration::from_millis(8), ..WAITS },
    watch: Watch { thermometer: true, converter: Some(0.6), counters: COUNTERS, sensor_on: None },
};
