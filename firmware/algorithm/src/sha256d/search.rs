//! Trying many nonces of one header, or single ones.
//!
//! A search works in stretches: a kernel goes through one and reports the nonces whose top word could meet the target; those are
//! hashed again in full and compared, so a hit is never a kernel's word alone. Not here: which nonces are whose, and threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Hash, Header, Target};

use super::word::{INITIAL, Stretch, Template, words};
use super::{compress, double, portable, single};
use crate::Path;

/// Nonces between two looks at the abort flag: 0.3 to 0.7 milliseconds by a path with special
/// instructions, seven by `portable`.
const STRETCH: u64 = 1 << 14;

/// One past the last nonce.
const NONCES: u64 = 1 << 32;

/// The state after a header's first 64 bytes: what all its nonces share.
#[derive(Clone, Copy, Debug)]
pub struct Midstate {
    state: [u32; 8],
    path: Path,
}

impl Midstate {
    /// Hashes the first 64 bytes by the usually fastest path.
    #[must_use]
    pub fn new(head: &[u8; 64]) -> Midstate {
        Midstate::by(head, Path::best())
    }

    /// Hashes the first 64 bytes of a header by `path`.
    ///
    /// # Panics
    /// Where this CPU lacks the path: [`Path::require`] tells before.
    #[must_use]
    pub fn of(header: &Header, path: Path) -> Midstate {
        let mut head = [0; 64];
        head.copy_from_slice(&header.to_bytes()[..64]);
        Midstate::by(&head, path)
    }

    fn by(head: &[u8; 64], path: Path) -> Midstate {
        assert!(path.is_available(), "this CPU lacks the hashing path {path}");
        let path = single(path);
        Midstate { state: compress(path, &INITIAL, &words(head)), path }
    }

    /// The hash of the header whose last 16 bytes are `tail`: end of the merkle root, time, bits, nonce.
    #[inline]
    #[must_use]
    pub fn hash(&self, tail: [u8; 16]) -> Hash {
        let digest = double(self.path, &self.state, &words(&tail));
        let mut bytes = [0; 32];
        for (place, word) in bytes.chunks_exact_mut(4).zip(digest) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Hash(bytes)
    }
}

/// A header made ready for trying its nonces. Cheap to copy: threads each take one and a part of the nonces.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    header: Header,
    template: Template,
    path: Path,
}

impl Search {
    /// Makes `header` ready; its own nonce does not matter.
    ///
    /// # Panics
    /// Where this CPU lacks the path: [`Path::require`] tells before.
    #[must_use]
    pub fn new(header: &Header, path: Path) -> Search {
        let [w0, w1, w2, _] = words(&header.to_bytes()[64..]);
        let template = Template::new(Midstate::of(header, path).state, [w0, w1, w2]);
        Search { header: *header, template, path }
    }

