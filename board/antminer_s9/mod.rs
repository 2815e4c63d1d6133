//! Bitmain Antminer S9: three hashboards with 63 BM1387 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, FanPart, GpioLine, Hashboard, Limits, Megahertz, Percent,
    Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 63 chips in 21 domains of 3, address step 4 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1387, chips: 63, domains: 21, address_interval: 4 };

/// A TMP451 or one of its kin hangs on the chip at address 0xF4, which is the 62nd [2].
const SENSORS: [SensorSpot; 1] = [SensorSpot { part: SensorPart::ThroughChip { chip: 61 }, place: SensorPlace::Chip }];

/// Lines of the Zynq control board with the open bitstream [2]. The chips are
/// reached by plain serial lines here: its own FPGA's queues (UIO) are not driven.
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "S9 hashboard",
        also: &[],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS,
        regulator: RegulatorPart::Pic16 { address: 0x55 },
        logic: None,
        enables: &[],
        reset: GpioLine::low(893),
        plug: Some(GpioLine::high(902)),
        eeprom: None,
        meter: None,
    },
    Hashboard {
        name: "S9 hashboard",
        also: &[],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS,
        regulator: RegulatorPart::Pic16 { address: 0x56 },
        logic: None,
        enables: &[],
        reset: GpioLine::low(894),
        plug: Some(GpioLine::high(903)),
        eeprom: None,
        meter: None,
    },
    Hashboard {
        name: "S9 hashboard",
        also: &[],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS,
        regulator: RegulatorPart::Pic16 { address: 0x57 },
        logic: None,
        enables: &[],
        reset: GpioLine::low(895),
        plug: Some(GpioLine::high(904)),
        eeprom: None,
        meter: None,
    },
];

/// The Antminer S9.
pub const PRODUCT: Product = Product {
    name: "antminer-s9",
    title: "Antminer S9",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 2,
    // Its supply is on whenever it is plugged in [2].
    supply: SupplyPart::Fixed { volt: Volt(12.0) },
    supply_enable: None,
    power: Watt(1290.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // What is added where only the board's own diode answers [2].
        chip_over_board: Celsius(15.0),
        clock_min: Megahertz(100.0),
        clock_nominal: Megahertz(650.0),
        clock_max: Megahertz(700.0),
        supply: Volt(12.0),
        rail_min: Volt(8.1),
        rail_start: Volt(9.4),
        rail_nominal: Volt(8.9),
        rail_max: Volt(9.45),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 1,
        power_max: Watt(1500.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "zynq-s9", "raspberrypi"],
};
