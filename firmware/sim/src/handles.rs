//! Handles to a simulated machine's buses, as a rig opens them: each looks up the world when it is used.
//!
//! Not here: what is on the buses (`machine`), and harm on the way to it (`fault`).

use crate::machine::{World, lock};
use hwdrivers::bus::{BusError, Gpio, I2c, Message, NoPwm, Pwm, Spi, SpiMode, Uart};
use model::{Baud, ChainLine, Percent};
use std::sync::{Arc, Mutex};

/// Port rate before anybody sets one.
const FIRST_BAUD: Baud = Baud(115_200);

/// What a rig opens: one bus, one GPIO chip, one line a chain.
pub struct Buses {
    /// All parts sit on one I²C bus.
    pub i2c: Box<dyn I2c>,
    /// Reset, plug and supply lines.
    pub gpio: Box<dyn Gpio>,
    /// The control board's PWM outputs.
    pub pwm: Box<dyn Pwm>,
    /// The lines of the chains that are serial, the first chain's first.
    pub uarts: Vec<Box<dyn Uart>>,
    /// The devices of the chains that are on SPI, the first chain's first.
    pub spis: Vec<Box<dyn Spi>>,
}

/// Handles to a world's buses.
#[must_use]
pub fn buses(world: &Arc<Mutex<World>>) -> Buses {
    let lines: Vec<ChainLine> = lock(world).lines().collect();
    let of = |kind| lines.iter().enumerate().filter(move |(_, line)| **line == kind).map(|(chain, _)| chain);
    let uart = |chain| Box::new(SimUart { world: Arc::clone(world), chain, baud: FIRST_BAUD }) as Box<dyn Uart>;
    let spi = |chain| Box::new(SimSpi { world: Arc::clone(world), chain }) as Box<dyn Spi>;
    Buses {
        i2c: Box::new(SimBus(Arc::clone(world))),
        gpio: Box::new(SimGpio(Arc::clone(world))),
        pwm: Box::new(SimPwm(Arc::clone(world))),
        uarts: of(ChainLine::Uart).map(uart).collect(),
        spis: of(ChainLine::Spi).map(spi).collect(),
    }
}

struct SimBus(Arc<Mutex<World>>);

impl I2c for SimBus {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        lock(&self.0).transfer(address, messages)
    }
}

struct SimGpio(Arc<Mutex<World>>);

impl Gpio for SimGpio {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        lock(&self.0).drive_line(line, high);
        Ok(())
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        Ok(lock(&self.0).line(line))
    }

    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        Ok(lock(&self.0).edges(line))
    }
}

struct SimPwm(Arc<Mutex<World>>);

impl Pwm for SimPwm {
    fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
        if lock(&self.0).drive_pwm(channel, duty) { Ok(()) } else { NoPwm.set(channel, duty) }
    }
}

struct SimUart {
    world: Arc<Mutex<World>>,
    chain: usize,
    baud: Baud,
}

impl Uart for SimUart {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        lock(&self.world).tell_line(self.chain, self.baud, bytes);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        Ok(lock(&self.world).take_line(self.chain, self.baud, buffer))
    }

    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.baud = baud;
        Ok(())
    }
}

struct SimSpi {
    world: Arc<Mutex<World>>,
    chain: usize,
}

impl Spi for SimSpi {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        lock(&self.world).configure_spi(self.chain, mode, hertz);
        Ok(())
    }

    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        lock(&self.world).clock_spi(self.chain, bytes);
        Ok(())
    }
}
