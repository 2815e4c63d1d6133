//! One set of expectations, held against every proof of work: so a caller may rely on the trait alone.

use std::sync::atomic::Ordering;

use model::Header;

use super::*;
use crate::ethash::{Cache, Dataset, Epoch, Rules, fill};
use crate::kawpow::Program;
use crate::scrypt::{LINES, Scrypt, lanes};
use crate::sha256d::Sha256d;
use crate::{Line, Path, ethash, kawpow};

/// Searches, hashes and verifies a few nonces; `seen` gives what a proof shows and its digest as a big-endian number.
fn holds<W>(mut work: W, job: &W::Job, seen: impl Fn(W::Proof) -> (W::Shown, [u8; 32]))
where
    W: ProofOfWork<Nonce: TryFrom<u64> + std::fmt::Debug + PartialEq, Proof: std::fmt::Debug + PartialEq>,
{
    let target = Target::from_zero_bits(2);
    let (go, mut hits) = (AtomicBool::new(false), Vec::new());
    assert_eq!(work.search(job, 5..70, &target, &go, &mut |nonce, proof| hits.push((nonce, proof))), 65);
    // Four sixtieths at least are met but once in 10^4 keys; the jobs are fixed.
    assert!((4..40).contains(&hits.len()), "{}", hits.len());
    let mut met = hits.iter().copied().peekable();
    for number in 5..70u64 {
        let Ok(nonce) = number.try_into() else { panic!("{number} is small") };
        let proof = work.hash(job, nonce);
        let (shown, digest) = seen(proof);
        let meets = digest <= target.to_be_bytes();
        let want = if meets { Ok(proof) } else { Err(Refusal::AboveTarget { digest, target }) };
        assert_eq!(work.verify(job, nonce, &shown, &target), want, "nonce {number}");
        assert_eq!(met.next_if(|(hit, _)| *hit == nonce), meets.then_some((nonce, proof)), "nonce {number}");
        assert_eq!(work.verify(job, nonce, &shown, &Target::from_be_bytes(digest)), Ok(proof), "its digest is a target it meets");
    }
    assert_eq!(met.next(), None, "hits in order, each once");
    go.store(true, Ordering::Relaxed);
    assert_eq!(work.search(job, 0..70, &Target::MAX, &go, &mut |_, _| panic!("aborted before it began")), 0);
}

fn header() -> Header {
    Header { version: 2, previous: Hash([1; 32]), merkle_root: Hash([2; 32]), time: 3, bits: 0x1d00_ffff, nonce: 99 }
}

fn big_endian(hash: Hash) -> ((), [u8; 32]) {
    let mut bytes = hash.0;
    bytes.reverse();
    ((), bytes)
}

#[test]
fn sha256d_is_one_by_every_path() {
    for path in Path::ALL {
        match Sha256d::by(path) {
            Ok(work) => holds(work, &header(), big_endian),
            Err(error) => assert_eq!(Err(error), path.require()),
        }
    }
}

#[test]
fn scrypt_is_one_by_every_path() {
    for path in Path::ALL {
        match Scrypt::by(path, vec![Line::ZERO; lanes(path) * LINES]) {
            Ok(work) => holds(work, &header(), big_endian),
            Err(_) => assert!(!crate::scrypt::PATHS.contains(&path) || !path.is_available(), "{path}"),
        }
    }
}

#[test]
#[should_panic(expected = "scrypt by portable works in")]
fn scrypt_says_when_its_memory_is_too_short() {
    let _ = Scrypt::by(Path::Portable, vec![Line::ZERO; LINES - 1]);
}

#[test]
fn ethash_and_kawpow_are_light_and_full() {
    let epoch = Rules::KAWPOW.epoch_at(0).expect("epoch 0");
    let epoch = Epoch { cache_bytes: 1024, dataset_bytes: 32 * 1024, ..epoch };
    let lines = |bytes: u64| vec![Line::ZERO; usize::try_from(bytes / Line::BYTES).expect("small")];
    let go = AtomicBool::new(false);
    let cache = Cache::build(epoch, lines(epoch.cache_bytes), &go, &mut |_, _| {}).expect("a cache");
    let mut dataset = lines(epoch.dataset_bytes);
    fill(&cache, 0, &mut dataset, Path::Portable, &go, &mut |_, _| {}).expect("a dataset");
    let dataset = Dataset::new(&cache, dataset).expect("wholly built");

    let seen = |proof: ethash::Proof| (proof.mix, proof.digest);
    let job = kawpow::Job { header: [7; 32], program: Program::at(8) };
    holds(&ethash::Light::new(cache.clone()), &[6; 32], seen);
    holds(&ethash::Full::new(dataset.clone()), &[6; 32], seen);
    holds(&kawpow::Light::new(cache.clone()).expect("large enough"), &job, seen);
    holds(&kawpow::Full::new(dataset).expect("large enough"), &job, seen);

    // A mix that is not the nonce's own gives another digest; where that meets the target, the work tells.
    let light = ethash::Light::new(cache);
    let own = light.hash(&ethash::Attempt { header: [6; 32], nonce: 1 }).mix;
    let refused = ProofOfWork::verify(&mut &light, &[6; 32], 1, &[9; 32], &Target::MAX);
    assert_eq!(refused, Err(Refusal::Mix { mix: own, claimed: [9; 32] }));
}
