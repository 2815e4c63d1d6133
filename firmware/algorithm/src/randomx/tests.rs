//! RandomX against the vectors of the library's own tests, on every way that is available.
//!
//! A test makes few caches: each takes half a second and 256 MiB. Nothing here fills a whole dataset, which takes minutes and
//! 2 GiB; the example `randomx_rates` does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use model::{Hash, Target};

use super::dataset::fill;
use super::known::{BLOB, BLOB_HASH, KEY, TEXT, TEXT_HASH, bytes, check};
use super::*;

/// By the key "test key 000".
const HASHES: [(&[u8], [u8; 32]); 3] = [
    (b"This is a test", bytes("639183aae1bf4c9a35884cb46b09cad9175f04efd7684e7262a0ac1c2f0b4e3f")),
    (b"Lorem ipsum dolor sit amet", bytes("300a0adb47603dedb42228ccb2b211104f4da45af709cd7547cd049e9489c969")),
    (TEXT, bytes("c36d4ed4191e617309867ed66a443be4075014e2b061bcdaf9ce7b721d2b77a8")),
];
/// Words of the cache of "test key 000".
const WORDS: [(usize, u64); 3] =
    [(0, 0x191e_0e1d_23c0_2186), (1_568_413, 0xf1b6_2fe6_210b_f8b1), (33_554_431, 0x1f47_f056_d05c_d99b)];
/// First words of items of its dataset.
const ITEMS: [(u64, u64); 4] = [
    (0, 0x6805_88a8_5ae2_22db),
    (10_000_000, 0x7943_a1f6_186f_fb72),
    (20_000_000, 0x9035_244d_7180_95e1),
    (30_000_000, 0x145a_5091_f785_3099),
];
/// A key and a blob that once broke a compiler (the library's test f).
const EDGE_KEY: [u8; 31] = bytes("7797373ea4633194640bf8d8c3b66724d6aa7bd2dc20e009df2f8f1710abe8");
const EDGE: [u8; 76] = bytes(
    "1010e1eaf8cf067b37b5f0ee031ab23ed1755e090a3af4415830145853e2be3e1f6821fed84dae58d00e00da5214d6c1f2d0622e0abd51f9373d04e0\
     b0f8e6d6514d90689721c4aac5a9bb0d",
);
const EDGE_HASH: [u8; 32] = bytes("78af2a1864c42abce36d2e8983e13df99b2af0ce1362999af09fab004d4435a8");

const FIRST_KEY: &[u8] = b"test key 000";

fn available() -> impl Iterator<Item = Way> {
    Way::ALL.into_iter().filter(|way| way.is_available())
}

/// Small pages: huge ones that somebody set aside are not for tests.
fn light(key: &[u8], way: Way) -> Vm {
    let cache = Cache::build(key, way, Pages::Transparent).expect("256 MiB");
    Vm::light(&cache, Pages::Small).expect("2 MiB")
}

fn run(vm: &mut Vm, blob: &Blob, nonces: std::ops::Range<u64>, target: &Target) -> (u64, Vec<(u32, Hash)>) {
    let mut hits = Vec::new();
    let tried = vm.search(blob, nonces, target, &AtomicBool::new(false), &mut |nonce, hash| hits.push((nonce, hash)));
    (tried, hits)
}

#[test]
fn every_available_way_passes_its_self_test_and_the_others_are_refused() {
    for way in Way::ALL {
        let want = way.require().map(drop).map_err(|e| SelfTestError::Build(e.into()));
        assert_eq!(self_test(way), want);
    }
}

#[test]
fn a_machine_by_another_key_fails_the_self_test() {
    let mut vm = light(FIRST_KEY, Way::best());
    assert_eq!(check(&mut vm), Err(SelfTestError::WrongHash(Way::best())));
}

#[test]
fn every_way_computes_the_published_cache_items_and_hashes() {
    for way in available() {
        let cache = Cache::build(FIRST_KEY, way, Pages::Small).expect("256 MiB");
        assert_eq!((cache.pages(), cache.way()), (Pages::Small, way));
        for (index, word) in WORDS {
            assert_eq!(cache.memory().word(index), word, "{way}: word {index}");
        }
        let mut vm = Vm::light(&cache, Pages::Small).expect("2 MiB");
        assert_eq!((vm.mode(), vm.pages(), vm.way()), (Mode::Light, Pages::Small, way));
        for (input, hash) in HASHES {
            assert_eq!(vm.hash(input), Hash(hash), "{way}");
        }
        assert_eq!(light(&EDGE_KEY, way).hash(&EDGE), Hash(EDGE_HASH), "{way}");
    }
}

