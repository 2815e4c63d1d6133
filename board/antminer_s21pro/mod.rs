//! Bitmain Antminer S21 Pro: three hashboards with 65 BM1370 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    ApwCurve, Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, FanPart, GpioLine, Hashboard, Limits, Megahertz,
    Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 65 chips in 13 domains of 5, address step 2 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1370, chips: 65, domains: 13, address_interval: 2 };

/// One LM75 kind at the inlet, one at the outlet of each board, at 0x48 and 0x4C plus the slot: read from a running S19k Pro and said to
/// hold for the S21 Pro on the same control board (DCENT `platform/amlogic/mod.rs`) [1]. The BM1370 has no sensor that answers [2].
const fn sensors(slot: u8) -> [SensorSpot; 2] {
    [
        SensorSpot { part: SensorPart::Tmp75 { address: 0x48 + slot }, place: SensorPlace::BoardInlet },
        SensorSpot { part: SensorPart::Tmp75 { address: 0x4c + slot }, place: SensorPlace::BoardOutlet },
    ]
}

const SENSORS: [[SensorSpot; 2]; 3] = [sensors(0), sensors(1), sensors(2)];

/// The other names of boards with 65 BM1370, by the list of a board jig (DCENT `hashboard_topology`) [1].
const ALSO: &[&str] = &["A3HB70602", "A3HB70603", "A3HB70605", "A3HB70606", "A3HB70607"];

/// The lines are those of the Amlogic A113D control board [1]. As on the S21 the
/// rail is the supply itself [?].
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "A3HB70601",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[0],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(454),
        plug: Some(GpioLine::high(439)),
        eeprom: Some(0x50),
        meter: None,
    },
    Hashboard {
        name: "A3HB70601",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[1],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(455),
        plug: Some(GpioLine::high(440)),
        eeprom: Some(0x51),
        meter: None,
    },
    Hashboard {
        name: "A3HB70601",
        also: ALSO,
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[2],
        regulator: RegulatorPart::Supply,
        logic: None,
        enables: &[],
        reset: GpioLine::low(456),
        plug: Some(GpioLine::high(441)),
        eeprom: Some(0x52),
        meter: None,
    },
];

/// The Antminer S21 Pro.
pub const PRODUCT: Product = Product {
    name: "antminer-s21pro",
    title: "Antminer S21 Pro",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 4,
    // As of the S21 [?].
    supply: SupplyPart::Apw { address: 0x10, curve: ApwCurve::Apw12, kinds: &[113, 114, 115, 116, 117, 118, 119, 120, 193] },
    supply_enable: Some(GpioLine::high(437)),
    power: Watt(3400.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // The S21 factory log shows chips 9 °C (mean) to 15 °C (worst) above the outlet sensor once all has settled, and 16 in full air
        // behind a warm start [1]; the rest is for what chips at their limit leak more than those of the log [?].
        chip_over_board: Celsius(18.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(587.5),
        clock_max: Megahertz(600.0),
        supply: Volt(13.6),
        rail_min: Volt(12.4),
        rail_start: Volt(13.6),
        rail_nominal: Volt(13.6),
        rail_max: Volt(15.0),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 3,
        power_max: Watt(4000.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "amlogic-a113d", "raspberrypi"],
};
