//! `KawPow` against published vectors on real epochs, and against itself on small ones.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::ethash::{Epoch, Rules, fill};

static GO: AtomicBool = AtomicBool::new(false);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(hex: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..][..2], 16).expect("hex"))
}

fn lines(of: u64) -> Vec<Line> {
    vec![Line::default(); usize::try_from(of / Line::BYTES).expect("it fits")]
}

fn cache(epoch: Epoch) -> Cache<Vec<Line>> {
    Cache::build(epoch, lines(epoch.cache_bytes), &GO, &mut |_, _| {}).expect("a cache")
}

fn dataset(cache: &Cache<Vec<Line>>) -> Dataset<Vec<Line>> {
    let mut dataset = lines(cache.epoch().dataset_bytes);
    fill(cache, 0, &mut dataset, best_path(), &GO, &mut |_, _| {}).expect("a dataset");
    Dataset::new(cache, dataset).expect("wholly built")
}

/// Small, and with an odd number of Ethash's pages, of which the last one is no page of `KawPow`'s.
fn tiny(number: u64) -> Epoch {
    let epoch = Rules::KAWPOW.epoch_at(number * 7_500).expect("an epoch");
    Epoch { cache_bytes: 61 * 64, dataset_bytes: 255 * 128, ..epoch }
}

/// Height, header, nonce, mix and digest of Ravencoin's `progpow_test_vectors.hpp`.
const HASHES: [(u64, &str, u64, &str, &str); 13] = [
    (
        0,
        "0000000000000000000000000000000000000000000000000000000000000000",
        0,
        "6e97b47b134fda0c7888802988e1a373affeb28bcd813b6e9a0fc669c935d03a",
        "e601a7257a70dc48fccc97a7330d704d776047623b92883d77111fb36870f3d1",
    ),
    (
        49,
        "63155f732f2bf556967f906155b510c917e48e99685ead76ea83f4eca03ab12b",
        0x0000_0000_0707_3c07,
        "d36f7e815ee09e74eceb9c96993a3d681edf2bf0921fc7bb710364042db99777",
        "e7ced124598fd2500a55ad9f9f48e3569327fe50493c77a4ac9799b96efb9463",
    ),
    (
        50,
        "9e7248f20914913a73d80a70174c331b1d34f260535ac3631d770e656b5dd922",
        0x0000_0000_076e_482e,
        "d6dc634ae837e2785b347648ea515e25e5d8821ae0b95e1c2a9c2d497e0dcfbd",
        "ab0ad7ef8d8ee317dd12d10310aceed7321d34fb263791c2de5776a6658d177e",
    ),
    (
        99,
        "de37e1824c86d35d154cf65a88de6d9286aec4f7f10c3fc9f0fa1bcc2687188d",
        0x0000_0000_3917_afab,
        "fa706860e5e0e830d5d1d7157e5bea7f5f8a350c7c8612ac1d1fcf2974d64244",
        "aa85340690f2e907054324a5021937910e15edfd1ef1577231843e7d32ec3a61",
    ),
    (
        29_950,
        "ac7b55e801511b77e11d52e9599206101550144525b5679f2dab19386f23dcce",
        0x005d_409d_bc23_a62a,
        "5359807b77a74878269c3a3044df8618a576ce8dc52e1c48d927d4a60e7c6b79",
        "022019e5408683f7f8326b4e46b42864a3a069f17b6151e434fcaedecaadd918",
    ),
    (
        29_999,
        "e43d7e0bdc8a4a3f6e291a5ed790b9fa1a0948a2b9e33c844888690847de19f5",
        0x005d_b5fa_4c2a_3d03,
        "d15de3f9bfedd9b6d0f498273eb3b437115bdc8326c96c6457ac06deb5c9f389",
        "4e93630b81198752f876b24380999189b7b9366c08222ac05e4237b87114f305",
    ),
    (
        30_000,
        "d34519f72c97cae8892c277776259db3320820cb5279a299d0ef1e155e5c6454",
        0x005d_b860_7994_ff30,
        "de0348b69bf91dfe2c3d3dba6f0132e9048a5284e57b8d9d20adc5f3dc0d3236",
        "c7953d848cda6e304f77b4c6d735645c8e8508a5e74c9e9814ef37b19087cd6c",
    ),
    (
        30_049,
        "8b6ce5da0b06d18db7bd8492d9e5717f8b53e7e098d9fef7886d58a6e913ef64",
        0x005e_2e21_5a8c_a2e7,
        "975c6a9decc89cba7ace69338d4de8510d9619aef42b1d35d0bef7e0ce0614a9",
        "c262d8055e288d04b951a844bfca8ba529f5b4d652b408e3942727d7dd90957a",
    ),
    (
        30_050,
        "c2c46173481b9ced61123d2e293b42ede5a1b323210eb2a684df0874ffe09047",
        0x005e_3089_9481_055e,
        "362f2fabdb9699d3634b6499703f939f378ee4eac803396c2b0ed0fe1d154972",
        "4cd7e6e79e0b63d42b2b06716a919ccc7834077ec727a9ea94edcdaff2fefab8",
    ),
    (
        30_099,
        "ea42197eb2ba79c63cb5e655b8b1f612c5f08aae1a49ff236795a3516d87bc71",
        0x005e_a6ae_f136_f88b,
        "b1196457261bd05ccb387a8ff3fd02687bf496bd7943d89419465289669e27aa",
        "39d1ebfa783b61a6fa8e9747d0f9f134efae5cfba284a2c80e8deabae6b98676",
    ),
    (
        59_950,
        "49e15ba4bf501ce8fe8876101c808e24c69a859be15de554bf85dbc095491bd6",
        0x02eb_e050_3bd7_b1da,
        "df3dbb1669fd35dbb0ae96bbea2d498f0c6992cbddd092aeace42dd933505f95",
        "b8984cf4021c4433f753654848d721f33a0792b4417241f0cf7c7c2db011a54a",
    ),
    (
        59_999,
        "f5c50ba5c0d6210ddb16250ec3efda178de857b2b1703d8d5403bd0f848e19cf",
        0x02ed_b627_5bd2_21e3,
        "5017df70e97ca35638cf439cdbe54f30383d335e18eb4a74d6e166736f1038fa",
        "4cf1fa62f25b577ac822a6a28d55f8b7e3ae7fe983abd868ae00927e68c41016",
    ),
    (
        170_915,
        "5b3e8dfa1aafd3924a51f33e2d672d8dae32fa528d8b1d378d6e4db0ec5d665d",
        0x0000_0000_4497_5727,
        "efb29147484c434f1cc59629da90fd0343e3b047407ecd36e9ad973bd51bbac5",
        "e7e6bb3b2f9acd3864bc86f72f87237eaf475633ef650c726ac80eb0adf116b6",
    ),
];

