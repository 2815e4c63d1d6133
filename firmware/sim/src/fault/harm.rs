//! How harm is done and undone: what part of a product it needs, which one the seed hits, and the way to hit it.
//!
//! By the wrappers of the buses (`bus`, `line`), by what parts feel (`feigned`), and by the machine's own ways to be broken.

use super::Harms;
use super::by_hand::ON_THE_TABLE;
use super::feigned::{Felt, Probe};
use super::line::Damage;
use super::luck::Luck;
use crate::fitted::image_of;
use crate::machine::{World, lock};
use crate::simulation::Simulation;
use model::{Attachment, Celsius, ChainLine, Diode, Hashboard, Product, RegulatorPart, SensorPart, SensorPlace, SensorSpot};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// The air of a room that nothing is wrong with.
pub const ROOM: Celsius = Celsius(25.0);
/// A room that no fan and no lower clock can save.
pub const FURNACE: Celsius = Celsius(115.0);
/// A board is exchanged in so long: it is cold then, and its start must show in every sensor.
const EXCHANGE: Duration = Duration::from_secs(180);
/// What the names begin with that a maker writes into EEPROMs.
const MAKERS_NAMES: &str = "BHB";
/// Of a thousand nonces so many are wrong: three times what makes a fault.
const WRONG_PERMILLE: u16 = 160;

/// A way to do harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// So many parts of the control bus do not answer.
    Nack {
        /// How many.
        parts: usize,
    },
    /// A sensor feels one of these.
    Sensor(&'static [Felt]),
    /// A board is put in whose sensor goes on saying what it said before.
    SensorStuck,
    /// The line to a sensor's diode is cut; a sensor that measures itself is cut off.
    SensorOpen,
    /// A fan stands.
    FanStall {
        /// Every fan.
        all: bool,
    },
    /// A fan's tach counts wrongly.
    TachNoise,
    /// A chain ends behind some chip.
    ChainCut,
    /// A voltage domain of a chain is dead.
    DeadDomain,
    /// A chain's line is damaged.
    Line(Damage),
    /// Of a thousand bytes of a chain's line so many have a wrong bit, where it is of this kind.
    Noise {
        /// Which kind.
        line: ChainLine,
        /// How many.
        permille: u64,
    },
    /// A chain's chips compute wrongly now and then.
    WrongNonces,
    /// A board's regulator does not answer.
    RegulatorSilent,
    /// A board's controller resets, and its boot loader runs.
    BootLoader,
    /// A board is taken out, and one of another product put in.
    ForeignEeprom,
    /// The supply answers in words that nobody knows.
    SupplyBabble,
    /// The supply gives too little.
    BrownOut,
    /// The supply has aged: it gives this part of what the machine takes at work, and sags beyond.
    Aged(f64),
    /// A board is pulled and put back.
    HotUnplug,
    /// The USB device that a board hangs on is pulled, and put back.
    UsbUnplug,
    /// Two boards' parts answer at the same addresses.
    Twins,
    /// The wire to the pool is cut.
    PoolDrop,
    /// The pool swallows its words.
    PoolSilence,
    /// The wall clock is ahead by so many seconds.
    ClockJump(i64),
    /// The room is this warm.
    Ambient(Celsius),
    /// The room is far too hot, three times.
    Trips,
}

/// What is hit.
#[derive(Clone, Debug, Default)]
pub struct Aim {
    /// In words.
    pub place: String,
    /// Chains that may stop hashing by it.
    pub touched: Vec<usize>,
    /// Chains that it hits itself: what is said of another one is not said of it.
    pub own: Vec<usize>,
    /// Whether it hits one fan alone.
    one_fan: bool,
    chain: usize,
    number: usize,
    addresses: Vec<u8>,
    moved: Vec<(u8, u8)>,
    felt: Option<Felt>,
    probe: Option<Probe>,
    /// The maker's name of another board.
    name: &'static str,
    seed: u64,
}

