//! Bitmain Antminer S19j Pro: three BHB42601 hashboards with 126 BM1362 each. Facts only, marked as in the README here:
//! [2] two sources, [1] one source, [?] sources conflict or are silent and this is our choice.

use model::{
    ApwCurve, Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, DspicFraming, FanPart, GpioLine, Hashboard, Limits,
    Megahertz, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// 126 chips in 42 domains of 3; the stock firmware steps addresses by 2 [2].
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::Bm1362, chips: 126, domains: 42, address_interval: 2 };

/// One LM75 kind at the inlet, one at the outlet of each board; the slot's straps choose the address, 0x48 and 0x4C and so on, which
/// keeps the boards of one bus apart. Read from a running S19k Pro, and said to hold for S19j Pro, S19 XP and S21 Pro on the same control
/// board (DCENT `platform/amlogic/mod.rs`) [1]; stock lists name 0x4C to 0x4E too. The four at 0x48 to 0x4B that the maker's test jig
/// reads stand behind a board's own controller [2].
const fn sensors(slot: u8) -> [SensorSpot; 2] {
    [
        SensorSpot { part: SensorPart::Tmp75 { address: 0x48 + slot }, place: SensorPlace::BoardInlet },
        SensorSpot { part: SensorPart::Tmp75 { address: 0x4c + slot }, place: SensorPlace::BoardOutlet },
    ]
}

const SENSORS: [[SensorSpot; 2]; 3] = [sensors(0), sensors(1), sensors(2)];

/// The other names of boards with 126 BM1362 and a voltage controller (manual of the Foundry control board, DCENT) [2]; whether a
/// BHB42603 has the controller they do not agree on [?]: one without is found by its silence. Those that are known to have none,
/// BHB42631 and BHB42651, are another product.
const ALSO: &[&str] = &["BHB42603", "BHB42621", "BHB42641"];

/// The lines are those of the BeagleBone control board: plug detect 51/48/47, reset 5/4/27, supply enable 65 [1]. The dsPIC is
/// strapped to 0x20 + slot [?]: one model talks length and 16-bit sum, BeagleBone S19j Pro boards may carry a PIC1704.
const HASHBOARDS: [Hashboard; 3] = [
    Hashboard {
        name: "BHB42601",
        also: ALSO,
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
        name: "BHB42601",
        also: ALSO,
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
        name: "BHB42601",
        also: ALSO,
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

/// The Antminer S19j Pro.
pub const PRODUCT: Product = Product {
    name: "antminer-s19jpro",
    title: "Antminer S19j Pro",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Stock control boards drive fans by PWM and count tach edges; on a PC they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 4,
    // Kinds of APW12 that S19 boards are sold with, one without and the others with feedback [1].
    supply: SupplyPart::Apw { address: 0x10, curve: ApwCurve::Apw12, kinds: &[0x71, 0x74, 0x75, 0x76] },
    // Of the BeagleBone: see there for which level is on [?].
    supply_enable: Some(GpioLine::high(65)),
    power: Watt(3050.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        // The S21 factory log shows chips 9 °C (mean) to 15 °C (worst) above the outlet sensor once all has settled, and 16 in full air
        // behind a warm start [1]; the rest is for what chips at their limit leak more than those of the log [?].
        chip_over_board: Celsius(18.0),
        clock_min: Megahertz(56.25),
        clock_nominal: Megahertz(525.0),
        clock_max: Megahertz(545.0),
        supply: Volt(15.0),
        rail_min: Volt(12.4),
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
    control_boards: &["pc", "beaglebone-s19", "bcb100", "raspberrypi"],
};
