//! Machines that nobody named: boards that say over USB what they are. Where the settings name no device, one that is found is the
//! machine. Not here: how a board is found (`hwdrivers`), and what is done with it.

use hwdrivers::bus::usb::{self, UsbBoard};
use model::settings::{Device, Mining, Place};
use model::{Attachment, Product};
use std::path::Path;

/// The boards that are plugged in.
pub fn boards() -> Vec<UsbBoard> {
    boards_below(Path::new(usb::SYS), Path::new(usb::DEV))
}

/// The boards below these roots of `/sys` and `/dev`.
pub fn boards_below(sys: &Path, dev: &Path) -> Vec<UsbBoard> {
    let known = board::PRODUCTS.iter().filter_map(|p| match p.attachment {
        Attachment::Usb(identity) => Some(identity),
        Attachment::Buses => None,
    });
    usb::boards(sys, dev, &known.collect::<Vec<_>>())
}

/// Whether a machine is looked for: hashboards are on, and none is named.
pub fn is_wanted(mining: &Mining) -> bool {
    mining.enable_asic && mining.asic.devices.is_empty()
}

/// Names the machine that is plugged in where the settings name none.
pub fn complete(mining: &mut Mining) {
    if is_wanted(mining) {
        let (device, said) = choose(&boards(), board::PRODUCTS);
        said.iter().for_each(|line| tracing::warn!("{line}"));
        if let Some(device) = &device {
            tracing::info!(product = device.product, control = %device.i2c.display(), "found a board");
        }
        mining.asic.devices.extend(device);
    }
}

/// The machine among these boards, and what a person should know of the others.
pub fn choose(boards: &[UsbBoard], products: &[Product]) -> (Option<Device>, Vec<String>) {
    let (mut chosen, mut said) = (None, Vec::new());
    for b in boards {
        let alike = products.iter().filter(|p| p.attachment == Attachment::Usb(b.identity));
        let names: Vec<&str> = alike.map(|p| p.name).collect();
        let lines = format!("ttys: [{}], i2c: {control}, gpio: {control}", b.data.display(), control = b.control.display());
        match names[..] {
            [product] if chosen.is_none() => chosen = Some(device(product, b)),
            [product] => said.push(format!("another {product} is at {}: this version runs one machine", b.control.display())),
            _ => said.push(format!(
                "a {} is plugged in and does not say which it is: name it in 'asic.devices' as one of {}, with {lines}",
                b.identity.product,
                names.join(", ")
            )),
        }
    }
    (chosen, said)
}

fn device(product: &str, board: &UsbBoard) -> Device {
    Device {
        product: product.to_owned(),
        ttys: vec![board.data.clone()],
        i2c: board.control.clone(),
        gpio: board.control.clone(),
        pwm: None,
        control_board: None,
        simulated: false,
        place: Place::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::UsbIdentity;

    fn board(manufacturer: &'static str, product: &'static str, n: u8) -> UsbBoard {
        UsbBoard {
            identity: UsbIdentity { manufacturer, product },
            serial: None,
            version: 0,
            port: format!("1-{n}"),
            control: format!("/dev/ttyACM{}", 2 * n).into(),
            data: format!("/dev/ttyACM{}", 2 * n + 1).into(),
        }
    }

    #[test]
    fn the_first_board_that_says_what_it_is_is_the_machine() {
        let products = [board::emberone00::PRODUCT, board::bitaxe_supra::PRODUCT, board::bitaxe_gamma::PRODUCT];
        let boards = [board("OSMU", "Bitaxe", 0), board("256F", "EmberOne00", 1), board("256F", "EmberOne00", 2)];
        let (device, said) = choose(&boards, &products);
        let device = device.expect("found");
        assert_eq!((&*device.product, device.simulated), ("emberone00", false));
        assert_eq!(device.ttys, [std::path::PathBuf::from("/dev/ttyACM3")]);
        assert_eq!((&device.i2c, &device.gpio), (&"/dev/ttyACM2".into(), &"/dev/ttyACM2".into()));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("bitaxe-gamma") && said[0].contains("ttys: [/dev/ttyACM1]"), "{said:?}");
        assert!(said[1].contains("/dev/ttyACM4"), "{said:?}");
        assert_eq!(choose(&[], &products), (None, vec![]));
    }
}
