//! The parts that a product's data put on its buses, each at its address and with what it feels: the bridge between register maps
//! (`parts`) and physics (`machine`). Not here: registers, heat.

use crate::parts::{Diode as Line, Target};
use crate::parts::{
    apw::Apw, at24c02::At24c02, ds4432u::Ds4432u, dspic::Dspic, emc2101::Emc2101, emc2103::Emc2103, emc2305::Emc2305,
    ina260::Ina260, pic16::Pic16, tmp75::Tmp75, tmp451::Tmp451, tps546::Tps546,
};
use hwdrivers::sensor::tmp451::Family;
use model::{
    Celsius, Diode, FanPart, MeterPart, Percent, Product, RegulatorPart, Rpm, SensorPart, SensorPlace, SupplyPart, Time,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A part on the shared bus.
pub(crate) enum Fitted {
    Tmp75(Tmp75),
    Tmp451(Tmp451),
    Emc2101(Emc2101),
    Emc2103(Emc2103),
    Emc2305(Box<Emc2305>),
    Dspic(Dspic),
    Pic16(Pic16),
    Ds4432u(Ds4432u),
    Tps546(Tps546),
    Apw(Apw),
    Ina260(Ina260),
    Eeprom(Box<At24c02>),
}

impl Fitted {
    /// Its registers.
    pub(crate) fn target(&mut self) -> &mut dyn Target {
        match self {
            Fitted::Tmp75(p) => p,
            Fitted::Tmp451(p) => p,
            Fitted::Emc2101(p) => p,
            Fitted::Emc2103(p) => p,
            Fitted::Emc2305(p) => p.as_mut(),
            Fitted::Dspic(p) => p,
            Fitted::Pic16(p) => p,
            Fitted::Ds4432u(p) => p,
            Fitted::Tps546(p) => p,
            Fitted::Apw(p) => p,
            Fitted::Ina260(p) => p,
            Fitted::Eeprom(p) => p.as_mut(),
        }
    }

    /// Lets one of its diodes feel a temperature.
    pub(crate) fn feel(&mut self, diode: Diode, celsius: Celsius) {
        match (self, diode) {
            (Fitted::Tmp75(p), _) => p.temperature = celsius,
            (Fitted::Tmp451(p), Diode::Local) => p.local = celsius,
            (Fitted::Tmp451(p), Diode::Remote) => p.remote[0] = celsius,
            (Fitted::Tmp451(p), Diode::SecondRemote) => p.remote[1] = celsius,
            (Fitted::Emc2101(p), Diode::Local) => p.internal = celsius,
            (Fitted::Emc2101(p), _) => p.external = celsius,
            (Fitted::Emc2103(p), Diode::Local) => p.internal = celsius,
            (Fitted::Emc2103(p), Diode::Remote) => p.external[0] = celsius,
            (Fitted::Emc2103(p), Diode::SecondRemote) => p.external[1] = celsius,
            (Fitted::Tps546(p), _) => p.temperature = celsius,
            _ => {}
        }
    }

    /// Cuts the lines to its diodes, or mends them; `false` where it has none.
    pub(crate) fn open_diodes(&mut self, open: bool) -> bool {
        let state = if open { Line::Open } else { Line::Good };
        match self {
            Fitted::Tmp451(p) => p.diode = state,
            Fitted::Emc2101(p) => p.diode = state,
            Fitted::Emc2103(p) => p.diodes = [state; 2],
            _ => return false,
        }
        true
    }

    /// Whether a read of so many bytes from this register gives what one of its diodes feels, and not what it says of a broken line.
    pub(crate) fn tells(&self, diode: Diode, register: u8, length: usize) -> bool {
        let good = |line: Line| diode == Diode::Local || line == Line::Good;
        let place = match diode {
            Diode::Local => 0,
            Diode::Remote => 1,
            Diode::SecondRemote => 2,
        };
        match self {
            Fitted::Tmp75(_) => register & 3 == 0,
            Fitted::Tmp451(p) => register == place && good(p.diode),
            Fitted::Emc2101(p) => register == place.min(1) && good(p.diode),
            // It counts registers on while it is read.
            Fitted::Emc2103(p) => {
                let (first, line) = (usize::from(2 * place), p.diodes[usize::from(place.max(1)) - 1]);
                (usize::from(register)..usize::from(register) + length).contains(&first) && good(line)
            }
            Fitted::Tps546(_) => register == READ_TEMPERATURE_1,
            _ => false,
        }
    }

    /// Lets its tachs see how fast a fan turns.
    pub(crate) fn see(&mut self, fan: usize, speed: Rpm) {
        match self {
            Fitted::Emc2305(p) => p.speeds.get_mut(fan).into_iter().for_each(|s| *s = speed),
            Fitted::Emc2101(p) if fan == 0 => p.speed = speed,
            Fitted::Emc2103(p) if fan == 0 => p.speed = speed,
            _ => {}
        }
    }

    /// What it is told to drive a fan with; `None` where it drives none.
    pub(crate) fn duty(&self, fan: usize) -> Option<Percent> {
        match self {
            Fitted::Emc2305(p) => Some(p.duty(fan)),
            Fitted::Emc2101(p) => Some(p.duty()),
            Fitted::Emc2103(p) => Some(p.duty()),
            _ => None,
        }
    }

    /// How often it was told what it must not be told.
    pub(crate) fn trespasses(&self) -> usize {
        match self {
            Fitted::Dspic(p) => p.trespasses as usize,
            Fitted::Pic16(p) => p.trespasses as usize,
            Fitted::Apw(p) => (p.trespasses + p.calibrations) as usize,
            Fitted::Eeprom(p) => p.written,
            _ => 0,
        }
    }

    /// Whether a rail may change with what it is told.
    pub(crate) fn feeds(&self) -> bool {
        matches!(self, Fitted::Dspic(_) | Fitted::Pic16(_) | Fitted::Ds4432u(_) | Fitted::Tps546(_) | Fitted::Apw(_))
    }
}

/// A part and whose it is; `None` is the machine's.
pub(crate) struct Fitting {
    pub(crate) part: Fitted,
    pub(crate) board: Option<usize>,
}

/// One place that a part of the shared bus measures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) address: u8,
    pub(crate) diode: Diode,
    pub(crate) board: usize,
    pub(crate) place: SensorPlace,
}

