//! A Raspberry Pi: USB boards, or hashboards wired to its header by hand. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, Leds, Tier};

/// The Raspberry Pi (64 bit, from the third on).
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "raspberrypi",
    tier: Tier::FactsOnly,
    architecture: "aarch64",
    slots: &[],
    supply_enable: None,
    fan: FanPart::None,
    leds: Leds { green: None, red: None },
    buttons: Buttons { report: None, reset: None },
};
