//! Supplies against what their protocols say, byte by byte: voltages, frames, identification in every dialect, and what is never
//! sent. With a simulated supply they are tested in `sim`.

use super::*;
use crate::power::testing::{ALL, Line, run};
use model::Time;

const S19_PRO: &[u8] = &[0x43, 0x71, 0x74, 0x75, 0x76];
const KIND_71: [u8; 8] = [0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0];
const FIRMWARE_6: [u8; 8] = [0x55, 0xaa, 6, 1, 6, 0, 0x0d, 0];

/// Answers that are read byte by byte.
fn bytes<'a>(answers: &'a [&'a [u8]]) -> Vec<&'a [u8]> {
    answers.iter().flat_map(|a| a.chunks(1)).collect()
}

fn apw12() -> Apw {
    Apw::new(0x10, ApwCurve::Apw12, S19_PRO)
}

/// What was sent by register 0x11, without the pointers to read it.
fn sent(line: &Line) -> Vec<u8> {
    assert!(line.written.iter().all(|b| b[0] == 0x11), "all by register 0x11: {:02x?}", line.written);
    line.written.iter().filter(|b| b.len() == 2).map(|b| b[1]).collect()
}

#[test]
fn voltages_match_the_checked_pairs() {
    let apw12 = Scale::of(0x71).expect("known");
    for (volt, step) in [(12.0, 246), (12.6, 199), (13.2, 152), (13.7, 112), (14.0, 89)] {
        assert_eq!(apw12.step(Volt(volt)), Some(step), "{volt}");
        // The factory calibration that another source has gives nearly the same.
        assert!((15.1084 - 0.013_046 * f64::from(step) - volt).abs() < 0.12, "{volt}");
    }
    assert!([Some(9), Some(10)].contains(&apw12.step(Volt(15.0))));
    let apw9 = Scale::of(0x41).expect("known");
    for (volt, step) in [(21.36, 0), (21.0, 13), (19.0, 85), (14.3, 253), (14.25, 255)] {
        assert_eq!(apw9.step(Volt(volt)), Some(step), "{volt}");
    }
    // By the jig's numbers, within a step of each other.
    for (kind, volt, step) in [(0x41, 19.0, 84), (0x43, 15.0, 36), (0x74, 13.2, 151), (0x73, 15.0, 170), (0x78, 16.0, 96)] {
        let ours = Scale::of(kind).and_then(|s| s.step(Volt(volt))).expect("given");
        assert!(ours.abs_diff(step) <= 1, "{kind:02x} {volt}: {ours}");
    }
    for (kind, out) in [(0x71, 11.9), (0x71, 15.2), (0x71, 5.0), (0x71, f64::NAN), (0x41, 14.0), (0x41, 22.0), (0x73, 12.0)] {
        assert_eq!(Scale::of(kind).expect("known").step(Volt(out)), None, "{kind:02x} {out}");
    }
    assert_eq!(Scale::of(0xc1), None);
}

#[test]
fn packets_are_recognised_and_orders_are_the_documented_frames() {
    let set = [0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x96, 0];
    let arm = [0x55, 0xaa, 6, 0x81, 1, 0, 0x88, 0];
    let answers = [&[0xf5][..], &KIND_71, &FIRMWARE_6, &set, &arm];
    let mut line = Line::answering(&bytes(&answers));
    let (events, at) = run(&mut apw12(), &mut line, &[Order::Identify, Order::SetVoltage(Volt(14.96)), Order::Feed]);
    let asked: [&[u8]; 5] = [&[0xf5], &[0x55, 0xaa, 4, 2, 6, 0], &[0x55, 0xaa, 4, 1, 5, 0], &set, &arm];
    assert_eq!(sent(&line), asked.concat());
    let [Event::Identified(what), Event::Done(Order::SetVoltage(_)), Event::Done(Order::Feed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(what, "packets supply of kind 0x71, firmware 0x06");
    assert_eq!(at, Time::from_millis(10 + 4 * 500));
}

#[test]
fn a_supply_that_answers_with_another_step_did_not_obey() {
    let other: &[u8] = &[0x55, 0xaa, 6, 0x83, 0x09, 0, 0x92, 0];
    let identity: [&[u8]; 3] = [&[0xf5], &KIND_71, &FIRMWARE_6];
    let tries: Vec<&[u8]> = [identity[0], identity[1], identity[2], other].into_iter().cycle().take(4 * 3).collect();
    let (events, _) = run(&mut apw12(), &mut Line::answering(&bytes(&tries)), &[Order::SetVoltage(Volt(14.96))]);
    let last = events.last();
    assert!(matches!(last, Some(Event::Failed { error: PowerError::Answer(a), .. }) if a == other), "{events:?}");
}

#[test]
fn an_apw9_gives_its_voltage_and_has_no_watchdog() {
    let (kind, voltage) = ([0x55, 0xaa, 6, 2, 0x41, 0, 0x49, 0], [0x55, 0xaa, 6, 3, 0x0d, 0, 0x16, 0]);
    let answers = [&[0xf5][..], &kind, &FIRMWARE_6, &voltage];
    let mut line = Line::answering(&bytes(&answers));
    let mut part = Apw::new(0x10, ApwCurve::Apw9, &[0x41]);
    let (events, _) = run(&mut part, &mut line, &[Order::Feed, Order::Measure]);
    assert_eq!(sent(&line)[13..], [0x55, 0xaa, 4, 3, 7, 0]);
    let [Event::Done(Order::Feed), Event::Identified(_), Event::Measured(m)] = &events[..] else { panic!("{events:?}") };
    assert!((m.volt.expect("a voltage").0 - 21.0).abs() < 0.01);
    assert_eq!(crate::power::Power::feed_period(&part), None);
}

#[test]
fn other_dialects_are_found_one_after_the_other() {
    let none = [0xff; 8];
    let [byte_kind, byte_set] = [[0x55, 0xaa, 4, 2, 0x71, 0x77], [0x55, 0xaa, 4, 3, 0x98, 0x9f]];
    // By register 0.
    let answers = [&[0x00][..], &KIND_71, &FIRMWARE_6];
    let mut line = Line::answering(&bytes(&answers));
    let (events, _) = run(&mut apw12(), &mut line, &[Order::Identify]);
    assert!(matches!(&events[..], [Event::Identified(w)] if w.starts_with("packets by register 0")), "{events:?}");
    assert!(line.written[2..].iter().all(|b| b[0] == 0));
    // Byte sums: the answer of one order has the top bit dropped.
    let mut answers = bytes(&[&[0x00], &none]).iter().map(|b| b.to_vec()).collect::<Vec<_>>();
    answers.extend([vec![0xff; 6], byte_kind.to_vec(), vec![0x55, 0xaa, 4, 1, 6, 0x0b], byte_set.to_vec()]);
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    let mut line = Line::answering(&answers);
    let (events, _) = run(&mut apw12(), &mut line, &[Order::Identify, Order::SetVoltage(Volt(13.2))]);
    assert!(matches!(&events[..], [Event::Identified(w), Event::Done(_)] if w.starts_with("byte sums")), "{events:?}");
    assert!(line.written.concat().ends_with(&[0x55, 0xaa, 4, 0x83, 152, 0x1f]), "{:02x?}", line.written);
    // Echoes: every byte of a change comes back, 3 ms apart.
    let mut answers = bytes(&[&[0x00], &none]).iter().map(|b| b.to_vec()).collect::<Vec<_>>();
    answers.extend([vec![0x55, 0xaa, 3, 2, 0x71, 0x76], vec![0x55, 0xaa, 3, 1, 6, 0x0a]]);
    answers.extend([0x55, 0xaa, 3, 0x83, 152, 0x1e].map(|b: u8| vec![b]));
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    let mut line = Line::answering(&answers);
    let mut part = apw12();
    let (events, before) = run(&mut part, &mut line, &[Order::Identify]);
    assert!(matches!(&events[..], [Event::Identified(w)] if w.starts_with("echoes")), "{events:?}");
    let (events, at) = run(&mut part, &mut line, &[Order::SetVoltage(Volt(13.2))]);
    assert!(matches!(&events[..], [Event::Done(_)]), "{events:?}");
    assert_eq!(at.since(before), Duration::from_millis(100 + 6 * 3));
}

#[test]
fn a_wrong_echo_fails_behind_three_tries() {
    let mut answers = bytes(&[&[0x00], &[0xff; 8]]).iter().map(|b| b.to_vec()).collect::<Vec<_>>();
    answers.extend([vec![0x55, 0xaa, 3, 2, 0x71, 0x76], vec![0x55, 0xaa, 3, 1, 6, 0x0a]]);
    answers.extend([0x55, 0x2a].map(|b: u8| vec![b]));
    // It says what it is before each try.
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).cycle().take(answers.len() * 3).collect();
    let (events, _) = run(&mut apw12(), &mut Line::answering(&answers), &[Order::SetVoltage(Volt(13.2))]);
    assert!(matches!(&events[3..], [Event::Failed { error: PowerError::Answer(a), .. }] if a == &[0x2a]), "{events:?}");
}

#[test]
fn an_unknown_kind_is_named_and_told_nothing() {
    for (kind, word) in [(0x22, "takes the kinds"), (0x41, "takes the kinds"), (0xc1, "nobody")] {
        let answer = [0x55, 0xaa, 6, 2, kind, 0, 8u8.wrapping_add(kind), 0];
        let answers = [&[0xf5][..], &answer, &FIRMWARE_6];
        let mut line = Line::answering(&bytes(&answers));
        let mut part = Apw::new(0x10, ApwCurve::Apw12, &[0x71, 0xc1]);
        let (events, _) = run(&mut part, &mut line, &[Order::Identify, Order::SetVoltage(Volt(13.0)), Order::Feed]);
        assert_eq!(sent(&line).len(), 13, "the probe and two questions");
        assert_eq!(events.len(), 3);
        for e in &events {
            let Event::Failed { error: error @ PowerError::Unfit(_), .. } = e else { panic!("{e:?}") };
            assert!(error.to_string().contains(&format!("0x{kind:02x}")) && error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn a_supply_of_no_known_dialect_is_quoted_and_told_nothing() {
    let mut answers = vec![];
    // Three orders, for each of which it is asked three times.
    for _ in 0..9 {
        answers.push(vec![0x07]);
        answers.extend(vec![vec![0x42]; 8]);
        answers.extend([vec![0x43; 6], vec![0x42; 6]]);
    }
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    let mut line = Line::answering(&answers);
    let (events, _) = run(&mut apw12(), &mut line, &[Order::Identify, Order::SetVoltage(Volt(13.0)), Order::Feed]);
    let [Event::Failed { order: Order::Identify, error }, rest @ ..] = &events[..] else { panic!("{events:?}") };
    for word in ["probe [07]", "register 0 [42", "echoes [43"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(rest.iter().all(|e| matches!(e, Event::Failed { error: PowerError::Unidentified, .. })), "{rest:?}");
    // Nothing but the probe and questions for the kind.
    let all = line.written.iter().flat_map(|b| b.last()).copied().collect::<Vec<u8>>();
    let commands: Vec<u8> = all.windows(4).filter(|w| w[..2] == [0x55, 0xaa]).map(|w| w[3]).collect();
    assert_eq!(commands, [KIND; 27]);
}

#[test]
fn damaged_answers_fail_behind_three_tries() {
    for bad in
        [[0x55, 0xaa, 6, 0x81, 1, 0, 0x89, 0], [0x55, 0xaa, 0xff, 0x81, 0, 0, 0, 0], [0x55, 0xaa, 6, 2, 1, 0, 9, 0], [0xff; 8]]
    {
        // It says what it is before each try: what answers so may not be what it was.
        let answers = [[&[0xf5][..], &KIND_71, &FIRMWARE_6, &bad]; 3].concat();
        let mut line = Line::answering(&bytes(&answers));
        let (events, _) = run(&mut apw12(), &mut line, &[Order::Feed]);
        assert_eq!(sent(&line).len(), 3 * (13 + 8));
        assert!(
            matches!(&events[3..], [Event::Failed { order: Order::Feed, error: PowerError::Answer(_) }]),
            "{bad:02x?}: {events:?}"
        );
    }
}

#[test]
fn a_supply_that_is_not_there_fails_without_a_wait() {
    let (events, at) = run(&mut apw12(), &mut Line::absent(), &[Order::Identify]);
    assert!(matches!(&events[..], [Event::Failed { error: PowerError::Bus(_), .. }]), "{events:?}");
    assert_eq!(at, Time::from_secs(1));
}

#[test]
fn calibration_is_never_written() {
    for (curve, kind) in [(ApwCurve::Apw12, 0x71), (ApwCurve::Apw9, 0x41)] {
        for dialect in 0..DIALECTS.len() {
            for order in ALL.into_iter().chain([Order::SetVoltage(Volt(19.0))]) {
                let scale = Scale::of(kind);
                let mut talk = Talk { curve, kinds: S19_PRO, dialect, kind, scale, heard: String::new(), rounds: 0 };
                for step in [STEP_FIRMWARE, 0, 1, 2, 3, 4] {
                    talk.dialect = dialect;
                    let Ask::Send(request) = talk.ask(order, step) else { continue };
                    let allowed = request.bytes == [PROBE] || [1, 2, 3, 0x81, 0x83].contains(&request.bytes[3]);
                    assert!(allowed, "{order:?}: {:02x?}", request.bytes);
                    let changes = request.bytes.len() > 1 && request.bytes[3] >= 0x80;
                    assert!(!changes || matches!(order, Order::SetVoltage(_) | Order::Feed), "{order:?}");
                }
            }
        }
    }
}
