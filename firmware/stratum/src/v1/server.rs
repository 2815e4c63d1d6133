//! The pool's half of a connection with one miner: told lines and time, it gives back lines and events.
//!
//! ```text
//! Connected ─mining.subscribe─▶ Subscribed ─mining.authorize─▶ Working ─▶ Closed (line too long, garbage, too slow)
//! ```
//! Whatever a miner asks that is not known gets an error and never a closed connection: miners find out a pool's dialect by
//! trying. Not here: whether a share is good (`pool`), and which job to offer.

use super::wire::{self, Id, Message, Params, WireError, to_hex};
use model::{Difficulty, Job, JobBody, Reject, Target, Time, Verdict};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// How long a connection may stay without a subscription.
pub const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(15);
/// How long it may stay without a worker.
pub const AUTHORIZE_LIMIT: Duration = Duration::from_secs(60);
/// Most submissions that wait for the pool's answer.
pub const UNANSWERED_LIMIT: usize = 256;
/// Lines that are no message before the connection is closed.
const GARBAGE_LIMIT: u32 = 16;
/// Workers of one connection: a proxy's.
const WORKERS_LIMIT: usize = 64;
/// Bytes that wait to be sent. A miner that reads slower than this grows is gone.
const UNSENT_LIMIT: usize = 256 * 1024;

/// Matches an answer to its submission. Request ids cannot: minerd sends each with id 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// A share as a miner sent it, well formed and not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// For [`Session::answer`].
    pub token: Token,
    /// An authorised one.
    pub worker: String,
    /// Our name of the job.
    pub job_name: String,
    /// As long as the session's size says.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub time: u32,
    /// Header nonce.
    pub nonce: u32,
    /// The rolled version bits, within the mask.
    pub version_bits: Option<u32>,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// A line that breaks a limit.
    #[error("the miner sent {0}")]
    Line(WireError),
    /// Line after line that is no message.
    #[error("the miner sent {GARBAGE_LIMIT} lines that are no messages")]
    Garbage,
    /// No subscription in time.
    #[error("no subscription within {} s", SUBSCRIBE_LIMIT.as_secs())]
    NotSubscribed,
    /// No worker in time.
    #[error("no worker within {} s", AUTHORIZE_LIMIT.as_secs())]
    NotAuthorized,
    /// It does not read.
    #[error("the miner does not read what it is sent")]
    Slow,
}

/// What a session tells the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A worker is there; a first [`Session::offer`] is due.
    Authorized {
        /// Its name.
        worker: String,
        /// Its password: often options such as `d=1024`.
        password: String,
    },
    /// A share, to be answered.
    Submit(Submission),
    /// The miner would like this difficulty.
    SuggestDifficulty(Difficulty),
    /// The miner wants no lower difficulty than this.
    MinimumDifficulty(Difficulty),
    /// The session is over; close the connection.
    Closed(CloseReason),
}

