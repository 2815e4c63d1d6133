//! The other models: what each answers, how it takes work, and what it can be asked.

use super::*;
use frame::crc5;
use model::ChipModel::{Bm1362, Bm1366, Bm1368, Bm1370, Bm1387, Bm1397, Bm1398};
use sha2::block_api::compress256;
use std::collections::{BTreeMap, BTreeSet};

const fn layout(chip: ChipModel, chips: u8, domains: u8, address_interval: u8) -> ChainLayout {
    ChainLayout { chip, chips, domains, address_interval }
}

const S9: ChainLayout = layout(Bm1387, 63, 21, 4);
const S17: ChainLayout = layout(Bm1397, 48, 12, 5);
const S19XP: ChainLayout = layout(Bm1366, 110, 11, 2);
const S21: ChainLayout = layout(Bm1368, 108, 12, 2);
const S21PRO: ChainLayout = layout(Bm1370, 65, 13, 2);

fn scale(scale_bits: u8, stretch_bits: u8) -> Scale {
    Scale { zero_bits: 0, scale_bits, stretch_bits }
}

fn bench(layout: ChainLayout, scale: Scale) -> Bench {
    let f = facts::facts(layout.chip).expect("a serial chip");
    Bench::of(layout, Volt(f.bears.volt * f64::from(layout.domains)), 5, scale)
}

#[test]
fn a_fresh_chain_of_each_model_answers_as_published() {
    for (layout, reply) in [
        (S17, "AA5513971800 00 00 06"),
        (S19XP, "AA5513660000 00 00 0C"),
        (S21, "AA5513680000 00 00 14"),
        (S21PRO, "AA5513700000 00 00 06"),
        (S19J, "AA5513620300 00 00 0D"),
    ] {
        let mut b = bench(layout, scale(36, 0));
        let all = b.ask("55AA 52 05 00 00 0A");
        assert_eq!(all, unhex(reply).repeat(usize::from(layout.chips)), "{:?}", layout.chip);
        b.address();
        assert_eq!(b.read_one(3 * layout.address_interval, 0).map(|v| v & 0xff), Some(3 * u32::from(layout.address_interval)));
    }
    let mut b = bench(layout(Bm1398, 114, 38, 2), scale(36, 0));
    assert!(b.ask("55AA 52 05 00 00 0A").starts_with(&[0xaa, 0x55, 0x13, 0x98]));
    let mut b = bench(S9, scale(36, 0));
    assert_eq!(b.ask("54 05 00 00 19").len(), 63 * 7);
    assert_eq!(b.ask("55AA 52 05 00 00 0A"), SILENCE, "a newer chip's words are nothing to it");
    b.address();
    assert_eq!(b.read_one(0xf4, 0), Some(0x1387_90f4));
}

/// Two rolled bits above the header's own version, in the order of midstates.
const VERSIONS: [u32; 4] = [0x2000_0000, 0x2000_2000, 0x2000_4000, 0x2000_6000];

/// A job of so many midstates, behind the preamble.
fn midstate_job(id: u8, header: Header, midstates: usize) -> Vec<u8> {
    let mut f = vec![0x21, 22 + 32 * midstates as u8, id, midstates as u8, 0, 0, 0, 0];
    let h = header.to_bytes();
    f.extend([&h[72..76], &h[68..72], &h[64..68]].concat());
    for version in &VERSIONS[..midstates] {
        let mut block = [0; 64];
        block.copy_from_slice(&Header { version: *version, ..header }.to_bytes()[..64]);
        let mut state = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        compress256(&mut state, &[block]);
        f.extend(state.iter().rev().flat_map(|w: &u32| w.to_be_bytes()));
    }
    let crc = f.iter().fold(0xffff_u16, |crc, b| {
        (0..8).fold(crc ^ u16::from(*b) << 8, |c, _| if c & 0x8000 == 0 { c << 1 } else { c << 1 ^ 0x1021 })
    });
    f.extend(crc.to_be_bytes());
    f
}

