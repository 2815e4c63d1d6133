//! What there is to see of a machine from outside: temperatures, rails, clocks, fans, and when what was last read.
//!
//! Nothing here changes anything. Not here: what the buses and the person who breaks it do to it (`machine`).

use super::World;
use crate::fitted::Hung;
use model::{Celsius, Megahertz, Percent, RegulatorPart, Rpm, SensorPart, SupplyPart, Time, Volt, Watt};

impl World {
    /// Temperature of a chain's warmest chip.
    #[must_use]
    pub fn chip_temperature(&self, chain: usize) -> Option<Celsius> {
        self.boards.get(chain).map(|b| b.heat.warmest())
    }

    /// What a chain's board gets.
    #[must_use]
    pub fn rail(&self, chain: usize) -> Option<Volt> {
        self.boards.get(chain).map(|b| b.rail)
    }

    /// Whether a chain's rail cannot be switched off where its regulator, if there is one, does not obey: then off is reset held.
    #[must_use]
    pub fn is_unswitched(&self, chain: usize) -> bool {
        let lone = matches!(self.product.supply, SupplyPart::Fixed { .. }) && self.product.supply_enable.is_none();
        let boards = self.product.hashboards;
        boards.get(chain).is_some_and(|b| b.regulator == RegulatorPart::Supply || (lone && b.enables.is_empty()))
    }

    /// Whether what is known of a chain's heat comes through its chips alone.
    #[must_use]
    pub fn is_self_measured(&self, chain: usize) -> bool {
        self.product
            .hashboards
            .get(chain)
            .is_some_and(|b| b.sensors.iter().any(|s| matches!(s.part, SensorPart::OnChip | SensorPart::ThroughChip { .. })))
    }

    /// The clock of a chain's chips.
    #[must_use]
    pub fn clock(&self, chain: usize) -> Option<Megahertz> {
        self.boards.get(chain).map(|b| b.chain.clock())
    }

    /// The clock of a chain's fastest chip.
    #[must_use]
    pub fn fastest(&self, chain: usize) -> Option<Megahertz> {
        self.boards.get(chain).map(|b| b.chain.fastest())
    }

    /// When a chain's board was plugged in.
    #[must_use]
    pub fn plugged_at(&self, chain: usize) -> Option<Time> {
        self.boards.get(chain).map(|b| b.plugged_at)
    }

    /// Whether the mains sag, or the supply under its load: then no rail is what was ordered.
    #[must_use]
    pub fn sags(&self) -> bool {
        self.feigned.brown_out || self.overload.sags()
    }

    /// Since when the longest unread sensor of a chain's board has not been read: since a register that holds a temperature was, and that
    /// was none which a host must know for a lie.
    #[must_use]
    pub fn unread_since(&self, chain: usize) -> Option<Time> {
        let of_board = self.spots.iter().enumerate().filter(|(_, s)| s.board == chain);
        let on_bus = of_board.map(|(spot, _)| self.read_at.get(&spot).copied().unwrap_or(Time::ZERO));
        let hung = self.boards.get(chain).and_then(|b| b.hung.as_ref()).map(Hung::read_at);
        let sensors = self.product.hashboards.get(chain).map_or(&[][..], |b| b.sensors);
        let chips = sensors.iter().any(|s| s.part == SensorPart::OnChip).then(|| self.boards.get(chain));
        on_bus.chain(hung).chain(chips.flatten().map(|b| b.chain.felt_at())).min()
    }

    /// What the slowest driven fan is told; `None` while the fan controller does not answer.
    #[must_use]
    pub fn duty(&self) -> Option<Percent> {
        if let Some(f) = &self.pwm_fans {
            return (0..usize::from(self.product.fans)).map(|fan| f.duty(fan)).reduce(|a, b| if b < a { b } else { a });
        }
        let address = self.product.fan.address().filter(|a| self.bus_plugged && !self.silent.contains(a))?;
        let controller = &self.parts.get(&address)?.part;
        (0..usize::from(self.product.fans)).filter_map(|fan| controller.duty(fan)).reduce(|a, b| if b < a { b } else { a })
    }

    /// What all boards take.
    #[must_use]
    pub fn power(&self) -> Watt {
        self.boards.iter().fold(Watt(0.0), |sum, b| sum + b.heat.power())
    }

    /// How many fans turn.
    #[must_use]
    pub fn fans_turning(&self) -> usize {
        self.air.speeds.iter().filter(|s| s.0 > 0.0).count()
    }

    /// How fast the fans turn.
    #[must_use]
    pub fn fan_speeds(&self) -> &[Rpm] {
        &self.air.speeds
    }
}
