//! Scrypt against the vectors of RFC 7914, Litecoin's blocks, and the `scrypt` crate on arbitrary headers.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Hash, Header, Target};
use proptest::prelude::*;

use super::known::blocks;
use super::*;
use crate::PathError;

const NONCES: u64 = 1 << 32;

fn available() -> impl Iterator<Item = Path> {
    PATHS.into_iter().filter(|path| path.is_available())
}

fn memory(path: Path) -> Vec<Line> {
    vec![Line([0x5a5a_5a5a; 16]); lanes(path) * LINES]
}

fn run(header: &Header, path: Path, nonces: Range<u64>, target: &Target) -> (u64, Vec<(u32, Hash)>) {
    let mut hits = Vec::new();
    let search = Search::new(header, path).expect("an available path");
    let tried =
        search.search(nonces, target, &AtomicBool::new(false), &mut memory(path), &mut |nonce, hash| hits.push((nonce, hash)));
    (tried, hits)
}

/// By the `scrypt` crate on the serialised bytes alone.
fn by_crate(header: &Header) -> Hash {
    let bytes = header.to_bytes();
    let mut hash = [0; 32];
    let parameters = scrypt::Params::new(10, 1, 1).expect("scrypt's own limits");
    scrypt::scrypt(&bytes, &bytes, &parameters, &mut hash).expect("32 bytes");
    Hash(hash)
}

#[test]
fn every_available_path_passes_its_self_test_and_the_others_are_refused() {
    for path in Path::ALL {
        let result = self_test(path, &mut memory(path));
        if !PATHS.contains(&path) {
            assert_eq!(result, Err(PathError::Absent(path, "scrypt").into()));
        } else if path.is_available() {
            assert_eq!(result, Ok(()));
        } else {
            assert_eq!(result, Err(PathError::Unavailable(path).into()));
        }
    }
}

#[test]
fn litecoins_blocks_are_proof_for_their_own_targets_and_no_harder_ones() {
    let mut memory = memory(Path::Portable);
    for (header, hash) in blocks() {
        let target = Target::from_compact(header.bits).expect("a real block's target");
        let found = verify(&header, &target, &mut memory).expect("a real block");
        assert_eq!((found.to_explorer_hex().as_str(), found), (hash, by_crate(&header)));
        assert_eq!(verify(&header, &Target::from_zero_bits(48), &mut memory), None);
        assert_eq!(verify(&Header { nonce: header.nonce ^ 1, ..header }, &target, &mut memory), None);
    }
}

#[test]
fn a_range_ends_at_the_last_nonce() {
    let (header, _) = blocks().next().expect("a block");
    for path in available() {
        let (tried, hits) = run(&header, path, NONCES - 5..u64::MAX, &Target::MAX);
        assert_eq!(tried, 5);
        assert_eq!(hits.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (u32::MAX - 4..=u32::MAX).collect::<Vec<_>>());
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake must not run away")]
        for nothing in [7..7, 9..3, NONCES..NONCES + 9, u64::MAX..u64::MAX] {
            assert_eq!(run(&header, path, nothing, &Target::MAX), (0, vec![]));
        }
    }
}

#[test]
fn abort_stops_after_one_batch() {
    let (header, _) = blocks().next().expect("a block");
    for path in available() {
        let search = Search::new(&header, path).expect("an available path");
        let (abort, mut memory) = (AtomicBool::new(true), memory(path));
        let none = search.search(0..NONCES, &Target::MAX, &abort, &mut memory, &mut |_, _| panic!("aborted before it began"));
        assert_eq!(none, 0);
        abort.store(false, Ordering::Relaxed);
        let tried = search.search(0..NONCES, &Target::MAX, &abort, &mut memory, &mut |_, _| abort.store(true, Ordering::Relaxed));
        assert_eq!(tried, lanes(path) as u64);
    }
}

#[test]
#[should_panic(expected = "a search works in")]
fn too_little_memory_is_noticed() {
    let (header, _) = blocks().next().expect("a block");
    let search = Search::new(&header, Path::Portable).expect("runs everywhere");
    let mut short = vec![Line::ZERO; search.lines() - 1];
    search.search(0..1, &Target::MAX, &AtomicBool::new(false), &mut short, &mut |_, _| {});
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every lane and every tail: each nonce of the range is a hit, with the hash that the crate makes.
    #[test]
    fn every_path_hashes_any_header_as_the_crate_does(
        low in any::<[u8; 32]>(), root in any::<[u8; 32]>(), version in any::<u32>(), time in any::<u32>(), bits in any::<u32>(),
        first in prop_oneof![0..NONCES, NONCES - 40..NONCES], count in 0u64..36,
    ) {
        let header = Header { version, previous: Hash(low), merkle_root: Hash(root), time, bits, nonce: 0 };
        let nonces = first..(first + count).min(NONCES);
        let want: Vec<(u32, Hash)> =
            nonces.clone().map(|n| n as u32).map(|nonce| (nonce, by_crate(&Header { nonce, ..header }))).collect();
        for path in available() {
            prop_assert_eq!(run(&header, path, nonces.clone(), &Target::MAX), (nonces.end - nonces.start, want.clone()));
        }
        if let Some((nonce, hash)) = want.last() {
            prop_assert_eq!(super::hash(&Header { nonce: *nonce, ..header }, &mut memory(Path::Portable)), *hash);
        }
    }

    #[test]
    fn every_path_finds_the_same_nonces(root in any::<[u8; 32]>(), first in 0..NONCES - 64, target in any::<[u8; 32]>()) {
        let (previous, merkle_root) = (Hash([9; 32]), Hash(root));
        let header = Header { version: 2, previous, merkle_root, time: 7, bits: 0x1e0f_fff0, nonce: 0 };
        let target = Target::from_be_bytes(target);
        let want = run(&header, Path::Portable, first..first + 40, &target);
        for path in available() {
            prop_assert_eq!(&run(&header, path, first..first + 40, &target), &want);
        }
    }
}
