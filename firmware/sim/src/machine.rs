//! A whole machine of a product, in one world: chains, parts, fans and heat, behind the bus traits that real drivers use.
//!
//! The world has its own time and moves only when told to. Bus handles share it by a mutex because a hand may run in its own
//! thread (`pty`); in a simulation one thread uses them in turn. Not here: any decision, and the loop that drives it.

use crate::SimChain;
use crate::air::Air;
use crate::chain_line::Chips;
use crate::fault::feigned::{Feigned, Probe};
use crate::fitted::{self, Fitted, Fitting, HUNG_ADDRESS, Hung, Spot};
use crate::heat::{BoardHeat, Load, Physics, STEP};
use crate::overload::Overload;
use crate::parts::at24c02::At24c02;
use crate::parts::pwm_fans::PwmFans;
use crate::parts::vid::Vid;
use crate::strain;
use hwdrivers::bus::{BusError, Message, SpiMode};
use hwdrivers::chip::{Scale, hashrate};
use model::{
    Ampere, Baud, Celsius, ChainLine, FanPart, Percent, Product, RegulatorPart, SensorPart, SensorPlace, SupplyPart, Time, Volt,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use crate::handles::{Buses, buses};

/// What a supply gives of its output while the mains sag: too little for any chip. At six tenths the chips of an S17 and of an EmberOne
/// would hash on, and there is nothing to name.
const BROWN_OUT: f64 = 0.3;

struct SimBoard {
    chain: Chips,
    chips: u8,
    heat: BoardHeat,
    rail: Volt,
    plugged: bool,
    /// When it was plugged in.
    plugged_at: Time,
    /// When it is put back.
    back_at: Option<Time>,
    /// They were too hot once.
    burnt: bool,
    /// The sensor that hangs on one of its chips.
    hung: Option<Hung>,
    /// Which chip.
    hung_on: u8,
    /// Its voltage id input.
    vid: Vid,
}

/// The simulated machine.
pub struct World {
    product: Product,
    /// How its work is simulated.
    scale: Scale,
    now: Time,
    /// When the next step of heat and fans is due.
    step_at: Time,
    boards: Vec<SimBoard>,
    parts: BTreeMap<u8, Fitting>,
    /// Fans on outputs of the control board.
    pwm_fans: Option<PwmFans>,
    /// What they measure where.
    spots: Vec<Spot>,
    /// Parts that do not answer.
    silent: BTreeSet<u8>,
    /// When the temperature of each spot was last read, and true.
    read_at: BTreeMap<usize, Time>,
    /// The register that each part was told last.
    registers: BTreeMap<u8, u8>,
    /// Parts that nobody reaches at their own address, as they answer at another's.
    strapped: BTreeSet<u8>,
    /// How often parts were told what they must not be told, and which was so last.
    trespasses: (usize, u8),
    /// The I²C bus reaches the control board.
    bus_plugged: bool,
    /// Levels of the lines that somebody drives.
    lines: BTreeMap<u32, bool>,
    air: Air,
    physics: Physics,
    /// How the supply bears what is drawn.
    overload: Overload,
    /// What parts are made to feel instead of what is.
    feigned: Feigned,
}

impl World {
    /// A machine that was just plugged in: supply off, resets held, fans still, air of 25 °C. `scale` as for
    /// [`SimChain::new`].
    #[must_use]
    pub fn new(product: &Product, seed: u64, scale: Scale) -> World {
        let air = Air::new(usize::from(product.fans), product.limits.fan_full);
        let mut boards = Vec::new();
        for (board, b) in (0u64..).zip(product.hashboards) {
            let seed = seed.wrapping_mul(0x100).wrapping_add(board);
            let mut chain = Chips::new(b, seed, scale);
            let through = b.sensors.iter().find_map(|s| match s.part {
                SensorPart::ThroughChip { chip } => Some(chip),
                _ => None,
            });
            let hung = through.map(|chip| {
                let hung = Hung::new();
                if let Some(serial) = chain.serial() {
                    serial.hang(chip, HUNG_ADDRESS, Box::new(hung.clone()));
                }
                hung
            });
            boards.push(SimBoard {
                chain,
                chips: b.chain.chips,
                heat: BoardHeat::new(b, seed, air.ambient),
                rail: Volt(0.0),
                plugged: true,
                plugged_at: Time::ZERO,
                back_at: None,
                burnt: false,
                hung,
                hung_on: through.unwrap_or_default(),
                vid: Vid::default(),
            });
        }
        let mut world = World {
            product: *product,
            scale,
            now: Time::ZERO,
            step_at: Time::ZERO + STEP,
            boards,
            parts: fitted::fit(product),
            pwm_fans: if let FanPart::Pwm(data) = product.fan { Some(PwmFans::new(data)) } else { None },
            spots: fitted::spots(product),
            silent: BTreeSet::new(),
            read_at: BTreeMap::new(),
            registers: BTreeMap::new(),
            strapped: BTreeSet::new(),
            trespasses: (0, 0),
            bus_plugged: true,
            lines: BTreeMap::new(),
            air,
            physics: Physics::of(product),
            overload: Overload::new(product.limits.power_max),
            feigned: Feigned::default(),
        };
        world.feel();
        world
    }

    /// Its time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Lets time pass until `to`; a moment that is past changes nothing.
    pub fn advance(&mut self, to: Time) {
        while self.step_at <= to {
            self.now = self.step_at;
            self.step_at = self.step_at + STEP;
            self.put_back();
            self.wire();
            let controller = self.product.fan.address().and_then(|a| self.parts.get(&a)).map(|f| &f.part);
            let outputs = self.pwm_fans.as_ref();
            let duty = |fan| controller.and_then(|c| c.duty(fan)).or_else(|| outputs.map(|f| f.duty(fan)));
            self.air.step(|fan| duty(fan).unwrap_or(Percent(0.0)));
            for b in &mut self.boards {
                let load = Load { chips: b.chips, clock: b.chain.clock(), rail: b.rail, hashing: b.chain.hashing() };
                b.heat.step(&self.physics, &load, &self.air);
                b.chain.set_heats(b.heat.chips());
                if b.heat.warmest() > strain::BURNT && !b.burnt {
                    (b.burnt, b.chips) = (true, 0);
                    b.chain.cut(self.now, 0);
                }
            }
            let told_off = self.product.supply_enable.map(|l| !l.is_active(self.line(l.number)));
            self.overload.step(self.power(), told_off);
            self.feel();
        }
        self.now = self.now.max(to);
        for b in &mut self.boards {
            b.chain.advance(self.now);
        }
    }

    /// What parts are made to feel, to break them.
    pub fn feign(&mut self) -> &mut Feigned {
        &mut self.feigned
    }

    /// Cuts the lines to a sensor's diodes, or mends them. A part that has none is cut off as a whole.
    pub fn open_diodes(&mut self, probe: Probe, open: bool) {
        let address = match probe {
            Probe::Chain(chain) => {
                return self.boards.get(chain).and_then(|b| b.hung.as_ref()).into_iter().for_each(|h| h.open(open));
            }
            Probe::Bus(address) => address,
        };
        if !self.parts.get_mut(&address).is_some_and(|f| f.part.open_diodes(open)) {
            self.silence(address, open);
        }
    }

    /// Lets go of all lines, as a controller does that loses its power.
    pub fn float_lines(&mut self) {
        self.lines.clear();
        self.wire();
    }

    /// Sets the room's air, which what comes in follows.
    pub fn set_ambient(&mut self, ambient: Celsius) {
        self.air.room = ambient;
    }

    /// Holds a fan still, or lets it go.
    pub fn stick_fan(&mut self, fan: usize, stuck: bool) {
        if let Some(s) = self.air.stuck.get_mut(fan) {
            *s = stuck;
        }
    }

    /// How often parts were told what they must not be told, and the address of the one that was so last: EEPROMs and calibration were
    /// written, or a boot loader, a supply that nobody understands or a strange board's controller was told more than a question.
    #[must_use]
    pub fn trespasses(&self) -> (usize, u8) {
        self.trespasses
    }

    /// Lets the supply answer in words that nobody knows, or speak as before.
    pub fn babble(&mut self, on: bool) {
        let now = self.now;
        let supply = self.product.supply.address().and_then(|a| self.parts.get_mut(&a));
        if let Some(Fitting { part: Fitted::Apw(supply), .. }) = supply {
            supply.babble(now, on);
        }
    }

    /// Lets the supply give at most this part of what the machine takes at work, as one does that has aged, or what it is made for.
    pub fn age_supply(&mut self, part: Option<f64>) {
        let most = part.map_or(self.product.limits.power_max, |p| self.product.power * p);
        self.overload.give(most);
    }

    /// Resets the controller of a board's rail, whose boot loader runs from then on. One that is plugged in anew is another.
    pub fn fall_into_loader(&mut self, board: usize) {
        let now = self.now;
        match self.controller(board) {
            Some(Fitted::Dspic(part)) => part.fall_into_loader(now),
            Some(Fitted::Pic16(part)) => part.fall_into_loader(now),
            _ => {}
        }
        self.wire();
    }

    fn controller(&mut self, board: usize) -> Option<&mut Fitted> {
        let address = self.product.hashboards.get(board)?.regulator.address()?;
        self.parts.get_mut(&address).map(|f| &mut f.part)
    }

    /// Puts an EEPROM with this in it on a board, or what its maker put there; nothing changes on a board without one.
    pub fn set_eeprom(&mut self, board: usize, image: Option<&[u8]>) {
        let Some(data) = self.product.hashboards.get(board) else { return };
        let own = fitted::image_of(data.name);
        if let Some(Fitting { part: Fitted::Eeprom(part), .. }) = data.eeprom.and_then(|a| self.parts.get_mut(&a)) {
            **part = At24c02::holding(image.unwrap_or(&own));
        }
        if image.is_none() {
            self.estrange(board);
        }
    }

    /// Makes the part at an address deaf and dumb, or heals it.
    pub fn silence(&mut self, address: u8, silent: bool) {
        if silent {
            self.silent.insert(address);
        } else {
            self.silent.remove(&address);
        }
    }

    /// Straps parts to the addresses of others: at their own nobody reaches them. None heals.
    pub fn strap(&mut self, own: impl IntoIterator<Item = u8>) {
        self.strapped = own.into_iter().collect();
    }

    /// Pulls the cable of the I²C bus, or puts it back: no part answers without it.
    pub fn plug_bus(&mut self, plugged: bool) {
        self.bus_plugged = plugged;
    }

    /// Kills a domain of a chain, or heals it: those behind it are out of reach.
    pub fn kill_domain(&mut self, chain: usize, domain: u8, dead: bool) {
        let now = self.now;
        if let Some(b) = self.boards.get_mut(chain).filter(|b| !b.burnt) {
            let layout = self.product.hashboards[chain].chain;
            let reach = layout.chips / layout.domains.max(1) * domain.min(layout.domains);
            b.chips = if dead { reach } else { layout.chips };
            b.chain.kill_domain(now, domain, dead);
        }
    }

    /// Cuts a chain behind this many chips. One that is burnt stays so.
    pub fn cut_chain(&mut self, chain: usize, chips: u8) {
        let now = self.now;
        if let Some(b) = self.boards.get_mut(chain).filter(|b| !b.burnt) {
            b.chips = chips.min(self.product.hashboards[chain].chain.chips);
            b.chain.cut(now, b.chips);
        }
    }

    /// Gives a chain chips that bear only this part of the usual clock.
    pub fn weaken(&mut self, chain: usize, quality: f64) {
        let now = self.now;
        if let Some(b) = self.boards.get_mut(chain) {
            b.chain.set_quality(now, quality);
        }
    }

    /// Makes so many of a thousand nonces of a chain wrong.
    pub fn set_wrong(&mut self, chain: usize, permille: u16) {
        let now = self.now;
        if let Some(b) = self.boards.get_mut(chain) {
            b.chain.set_wrong(now, permille);
        }
    }

    /// A serial chain and the time, to break or look at it. What a cut or a burnt board has lost is the world's own: see
    /// [`World::cut_chain`].
    pub fn chain(&mut self, chain: usize) -> Option<(&mut SimChain, Time)> {
        let now = self.now;
        self.boards.get_mut(chain)?.chain.serial().map(|c| (c, now))
    }

    /// Pulls a hashboard out: no power, no parts, plug line low.
    pub fn unplug(&mut self, chain: usize) {
        if let Some(b) = self.boards.get_mut(chain) {
            b.plugged = false;
            self.wire();
        }
    }

    /// Pulls a hashboard out and puts it back after this, whatever is wrong with it by then.
    pub fn pull_for(&mut self, chain: usize, time: Duration) {
        let until = self.now + time;
        self.unplug(chain);
        self.boards.get_mut(chain).into_iter().for_each(|b| b.back_at = Some(until));
    }

    fn put_back(&mut self) {
        let now = self.now;
        for chain in 0..self.boards.len() {
            if self.boards[chain].back_at.is_some_and(|at| at <= now) {
                self.plug(chain);
            }
        }
    }

    /// Puts a hashboard back in.
    pub fn plug(&mut self, chain: usize) {
        if let Some(b) = self.boards.get_mut(chain) {
            (b.plugged, b.back_at, b.plugged_at) = (true, None, self.now);
            // Its parts had no power meanwhile: they are as after power-on, but for what keeps its bytes without.
            let fresh = fitted::fit(&self.product).into_iter();
            let fresh = fresh.filter(|(_, f)| f.board == Some(chain) && !matches!(f.part, Fitted::Eeprom(_)));
            self.parts.extend(fresh);
            self.estrange(chain);
            self.wire();
            self.feel();
        }
    }

    /// The controller of a board whose EEPROM says that it is another one belongs to that as well.
    fn estrange(&mut self, board: usize) {
        let now = self.now;
        let data = &self.product.hashboards[board];
        let strange = match data.eeprom.and_then(|a| self.parts.get(&a)).map(|f| &f.part) {
            Some(Fitted::Eeprom(part)) => !part.contents.starts_with(&fitted::image_of(data.name)),
            _ => false,
        };
        if let Some(Fitted::Dspic(part)) = self.controller(board) {
            part.strange = strange.then_some(now);
        }
    }

    /// Whether a chain's chips work on a job.
    #[must_use]
    pub fn hashing(&self, chain: usize) -> bool {
        self.boards.get(chain).is_some_and(|b| b.chain.hashing())
    }

    /// When a chain took its last job.
    #[must_use]
    pub fn job_at(&self, chain: usize) -> Option<Time> {
        self.boards.get(chain).map(|b| b.chain.job_at())
    }

    /// How many candidates all chips that a chain's board should have would test in a second at its clock now.
    #[must_use]
    pub fn candidates_due(&self, chain: usize) -> f64 {
        let layout = self.product.hashboards.get(chain).map(|b| b.chain);
        let rate = layout.zip(self.clock(chain)).map_or(0.0, |(l, clock)| hashrate(l.chip, clock, u32::from(l.chips)).0);
        rate / f64::from(self.scale.scale_bits).exp2()
    }

    /// How many candidates a chain hashed, and how many of them it had hashed before on the same job.
    #[must_use]
    pub fn hashes(&self, chain: usize) -> (u64, u64) {
        self.boards.get(chain).map_or((0, 0), |b| b.chain.hashes())
    }

    /// How many of all chains' candidates were tested before on the same job.
    #[must_use]
    pub fn hashes_repeated(&self) -> u64 {
        self.boards.iter().map(|b| b.chain.hashes().1).sum()
    }

    /// How many candidates all chains really hashed.
    #[must_use]
    pub fn hashes_tested(&self) -> u64 {
        self.boards.iter().map(|b| b.chain.hashes().0).sum()
    }

    /// Bytes from the host to a chain, at the host's rate.
    pub(crate) fn tell_line(&mut self, chain: usize, baud: Baud, bytes: &[u8]) {
        let now = self.now;
        if let Some(c) = self.boards.get_mut(chain).and_then(|b| b.chain.serial()) {
            c.tell_bytes(now, baud, bytes);
        }
    }

    /// Bytes that have arrived from a chain; gives how many.
    pub(crate) fn take_line(&mut self, chain: usize, baud: Baud, buffer: &mut [u8]) -> usize {
        let now = self.now;
        let serial = self.boards.get_mut(chain).and_then(|b| b.chain.serial());
        serial.map_or(0, |c| c.take_bytes(now, baud, buffer))
    }

    /// The host's mode and clock of a chain on SPI.
    pub(crate) fn configure_spi(&mut self, chain: usize, mode: SpiMode, hertz: u32) {
        if let Some(ring) = self.boards.get_mut(chain).and_then(|b| b.chain.ring()) {
            ring.configure(mode, hertz);
        }
    }

    /// Clocks bytes through a chain on SPI.
    pub(crate) fn clock_spi(&mut self, chain: usize, bytes: &mut [u8]) {
        if let Some(ring) = self.boards.get_mut(chain).and_then(|b| b.chain.ring()) {
            ring.clock_through(bytes);
        }
    }

    /// What its chains are reached by.
    pub(crate) fn lines(&self) -> impl Iterator<Item = ChainLine> {
        self.product.hashboards.iter().map(|b| b.line)
    }

    /// Brings voltages and lines to where commands and time have put them.
    fn wire(&mut self) {
        let supply = self.supply_output();
        for (i, data) in self.product.hashboards.iter().enumerate() {
            let enabled = data.enables.iter().all(|l| l.is_active(self.line(l.number)));
            let held = data.reset.is_active(self.line(data.reset.number));
            let plugged = self.boards[i].plugged && enabled && supply.0 > 0.0;
            let fed = if plugged { supply } else { Volt(0.0) };
            let rail = self.rail_of(i, data.regulator, fed);
            let (now, b) = (self.now, &mut self.boards[i]);
            b.rail = if plugged { rail } else { Volt(0.0) };
            b.chain.set_power(now, b.rail);
            b.chain.set_reset(now, held);
        }
    }

    fn supply_output(&mut self) -> Volt {
        let (now, on) = (self.now, self.product.supply_enable.is_none_or(|l| l.is_active(self.line(l.number))));
        let given = match self.product.supply {
            SupplyPart::Fixed { volt } => volt,
            SupplyPart::Apw { address, .. } => match self.parts.get_mut(&address).map(|f| &mut f.part) {
                Some(Fitted::Apw(supply)) => {
                    supply.enabled = on;
                    supply.output(now)
                }
                _ => Volt(0.0),
            },
        };
        let given = self.overload.output(given);
        if self.feigned.brown_out { given * BROWN_OUT } else { given }
    }

    /// What a board's regulator makes of the supply.
    fn rail_of(&mut self, board: usize, regulator: RegulatorPart, supply: Volt) -> Volt {
        let (now, heat, power) = (self.now, self.boards[board].heat.outlet(), self.boards[board].heat.power());
        let part = regulator.address().and_then(|a| self.parts.get_mut(&a)).map(|f| &mut f.part);
        match (regulator, part) {
            (_, Some(Fitted::Dspic(p))) => p.rail(now, supply),
            (_, Some(Fitted::Pic16(p))) => p.rail(now, supply),
            // A converter that steps down gives nothing where its input is too low.
            (_, Some(Fitted::Ds4432u(p))) if supply > Volt(2.0) => p.output(),
            (_, Some(Fitted::Ds4432u(_))) => Volt(0.0),
            (_, Some(Fitted::Tps546(p))) => {
                let volt = p.output().0.max(0.1);
                (p.input, p.temperature, p.load) = (supply, heat, Ampere(power.0 / volt));
                p.output()
            }
            (RegulatorPart::VidPulses { .. } | RegulatorPart::Fixed, _) if supply < self.product.limits.supply * 0.5 => Volt(0.0),
            (RegulatorPart::VidPulses { .. }, _) => self.boards[board].vid.output().min(supply),
            (RegulatorPart::Fixed, _) => self.product.limits.rail_nominal,
            (RegulatorPart::Supply, _) => supply,
            _ => Volt(0.0),
        }
    }

    /// Lets sensors and tachs feel what is.
    fn feel(&mut self) {
        let supply = self.supply_output();
        if let Some(f) = &mut self.pwm_fans {
            let seen = |fan, speed| self.feigned.speed(self.now, fan, speed);
            self.air.speeds.iter().enumerate().for_each(|(fan, speed)| f.turn(self.now, fan, seen(fan, *speed)));
        }
        for (place, spot) in self.spots.iter().enumerate() {
            let heat = &self.boards[spot.board].heat;
            let truth = match spot.place {
                SensorPlace::BoardInlet | SensorPlace::ControlBoard => heat.inlet(),
                SensorPlace::Chip => heat.middle(),
                SensorPlace::BoardOutlet | SensorPlace::Regulator => heat.outlet(),
            };
            if let Some(fitting) = self.parts.get_mut(&spot.address) {
                let felt = self.feigned.temperature(Probe::Bus(spot.address), place, truth);
                fitting.part.feel(spot.diode, felt);
            }
        }
        for (chain, b) in self.boards.iter().enumerate() {
            let Some(heat) = b.heat.chips().get(usize::from(b.hung_on)).copied() else { continue };
            let felt = self.feigned.temperature(Probe::Chain(chain), 0, heat);
            let lies = self.feigned.lies(Probe::Chain(chain));
            b.hung.iter().for_each(|h| h.feel(b.heat.beside(b.hung_on), felt, lies));
        }
        if let Some(controller) = self.product.fan.address().and_then(|a| self.parts.get_mut(&a)) {
            for (fan, speed) in self.air.speeds.iter().enumerate() {
                controller.part.see(fan, self.feigned.speed(self.now, fan, *speed));
            }
        }
        for (i, data) in self.product.hashboards.iter().enumerate() {
            if let Some(Fitting { part: Fitted::Ina260(meter), .. }) = data.meter.and_then(|m| self.parts.get_mut(&m.address())) {
                meter.volt = supply;
                meter.ampere = Ampere(self.boards[i].heat.power().0 / supply.0.max(0.1));
            }
        }
    }

    /// The level of a line.
    pub(crate) fn line(&self, line: u32) -> bool {
        for (data, board) in self.product.hashboards.iter().zip(&self.boards) {
            if let Some(plug) = data.plug.filter(|p| p.number == line) {
                return plug.is_high(board.plugged);
            }
        }
        self.lines.get(&line).copied().unwrap_or_else(|| self.pull(line))
    }

    /// How often a line fell: a tach's pulses. No other line has any.
    pub(crate) fn edges(&self, line: u32) -> u64 {
        self.pwm_fans.as_ref().and_then(|f| f.edges(self.now, line)).unwrap_or(0)
    }

    /// Drives a PWM output; `false` where there is none.
    pub(crate) fn drive_pwm(&mut self, channel: u32, duty: Percent) -> bool {
        self.pwm_fans.as_mut().is_some_and(|f| f.set(channel, duty))
    }

    /// Drives a line.
    pub(crate) fn drive_line(&mut self, line: u32, high: bool) {
        self.lines.insert(line, high);
        let now = self.now;
        for (data, b) in self.product.hashboards.iter().zip(&mut self.boards) {
            if data.regulator == (RegulatorPart::VidPulses { line }) {
                b.vid.drive(now, high);
            }
        }
        self.wire();
    }

    /// Lets go of a line.
    pub(crate) fn float_line(&mut self, line: u32) {
        self.lines.remove(&line);
        self.wire();
    }

    /// The level of a line that nobody drives: every line is pulled to where it is safe.
    fn pull(&self, line: u32) -> bool {
        let boards = self.product.hashboards;
        let off = self.product.supply_enable.iter().chain(boards.iter().flat_map(|b| b.enables));
        let held = boards.iter().map(|b| &b.reset).find(|l| l.number == line).map(|l| l.is_high(true));
        held.or_else(|| off.clone().find(|l| l.number == line).map(|l| l.is_high(false))).unwrap_or(false)
    }

    /// One transfer on the I²C bus.
    pub(crate) fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let now = self.now;
        let fitting = self
            .parts
            .get_mut(&address)
            .filter(|_| self.bus_plugged && !self.silent.contains(&address))
            .ok_or(BusError::Nack(address))?;
        if fitting.board.is_some_and(|board| !self.boards[board].plugged) {
            return Err(BusError::Nack(address));
        }
        let before = fitting.part.trespasses();
        for m in messages {
            match m {
                Message::Write(bytes) => {
                    self.registers.extend(bytes.first().map(|register| (address, *register)));
                    fitting.part.target().write(now, bytes);
                }
                Message::Read(buffer) => {
                    fitting.part.target().read(now, buffer);
                    let register = self.registers.get(&address).copied().unwrap_or_default();
                    let true_now = !self.strapped.contains(&address) && !self.feigned.lies(Probe::Bus(address));
                    for (spot, s) in self.spots.iter().enumerate().filter(|(_, s)| true_now && s.address == address) {
                        if fitting.part.tells(s.diode, register, buffer.len()) {
                            self.read_at.insert(spot, now);
                        }
                    }
                }
            }
        }
        let trespassed = fitting.part.trespasses() - before;
        if trespassed > 0 {
            self.trespasses = (self.trespasses.0 + trespassed, address);
        }
        if fitting.part.feeds() {
            self.wire();
        }
        Ok(())
    }
}

/// The world, also where another thread panicked while it held it: its state is whole between calls.
pub fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

#[path = "machine_seen.rs"]
mod seen;

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
