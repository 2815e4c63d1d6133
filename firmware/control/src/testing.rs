//! What the tests share: a small product of two chains, and jobs for it.

use model::{
    Attachment, Care, Celsius, ChainLayout, ChainLine, ChipModel, CoinbaseJob, DspicFraming, FanPart, GpioLine, Hash, Hashboard,
    Job, JobBody, JobId, Limits, Megahertz, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SensorSpot,
    SupplyPart, Target, Tier, UpstreamId, Volt, Watt,
};
use std::time::Duration;

/// The board's limits.
pub const LIMITS: Limits = Limits {
    target: Celsius(70.0),
    hot: Celsius(85.0),
    danger: Celsius(95.0),
    resume: Celsius(60.0),
    chip_over_board: Celsius(15.0),
    clock_min: Megahertz(100.0),
    clock_nominal: Megahertz(500.0),
    clock_max: Megahertz(600.0),
    supply: Volt(14.0),
    rail_min: Volt(12.0),
    rail_start: Volt(14.0),
    rail_nominal: Volt(13.0),
    rail_max: Volt(15.0),
    duty_min: Percent(20.0),
    fan_full: Rpm(6000.0),
    fans_min: 2,
    power_max: Watt(3000.0),
    reading_age_max: Duration::from_secs(10),
    care: Care::USUAL,
};

const BOARD: Hashboard = Hashboard {
    name: "a board",
    also: &[],
    chain: ChainLayout { chip: ChipModel::Bm1362, chips: 12, domains: 4, address_interval: 2 },
    sensors: &[
        SensorSpot { part: SensorPart::Tmp75 { address: 0x48 }, place: SensorPlace::BoardInlet },
        SensorSpot { part: SensorPart::Tmp75 { address: 0x49 }, place: SensorPlace::BoardOutlet },
    ],
    line: ChainLine::Uart,
    regulator: RegulatorPart::Dspic { address: 0x20, framing: DspicFraming::LengthSum },
    logic: None,
    enables: &[],
    reset: GpioLine::low(0),
    plug: Some(GpioLine::high(1)),
    eeprom: None,
    meter: None,
};

/// Two chains of two sensors each, and two fans.
pub const PRODUCT: Product = Product {
    name: "test",
    title: "Test",
    tier: Tier::Simulated,
    attachment: Attachment::Buses,
    hashboards: &[BOARD, BOARD],
    fan: FanPart::Emc2305 { address: 0x2c },
    fans: 2,
    supply: SupplyPart::Fixed { volt: Volt(14.0) },
    supply_enable: Some(GpioLine::low(2)),
    power: Watt(2000.0),
    limits: LIMITS,
    control_boards: &["pc"],
};

/// A job that every hash is a share of.
pub fn job(id: u64, upstream: u8, clean: bool) -> Job {
    Job {
        id: JobId(id),
        upstream: UpstreamId(upstream),
        name: format!("job{id}"),
        body: JobBody::Coinbase(body()),
        target: Target::MAX,
        clean,
    }
}

/// A small coinbase job.
pub fn body() -> CoinbaseJob {
    CoinbaseJob {
        version: 0x2000_0000,
        version_mask: 0x1fff_e000,
        previous: Hash([1; 32]),
        coinbase_prefix: vec![1; 40],
        coinbase_suffix: vec![2; 40],
        extranonce1: vec![3; 4],
        extranonce2_size: 4,
        branch: vec![],
        bits: 0x1d00_ffff,
        time: 1_700_000_000,
    }
}