/// Every part of a product that sits on the shared bus, by its address.
pub(crate) fn fit(product: &Product) -> BTreeMap<u8, Fitting> {
    let mut parts = BTreeMap::new();
    for (board, data) in product.hashboards.iter().enumerate() {
        let board = Some(board);
        for spot in data.sensors {
            let Some(address) = spot.part.address() else { continue };
            let part = match spot.part {
                SensorPart::Tmp451 { .. } => Fitted::Tmp451(Tmp451::new(Family::Tmp451)),
                SensorPart::Emc2101 { .. } => Fitted::Emc2101(Emc2101::default()),
                SensorPart::Emc2103 { .. } => Fitted::Emc2103(Emc2103::default()),
                _ => Fitted::Tmp75(Tmp75::default()),
            };
            parts.insert(address, Fitting { part, board });
        }
        let regulator = match data.regulator {
            RegulatorPart::Dspic { address, framing } => Some((address, Fitted::Dspic(Dspic::new(framing)))),
            RegulatorPart::Pic16 { address } => Some((address, Fitted::Pic16(Pic16::default()))),
            RegulatorPart::Ds4432u { address } => Some((address, Fitted::Ds4432u(Ds4432u::default()))),
            RegulatorPart::Tps546 { address } => Some((address, Fitted::Tps546(Tps546::default()))),
            RegulatorPart::VidPulses { .. } | RegulatorPart::Fixed | RegulatorPart::Supply => None,
        };
        parts.extend(regulator.map(|(address, part)| (address, Fitting { part, board })));
        if let Some(MeterPart::Ina260 { address }) = data.meter {
            parts.insert(address, Fitting { part: Fitted::Ina260(Ina260::default()), board });
        }
        if let Some(address) = data.eeprom {
            let part = Fitted::Eeprom(Box::new(At24c02::holding(&image_of(data.name))));
            parts.insert(address, Fitting { part, board });
        }
    }
    let fans = match product.fan {
        FanPart::Emc2305 { address } => Some((address, Fitted::Emc2305(Box::default()))),
        FanPart::Emc2101 { address } => Some((address, Fitted::Emc2101(Emc2101::default()))),
        FanPart::Emc2103 { address } => Some((address, Fitted::Emc2103(Emc2103::default()))),
        FanPart::None | FanPart::Pwm(_) => None,
    };
    // A controller that is a sensor as well is there already.
    if let Some((address, part)) = fans {
        parts.entry(address).or_insert(Fitting { part, board: None });
    }
    if let SupplyPart::Apw { address, kinds, .. } = product.supply {
        let part = Fitted::Apw(Apw::new(kinds.first().copied().unwrap_or_default()));
        parts.insert(address, Fitting { part, board: None });
    }
    parts
}

