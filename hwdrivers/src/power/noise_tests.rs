//! Every driver of this folder against parts that answer anything: whatever comes, it ends, and nothing is ever sent that writes
//! flash, calibration or settings for good.

use super::testing::{ALL, Line, run};
use super::{Event, Order, Power, Span, apw, ds4432u, dspic, pic16, tps546};
use model::{ApwCurve, DspicFraming, Time, Volt};

/// What a driver may write: whether a whole write, or what its single bytes amount to, is harmless.
type Harmless = fn(&[u8]) -> bool;

/// Commands of `55 AA …` frames, whose command stands at this place.
fn commands(bytes: &[u8], at: usize) -> Vec<u8> {
    bytes.windows(at + 1).filter(|w| w[..2] == [0x55, 0xaa]).map(|w| w[at]).collect()
}

fn drivers() -> Vec<(&'static str, Box<dyn Power>, Harmless)> {
    let board = Span { lowest: Volt(8.0), highest: Volt(15.0) };
    let chip = Span { lowest: Volt(1.0), highest: Volt(1.25) };
    let kinds: &[u8] = &[0x41, 0x71, 0x43, 0xc1];
    let supply: Harmless = |b| commands(b, 3).iter().all(|c| [1, 2, 3, 0x81, 0x83].contains(c));
    let rail: Harmless = |b| commands(b, 3).iter().all(|c| [0x10, 0x15, 0x16, 0x17].contains(c));
    let short: Harmless = |b| commands(b, 2).iter().all(|c| [0x10, 0x15, 0x16, 0x17].contains(c));
    let s9: Harmless = |b| commands(b, 2).iter().all(|c| [0x10, 0x15, 0x16, 0x17, 0x18].contains(c));
    vec![
        ("APW12", Box::new(apw::Apw::new(0x10, ApwCurve::Apw12, kinds)), supply),
        ("APW9", Box::new(apw::Apw::new(0x10, ApwCurve::Apw9, kinds)), supply),
        ("dsPIC", Box::new(dspic::Dspic::new(0x20, DspicFraming::LengthSum, board)), rail),
        ("dsPIC, short", Box::new(dspic::Dspic::new(0x20, DspicFraming::Short, board)), short),
        ("PIC1704", Box::new(dspic::Dspic::new(0x20, DspicFraming::Registers, board)), |b| !b.windows(2).any(|w| w == [9, 0x80])),
        ("PIC16", Box::new(pic16::Pic16::new(0x55)), s9),
        ("DS4432U", Box::new(ds4432u::Ds4432u::new(0x48)), |b| !b.contains(&0xf9)),
        ("TPS546", Box::new(tps546::Tps546::new(0x24, tps546::on_5_volts(chip))), |_| true),
    ]
}

#[test]
fn whatever_a_part_answers_every_order_ends_and_nothing_forbidden_is_sent() {
    let orders = ALL.into_iter().chain([Order::SetVoltage(Volt(1.2)), Order::SetVoltage(Volt(8.7)), Order::Measure]);
    let orders: Vec<Order> = orders.collect();
    let mut identified = 0;
    for seed in 1..300 {
        for (name, mut part, harmless) in drivers() {
            let mut line = Line::babbling(seed);
            for order in &orders {
                line.written.clear();
                let (events, _) = run(&mut *part, &mut line, &[*order]);
                let ended = events.iter().filter(|e| match e {
                    Event::Done(o) | Event::Failed { order: o, .. } => o == order,
                    Event::Identified(_) => *order == Order::Identify,
                    Event::Measured(_) => *order == Order::Measure,
                });
                assert_eq!(ended.count(), 1, "{name}, seed {seed}, {order:?}: {events:?}");
                identified += usize::from(events.iter().any(|e| matches!(e, Event::Identified(_))));
                assert_eq!(part.wake_at(), Time::NEVER);
                // By a register each byte follows its pointer; else the bytes stand as they are.
                let last: Vec<u8> = line.written.iter().filter(|b| b.len() == 2).map(|b| b[1]).collect();
                let flat = line.written.concat();
                let stored = name == "TPS546" && line.written.iter().any(|b| [0x11, 0x12, 0x15, 0x16].contains(&b[0]));
                assert!(harmless(&flat) && harmless(&last) && !stored, "{name}, seed {seed}, {order:?}: {:02x?}", line.written);
            }
        }
    }
    assert!(identified > 100, "{identified}: the noise is too wild to come past an identification");
}