#[test]
fn blocks_hash_as_published() {
    let mut light: Option<Light<Vec<Line>>> = None;
    for (height, header, nonce, mix, digest) in HASHES {
        let epoch = Rules::KAWPOW.epoch_at(height).expect("an epoch");
        let light = match light.take().filter(|light| *light.cache().epoch() == epoch) {
            Some(same) => light.insert(same),
            None => light.insert(Light::new(cache(epoch)).expect("large enough")),
        };
        let (program, attempt) = (Program::at(height), Attempt { header: bytes(header), nonce });
        let proof = light.hash(&program, &attempt);
        assert_eq!((hex(&proof.mix), hex(&proof.digest)), (mix.to_owned(), digest.to_owned()), "block {height}");
        let claim = Claim { attempt, mix: proof.mix };
        assert_eq!(light.verify(&program, &claim, &Target::from_be_bytes(proof.digest)), Ok(proof.digest));
        // Half a second's work for nothing: the period is part of the proof.
        let other = Program::at(height + 3);
        let refused = light.verify(&other, &claim, &Target::from_be_bytes(proof.digest));
        assert!(matches!(refused, Err(Refusal::Mix { claimed, .. }) if claimed == proof.mix));
    }
}

#[test]
fn a_test_epoch_is_mined() {
    let epoch = Rules::KAWPOW.with_test_sizes().epoch_at(170_915).expect("an epoch");
    let cache = cache(epoch);
    let full = Full::new(dataset(&cache)).expect("large enough");
    let light = Light::new(cache).expect("large enough");
    let (program, header, target) = (Program::at(170_915), [7; 32], Target::from_zero_bits(6));
    let (mut found, mut again) = (Vec::new(), Vec::new());
    assert_eq!(full.search(&program, &header, 0..1000, &target, &GO, &mut |nonce, proof| found.push((nonce, proof))), 1000);
    assert!(found.len() > 2, "one in 64");
    light.search(&program, &header, 0..100, &target, &GO, &mut |nonce, proof| again.push((nonce, proof)));
    assert_eq!(again, found.iter().copied().filter(|(nonce, _)| *nonce < 100).collect::<Vec<_>>());
    for (nonce, proof) in found {
        let claim = Claim { attempt: Attempt { header, nonce }, mix: proof.mix };
        assert_eq!(light.verify(&program, &claim, &target), Ok(proof.digest));
        assert_eq!(full.verify(&program, &claim, &target), Ok(proof.digest));
    }
}

