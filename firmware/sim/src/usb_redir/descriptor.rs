//! What a simulated USB device says of itself: the descriptors of serial lines (CDC-ACM) in one device, two interfaces each.
//!
//! ```text
//!  line n ─ association ─┬─ interface 2n:   control, notifications at 0x81 + 2n
//!                        └─ interface 2n+1: data, in at 0x82 + 2n, out at 0x02 + 2n
//! ```
//! Not here: requests, which these are the answers to (`device`).

use super::frame::{ENDPOINTS, Endpoint, Interface};
use model::UsbIdentity;

/// Lines of one device: seven fill the fifteen endpoints.
pub const LINES_LIMIT: usize = 7;
/// Bytes of a packet for control, at high speed.
const CONTROL_PACKET: u16 = 64;
/// Bytes of a packet of data, at high speed.
const DATA_PACKET: u16 = 512;
const NOTIFY_PACKET: u16 = 16;
/// 2^15 microframes, 4 s: QEMU asks for notifications itself, and there never are any.
const NOTIFY_INTERVAL: u8 = 16;
/// Class, subclass, protocol of a device with associations.
pub const DEVICE_CLASS: [u8; 3] = [0xef, 2, 1];
/// Longest text: a descriptor has 255 bytes, two of them a head.
const TEXT_LIMIT: usize = 126;
/// United States English, in which all texts are.
const LANGUAGE: [u8; 2] = [9, 4];

const CONTROL: u8 = 0;
const BULK: u8 = 2;
const INTERRUPT: u8 = 3;
const NONE: Endpoint = Endpoint { kind: 255, interval: 0, interface: 0, packet: 0 };

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Vendor, product, version of the device.
    pub numbers: [u16; 3],
    /// Manufacturer, product, serial number.
    pub texts: [String; 3],
}

/// A number of pid.codes for tests: nobody makes a device with it.
const NOBODYS: [u16; 3] = [0x1209, 0x0001, 0x0100];

impl Who {
    /// The adapter that a control board's chain hangs on.
    #[must_use]
    pub fn of_chain(chain: usize, seed: u64) -> Who {
        let texts = ["Otedama".to_owned(), format!("Simulated chain {chain}"), format!("{seed:x}-{chain}")];
        Who { numbers: NOBODYS, texts }
    }

    /// A USB board: 1209:256F was given to EmberOne00, its firmware's bcdDevice is 0500 (asic.md A13); a Bitaxe has the number of
    /// an example, and what its firmware says of its version is not known.
    #[must_use]
    pub fn of_board(identity: UsbIdentity, seed: u64) -> Who {
        let numbers = if identity.product == "EmberOne00" { [0x1209, 0x256f, 0x0500] } else { [0xc0de, 0xcafe, 0x0100] };
        Who { numbers, texts: [identity.manufacturer.to_owned(), identity.product.to_owned(), format!("{seed:08x}")] }
    }
}

/// A line's endpoints: notifications, data in, data out.
#[must_use]
pub fn endpoints_of(line: usize) -> [u8; 3] {
    // Lines are below [`LINES_LIMIT`].
    let n = 2 * line as u8;
    [0x81 + n, 0x82 + n, 0x02 + n]
}

/// The line that an endpoint or an interface belongs to, by the endpoint's or interface's place in it.
#[must_use]
pub fn line_at(endpoint: u8, place: usize) -> Option<usize> {
    (0..LINES_LIMIT).find(|line| endpoints_of(*line)[place] == endpoint)
}

fn device(who: &Who) -> Vec<u8> {
    let [vendor, product, version] = who.numbers.map(u16::to_le_bytes);
    let head = [18, 1, 0, 2, DEVICE_CLASS[0], DEVICE_CLASS[1], DEVICE_CLASS[2], CONTROL_PACKET as u8];
    [&head[..], &vendor, &product, &version, &[1, 2, 3, 1]].concat()
}

fn configuration(lines: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..lines).flat_map(line).collect();
    // Seven lines have 471 bytes, and 14 interfaces. Powered by itself, 100 mA.
    let length = (9 + body.len() as u16).to_le_bytes();
    [&[9, 2, length[0], length[1], 2 * lines as u8, 1, 0, 0xc0, 50], &body[..]].concat()
}

fn line(line: usize) -> Vec<u8> {
    let (control, data) = (2 * line as u8, 2 * line as u8 + 1);
    let [notify, input, output] = endpoints_of(line);
    let packet = DATA_PACKET.to_le_bytes();
    let bulk = |address| [7, 5, address, BULK, packet[0], packet[1], 0];
    [
        &[8, 11, control, 2, 2, 2, 1, 0][..],
        &[9, 4, control, 0, 1, 2, 2, 1, 0],
        // CDC 1.10; calls are nobody's; it takes line codings and breaks; which interfaces it is made of.
        &[5, 0x24, 0, 0x10, 1],
        &[5, 0x24, 1, 0, data],
        &[4, 0x24, 2, 6],
        &[5, 0x24, 6, control, data],
        &[7, 5, notify, INTERRUPT, NOTIFY_PACKET as u8, 0, NOTIFY_INTERVAL],
        &[9, 4, data, 0, 2, 10, 0, 0, 0],
        &bulk(output),
        &bulk(input),
    ]
    .concat()
}

