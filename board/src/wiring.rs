//! A product on a control board: the board's slots, supply line and fan outputs take the place of what the product's own data say of
//! an ordinary PC. Not here: which lines those are (the boards' folders).

use crate::CONTROL_BOARDS;
use model::{ControlBoard, FanPart, Hashboard, Product};

/// Why a product cannot hang on a control board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WiringError {
    /// There is none of this name.
    #[error("no control board is called '{name}'; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The product is not for it.
    #[error("{product} is not driven by {board}; it takes: {takes}")]
    Unfit {
        /// Which product.
        product: &'static str,
        /// Which board.
        board: &'static str,
        /// What it takes.
        takes: String,
    },
    /// It has too few slots.
    #[error("{board} has {slots} slots, {product} needs {needed}")]
    Slots {
        /// Which product.
        product: &'static str,
        /// Which board.
        board: &'static str,
        /// Slots there are.
        slots: usize,
        /// Slots that are needed.
        needed: usize,
    },
}

/// This product as it is wired on the control board of this name. A board without slots changes nothing: hashboards are wired to it by
/// hand, as the product's own data say.
///
/// What it returns lives as long as the program, which asks for it once for each machine of its settings.
///
/// # Errors
/// No such board, or the product is not for it.
pub fn on(product: &'static Product, name: &str) -> Result<&'static Product, WiringError> {
    let Some(board) = CONTROL_BOARDS.iter().find(|c| c.name == name) else {
        let known = CONTROL_BOARDS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
        return Err(WiringError::Unknown { name: name.to_owned(), known });
    };
    if !product.control_boards.contains(&board.name) {
        let takes = product.control_boards.join(", ");
        return Err(WiringError::Unfit { product: product.name, board: board.name, takes });
    }
    if board.slots.is_empty() {
        return Ok(product);
    }
    let (slots, needed) = (board.slots.len(), product.hashboards.len());
    if slots < needed {
        return Err(WiringError::Slots { product: product.name, board: board.name, slots, needed });
    }
    Ok(Box::leak(Box::new(rewired(product, board))))
}

fn rewired(product: &Product, board: &ControlBoard) -> Product {
    let boards: Vec<Hashboard> = product
        .hashboards
        .iter()
        .zip(board.slots)
        .map(|(b, slot)| Hashboard { reset: slot.reset, plug: slot.plug, logic: slot.enable.or(b.logic), ..*b })
        .collect();
    let fan = if board.fan == FanPart::None { product.fan } else { board.fan };
    let supply_enable = board.supply_enable.filter(|_| product.supply_enable.is_some()).or(product.supply_enable);
    Product { hashboards: Box::leak(boards.into_boxed_slice()), fan, supply_enable, ..*product }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PRODUCTS, antminer_s19jpro};
    use model::GpioLine;

    #[test]
    fn a_board_with_slots_brings_its_own_lines() {
        let p = on(&antminer_s19jpro::PRODUCT, "bcb100").expect("fits");
        assert_eq!(p.hashboards[1].reset, GpioLine::low(5 * 16 + 9), "PF9");
        assert_eq!(p.hashboards[1].logic, Some(GpioLine::high(6 * 16 + 12)), "PG12");
        assert!(matches!(p.fan, FanPart::Pwm(f) if f.inverted && f.tachs.len() == 4), "{:?}", p.fan);
        assert_eq!((p.hashboards.len(), p.limits), (3, antminer_s19jpro::PRODUCT.limits));
        assert_eq!(on(&antminer_s19jpro::PRODUCT, "pc"), Ok(&antminer_s19jpro::PRODUCT));
    }

    #[test]
    fn every_product_fits_the_boards_that_it_names_and_no_other() {
        for p in PRODUCTS {
            for c in CONTROL_BOARDS {
                let wired = on(p, c.name);
                assert_eq!(wired.is_ok(), p.control_boards.contains(&c.name), "{} on {}: {wired:?}", p.name, c.name);
            }
            let error = on(p, "abacus").expect_err("there is none");
            assert!(error.to_string().contains("raspberrypi"), "{error}");
        }
    }
}
