//! Bitmain Antminer S21: three BHB68603 hashboards with 108 BM1368 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    ApwCurve, Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, FanPart, GpioLine, Hashboard, Limits, Megahertz,
    Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 108 chips in 12 domains of 9, address step 2 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1368, chips: 108, domains: 12, address_interval: 2 };

/// Air-cooled S21 boards have no sensor of their own: the chips measure themselves [1].
const CHIPS: SensorSpot = SensorSpot { part: SensorPart::OnChip, place: SensorPlace::Chip };

/// The control board carries two LM75A, at 0x48 and 0x4C [1]. Chips tell nothing while they are off: these show a hot room then.
const fn control_board(address: u8) -> SensorSpot {
    SensorSpot { part: SensorPart::Tmp75 { address }, place: SensorPlace::ControlBoard }
}

const SENSORS: [&[SensorSpot]; 3] = [&[CHIPS, control_board(0x48)], &[CHIPS], &[CHIPS, control_board(0x4c)]];

/// The EEPROM of a running S21 says so (DCENT) [1], and fleet tools take the name for an S21's (asic-rs); that it has 108 chips as well no
/// source says [?]: their count shows it at the start.
const ALSO: &[&str] = &["BHB68606"];

/// The lines are those of the Amlogic A113D control board [1]. No voltage controller
/// sits on these boards [1]: their rail is the supply itself.
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "BHB68603",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: SENSORS[0],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(454),
        plug: Some(GpioLine::high(439)),
        eeprom: Some(0x50),
        meter: None,
    },
    Hashboard {
        name: "BHB68603",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: SENSORS[1],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(455),
        plug: Some(GpioLine::high(440)),
        eeprom: Some(0x51),
        meter: None,
    },
    Hashboard {
        name: "BHB68603",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: SENSORS[2],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(456),
        plug: Some(GpioLine::high(441)),
        eeprom: Some(0x52),
        meter: None,
    },
];

/// The Antminer S21.
pub const PRODUCT: Product = Product {
    name: "antminer-s21",
    title: "Antminer S21",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 4,
    // Supply versions that the vendor's topology file accepts [2].
    supply: SupplyPart::Apw { address: 0x10, curve: ApwCurve::Apw12, kinds: &[113, 114, 115, 116, 117, 118, 119, 120, 193] },
    supply_enable: Some(GpioLine::high(437)),
    power: Watt(3400.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        chip_over_board: Celsius(0.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(490.0),
        clock_max: Megahertz(500.0),
        supply: Volt(13.6),
        rail_min: Volt(12.4),
        rail_start: Volt(13.6),
        rail_nominal: Volt(13.6),
        rail_max: Volt(15.0),
        duty_min: Percent(20.0),
        // What its fans turn at full duty in the factory log [1].
        fan_full: Rpm(6700.0),
        fans_min: 3,
        power_max: Watt(4000.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "amlogic-a113d", "raspberrypi"],
};
