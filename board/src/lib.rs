//! One folder a board: constants that state facts, each with where it comes from in the folder's README. `rig` matches the
//! parts named here to drivers and `sim` builds its machines from the same data. Not here: behaviour of any kind.

#[path = "../amlogic_a113d/mod.rs"]
pub mod amlogic_a113d;
#[path = "../antminer_s17/mod.rs"]
pub mod antminer_s17;
#[path = "../antminer_s19jpro/mod.rs"]
pub mod antminer_s19jpro;
#[path = "../antminer_s19pro/mod.rs"]
pub mod antminer_s19pro;
#[path = "../antminer_s19xp/mod.rs"]
pub mod antminer_s19xp;
#[path = "../antminer_s21/mod.rs"]
pub mod antminer_s21;
#[path = "../antminer_s21pro/mod.rs"]
pub mod antminer_s21pro;
#[path = "../antminer_s9/mod.rs"]
pub mod antminer_s9;
#[path = "../bcb100/mod.rs"]
pub mod bcb100;
#[path = "../beaglebone_s19/mod.rs"]
pub mod beaglebone_s19;
#[path = "../bitaxe_gamma/mod.rs"]
pub mod bitaxe_gamma;
#[path = "../bitaxe_max/mod.rs"]
pub mod bitaxe_max;
#[path = "../bitaxe_supra/mod.rs"]
pub mod bitaxe_supra;
#[path = "../bitaxe_ultra/mod.rs"]
pub mod bitaxe_ultra;
#[path = "../dragonmint_t1/mod.rs"]
pub mod dragonmint_t1;
#[path = "../emberone00/mod.rs"]
pub mod emberone00;
#[path = "../pc/mod.rs"]
pub mod pc;
#[path = "../raspberrypi/mod.rs"]
pub mod raspberrypi;
#[path = "../zynq_s9/mod.rs"]
pub mod zynq_s9;

pub mod table;
pub mod wiring;

use model::{ControlBoard, Product};

/// Every product that can be bought and driven.
pub const PRODUCTS: &[Product] = &[
    antminer_s9::PRODUCT,
    antminer_s17::PRODUCT,
    antminer_s19jpro::PRODUCT,
    antminer_s19pro::PRODUCT,
    antminer_s19xp::PRODUCT,
    antminer_s21::PRODUCT,
    antminer_s21pro::PRODUCT,
    bitaxe_max::PRODUCT,
    bitaxe_ultra::PRODUCT,
    bitaxe_supra::PRODUCT,
    bitaxe_gamma::PRODUCT,
    emberone00::PRODUCT,
    dragonmint_t1::PRODUCT,
];

/// Every control board that an image can be made for.
pub const CONTROL_BOARDS: &[ControlBoard] = &[
    pc::CONTROL_BOARD,
    raspberrypi::CONTROL_BOARD,
    zynq_s9::CONTROL_BOARD,
    beaglebone_s19::CONTROL_BOARD,
    bcb100::CONTROL_BOARD,
    amlogic_a113d::CONTROL_BOARD,
];

