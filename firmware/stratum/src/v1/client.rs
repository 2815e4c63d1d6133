//! Our half of a connection to a pool: told lines and time, it gives back lines and events.
//!
//! ```text
//! Closed ─open─▶ Greeting ─subscribe answered─▶ Subscribed ─authorize answered─▶ Ready
//!    ▲               │                              │                              │
//!    └───────────────┴── failed · tell_closed · reconnect ───────────────────────┘
//! ```
//! One `Client` lives as long as its upstream and is opened anew for each connection, so that job numbers never repeat and a
//! share of a dead session is never sent. Not here: which pool to use, and how long to wait before trying again.

use super::wire::{self, Id, Message, Params, PeerError, WireError, shorten, to_hex};
use crate::Url;
use model::{
    CoinbaseJob, Difficulty, DifficultyError, Job, JobBody, JobError, JobId, Reject, Share, ShareId, Time, UpstreamId, Verdict,
};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a pool may take from the connection to the authorisation.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);
/// How long a pool may take to answer a share.
pub const VERDICT_LIMIT: Duration = Duration::from_secs(60);
/// How long a pool may offer no job. Pools send one every 30 to 60 seconds.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Most shares that wait for an answer.
const PENDING_LIMIT: usize = 256;
/// Most lines that wait to be sent: shares and answers. More means that a pool asks and does not read.
const LINES_LIMIT: usize = 512;
/// Longest wait that a `client.reconnect` may ask for.
const RECONNECT_WAIT_LIMIT: Duration = Duration::from_secs(60);
/// What the verdict of a share says whose answer never came.
pub const NO_ANSWER: &str = "no answer before the connection ended";
const AGENT: &str = concat!("otedama/", env!("CARGO_PKG_VERSION"));

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const EXTRANONCE: u64 = 4;
const SUGGEST: u64 = 5;
const FIRST_SUBMIT: u64 = 16;

/// Why a connection must be dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A line that is no message.
    #[error("the pool sent {0}")]
    Wire(#[from] WireError),
    /// A request of the greeting was refused.
    #[error("the pool refused {what}: {text}")]
    Refused {
        /// Which request.
        what: &'static str,
        /// In the pool's words.
        text: String,
    },
    /// A message lacks what it must have.
    #[error("the pool sent {what} with a bad {field}")]
    Malformed {
        /// Which message.
        what: &'static str,
        /// What of it.
        field: String,
    },
    /// A difficulty that cannot be.
    #[error("the pool set a difficulty: {0}")]
    Difficulty(DifficultyError),
    /// A job that cannot be mined.
    #[error("the pool offered a job with {0}")]
    Job(JobError),
    /// No authorisation in time.
    #[error("the pool did not finish the greeting within {} s", HANDSHAKE_LIMIT.as_secs())]
    Handshake,
    /// A share was not answered in time, or too many were not.
    #[error("the pool does not answer shares")]
    Unanswered,
    /// No job in time.
    #[error("the pool offered no job for {} s", SILENCE_LIMIT.as_secs())]
    Silent,
    /// It asks and does not read.
    #[error("the pool does not read what it asked for")]
    Flooded,
}

/// What a client tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The worker is authorised; jobs follow.
    Ready,
    /// Something to mine.
    Job(Job),
    /// What became of a share.
    Verdict {
        /// Which.
        share: ShareId,
        /// What.
        verdict: Verdict,
    },
    /// The difficulty of the jobs to come.
    Difficulty(Difficulty),
    /// For people: the pool's message, or a request of it that was refused.
    Notice(String),
    /// The pool asks to be connected to again, at the same host. The session is over; close the connection.
    Reconnect {
        /// Where.
        url: Url,
        /// After how long.
        wait: Duration,
    },
    /// The session is over; close the connection.
    Failed(ClientError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Greeting,
    Subscribed,
    Ready,
}

struct Pending {
    id: u64,
    share: ShareId,
    sent: Time,
}

