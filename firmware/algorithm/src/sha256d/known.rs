//! Real blocks, and the test that a path finds them.
//!
//! A CPU that computes wrongly, or a path built wrongly, must be noticed before it mines. The blocks are Bitcoin's; each proves
//! itself by the zeros of its hash. Not here: tests against arbitrary headers, which are in `search`.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::{Header, Target};

use crate::{Midstate, Path, PathError, Search};

/// How many nonces before and after a block's own are searched for it: enough for every lane and for a rest after them.
const AROUND: u64 = 16;

/// Height, the 80 bytes in hex, and the hash as an explorer shows it. The last one has rolled version bits.
const BLOCKS: [(u32, &str, &str); 7] = [
    (
        0,
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd\
         7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    ),
    (
        1,
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd\
         1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
        "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
    ),
    (
        100_000,
        "0100000050120119172a610421a6c3011dd330d9df07b63616c2cc1f1cd00200000000006657a925\
         2aacd5c0b2940996ecff952228c3067cc38d4885efb5a4ac4247e9f337221b4d4c86041b0f2b5710",
        "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506",
    ),
    (
        125_552,
        "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2\
         fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
        "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
    ),
    (
        277_316,
        "0200000069054f28012b4474caa9e821102655cc74037c415ad2bba702000000000000002ecfc74c\
         eb512c5055bcff7e57735f7323c32f8bbb48f5e96307e5268c001cc93a09be520ca3031988261c37",
        "0000000000000001b6b9a13b095e96db41c4a928b97ef2d944a9b31b2cc7bdc4",
    ),
    (
        286_819,
        "0200000017975b97c18ed1f7e255adf297599b55330edab87803c81701000000000000008a97295a\
         2747b4f1a0b3948df3990344c0e19fa6b2b92b3a19c8e6badc141787358b0553535f011948750833",
        "0000000000000000e067a478024addfecdc93628978aa52d91fabd4292982a50",
    ),
    (
        840_000,
        "00e05f2aab948491071265ad552351d0ad625745668da54b0172010000000000000000004f89a5d7\
         3bd4d4887f25981fe81892ccafda10c27f52d6f3dd28183a7c411b03b7072366194203177d9863ea",
        "0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5",
    ),
];

/// Why a path must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// The CPU lacks its instructions.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It hashes a real block to something else.
    #[error("test the hashing path {path}: block {height} hashes to {got}")]
    WrongHash {
        /// The path under test.
        path: Path,
        /// The block's height.
        height: u32,
        /// What came out, as an explorer shows it.
        got: String,
    },
    /// It does not find a real block's nonce, or finds others beside it.
    #[error("test the hashing path {path}: a search around block {height} found {found} nonces, not its own alone")]
    WrongSearch {
        /// The path under test.
        path: Path,
        /// The block's height.
        height: u32,
        /// How many nonces it found.
        found: usize,
    },
}

/// Hashes real blocks by `path` and searches for each of their nonces. Takes well under a millisecond.
///
/// # Errors
/// The first thing that is wrong with the path.
pub fn self_test(path: Path) -> Result<(), SelfTestError> {
    let path = path.require()?;
    for (height, header, hash) in blocks() {
        let bytes = header.to_bytes();
        let mut tail = [0; 16];
        tail.copy_from_slice(&bytes[64..]);
        let got = Midstate::of(&header, path).hash(tail).to_explorer_hex();
        if got != hash {
            return Err(SelfTestError::WrongHash { path, height, got });
        }
        let target = Target::from_compact(header.bits).unwrap_or(Target::MAX);
        let (mut right, mut found) = (0, 0);
        Search::new(&header, path).search(around(header.nonce), &target, &AtomicBool::new(false), &mut |nonce, hashed| {
            found += 1;
            right += usize::from(nonce == header.nonce && hashed.to_explorer_hex() == hash);
        });
        if (right, found) != (1, 1) {
            return Err(SelfTestError::WrongSearch { path, height, found });
        }
    }
    Ok(())
}

fn around(nonce: u32) -> Range<u64> {
    u64::from(nonce).saturating_sub(AROUND)..u64::from(nonce) + AROUND
}

fn blocks() -> impl Iterator<Item = (u32, Header, &'static str)> {
    BLOCKS.into_iter().map(|(height, header, hash)| {
        let mut bytes = [0; 80];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&header[2 * i..2 * i + 2], 16).expect("the table above holds hex");
        }
        (height, Header::from_bytes(&bytes), hash)
    })
}

#[cfg(test)]
pub(crate) fn genesis() -> Header {
    blocks().next().expect("the table starts with it").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_are_what_their_headers_claim_by_an_independent_hash() {
        for (height, header, hash) in blocks() {
            let target = Target::from_compact(header.bits).expect("a real block's target");
            let found = crate::verify(&header, &target).map(|h| h.to_explorer_hex());
            assert_eq!(found.as_deref(), Some(hash), "block {height}");
        }
    }

    #[test]
    fn every_available_path_passes() {
        for path in Path::available() {
            assert_eq!(self_test(path), Ok(()));
        }
    }

    #[test]
    fn a_path_that_the_cpu_lacks_is_refused() {
        for path in Path::ALL.into_iter().filter(|path| !path.is_available()) {
            assert_eq!(self_test(path), Err(SelfTestError::Path(PathError::Unavailable(path))));
        }
    }
}
