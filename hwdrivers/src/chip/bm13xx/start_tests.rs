//! Every chip's start, frame by frame, as published captures and drivers have it.

use super::super::frame::Framing;
use super::super::pll::PllForm;
use super::tests::{Line, run};
use super::*;
use model::ChipModel;

fn chain(model: ChipModel, chips: u8, domains: u8, address_interval: u8) -> Chain<Line> {
    let chip = super::super::chip(model).expect("driven");
    let layout = ChainLayout { chip: model, chips, domains, address_interval };
    Chain::new(Line::of(chip, usize::from(chips)), &layout, Scale::HARDWARE)
}

/// Starts and ramps to a clock; what was sent, as hex without preambles and checksums.
fn sent(chain: &mut Chain<Line>, clock: f64) -> Vec<String> {
    chain.start(Time::ZERO);
    chain.set_clock(Megahertz(clock));
    let mut now = Time::ZERO;
    // Chips that tell of themselves are asked from the start's end on: that is not what is looked at here.
    chain.watcher.silence();
    for _ in 0..20_000 {
        chain.turn(now).expect("the line stands");
        if chain.is_hashing() {
            break;
        }
        now = chain.wake_at().max(now);
    }
    assert!(chain.is_hashing());
    let events: Vec<_> = std::iter::from_fn(|| chain.next_event()).collect();
    assert_eq!(events[0], ChainEvent::Counted { chips: u32::from(chain.layout.chips) });
    assert_eq!((&events[1], events.last()), (&ChainEvent::Ready, Some(&ChainEvent::Hashing)));
    let skip = if chain.chip.framing == Framing::Preamble { 2 } else { 0 };
    chain.uart.sent.iter().map(|f| f[skip..f.len() - 1].iter().map(|b| format!("{b:02X}")).collect()).collect()
}

/// `A4=9000FFFF` is a write to all, `2/18=F000C100` one to the chip at address 2; other words stand for themselves.
fn frames(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((register, value)) => match register.split_once('/') {
                Some((chip, register)) => format!("4109{chip:0>2}{register}{value}"),
                None => format!("510900{register}{value}"),
            },
            None => word.to_owned(),
        })
        .collect()
}

fn ramp(chain: &Chain<Line>, to: f64) -> String {
    let mut words = vec![];
    let mut clock = 62.5;
    while clock <= to {
        words.push(format!(
            "08={:08X}",
            Pll::solve(Megahertz(clock), &chain.chip.pll).expect("solvable").to_register(PllForm::LessOne)
        ));
        clock += 6.25;
    }
    words.join(" ")
}

#[test]
fn a_bitaxe_ultra_starts_as_its_own_firmware_starts_it() {
    let mut c = chain(ChipModel::Bm1366, 1, 1, 0);
    let got = sent(&mut c, 75.0);
    let expected = format!(
        "A4=9000FFFF A4=9000FFFF A4=9000FFFF 52050000 A8=00070000 18=FF0FC100 53050000 40050000 3C=80008540 3C=80008020 14=000000FF
         54=00000003 58=02111111 0/2C=007C0003 28=11300200 0/A8=000701F0 0/18=F000C100 0/3C=80008540 0/3C=80008020 0/3C=800082AA
         08=40A20255 {} 10={:08X} A4=9000FFFF",
        ramp(&c, 75.0),
        c.chip.sweep_ticks(Megahertz(75.0), &c.at).expect("bounded")
    );
    assert_eq!(got, frames(&expected));
    assert_eq!(c.uart.bauds, [115_200, 1_000_000]);
}

#[test]
fn a_bitaxe_supra_starts_as_its_own_firmware_starts_it() {
    let mut c = chain(ChipModel::Bm1368, 1, 1, 0);
    let got = sent(&mut c, 62.5);
    let expected = format!(
        "A4=9000FFFF A4=9000FFFF A4=9000FFFF A4=9000FFFF 52050000 53050000 A8=00070000 18=FF0FC100 3C=80008B00 3C=80008018
         14=000000FF 54=00000003 58=02111111 40050000 28=11300200 0/A8=000701F0 0/18=F000C100 0/3C=80008B00 0/3C=80008018
         0/3C=800082AA 14=000000FF B0=00020000 B0=01020000 B0=10020000 08=40A20255 {} 10={:08X} A4=9000FFFF",
        ramp(&c, 62.5),
        c.chip.sweep_ticks(Megahertz(62.5), &c.at).expect("bounded")
    );
    assert_eq!(got, frames(&expected));
}

