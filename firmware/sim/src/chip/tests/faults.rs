//! What can be wrong with a chain, as its host sees it on the line.

use super::*;
use std::collections::BTreeSet;

const ALL: &str = "55AA 52 05 00 00 0A";

/// An S19j Pro's chain at work on the genesis job.
fn mining(scale_bits: u8) -> Bench {
    let mut b = Bench::new(5, scale_bits);
    b.mine(&unhex(GENESIS));
    b
}

/// Positions on the chain of those who found nonces, in the order of time.
fn finders(nonces: &[Vec<u8>]) -> Vec<u8> {
    nonces.iter().map(|r| (u16::from_be_bytes([r[2], r[3]]) >> 2 & 0x7f) as u8).collect()
}

fn good(nonces: &[Vec<u8>]) -> usize {
    nonces.iter().filter(|r| r.len() == 11 && frame::crc5(&r[2..], 9 * 8) == 0).count()
}

#[test]
fn a_cut_a_dead_domain_and_a_dead_chip_are_missed_where_they_are() {
    let mut b = Bench::new(1, 36);
    b.chain.cut(b.now, 40);
    assert_eq!(b.ask(ALL).len(), 40 * 9);
    b.chain.cut(b.now, 126);
    b.chain.kill_domain(b.now, 10, true);
    assert_eq!(b.ask(ALL).len(), 30 * 9, "nothing passes the eleventh domain");
    b.chain.kill_domain(b.now, 10, false);
    b.chain.kill_chip(b.now, 7, true);
    assert_eq!(b.ask(ALL).len(), 125 * 9, "the others are reached through it");
    b.chain.kill_chip(b.now, 7, false);
    assert_eq!(b.ask(ALL).len(), 126 * 9);
}

#[test]
fn who_is_dead_or_out_of_reach_finds_nothing() {
    let mut b = mining(28);
    b.chain.kill_chip(b.now, 7, true);
    b.chain.kill_domain(b.now, 10, true);
    let found = b.nonces(500);
    let who: BTreeSet<u8> = finders(&found).into_iter().collect();
    assert!(who.len() == 29 && !who.contains(&7) && who.iter().all(|c| *c < 30), "{who:?}");
    b.chain.kill_domain(b.now, 10, false);
    b.tell(GENESIS);
    let who: BTreeSet<u8> = finders(&b.nonces(500)).into_iter().collect();
    assert_eq!(who.len(), 125);
}

#[test]
fn a_silent_chain_works_and_is_not_heard() {
    let mut b = mining(30);
    b.chain.silence(b.now, true);
    let tested = b.chain.hashes_tested();
    assert!(b.listen(1000).is_empty() && b.chain.hashes_tested() > tested + 1000);
    b.chain.silence(b.now, false);
    assert!(b.nonces(1000).len() > 100);
}

#[test]
fn garbage_comes_between_true_frames() {
    let mut b = mining(30);
    b.chain.babble(b.now, Some(Duration::from_millis(10)));
    let heard = b.listen(1000);
    let frames: Vec<Vec<u8>> = heard.chunks_exact(11).map(<[u8]>::to_vec).collect();
    let bad = frames.len() - good(&frames);
    // One of 32 passes for a frame.
    assert!((92..=101).contains(&bad), "{bad} of {}", frames.len());
    b.chain.babble(b.now, None);
    b.listen(5);
    let calm = b.nonces(500);
    assert_eq!(good(&calm), calm.len());
}

#[test]
fn one_chips_nonces_can_be_wrong() {
    let mut b = mining(27);
    b.chain.set_chip_wrong(b.now, 3, 500);
    let found = b.nonces(300);
    let third = finders(&found).iter().filter(|c| **c == 3).count();
    let bad: Vec<_> = found.into_iter().filter(|r| zeros(solved(genesis_header(), r)) < 4).collect();
    assert!(finders(&bad).iter().all(|c| *c == 3), "nobody else's");
    assert!((0.25..0.7).contains(&(bad.len() as f64 / third as f64)), "{} of {third}", bad.len());
}

