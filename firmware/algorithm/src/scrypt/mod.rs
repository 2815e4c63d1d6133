//! Scrypt with N = 1024, r = 1, p = 1: Litecoin's proof of work, on the same header of 80 bytes as Bitcoin's.
//!
//! A hash fills 128 KiB with what comes of the header ([`key`]) and then reads them back in an order that only the data tells
//! (`romix`, RFC 7914 section 5). Its speed is a chain of dependent operations, so the kernels run many hashes side by side: a
//! file each, named after its instructions. The memory is the caller's, as [`Line`]s that may hold anything; nothing
//! allocates here. Not here: other values of N, r and p.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod key;
mod known;
mod portable;
mod search;
mod work;

use model::{Hash, Header, Target};

use crate::{Line, Path};
pub use known::{SelfTestError, self_test};
pub use search::Search;
pub use work::Scrypt;

/// The paths that scrypt has, in the order of their usual speed.
pub const PATHS: [Path; 3] = [Path::Avx512, Path::Avx2, Path::Portable];

/// Rows that a hash writes and reads back; the N of scrypt.
const ROWS: usize = 1024;
/// Lines of 64 bytes in a row; 2 r.
const ROW: usize = 2;
/// Lines of memory for one hash: 128 KiB, and two that nobody uses, so that hashes side by side, which fill their memories in
/// step, do not ask for the same places of the cache at once (6 % of the fastest path's speed).
pub const LINES: usize = ROWS * ROW + 2;

/// What one hash works in.
type Lane = [Line; LINES];
/// The 128 bytes that the mixing turns over, as little-endian words.
type Words = [u32; 32];

/// The header's hash.
///
/// # Panics
/// Where `memory` is shorter than [`LINES`].
#[must_use]
pub fn hash(header: &Header, memory: &mut [Line]) -> Hash {
    let path = crate::sha256d::single(Path::best());
    let key = key::Key::new(path, &key::Head::new(path, header), header.nonce);
    let mut words = [key.words()];
    portable::romix(&mut words, memory);
    key.digest(&words[0])
}

/// The header's hash where it meets `target`. Independent of the kernels, so that it can judge what they found.
///
/// # Panics
/// Where `memory` is shorter than [`LINES`].
#[must_use]
pub fn verify(header: &Header, target: &Target, memory: &mut [Line]) -> Option<Hash> {
    Some(hash(header, memory)).filter(|hash| target.is_met_by(hash))
}

/// Hashes that a path makes side by side. Its memory is [`LINES`] times as many lines.
#[must_use]
pub const fn lanes(path: Path) -> usize {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => avx512::LANES,
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => avx2::LANES,
        _ => 1,
    }
}

/// Most hashes that any path makes side by side.
const MOST_LANES: usize = 16;

/// Mixes as many blocks as the path has lanes.
fn romix(path: Path, words: &mut [Words], memory: &mut [Line]) {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => avx512::romix(words, memory),
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => avx2::romix(words, memory),
        _ => portable::romix(words, memory),
    }
}

/// Where word `i` of a Salsa20 block stands for the kernels: along the diagonals of the four by four square, which turns columns
/// and rows alike into operations on whole rows of four (RFC 7914 section 3; D. J. Bernstein, "Salsa20 speed", 2005).
const DIAGONAL: [usize; 16] = [0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11];

#[cfg(test)]
mod tests;
