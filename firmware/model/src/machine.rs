//! A machine: the product that was bought, its hashboards and parts, and the limits that no setting can raise.
//! `board` holds the constants; nothing here names a particular board.

use crate::{Care, Celsius, Megahertz, Percent, Rpm, Volt, Watt};
use std::time::Duration;

/// A chain of chips, from 0 in the order of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub u8);
/// A fan, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FanId(pub u8);
/// A temperature sensor, from 0 over the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorId(pub u8);

/// Where on a chain a nonce came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChipAt {
    /// Position on the chain, nearest the controller first.
    pub chip: u8,
    /// Core within the chip.
    pub core: u8,
}

/// How far support for a product or a control board has been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Runs in the simulator.
    Simulated,
    /// Boots in QEMU.
    BootsInQemu,
    /// Seen on hardware.
    SeenOnHardware,
}

impl Tier {
    /// The word used in lists and documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Tier::Simulated => "simulated",
            Tier::BootsInQemu => "boots in QEMU",
            Tier::SeenOnHardware => "seen on hardware",
        }
    }
}

/// A chip model that a driver exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChipModel {
    /// Bitmain BM1387 (Antminer S9).
    Bm1387,
    /// Bitmain BM1397 (Antminer S17, Bitaxe Max).
    Bm1397,
    /// Bitmain BM1398 (Antminer S19 Pro).
    Bm1398,
    /// Bitmain BM1362 (Antminer S19j Pro, EmberOne00).
    Bm1362,
    /// Bitmain BM1366 (Antminer S19 XP, Bitaxe Ultra).
    Bm1366,
    /// Bitmain BM1368 (Antminer S21, Bitaxe Supra).
    Bm1368,
    /// Bitmain BM1370 (Antminer S21 Pro, Bitaxe Gamma).
    Bm1370,
    /// Bitmine A1 (CoinCraft), by SPI.
    BitmineA1,
    /// The chip of Innosilicon's DragonMint T1, by SPI.
    DragonMintT1,
}

/// A part that a driver exists for: one variant, one file in `hwdrivers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// TI TMP75 / LM75A board temperature sensor at this I²C address.
    Tmp75 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// Microchip EMC2305 five-channel fan controller with tach at this I²C address.
    Emc2305 {
        /// 7-bit I²C address.
        address: u8,
    },
    /// The dsPIC33EP16GS202 voltage controller of S17/S19 hashboards, length + 16-bit-sum framing.
    Dspic {
        /// 7-bit I²C address.
        address: u8,
    },
    /// Bitmain APW12 supply, packet protocol.
    Apw12 {
        /// 7-bit I²C address.
        address: u8,
    },
}

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorPlace {
    /// The hashboard's PCB near the air inlet.
    BoardInlet,
    /// The hashboard's PCB near the air outlet.
    BoardOutlet,
    /// The chip itself: nothing is added to what it reads.
    Chip,
    /// The regulator of the rail, which has limits of its own.
    Regulator,
    /// The control board.
    ControlBoard,
}

/// One sensor of a hashboard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SensorSpot {
    /// The part that reads it.
    pub part: Part,
    /// What it measures.
    pub place: SensorPlace,
}

/// How the chips sit on a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainLayout {
    /// Which chip.
    pub chip: ChipModel,
    /// How many chips.
    pub chips: u8,
    /// Voltage domains in series; `chips` divides by it.
    pub domains: u8,
    /// Step between chip addresses.
    pub address_interval: u8,
}

/// What carries chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hashboard {
    /// The maker's name for it.
    pub name: &'static str,
    /// Its chain.
    pub chain: ChainLayout,
    /// Its temperature sensors; at least one.
    pub sensors: &'static [SensorSpot],
    /// What regulates its rail.
    pub regulator: Part,
    /// GPIO line of the chain's reset (active low), by its number on the control board's hash connector.
    pub reset_line: u32,
    /// GPIO line that tells whether a board is plugged (high = plugged).
    pub plug_line: u32,
}

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The word used in settings and on the command line.
    pub name: &'static str,
    /// How far support has been shown.
    pub tier: Tier,
    /// Its hashboards, chain 0 first.
    pub hashboards: &'static [Hashboard],
    /// The fan controller.
    pub fan_controller: Part,
    /// How many fans it drives.
    pub fans: u8,
    /// What feeds the hashboards.
    pub supply: Part,
    /// GPIO line that enables the supply (active low on APW supplies).
    pub supply_enable_line: u32,
    /// What it may never leave.
    pub limits: Limits,
    /// Control boards that it is sold with or takes.
    pub control_boards: &'static [&'static str],
}

/// What runs Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlBoard {
    /// The word used in settings and on the command line.
    pub name: &'static str,
    /// How far support has been shown.
    pub tier: Tier,
    /// Processor architecture, as Rust names it.
    pub architecture: &'static str,
}

/// What a product may never leave, from its board data. Settings can only tighten it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Chip temperature that the fans hold.
    pub target: Celsius,
    /// Chip temperature that throttles and sets fans full.
    pub hot: Celsius,
    /// Chip temperature that cuts the power within a second.
    pub danger: Celsius,
    /// Chip temperature below which hashing may start again.
    pub resume: Celsius,
    /// What a chip is warmer than the warmest board sensor, where chips carry no sensor of their own.
    pub chip_over_board: Celsius,
    /// Slowest clock that chips run at.
    pub clock_min: Megahertz,
    /// Clock at work.
    pub clock_nominal: Megahertz,
    /// Highest clock ever.
    pub clock_max: Megahertz,
    /// Rail while chips start.
    pub rail_start: Volt,
    /// Rail at work.
    pub rail_nominal: Volt,
    /// Highest rail ever.
    pub rail_max: Volt,
    /// Lowest fan duty while a rail is on.
    pub duty_min: Percent,
    /// What fans turn at full duty.
    pub fan_full: Rpm,
    /// Fans that must turn for hashing.
    pub fans_min: u8,
    /// Most power the supply gives.
    pub power_max: Watt,
    /// Oldest reading that counts. Beyond it fans go full; three times it switches the rail off.
    pub reading_age_max: Duration,
    /// What it needs beyond that.
    pub care: Care,
}
