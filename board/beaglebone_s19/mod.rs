//! The BeagleBone (AM3352) control board of the S19 series. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, GpioLine, Leds, PwmFans, Slot, Tier};

const fn slot(tty: &'static str, plug: u32, reset: u32) -> Slot {
    Slot { tty, reset: GpioLine::low(reset), plug: Some(GpioLine::high(plug)), enable: None }
}

/// The BeagleBone board; new kernels call its serial lines ttyS, old ones ttyO [2].
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "beaglebone-s19",
    tier: Tier::FactsOnly,
    architecture: "arm",
    slots: &[slot("/dev/ttyS1", 51, 5), slot("/dev/ttyS2", 48, 4), slot("/dev/ttyS4", 47, 27), slot("/dev/ttyS5", 44, 22)],
    // High is on, by what the maker's start script of such a machine does to it (DCENT `platform/beaglebone.rs`); no second source
    // says so [?]. Low is on for line 907 of the Zynq board, and other boards with this processor have it at 59.
    supply_enable: Some(GpioLine::high(65)),
    // 10 kHz; two pulses a turn is what such fans give [1].
    fan: FanPart::Pwm(PwmFans { channels: &[0, 1], hertz: 10_000, inverted: false, tachs: &[7, 20, 110, 112], pulses: 2 }),
    leds: Leds { green: Some(GpioLine::high(23)), red: Some(GpioLine::high(45)) },
    buttons: Buttons { report: None, reset: None },
};
