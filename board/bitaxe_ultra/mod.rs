//! Bitaxe Ultra (boards 201 to 205): one BM1366, by USB with the bitaxe-raw program. Facts only, marked as in the README here.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, Diode, FanPart, GpioLine, Hashboard, Limits, Megahertz,
    MeterPart, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, UsbIdentity, Volt,
    Watt,
};
use std::time::Duration;

/// The EMC2101 sits beside the chip and reads itself; published firmware adds 5 °C [2].
const SENSORS: [SensorSpot; 1] = [SensorSpot {
    part: SensorPart::Emc2101 { address: 0x4c, diode: Diode::Local, tune: None },
    place: SensorPlace::BoardOutlet,
}];

const HASHBOARDS: [Hashboard; 1] = [Hashboard {
    name: "Bitaxe Ultra 205",
    also: &[],
    chain: ChainLayout { chip: ChipModel::Bm1366, chips: 1, domains: 1, address_interval: 128 },
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

/// The Bitaxe Ultra.
pub const PRODUCT: Product = Product {
    name: "bitaxe-ultra",
    title: "Bitaxe Ultra",
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
        // Published firmware adds 5; a chip under full load is further above its board on the boards that were measured [?].
        chip_over_board: Celsius(22.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(485.0),
        clock_max: Megahertz(575.0),
        supply: Volt(5.0),
        rail_min: Volt(1.1),
        rail_start: Volt(1.2),
        rail_nominal: Volt(1.2),
        rail_max: Volt(1.3),
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