    /// The path that does the work.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// Tries every nonce of the range in order and calls `found` once with each that meets the target. Returns how many were
    /// tried: all of them, or fewer once `abort` is set, which is looked at every 2^14. Nonces end at 2^32: a range past that is
    /// cut there, and what was cut is not counted.
    pub fn search(&self, nonces: Range<u64>, target: &Target, abort: &AtomicBool, found: &mut dyn FnMut(u32, Hash)) -> u64 {
        let [a, b, c, d, ..] = target.to_be_bytes();
        let top = u32::from_be_bytes([a, b, c, d]);
        let end = nonces.end.min(NONCES);
        let mut at = nonces.start;
        while at < end && !abort.load(Ordering::Relaxed) {
            let count = STRETCH.min(end - at);
            // Both fit: `at` is below `end`, which is at most 2^32, and a stretch is shorter still.
            let stretch = Stretch { first: at as u32, count: count as u32, top };
            let mut survivor = |nonce| {
                if let Some(hash) = crate::verify(&Header { nonce, ..self.header }, target) {
                    found(nonce, hash);
                }
            };
            match self.path {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => super::avx512::scan(&self.template, stretch, &mut survivor),
                #[cfg(target_arch = "x86_64")]
                Path::ShaNi => super::sha_ni::scan(&self.template, stretch, &mut survivor),
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => super::avx2::scan(&self.template, stretch, &mut survivor),
                #[cfg(target_arch = "aarch64")]
                Path::Armv8 => super::armv8::scan(&self.template, stretch, &mut survivor),
                _ => portable::scan(&self.template, stretch, &mut survivor),
            }
            at += count;
        }
        at.saturating_sub(nonces.start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::genesis;
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn run(header: &Header, path: Path, nonces: Range<u64>, target: &Target) -> (u64, Vec<(u32, Hash)>) {
        let mut hits = Vec::new();
        let tried = Search::new(header, path).search(nonces, target, &AtomicBool::new(false), &mut |n, h| hits.push((n, h)));
        (tried, hits)
    }

    /// Every hit of the range by the `sha2` crate on the serialised bytes alone.
    fn expected(header: &Header, nonces: Range<u64>, target: &Target) -> Vec<(u32, Hash)> {
        let mut bytes = header.to_bytes();
        let hash = |nonce: u64| {
            bytes[76..].copy_from_slice(&(nonce as u32).to_le_bytes());
            (nonce as u32, Hash(Sha256::digest(Sha256::digest(bytes)).into()))
        };
        nonces.map(hash).filter(|(_, h)| target.is_met_by(h)).collect()
    }

    #[test]
    fn an_easy_target_is_met_exactly_where_it_should_be() {
        let header = genesis();
        let nonces = 0xffff_0000 - 1..0xffff_0000 + 20_000;
        for zero_bits in [0, 1, 8, 12] {
            let target = Target::from_zero_bits(zero_bits);
            let want = expected(&header, nonces.clone(), &target);
            assert!(!want.is_empty());
            for path in Path::available() {
                assert_eq!(run(&header, path, nonces.clone(), &target), (20_001, want.clone()), "{path}, {zero_bits} bits");
            }
        }
    }

    #[test]
    fn the_words_below_the_top_one_decide_too() {
        let header = genesis();
        for path in Path::available() {
            let (_, hits) = run(&header, path, 0..4096, &Target::from_zero_bits(8));
            let (nonce, hash) = *hits.last().expect("one in 256");
            let mut exact = hash.0;
            exact.reverse();
            let here = u64::from(nonce)..u64::from(nonce) + 1;
            assert_eq!(run(&header, path, here.clone(), &Target::from_be_bytes(exact)).1, [(nonce, hash)], "{path}: equal meets");
            let lower = exact.iter().rposition(|b| *b != 0).expect("not the zero hash");
            exact[lower] -= 1;
            assert_eq!(run(&header, path, here, &Target::from_be_bytes(exact)).1, [], "{path}: one above does not");
        }
    }

    #[test]
    fn a_range_ends_at_the_last_nonce() {
        let header = genesis();
        for path in Path::available() {
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
    fn abort_stops_within_one_stretch() {
        for path in Path::available() {
            let search = Search::new(&genesis(), path);
            let abort = AtomicBool::new(true);
            let none = search.search(0..NONCES, &Target::MAX, &abort, &mut |_, _| panic!("aborted before it began"));
            assert_eq!(none, 0);

            abort.store(false, Ordering::Relaxed);
            let mut last = 0;
            let tried = search.search(0..NONCES, &Target::from_zero_bits(8), &abort, &mut |nonce, _| {
                last = u64::from(nonce);
                abort.store(nonce > 20_000, Ordering::Relaxed);
            });
            assert_eq!(tried, 2 * STRETCH);
            assert!(last < tried);
        }
    }

    proptest! {
        #[test]
        fn every_path_hashes_any_header_as_sha2_does(
            low in any::<[u8; 32]>(), middle in any::<[u8; 32]>(), tail in any::<[u8; 16]>(),
        ) {
            let mut bytes = [0; 80];
            bytes[..32].copy_from_slice(&low);
            bytes[32..64].copy_from_slice(&middle);
            bytes[64..].copy_from_slice(&tail);
            let want = Hash(Sha256::digest(Sha256::digest(bytes)).into());
            let header = Header::from_bytes(&bytes);
            for path in Path::available() {
                prop_assert_eq!(Midstate::of(&header, path).hash(tail), want);
                let own = u64::from(header.nonce)..u64::from(header.nonce) + 1;
                prop_assert_eq!(run(&header, path, own, &Target::MAX), (1, vec![(header.nonce, want)]));
            }
            let mut head = [0; 64];
            head.copy_from_slice(&bytes[..64]);
            prop_assert_eq!(Midstate::new(&head).hash(tail), want);
        }

        #[test]
        fn every_path_finds_the_same_nonces(
            low in any::<[u8; 32]>(), root in any::<[u8; 32]>(), time in any::<u32>(),
            first in prop_oneof![0..NONCES, NONCES - 300..NONCES], count in 0u64..200, target in any::<[u8; 32]>(),
        ) {
            let (previous, merkle_root) = (Hash(low), Hash(root));
            let header = Header { version: 0x2000_0000, previous, merkle_root, time, bits: 0x207f_ffff, nonce: 0 };
            let target = Target::from_be_bytes(target);
            let nonces = first..(first + count).min(NONCES);
            let want = expected(&header, nonces.clone(), &target);
            for path in Path::available() {
                prop_assert_eq!(run(&header, path, nonces.clone(), &target), (nonces.end - nonces.start, want.clone()));
            }
        }
    }
}