impl Aim {
    /// Whether what the firmware says of this place may be said of what was hit.
    #[must_use]
    pub fn is_at(&self, place: &str) -> bool {
        let number = |of: &str| place.strip_prefix(of)?.split(' ').next()?.parse::<usize>().ok();
        let chain = number("chain ").is_none_or(|chain| self.own.contains(&chain));
        chain && (!self.one_fan || number("fan ").is_none_or(|fan| fan == self.number))
    }
}

/// A part at its address, and the chain whose board carries it.
#[derive(Clone, Copy)]
struct Spot {
    address: u8,
    /// `None` where all chains depend on it.
    chain: Option<usize>,
}

fn sensors(product: &Product) -> Vec<Spot> {
    let of = |(i, b): (usize, &Hashboard)| sensors_of(b).into_iter().map(move |address| Spot { address, chain: Some(i) });
    product.hashboards.iter().enumerate().flat_map(|b| of(b).collect::<Vec<_>>()).collect()
}

/// A part that measures in two places counts once.
fn sensors_of(board: &Hashboard) -> BTreeSet<u8> {
    board.sensors.iter().filter_map(|s| s.part.address()).collect()
}

/// Sensors that are parts of their own and of which this holds, with their chain; a part that measures in two places counts once.
fn probes(product: &Product, holds: impl Fn(&SensorSpot) -> bool) -> Vec<(Probe, usize)> {
    let of = |chain: usize, s: &SensorSpot| match s.part {
        SensorPart::ThroughChip { .. } => Some((Probe::Chain(chain), chain)),
        part => part.address().map(|a| (Probe::Bus(a), chain)),
    };
    let all = product.hashboards.iter().enumerate().flat_map(|(i, b)| b.sensors.iter().map(move |s| (i, s)));
    let found: BTreeSet<_> = all.filter(|(_, s)| holds(s)).filter_map(|(i, s)| of(i, s)).collect();
    found.into_iter().collect()
}

/// Whether a sensor follows what its board takes: a control board does not.
fn follows(s: &SensorSpot) -> bool {
    matches!(s.place, SensorPlace::Chip | SensorPlace::BoardOutlet | SensorPlace::BoardInlet)
}

/// Whether a sensor has a line that may be cut: to its diode, or to itself. A fan controller that measures itself has none.
fn can_open(s: &SensorSpot) -> bool {
    match s.part {
        SensorPart::Tmp75 { .. } | SensorPart::ThroughChip { .. } => true,
        SensorPart::Tmp451 { diode, .. } | SensorPart::Emc2101 { diode, .. } | SensorPart::Emc2103 { diode, .. } => {
            diode != Diode::Local
        }
        SensorPart::Regulator | SensorPart::OnChip => false,
    }
}

fn hex(addresses: &[u8]) -> String {
    addresses.iter().map(|a| format!("{a:#04x}")).collect::<Vec<_>>().join(", ")
}

/// A regulator that does not obey costs the others their supply: its rail cannot be shown to be off.
fn shared(product: &Product) -> Vec<Spot> {
    let regulators = product.hashboards.iter().filter_map(|b| b.regulator.address());
    let all = regulators.chain(product.fan.address()).chain(product.supply.address());
    all.map(|address| Spot { address, chain: None }).collect()
}

