//! The published vectors, and the test that a way of running programs computes them.
//!
//! A CPU that computes wrongly must be noticed before it mines, and a way that fails is not used. The vectors are those of the
//! library's authors (`tevador/RandomX`, `src/tests/tests.cpp`). Not here: tests of everything else.

use std::sync::atomic::AtomicBool;

use model::{Hash, Target};

use super::{Blob, BuildError, Cache, Pages, Vm, Way};

/// The key of the self-test's vectors.
pub(super) const KEY: &[u8] = b"test key 001";
/// A text, and its hash by [`KEY`].
pub(super) const TEXT: &[u8] = b"sed do eiusmod tempor incididunt ut labore et dolore magna aliqua";
pub(super) const TEXT_HASH: [u8; 32] = bytes("e9ff4503201c0c2cca26d285c93ae883f9b1d30c9eb240b820756f2d5a7905fc");
/// A block's hashing blob with the nonce 0, and its hash by [`KEY`].
pub(super) const BLOB: [u8; 76] = bytes(
    "0b0b98bea7e805e0010a2126d287a2a0cc833d312cb786385a7c2f9de69d25537f584a9bc9977b00000000666fd8753bf61a8631f12984e3fd44f4\
     014eca629276817b56f32e9b68bd82f416",
);
pub(super) const BLOB_HASH: [u8; 32] = bytes("c56414121acda1713c2f2a819d8ae38aed7c80c35c2a769298d34f03833cd5f1");

/// Why a way must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// It cannot be had, or there is too little memory to test it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It computes other hashes than it should.
    #[error("test randomx by {0}: it computes wrong hashes; use another way, and distrust this CPU")]
    WrongHash(Way),
}

/// Hashes what is known by one way. Takes 258 MiB and about a second.
///
/// # Errors
/// [`SelfTestError`] where the way cannot be had, memory is short, or a hash is wrong.
pub fn self_test(way: Way) -> Result<(), SelfTestError> {
    let cache = Cache::build(KEY, way, Pages::Huge)?;
    check(&mut Vm::light(&cache, Pages::Huge)?)
}

/// Whether a machine by [`KEY`] hashes, and searches, as it should.
pub(super) fn check(vm: &mut Vm) -> Result<(), SelfTestError> {
    let blob = Blob::new(&BLOB).expect("as long as Monero's");
    let (mut found, mut right) = (0, 0);
    let tried = vm.search(&blob, 0..3, &Target::MAX, &AtomicBool::new(false), &mut |nonce, hash| {
        found += 1;
        right += usize::from((nonce, hash) == (0, Hash(BLOB_HASH)));
    });
    let wrong = (tried, found, right) != (3, 3, 1) || vm.hash(TEXT) != Hash(TEXT_HASH);
    if wrong { Err(SelfTestError::WrongHash(vm.way())) } else { Ok(()) }
}

/// What hex stands for.
pub(super) const fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => panic!("not a digit"),
        }
    }
    let hex = hex.as_bytes();
    assert!(hex.len() == 2 * N, "two digits a byte");
    let (mut bytes, mut at) = ([0; N], 0);
    while at < N {
        bytes[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}
