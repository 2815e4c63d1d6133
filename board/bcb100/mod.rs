//! The Braiins BCB100 (STM32MP157), an open drop-in control board for S19 machines. Facts only; see the README here.

use model::{Buttons, ControlBoard, FanPart, GpioLine, Leds, PwmFans, Slot, Tier};

/// A pin's line number: 16 lines a bank, bank A first.
const fn pin(bank: u8, n: u32) -> u32 {
    (bank - b'A') as u32 * 16 + n
}

const fn slot(tty: &'static str, reset: u32, plug: u32, enable: u32) -> Slot {
    Slot { tty, reset: GpioLine::low(reset), plug: Some(GpioLine::high(plug)), enable: Some(GpioLine::high(enable)) }
}

/// The BCB100, after its schematic: USART3, UART5, UART7 and UART8 are hashboards 0 to 3 [1].
pub const CONTROL_BOARD: ControlBoard = ControlBoard {
    name: "bcb100",
    tier: Tier::FactsOnly,
    architecture: "arm",
    slots: &[
        slot("/dev/ttySTM3", pin(b'D', 10), pin(b'D', 4), pin(b'D', 15)),
        slot("/dev/ttySTM5", pin(b'F', 9), pin(b'G', 10), pin(b'G', 12)),
        slot("/dev/ttySTM7", pin(b'F', 8), pin(b'E', 10), pin(b'E', 15)),
        slot("/dev/ttySTM8", pin(b'E', 11), pin(b'E', 13), pin(b'G', 14)),
    ],
    // PWR_CONTROL goes from the processor to the supply's plug with nothing between them [1]. Low is on for the Zynq board's line of that
    // name, which ends at the same plug: that it is so here is inferred [?].
    supply_enable: Some(GpioLine::low(pin(b'D', 5))),
    // Each output drives two fans through a transistor, which turns it over [1]; 25 kHz is what four-wire fans want [?].
    fan: FanPart::Pwm(PwmFans {
        channels: &[0, 1],
        hertz: 25_000,
        inverted: true,
        tachs: &[pin(b'A', 5), pin(b'A', 0), pin(b'A', 3), pin(b'A', 6)],
        pulses: 2,
    }),
    leds: Leds { green: Some(GpioLine::high(pin(b'A', 10))), red: Some(GpioLine::high(pin(b'F', 7))) },
    buttons: Buttons { report: Some(GpioLine::low(pin(b'G', 7))), reset: None },
};
