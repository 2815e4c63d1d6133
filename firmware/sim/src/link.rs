//! The practice coin's pool at the other end of a pipe in memory: the real session, the real share check, true Stratum lines.
//!
//! Told lines and time, gives back lines, each a little later than it was sent, as a network does. What the miner sends is looked
//! at on the wire: no share twice, none of a job that it knew to be superseded. Not here: sockets.

use crate::practice::PracticeNode;
use model::{Difficulty, Time, UpstreamId, Verdict};
use pool::coinbase::EXTRANONCE2_SIZE;
use pool::node::{Answer, Node};
use pool::solo::{BlockFound, Claim, SoloConfig, SoloPool};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use stratum::v1::{Session, SessionEvent};

/// One way from miner to pool.
const LATENCY: Duration = Duration::from_millis(20);
/// A template is fetched this often between blocks, as pools do.
const REFRESH: Duration = Duration::from_secs(30);
/// A share that is this much later than the news of its job's end was sent against better knowledge.
const AFTERTHOUGHT: Duration = Duration::from_millis(10);
/// Superseded jobs that are remembered: hours of them.
const SUPERSEDED_KEPT: usize = 256;
/// Violations that are kept until they are taken.
const VIOLATIONS_LIMIT: usize = 20;
/// The only session's extranonce.
const EXTRANONCE1: [u8; 4] = [0, 0, 0, 1];

/// What the pool answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Shares that count.
    pub accepted: u64,
    /// Shares that do not, duplicates among them.
    pub rejected: u64,
    /// Shares whose job was superseded.
    pub stale: u64,
    /// Shares that were sent before.
    pub duplicates: u64,
    /// Blocks that the chain took.
    pub blocks: u64,
}

/// What makes a share: job, extranonce2, time, nonce, version bits.
type Sent = (String, Vec<u8>, u32, u32, Option<u32>);

/// One miner's connection to a pool of the practice coin.
pub struct Link {
    pool: SoloPool,
    node: PracticeNode,
    session: Option<Session>,
    authorized: bool,
    to_pool: VecDeque<(Time, Vec<u8>)>,
    to_miner: VecDeque<(Time, Vec<u8>)>,
    refresh_at: Time,
    answers: Answers,
    /// The wire is cut: nobody can connect.
    cut: bool,
    /// The pool takes lines and says nothing.
    mute: bool,
    /// The pool takes no share, however good.
    refuse: bool,
    /// Jobs that were offered and still count.
    offered: BTreeSet<String>,
    /// Jobs that a clean one superseded, and until when the miner could not know.
    superseded: VecDeque<(String, Time)>,
    /// When the miner heard of the last clean job.
    clean_at: Time,
    seen: BTreeSet<Sent>,
    violations: Vec<String>,
}

