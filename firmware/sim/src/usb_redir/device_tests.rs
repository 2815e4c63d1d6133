//! A device as a guest's kernel uses it: found, opened, written to and read from, closed, pulled; and any requests at all.

use super::*;
use crate::serial_line::NearEnd;
use crate::usb_redir::frame::{self, FrameError};
use model::Baud;
use proptest::prelude::*;

fn device(lines: usize) -> Device {
    let texts = ["256F", "EmberOne00", "1"].map(str::to_owned);
    Device::new(Who { numbers: [0x1209, 0x256f, 0x0500], texts }, lines)
}

/// The frames that it said: kind, id, body.
fn said(device: &mut Device) -> Vec<(u32, u64, Vec<u8>)> {
    device.answer_reads();
    let (mut bytes, mut all) = (&device.take_out()[..], Vec::new());
    while let [k0, k1, k2, k3, l0, l1, l2, l3, rest @ ..] = bytes {
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let id = u64::from_le_bytes(rest[..8].try_into().expect("eight"));
        all.push((u32::from_le_bytes([*k0, *k1, *k2, *k3]), id, rest[8..8 + length].to_vec()));
        bytes = &rest[8 + length..];
    }
    all
}

fn control(request_type: u8, request: u8, value: u16, index: u16, bytes: &[u8]) -> Request {
    let length = if request_type & 0x80 == 0 { bytes.len() as u16 } else { 255 };
    Request::Control(Setup { request_type, request, value, index, length }, bytes.to_vec())
}

fn coding(rate: u32) -> Vec<u8> {
    [&rate.to_le_bytes()[..], &[0, 0, 8]].concat()
}

/// Asks, and gives the status and the bytes of the answer to a control request.
fn ask(device: &mut Device, request: Request) -> (u8, Vec<u8>) {
    device.tell(7, request).expect("taken");
    let all = said(device);
    let (kind, id, body) = all.last().expect("an answer");
    assert_eq!((*kind, *id, usize::from(u16::from_le_bytes([body[8], body[9]])) >= body.len() - 10), (100, 7, true));
    (body[3], body[10..].to_vec())
}

/// Configured and open.
fn opened(lines: usize) -> Device {
    let mut device = device(lines);
    device.connect();
    device.tell(1, Request::SetConfiguration(1)).expect("taken");
    for line in 0..lines as u16 {
        assert_eq!(ask(&mut device, control(0x21, 0x22, 3, 2 * line, &[])).0, 0);
    }
    said(&mut device);
    device
}

fn read(device: &mut Device, id: u64, line: u8) -> Result<(), TooManyReads> {
    device.tell(id, Request::Read { endpoint: 0x82 + 2 * line, stream: 0, length: 1024 })
}

#[test]
fn qemu_is_told_endpoints_and_interfaces_before_what_rests_on_them() {
    let mut device = device(2);
    let kinds = |device: &mut Device| said(device).into_iter().map(|(kind, id, _)| (kind, id)).collect::<Vec<_>>();
    device.connect();
    assert_eq!(kinds(&mut device), [(5, 0), (4, 0), (1, 0)]);
    device.tell(8, Request::SetConfiguration(1)).expect("taken");
    assert_eq!(kinds(&mut device), [(5, 0), (4, 0), (8, 8)]);
    device.tell(9, Request::SetAlt { interface: 3, alt: 0 }).expect("taken");
    assert_eq!(kinds(&mut device), [(5, 0), (4, 0), (11, 9)]);
    for (request, answer) in [
        (Request::GetConfiguration, (8, vec![0, 1])),
        (Request::SetConfiguration(2), (8, vec![4, 2])),
        (Request::SetAlt { interface: 4, alt: 0 }, (11, vec![4, 4, 0])),
        (Request::SetAlt { interface: 0, alt: 1 }, (11, vec![4, 0, 1])),
        (Request::GetAlt(3), (11, vec![0, 3, 0])),
        (Request::GetAlt(4), (11, vec![4, 4, 0])),
        (Request::StartInterrupt(0x83), (17, vec![0, 0x83])),
        (Request::StopInterrupt(0x81), (17, vec![0, 0x81])),
        (Request::StartInterrupt(0x82), (17, vec![2, 0x82])),
    ] {
        device.tell(5, request.clone()).expect("taken");
        let (kind, bytes) = answer;
        assert_eq!(said(&mut device), [(kind, 5, bytes)], "{request:?}");
    }
}