/// Our half of a connection to a pool.
pub struct Client {
    upstream: UpstreamId,
    url: Url,
    user: String,
    password: String,
    suggested: Option<Difficulty>,
    state: State,
    opened: Time,
    last_job: Time,
    /// Some old pools hang up at a configure that comes before the subscribe: every other attempt goes without.
    skip_configure: bool,
    extranonce_agreed: bool,
    extranonce1: Vec<u8>,
    extranonce2_size: u8,
    version_mask: u32,
    difficulty: Difficulty,
    /// The newest job that came before the authorisation.
    held: Option<Job>,
    next_job: u64,
    /// The first job number of this session: older shares belong to a dead one.
    session_job: u64,
    next_id: u64,
    pending: VecDeque<Pending>,
    lines: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// A client of one upstream. Its job numbers carry the upstream in their highest byte.
    #[must_use]
    pub fn new(upstream: UpstreamId, url: Url, user: &str, password: &str) -> Client {
        let next_job = u64::from(upstream.0) << 56 | 1;
        Client {
            upstream,
            url,
            user: user.to_owned(),
            password: password.to_owned(),
            suggested: None,
            state: State::Closed,
            opened: Time::ZERO,
            last_job: Time::ZERO,
            skip_configure: false,
            extranonce_agreed: false,
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            version_mask: 0,
            difficulty: Difficulty::ONE,
            held: None,
            next_job,
            session_job: next_job,
            next_id: FIRST_SUBMIT,
            pending: VecDeque::new(),
            lines: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks the pool for this difficulty, as its minimum too. Takes effect with the next connection.
    pub fn suggest(&mut self, difficulty: Difficulty) {
        self.suggested = Some(difficulty);
    }

    /// The connection stands: greet the pool.
    pub fn open(&mut self, now: Time) {
        self.end();
        self.state = State::Greeting;
        (self.opened, self.last_job) = (now, now);
        (self.extranonce_agreed, self.version_mask, self.difficulty) = (false, 0, Difficulty::ONE);
        (self.held, self.session_job) = (None, self.next_job);
        if !self.skip_configure {
            let mask = format!("{:08x}", wire::ROLLABLE_VERSION_BITS);
            let params = match self.suggested {
                None => format!(
                    r#"[["version-rolling","subscribe-extranonce"],{{"version-rolling.mask":"{mask}","version-rolling.min-bit-count":2}}]"#
                ),
                Some(d) => format!(
                    r#"[["version-rolling","minimum-difficulty","subscribe-extranonce"],{{"version-rolling.mask":"{mask}","version-rolling.min-bit-count":2,"minimum-difficulty.value":{}}}]"#,
                    d.to_decimal()
                ),
            };
            self.request(CONFIGURE, "mining.configure", &params);
        }
        self.request(SUBSCRIBE, "mining.subscribe", &serde_json::json!([AGENT]).to_string());
    }

    /// A line came.
    pub fn tell_line(&mut self, now: Time, line: &[u8]) {
        if self.state == State::Closed || line.trim_ascii().is_empty() {
            return;
        }
        let outcome = wire::parse(line, wire::CLIENT_LINE_LIMIT).map_err(ClientError::from).and_then(|m| match m {
            Message::Response { id, result, error } => self.response(now, &id, &result, error),
            Message::Request { id, method, params } => self.told(now, Some(&id), &method, &params),
            Message::Notification { method, params } => self.told(now, None, &method, &params),
        });
        if let Err(e) = outcome {
            self.fail(e);
        }
    }

    /// The connection ended by itself.
    pub fn tell_closed(&mut self) {
        if self.state == State::Greeting {
            self.skip_configure = !self.skip_configure;
        }
        self.end();
    }

    /// Sends a share. One of an earlier session, or without a session, is stale at once.
    pub fn submit(&mut self, now: Time, share: &Share) {
        if self.state != State::Ready || share.job.0 < self.session_job {
            return self.events.push_back(ClientEvent::Verdict { share: share.id, verdict: Verdict::Stale });
        }
        if self.pending.len() >= PENDING_LIMIT {
            self.events.push_back(ClientEvent::Verdict { share: share.id, verdict: unanswered() });
            return self.fail(ClientError::Unanswered);
        }
        let mut params = vec![
            self.user.clone(),
            share.job_name.clone(),
            to_hex(&share.extranonce2),
            format!("{:08x}", share.time),
            format!("{:08x}", share.nonce),
        ];
        params.extend(share.version_bits.map(|bits| format!("{bits:08x}")));
        let id = self.next_id;
        self.next_id += 1;
        self.pending.push_back(Pending { id, share: share.id, sent: now });
        self.request(id, "mining.submit", &serde_json::json!(params).to_string());
    }

    /// When [`Client::tick`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let verdict = self.pending.front().map_or(Time::NEVER, |p| p.sent + VERDICT_LIMIT);
        match self.state {
            State::Closed => Time::NEVER,
            State::Greeting | State::Subscribed => self.opened + HANDSHAKE_LIMIT,
            State::Ready => verdict.min(self.last_job + SILENCE_LIMIT),
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time) {
        if now < self.wake_at() {
            return;
        }
        self.fail(match self.state {
            State::Closed => return,
            State::Greeting | State::Subscribed => ClientError::Handshake,
            State::Ready if now >= self.last_job + SILENCE_LIMIT => ClientError::Silent,
            State::Ready => ClientError::Unanswered,
        });
    }

    /// The next line to send, its end included.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        self.lines.pop_front()
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn response(&mut self, now: Time, id: &Id, result: &str, error: Option<PeerError>) -> Result<(), ClientError> {
        let refused =
            |what| ClientError::Refused { what, text: error.as_ref().map_or("no reason given".into(), |e| e.text.clone()) };
        match id.number() {
            // An error is no failure: the pool is older than BIP 310 and versions stay as they are.
            Some(CONFIGURE) if error.is_none() => self.configured(result),
            Some(SUBSCRIBE) if self.state == State::Greeting => {
                let (_, extranonce1, size): (serde_json::Value, String, u8) = match serde_json::from_str(result) {
                    Ok(r) if error.is_none() => r,
                    Err(_) if error.is_none() && result != "null" && result != "false" => {
                        return Err(malformed("an answer to mining.subscribe", "extranonce"));
                    }
                    _ => return Err(refused("mining.subscribe")),
                };
                self.set_extranonce(&extranonce1, size)?;
                self.state = State::Subscribed;
                let who = serde_json::json!([self.user, self.password]).to_string();
                self.request(AUTHORIZE, "mining.authorize", &who);
                if !self.extranonce_agreed {
                    self.request(EXTRANONCE, "mining.extranonce.subscribe", "[]");
                }
                if let Some(d) = self.suggested {
                    self.request(SUGGEST, "mining.suggest_difficulty", &format!("[{}]", d.to_decimal()));
                }
                Ok(())
            }
            Some(AUTHORIZE) if self.state == State::Subscribed => {
                if error.is_some() || result != "true" {
                    return Err(refused("the worker"));
                }
                self.state = State::Ready;
                self.last_job = now;
                self.events.push_back(ClientEvent::Ready);
                self.events.extend(self.held.take().map(ClientEvent::Job));
                Ok(())
            }
            Some(id) => {
                if let Some(p) = self.pending.iter().position(|p| p.id == id).and_then(|at| self.pending.remove(at)) {
                    self.events.push_back(ClientEvent::Verdict { share: p.share, verdict: verdict(result, error) });
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn configured(&mut self, result: &str) -> Result<(), ClientError> {
        let answer: serde_json::Value = serde_json::from_str(result).unwrap_or_default();
        let agreed = |key: &str| answer.get(key).and_then(serde_json::Value::as_bool) == Some(true);
        self.extranonce_agreed = agreed("subscribe-extranonce");
        if agreed("version-rolling") {
            let mask = answer.get("version-rolling.mask").and_then(|m| m.as_str()).and_then(wire::hex_u32);
            let mask = mask.ok_or_else(|| malformed("an answer to mining.configure", "version-rolling.mask"))?;
            self.version_mask = mask & wire::ROLLABLE_VERSION_BITS;
        }
        Ok(())
    }

    fn told(&mut self, now: Time, id: Option<&Id>, method: &str, p: &Params) -> Result<(), ClientError> {
        match method {
            "mining.notify" => self.notify(now, p)?,
            "mining.set_difficulty" => {
                self.difficulty = p.difficulty(0).map_err(ClientError::Difficulty)?;
                self.events.push_back(ClientEvent::Difficulty(self.difficulty));
            }
            "mining.set_extranonce" => {
                let (one, size) = (p.text(0, wire::NAME_LIMIT), p.get::<u8>(1));
                let (one, size) = one.zip(size).ok_or_else(|| malformed("mining.set_extranonce", "extranonce"))?;
                self.set_extranonce(&one, size)?;
            }
            "mining.set_version_mask" => {
                let mask = p.hex_u32(0).ok_or_else(|| malformed("mining.set_version_mask", "mask"))?;
                self.version_mask = mask & wire::ROLLABLE_VERSION_BITS;
            }
            "client.reconnect" => self.reconnect(p)?,
            "client.show_message" => {
                self.events.push_back(ClientEvent::Notice(shorten(&p.get::<String>(0).unwrap_or_default())));
            }
            "mining.ping" | "client.ping" => return self.reply(id, "\"pong\"", "null"),
            "client.get_version" => return self.reply(id, &format!("\"{AGENT}\""), "null"),
            _ => return self.reply(id, "null", r#"[20,"unknown method",null]"#),
        }
        self.reply(id.filter(|_| self.state != State::Closed), "true", "null")
    }

    fn notify(&mut self, now: Time, p: &Params) -> Result<(), ClientError> {
        let bad = |field: &str| malformed("mining.notify", field);
        if self.state == State::Greeting {
            return Err(bad("moment: it came before the subscription"));
        }
        let bytes = |at, field: &str| p.get::<String>(at).and_then(|t| wire::from_hex(&t)).ok_or_else(|| bad(field));
        let branch: Vec<String> = p.get(4).ok_or_else(|| bad("merkle branch"))?;
        let branch = branch.iter().map(|h| wire::hex_hash(h)).collect::<Option<_>>().ok_or_else(|| bad("merkle branch"))?;
        let previous = p.get::<String>(1).and_then(|t| wire::hex_hash(&t)).ok_or_else(|| bad("previous block"))?;
        let body = CoinbaseJob {
            version: p.hex_u32(5).ok_or_else(|| bad("version"))?,
            version_mask: self.version_mask,
            previous: wire::swap_words(previous),
            coinbase_prefix: bytes(2, "coinbase")?,
            coinbase_suffix: bytes(3, "coinbase")?,
            extranonce1: self.extranonce1.clone(),
            extranonce2_size: self.extranonce2_size,
            branch,
            bits: p.hex_u32(6).ok_or_else(|| bad("nBits"))?,
            time: p.hex_u32(7).ok_or_else(|| bad("time"))?,
        };
        body.check().map_err(ClientError::Job)?;
        let job = Job {
            id: JobId(self.next_job),
            upstream: self.upstream,
            name: p.text(0, wire::NAME_LIMIT).ok_or_else(|| bad("job name"))?,
            body: JobBody::Coinbase(body),
            target: self.difficulty.to_target_bdiff(),
            // The first job of a session voids those of the session before it, whatever the pool says; so does one
            // that takes the place of a job which was never shown.
            clean: p.get(8).unwrap_or(false) || self.next_job == self.session_job || self.held.as_ref().is_some_and(|h| h.clean),
        };
        self.next_job += 1;
        self.last_job = now;
        if self.state == State::Ready {
            self.events.push_back(ClientEvent::Job(job))
        } else {
            self.held = Some(job)
        }
        Ok(())
    }

    fn set_extranonce(&mut self, extranonce1: &str, size: u8) -> Result<(), ClientError> {
        let bytes = wire::from_hex(extranonce1).ok_or_else(|| malformed("an extranonce", "hex text"))?;
        // The job's own check holds the limits; here they are met before any job is.
        if !(1..=16).contains(&size) || bytes.len() + usize::from(size) > 32 {
            return Err(ClientError::Job(JobError::Extranonce { extranonce1: bytes.len(), extranonce2: size.into() }));
        }
        (self.extranonce1, self.extranonce2_size) = (bytes, size);
        Ok(())
    }

    /// Another host would take our hash power wherever an attacker on the line likes: only the port may change.
    fn reconnect(&mut self, p: &Params) -> Result<(), ClientError> {
        let host = p.text(0, wire::TEXT_LIMIT).unwrap_or_default();
        if !host.is_empty() && !host.eq_ignore_ascii_case(&self.url.host) {
            tracing::warn!(upstream = self.upstream.0, host = shorten(&host), "reconnect to another host refused");
            let notice = format!("the pool asked to reconnect to another host, refused: {host}");
            self.events.push_back(ClientEvent::Notice(shorten(&notice)));
            return Ok(());
        }
        let port = match p.raw(1).map(|r| r.trim_matches('"')) {
            None | Some("" | "0" | "null") => self.url.port,
            Some(text) => text.parse().map_err(|_| malformed("client.reconnect", "port"))?,
        };
        let wait = Duration::from_secs(p.get::<u64>(2).unwrap_or(0)).min(RECONNECT_WAIT_LIMIT);
        self.end();
        self.events.push_back(ClientEvent::Reconnect { url: Url { port, ..self.url.clone() }, wait });
        Ok(())
    }

    fn request(&mut self, id: u64, method: &str, params: &str) {
        self.send(format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n"));
    }

    fn reply(&mut self, id: Option<&Id>, result: &str, error: &str) -> Result<(), ClientError> {
        let Some(id) = id else { return Ok(()) };
        if self.lines.len() >= LINES_LIMIT {
            return Err(ClientError::Flooded);
        }
        self.send(format!("{{\"id\":{id},\"result\":{result},\"error\":{error}}}\n"));
        Ok(())
    }

    fn send(&mut self, line: String) {
        self.lines.push_back(line.into_bytes());
    }

    fn fail(&mut self, error: ClientError) {
        self.end();
        self.events.push_back(ClientEvent::Failed(error));
    }

    /// The session is over: nothing more is sent, and every share that waits gets its verdict.
    fn end(&mut self) {
        self.state = State::Closed;
        self.lines.clear();
        let lost = self.pending.drain(..).map(|p| ClientEvent::Verdict { share: p.share, verdict: unanswered() });
        self.events.extend(lost);
    }
}

fn malformed(what: &'static str, field: &str) -> ClientError {
    ClientError::Malformed { what, field: field.to_owned() }
}

fn unanswered() -> Verdict {
    Verdict::Rejected(Reject::Other(NO_ANSWER.to_owned()))
}

fn verdict(result: &str, error: Option<PeerError>) -> Verdict {
    match error {
        None if result == "true" => Verdict::Accepted,
        None => Verdict::Rejected(Reject::Other("no reason given".to_owned())),
        Some(PeerError { code: 21, .. }) => Verdict::Stale,
        Some(PeerError { code: 22, .. }) => Verdict::Rejected(Reject::Duplicate),
        Some(PeerError { code: 23, .. }) => Verdict::Rejected(Reject::LowDifficulty),
        Some(PeerError { code: 24 | 25, .. }) => Verdict::Rejected(Reject::Unauthorized),
        Some(e) => Verdict::Rejected(Reject::Other(e.text)),
    }
}