/// An S9 at 650 MHz and a ticket of 2^4, its cores opened, or not.
fn s9(scale: Scale, opened: bool) -> Bench {
    let mut b = bench(S9, scale);
    b.address();
    b.write_all(0x0c, 0x0068_0221);
    b.write_all(0x18, 0xf0);
    b.write_all(0x1c, 0x0020_8180);
    b.baud = Baud(1_562_500);
    if opened {
        for _ in 0..114 {
            b.chain.tell_bytes(b.now, b.baud, &midstate_job(0, Header::default(), 1));
        }
    }
    b.write_all(0x1c, 0x4020_0180);
    b
}

#[test]
fn an_s9_finds_true_nonces_once_its_cores_are_opened() {
    for midstates in [1, 4] {
        let mut b = s9(scale(24, 10), true);
        assert!((b.chain.clock().0 - 650.0).abs() < 1e-9 && b.chain.baud == Baud(1_562_500));
        let job = midstate_job(0x24, genesis_header(), midstates);
        b.chain.tell_bytes(b.now, b.baud, &job);
        let heard = b.listen(200);
        // 63 × 114 × 650 MHz for 0.2 s, one of 2^24 tested, one of 2^4 reported: 3478.
        let found: Vec<_> = heard.chunks_exact(7).collect();
        assert!((3300..3650).contains(&found.len()), "{}", found.len());
        let mut seen = BTreeSet::new();
        for reply in found {
            assert_eq!((crc5(reply, 7 * 8), reply[6] >> 5), (0, 4), "{reply:02x?}");
            assert!((0x24..0x24 + midstates as u8).contains(&reply[5]));
            let nonce = u32::from_le_bytes([reply[0], reply[1], reply[2], reply[3]]);
            let version = VERSIONS[usize::from(reply[5] & 3)];
            assert!(zeros(Header { version, nonce, ..genesis_header() }) >= 4, "{reply:02x?}");
            assert!(nonce >> 24 & 0x7f < 114 && nonce >> 2 & 0x3f < 63);
            seen.insert((nonce >> 2 & 0x3f, reply[5]));
        }
        assert_eq!(seen.len(), 63 * midstates, "every chip with every midstate");
    }
    let mut b = s9(scale(24, 10), false);
    b.chain.tell_bytes(b.now, b.baud, &midstate_job(0x24, genesis_header(), 4));
    assert!(b.listen(200).is_empty() && !b.chain.hashing(), "closed cores do nothing");
}

#[test]
fn a_midstate_job_lasts_as_long_as_its_stretch_says() {
    // 4 × 2^19 at 650 MHz are 3.2 ms, 3.3 s at 2^10.
    let mut b = s9(scale(34, 10), true);
    b.chain.tell_bytes(b.now, b.baud, &midstate_job(0x24, genesis_header(), 4));
    b.listen(3300);
    assert_eq!(b.chain.hashes_repeated(), 0);
    let once = b.chain.hashes_tested();
    b.listen(3300);
    let (tested, repeated) = (b.chain.hashes_tested(), b.chain.hashes_repeated());
    // The last chip has two addresses' part, and takes twice as long.
    assert!(repeated + 20 > tested - once && repeated > 800, "{repeated} of {tested}");
}

/// A newer chain ready for a job, at 525 MHz or near it.
fn ready(layout: ChainLayout, pll: u32, ticks: u32, scale_bits: u8) -> Bench {
    let mut b = bench(layout, scale(scale_bits, 0));
    b.address();
    for (register, value) in [(0xa4, 0x9000_ffff_u32), (0x18, 0xf000_c100), (0x14, 0xf0), (0x08, pll), (0x10, ticks)] {
        b.write_all(register, value);
    }
    b.write_all(0x28, 0x1130_0000);
    b.baud = FAST;
    b
}

