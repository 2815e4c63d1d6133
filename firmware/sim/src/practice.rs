//! The practice coin: a chain with real headers, real SHA256d and a target that a simulated machine meets.
//!
//! It implements [`pool::node::Node`], so the real pool mines it as any coin. Blocks hold a coinbase and nothing else; it checks
//! what a miner can get wrong (tip, bits, time, merkle root, proof of work) and not what the coinbase pays. Kept in memory only.
//! Its clock is handed in, so that it runs in virtual time as well.

use model::{Difficulty, Hash, Header, Target, sha256d};
use pool::hex;
use pool::node::{Answer, Node, NodeError};
use pool::template::Template;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What each block pays: 50 coins.
const SUBSIDY: u64 = 50 * 100_000_000;
/// How far a header's time may be ahead of the clock, as in Bitcoin.
const AHEAD_S: u32 = 7200;
/// Largest block taken, hex characters: one coinbase and its header.
const BLOCK_LIMIT: usize = 2 * 200_000;
/// Fewest hashes that a block takes after retargeting.
const HASHES_MIN: u64 = 1 << 10;
/// How far one retarget moves, as in Bitcoin.
const RETARGET_LIMIT: u64 = 4;

/// How hard blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every block takes this many hashes on average.
    Fixed {
        /// The mean.
        hashes: u64,
    },
    /// Retargeted with every block.
    Every {
        /// Seconds from block to block.
        seconds: u32,
        /// What the first one takes.
        first_hashes: u64,
    },
}

impl Pace {
    /// What simulations in one process use. An S19j Pro that tests every 2^36-th candidate takes twelve minutes for a block.
    pub const IN_PROCESS: Pace = Pace::Fixed { hashes: 1 << 20 };
    /// What ptys and QEMU use: one block a minute.
    pub const BY_THE_MINUTE: Pace = Pace::Every { seconds: 60, first_hashes: 1 << 20 };
}

/// The clock of the chain: Unix time in seconds.
pub type Clock = Box<dyn Fn() -> u32 + Send>;

struct Chain {
    tip: Hash,
    height: u32,
    /// The tip's time.
    time: u32,
    hashes: u64,
    pace: Pace,
    clock: Clock,
}

/// A node of the practice chain; clones are nodes of the same chain.
#[derive(Clone)]
pub struct PracticeNode(Arc<Mutex<Chain>>);

impl PracticeNode {
    /// A new chain whose first block is still to be found.
    #[must_use]
    pub fn new(pace: Pace, clock: Clock) -> PracticeNode {
        let hashes = match pace {
            Pace::Fixed { hashes } | Pace::Every { first_hashes: hashes, .. } => hashes.max(1),
        };
        let tip = sha256d(b"the practice chain begins here");
        let time = clock();
        PracticeNode(Arc::new(Mutex::new(Chain { tip, height: 0, time, hashes, pace, clock })))
    }

    /// How many blocks it has.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.chain().height
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chain {
    /// The compact target: a block takes `hashes` hashes on average.
    fn bits(&self) -> u32 {
        Difficulty::new(self.hashes, 1 << 32).map_or(Target::MAX, |d| d.to_target_pdiff()).to_compact()
    }

    fn earliest(&self) -> u32 {
        self.time.saturating_add(1)
    }

    fn template(&self) -> Template {
        Template {
            version: 0x2000_0000,
            previous: self.tip,
            height: self.height + 1,
            bits: self.bits(),
            time: (self.clock)().max(self.earliest()),
            min_time: self.earliest(),
            coinbase_value: SUBSIDY,
            transactions: Vec::new(),
            witness_commitment: None,
            longpoll_id: None,
        }
    }

    /// Why a block is refused, in the words of Bitcoin's own node.
    fn check(&self, block: &str) -> Result<Header, &'static str> {
        if block.len() > BLOCK_LIMIT {
            return Err("bad-blk-length");
        }
        let bytes = hex::decode(block).ok_or("block decode failed")?;
        let (head, rest) = bytes.split_first_chunk::<80>().ok_or("block decode failed")?;
        let header = Header::from_bytes(head);
        let hash = header.hash();
        let [1, coinbase @ ..] = rest else { return Err("bad-txns") };
        if hash == self.tip {
            return Err("duplicate");
        }
        if header.previous != self.tip {
            return Err("bad-prevblk");
        }
        if header.bits != self.bits() {
            return Err("bad-diffbits");
        }
        if !Target::from_compact(header.bits).is_some_and(|t| t.is_met_by(&hash)) {
            return Err("high-hash");
        }
        if header.merkle_root != sha256d(coinbase) {
            return Err("bad-txnmrklroot");
        }
        if header.time < self.earliest() {
            return Err("time-too-old");
        }
        if header.time > (self.clock)().max(self.earliest()).saturating_add(AHEAD_S) {
            return Err("time-too-new");
        }
        Ok(header)
    }

