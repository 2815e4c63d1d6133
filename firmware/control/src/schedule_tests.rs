//! Jobs by life stage.

use super::*;
use crate::testing::{body, job};
use model::Hash;
use std::collections::BTreeSet;

const EPOCH: Duration = Duration::from_secs(2);

fn at(s: u64) -> Time {
    Time::from_secs(s)
}

fn due(s: &mut Schedule, now: Time) -> Vec<Work> {
    std::iter::from_fn(|| s.next_due(now)).collect()
}

fn two_hands() -> Schedule {
    let mut s = Schedule::default();
    s.hand_on(at(0), ChainId(0), EPOCH);
    s.hand_on(at(0), ChainId(1), EPOCH);
    s
}

fn nonce(work: &Work, nonce: u32) -> Nonce {
    Nonce { work: work.id, chain: work.chain, chip: None, nonce, version: 0x2000_2000, hash: Hash([0; 32]) }
}

#[test]
fn a_clean_job_reaches_every_hand_at_once_and_voids_the_old_one() {
    let mut s = two_hands();
    s.job(at(0), job(1, 0, true)).expect("good");
    let old = due(&mut s, at(0));
    assert_eq!(old.iter().map(|w| w.chain).collect::<Vec<_>>(), [ChainId(0), ChainId(1)]);
    s.job(at(1), job(2, 0, true)).expect("good");
    let new = due(&mut s, at(1));
    assert!(new.iter().all(|w| w.job == JobId(2)));
    assert_eq!(new.len(), 2);
    assert_eq!(s.nonce(&nonce(&old[0], 7)), Found::Nonce, "it is true and counts for the rate, but is no share");
    assert!(matches!(s.nonce(&nonce(&new[0], 7)), Found::Share(_)));
    assert!(!s.is_active(JobId(1)));
    assert!(s.is_active(JobId(2)));
}

#[test]
fn a_job_that_voids_nothing_waits_for_the_refill_and_the_old_one_still_counts() {
    let mut s = two_hands();
    s.job(at(0), job(1, 0, true)).expect("good");
    let old = due(&mut s, at(0));
    s.job(at(1), job(2, 0, false)).expect("good");
    assert_eq!(due(&mut s, at(1)), []);
    let refill = s.wake_at();
    assert_eq!(refill, Time::from_millis(1500), "at three quarters of the epoch");
    assert!(due(&mut s, refill).iter().all(|w| w.job == JobId(2)));
    assert!(matches!(s.nonce(&nonce(&old[0], 7)), Found::Share(_)));
}

#[test]
fn the_same_nonce_is_a_share_once() {
    let mut s = two_hands();
    s.job(at(0), job(1, 0, true)).expect("good");
    let w = due(&mut s, at(0));
    assert!(matches!(s.nonce(&nonce(&w[0], 7)), Found::Share(_)));
    assert_eq!(s.nonce(&nonce(&w[0], 7)), Found::Duplicate);
    assert!(matches!(s.nonce(&nonce(&w[1], 7)), Found::Share(_)), "another hand's header is another share");
}

#[test]
fn no_header_is_ever_given_twice_not_even_with_one_extranonce_byte() {
    let mut s = two_hands();
    let mut small = body();
    small.extranonce2_size = 1;
    s.job(at(0), Job { body: JobBody::Coinbase(small), ..job(1, 0, true) }).expect("good");
    let mut headers = BTreeSet::new();
    for ms in 0..700_000u64 {
        for w in due(&mut s, Time::from_millis(ms)) {
            assert!(headers.insert(w.header.to_bytes()), "at {ms} ms");
        }
    }
    assert!(headers.len() > 512, "more than the byte holds: {}", headers.len());
}

#[test]
fn the_share_carries_what_the_pool_needs_to_rebuild_the_header() {
    let mut s = two_hands();
    s.job(at(0), job(1, 0, true)).expect("good");
    let w = due(&mut s, at(0)).remove(1);
    let Found::Share(share) = s.nonce(&nonce(&w, 7)) else { panic!("a share") };
    let rebuilt = body().header(&share.extranonce2);
    assert_eq!((rebuilt.merkle_root, share.time), (w.header.merkle_root, w.header.time));
    assert_eq!((share.version_bits, share.job_name.as_str()), (Some(0x2000), "job1"));
}

#[test]
fn bad_input_is_named_or_ignored() {
    let mut s = two_hands();
    let mut b = body();
    b.branch = vec![Hash([0; 32]); 33];
    assert_eq!(s.job(at(0), Job { body: JobBody::Coinbase(b), ..job(1, 0, true) }), Err(JobError::Branch(33)));
    assert!(s.current().is_none());
    s.job(at(0), job(2, 0, true)).expect("good");
    let w = due(&mut s, at(0)).remove(0);
    assert_eq!(s.nonce(&Nonce { work: WorkId(99), ..nonce(&w, 1) }), Found::Unknown);
    assert_eq!(s.nonce(&Nonce { chain: ChainId(1), ..nonce(&w, 1) }), Found::Unknown, "another chain's work");
    assert_eq!(s.nonce(&Nonce { version: 0x3000_0000 ^ 1, ..nonce(&w, 1) }), Found::Wrong);
    s.forget_jobs();
    assert_eq!(s.nonce(&nonce(&w, 1)), Found::Unknown);
    assert_eq!(due(&mut s, at(50)), []);
    s.hand_on(at(50), ChainId(0), Duration::ZERO);
    s.job(at(50), job(3, 0, true)).expect("good");
    assert_eq!(due(&mut s, at(50)).len(), 2, "an epoch of nothing does not loop");
}

#[test]
fn memory_is_bounded() {
    let mut s = two_hands();
    for i in 0..3000 {
        s.job(at(i), job(i, 0, i % 7 == 0)).expect("good");
        let _given = due(&mut s, at(i));
    }
    assert!(s.jobs.len() <= JOBS_KEPT);
    assert!(s.works.len() <= WORKS_KEPT);
}