impl Harm {
    /// What it hits by this luck; `None` where the product has no part for it.
    #[must_use]
    pub fn aim(self, product: &Product, luck: &mut Luck) -> Option<Aim> {
        let all: Vec<usize> = (0..product.hashboards.len()).collect();
        let chain = luck.pick(&all)?;
        let of_chain = Aim {
            place: format!("chain {chain}"),
            touched: vec![chain],
            own: vec![chain],
            chain,
            seed: luck.bits(),
            ..Aim::default()
        };
        let (every, hit) = (all.clone(), of_chain.clone());
        let of_all =
            move |place: &str| Aim { place: place.to_owned(), touched: every.clone(), own: every.clone(), ..hit.clone() };
        // Fewer fans than must turn cost all chains their power.
        let spare = product.fans > product.limits.fans_min;
        Some(match self {
            Harm::Nack { parts } => {
                let mut spots = [sensors(product), shared(product)].concat();
                let trims =
                    |b: &Hashboard| matches!(b.regulator, RegulatorPart::Ds4432u { .. }).then(|| b.regulator.address())?;
                let unasked: Vec<u8> = product.hashboards.iter().filter_map(trims).collect();
                spots.retain(|s| !unasked.contains(&s.address));
                luck.shuffle(&mut spots);
                spots.truncate(parts);
                if spots.len() < parts {
                    return None;
                }
                let addresses: Vec<u8> = spots.iter().map(|s| s.address).collect();
                let own: Option<Vec<usize>> = spots.iter().map(|s| s.chain).collect();
                let touched = own.unwrap_or(all);
                Aim { addresses: addresses.clone(), own: touched.clone(), touched, place: hex(&addresses), ..of_chain }
            }
            Harm::Sensor(felt) => {
                let s = luck.pick(&sensors(product))?;
                // Danger on a board whose rail is the supply itself switches the supply off, and so every board.
                let alone = product.hashboards.iter().all(|b| b.regulator != RegulatorPart::Supply);
                let own = s.chain.map_or_else(|| all.clone(), |c| vec![c]);
                let touched = if alone { own.clone() } else { all };
                let felt = luck.pick(felt);
                Aim { place: format!("sensor {:#04x}", s.address), touched, own, addresses: vec![s.address], felt, ..of_chain }
            }
            Harm::SensorStuck | Harm::SensorOpen => {
                let holds = if self == Harm::SensorStuck { follows } else { can_open };
                let (probe, chain) = luck.pick(&probes(product, holds))?;
                let place = match probe {
                    Probe::Bus(address) => format!("sensor {address:#04x} of chain {chain}"),
                    Probe::Chain(_) => format!("sensor on chain {chain}"),
                };
                let alone = product.hashboards.iter().all(|b| b.regulator != RegulatorPart::Supply);
                let touched = if alone { vec![chain] } else { all };
                Aim { place, touched, own: vec![chain], chain, probe: Some(probe), ..of_chain }
            }
            Harm::FanStall { all: true } if product.fans > 0 => of_all("all fans"),
            Harm::FanStall { .. } | Harm::TachNoise if product.fans > 0 => {
                let number = luck.below(usize::from(product.fans));
                let touched = if spare { Vec::new() } else { all.clone() };
                Aim { place: format!("fan {number}"), number, touched, own: all, one_fan: true, ..of_chain }
            }
            Harm::FanStall { .. } | Harm::TachNoise => return None,
            Harm::ChainCut => {
                let chips = usize::from(product.hashboards[chain].chain.chips);
                // Half and more is told from chance within minutes.
                let number = luck.below(chips / 2);
                (chips > 1).then_some(Aim { place: format!("chain {chain} behind chip {number}"), number, ..of_chain })?
            }
            Harm::DeadDomain => {
                // In the first half, as for a cut. A chain of one domain is silent.
                let domains = usize::from(product.hashboards[chain].chain.domains);
                let number = luck.below(domains.div_ceil(2));
                Aim { place: format!("chain {chain} domain {number}"), number, ..of_chain }
            }
            Harm::BootLoader => {
                let loads = |r: &RegulatorPart| matches!(r, RegulatorPart::Dspic { .. } | RegulatorPart::Pic16 { .. });
                let address = Some(product.hashboards[chain].regulator).filter(loads)?.address()?;
                Aim { place: format!("controller of chain {chain}"), addresses: vec![address], ..of_chain }
            }
            Harm::ForeignEeprom => {
                let (data, named) = (&product.hashboards[chain], |n: &&str| n.starts_with(MAKERS_NAMES));
                // Who does not know what the maker calls the right board cannot know another one by its name.
                data.eeprom.filter(|_| named(&data.name))?;
                let all = board::PRODUCTS.iter().flat_map(|p| p.hashboards).map(|b| b.name);
                let others: BTreeSet<&str> = all.filter(|n| named(n) && *n != data.name).collect();
                let name = luck.pick(&others.into_iter().collect::<Vec<_>>())?;
                Aim { place: format!("chain {chain}, a {name}"), name, ..of_chain }
            }
            Harm::Noise { line, .. } => (product.hashboards[chain].line == line).then_some(of_chain)?,
            Harm::Line(_) | Harm::WrongNonces | Harm::HotUnplug => of_chain,
            Harm::RegulatorSilent => {
                // A DS4432U is told its code once and never asked again: that it fell silent cannot be known, and changes nothing.
                let spoken_to = |r: &RegulatorPart| !matches!(r, RegulatorPart::Ds4432u { .. });
                let address = Some(product.hashboards[chain].regulator).filter(spoken_to)?.address()?;
                Aim { place: format!("regulator of chain {chain}"), touched: all, addresses: vec![address], ..of_chain }
            }
            Harm::SupplyBabble => Aim { addresses: vec![product.supply.address()?], ..of_all("supply") },
            Harm::BrownOut => of_all("supply"),
            Harm::Aged(_) => {
                // Who measures nothing of the supply cannot know. A Bitmain supply tells what it is set to, never what it gives.
                let tells = |b: &Hashboard| b.meter.is_some() || matches!(b.regulator, RegulatorPart::Tps546 { .. });
                (product.limits.care.input_min.is_some() && product.hashboards.iter().any(tells)).then(|| of_all("supply"))?
            }
            Harm::Twins => {
                let other = luck.pick(&all.iter().copied().filter(|c| *c != chain).collect::<Vec<_>>())?;
                let (one, two) = (&product.hashboards[chain], &product.hashboards[other]);
                let sensors = sensors_of(one).into_iter().zip(sensors_of(two));
                let moved: Vec<_> = sensors.chain(one.regulator.address().zip(two.regulator.address())).collect();
                if moved.is_empty() {
                    return None;
                }
                let own = vec![chain, other];
                Aim { moved, own, ..of_all(&format!("chain {chain} at the addresses of chain {other}")) }
            }
            Harm::UsbUnplug => matches!(product.attachment, Attachment::Usb(_)).then(|| of_all("USB device"))?,
            Harm::PoolDrop | Harm::PoolSilence => of_all("upstream 0"),
            Harm::ClockJump(_) => Aim { place: "wall clock".to_owned(), touched: Vec::new(), own: Vec::new(), ..of_chain },
            Harm::Ambient(_) | Harm::Trips => of_all("room"),
        })
    }

