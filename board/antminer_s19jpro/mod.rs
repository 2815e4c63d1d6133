//! Bitmain Antminer S19j Pro: three BHB42601 hashboards with 126 BM1362 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    Care, Celsius, ChainLayout, ChipModel, Hashboard, Limits, Megahertz, Part, Percent, Product, Rpm, SensorPlace, SensorSpot,
    Tier, Volt, Watt,
};
use std::time::Duration;

/// 126 chips in 42 domains of 3; the stock firmware steps addresses by 2 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1362, chips: 126, domains: 42, address_interval: 2 };

/// One TMP75 at the inlet, one at the outlet of each board. Boards of the family carry up to four LM75A at 0x48 to 0x4B [2];
/// which of them a board shows on the shared bus depends on its straps: two addresses a board is our choice [?].
const fn sensors(inlet: u8, outlet: u8) -> [SensorSpot; 2] {
    [
        SensorSpot { part: Part::Tmp75 { address: inlet }, place: SensorPlace::BoardInlet },
        SensorSpot { part: Part::Tmp75 { address: outlet }, place: SensorPlace::BoardOutlet },
    ]
}

const SENSORS: [[SensorSpot; 2]; 3] = [sensors(0x48, 0x49), sensors(0x4a, 0x4b), sensors(0x4c, 0x4d)];

/// The lines are those of the BeagleBone control board: plug detect 51/48/47, reset 5/4/27, supply enable 65 [1]. The dsPIC is
/// strapped to 0x20 + slot [?]: one model talks length and 16-bit sum, BeagleBone S19j Pro boards may carry a PIC1704.
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "BHB42601",
        chain: CHAIN,
        sensors: &SENSORS[0],
        regulator: Part::Dspic { address: 0x20 },
        reset_line: 5,
        plug_line: 51,
    },
    Hashboard {
        name: "BHB42601",
        chain: CHAIN,
        sensors: &SENSORS[1],
        regulator: Part::Dspic { address: 0x21 },
        reset_line: 4,
        plug_line: 48,
    },
    Hashboard {
        name: "BHB42601",
        chain: CHAIN,
        sensors: &SENSORS[2],
        regulator: Part::Dspic { address: 0x22 },
        reset_line: 27,
        plug_line: 47,
    },
];

/// The Antminer S19j Pro.
pub const PRODUCT: Product = Product {
    name: "antminer-s19jpro",
    tier: Tier::Simulated,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges on GPIO; ours hang on a fan controller of the I²C bus [?].
    fan_controller: Part::Emc2305 { address: 0x2d },
    fans: 4,
    supply: Part::Apw12 { address: 0x10 },
    supply_enable_line: 65,
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // The S21 factory log shows chips 8 °C (mean) to 15 °C (worst) above the outlet sensor [1].
        chip_over_board: Celsius(15.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(525.0),
        clock_max: Megahertz(545.0),
        rail_start: Volt(15.0),
        rail_nominal: Volt(13.2),
        rail_max: Volt(15.0),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 3,
        power_max: Watt(3600.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc"],
};