impl Link {
    /// A pool of this node that asks for this share difficulty.
    #[must_use]
    pub fn new(node: PracticeNode, share_difficulty: Difficulty) -> Link {
        let pool = SoloPool::new(SoloConfig {
            script_pubkey: vec![0x51],
            tag: b"practice".to_vec(),
            share_difficulty,
            version_mask: pool::coin::BIP320_MASK,
            first_job: 1,
            upstream: UpstreamId(0),
        });
        Link {
            pool,
            node,
            session: None,
            authorized: false,
            to_pool: VecDeque::new(),
            to_miner: VecDeque::new(),
            refresh_at: Time::ZERO,
            answers: Answers::default(),
            cut: false,
            mute: false,
            refuse: false,
            offered: BTreeSet::new(),
            superseded: VecDeque::new(),
            clean_at: Time::ZERO,
            seen: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// What the pool answered so far.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// Cuts the wire, or mends it. A connection that stood is gone, which its owner tells the miner.
    pub fn cut(&mut self, cut: bool) {
        self.cut = cut;
        if cut {
            self.disconnect();
        }
    }

    /// Whether the wire is cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether a connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Whether the pool offers a job to a miner that asked for it.
    #[must_use]
    pub fn offers(&self) -> bool {
        self.authorized && self.session.is_some() && !self.mute
    }

    /// When the miner heard of the last job that superseded all before it.
    #[must_use]
    pub fn clean_at(&self) -> Time {
        self.clean_at
    }

    /// Makes the pool swallow its words while the connection stands, or heals it.
    pub fn mute(&mut self, mute: bool) {
        self.mute = mute;
    }

    /// Makes the pool refuse every share, or heals it.
    pub fn refuse(&mut self, refuse: bool) {
        self.refuse = refuse;
    }

    /// Puts a line of anybody's choice on its way to the miner.
    pub fn say(&mut self, now: Time, line: &[u8]) {
        self.to_miner.push_back((now + LATENCY, line.to_vec()));
    }

    /// What the miner did on the wire that must never be, since the last call.
    pub fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// A miner connects.
    pub fn connect(&mut self, now: Time) {
        let mask = pool::coin::BIP320_MASK;
        self.session = Some(Session::new(now, EXTRANONCE1.to_vec(), EXTRANONCE2_SIZE, mask));
        self.authorized = false;
    }

    /// The connection ends.
    pub fn disconnect(&mut self) {
        self.session = None;
        self.to_pool.clear();
        self.to_miner.clear();
    }

    /// The miner sends a line.
    pub fn send(&mut self, now: Time, line: Vec<u8>) {
        self.to_pool.push_back((now + LATENCY, line));
    }

    /// A line that reached the miner, without its end.
    pub fn receive(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.to_miner.front()?.0 > now {
            return None;
        }
        let (_, mut line) = self.to_miner.pop_front()?;
        while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            line.pop();
        }
        Some(line)
    }

    /// When something happens next.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let front = |q: &VecDeque<(Time, Vec<u8>)>| q.front().map_or(Time::NEVER, |(at, _)| *at);
        front(&self.to_pool).min(front(&self.to_miner)).min(self.refresh_at)
    }