#[test]
fn a_bitaxe_gamma_starts_as_its_own_firmware_starts_it() {
    let mut c = chain(ChipModel::Bm1370, 1, 1, 0);
    let got = sent(&mut c, 62.5);
    let expected = format!(
        "A4=9000FFFF A4=9000FFFF A4=9000FFFF 52050000 A4=9000FFFF A8=00070000 18=F000C100 53050000 40050000 3C=80008B00 3C=8000800C
         14=000000FF 58=00011111 28=11300200 0/A8=000701F0 0/18=F000C100 0/3C=80008B00 0/3C=8000800C 0/3C=800082AA B9=00004480
         54=00000002 B9=00004480 3C=80008DEE 08=40A20255 {} 10={:08X} A4=9000FFFF",
        ramp(&c, 62.5),
        c.chip.sweep_ticks(Megahertz(62.5), &c.at).expect("bounded")
    );
    assert_eq!(got, frames(&expected));
}

#[test]
fn an_s21_pro_gets_its_domains_and_each_chip_its_slice() {
    let mut c = chain(ChipModel::Bm1370, 65, 13, 2);
    let got = sent(&mut c, 600.0);
    assert_eq!(c.uart.bauds, [115_200, 3_000_000]);
    let at = |word: &str| got.iter().position(|f| *f == frames(word)[0]).unwrap_or_else(|| panic!("{word} is sent"));
    assert_eq!(got.iter().filter(|f| f.starts_with("4005")).count(), 128);
    // The last chip of each domain drives the clock; then the pads, then both ends of each domain relay.
    let strong = frames("8/58=0001F111 12/58=0001F111 1C/58=0001F111");
    assert_eq!(got[at("8/58=0001F111")..][..3], strong);
    assert_eq!(got[at("68=5AA55AA5") - 1], frames("80/58=0001F111")[0]);
    let relays = frames("0/2C=004F0003 8/2C=004F0003 A/2C=004A0003 12/2C=004A0003");
    assert_eq!(got[at("68=5AA55AA5") + 1..][..4], relays);
    assert_eq!(got[at("28=11300000") - 2..][..2], frames("78/2C=00130003 80/2C=00130003"));
    // One job, then the slices as captured.
    let first = at("0/0C=80000000");
    assert!(got[first - 1].starts_with("2136") && got[first - 2] == frames("08=50C00230")[0]);
    assert_eq!(got[first + 1], frames("2/0C=800003F1")[0]);
    assert_eq!(got[first + 64], frames("80/0C=8000FC10")[0]);
    assert!(got[first + 65].starts_with("51090010") && got.last() == Some(&frames("A4=9000FFFF")[0]));
    assert_eq!(got.len(), first + 67);
}

/// A capture of an S19 XP (bm13xx-rs `bm1366`) goes from the last domain to the first; what it says to whom is the same.
#[test]
fn an_s19_xp_gets_the_domains_of_its_capture() {
    let mut c = chain(ChipModel::Bm1366, 110, 11, 2);
    let got = sent(&mut c, 62.5);
    let of = |register: &str| -> std::collections::BTreeSet<&String> {
        got.iter().filter(|f| f.starts_with("4109") && f[6..8] == *register).collect()
    };
    let last = "DA C6 B2 9E 8A 76 62 4E 3A 26 12".split(' ');
    let drivers: Vec<String> = last.map(|chip| format!("4109{chip}580211F111")).collect();
    assert_eq!(of("58"), drivers.iter().collect());
    let relays = "C8 DA 18,B4 C6 22,A0 B2 2C,8C 9E 36,78 8A 40,64 76 4A,50 62 54,3C 4E 5E,28 3A 68,14 26 72,00 12 7C";
    let both = |domain: &str| {
        let words: Vec<&str> = domain.split(' ').collect();
        [words[0], words[1]].map(|chip| format!("4109{chip}2C00{}0003", words[2]))
    };
    let relays: Vec<String> = relays.split(',').flat_map(both).collect();
    assert_eq!(of("2C"), relays.iter().collect());
    assert!(!got.iter().any(|f| f == "51090068 5AA55AA5".replace(' ', "").as_str()), "its capture has none");
    let fast = got.iter().position(|f| f.starts_with("51090028")).expect("a faster line");
    assert_eq!(got[fast - 1][..8], *"4109DA2C", "before the line's rate");
}

#[test]
fn the_end_of_a_domain_keeps_what_all_its_outputs_were_told() {
    for (model, chips, domains, word) in [(ChipModel::Bm1368, 108, 12, "0211F111"), (ChipModel::Bm1370, 65, 13, "0001F111")] {
        let mut c = chain(model, chips, domains, 2);
        let got = sent(&mut c, 62.5);
        let ends: Vec<&String> = got.iter().filter(|f| f.starts_with("4109") && f[6..8] == *"58").collect();
        assert!(ends.len() == usize::from(domains) && ends.iter().all(|f| f[8..] == *word), "{model:?}: {ends:?}");
    }
}

