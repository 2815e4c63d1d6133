//! Innosilicon DragonMint T1: three hashboards with 63 chips each, by SPI. Facts only, marked as in the README here.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, FanPart, GpioLine, Hashboard, Limits, Megahertz, Percent,
    Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot, SupplyPart, Tier, Volt, Watt,
};
use std::time::Duration;

/// The driver takes up to 68 chips [1]; 63 is what the machine's nameplate comes to [?]. They are addressed by place.
const CHAIN: ChainLayout = ChainLayout { chip: ChipModel::DragonMintT1, chips: 63, domains: 21, address_interval: 1 };

/// The chips measure themselves [1].
const SENSORS: [SensorSpot; 1] = [SensorSpot { part: SensorPart::OnChip, place: SensorPlace::Chip }];

/// Lines of its own control board for chain c of 1 to 3: power 872 + c, start 854 + 2c, reset 855 + 2c, plug 896 + c [1]. The
/// voltage id is pulsed into the start line's neighbour; which line that is, the sources do not agree on [?].
const fn hashboard(c: u32) -> Hashboard {
    Hashboard {
        name: "T1 hashboard",
        also: &[],
        chain: CHAIN,
        line: ChainLine::Spi,
        sensors: &SENSORS,
        regulator: RegulatorPart::VidPulses { line: 864 + c },
        logic: None,
        enables: ENABLES[c as usize - 1],
        reset: GpioLine::low(855 + 2 * c),
        plug: Some(GpioLine::low(896 + c)),
        eeprom: None,
        meter: None,
    }
}

const ENABLES: [&[GpioLine]; 3] = [
    &[GpioLine::high(873), GpioLine::high(856)],
    &[GpioLine::high(874), GpioLine::high(858)],
    &[GpioLine::high(875), GpioLine::high(860)],
];

const HASHBOARDS: [Hashboard; 3] = [hashboard(1), hashboard(2), hashboard(3)];

/// The DragonMint T1.
pub const PRODUCT: Product = Product {
    name: "dragonmint-t1",
    title: "DragonMint T1",
    tier: Tier::Unproven,
    attachment: Attachment::Buses,
    hashboards: &HASHBOARDS,
    // Its own board drives fans by PWM at 20 kHz; on another they hang on a fan controller of the I²C bus [?].
    fan: FanPart::Emc2305 { address: 0x2d },
    fans: 2,
    // Its supply is on whenever it is plugged in [1]; what it gives must be above what a board's converter makes of it [?].
    supply: SupplyPart::Fixed { volt: Volt(16.2) },
    supply_enable: None,
    power: Watt(1400.0),
    limits: Limits {
        target: Celsius(70.0),
        resume: Celsius(80.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        chip_over_board: Celsius(0.0),
        clock_min: Megahertz(120.0),
        clock_nominal: Megahertz(1332.0),
        clock_max: Megahertz(1596.0),
        supply: Volt(16.2),
        // A voltage id trims the rail of all domains in series: ids 30, 18, 12 and 0 of a table whose unit is inferred [?].
        rail_min: Volt(13.38),
        rail_nominal: Volt(14.46),
        rail_start: Volt(15.0),
        rail_max: Volt(16.08),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 1,
        power_max: Watt(1700.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    },
    // A PC has no SPI.
    control_boards: &["raspberrypi"],
};
