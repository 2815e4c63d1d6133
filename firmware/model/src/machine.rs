//! A machine: the product that was bought, its hashboards and parts, and the limits that no setting can raise.
//! `board` holds the constants; nothing here names a particular board.

use crate::{
    Care, Celsius, FanPart, GpioLine, Megahertz, MeterPart, Percent, RegulatorPart, Rpm, SensorPart, SupplyPart, Volt, Watt,
};
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
    /// What is known is written down; nothing has run.
    FactsOnly,
    /// Runs in the simulator, after sources whose authors never saw it mine, or on a bus that no kernel here has.
    Unproven,
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
            Tier::FactsOnly => "facts only",
            Tier::Unproven => "unproven",
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
    pub part: SensorPart,
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
    /// Step between chip addresses; 0 stands for 256 divided by the chips.
    pub address_interval: u8,
}

/// What a chain's work travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainLine {
    /// A serial line.
    Uart,
    /// SPI.
    Spi,
}

/// What carries chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hashboard {
    /// The maker's name for it.
    pub name: &'static str,
    /// Names of boards that are the same to whoever drives them: as many of the same chips in the same places.
    pub also: &'static [&'static str],
    /// Its chain.
    pub chain: ChainLayout,
    /// How its chips are reached.
    pub line: ChainLine,
    /// Its temperature sensors; at least one.
    pub sensors: &'static [SensorSpot],
    /// What regulates its rail.
    pub regulator: RegulatorPart,
    /// Line that gives the board's logic its power; without it no part of the board answers. Active as long as the program runs.
    pub logic: Option<GpioLine>,
    /// Lines that are active while the rail is on: from when its voltage is set, until it is to be off.
    pub enables: &'static [GpioLine],
    /// Line of the chain's reset; active holds the chips.
    pub reset: GpioLine,
    /// Line that tells whether a board is plugged; `None` where nothing does.
    pub plug: Option<GpioLine>,
    /// Address of the EEPROM that says what the board is. It is never written.
    pub eeprom: Option<u8>,
    /// What measures its power.
    pub meter: Option<MeterPart>,
}

/// How a board calls itself on USB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbIdentity {
    /// Its manufacturer string.
    pub manufacturer: &'static str,
    /// Its product string.
    pub product: &'static str,
}

/// How a product hangs on what runs Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// By the buses and lines of a control board.
    Buses,
    /// By USB: two serial lines, one of which carries the board's own I²C and lines.
    Usb(UsbIdentity),
}

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The word used in settings and on the command line.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// How far support has been shown.
    pub tier: Tier,
    /// How it hangs on what runs Linux.
    pub attachment: Attachment,
    /// Its hashboards, chain 0 first.
    pub hashboards: &'static [Hashboard],
    /// What drives its fans.
    pub fan: FanPart,
    /// How many fans it drives.
    pub fans: u8,
    /// What feeds the hashboards.
    pub supply: SupplyPart,
    /// Line that switches the supply on; `None` where nothing does.
    pub supply_enable: Option<GpioLine>,
    /// What the hashboards take together at the nominal clock and rail.
    pub power: Watt,
    /// What it may never leave.
    pub limits: Limits,
    /// Control boards that it is sold with or takes.
    pub control_boards: &'static [&'static str],
}

impl Product {
    /// How many chips it has.
    #[must_use]
    pub fn chips(&self) -> u32 {
        self.hashboards.iter().map(|b| u32::from(b.chain.chips)).sum()
    }
}

/// Where a hashboard plugs into a control board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its serial line.
    pub tty: &'static str,
    /// Its reset line; active holds the chips.
    pub reset: GpioLine,
    /// Its plug line.
    pub plug: Option<GpioLine>,
    /// A line that must be active for the slot to have logic power.
    pub enable: Option<GpioLine>,
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
    /// Its slots, chain 0 first; empty where hashboards are wired by hand, as the product's own data say.
    pub slots: &'static [Slot],
    /// Line that switches the supply on.
    pub supply_enable: Option<GpioLine>,
    /// Its fan outputs; [`FanPart::None`] where fans hang on a controller of the product.
    pub fan: FanPart,
    /// Its lights.
    pub leds: Leds,
    /// Its buttons.
    pub buttons: Buttons,
}

/// The lights of a control board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leds {
    /// All is well.
    pub green: Option<GpioLine>,
    /// Something is wrong.
    pub red: Option<GpioLine>,
}

/// The buttons of a control board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buttons {
    /// Tells the address to the network.
    pub report: Option<GpioLine>,
    /// Back to the factory's settings.
    pub reset: Option<GpioLine>,
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
    /// What the supply is set to.
    pub supply: Volt,
    /// Lowest rail that chips are run at.
    pub rail_min: Volt,
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
