//! The Amlogic A113D control board of S19 and S21 machines. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, GpioLine, Leds, PwmFans, Slot, Tier};

const fn slot(tty: &'static str, i: u32) -> Slot {
    Slot { tty, reset: GpioLine::low(454 + i), plug: Some(GpioLine::high(439 + i)), enable: None }
}

/// The Amlogic board [1].
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "amlogic-a113d",
    tier: Tier::FactsOnly,
    architecture: "aarch64",
    slots: &[slot("/dev/ttyS1", 0), slot("/dev/ttyS2", 1), slot("/dev/ttyS4", 2)],
    supply_enable: Some(GpioLine::high(437)),
    // 25 kHz is what four-wire fans want [?].
    fan: FanPart::Pwm(PwmFans { channels: &[0, 1], hertz: 25_000, inverted: false, tachs: &[447, 448, 449, 450], pulses: 2 }),
    leds: Leds { green: Some(GpioLine::high(453)), red: Some(GpioLine::high(438)) },
    buttons: Buttons { report: Some(GpioLine::low(445)), reset: Some(GpioLine::low(446)) },
};