#[test]
fn chains_of_few_domains_are_not_helped_across_their_gaps() {
    for (domains, relays) in [(9, 0), (12, 24)] {
        let mut c = chain(ChipModel::Bm1368, 108, domains, 2);
        let got = sent(&mut c, 62.5);
        assert_eq!(got.iter().filter(|f| f.starts_with("4109") && f[6..8] == *"2C").count(), relays, "{domains} domains");
        assert_eq!(got.iter().filter(|f| f.ends_with("3C800082AA")).count(), 108);
    }
}

#[test]
fn sixteen_ids_come_round_as_hosts_of_each_chip_send_them() {
    for (model, second, back) in
        [(ChipModel::Bm1366, 0x08, 0x0b), (ChipModel::Bm1368, 0x18, 0x3b), (ChipModel::Bm1370, 0x18, 0x3b)]
    {
        let mut c = chain(model, 1, 1, 0);
        sent(&mut c, 62.5);
        c.uart.sent.clear();
        for id in 0..17 {
            c.submit(&super::tests::work(id, 0x1fff_e000)).expect("the line stands");
        }
        let ids: Vec<u8> = c.uart.sent.iter().map(|f| f[4]).collect();
        assert_eq!((ids[1], ids[0], ids[16]), (second, 0, 0), "{model:?}");
        assert_eq!(ids[..16].iter().collect::<std::collections::BTreeSet<_>>().len(), 16, "{model:?}");
        assert!(ids.iter().all(|id| id % 8 == 0 && *id < 128), "{model:?}: {ids:02x?}");
        let reply = Reply::Nonce { nonce: 0, excess: 0, id: back, version: 0 };
        c.uart.inbox.extend(reply.to_bytes(ReplySize::Long));
        let (events, _) = run(&mut c, Time::from_secs(100), None);
        assert!(matches!(events[..], [ChainEvent::Found { work: model::WorkId(1), .. }]), "{model:?}: {events:?}");
    }
}

#[test]
fn an_s9_starts_as_its_open_firmware_starts_it() {
    let mut c = chain(ChipModel::Bm1387, 63, 21, 4);
    let got = sent(&mut c, 650.0);
    assert_eq!(c.uart.bauds, [115_200, 1_562_500]);
    assert_eq!(got[..4], ["54050000", "55050000", "55050000", "55050000"]);
    assert_eq!((got[4].as_str(), got[66].as_str(), got[67].as_str()), ("41050000", "4105F800", "4105FC00"));
    assert!(got[68].starts_with("5809000C"));
    assert_eq!(got[69..72], ["5809001C00208180", "5809001C40208180", "58090018000000FF"]);
    // 114 jobs of nothing, four midstates each; the target opens a core.
    assert!(
        got[72..186].iter().all(|f| f.len() == 2 * 149 && f.starts_with("219600040000 0000FFFFFFFF".replace(' ', "").as_str()))
    );
    assert!(got[186..].iter().all(|f| f.starts_with("5809000C")));
    assert_eq!(got.last().map(String::as_str), Some("5809000C00680221"), "650 MHz as captured");
}

#[test]
fn a_bitaxe_max_starts_as_its_own_firmware_starts_it() {
    let mut c = chain(ChipModel::Bm1397, 1, 1, 0);
    let got = sent(&mut c, 425.0);
    let expected =
        "52050000 53050000 40050000 80=00000000 84=00000000 20=00000001 3C=80008074 14=000000FF 68=C0700111 28=0600000F
        18=00006031 70=0F0F0F00 70=0F0F0F00";
    assert_eq!(got[..13], frames(expected));
    assert_eq!(got[13], got[14], "each of both twice");
    // 425 MHz: 25 × 68 ÷ (2 × 2), the dividers as they are.
    assert_eq!(got[got.len() - 4..], frames("70=0F0F0F00 70=0F0F0F00 08=40440221 08=40440221"));
    assert_eq!(c.uart.bauds, [115_200, 3_000_000]);
}

#[test]
fn an_s17_talks_faster_for_its_jobs_are_many() {
    let mut c = chain(ChipModel::Bm1397, 48, 12, 5);
    let got = sent(&mut c, 62.5);
    assert_eq!(got.iter().filter(|f| f.starts_with("4005")).count(), 51);
    assert!(got.contains(&frames("18=00016331")[0]));
    assert_eq!(c.uart.bauds, [115_200, 12_500_000]);
}

#[test]
fn an_s19_pro_is_told_what_the_one_published_attempt_tells_it() {
    let mut c = chain(ChipModel::Bm1398, 114, 38, 2);
    let got = sent(&mut c, 56.25);
    let stage_1 =
        "52050000 18=0000BA01 34=000000F0 18=0004BA01 18=0000BA01 18=0000BA05 34=000000F8 14=FFFFFFFF 54=00000003 53050000";
    assert_eq!(got[..10], frames(stage_1));
    let last = frames("68=C0700111 28=06008F00 18=0001A305 14=000000FF 10=000030C0 5C=0000FFFF");
    assert_eq!(got[got.len() - 6..], last);
}
