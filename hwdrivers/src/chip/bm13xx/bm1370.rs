//! BM1370, of the Antminer S21 Pro and the Bitaxe Gamma. Values are those of a captured S21 Pro, which the Bitaxe driver shares.
//! Its thermometer reads 0 and its converter shares a register with the diode that a Bitaxe's own sensor needs, so neither is used.

use super::bm1366::{COUNTERS, RATES};
use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Sweep, WAITS, Watch, register as r};
use model::{Baud, Megahertz};

const MISC: u32 = 0xf000_c100;
const DIODE: u32 = 0x0000_4480;

/// The constants.
pub const BM1370: Chip = Chip {
    name: "BM1370",
    id: 0x1370_0000,
    cores: 128,
    small_cores_per_core: 16,
    small_cores: 2040,
    pll: PllLimits {
        form: PllForm::LessOne,
        register: r::PLL0,
        feedback_min: 160,
        feedback_max: 239,
        vco_min: Megahertz(1600.0),
        vco_max: Megahertz(3200.0),
    },
    first_clock: Megahertz(56.25),
    framing: Framing::Preamble,
    replies: ReplySize::Long,
    jobs: Jobs { kind: JobKind::Header { length: 0x36 }, ids: 16, step: 3, sent_shift: 3, reply_shift: 4 },
    place: Place::Offset,
    sweep: Sweep::Cover { guard: 268 },
    ticket_register: r::TICKET_MASK,
    baud_reset: Baud(115_200),
    rates: RATES,
    start: &[
        Do::Rolling,
        Do::Rolling,
        Do::Rolling,
        Do::Count,
        Do::Rolling,
        Do::All(r::SOFT_RESET, 0x0007_0000),
        Do::All(r::MISC_CONTROL, MISC),
        Do::Inactive,
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::All(r::CORE_CONTROL, 0x8000_8b00),
        Do::All(r::CORE_CONTROL, 0x8000_800c),
        Do::Ticket,
        Do::All(r::IO_DRIVER, 0x0001_1111),
        Do::Domains { pads: true },
        Do::Settle(WAITS.milestone),
        Do::Fast,
        Do::Each(&[
            (r::SOFT_RESET, 0x0007_01f0),
            (r::MISC_CONTROL, MISC),
            (r::CORE_CONTROL, 0x8000_8b00),
            (r::CORE_CONTROL, 0x8000_800c),
            (r::CORE_CONTROL, 0x8000_82aa),
        ]),
        Do::All(r::CONVERTER_CONTROL, DIODE),
        Do::All(r::ANALOG_MUX, 2),
        Do::All(r::CONVERTER_CONTROL, DIODE),
        Do::All(r::CORE_CONTROL, 0x8000_8dee),
        Do::FirstClock,
    ],
    bring_up: &[Do::Ramp, Do::Offsets, Do::Sweep, Do::Rolling],
    waits: WAITS,
    watch: Watch { thermometer: false, converter: None, counters: COUNTERS, sensor_on: None },
};
