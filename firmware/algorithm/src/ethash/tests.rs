//! Ethash against published vectors on real epochs, and against itself on small ones.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::proof::meets;
use super::*;

static GO: AtomicBool = AtomicBool::new(false);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(hex: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).expect("hex"))
}

fn number(hex: &str) -> u64 {
    u64::from_str_radix(hex, 16).expect("hex")
}

fn lines(of: u64) -> Vec<Line> {
    vec![Line::default(); usize::try_from(of / Line::BYTES).expect("it fits")]
}

fn cache(epoch: Epoch) -> Cache<Vec<Line>> {
    Cache::build(epoch, lines(epoch.cache_bytes), &GO, &mut |_, _| {}).expect("a cache")
}

fn dataset(cache: &Cache<Vec<Line>>) -> Vec<Line> {
    let mut dataset = lines(cache.epoch().dataset_bytes);
    fill(cache, 0, &mut dataset, best_path(), &GO, &mut |_, _| {}).expect("a dataset");
    dataset
}

/// The sizes that core-geth's `algorithm_test.go` uses.
fn tiny(number: u64) -> Epoch {
    let epoch = Rules::ETHASH.epoch_at(number * 30_000).expect("an epoch");
    Epoch { cache_bytes: 1024, dataset_bytes: 32 * 1024, ..epoch }
}

fn fingerprint(lines: &[Line]) -> String {
    let mut sha = Sha256::new();
    lines.iter().flat_map(|line| line.0).for_each(|word| sha.update(word.to_le_bytes()));
    hex(&sha.finalize())
}

/// Caches and dataset of core-geth's `algorithm_test.go`, as the SHA-256 of all their bytes.
#[test]
fn caches_and_a_dataset_are_the_published_ones() {
    let cache_0 = cache(tiny(0));
    assert_eq!(fingerprint(cache_0.view().lines), "ec9d098491f09dffd2f1451ba330ab6b581fdb3abbd12fdd2255f33957c07938");
    assert_eq!(fingerprint(cache(tiny(1)).view().lines), "3f0fddca200222c84b547c428080aae9be352ef44f81d3d3910ffa9d7fd94c06");
    assert_eq!(fingerprint(&dataset(&cache_0)), "6396072b1ae9738e5d51b7c807bf3777a520fa5b6594970c5845681e6e4ffc0c");
}

/// `TestHashimoto` of the same file.
#[test]
fn light_and_full_hash_as_published() {
    let header = bytes("c9149cc0386e689d789a1c2f3d5d169a61a6218ed30e74414dc736e442ef3d1f");
    let attempt = Attempt { header, nonce: 0 };
    let want = Proof {
        mix: bytes("e4073cffaef931d37117cefd9afd27ea0f1cad6a981dd2605c4a1ac97c519800"),
        digest: bytes("d3539235ee2e6f8db665c0a72169f55b7f6c605712330b778ec3944f0eb5a557"),
    };
    let cache = cache(tiny(0));
    let dataset = Dataset::new(&cache, dataset(&cache)).expect("a dataset");
    for path in PATHS {
        assert_eq!(Light::at(cache.clone(), path).hash(&attempt), want, "{path}");
        assert_eq!(Full::at(dataset.clone(), path).hash(&attempt), want, "{path}");
    }
    assert_eq!(digest(&Claim { attempt, mix: want.mix }), want.digest);
}

