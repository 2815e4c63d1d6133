//! BM1387, of the Antminer S9. It has command codes and registers of its own, no preamble, replies of seven bytes that name neither
//! chip nor register, and cores that open with a first job each. The start is that of the published open firmware of the S9
//! but for what it only reads: the clock's register (0C) and MISC (1C) behind their writes, and the ticket's. A reply names neither chip
//! nor register here, and of 63 that answer one question nobody could say who differs; what chips really do shows in the count and in
//! their nonces, each of which is hashed again.

use super::frame::{Framing, ReplySize};
use super::pll::{PllForm, PllLimits};
use super::{Chip, Do, JobKind, Jobs, Place, Rate, Sweep, WAITS, Watch};
use model::{Baud, Megahertz};
use std::time::Duration;

/// The hash clock's register.
const PLL: u8 = 0x0c;
/// The ticket's register.
const TICKET: u8 = 0x18;
/// Line rate, pins and blocks.
const MISC: u8 = 0x1c;
/// Clock inverted, blocks gated, rate 25 MHz ÷ (8 × 2), several midstates.
const MISC_RATE: u32 = 0x0020_8180;
/// The same behind the change of rate, which stays as it is.
const MISC_GATED: u32 = 0x4020_8180;
/// Between two commands to forget addresses: each of a chain's chips must have heard one.
const INACTIVE: Duration = Duration::from_millis(100);

/// The constants.
pub const BM1387: Chip = Chip {
    name: "BM1387",
    id: 0x1387_9000,
    cores: 114,
    small_cores_per_core: 1,
    small_cores: 114,
    pll: PllLimits {
        form: PllForm::Bare,
        register: PLL,
        feedback_min: 32,
        feedback_max: 127,
        // The range that published hosts' dividers keep the oscillator in between 200 and 790 MHz of clock.
        vco_min: Megahertz(800.0),
        vco_max: Megahertz(1590.0),
    },
    first_clock: Megahertz(100.0),
    framing: Framing::Bare,
    replies: ReplySize::Bare,
    jobs: Jobs { kind: JobKind::Midstates, ids: 32, step: 1, sent_shift: 2, reply_shift: 2 },
    place: Place::Bm1387,
    sweep: Sweep::Own,
    ticket_register: TICKET,
    baud_reset: Baud(115_200),
    rates: &[Rate { from_chips: 0, host: Baud(1_562_500), writes: &[(MISC, MISC_RATE)] }],
    start: &[
        Do::Count,
        Do::Inactive,
        Do::Settle(INACTIVE),
        Do::Inactive,
        Do::Settle(INACTIVE),
        Do::Inactive,
        Do::Settle(INACTIVE),
        Do::Addresses,
        Do::Settle(WAITS.milestone),
        Do::FirstClock,
        Do::Fast,
        Do::All(MISC, MISC_GATED),
        Do::Ticket,
        // One job opens one core of every chip, while blocks are gated and the rail is still high.
        Do::NullJobs(114),
        Do::Settle(WAITS.milestone),
    ],
    bring_up: &[Do::Ramp],
    waits: WAITS,
    watch: Watch { thermometer: false, converter: None, counters: &[], sensor_on: Some(61) },
};
