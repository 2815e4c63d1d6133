//! Which address each chip of a chain has. Stock firmware steps by a fixed interval and offers every slot, also where no chip is:
//! the last chips would take none else if one in front missed its own. Open firmware divides the 256 addresses by the chips.
//! Not here: frames.

use model::ChainLayout;

/// The addresses of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressing {
    interval: u16,
    slots: u16,
    chips: u8,
}

impl Addressing {
    /// As the layout says; an interval of 0 stands for 256 divided by the chips. One chip has all addresses for itself.
    #[must_use]
    pub fn of(layout: &ChainLayout) -> Addressing {
        let chips = layout.chips.max(1);
        let (interval, slots) = match u16::from(layout.address_interval) {
            _ if chips == 1 => (256, 1),
            0 => (256 / u16::from(chips), u16::from(chips)),
            interval => (interval, 256 / interval),
        };
        Addressing { interval, slots, chips }
    }

    /// The address of the chip at this position; the last one there is where the position is beyond it.
    #[must_use]
    pub fn address(&self, position: u8) -> u8 {
        u8::try_from(u16::from(position).saturating_mul(self.interval)).unwrap_or(u8::MAX)
    }

    /// The position of the chip that an address belongs to, which may be none of the chain's.
    #[must_use]
    pub fn position(&self, address: u8) -> u8 {
        u8::try_from(u16::from(address) / self.interval).unwrap_or(u8::MAX)
    }

    /// Every address that is offered.
    pub fn offered(&self) -> impl Iterator<Item = u8> + use<> {
        let interval = usize::from(self.interval);
        (0..=u8::MAX).step_by(interval).take(usize::from(self.slots))
    }

    /// How many addresses are offered.
    #[must_use]
    pub fn slots(&self) -> u32 {
        u32::from(self.slots)
    }

    /// How many chips there should be.
    #[must_use]
    pub fn chips(&self) -> u8 {
        self.chips
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ChipModel;

    #[test]
    fn addresses_are_those_of_stock_and_open_firmware() {
        for (chips, interval, offered, second, last) in [
            (126, 2, 128, 2, 250),
            (63, 4, 64, 4, 248),
            (1, 0, 1, 0, 0),
            (1, 128, 1, 0, 0),
            (6, 0, 6, 42, 210),
            (12, 0, 12, 21, 231),
            (160, 1, 256, 1, 159),
        ] {
            let layout = ChainLayout { chip: ChipModel::Bm1362, chips, domains: 1, address_interval: interval };
            let at = Addressing::of(&layout);
            let addresses: Vec<u8> = at.offered().collect();
            assert_eq!(addresses.len(), offered, "{chips} chips");
            assert_eq!(addresses.get(1).copied().unwrap_or(0), second, "{chips} chips");
            assert_eq!((at.address(chips - 1), at.position(last)), (last, chips - 1), "{chips} chips");
        }
    }
}
