//! The parts that sit on boards, one variant for each that a driver exists for, grouped by what they are for: a sensor cannot stand
//! where a fan controller belongs. Addresses are 7-bit I²C addresses. Not here: registers (`hwdrivers`), which board has which
//! (`board`).

use crate::Volt;
use std::time::Duration;

/// The level at which a line does what it is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Active high.
    High,
    /// Active low.
    Low,
}

/// A GPIO line by its number on the control board, and what it is driven to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GpioLine {
    /// Its number.
    pub number: u32,
    /// When it is active.
    pub active: Level,
}

impl GpioLine {
    /// A line that is active high.
    #[must_use]
    pub const fn high(number: u32) -> GpioLine {
        GpioLine { number, active: Level::High }
    }

    /// A line that is active low.
    #[must_use]
    pub const fn low(number: u32) -> GpioLine {
        GpioLine { number, active: Level::Low }
    }

    /// Whether the line must be high to be active (or not).
    #[must_use]
    pub const fn is_high(self, active: bool) -> bool {
        matches!(self.active, Level::High) == active
    }

    /// Whether a line at this level is active.
    #[must_use]
    pub const fn is_active(self, high: bool) -> bool {
        matches!(self.active, Level::High) == high
    }
}

/// Which diode of a sensor with several is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Diode {
    /// The sensor's own.
    Local,
    /// The first one outside, in a chip mostly.
    Remote,
    /// The second one outside.
    SecondRemote,
}

/// What a sensor must know of a diode inside a chip, as its registers take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiodeTune {
    /// Ideality factor: 0x12 is 1.008 on a Microchip part.
    pub ideality: u8,
    /// Beta compensation.
    pub beta: u8,
}

/// What measures a temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorPart {
    /// TI TMP75, TMP1075 or LM75A.
    Tmp75 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// TI TMP451 or TMP42x, or ON NCT218.
    Tmp451 {
        /// 7-bit I²C address.
        address: u8,
        /// Which diode.
        diode: Diode,
    },
    /// Microchip EMC2101, which drives a fan as well.
    Emc2101 {
        /// 7-bit I²C address.
        address: u8,
        /// Which diode.
        diode: Diode,
        /// What it must know of it; `None` leaves it as after power-on.
        tune: Option<DiodeTune>,
    },
    /// Microchip EMC2103, which drives a fan as well.
    Emc2103 {
        /// 7-bit I²C address.
        address: u8,
        /// Which diode.
        diode: Diode,
        /// What it must know of it; `None` leaves it as after power-on.
        tune: Option<DiodeTune>,
    },
    /// The regulator of the rail measures itself.
    Regulator,
    /// The chips measure themselves; what counts is the hottest.
    OnChip,
    /// A sensor that hangs on a chip and is reached through it.
    ThroughChip {
        /// Position of the chip on the chain, from 0.
        chip: u8,
    },
}

impl SensorPart {
    /// Its address on the shared bus; `None` where it is reached another way.
    #[must_use]
    pub const fn address(self) -> Option<u8> {
        match self {
            SensorPart::Tmp75 { address }
            | SensorPart::Tmp451 { address, .. }
            | SensorPart::Emc2101 { address, .. }
            | SensorPart::Emc2103 { address, .. } => Some(address),
            SensorPart::Regulator | SensorPart::OnChip | SensorPart::ThroughChip { .. } => None,
        }
    }
}

/// Fans on PWM outputs and tach inputs of the control board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PwmFans {
    /// PWM channels; all get the same duty.
    pub channels: &'static [u32],
    /// How often a second their signal repeats.
    pub hertz: u32,
    /// Whether a low output drives the fan (a transistor turns the signal over).
    pub inverted: bool,
    /// GPIO lines of the tachs, fan 0 first.
    pub tachs: &'static [u32],
    /// Edges that a tach gives each turn, falling ones alone.
    pub pulses: u8,
}

impl PwmFans {
    /// How long one round of their signal takes.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs(1) / self.hertz.max(1)
    }
}

