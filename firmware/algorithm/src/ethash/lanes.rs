//! Several attempts side by side: how claims, lists and ranges are cut into groups of them.
//!
//! One attempt alone mostly waits for memory; a group waits once. `one` and `many` are the same hash for one attempt and for
//! `N`, by whatever algorithm and dataset. Not here: the hash.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Target;

use super::proof::{Attempt, Claim, Proof, meets};
use crate::Refusal;

/// Refuses by the target, then by the mix.
pub(crate) fn checked(
    claim: &Claim,
    target: &Target,
    digest: &dyn Fn(&Claim) -> [u8; 32],
    hash: impl FnOnce() -> Proof,
) -> Result<[u8; 32], Refusal> {
    let digest = digest(claim);
    if !meets(&digest, target) {
        return Err(Refusal::AboveTarget { digest, target: *target });
    }
    let mix = hash().mix;
    if mix == claim.mix { Ok(digest) } else { Err(Refusal::Mix { mix, claimed: claim.mix }) }
}

/// Hashes attempts `N` at a time; a rest is filled up with its last one, and a single one goes alone.
pub(crate) fn in_lanes<const N: usize>(
    attempts: &[Attempt],
    one: &dyn Fn([Attempt; 1]) -> [Proof; 1],
    many: &dyn Fn([Attempt; N]) -> [Proof; N],
    each: &mut dyn FnMut(usize, Proof),
) {
    for (at, group) in (0..).step_by(N).zip(attempts.chunks(N)) {
        match group {
            [single] => each(at, one([*single])[0]),
            group => {
                let lanes = std::array::from_fn(|n| group[n.min(group.len() - 1)]);
                many(lanes).into_iter().take(group.len()).enumerate().for_each(|(n, proof)| each(at + n, proof));
            }
        }
    }
}

/// Refuses claims by the target, and hashes the others `N` at a time.
pub(crate) fn checked_in_lanes<const N: usize>(
    claims: &[(Claim, Target)],
    digest: &dyn Fn(&Claim) -> [u8; 32],
    one: &dyn Fn([Attempt; 1]) -> [Proof; 1],
    many: &dyn Fn([Attempt; N]) -> [Proof; N],
    each: &mut dyn FnMut(usize, Result<[u8; 32], Refusal>),
) {
    let hashed = |places: &[usize], each: &mut dyn FnMut(usize, Result<[u8; 32], Refusal>)| {
        let mut attempts = [Attempt { header: [0; 32], nonce: 0 }; N];
        attempts.iter_mut().zip(places).for_each(|(attempt, place)| *attempt = claims[*place].0.attempt);
        in_lanes(&attempts[..places.len()], one, many, &mut |at, proof| {
            let claimed = claims[places[at]].0.mix;
            let mix = proof.mix;
            each(places[at], if mix == claimed { Ok(proof.digest) } else { Err(Refusal::Mix { mix, claimed }) });
        });
    };
    let (mut waiting, mut count) = ([0; N], 0);
    for (at, (claim, target)) in claims.iter().enumerate() {
        let digest = digest(claim);
        if !meets(&digest, target) {
            each(at, Err(Refusal::AboveTarget { digest, target: *target }));
            continue;
        }
        waiting[count] = at;
        count += 1;
        if count == N {
            hashed(&waiting, each);
            count = 0;
        }
    }
    hashed(&waiting[..count], each);
}

/// Hashes a range `N` nonces at a time.
pub(crate) fn searched<const N: usize>(
    header: &[u8; 32],
    nonces: Range<u64>,
    target: &Target,
    abort: &AtomicBool,
    many: &dyn Fn([Attempt; N]) -> [Proof; N],
    found: &mut dyn FnMut(u64, Proof),
) -> u64 {
    let mut at = nonces.start;
    while at < nonces.end && !abort.load(Ordering::Relaxed) {
        let lanes = (nonces.end - at).min(N as u64);
        // Lanes past the end repeat the last nonce and are not looked at.
        let proofs = many(std::array::from_fn(|n| Attempt { header: *header, nonce: at + (n as u64).min(lanes - 1) }));
        for (nonce, proof) in (at..at + lanes).zip(proofs) {
            if proof.meets(target) {
                found(nonce, proof);
            }
        }
        at += lanes;
    }
    at.saturating_sub(nonces.start)
}