#[test]
fn items_of_the_dataset_are_the_published_ones_by_every_way() {
    let mut filled: Vec<Vec<[u8; 64]>> = Vec::new();
    for way in [Way::best(), Way::Interpreter] {
        let cache = Cache::build(FIRST_KEY, way, Pages::Transparent).expect("256 MiB");
        // Only what is filled takes memory.
        let mut blank = Blank::new(&cache, Pages::Small).expect("2 GiB of addresses");
        assert_eq!(blank.item(0), None);
        for (item, word) in ITEMS {
            fill(blank.part(item..item + 1), &AtomicBool::new(false), &mut |_, _| {}).expect("nobody aborts");
            let got = blank.item(item).expect("filled");
            assert_eq!(got[..8], word.to_le_bytes(), "{way}: item {item}");
        }
        let last = DATASET_BYTES / ITEM_BYTES - 1;
        fill(blank.part(last..u64::MAX), &AtomicBool::new(false), &mut |_, _| {}).expect("nobody aborts");
        assert_eq!((blank.item(last + 1), blank.item(u64::MAX)), (None, None));
        let items = [0, 1, 77, 10_000_000, 20_000_001, last - 1, last];
        filled.push(items.into_iter().map(|item| blank.item(item).expect("filled")).collect());
        assert!(matches!(blank.finish(), Err(BuildError::Unfilled { item: 2048 })));
    }
    assert_eq!(filled[0], filled[1]);
}

