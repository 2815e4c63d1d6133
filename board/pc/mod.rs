//! An ordinary PC (or a virtual machine): processors and graphics cards, no hash connector. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, Leds, Tier};

/// The PC.
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "pc",
    tier: Tier::BootsInQemu,
    architecture: "x86_64",
    slots: &[],
    supply_enable: None,
    fan: FanPart::None,
    leds: Leds { green: None, red: None },
    buttons: Buttons { report: None, reset: None },
};