fn text(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().take(TEXT_LIMIT).flat_map(u16::to_le_bytes).collect();
    // At most 254.
    [&[2 + units.len() as u8, 3], &units[..]].concat()
}

/// The descriptor of this kind and number; `None` where a device has none such.
#[must_use]
pub fn descriptor(who: &Who, lines: usize, kind: u8, number: u8) -> Option<Vec<u8>> {
    match (kind, number) {
        (1, 0) => Some(device(who)),
        (2, 0) => Some(configuration(lines)),
        (3, 0) => Some([&[4, 3], &LANGUAGE[..]].concat()),
        (3, n @ 1..=3) => Some(text(&who.texts[usize::from(n) - 1])),
        _ => None,
    }
}

/// Its endpoints for QEMU: 16 out, then 16 in.
#[must_use]
pub fn endpoints(lines: usize) -> [Endpoint; ENDPOINTS] {
    let mut all = [NONE; ENDPOINTS];
    let control = Endpoint { kind: CONTROL, interval: 0, interface: 0, packet: CONTROL_PACKET };
    (all[0], all[16]) = (control, control);
    for line in 0..lines {
        let [notify, input, output] = endpoints_of(line);
        let (control, data) = (2 * line as u8, 2 * line as u8 + 1);
        let bulk = Endpoint { kind: BULK, interval: 0, interface: data, packet: DATA_PACKET };
        let place = |address: u8| usize::from(address & 15) + if address & 0x80 == 0 { 0 } else { 16 };
        all[place(notify)] = Endpoint { kind: INTERRUPT, interval: NOTIFY_INTERVAL, interface: control, packet: NOTIFY_PACKET };
        (all[place(input)], all[place(output)]) = (bulk, bulk);
    }
    all
}

/// Its interfaces for QEMU.
#[must_use]
pub fn interfaces(lines: usize) -> Vec<Interface> {
    (0..lines as u8).flat_map(|line| [[2 * line, 2, 2, 1], [2 * line + 1, 10, 0, 0]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_whole_and_its_endpoints_are_those_that_qemu_is_told() {
        for lines in 1..=LINES_LIMIT {
            let whole = configuration(lines);
            assert_eq!(usize::from(u16::from_le_bytes([whole[2], whole[3]])), whole.len());
            let (mut rest, mut interfaces, mut endpoints) = (&whole[..], 0, 0);
            while let [length, kind, ..] = *rest {
                let (one, behind) = rest.split_at(usize::from(length));
                match kind {
                    4 => interfaces += 1,
                    5 => {
                        let place = usize::from(one[2] & 15) + usize::from(one[2] >> 7) * 16;
                        let told = super::endpoints(lines)[place];
                        assert_eq!(
                            (one[3], u16::from_le_bytes([one[4], one[5]]), one[6]),
                            (told.kind, told.packet, told.interval)
                        );
                        endpoints += 1;
                    }
                    _ => {}
                }
                rest = behind;
            }
            assert_eq!((interfaces, endpoints, usize::from(whole[4])), (2 * lines, 3 * lines, 2 * lines));
            assert_eq!(super::endpoints(lines).iter().filter(|e| e.kind != 255).count(), 3 * lines + 2);
            assert_eq!(super::interfaces(lines).len(), 2 * lines);
        }
        assert_eq!(endpoints_of(LINES_LIMIT - 1), [0x8d, 0x8e, 0x0e]);
    }

    #[test]
    fn texts_are_utf_16_and_never_too_long() {
        let texts = ["256F".to_owned(), "EmberOne00".to_owned(), "x".repeat(300)];
        let who = Who { numbers: [0x1209, 0x256f, 0x0500], texts };
        let said = |kind, number| descriptor(&who, 2, kind, number);
        assert_eq!(said(1, 0).expect("a device")[8..14], [9, 0x12, 0x6f, 0x25, 0, 5]);
        assert_eq!(said(3, 1).expect("a text"), [10, 3, b'2', 0, b'5', 0, b'6', 0, b'F', 0]);
        assert_eq!(said(3, 0).expect("languages"), [4, 3, 9, 4]);
        let long = said(3, 3).expect("a text");
        assert_eq!((long.len(), long[0]), (254, 254));
        for (kind, number) in [(1, 1), (2, 1), (3, 4), (6, 0), (15, 0)] {
            assert_eq!(said(kind, number), None, "{kind} {number}");
        }
    }
}