#[test]
fn every_changed_byte_of_a_claim_is_refused() {
    let light = Light::new(cache(tiny(0))).expect("large enough");
    let (program, header, target) = (Program::at(0), [3; 32], Target::from_zero_bits(4));
    let mut first = None;
    light.search(&program, &header, 0..400, &target, &GO, &mut |nonce, proof| first = first.or(Some((nonce, proof))));
    let (nonce, proof) = first.expect("one in sixteen");
    let attempt = Attempt { header, nonce };
    let claim = Claim { attempt, mix: proof.mix };
    assert_eq!(light.verify(&program, &claim, &target), Ok(proof.digest));
    let mut changed = Vec::new();
    for i in 0..32 {
        let flipped = |bytes: &[u8; 32]| std::array::from_fn(|j| bytes[j] ^ u8::from(i == j) << (i % 8));
        changed.push(Claim { mix: flipped(&claim.mix), ..claim });
        changed.push(Claim { attempt: Attempt { header: flipped(&header), nonce }, ..claim });
    }
    changed.extend((0..64).map(|bit| Claim { attempt: Attempt { header, nonce: nonce ^ 1 << bit }, ..claim }));
    let mut by_target = 0;
    for wrong in changed {
        match light.verify(&program, &wrong, &target) {
            Err(Refusal::AboveTarget { digest: above, .. }) => {
                assert_eq!(above, digest(&wrong));
                by_target += 1;
            }
            Err(Refusal::Mix { mix, claimed }) => assert_ne!(mix, claimed),
            Ok(_) => panic!("accepted {wrong:?}"),
        }
        assert!(matches!(light.verify(&program, &wrong, &Target::MAX), Err(Refusal::Mix { .. })));
    }
    assert!(by_target > 60, "fifteen in sixteen are refused without work");
}

#[test]
fn a_dataset_that_is_too_small_is_refused() {
    for (dataset_bytes, fits) in [(16_384 - 128, false), (16_384, true), (128, false)] {
        let cache = cache(Epoch { dataset_bytes, ..tiny(0) });
        let error = Err(SizeError::Dataset { bytes: dataset_bytes });
        let full = Full::new(dataset(&cache)).map(|_| ());
        let light = Light::new(cache).map(|_| ());
        assert_eq!((light, full), if fits { (Ok(()), Ok(())) } else { (error, error) });
    }
}

#[test]
fn an_aborted_search_stops() {
    let light = Light::new(cache(tiny(0))).expect("large enough");
    let abort = AtomicBool::new(false);
    let mut last = 0;
    let tried = light.search(&Program::at(0), &[1; 32], 5..u64::MAX, &Target::MAX, &abort, &mut |nonce, _| {
        last = nonce;
        abort.store(nonce >= 8, Ordering::Relaxed);
    });
    assert!(tried < 20 && last == 5 + tried - 1, "{tried} {last}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn light_and_full_agree_at_every_path_and_number_of_lanes(
        header: [u8; 32], nonces in proptest::collection::vec(any::<u64>(), 1..10), epoch in 0u64..4, height: u64,
    ) {
        let cache = cache(tiny(epoch));
        let full = dataset(&cache);
        let program = Program::at(height);
        let attempts: Vec<Attempt> = nonces.iter().map(|nonce| Attempt { header, nonce: *nonce }).collect();
        let reference = Light::at(cache.clone(), Path::Portable).expect("large enough");
        let want: Vec<(usize, Proof)> = attempts.iter().map(|a| reference.hash(&program, a)).enumerate().collect();
        for path in PATHS {
            let light = Light::at(cache.clone(), path).expect("large enough");
            let full = Full::at(full.clone(), path).expect("large enough");
            let (mut by_light, mut by_full) = (Vec::new(), Vec::new());
            light.hash_all(&program, &attempts, &mut |at, proof| by_light.push((at, proof)));
            full.hash_all(&program, &attempts, &mut |at, proof| by_full.push((at, proof)));
            prop_assert_eq!(&by_light, &want);
            prop_assert_eq!(&by_full, &want);
            prop_assert_eq!(full.hash(&program, &attempts[0]), want[0].1);
        }
        let claimed = |(attempt, (_, proof)): (&Attempt, &(usize, Proof))| Claim { attempt: *attempt, mix: proof.mix };
        let claims: Vec<_> = attempts.iter().zip(&want).map(claimed).collect();
        for (claim, (_, proof)) in claims.iter().zip(&want) {
            prop_assert_eq!(digest(claim), proof.digest);
        }
        let mut accepted = 0;
        let claims: Vec<_> = claims.into_iter().map(|claim| (claim, Target::MAX)).collect();
        reference.verify_all(&program, &claims, &mut |at, verdict| accepted += usize::from(verdict == Ok(want[at].1.digest)));
        prop_assert_eq!(accepted, claims.len());
    }
}