/// What the maker puts into the EEPROM of a board: its name where it has one of the maker's, behind the preamble of such boards; the
/// sealed form of older boards else. As much of it as is known (asic.md A11).
#[must_use]
pub fn image_of(board: &str) -> Vec<u8> {
    for (start, form) in [("BHB", b"\x04\x11\x00\x00"), ("A3HB", b"\x01\x41\x00\x00")] {
        if board.starts_with(start) {
            return [form, board.as_bytes()].concat();
        }
    }
    let mut sealed = vec![0xa5; 256];
    sealed[..2].copy_from_slice(&[0x11, 0x4a]);
    sealed[255] = 0x5a;
    sealed
}

/// The places that parts of the shared bus measure.
pub(crate) fn spots(product: &Product) -> Vec<Spot> {
    let mut spots = Vec::new();
    for (board, data) in product.hashboards.iter().enumerate() {
        for spot in data.sensors {
            let (address, diode) = match spot.part {
                SensorPart::Tmp75 { address } => (address, Diode::Local),
                SensorPart::Tmp451 { address, diode }
                | SensorPart::Emc2101 { address, diode, .. }
                | SensorPart::Emc2103 { address, diode, .. } => (address, diode),
                SensorPart::Regulator => match data.regulator.address() {
                    Some(address) => (address, Diode::Local),
                    None => continue,
                },
                SensorPart::OnChip | SensorPart::ThroughChip { .. } => continue,
            };
            spots.push(Spot { address, diode, board, place: spot.place });
        }
    }
    spots
}

/// PMBus: what the converter feels.
const READ_TEMPERATURE_1: u8 = 0x8d;
/// What the diode of a hung sensor feels, in every family of them.
const HUNG_REMOTE: u8 = 0x01;

/// The 7-bit address of the sensor that hangs on a chip of an S9.
pub(crate) const HUNG_ADDRESS: u8 = 0x4c;

/// A sensor that hangs on a chip: the chain reads it, the world lets it feel.
#[derive(Clone)]
pub(crate) struct Hung {
    inner: Arc<Mutex<HungPart>>,
}

struct HungPart {
    part: Tmp451,
    register: u8,
    /// What it feels is feigned so that a host can know.
    lies: bool,
    read_at: Time,
}

impl Hung {
    pub(crate) fn new() -> Hung {
        let part = HungPart { part: Tmp451::new(Family::Tmp451), register: 0, lies: false, read_at: Time::ZERO };
        Hung { inner: Arc::new(Mutex::new(part)) }
    }

    fn inner(&self) -> MutexGuard<'_, HungPart> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn feel(&self, board: Celsius, chip: Celsius, lies: bool) {
        let mut inner = self.inner();
        (inner.part.local, inner.part.remote[0], inner.lies) = (board, chip, lies);
    }

    /// Cuts the lines to its diode, or mends them.
    pub(crate) fn open(&self, open: bool) {
        let state = if open { Line::Open } else { Line::Good };
        self.inner().part.diode = state;
    }

    /// When its diode was last read, and it told the truth.
    pub(crate) fn read_at(&self) -> Time {
        self.inner().read_at
    }
}

impl Target for Hung {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        let mut inner = self.inner();
        inner.register = bytes.first().copied().unwrap_or(inner.register);
        inner.part.write(now, bytes);
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        let mut inner = self.inner();
        if inner.register == HUNG_REMOTE && inner.part.diode == Line::Good && !inner.lies {
            inner.read_at = now;
        }
        inner.part.read(now, buffer);
    }
}