#[test]
fn a_bm1397_names_chip_core_and_midstate() {
    let mut b = bench(S17, scale(26, 10));
    b.address();
    for (register, value) in [(0x14, 0xf0_u32), (0x08, 0x40a0_0241), (0x18, 0x6031)] {
        b.write_all(register, value);
    }
    b.baud = FAST;
    assert!((b.chain.clock().0 - 500.0).abs() < 1e-9 && b.chain.baud == FAST);
    b.chain.tell_bytes(b.now, b.baud, &[vec![0x55, 0xaa], midstate_job(0x18, genesis_header(), 4)].concat());
    let found: Vec<Vec<u8>> = b.listen(200).chunks_exact(9).map(<[u8]>::to_vec).collect();
    // 48 × 672 × 500 MHz for 0.2 s, one of 2^26 tested, one of 2^4 reported: 3004.
    assert!((2830..3180).contains(&found.len()), "{}", found.len());
    for reply in found {
        let version = VERSIONS[usize::from(reply[7] & 3)];
        let nonce = u32::from_le_bytes([reply[2], reply[3], reply[4], reply[5]]);
        assert!(reply[7] & 0xfc == 0x18 && zeros(Header { version, nonce, ..genesis_header() }) >= 4, "{reply:02x?}");
        let n = nonce.swap_bytes();
        assert!(n >> 24 < 168 && (n >> 14 & 0xff) / 5 < 48);
    }
}

#[test]
fn whole_headers_are_answered_with_each_models_ids_and_places() {
    for (layout, pll, ticks, rate) in [
        (S19XP, 0x40a8_0211_u32, 0x151c, 894.0 * 525e6),
        (S21, 0x40a8_0211, 0x15a4, 1276.0 * 525e6),
        (S21PRO, 0x50d2_0240, 0x1eb5, 2040.0 * 525e6),
    ] {
        let mut b = ready(layout, pll, ticks, 28);
        // So far below its knee no chip errs.
        b.chain.set_power(b.now, Volt(100.0));
        if layout.chip == Bm1370 {
            for i in 0..65 {
                b.write_one(2 * i, 0x0c, 0x8000_0000 + u32::from(i) * 65_536 / 65);
            }
        }
        b.tell(GENESIS);
        let found = b.nonces(200);
        let expected = rate * f64::from(layout.chips) * 0.2 / 2f64.powi(32);
        let count = found.len() as f64;
        assert!((count / expected - 1.0).abs() < 0.08, "{:?}: {count} of {expected}", layout.chip);
        let mut chips: BTreeMap<u32, u32> = BTreeMap::new();
        for reply in &found {
            assert!(zeros(solved(genesis_header(), reply)) >= 4, "{reply:02x?}");
            let n = u32::from_be_bytes([reply[2], reply[3], reply[4], reply[5]]);
            let (job, small, chip) = match layout.chip {
                Bm1366 => (reply[7] & 0xf8, reply[7] & 7, (n >> 17 & 0xff) / 2),
                Bm1368 => ((reply[7] & 0xf0) >> 1, reply[7] & 0xf, (n >> 17 & 0xff) / 2),
                _ => ((reply[7] & 0xf0) >> 1, reply[7] & 0xf, (n & 0x1ff_ffff) * 65 / (1 << 25)),
            };
            assert_eq!((job, small), (0x18, reply[9] & if layout.chip == Bm1366 { 7 } else { 0xf }));
            *chips.entry(chip).or_default() += 1;
        }
        assert_eq!(chips.len(), usize::from(layout.chips), "{:?} {chips:?}", layout.chip);
        assert_eq!(b.chain.hashes_repeated(), 0);
    }
}