    fn append(&mut self, header: &Header) {
        if let Pace::Every { seconds, .. } = self.pace {
            let took = u64::from(header.time.saturating_sub(self.time).max(1));
            let asked = self.hashes.saturating_mul(u64::from(seconds)) / took;
            let (low, high) = (self.hashes / RETARGET_LIMIT, self.hashes.saturating_mul(RETARGET_LIMIT));
            self.hashes = asked.clamp(low, high).max(HASHES_MIN);
        }
        (self.tip, self.height, self.time) = (header.hash(), self.height + 1, header.time);
    }
}

impl Node for PracticeNode {
    fn template(&mut self, _longpoll_id: Option<&str>) -> Result<Template, NodeError> {
        Ok(self.chain().template())
    }

    fn submit(&mut self, block_hex: &str) -> Result<Answer, NodeError> {
        let mut chain = self.chain();
        Ok(match chain.check(block_hex) {
            Ok(header) => {
                chain.append(&header);
                Answer::Taken
            }
            Err(why) => Answer::Refused(why.to_owned()),
        })
    }

    fn tip(&mut self) -> Result<Hash, NodeError> {
        Ok(self.chain().tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const START: u32 = 1_700_000_000;

    fn node(pace: Pace) -> (PracticeNode, Arc<AtomicU32>) {
        let clock = Arc::new(AtomicU32::new(START));
        let read = Arc::clone(&clock);
        (PracticeNode::new(pace, Box::new(move || read.load(Ordering::Relaxed))), clock)
    }

    /// A block on this template, searched until its hash meets the target.
    fn block(t: &Template, change: impl Fn(&mut Header)) -> String {
        let coinbase = [b"coinbase".as_slice(), &t.height.to_le_bytes()].concat();
        let target = Target::from_compact(t.bits).expect("a target");
        let mut h = Header {
            version: t.version,
            previous: t.previous,
            merkle_root: sha256d(&coinbase),
            time: t.time,
            bits: t.bits,
            nonce: 0,
        };
        change(&mut h);
        while !target.is_met_by(&h.hash()) {
            h.nonce += 1;
        }
        hex::encode(&[&h.to_bytes()[..], &[1], &coinbase].concat())
    }

    #[test]
    fn a_true_block_moves_the_tip_and_the_same_block_again_does_no_harm() {
        let (mut n, _) = node(Pace::Fixed { hashes: 1 << 8 });
        let t = n.template(None).expect("a template");
        let b = block(&t, |_| ());
        assert_eq!(n.submit(&b).expect("an answer"), Answer::Taken);
        let next = n.template(None).expect("a template");
        assert_eq!((next.height, n.height(), next.previous), (2, 1, n.tip().expect("a tip")));
        assert_eq!(n.submit(&b).expect("an answer"), Answer::Refused("duplicate".into()));
        let late = block(&t, |h| h.nonce = 1 << 20);
        assert_eq!(n.submit(&late).expect("an answer"), Answer::Refused("bad-prevblk".into()));
    }

    #[test]
    fn whatever_is_wrong_is_refused_by_its_name() {
        let (mut n, _) = node(Pace::Fixed { hashes: 1 << 8 });
        let t = n.template(None).expect("a template");
        let mut weak = Header { previous: t.previous, bits: t.bits, ..Default::default() };
        while Target::from_compact(t.bits).expect("a target").is_met_by(&weak.hash()) {
            weak.nonce += 1;
        }
        let rows = [
            ("zz".to_owned(), "block decode failed"),
            ("00".repeat(79), "block decode failed"),
            ("00".repeat(80), "bad-txns"),
            ("0".repeat(BLOCK_LIMIT + 1), "bad-blk-length"),
            (hex::encode(&[&weak.to_bytes()[..], &[1]].concat()), "high-hash"),
            (block(&t, |h| h.bits = 0x207f_ffff), "bad-diffbits"),
            (block(&t, |h| h.merkle_root = Hash([1; 32])), "bad-txnmrklroot"),
            (block(&t, |h| h.time = START), "time-too-old"),
            (block(&t, |h| h.time = START + 2 * AHEAD_S), "time-too-new"),
        ];
        for (b, why) in rows {
            assert_eq!(n.submit(&b).expect("an answer"), Answer::Refused(why.to_owned()));
        }
        assert_eq!(n.height(), 0);
    }

    #[test]
    fn a_block_takes_as_many_hashes_as_asked() {
        let (mut n, _) = node(Pace::IN_PROCESS);
        let t = n.template(None).expect("a template");
        let target = Target::from_compact(t.bits).expect("a target");
        let share = Target::from_zero_bits(20);
        assert!(target <= share && target > Target::from_zero_bits(21));
    }

    #[test]
    fn blocks_that_come_too_fast_become_harder_and_the_other_way_round() {
        let (mut n, clock) = node(Pace::Every { seconds: 60, first_hashes: 1 << 12 });
        let hashes = |n: &PracticeNode| n.chain().hashes;
        for (wait, expected) in [(30, 1 << 13), (1, 1 << 15), (120, 1 << 14), (100_000, 1 << 12)] {
            clock.fetch_add(wait, Ordering::Relaxed);
            let b = block(&n.template(None).expect("a template"), |_| ());
            assert_eq!(n.submit(&b).expect("an answer"), Answer::Taken);
            assert_eq!(hashes(&n), expected, "after {wait} s");
        }
    }
}
