//! One folder a board: constants that state facts, each with where it comes from in the folder's README. `rig` matches the
//! parts named here to drivers and `sim` builds its machines from the same data. Not here: behaviour of any kind.

#[path = "../antminer_s19jpro/mod.rs"]
pub mod antminer_s19jpro;
#[path = "../pc/mod.rs"]
pub mod pc;

use model::{ControlBoard, Product};

/// Every product that can be bought and driven.
pub const PRODUCTS: &[Product] = &[antminer_s19jpro::PRODUCT];

/// Every control board that an image can be made for.
pub const CONTROL_BOARDS: &[ControlBoard] = &[pc::CONTROL_BOARD];

/// The product of this name, as settings and the command line write it.
#[must_use]
pub fn product(name: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Celsius, Part, Percent};
    use std::collections::BTreeSet;

    fn address(part: Part) -> u8 {
        match part {
            Part::Tmp75 { address } | Part::Emc2305 { address } | Part::Dspic { address } | Part::Apw12 { address } => address,
        }
    }

    #[test]
    fn no_two_parts_share_an_address_and_no_two_lines_a_number() {
        for p in PRODUCTS {
            let mut addresses = vec![address(p.fan_controller), address(p.supply)];
            let mut lines = vec![p.supply_enable_line];
            for b in p.hashboards {
                addresses.push(address(b.regulator));
                addresses.extend(b.sensors.iter().map(|s| address(s.part)));
                lines.extend([b.reset_line, b.plug_line]);
            }
            assert!(addresses.iter().all(|a| (0x08..0x78).contains(a)), "{}: {addresses:02x?}", p.name);
            assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len(), "{}: {addresses:02x?}", p.name);
            assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{}: {lines:?}", p.name);
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
            assert!(l.danger <= Celsius(110.0) && l.chip_over_board > Celsius(0.0), "{}", p.name);
            assert!(l.clock_min < l.clock_nominal && l.clock_nominal <= l.clock_max, "{}", p.name);
            assert!(l.rail_nominal <= l.rail_start && l.rail_start <= l.rail_max, "{}", p.name);
            assert!(l.duty_min > Percent(0.0) && l.fans_min <= p.fans, "{}", p.name);
            for c in p.control_boards {
                assert!(CONTROL_BOARDS.iter().any(|b| b.name == *c), "{}: {c}", p.name);
            }
        }
    }

    #[test]
    fn products_are_found_by_their_word_alone() {
        assert_eq!(product("antminer-s19jpro").map(|p| p.hashboards.len()), Some(3));
        assert_eq!(product("antminer_s19jpro"), None);
    }
}
