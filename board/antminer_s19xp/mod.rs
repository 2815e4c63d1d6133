//! Bitmain Antminer S19 XP: three hashboards with 110 BM1366 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    ApwCurve, Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, DspicFraming, FanPart, GpioLine, Hashboard, Limits,
    Megahertz, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 110 chips in 11 domains of 10 [1], address step 2 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1366, chips: 110, domains: 11, address_interval: 2 };

/// One LM75 kind at the inlet, one at the outlet of each board, at 0x48 and 0x4C plus the slot: read from a running S19k Pro and said to
/// hold for the S19 XP (DCENT `platform/amlogic/mod.rs`) [1].
const fn sensors(slot: u8) -> [SensorSpot; 2] {
    [
        SensorSpot { part: SensorPart::Tmp75 { address: 0x48 + slot }, place: SensorPlace::BoardInlet },
        SensorSpot { part: SensorPart::Tmp75 { address: 0x4c + slot }, place: SensorPlace::BoardOutlet },
    ]
}

const SENSORS: [[SensorSpot; 2]; 3] = [sensors(0), sensors(1), sensors(2)];

/// The lines are those of the BeagleBone control board [?]. Whether a board carries
/// a controller for its rail is reported both ways [?].
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "BHB56801",
        also: &["BHB56802"],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[0],
        regulator: RegulatorPart::Dspic { address: 0x20, framing: DspicFraming::LengthSum },
        logic: None,
        enables: &[],
        reset: GpioLine::low(5),
        plug: Some(GpioLine::high(51)),
        eeprom: Some(0x50),
        meter: None,
    },
    Hashboard {
        name: "BHB56801",
        also: &["BHB56802"],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[1],
        regulator: RegulatorPart::Dspic { address: 0x21, framing: DspicFraming::LengthSum },
        logic: None,
        enables: &[],
        reset: GpioLine::low(4),
        plug: Some(GpioLine::high(48)),
        eeprom: Some(0x51),
        meter: None,
    },
    Hashboard {
        name: "BHB56801",
        also: &["BHB56802"],
        chain: CHAIN,
        line: ChainLine::Uart,
        sensors: &SENSORS[2],
        regulator: RegulatorPart::Dspic { address: 0x22, framing: DspicFraming::LengthSum },
        logic: None,
        enables: &[],
        reset: GpioLine::low(27),
        plug: Some(GpioLine::high(47)),
        eeprom: Some(0x52),
        meter: None,
    },
];

/// The Antminer S19 XP.
pub const PRODUCT: Product = Product {
    name: "antminer-s19xp",
    title: "Antminer S19 XP",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 4,
    // As of the S19 boards [?].
    supply: SupplyPart::Apw { address: 0x10, curve: ApwCurve::Apw12, kinds: &[0x71, 0x74, 0x75, 0x76] },
    // Of the BeagleBone: see there for which level is on [?].
    supply_enable: Some(GpioLine::high(65)),
    power: Watt(2900.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // The S21 factory log shows chips 9 °C (mean) to 15 °C (worst) above the outlet sensor once all has settled, and 16 in full air
        // behind a warm start [1]; the rest is for what chips at their limit leak more than those of the log [?].
        chip_over_board: Celsius(18.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(475.0),
        clock_max: Megahertz(500.0),
        supply: Volt(15.0),
        rail_min: Volt(12.4),
        rail_start: Volt(15.0),
        rail_nominal: Volt(13.4),
        rail_max: Volt(15.0),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 3,
        power_max: Watt(3600.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "beaglebone-s19", "bcb100", "raspberrypi"],
};