#[test]
fn parts_cover_the_dataset_once_and_an_abort_keeps_what_was_filled() {
    let items = DATASET_BYTES / ITEM_BYTES;
    assert_eq!(library::item_count(), items);
    let cache = Cache::build(FIRST_KEY, Way::best(), Pages::Transparent).expect("256 MiB");
    let mut blank = Blank::new(&cache, Pages::Small).expect("2 GiB of addresses");
    for count in [0, 1, 2, 3, 7, 64] {
        let parts: Vec<_> = blank.parts(count).map(|part| part.items()).collect();
        assert_eq!(parts.len(), count.max(1));
        assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, items));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
        let sizes = parts.iter().map(|part| part.end - part.start);
        assert!(sizes.clone().all(|size| size <= items.div_ceil(count.max(1) as u64) + 2048), "{parts:?}");
    }

    // Two threads, each until the third stretch of its part.
    let progress: Vec<(u64, u64)> = thread::scope(|scope| {
        let threads: Vec<_> = blank.parts(2).map(|part| scope.spawn(|| until_third(part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(progress, [(3 * 2048, 8320 * 2048), (3 * 2048, items - 8320 * 2048)]);
    let second = 8320 * 2048;
    assert_eq!(blank.item(0).map(|item| item[..8].to_vec()), Some(ITEMS[0].1.to_le_bytes().to_vec()));
    for (item, filled) in [(3 * 2048 - 1, true), (3 * 2048, false), (second, true), (second + 3 * 2048, false)] {
        assert_eq!(blank.item(item).is_some(), filled, "{item}");
    }
    // What was filled is passed over, and the rest is not.
    let mut told = Vec::new();
    fill(blank.part(0..5 * 2048), &AtomicBool::new(false), &mut |done, all| told.push((done, all))).expect("nobody aborts");
    assert_eq!(told, (1..=5).map(|stretch| (stretch * 2048, 5 * 2048)).collect::<Vec<_>>());
    assert!(blank.item(5 * 2048 - 1).is_some());
}

fn until_third(part: Part<'_>) -> (u64, u64) {
    let (abort, mut last) = (AtomicBool::new(false), (0, 0));
    let mut calls = 0;
    let result = fill(part, &abort, &mut |done, all| {
        calls += 1;
        last = (done, all);
        abort.store(calls == 3, Ordering::Relaxed);
    });
    assert_eq!(result, Err(BuildError::Aborted));
    last
}

#[test]
fn a_search_finds_what_verify_accepts_and_nothing_else() {
    let blob = Blob::new(&BLOB).expect("a blob");
    let target = Target::from_zero_bits(2);
    let mut vm = light(KEY, Way::best());
    let (tried, all) = run(&mut vm, &blob, 0..12, &Target::MAX);
    assert_eq!((tried, all.len(), all[0]), (12, 12, (0, Hash(BLOB_HASH))));

    // The nonce that the blob has does not matter.
    let (tried, hits) = run(&mut vm, &blob.with_nonce(99), 0..12, &target);
    let want: Vec<_> = all.iter().copied().filter(|(_, hash)| target.is_met_by(hash)).collect();
    assert!(!want.is_empty() && want.len() < all.len(), "a target that says something: {}", want.len());
    assert_eq!((tried, &hits), (12, &want));
    for (at, (nonce, hash)) in (0u32..).zip(&all) {
        assert_eq!(at, *nonce);
        assert_eq!(vm.verify(&blob, *nonce, hash, &Target::MAX), Ok(*hash));
        let verdict = vm.verify(&blob, *nonce, hash, &target);
        let refusal = Refusal::AboveTarget { hash: *hash, target };
        assert_eq!(verdict, if hits.contains(&(*nonce, *hash)) { Ok(*hash) } else { Err(refusal) });
    }

    let claimed = Hash([0; 32]);
    let wrong = vm.verify(&blob, 0, &claimed, &target).expect_err("nobody has found that");
    assert_eq!(wrong, Refusal::Hash { hash: Hash(BLOB_HASH), claimed });
    assert!(wrong.to_string().contains("not 0000"), "{wrong}");

    let mut interpreter = light(KEY, Way::Interpreter);
    assert_eq!(run(&mut interpreter, &blob, 1..4, &Target::MAX), (3, all[1..4].to_vec()));
    assert!(interpreter.agrees(&mut vm, TEXT));
    assert!(!interpreter.agrees(&mut light(FIRST_KEY, Way::best()), TEXT));
}

#[test]
fn a_range_ends_at_the_last_nonce_and_an_abort_after_one_hash() {
    let blob = Blob::new(&BLOB).expect("a blob");
    let mut vm = light(KEY, Way::best());
    let (tried, hits) = run(&mut vm, &blob, (1 << 32) - 2..u64::MAX, &Target::MAX);
    assert_eq!(tried, 2);
    assert_eq!(hits.iter().map(|(nonce, _)| *nonce).collect::<Vec<_>>(), [u32::MAX - 1, u32::MAX]);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake must not run away")]
    for nothing in [7..7, 9..3, 1 << 32..(1 << 32) + 9, u64::MAX..u64::MAX] {
        assert_eq!(run(&mut vm, &blob, nothing, &Target::MAX), (0, vec![]));
    }

    let abort = AtomicBool::new(true);
    let none = vm.search(&blob, 0..1 << 32, &Target::MAX, &abort, &mut |_, _| panic!("aborted before it began"));
    assert_eq!(none, 0);
    abort.store(false, Ordering::Relaxed);
    let one = vm.search(&blob, 0..1 << 32, &Target::MAX, &abort, &mut |_, _| abort.store(true, Ordering::Relaxed));
    assert_eq!(one, 1);
    assert_eq!(vm.hash(BLOB.as_slice()), Hash(BLOB_HASH), "what was begun and dropped leaves nothing behind");
}

#[test]
fn floats_round_after_a_search_as_before() {
    // A third, and the smallest float, which RandomX's own mode flushes to zero.
    let figures = || [1.0f64, f64::from_bits(1)].map(|x| (std::hint::black_box(x) / std::hint::black_box(3.0)).to_bits());
    let subnormal = || (std::hint::black_box(f64::MIN_POSITIVE) / std::hint::black_box(4.0)).to_bits();
    let before = (figures(), subnormal());
    assert_ne!(before.1, 0);
    let (mut vm, blob) = (light(KEY, Way::best()), Blob::new(&BLOB).expect("a blob"));
    let within = |_: u32, _: Hash| assert_eq!((figures(), subnormal()), before);
    for nonce in 0..4 {
        vm.search(&blob, nonce..nonce + 3, &Target::MAX, &AtomicBool::new(false), &mut { within });
        assert_eq!((figures(), subnormal()), before);
    }
}

#[test]
fn machines_hash_in_threads_by_one_cache() {
    let cache = Cache::build(KEY, Way::best(), Pages::Transparent).expect("256 MiB");
    let hashes: Vec<Hash> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let mut vm = Vm::light(&cache, Pages::Huge).expect("2 MiB");
                scope.spawn(move || vm.hash(TEXT))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(hashes, [Hash(TEXT_HASH); 3]);
    // A machine keeps its cache.
    let mut vm = Vm::light(&cache, Pages::Small).expect("2 MiB");
    assert_eq!(cache.place().len() as u64, CACHE_BYTES);
    drop(cache);
    assert_eq!(vm.hash(TEXT), Hash(TEXT_HASH));
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for length in [0, 61, 4096] {
        let error = Cache::build(&vec![0; length], Way::best(), Pages::Small).expect_err("a wrong length");
        assert_eq!(error, BuildError::Key { length });
        assert!(error.to_string().contains("not 1 to 60"), "{error}");
    }
}
