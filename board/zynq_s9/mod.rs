//! The control board of the Antminer S9 (C41, xc7z010) with the open bitstream. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, GpioLine, Leds, Slot, Tier};

/// Slot of connector J`i`, 6 to 8: plug 897 + i - 1, reset 888 + i - 1 [2].
const fn slot(tty: &'static str, i: u32) -> Slot {
    Slot { tty, reset: GpioLine::low(888 + i - 1), plug: Some(GpioLine::high(897 + i - 1)), enable: None }
}

/// The Zynq board. Its chains and fans are blocks of the FPGA, for which there is no driver: the paths name the UIO devices.
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "zynq-s9",
    tier: Tier::FactsOnly,
    architecture: "arm",
    slots: &[slot("/dev/uio0", 6), slot("/dev/uio1", 7), slot("/dev/uio2", 8)],
    supply_enable: None,
    fan: FanPart::None,
    leds: Leds { green: Some(GpioLine::high(944)), red: Some(GpioLine::high(943)) },
    buttons: Buttons { report: Some(GpioLine::low(957)), reset: Some(GpioLine::low(953)) },
};