/// The pool's half of a connection with one miner.
pub struct Session {
    opened: Time,
    extranonce1: Vec<u8>,
    extranonce2_size: u8,
    /// What the pool allows.
    allowed_mask: u32,
    /// What the miner asked for; `None` where it did not ask.
    asked_mask: Option<u32>,
    /// What was agreed on.
    version_mask: u32,
    takes_extranonce: bool,
    subscribed: bool,
    closed: bool,
    workers: HashSet<String>,
    difficulty: Option<Difficulty>,
    garbage: u32,
    next_token: u64,
    unanswered: HashMap<Token, Id>,
    unsent: usize,
    lines: VecDeque<Vec<u8>>,
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// A connection that was just made. `version_mask` is what miners may roll.
    #[must_use]
    pub fn new(now: Time, extranonce1: Vec<u8>, extranonce2_size: u8, version_mask: u32) -> Session {
        Session {
            opened: now,
            extranonce1,
            extranonce2_size,
            allowed_mask: version_mask & wire::ROLLABLE_VERSION_BITS,
            asked_mask: None,
            version_mask: 0,
            takes_extranonce: false,
            subscribed: false,
            closed: false,
            workers: HashSet::new(),
            difficulty: None,
            garbage: 0,
            next_token: 0,
            unanswered: HashMap::new(),
            unsent: 0,
            lines: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A line came.
    pub fn tell_line(&mut self, now: Time, line: &[u8]) {
        self.tick(now);
        if self.closed || line.trim_ascii().is_empty() {
            return;
        }
        match wire::parse(line, wire::SERVER_LINE_LIMIT) {
            Ok(Message::Request { id, method, params }) => self.asked(id, &method, &params),
            Ok(Message::Notification { method, params }) => self.asked(Id::null(), &method, &params),
            Ok(Message::Response { .. }) => {}
            Err(e @ WireError::TooLong { .. }) => self.close(CloseReason::Line(e)),
            Err(e) => {
                self.garbage += 1;
                self.refuse(&Id::null(), 20, &e.to_string());
                if self.garbage >= GARBAGE_LIMIT {
                    self.close(CloseReason::Garbage);
                }
            }
        }
    }

    /// Offers a job, its difficulty first where it changed. Nothing is sent before a worker is authorised.
    pub fn offer(&mut self, job: &Job, difficulty: Difficulty) {
        self.offer_line(&notify_line(job), difficulty);
    }

    /// Offers a job whose line was made before: it is the same for all miners.
    pub fn offer_line(&mut self, notify: &[u8], difficulty: Difficulty) {
        if self.closed || self.workers.is_empty() {
            return;
        }
        if self.difficulty != Some(difficulty) {
            self.difficulty = Some(difficulty);
            self.tell("mining.set_difficulty", &format!("[{}]", difficulty.to_decimal()));
        }
        self.send(notify.to_vec());
    }

    /// Answers a submission. A token that was answered before is ignored.
    pub fn answer(&mut self, token: Token, verdict: &Verdict) {
        let Some(id) = self.unanswered.remove(&token) else { return };
        match verdict {
            Verdict::Accepted => self.reply(&id, "true"),
            Verdict::Stale => self.refuse(&id, 21, "Job not found"),
            Verdict::Rejected(Reject::Duplicate) => self.refuse(&id, 22, "Duplicate share"),
            Verdict::Rejected(Reject::LowDifficulty) => self.refuse(&id, 23, "Low difficulty share"),
            Verdict::Rejected(Reject::Unauthorized) => self.refuse(&id, 24, "Unauthorized worker"),
            Verdict::Rejected(Reject::Other(text)) => self.refuse(&id, 20, text),
        }
    }

    /// Moves the session to another extranonce from the next job on. False where the miner cannot.
    pub fn set_extranonce(&mut self, extranonce1: Vec<u8>, extranonce2_size: u8) -> bool {
        if self.closed || !self.takes_extranonce {
            return false;
        }
        self.tell("mining.set_extranonce", &format!("[\"{}\",{extranonce2_size}]", to_hex(&extranonce1)));
        (self.extranonce1, self.extranonce2_size) = (extranonce1, extranonce2_size);
        true
    }

    /// Changes the version bits that may be rolled, at once (BIP 310). False where the miner did not agree to roll.
    pub fn set_version_mask(&mut self, mask: u32) -> bool {
        let Some(asked) = self.asked_mask.filter(|_| !self.closed) else { return false };
        self.allowed_mask = mask & wire::ROLLABLE_VERSION_BITS;
        self.version_mask = asked & self.allowed_mask;
        self.tell("mining.set_version_mask", &format!("[\"{:08x}\"]", self.version_mask));
        true
    }

    /// Asks the miner to connect again at the same address.
    pub fn reconnect(&mut self) {
        self.tell("client.reconnect", "[]");
    }

    /// The pool's bytes of this session's extranonce.
    #[must_use]
    pub fn extranonce1(&self) -> &[u8] {
        &self.extranonce1
    }

    /// When [`Session::tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        match (self.closed || !self.workers.is_empty(), self.subscribed) {
            (true, _) => Time::NEVER,
            (_, false) => self.opened + SUBSCRIBE_LIMIT,
            (_, true) => self.opened + AUTHORIZE_LIMIT,
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time) {
        if now >= self.wake_at() && !self.closed {
            self.close(if self.subscribed { CloseReason::NotAuthorized } else { CloseReason::NotSubscribed });
        }
    }

    /// The next line to send, its end included. What was queued before the session closed is still given.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front()?;
        self.unsent -= line.len();
        Some(line)
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    fn asked(&mut self, id: Id, method: &str, p: &Params) {
        match method {
            "mining.configure" => self.configure(&id, p),
            "mining.subscribe" => {
                self.subscribed = true;
                let (one, size) = (to_hex(&self.extranonce1), self.extranonce2_size);
                self.reply(&id, &format!(r#"[[["mining.set_difficulty","1"],["mining.notify","1"]],"{one}",{size}]"#));
            }
            "mining.authorize" => self.authorize(&id, p),
            "mining.submit" => match self.submission(p) {
                Ok(submission) => {
                    self.unanswered.insert(submission.token, id);
                    self.events.push_back(SessionEvent::Submit(submission));
                }
                Err((code, text)) => self.refuse(&id, code, text),
            },
            "mining.suggest_difficulty" => self.suggested(&id, p.difficulty(0).ok()),
            "mining.suggest_target" => {
                let target = p.get::<String>(0).and_then(|t| wire::hex_hash(&t)).map(|h| Target::from_be_bytes(h.0));
                let target = target.filter(|t| t.to_be_bytes() != [0; 32]);
                self.suggested(&id, target.map(Difficulty::from_target_bdiff));
            }
            "mining.extranonce.subscribe" => {
                self.takes_extranonce = true;
                self.reply(&id, "true");
            }
            "mining.ping" => self.reply(&id, "\"pong\""),
            "mining.get_transactions" => self.refuse(&id, 20, "Not supported"),
            _ => self.refuse(&id, 20, "Unknown method"),
        }
    }

    fn configure(&mut self, id: &Id, p: &Params) {
        let extensions: Vec<String> = p.get(0).unwrap_or_default();
        let values: HashMap<String, Box<serde_json::value::RawValue>> = p.get(1).unwrap_or_default();
        let mut answer = Vec::new();
        for extension in &extensions {
            match extension.as_str() {
                "version-rolling" => {
                    let asked = values.get("version-rolling.mask").and_then(|m| serde_json::from_str::<String>(m.get()).ok());
                    let asked = asked.map_or(Some(u32::MAX), |m| wire::hex_u32(&m)).unwrap_or(0);
                    (self.asked_mask, self.version_mask) = (Some(asked), asked & self.allowed_mask);
                    answer.push(format!("\"version-rolling\":{}", self.version_mask != 0));
                    answer.push(format!("\"version-rolling.mask\":\"{:08x}\"", self.version_mask));
                }
                "minimum-difficulty" => {
                    let d = values.get("minimum-difficulty.value").and_then(|d| wire::difficulty(d.get()).ok());
                    answer.push(format!("\"minimum-difficulty\":{}", d.is_some()));
                    self.events.extend(d.map(SessionEvent::MinimumDifficulty));
                }
                "subscribe-extranonce" => {
                    self.takes_extranonce = true;
                    answer.push("\"subscribe-extranonce\":true".to_owned());
                }
                other if other.len() <= wire::NAME_LIMIT => answer.push(format!("{}:false", serde_json::json!(other))),
                _ => {}
            }
        }
        self.reply(id, &format!("{{{}}}", answer.join(",")));
    }

    fn authorize(&mut self, id: &Id, p: &Params) {
        let worker = p.text(0, wire::NAME_LIMIT).filter(|w| !w.is_empty() && !w.chars().any(char::is_control));
        match worker {
            _ if !self.subscribed => self.refuse(id, 25, "Not subscribed"),
            None => self.refuse(id, 24, "A worker's name has 1 to 128 bytes"),
            Some(_) if self.workers.len() >= WORKERS_LIMIT => self.refuse(id, 24, "Too many workers on this connection"),
            Some(worker) => {
                self.workers.insert(worker.clone());
                self.reply(id, "true");
                let password = p.text(1, wire::NAME_LIMIT).unwrap_or_default();
                self.events.push_back(SessionEvent::Authorized { worker, password });
            }
        }
    }

    fn submission(&mut self, p: &Params) -> Result<Submission, (u32, &'static str)> {
        if !self.subscribed {
            return Err((25, "Not subscribed"));
        }
        let worker = p.text(0, wire::NAME_LIMIT).filter(|w| self.workers.contains(w)).ok_or((24, "Unauthorized worker"))?;
        if self.unanswered.len() >= UNANSWERED_LIMIT {
            return Err((20, "Too many unanswered submissions"));
        }
        let extranonce2 =
            p.text(2, 64).and_then(|t| wire::from_hex(&t)).filter(|e| e.len() == usize::from(self.extranonce2_size));
        let version_bits = match p.raw(5) {
            None | Some("null") => None,
            Some(_) => Some(p.hex_u32(5).ok_or((20, "Bad version bits"))?),
        };
        if version_bits.unwrap_or(0) & !self.version_mask != 0 {
            return Err((20, "Version bits outside the agreed mask"));
        }
        self.next_token += 1;
        Ok(Submission {
            token: Token(self.next_token),
            worker,
            job_name: p.text(1, wire::NAME_LIMIT).ok_or((20, "Bad job name"))?,
            extranonce2: extranonce2.ok_or((20, "Bad extranonce2"))?,
            time: p.hex_u32(3).ok_or((20, "Bad time"))?,
            nonce: p.hex_u32(4).ok_or((20, "Bad nonce"))?,
            version_bits,
        })
    }

    fn suggested(&mut self, id: &Id, difficulty: Option<Difficulty>) {
        match difficulty {
            Some(d) => {
                self.events.push_back(SessionEvent::SuggestDifficulty(d));
                self.reply(id, "true");
            }
            None => self.refuse(id, 20, "Not a difficulty"),
        }
    }

    fn reply(&mut self, id: &Id, result: &str) {
        self.send(format!("{{\"id\":{id},\"result\":{result},\"error\":null}}\n").into_bytes());
    }

    fn refuse(&mut self, id: &Id, code: u32, text: &str) {
        let text = serde_json::json!(wire::shorten(text));
        self.send(format!("{{\"id\":{id},\"result\":null,\"error\":[{code},{text},null]}}\n").into_bytes());
    }

    fn tell(&mut self, method: &str, params: &str) {
        self.send(format!("{{\"id\":null,\"method\":\"{method}\",\"params\":{params}}}\n").into_bytes());
    }

    fn send(&mut self, line: Vec<u8>) {
        if self.closed {
            return;
        }
        self.unsent += line.len();
        self.lines.push_back(line);
        if self.unsent > UNSENT_LIMIT {
            self.close(CloseReason::Slow);
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.unanswered.clear();
            self.events.push_back(SessionEvent::Closed(reason));
        }
    }
}

/// The line that offers a job, the same for every miner: neither extranonce nor difficulty is in it.
#[must_use]
pub fn notify_line(job: &Job) -> Vec<u8> {
    let JobBody::Coinbase(body) = &job.body;
    let branch: Vec<String> = body.branch.iter().map(|h| h.to_hex()).collect();
    let params = serde_json::json!([
        job.name,
        wire::swap_words(body.previous).to_hex(),
        to_hex(&body.coinbase_prefix),
        to_hex(&body.coinbase_suffix),
        branch,
        format!("{:08x}", body.version),
        format!("{:08x}", body.bits),
        format!("{:08x}", body.time),
        job.clean
    ]);
    format!("{{\"id\":null,\"method\":\"mining.notify\",\"params\":{params}}}\n").into_bytes()
}
