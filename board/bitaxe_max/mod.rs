//! Bitaxe Max (boards 2.2 and 102): one BM1397, by USB with the bitaxe-raw program. Facts only, marked as in the README here.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, Diode, FanPart, GpioLine, Hashboard, Limits, Megahertz,
    MeterPart, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, UsbIdentity, Volt,
    Watt,
};
use std::time::Duration;

/// The EMC2101 reads the diode in the chip [2].
const SENSORS: [SensorSpot; 1] =
    [SensorSpot { part: SensorPart::Emc2101 { address: 0x4c, diode: Diode::Remote, tune: None }, place: SensorPlace::Chip }];

const HASHBOARDS: [Hashboard; 1] = [Hashboard {
    name: "Bitaxe Max 102",
    also: &[],
    chain: ChainLayout { chip: ChipModel::Bm1397, chips: 1, domains: 1, address_interval: 128 },
    line: ChainLine::Uart,
    sensors: &SENSORS,
    regulator: RegulatorPart::Ds4432u { address: 0x48 },
    logic: None,
    enables: &[GpioLine::high(1)],
    // Line 0 of the board's own controller.
    reset: GpioLine::low(0),
    plug: None,
    eeprom: None,
    meter: Some(MeterPart::Ina260 { address: 0x40 }),
}];

/// The Bitaxe Max.
pub const PRODUCT: Product = Product {
    name: "bitaxe-max",
    title: "Bitaxe Max",
    tier: Tier::Simulated,
    attachment: Attachment::Usb(UsbIdentity { manufacturer: "OSMU", product: "Bitaxe" }),
    hashboards: &HASHBOARDS,
    fan: FanPart::Emc2101 { address: 0x4c },
    fans: 1,
    // A 5 V plug that nobody can talk to.
    supply: SupplyPart::Fixed { volt: Volt(5.0) },
    supply_enable: None,
    power: Watt(12.0),
    limits: Limits {
        target: Celsius(60.0),
        resume: Celsius(68.0),
        hot: Celsius(75.0),
        danger: Celsius(90.0),
        chip_over_board: Celsius(0.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(425.0),
        clock_max: Megahertz(600.0),
        supply: Volt(5.0),
        rail_min: Volt(1.1),
        rail_start: Volt(1.4),
        rail_nominal: Volt(1.4),
        rail_max: Volt(1.5),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 1,
        power_max: Watt(25.0),
        reading_age_max: Duration::from_secs(5),
        // Where ESP-Miner begins to throttle [1].
        care: Care { input_min: Some(Volt(4.9)), ..Care::USUAL },
    },
    control_boards: &["pc", "raspberrypi"],
};