#[test]
fn control_requests_are_answered_or_stalled() {
    let mut device = device(2);
    device.connect();
    let rates = |device: &mut Device| [0, 1].map(|n| device.line(n).expect("a line").baud().expect("a rate").0);
    assert_eq!(ask(&mut device, control(0x80, 6, 0x0100, 0, &[])).1.len(), 18);
    assert_eq!(ask(&mut device, control(0x80, 6, 0x0301, 0x0409, &[])), (0, vec![10, 3, b'2', 0, b'5', 0, b'6', 0, b'F', 0]));
    let short = Setup { request_type: 0x80, request: 6, value: 0x0200, index: 0, length: 9 };
    assert_eq!(ask(&mut device, Request::Control(short, vec![])).1.len(), 9, "no more than was wanted");
    assert_eq!(ask(&mut device, control(0x80, 0, 0, 0, &[])), (0, vec![1, 0]));
    assert_eq!(rates(&mut device), [9600, 9600]);
    for rate in [115_200, 1_000_000, 3_125_000, 12_500_000] {
        assert_eq!(ask(&mut device, control(0x21, 0x20, 0, 2, &coding(rate))), (0, vec![]));
        assert_eq!(ask(&mut device, control(0xa1, 0x21, 0, 2, &[])), (0, coding(rate)));
        assert_eq!(rates(&mut device), [9600, rate]);
    }
    assert_eq!(ask(&mut device, control(0x21, 0x23, 100, 0, &[])), (0, vec![]));
    for (what, request) in [
        ("a device qualifier", control(0x80, 6, 0x0600, 0, &[])),
        ("no rate at all", control(0x21, 0x20, 0, 0, &coding(0))),
        ("half a coding", control(0x21, 0x20, 0, 0, &coding(9600)[..6])),
        ("a data interface", control(0x21, 0x20, 0, 1, &coding(9600))),
        ("no such interface", control(0x21, 0x22, 1, 4, &[])),
        ("a vendor's request", control(0xc0, 1, 0, 0, &[])),
    ] {
        assert_eq!(ask(&mut device, request), (4, vec![]), "{what}");
    }
}

#[test]
fn a_read_waits_for_bytes_and_each_line_has_its_own() {
    let mut device = opened(2);
    read(&mut device, 1, 0).expect("taken");
    read(&mut device, 2, 1).expect("taken");
    read(&mut device, 3, 1).expect("taken");
    assert_eq!(said(&mut device), [], "nothing has come");
    device.line(1).expect("a line").write(&[5; 1500]).expect("taken");
    let all = said(&mut device);
    let lengths: Vec<_> = all.iter().map(|(kind, id, body)| (*kind, *id, body[0], body.len() - 10)).collect();
    assert_eq!(lengths, [(101, 2, 0x84, 1024), (101, 3, 0x84, 476)]);
    let line = device.line(1).expect("a line");
    assert!(line.is_idle());
    line.write(&[6]).expect("taken");
    assert!(!line.is_idle(), "nobody reads it yet");
    read(&mut device, 4, 1).expect("taken");
    assert_eq!(said(&mut device), [(101, 4, vec![0x84, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6])]);
    // The other line's read is taken back, and a late word for it comes too late for nothing.
    device.tell(1, Request::Cancel).expect("taken");
    device.tell(4, Request::Cancel).expect("taken");
    assert_eq!(said(&mut device), [(101, 1, vec![0x82, 1, 0, 0, 0, 0, 0, 0, 0, 0])]);
    for id in 0..READS_LIMIT as u64 {
        read(&mut device, id, 0).expect("as many as there may be");
    }
    assert_eq!(read(&mut device, 999, 0), Err(TooManyReads));
}

