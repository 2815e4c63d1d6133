//! Litecoin's blocks, and the test that a path finds them.
//!
//! The first block of its chain, and the headers of Litecoin Core's own tests of scrypt; OpenSSL makes the same digests of them.
//! Not here: tests against arbitrary headers, which are in `tests`.

use std::sync::atomic::AtomicBool;

use model::{Header, Target};

use super::Search;
use crate::{Line, Path, PathError};

/// How many nonces before and after a block's own are searched for it: enough for every lane and for a rest after them.
const AROUND: u64 = 9;

/// The 80 bytes in hex, and the hash as an explorer would show it.
const BLOCKS: [(&str, &str); 6] = [
    (
        "0100000000000000000000000000000000000000000000000000000000000000000000\
         00d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c",
        "0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00",
    ),
    (
        "020000004c1271c211717198227392b029a64a7971931d351b387bb80db027f270411e39\
         8a07046f7d4a08dd815412a8712f874a7ebf0507e3878bd24e20a3b73fd750a667d2f451eac7471b00de6659",
        "00000000002bef4107f882f6115e0b01f348d21195dacd3582aa2dabd7985806",
    ),
    (
        "0200000011503ee6a855e900c00cfdd98f5f55fffeaee9b6bf55bea9b852d9de2ce35828\
         e204eef76acfd36949ae56d1fbe81c1ac9c0209e6331ad56414f9072506a77f8c6faf551eac7471b00389d01",
        "00000000003a0d11bdd5eb634e08b7feddcfbbf228ed35d250daf19f1c88fc94",
    ),
    (
        "02000000a72c8a177f523946f42f22c3e86b8023221b4105e8007e59e81f6beb013e29aa\
         f635295cb9ac966213fb56e046dc71df5b3f7f67ceaeab24038e743f883aff1aaafaf551eac7471b0166249b",
        "00000000000b40f895f288e13244728a6c2d9d59d8aff29c65f8dd5114a8ca81",
    ),
    (
        "010000007824bc3a8a1b4628485eee3024abd8626721f7f870f8ad4d2f33a27155167f6a\
         4009d1285049603888fe85a84b6c803a53305a8d497965a5e896e1a00568359589faf551eac7471b0065434e",
        "00000000003007005891cd4923031e99d8e8d72f6e8e7edc6a86181897e105fe",
    ),
    (
        "0200000050bfd4e4a307a8cb6ef4aef69abc5c0f2d579648bd80d7733e1ccc3fbc90ed66\
         4a7f74006cb11bde87785f229ecd366c2d4e44432832580e0608c579e4cb76f383f7f551eac7471b00c36982",
        "000000000018f0b426a4afc7130ccb47fa02af730d345b4fe7c7724d3800ec8c",
    ),
];

/// Why a path must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// The CPU or scrypt lacks it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It does not find a real block's nonce and hash, or finds others beside it.
    #[error("test scrypt by {path}: a search around block {hash} found {found} nonces, not its own alone")]
    WrongSearch {
        /// The path under test.
        path: Path,
        /// The block's hash, as an explorer would show it.
        hash: &'static str,
        /// How many nonces it found.
        found: usize,
    },
}

/// Searches for real blocks' nonces by `path`. Takes some milliseconds.
///
/// # Errors
/// The first thing that is wrong with the path.
///
/// # Panics
/// Where `memory` is shorter than [`super::lanes`] times [`super::LINES`].
pub fn self_test(path: Path, memory: &mut [Line]) -> Result<(), SelfTestError> {
    for (header, hash) in blocks() {
        let target = Target::from_compact(header.bits).unwrap_or(Target::MAX);
        let nonce = u64::from(header.nonce);
        let (mut right, mut found) = (0, 0);
        let mut each = |nonce, hashed: model::Hash| {
            found += 1;
            right += usize::from(nonce == header.nonce && hashed.to_explorer_hex() == hash);
        };
        let search = Search::new(&header, path)?;
        search.search(nonce - AROUND..nonce + AROUND, &target, &AtomicBool::new(false), memory, &mut each);
        if (right, found) != (1, 1) {
            return Err(SelfTestError::WrongSearch { path, hash, found });
        }
    }
    Ok(())
}

pub(super) fn blocks() -> impl Iterator<Item = (Header, &'static str)> {
    BLOCKS.into_iter().map(|(header, hash)| {
        let mut bytes = [0; 80];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&header[2 * i..2 * i + 2], 16).expect("the table above holds hex");
        }
        (Header::from_bytes(&bytes), hash)
    })
}