#[test]
fn chips_of_one_place_do_each_others_work_and_a_sweep_too_long_does_the_neighbours() {
    let mut b = ready(S21PRO, 0x50d2_0240, 0x1eb5, 30);
    b.tell(GENESIS);
    let found = b.nonces(100);
    let distinct: BTreeSet<_> = found.iter().collect();
    assert!(distinct.len() * 60 < found.len() + 60, "{} of {}", distinct.len(), found.len());
    let (tested, repeated) = (b.chain.hashes_tested(), b.chain.hashes_repeated());
    assert!((0.98..0.99).contains(&(repeated as f64 / tested as f64)), "64 of 65: {repeated} of {tested}");
    // 126 chips have 2^18 values of the counter each: 6241 ticks at 525 MHz. Half as long again runs into the next one.
    let mut b = ready(S19J, 0x40a8_0211, 6241 * 3 / 2, 32);
    b.tell(GENESIS);
    b.listen(500);
    let part = b.chain.hashes_repeated() as f64 / b.chain.hashes_tested() as f64;
    assert!((0.31..0.36).contains(&part), "{part}");
}

#[test]
fn a_quarter_of_the_cores_reports_where_one_bit_is_set() {
    let mut b = ready(layout(Bm1370, 1, 1, 128), 0x50d2_0240, 0x3_0000, 22);
    b.write_all(0x18, 0x4000_c100);
    b.tell(GENESIS);
    let cores: BTreeSet<u8> = b.nonces(500).iter().map(|r| r[2] >> 1).collect();
    assert!(cores.len() > 25 && cores.iter().all(|c| (64..96).contains(c)), "{cores:?}");
    b.write_all(0x18, 0x0000_c100);
    assert!(b.nonces(500).is_empty() && !b.chain.hashing());
}

#[test]
fn each_chip_runs_at_its_own_clock_and_one_that_cannot_lock_is_silent() {
    let mut b = ready(S19J, 0x40a8_0211, 0x0e00, 28);
    b.tell(GENESIS);
    b.write_one(20, 0x08, 0x40a8_0230 | 1);
    b.write_one(40, 0x08, 0x50da_0141);
    assert_eq!(b.chain.chip_clock(10), Megahertz(262.5));
    assert_eq!((b.chain.chip_clock(20), b.chain.fastest()), (Megahertz(0.0), Megahertz(525.0)));
    let mean = b.chain.clock().0;
    assert!((mean - (124.0 * 525.0 + 262.5) / 126.0).abs() < 1e-9, "{mean}");
    b.listen(2);
    let found = b.nonces(2000);
    let mut chips = [0_u32; 126];
    found.iter().for_each(|r| chips[(u16::from_be_bytes([r[2], r[3]]) >> 2 & 0x7f) as usize] += 1);
    let others = f64::from(chips.iter().sum::<u32>() - chips[10]) / 124.0;
    assert!((0.3..0.7).contains(&(f64::from(chips[10]) / others)), "{} of {others}", chips[10]);
    assert_eq!(chips[20], 0);
    b.write_all(0x10, 0);
    b.listen(100);
    assert_eq!((b.read_one(40, 0x08), b.read_one(42, 0x08)), (None, Some(0xc0a8_0211)));
    b.write_one(40, 0x08, 0x40a8_0211);
    b.listen(2);
    assert_eq!(b.read_one(40, 0x08), Some(0xc0a8_0211), "a good word brings it back");
}

#[test]
fn a_bm1368_tells_heat_and_voltage_and_a_bm1370_only_voltage() {
    for (layout, heat, step) in [(S21, true, 0.6), (S21PRO, false, 1.0)] {
        let mut b = bench(layout, scale(36, 0));
        b.address();
        b.chain.set_heat(Celsius(61.0));
        b.chain.set_domain_heat(1, Celsius(70.0));
        b.chain.set_chip_heat(2, Celsius(80.0));
        assert_eq!(b.read_one(0, 0xb4), Some(0), "not switched on");
        for word in [0x0002_0000, 0x0102_0000, 0x1002_0000] {
            b.write_all(0xb0, word);
            b.listen(10);
        }
        let first_of_domain = 2 * layout.chips / layout.domains;
        for (address, celsius) in [(0, 61.0), (4, 80.0), (first_of_domain, 70.0)] {
            let code = b.read_one(address, 0xb4).expect("answers");
            let told = f64::from(code & 0xffff) * 0.171_342 - 299.5144;
            assert_eq!(code >> 31 == 1, heat);
            assert!(!heat || f64::abs(told - celsius) < 0.1, "{told} for {celsius}");
        }
        b.write_one(6, 0xb8, 0x230c_030d);
        b.write_one(6, 0xb8, 0x232c_030d);
        assert_eq!(b.read_one(6, 0xbd), Some(0), "not yet");
        b.listen(60);
        let code = b.read_one(6, 0xbd).expect("answers");
        let volt = (f64::from(code & 0x7fff) / 16_384.0 - 1.0) * step;
        assert!(code >> 31 == 1 && (0.25..0.35).contains(&volt), "{code:08x} {volt}");
    }
}

