//! The practice coin's pool at the other end of a pipe in memory: the real session, the real share check, true Stratum lines.
//!
//! Told lines and time, gives back lines, each a little later than it was sent, as a network does. Not here: sockets.

use crate::practice::PracticeNode;
use model::{Difficulty, Time, UpstreamId, Verdict};
use pool::coinbase::EXTRANONCE2_SIZE;
use pool::node::{Answer, Node};
use pool::solo::{BlockFound, Claim, SoloConfig, SoloPool};
use std::collections::VecDeque;
use std::time::Duration;
use stratum::v1::{Session, SessionEvent};

/// One way from miner to pool.
const LATENCY: Duration = Duration::from_millis(20);
/// A template is fetched this often between blocks, as pools do.
const REFRESH: Duration = Duration::from_secs(30);
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
    last_accepted_job: Option<String>,
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
            last_accepted_job: None,
        }
    }

    /// What the pool answered so far.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers
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
            let Some((_, line)) = self.to_pool.pop_front() else { break };
            if let Some(session) = &mut self.session {
                session.tell_line(now, line.trim_ascii_end());
            }
            self.hear(now);
        }
        if let Some(session) = &mut self.session {
            session.tick(now);
        }
        self.hear(now);
    }

    fn refresh(&mut self, now: Time) {
        self.refresh_at = now + REFRESH;
        let template = self.node.template(None).expect("the practice chain always has a template");
        self.pool.told_template(template).expect("its bits are a target");
        self.offer();
    }

    fn offer(&mut self) {
        if let (Some(session), Some(offer), true) = (&mut self.session, self.pool.offer(), self.authorized) {
            session.offer(&offer.job_for(EXTRANONCE1), offer.difficulty);
        }
    }

    fn hear(&mut self, now: Time) {
        let Some(session) = &mut self.session else { return };
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
                    let (verdict, block) = self.pool.judge(&claim);
                    match &verdict {
                        Verdict::Accepted => {
                            self.answers.accepted += 1;
                            self.last_accepted_job = Some(s.job_name.clone());
                        }
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
        self.authorized |= greeted;
        if greeted {
            self.offer();
        }
        if let Some(block) = found {
            self.append(now, &block);
        }
        if let Some(session) = &mut self.session {
            while let Some(line) = session.next_line() {
                self.to_miner.push_back((now + LATENCY, line));
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