    /// Does what is due.
    ///
    /// # Panics
    /// Where the practice node gives no template: it always has one.
    pub fn turn(&mut self, now: Time) {
        if self.refresh_at <= now {
            self.refresh(now);
        }
        while self.to_pool.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, line)) = self.to_pool.pop_front() else { break };
            if let Some(session) = &mut self.session {
                session.tell_line(now, line.trim_ascii_end());
            }
            self.hear(now, at);
        }
        if let Some(session) = &mut self.session {
            session.tick(now);
        }
        self.hear(now, now);
    }

    fn refresh(&mut self, now: Time) {
        self.refresh_at = now + REFRESH;
        let template = self.node.template(None).expect("the practice chain always has a template");
        self.pool.told_template(template).expect("its bits are a target");
        self.offer(now);
    }

    fn offer(&mut self, now: Time) {
        if let (Some(session), Some(offer), true) = (&mut self.session, self.pool.offer(), self.authorized) {
            let job = offer.job_for(EXTRANONCE1);
            // Who was told nothing knows nothing.
            if job.clean && !self.mute {
                let mut ended = std::mem::take(&mut self.offered);
                ended.remove(&job.name);
                self.clean_at = now + LATENCY;
                self.superseded.extend(ended.into_iter().map(|name| (name, now + LATENCY)));
                let surplus = self.superseded.len().saturating_sub(SUPERSEDED_KEPT);
                self.superseded.drain(..surplus);
            }
            self.offered.insert(job.name.clone());
            session.offer(&job, offer.difficulty);
        }
    }

    /// Looks at a share that was sent one latency before `arrived`.
    fn inspect(&mut self, arrived: Time, claim: &Claim<'_>) {
        let name = claim.job_name.to_owned();
        let known_at = self.superseded.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
        if known_at.is_some_and(|t| arrived > t + LATENCY + AFTERTHOUGHT) {
            self.violate(format!("a share of job {name} was sent after the job that superseded it had come"));
        }
        let key = (name, claim.extranonce2.to_vec(), claim.time, claim.nonce, claim.version_bits);
        if !self.seen.insert(key) {
            self.violate(format!("share {:08x} of job {} was sent twice", claim.nonce, claim.job_name));
        }
    }

    fn violate(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_LIMIT {
            self.violations.push(what);
        }
    }

    fn hear(&mut self, now: Time, arrived: Time) {
        let Some(mut session) = self.session.take() else { return };
        let (mut found, mut greeted, mut closed) = (None, false, false);
        while let Some(event) = session.next_event() {
            match event {
                SessionEvent::Authorized { .. } => greeted = true,
                SessionEvent::Submit(s) => {
                    let claim = Claim {
                        job_name: &s.job_name,
                        extranonce1: &EXTRANONCE1,
                        extranonce2: &s.extranonce2,
                        time: s.time,
                        nonce: s.nonce,
                        version_bits: s.version_bits,
                    };
                    self.inspect(arrived, &claim);
                    let (verdict, block) = if self.refuse {
                        (Verdict::Rejected(model::Reject::Other("worker is banned".to_owned())), None)
                    } else {
                        self.pool.judge(&claim)
                    };
                    match &verdict {
                        Verdict::Accepted => self.answers.accepted += 1,
                        Verdict::Stale => self.answers.stale += 1,
                        Verdict::Rejected(why) => {
                            self.answers.rejected += 1;
                            self.answers.duplicates += u64::from(*why == model::Reject::Duplicate);
                        }
                    }
                    session.answer(s.token, &verdict);
                    found = found.or(block);
                }
                SessionEvent::SuggestDifficulty(_) | SessionEvent::MinimumDifficulty(_) => {}
                SessionEvent::Closed(_) => closed = true,
            }
        }
        self.session = Some(session);
        self.authorized |= greeted;
        if greeted {
            self.offer(now);
        }
        if let Some(block) = found {
            self.append(now, &block);
        }
        if let Some(session) = &mut self.session {
            while let Some(line) = session.next_line() {
                if !self.mute {
                    self.to_miner.push_back((now + LATENCY, line));
                }
            }
        }
        if closed {
            self.session = None;
        }
    }

    fn append(&mut self, now: Time, block: &BlockFound) {
        match self.node.submit(&block.hex) {
            Ok(Answer::Taken) => {
                self.answers.blocks += 1;
                self.refresh(now);
            }
            Ok(Answer::Refused(_)) | Err(_) => self.pool.told_refused(block.hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::practice::Pace;

    fn claim<'a>(job_name: &'a str, nonce: u32) -> Claim<'a> {
        let (extranonce1, extranonce2) = (&EXTRANONCE1[..], &[0; 4][..]);
        Claim { job_name, extranonce1, extranonce2, time: 0, nonce, version_bits: None }
    }

    #[test]
    fn a_share_sent_twice_or_against_better_knowledge_is_seen() {
        let node = PracticeNode::new(Pace::IN_PROCESS, Box::new(|| 1));
        let mut link = Link::new(node, Difficulty::ONE);
        let known_at = Time::from_secs(10);
        link.superseded.push_back(("a".to_owned(), known_at));
        for (at, name, nonce, expected) in [
            (Time::from_secs(11), "b", 1, 0),
            (Time::from_secs(12), "b", 1, 1),
            (known_at + LATENCY, "a", 1, 0),
            (known_at + LATENCY + AFTERTHOUGHT * 2, "a", 2, 1),
        ] {
            link.inspect(at, &claim(name, nonce));
            assert_eq!(link.take_violations().len(), expected, "{name} {nonce}");
        }
    }

    #[test]
    fn nobody_connects_through_a_cut_wire() {
        let node = PracticeNode::new(Pace::IN_PROCESS, Box::new(|| 1));
        let mut link = Link::new(node, Difficulty::ONE);
        link.connect(Time::ZERO);
        assert!(link.is_connected() && !link.is_cut());
        link.cut(true);
        assert!(!link.is_connected() && link.is_cut());
    }
}