#[test]
fn chips_count_what_they_hash() {
    let mut b = ready(layout(Bm1368, 108, 12, 2), 0x40a8_0211, 0x15a4, 40);
    b.tell(GENESIS);
    b.listen(10_000);
    let hashes = 1276.0 * 525e6 * 10.0 / 2f64.powi(32);
    let told = f64::from(b.read_one(4, 0x8c).expect("answers"));
    assert!((told / hashes - 1.0).abs() < 0.01, "{told} of {hashes}");
    let quarter = f64::from(b.read_one(4, 0x8a).expect("answers"));
    assert!((quarter * 4.0 / hashes - 1.0).abs() < 0.01);
    let bad = f64::from(b.read_one(4, 0x4c).expect("answers"));
    assert!((1.0..hashes * 0.05).contains(&bad), "70 MHz above its knee: {bad}");
    let mut b = s9(scale(40, 10), true);
    b.chain.tell_bytes(b.now, b.baud, &midstate_job(0x24, genesis_header(), 4));
    let rate = f64::from(b.read_one(8, 0x08).expect("answers")) * 2f64.powi(24);
    assert!((rate / (114.0 * 650e6) - 1.0).abs() < 0.001, "{rate}");
}

struct Sensor([u8; 256], u8);

impl crate::parts::Target for Sensor {
    fn write(&mut self, _: Time, bytes: &[u8]) {
        self.1 = bytes[0];
        if let [register, value] = bytes {
            self.0[usize::from(*register)] = *value;
        }
    }
    fn read(&mut self, _: Time, buffer: &mut [u8]) {
        buffer.fill(self.0[usize::from(self.1)]);
    }
}

#[test]
fn a_sensor_behind_a_chip_is_reached_through_it() {
    let part = std::sync::Arc::new(std::sync::Mutex::new(Sensor([0; 256], 0)));
    part.lock().expect("one thread").0[0xfe] = 0x55;
    for (layout, register) in [(S9, 0x20), (S21, 0x1c)] {
        let mut b = bench(layout, scale(36, 0));
        b.address();
        b.chain.hang(61, 0x4c, Box::new(std::sync::Arc::clone(&part)));
        let chip = 61 * layout.address_interval;
        b.write_one(chip, register, 0x0198_fe00);
        let busy = {
            let bare = b.chain.facts.framing == facts::Framing::Bare;
            b.order(&[if bare { 0x44 } else { 0x42 }, 5, chip, register]);
            b.listen(5)
        };
        assert_eq!(busy[if layout.chip == Bm1387 { 0 } else { 2 }] >> 7, 1, "busy at first");
        assert_eq!(b.read_one(chip, register), Some(0x0098_fe55));
        b.write_one(chip, register, 0x0199_0904);
        assert_eq!(part.lock().expect("one thread").0[9], 4);
        b.write_one(chip, register, 0x019a_fe00);
        b.listen(2);
        assert_eq!(b.read_one(chip, register).map(|v| v & 0xff), Some(0xff), "no such sensor");
        assert_eq!(b.read_one(chip - layout.address_interval, register).map(|v| v & 0xff), Some(0), "nor on that chip");
    }
    assert!(facts::facts(Bm1362).is_some_and(|f| f.i2c == 0x1c));
}