/// Height, header, nonce, mix and digest of chfast/ethash's `test_cases.hpp`; most of them are blocks of Ethereum.
const HASHES: [(u64, &str, &str, &str, &str); 7] = [
    (
        0,
        "2a8de2adf89af77358250bf908bf04ba94a6e8c3ba87775564a41d269a05e4ce",
        "4242424242424242",
        "58f759ede17a706c93f13030328bcea40c1d1341fb26f2facd21ceb0dae57017",
        "dd47fd2d98db51078356852d7c4014e6a5d6c387c35f40e2875b74a256ed7906",
    ),
    (
        2,
        "100cbec5e5ef82991290d0d93d758f19082e71f234cf479192a8b94df6da6bfe",
        "307692cf71b12f6d",
        "e55d02c555a7969361cf74a9ec6211d8c14e4517930a00442f171bdb1698d175",
        "ab9b13423cface72cbec8424221651bc2e384ef0f7a560e038fc68c8d8684829",
    ),
    (
        2_683_077,
        "0313d03c5ed78694c90ecb3d04190b82d5b222c75ba4cab83383dde4d11ed512",
        "8c5eaec000788d41",
        "93e85c97b34ccd8091e09ddb513fdc9e680fa8898d4a0737205e60af710a3dcb",
        "00000000000204882a6213f68fe89bc368df25c1ad999f82532a7433e99bc48e",
    ),
    (
        5_000_000,
        "bc544c2baba832600013bd5d1983f592e9557d04b0fb5ef7a100434a5fc8d52a",
        "4617a20003ba3f25",
        "94cd4e844619ee20989578276a0a9046877d569d37ba076bf2e8e34f76189dea",
        "0000000000001a5b18ae31b7417b7c045bc6dd78cc3b694c4bebfaefef6b3c56",
    ),
    (
        5_000_001,
        "2cd14041cfc3bd13064cfd58e26c0bddf1e97a4202c4b8076444a7cd4515f8c3",
        "1af47f2007922384",
        "46cb1268ac6b218eb01b9bd46f1533561d085620c9bfc23eadb8ab106f84b2d8",
        "0000000000000a4230cfc483a3f739a5101192c3d4f9c8314f4508be24c28257",
    ),
    (
        5_000_002,
        "9e79bced19062baf7c47e516ad3a1bd779222404d05b4205def30a13c7d87b5b",
        "c9a044201dd998f2",
        "028a19d6dcf0975972285f71a23fe3a468886ad24cc63f969158d427556d6bb5",
        "0000000000000eec80fbc4c472507b6c212c4f216043318f3fb3e696a0e80b06",
    ),
    (
        5_306_861,
        "53a005f209a4dc013f022a5078c6b38ced76e767a30367ff64725f23ec652a9f",
        "d337f82001e992c5",
        "26c64f063dac85ae3585526b446be6754faf044876aa3e20f770bea567e04d1d",
        "00000000000003f1554d8071ff0903268fcb70f30f4af3bf7ec7dc69cdf509f3",
    ),
];

#[test]
fn blocks_of_ethereum_verify() {
    let mut light: Option<Light<Vec<Line>>> = None;
    for (height, header, nonce, mix, digest) in HASHES {
        let epoch = Rules::ETHASH.epoch_at(height).expect("an epoch");
        let light = match light.take().filter(|light| *light.cache().epoch() == epoch) {
            Some(same) => light.insert(same),
            None => light.insert(Light::new(cache(epoch))),
        };
        let attempt = Attempt { header: bytes(header), nonce: number(nonce) };
        let proof = light.hash(&attempt);
        assert_eq!((hex(&proof.mix), hex(&proof.digest)), (mix.to_owned(), digest.to_owned()), "block {height}");
        let claim = Claim { attempt, mix: proof.mix };
        assert_eq!(light.verify(&claim, &Target::from_be_bytes(proof.digest)), Ok(proof.digest));
    }
}

#[test]
fn a_test_epoch_is_built_by_parts_and_mined() {
    let epoch = Rules::ETCHASH.with_test_sizes().epoch_at(24_000_000).expect("an epoch");
    let cache = cache(epoch);
    // As threads would share it, in parts of no round number.
    let mut parts = lines(epoch.dataset_bytes);
    let told = AtomicU32::new(0);
    for (at, part) in (0..).step_by(99_999).zip(parts.chunks_mut(99_999)) {
        let all = part.len() as u64;
        let mut progress = |done: u64, of: u64| {
            assert!(done <= of && of == all);
            told.fetch_add(1, Ordering::Relaxed);
        };
        fill(&cache, at, part, best_path(), &GO, &mut progress).expect("a part");
    }
    assert!(told.into_inner() > 200, "progress is told often");
    let full = Full::new(Dataset::new(&cache, parts).expect("wholly built"));
    let light = Light::new(cache);

    let header = [7; 32];
    let target = Target::from_zero_bits(7);
    let mut found = Vec::new();
    let tried = full.search(&header, 0..1500, &target, &GO, &mut |nonce, proof| found.push((nonce, proof)));
    assert_eq!(tried, 1500);
    assert!(found.len() > 2, "one in 128");
    let mut again = Vec::new();
    light.search(&header, 0..300, &target, &GO, &mut |nonce, proof| again.push((nonce, proof)));
    assert_eq!(again, found.iter().copied().filter(|(nonce, _)| *nonce < 300).collect::<Vec<_>>());
    for (nonce, proof) in found {
        let attempt = Attempt { header, nonce };
        assert_eq!(light.hash(&attempt), proof);
        assert_eq!(light.verify(&Claim { attempt, mix: proof.mix }, &target), Ok(proof.digest));
        assert_eq!(full.verify(&Claim { attempt, mix: proof.mix }, &target), Ok(proof.digest));
    }
}