    /// Does the harm, or undoes it as a technician would.
    pub fn set(self, aim: &Aim, sim: &mut Simulation, on: bool) {
        match self {
            Harm::PoolDrop => sim.cut_pool(0, on),
            Harm::PoolSilence => sim.pool(0).into_iter().for_each(|p| p.mute(on)),
            Harm::ClockJump(by) => sim.jump_clock(if on { by } else { 0 }),
            _ => self.set_machine(aim, sim.product(), sim.world(), sim.harms(), on),
        }
    }

    /// Whether it is the machine that is harmed, and not its pool or its controller's clock. A pty that is gone never comes back by
    /// its name, so that no machine on ptys can be pulled; one that QEMU has as a USB device can ([`super::ByHand`]).
    #[must_use]
    pub fn is_of_machine(self) -> bool {
        !matches!(self, Harm::UsbUnplug | Harm::PoolDrop | Harm::PoolSilence | Harm::ClockJump(_))
    }

    /// Does the harm to a machine, or undoes it. What is not of the machine is left alone.
    pub fn set_machine(self, aim: &Aim, product: &Product, world: &Mutex<World>, harms: &Harms, on: bool) {
        match self {
            // The buses' harm is taken before the world on every transfer, so never while the world is held.
            Harm::Noise { permille, .. } => return harms.line(aim.chain, on.then_some(Damage::Noise(permille))),
            Harm::Line(damage) => return harms.line(aim.chain, on.then_some(damage)),
            Harm::UsbUnplug => {
                harms.pull_usb(on);
                harms.bus().lose(on);
                (0..product.hashboards.len()).for_each(|chain| harms.line(chain, on.then_some(Damage::Gone)));
            }
            Harm::Twins => harms.bus().strap(aim.moved.iter().copied().filter(|_| on)),
            _ => {}
        }
        let mut world = lock(world);
        match self {
            Harm::Nack { .. } | Harm::RegulatorSilent => aim.addresses.iter().for_each(|a| world.silence(*a, on)),
            Harm::Sensor(_) => {
                let felt = aim.felt.filter(|_| on);
                aim.addresses.iter().for_each(|a| world.feign().sensor(Probe::Bus(*a), felt));
            }
            Harm::SensorStuck => {
                aim.probe.into_iter().for_each(|p| world.feign().sensor(p, on.then_some(Felt::Stuck)));
                if on {
                    world.pull_for(aim.chain, EXCHANGE);
                }
            }
            Harm::SensorOpen => aim.probe.into_iter().for_each(|p| world.open_diodes(p, on)),
            Harm::UsbUnplug if on => {
                // The board is without power as well: what its controller does without a host is not known of any firmware.
                (0..product.hashboards.len()).for_each(|chain| world.unplug(chain));
                world.float_lines();
            }
            Harm::UsbUnplug => (0..product.hashboards.len()).for_each(|chain| world.plug(chain)),
            Harm::FanStall { all } => {
                let fans = if all { 0..usize::from(product.fans) } else { aim.number..aim.number + 1 };
                fans.for_each(|fan| world.stick_fan(fan, on));
            }
            Harm::TachNoise => world.feign().tach(aim.number, on.then_some(aim.seed)),
            Harm::ChainCut => {
                let whole = usize::from(product.hashboards[aim.chain].chain.chips);
                let left = if on { aim.number } else { whole };
                world.cut_chain(aim.chain, u8::try_from(left).unwrap_or(u8::MAX));
            }
            Harm::DeadDomain => world.kill_domain(aim.chain, u8::try_from(aim.number).unwrap_or(u8::MAX), on),
            // The board that is put back has a healthy one.
            Harm::BootLoader if on => world.fall_into_loader(aim.chain),
            Harm::ForeignEeprom if on => {
                world.set_eeprom(aim.chain, Some(&image_of(aim.name)));
                world.pull_for(aim.chain, ON_THE_TABLE);
            }
            Harm::ForeignEeprom => world.set_eeprom(aim.chain, None),
            Harm::SupplyBabble => world.babble(on),
            Harm::WrongNonces => world.set_wrong(aim.chain, if on { WRONG_PERMILLE } else { 0 }),
            Harm::BrownOut => world.feign().brown_out = on,
            Harm::Aged(part) => world.age_supply(on.then_some(part)),
            Harm::HotUnplug if on => world.unplug(aim.chain),
            Harm::HotUnplug => world.plug(aim.chain),
            Harm::Ambient(air) => world.set_ambient(if on { air } else { ROOM }),
            // In virtual time its course is the scenario's.
            Harm::Trips => world.set_ambient(if on { FURNACE } else { ROOM }),
            Harm::Twins => world.strap(aim.moved.iter().map(|(own, _)| *own).filter(|_| on)),
            Harm::Line(_) | Harm::Noise { .. } | Harm::BootLoader | Harm::PoolDrop | Harm::PoolSilence | Harm::ClockJump(_) => {}
        }
    }

    /// Whether the repair is made on a table: the board is pulled for it and put back.
    #[must_use]
    pub fn repaired_on_the_table(self) -> bool {
        matches!(self, Harm::ChainCut | Harm::DeadDomain | Harm::BootLoader | Harm::ForeignEeprom | Harm::SensorStuck)
    }

    /// Which chain's board is meant.
    #[must_use]
    pub fn board(aim: &Aim) -> usize {
        aim.chain
    }
}