#[test]
fn noise_turns_bits_both_ways() {
    let mut b = mining(28);
    b.chain.set_noise(b.now, 10);
    let found = b.nonces(500);
    let (all, whole) = (found.len(), good(&found));
    // 9 of 11 bytes count, 1 % of each: 91 % stay whole.
    assert!((0.85..0.96).contains(&(whole as f64 / all as f64)), "{whole} of {all}");
    b.chain.set_noise(b.now, 1000);
    b.tell("55AA 51 09 00 10 00 00 00 00 04");
    assert!(b.chain.hashing(), "no order arrives whole");
}

#[test]
fn bytes_are_lost_when_the_rate_changes() {
    let mut b = Bench::new(1, 36);
    b.chain.lose_at_baud_change(b.now, 1);
    assert_eq!(b.ask(ALL).len(), 126 * 9, "not before");
    b.tell("55AA 51 09 00 28 11 30 02 00 03");
    b.baud = Baud(1_000_000);
    assert_eq!(b.ask(ALL), SILENCE, "its first byte was lost");
    assert_eq!(b.ask(ALL).len(), 126 * 9 - 1);
    assert_eq!(b.ask(ALL).len(), 126 * 9, "only once");
}

#[test]
fn replies_can_stay_short_and_nonces_come_twice() {
    let mut b = mining(30);
    b.chain.stick_short_replies(b.now, true);
    b.listen(1);
    let heard = b.listen(500);
    assert!(heard.len() > 900 && heard.chunks_exact(9).all(|r| r[..2] == [0xaa, 0x55] && frame::crc5(&r[2..], 7 * 8) == 0));
    let mut b = mining(30);
    b.chain.repeat_nonces(b.now, 200);
    let found = b.nonces(1000);
    let twice = found.windows(2).filter(|w| w[0] == w[1]).count();
    assert!((0.1..0.24).contains(&(twice as f64 / found.len() as f64)), "{twice} of {}", found.len());
}

#[test]
fn chips_differ_by_seed_and_the_weak_err_first() {
    let quality = |seed| {
        let b = Bench::new(seed, 36);
        (0..126).filter_map(|c| b.chain.chip_quality(c)).collect::<Vec<f64>>()
    };
    let some = quality(1);
    assert_eq!(some, quality(1));
    assert_ne!(some, quality(2));
    let mean = some.iter().sum::<f64>() / 126.0;
    let spread = (some.iter().map(|q| (q - mean).powi(2)).sum::<f64>() / 126.0).sqrt();
    assert!((0.995..1.005).contains(&mean) && (0.012..0.025).contains(&spread), "{mean} {spread}");
    let mut b = mining(28);
    let wrong = |b: &mut Bench| {
        b.tell(GENESIS);
        let found = b.nonces(500);
        found.iter().filter(|r| zeros(solved(genesis_header(), r)) < 4).count() as f64 / found.len() as f64
    };
    assert!(wrong(&mut b) < 0.002, "at its own clock and rail");
    b.chain.set_power(b.now, Volt(11.0));
    b.nonces(1);
    assert!(wrong(&mut b) < 0.01);
    b.chain.set_heat(Celsius(95.0));
    b.chain.set_quality(b.now, 0.75);
    b.nonces(1);
    let much = wrong(&mut b);
    assert!((0.05..0.6).contains(&much), "{much}");
    b.chain.set_quality(b.now, 1.0);
    b.chain.set_chip_quality(b.now, 3, 0.3);
    b.nonces(1);
    b.tell(GENESIS);
    let bad: Vec<_> = b.nonces(500).into_iter().filter(|r| zeros(solved(genesis_header(), r)) < 4).collect();
    let third = finders(&bad).iter().filter(|c| **c == 3).count();
    assert!(third > 5 && third * 2 > bad.len(), "{third} of {}", bad.len());
}