#[test]
fn every_changed_byte_of_a_claim_is_refused() {
    let light = Light::new(cache(tiny(0)));
    let (header, target) = ([3; 32], Target::from_zero_bits(4));
    let mut first = None;
    light.search(&header, 0..400, &target, &GO, &mut |nonce, proof| first = first.or(Some((nonce, proof))));
    let (nonce, proof) = first.expect("one in sixteen");
    let attempt = Attempt { header, nonce };
    let claim = Claim { attempt, mix: proof.mix };
    assert_eq!(light.verify(&claim, &target), Ok(proof.digest));

    let mut changed = Vec::new();
    for i in 0..32 {
        let flipped = |bytes: &[u8; 32]| std::array::from_fn(|j| bytes[j] ^ u8::from(i == j) << (i % 8));
        changed.push(Claim { mix: flipped(&claim.mix), ..claim });
        changed.push(Claim { attempt: Attempt { header: flipped(&header), nonce }, ..claim });
    }
    changed.extend((0..64).map(|bit| Claim { attempt: Attempt { header, nonce: nonce ^ 1 << bit }, ..claim }));
    let mut by_mix = 0;
    for wrong in changed {
        match light.verify(&wrong, &target) {
            Err(Refusal::AboveTarget { digest: above, target: of }) => {
                assert!(!meets(&above, &target) && of == target && above == digest(&wrong));
            }
            Err(Refusal::Mix { mix, claimed }) => {
                assert_eq!((mix, claimed), (light.hash(&wrong.attempt).mix, wrong.mix));
                assert_ne!(mix, claimed);
                by_mix += 1;
            }
            Ok(_) => panic!("accepted {wrong:?}"),
        }
        // With a target that everything meets, it is the mix that tells.
        assert!(matches!(light.verify(&wrong, &Target::MAX), Err(Refusal::Mix { .. })));
    }
    assert!(by_mix > 0, "one in sixteen gets past the target");
    let mut harder = proof.digest;
    let lowest = harder.iter().rposition(|b| *b != 0).expect("not zero");
    harder[lowest] -= 1;
    let harder = Target::from_be_bytes(harder);
    assert_eq!(light.verify(&claim, &harder), Err(Refusal::AboveTarget { digest: proof.digest, target: harder }));
    let told = light.verify(&claim, &harder).expect_err("above").to_string();
    assert!(told.contains(&hex(&proof.digest)), "{told}");
}

#[test]
fn many_claims_are_judged_as_one_by_one() {
    let light = Light::new(cache(tiny(0)));
    let target = Target::from_zero_bits(1);
    for count in [0u64, 1, 7, 8, 9, 40] {
        let claims: Vec<(Claim, Target)> = (0..count)
            .map(|nonce| {
                let attempt = Attempt { header: [4; 32], nonce };
                let mix = if nonce % 5 == 4 { [0; 32] } else { light.hash(&attempt).mix };
                (Claim { attempt, mix }, target)
            })
            .collect();
        let mut judged = vec![None; claims.len()];
        light.verify_all(&claims, &mut |at, verdict| assert_eq!(judged[at].replace(verdict), None, "once each"));
        let want: Vec<_> = claims.iter().map(|(claim, target)| Some(light.verify(claim, target))).collect();
        assert_eq!(judged, want);
        let kinds = |kind: fn(&Result<[u8; 32], Refusal>) -> bool| judged.iter().flatten().filter(|v| kind(v)).count();
        if count == 40 {
            assert!(kinds(|v| v.is_ok()) > 5 && kinds(|v| matches!(v, Err(Refusal::AboveTarget { .. }))) > 5);
            assert!(kinds(|v| matches!(v, Err(Refusal::Mix { .. }))) > 0);
        }
    }
}

#[test]
fn building_says_how_far_it_is_and_stops_on_request() {
    let epoch = Rules::ETHASH.with_test_sizes().epoch_at(0).expect("an epoch");
    let abort = AtomicBool::new(false);
    let mut steps = Vec::new();
    Cache::build(epoch, lines(epoch.cache_bytes), &abort, &mut |done, of| steps.push((done, of))).expect("a cache");
    assert!(steps.len() >= 8 && steps.is_sorted());
    assert_eq!(steps.last(), Some(&(4 * 16_381, 4 * 16_381)));

    let mut calls = 0;
    let stopped = Cache::build(epoch, lines(epoch.cache_bytes), &abort, &mut |_, _| {
        calls += 1;
        abort.store(calls == 2, Ordering::Relaxed);
    });
    assert_eq!((stopped.expect_err("stopped"), calls), (BuildError::Aborted { what: "the cache", epoch }, 2));

    let cache = cache(tiny(0));
    let error = fill(&cache, 0, &mut lines(2048), best_path(), &AtomicBool::new(true), &mut |_, _| {});
    assert_eq!(error, Err(BuildError::Aborted { what: "the dataset", epoch: tiny(0) }));
}