/// What drives the fans and counts their turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanPart {
    /// The product has none of its own: it is cooled by its surroundings.
    None,
    /// Microchip EMC2301 to EMC2305, a fan a channel.
    Emc2305 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// Microchip EMC2101, one fan.
    Emc2101 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// Microchip EMC2103, one fan.
    Emc2103 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// PWM outputs and tach lines of the control board.
    Pwm(PwmFans),
}

impl FanPart {
    /// Its address on the shared bus.
    #[must_use]
    pub const fn address(self) -> Option<u8> {
        match self {
            FanPart::Emc2305 { address } | FanPart::Emc2101 { address } | FanPart::Emc2103 { address } => Some(address),
            FanPart::None | FanPart::Pwm(_) => None,
        }
    }
}

/// How the voltage controller of S17 and S19 hashboards is spoken to: three ways are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DspicFraming {
    /// Length and 16-bit sum: the maker's own programs.
    LengthSum,
    /// Neither length nor sum.
    Short,
    /// Registers, as reported of the PIC1704.
    Registers,
}

/// What regulates the rail of a hashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegulatorPart {
    /// dsPIC33EP16GS202 or PIC1704 of S17 and S19 hashboards.
    Dspic {
        /// 7-bit I²C address.
        address: u8,
        /// How it is spoken to.
        framing: DspicFraming,
    },
    /// PIC16F1704 of S9 hashboards.
    Pic16 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// Maxim DS4432U, a current source that trims a buck converter.
    Ds4432u {
        /// 7-bit I²C address.
        address: u8,
    },
    /// TI TPS546, by PMBus.
    Tps546 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// A voltage id that is pulsed into the board on a line.
    VidPulses {
        /// The line.
        line: u32,
    },
    /// A converter that nobody can talk to: the board's enable lines switch it.
    Fixed,
    /// None: the rail is the supply itself, and has no switch of its own.
    Supply,
}

impl RegulatorPart {
    /// Its address on the shared bus.
    #[must_use]
    pub const fn address(self) -> Option<u8> {
        match self {
            RegulatorPart::Dspic { address, .. }
            | RegulatorPart::Pic16 { address }
            | RegulatorPart::Ds4432u { address }
            | RegulatorPart::Tps546 { address } => Some(address),
            RegulatorPart::VidPulses { .. } | RegulatorPart::Fixed | RegulatorPart::Supply => None,
        }
    }
}

/// How a Bitmain supply turns a number into a voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApwCurve {
    /// APW9: 14.25 to 21.36 V.
    Apw9,
    /// APW12: 12.0 to 15.0 V.
    Apw12,
}

/// What feeds the hashboards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SupplyPart {
    /// A Bitmain APW supply. Its dialect is found by reading alone.
    Apw {
        /// 7-bit I²C address.
        address: u8,
        /// Its voltages.
        curve: ApwCurve,
        /// The kinds that the product is sold with; any other is left alone.
        kinds: &'static [u8],
    },
    /// A supply that nobody can talk to.
    Fixed {
        /// What it gives.
        volt: Volt,
    },
}

impl SupplyPart {
    /// Its address on the shared bus.
    #[must_use]
    pub const fn address(self) -> Option<u8> {
        match self {
            SupplyPart::Apw { address, .. } => Some(address),
            SupplyPart::Fixed { .. } => None,
        }
    }
}

/// What measures power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterPart {
    /// TI INA260.
    Ina260 {
        /// 7-bit I²C address.
        address: u8,
    },
}

impl MeterPart {
    /// Its address on the shared bus.
    #[must_use]
    pub const fn address(self) -> u8 {
        let MeterPart::Ina260 { address } = self;
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_driven_and_read_the_same_way() {
        for line in [GpioLine::high(3), GpioLine::low(3)] {
            for active in [true, false] {
                assert_eq!(line.is_active(line.is_high(active)), active, "{line:?}");
            }
        }
        assert!(GpioLine::high(1).is_high(true) && !GpioLine::low(1).is_high(true));
    }
}