/// The product of this name, as settings and the command line write it.
#[must_use]
pub fn product(name: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Celsius, Percent, RegulatorPart, SensorPart, SensorPlace};
    use std::collections::BTreeSet;

    /// A part with several diodes, or one that is sensor and fan controller, may be named more than once.
    fn addresses(p: &Product) -> Vec<u8> {
        let mut all: Vec<u8> = p.fan.address().into_iter().chain(p.supply.address()).collect();
        for b in p.hashboards {
            let mut own: Vec<u8> = b.sensors.iter().filter_map(|s| s.part.address()).collect();
            own.sort_unstable();
            own.dedup();
            all.extend(own.into_iter().filter(|a| p.fan.address() != Some(*a)));
            all.extend(b.regulator.address());
            all.extend(b.eeprom);
            all.extend(b.meter.map(model::MeterPart::address));
        }
        all
    }

    #[test]
    fn no_two_parts_share_an_address_and_no_two_lines_a_number() {
        for p in PRODUCTS {
            let addresses = addresses(p);
            let mut lines: Vec<u32> = p.supply_enable.iter().map(|l| l.number).collect();
            for b in p.hashboards {
                lines.push(b.reset.number);
                lines.extend(b.plug.iter().chain(b.enables).map(|l| l.number));
                if let RegulatorPart::VidPulses { line } = b.regulator {
                    lines.push(line);
                }
            }
            assert!(addresses.iter().all(|a| (0x08..0x78).contains(a)), "{}: {addresses:02x?}", p.name);
            assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len(), "{}: {addresses:02x?}", p.name);
            assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{}: {lines:?}", p.name);
        }
        for c in CONTROL_BOARDS {
            let slots = c.slots.iter().flat_map(|s| [Some(s.reset), s.plug, s.enable]);
            let others = [c.supply_enable, c.leds.green, c.leds.red, c.buttons.report, c.buttons.reset];
            let lines: Vec<u32> = slots.chain(others).flatten().map(|l| l.number).collect();
            assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{}: {lines:?}", c.name);
        }
    }

    #[test]
    fn chains_are_whole_and_limits_are_in_order() {
        for p in PRODUCTS {
            assert!(!p.hashboards.is_empty(), "{}", p.name);
            for b in p.hashboards {
                assert_eq!(b.chain.chips % b.chain.domains, 0, "{}", b.name);
                assert!(u16::from(b.chain.chips) * u16::from(b.chain.address_interval) <= 256, "{}", b.name);
                assert!(!b.sensors.is_empty(), "{}", b.name);
            }
            let l = &p.limits;
            assert!(l.target < l.resume && l.resume < l.hot && l.hot < l.danger, "{}", p.name);
            assert!(l.danger <= Celsius(110.0) && l.chip_over_board >= Celsius(0.0), "{}", p.name);
            assert!(l.clock_min < l.clock_nominal && l.clock_nominal <= l.clock_max, "{}", p.name);
            assert!(l.rail_min <= l.rail_nominal && l.rail_nominal <= l.rail_start, "{}", p.name);
            assert!(l.rail_start <= l.rail_max && l.rail_start <= l.supply, "{}", p.name);
            assert!(l.duty_min > Percent(0.0) && l.fans_min <= p.fans, "{}", p.name);
            assert!(p.power < l.power_max, "{}", p.name);
            // Nothing is added to what the chips say of themselves.
            let own = p.hashboards.iter().flat_map(|b| b.sensors).all(|s| s.part == SensorPart::OnChip);
            assert!(!own || l.chip_over_board == Celsius(0.0), "{}", p.name);
            for c in p.control_boards {
                assert!(CONTROL_BOARDS.iter().any(|b| b.name == *c), "{}: {c}", p.name);
            }
        }
    }

    /// A level taken the wrong way round switches the supply on where it should be off: what a product says of the line that it shares
    /// with its usual control board is what that board says.
    #[test]
    fn a_product_drives_its_boards_supply_line_as_the_board_does() {
        assert_eq!(beaglebone_s19::CONTROL_BOARD.supply_enable, Some(model::GpioLine::high(65)));
        assert_eq!(amlogic_a113d::CONTROL_BOARD.supply_enable, Some(model::GpioLine::high(437)));
        for board in [beaglebone_s19::CONTROL_BOARD, amlogic_a113d::CONTROL_BOARD] {
            let line = board.supply_enable;
            let number = |l: Option<model::GpioLine>| l.map(|l| l.number);
            for p in PRODUCTS.iter().filter(|p| number(p.supply_enable) == number(line)) {
                assert_eq!(p.supply_enable, line, "{} on {}", p.name, board.name);
            }
        }
    }

    /// The slot's straps choose the address: 0x48 and 0x4C for the first one, one more for each of the others.
    #[test]
    fn each_board_of_a_bus_has_the_sensors_of_its_slot() {
        for p in [antminer_s17::PRODUCT, antminer_s19jpro::PRODUCT, antminer_s19pro::PRODUCT, antminer_s19xp::PRODUCT] {
            for (slot, b) in (0..).zip(p.hashboards).chain((0..).zip(antminer_s21pro::PRODUCT.hashboards)) {
                let own: Vec<_> = b.sensors.iter().map(|s| (s.part.address(), s.place)).collect();
                let expected = [(Some(0x48 + slot), SensorPlace::BoardInlet), (Some(0x4c + slot), SensorPlace::BoardOutlet)];
                assert_eq!(own, expected, "{} slot {slot}", p.name);
            }
        }
    }

    /// One name for two kinds of board would let the wrong one start.
    #[test]
    fn no_board_is_called_as_one_with_other_chips() {
        let names = |p: &Product| -> Vec<(&str, model::ChainLayout)> {
            let all = p.hashboards.iter();
            all.flat_map(|b| [b.name].into_iter().chain(b.also.iter().copied()).map(|n| (n, b.chain))).collect()
        };
        let all: Vec<_> = PRODUCTS.iter().flat_map(names).collect();
        for (name, chain) in &all {
            assert!(all.iter().all(|(n, c)| n != name || c == chain), "{name}");
        }
        // The S19k Pro's, with 77 chips.
        assert!(all.iter().all(|(n, _)| !n.starts_with("BHB569")));
    }

    #[test]
    fn products_are_found_by_their_word_alone() {
        assert_eq!(product("antminer-s19jpro").map(|p| p.hashboards.len()), Some(3));
        assert_eq!(product("antminer_s19jpro"), None);
    }
}