#[test]
fn hostile_sizes_and_memories_are_refused() {
    let good = tiny(0);
    for (cache_bytes, dataset_bytes) in [
        (0, 32 * 1024),
        (1023, 32 * 1024),
        (1024, 0),
        (1024, 32 * 1024 - 64),
        (1 << 38, 32 * 1024),
        (1024, 1 << 38),
        (u64::MAX, u64::MAX),
        (u64::MAX - 63, u64::MAX - 127),
    ] {
        let epoch = Epoch { cache_bytes, dataset_bytes, ..good };
        let error = Cache::build(epoch, lines(1024), &GO, &mut |_, _| {}).expect_err("no such sizes");
        assert_eq!(error, BuildError::Sizes { epoch });
    }
    let error = Cache::build(good, lines(960), &GO, &mut |_, _| {}).expect_err("a line too few");
    assert_eq!(error, BuildError::Memory { what: "the cache", epoch: good, needed: 1024, given: 960 });
    // More memory than needed is what huge pages give.
    let roomy = Cache::build(good, lines(4096), &GO, &mut |_, _| {}).expect("a cache");
    assert_eq!(roomy.view().lines, cache(good).view().lines);

    let cache = cache(good);
    for (first, of) in [(512, 64), (0, 32 * 1024 + 64), (u64::MAX, 64), (u64::from(u32::MAX), 64)] {
        let error = fill(&cache, first, &mut lines(of), best_path(), &GO, &mut |_, _| {}).expect_err("past the end");
        let end = first.saturating_add(of / 64);
        assert_eq!(error, BuildError::Range { epoch: good, first, end, lines: 512 });
    }
    assert_eq!(fill(&cache, 512, &mut [], best_path(), &GO, &mut |_, _| {}), Ok(()));

    let built = dataset(&cache);
    let short = Dataset::new(&cache, &built[..511]).expect_err("a line too few");
    assert_eq!(short, BuildError::Memory { what: "the dataset", epoch: good, needed: 32_768, given: 32_704 });
    assert!(Dataset::new(&cache, &built[..]).is_ok());
    for line in [0, 8, 504, 511] {
        let mut wrong = built.clone();
        wrong[usize::try_from(line).expect("small")].0[15] ^= 1;
        assert_eq!(Dataset::new(&cache, wrong).expect_err("a wrong line"), BuildError::Line { epoch: good, line });
    }
}

#[test]
fn a_search_ends_where_it_should() {
    let light = Light::new(cache(tiny(0)));
    let header = [9; 32];
    let search = |nonces: Range<u64>| {
        let mut found = Vec::new();
        let tried = light.search(&header, nonces, &Target::MAX, &GO, &mut |nonce, _| found.push(nonce));
        (tried, found)
    };
    for length in 0..10 {
        assert_eq!(search(5..5 + length), (length, (5..5 + length).collect()));
    }
    let last = u64::MAX - 3..u64::MAX;
    assert_eq!(search(last.clone()), (3, last.collect()));
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake must not run away")]
    for nothing in [7..7, 9..3, u64::MAX..0] {
        assert_eq!(search(nothing), (0, vec![]));
    }
    let abort = AtomicBool::new(true);
    assert_eq!(light.search(&header, 0..u64::MAX, &Target::MAX, &abort, &mut |_, _| panic!("aborted before")), 0);
    abort.store(false, Ordering::Relaxed);
    let tried =
        light.search(&header, 0..u64::MAX, &Target::MAX, &abort, &mut |nonce, _| abort.store(nonce > 9, Ordering::Relaxed));
    assert!((11..30).contains(&tried), "{tried}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn light_and_full_agree_at_every_path_and_number_of_lanes(
        header: [u8; 32], nonces in proptest::collection::vec(any::<u64>(), 1..40), epoch in 0u64..4,
    ) {
        let cache = cache(tiny(epoch));
        let full = Dataset::new(&cache, dataset(&cache)).expect("a dataset");
        let attempts: Vec<Attempt> = nonces.iter().map(|nonce| Attempt { header, nonce: *nonce }).collect();
        let reference = Light::at(cache.clone(), Path::Portable);
        let want: Vec<(usize, Proof)> = attempts.iter().map(|a| reference.hash(a)).enumerate().collect();
        for path in PATHS {
            let (light, full) = (Light::at(cache.clone(), path), Full::at(full.clone(), path));
            let (mut by_light, mut by_full) = (Vec::new(), Vec::new());
            light.hash_all(&attempts, &mut |at, proof| by_light.push((at, proof)));
            full.hash_all(&attempts, &mut |at, proof| by_full.push((at, proof)));
            prop_assert_eq!(&by_light, &want);
            prop_assert_eq!(&by_full, &want);
            prop_assert_eq!(full.hash(&attempts[0]), want[0].1);
        }
    }

    #[test]
    fn no_claim_panics(header: [u8; 32], nonce: u64, mix: [u8; 32], target: [u8; 32]) {
        let light = Light::new(cache(tiny(0)));
        let claim = Claim { attempt: Attempt { header, nonce }, mix };
        prop_assert!(light.verify(&claim, &Target::from_be_bytes(target)).is_err());
    }
}
