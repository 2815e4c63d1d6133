//! Bitmain Antminer S17: three hashboards with 48 BM1397 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    ApwCurve, Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, DspicFraming, FanPart, GpioLine, Hashboard, Limits,
    Megahertz, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 48 chips [2] in 12 domains of 4 [1]; addresses are spread over the range as published drivers do [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1397, chips: 48, domains: 12, address_interval: 5 };

/// One LM75 kind at the inlet, one at the outlet of each board, at 0x48 and 0x4C plus the slot: as on later boards of the family (DCENT
/// `platform/amlogic/mod.rs`), which nobody has said of this one [?]. Boards carry up to four LM75A at 0x48 to 0x4B [2]; behind their
/// own controllers, for on one bus those of three boards would clash.
const fn sensors(slot: u8) -> [SensorSpot; 2] {
    [
        SensorSpot { part: SensorPart::Tmp75 { address: 0x48 + slot }, place: SensorPlace::BoardInlet },
        SensorSpot { part: SensorPart::Tmp75 { address: 0x4c + slot }, place: SensorPlace::BoardOutlet },
    ]
}

const SENSORS: [[SensorSpot; 2]; 3] = [sensors(0), sensors(1), sensors(2)];

/// Reset and plug lines. Its own control board has an
/// FPGA between processor and chips, which is not driven: these lines are a BeagleBone's [?].
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "S17 hashboard",
        also: &[],
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
        name: "S17 hashboard",
        also: &[],
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
        name: "S17 hashboard",
        also: &[],
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

/// The Antminer S17.
pub const PRODUCT: Product = Product {
    name: "antminer-s17",
    title: "Antminer S17",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 4,
    // The kind in the protocol description for its supplies, and the one that a test jig puts beside it [1].
    supply: SupplyPart::Apw { address: 0x10, curve: ApwCurve::Apw9, kinds: &[0x41, 0x42] },
    // Of the BeagleBone: see there for which level is on [?].
    supply_enable: Some(GpioLine::high(65)),
    power: Watt(2400.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // The S21 factory log shows chips 9 °C (mean) to 15 °C (worst) above the outlet sensor once all has settled, and 16 in full air
        // behind a warm start [1]; the rest is for what chips at their limit leak more than those of the log [?].
        chip_over_board: Celsius(18.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(575.0),
        clock_max: Megahertz(600.0),
        supply: Volt(19.0),
        rail_min: Volt(16.0),
        rail_start: Volt(19.0),
        rail_nominal: Volt(17.6),
        rail_max: Volt(19.0),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 3,
        power_max: Watt(3000.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    control_boards: &["pc", "beaglebone-s19", "raspberrypi"],
};