#[test]
fn bytes_keep_the_rate_they_were_sent_at() {
    let mut device = opened(1);
    let write = |device: &mut Device, bytes: &[u8]| {
        device.tell(3, Request::Write { endpoint: 2, stream: 0, bytes: bytes.to_vec() }).expect("taken");
        let length = u8::try_from(bytes.len()).expect("few");
        assert_eq!(said(device), [(101, 3, vec![2, 0, length, 0, 0, 0, 0, 0, 0, 0])]);
    };
    ask(&mut device, control(0x21, 0x20, 0, 0, &coding(115_200)));
    write(&mut device, &[1, 2]);
    write(&mut device, &[3]);
    ask(&mut device, control(0x21, 0x20, 0, 0, &coding(12_500_000)));
    write(&mut device, &[4]);
    let line = device.line(0).expect("a line");
    let mut heard = Vec::new();
    let mut buffer = [0; 2];
    loop {
        let baud = line.baud().expect("a rate");
        match line.read(&mut buffer).expect("bytes") {
            0 => break,
            n => heard.push((baud, buffer[..n].to_vec())),
        }
    }
    assert_eq!(heard, [(Baud(115_200), vec![1, 2]), (Baud(115_200), vec![3]), (Baud(12_500_000), vec![4])]);
    assert_eq!(line.baud().expect("a rate"), Baud(12_500_000));
}

#[test]
fn a_closed_line_keeps_nothing_and_a_pulled_device_lets_all_go() {
    let mut device = opened(1);
    let line = device.line(0).expect("a line");
    line.write(&[1]).expect("taken");
    ask(&mut device, control(0x21, 0x22, 0, 0, &[]));
    let line = device.line(0).expect("a line");
    line.write(&[2]).expect("taken");
    assert!(line.is_idle());
    ask(&mut device, control(0x21, 0x22, 1, 0, &[]));
    read(&mut device, 5, 0).expect("taken");
    assert_eq!(said(&mut device), [], "what came while it was closed is gone");
    device.disconnect();
    assert_eq!(said(&mut device), [(101, 5, vec![0x82, 1, 0, 0, 0, 0, 0, 0, 0, 0]), (2, 0, vec![])]);
    // Without a configuration no endpoint is there but the first.
    read(&mut device, 6, 0).expect("taken");
    device.tell(7, Request::Write { endpoint: 2, stream: 0, bytes: vec![1] }).expect("taken");
    let statuses: Vec<_> = said(&mut device).into_iter().map(|(_, id, body)| (id, body[1])).collect();
    assert_eq!(statuses, [(6, 2), (7, 2)]);
}

proptest! {
    #[test]
    fn any_frames_leave_a_device_that_can_be_used(
        frames in prop::collection::vec((
            prop_oneof![Just(3u32), Just(6), Just(7), Just(9), Just(10), Just(15), Just(16), Just(21), Just(100), Just(101)],
            0u64..4,
            prop::collection::vec(prop_oneof![0u8..9, 0x80u8..0x90, any::<u8>()], 0..20),
        ), 0..60),
    ) {
        let mut device = opened(2);
        for (kind, id, body) in frames {
            let mut bytes = frame::tests::asked(kind, id, &body);
            match frame::take(&mut bytes) {
                Ok(Some((id, request))) => prop_assert!(device.tell(id, request).is_ok()),
                Ok(None) => prop_assert!(false, "a whole frame"),
                Err(e) => prop_assert!(matches!(e, FrameError::Length { .. }), "{}", e),
            }
            for line in 0..2 {
                device.line(line).expect("a line").write(&[1; 100]).expect("taken");
                while device.line(line).expect("a line").read(&mut [0; 64]).expect("bytes") > 0 {}
            }
            said(&mut device);
        }
        prop_assert_eq!(ask(&mut device, control(0x80, 6, 0x0100, 0, &[])).1.len(), 18);
    }
}
