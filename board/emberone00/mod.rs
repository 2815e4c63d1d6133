//! 256 Foundation EmberOne00: twelve BM1362 on a USB board. Facts only, marked as in the README here.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, Diode, FanPart, GpioLine, Hashboard, Limits, Megahertz,
    Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, UsbIdentity, Volt, Watt,
};
use std::time::Duration;

/// A TMP1075 on the left, a TMP451 on the right with the diode of one chip [2].
const SENSORS: [SensorSpot; 3] = [
    SensorSpot { part: SensorPart::Tmp75 { address: 0x4a }, place: SensorPlace::BoardInlet },
    SensorSpot { part: SensorPart::Tmp451 { address: 0x49, diode: Diode::Local }, place: SensorPlace::BoardOutlet },
    SensorSpot { part: SensorPart::Tmp451 { address: 0x49, diode: Diode::Remote }, place: SensorPlace::Chip },
];

const HASHBOARDS: [Hashboard; 1] = [Hashboard {
    name: "EmberOne00",
    also: &[],
    chain: ChainLayout { chip: ChipModel::Bm1362, chips: 12, domains: 12, address_interval: 21 },
    line: ChainLine::Uart,
    sensors: &SENSORS,
    regulator: RegulatorPart::Fixed,
    logic: None,
    enables: &[GpioLine::high(1), GpioLine::high(2)],
    // Line 0 of the board's own controller.
    reset: GpioLine::low(0),
    plug: None,
    eeprom: None,
    meter: None,
}];

/// The EmberOne00.
pub const PRODUCT: Product = Product {
    name: "emberone00",
    title: "EmberOne00",
    tier: Tier::Simulated,
    attachment: Attachment::Usb(UsbIdentity { manufacturer: "256F", product: "EmberOne00" }),
    hashboards: &HASHBOARDS,
    fan: FanPart::None,
    fans: 0,
    // Its plug; the board makes everything else from it.
    supply: SupplyPart::Fixed { volt: Volt(12.0) },
    supply_enable: None,
    power: Watt(95.0),
    limits: Limits {
        target: Celsius(65.0),
        resume: Celsius(72.0),
        hot: Celsius(80.0),
        danger: Celsius(95.0),
        // For the eleven chips without a diode, above the board's warmer sensor [1].
        chip_over_board: Celsius(15.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(525.0),
        clock_max: Megahertz(545.0),
        supply: Volt(12.0),
        rail_min: Volt(3.6),
        rail_start: Volt(3.6),
        rail_nominal: Volt(3.6),
        rail_max: Volt(3.6),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 0,
        power_max: Watt(150.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "raspberrypi"],
};
