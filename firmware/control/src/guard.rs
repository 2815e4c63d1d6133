//! The last look at an order before it leaves: nothing beyond the board's limits, whatever the controllers think. An order that fails here is
//! a mistake of ours, and the program ends rather than send it: what watches it makes the hardware safe.

use crate::Order;
use model::Limits;

/// Looks at one order.
///
/// # Panics
/// It is beyond the limits.
pub fn guard(order: &Order, limits: &Limits) {
    match order {
        Order::Supply(Some(volt)) => {
            assert!(volt.0 > 0.0, "a supply of {volt}");
            assert!(*volt <= limits.supply, "a supply of {volt} is above {}", limits.supply);
        }
        Order::Rail { volt: Some(volt), .. } => {
            assert!(volt.0 > 0.0, "a rail of {volt}");
            assert!(*volt <= limits.rail_max, "a rail of {volt} is above {}", limits.rail_max);
        }
        Order::Clock { clock, .. } | Order::ChipClock { clock, .. } => {
            assert!(*clock >= limits.clock_min, "a clock of {clock} is below {}", limits.clock_min);
            assert!(*clock <= limits.clock_max, "a clock of {clock} is above {}", limits.clock_max);
        }
        Order::Duty(duty) => assert!((0.0..=100.0).contains(&duty.0), "a duty of {duty}"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::LIMITS;
    use model::{ChainId, Megahertz, Percent, Volt};

    #[test]
    fn each_kind_of_order_has_its_bounds() {
        let chain = ChainId(0);
        let rail = |v| Order::Rail { chain, volt: Some(Volt(v)) };
        let clock = |c| Order::Clock { chain, clock: Megahertz(c) };
        let chip = |c| Order::ChipClock { chain, chip: 3, clock: Megahertz(c) };
        let (most, l) = (LIMITS.rail_max.0, LIMITS);
        let good = [
            Order::Supply(Some(l.supply)),
            Order::Supply(None),
            rail(most),
            clock(l.clock_min.0),
            clock(l.clock_max.0),
            chip(l.clock_max.0),
            Order::Duty(Percent(100.0)),
        ];
        good.iter().for_each(|o| guard(o, &LIMITS));
        let bad = [
            Order::Supply(Some(l.supply + Volt(0.01))),
            Order::Supply(Some(Volt(0.0))),
            Order::Supply(Some(Volt(f64::NAN))),
            rail(most + 0.01),
            rail(0.0),
            rail(f64::NAN),
            clock(l.clock_min.0 - 0.1),
            clock(l.clock_max.0 + 0.1),
            clock(f64::NAN),
            chip(l.clock_max.0 + 0.1),
            chip(l.clock_min.0 - 0.1),
            Order::Duty(Percent(-1.0)),
            Order::Duty(Percent(100.1)),
            Order::Duty(Percent(f64::NAN)),
        ];
        for order in bad {
            let looked = std::panic::catch_unwind(|| guard(&order, &LIMITS));
            assert!(looked.is_err(), "{order:?} went out");
        }
    }
}
