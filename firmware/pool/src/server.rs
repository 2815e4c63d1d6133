//! The thin tokio shell of a pool: a listener, one task a miner, and the threads that wait for the node.
//!
//! It carries bytes between sockets and `stratum`'s sessions, and every share to the one `SoloPool` behind a lock that is held
//! for the microseconds of one check. A new job reaches tasks as a latest value: a slow miner skips jobs instead of queueing them.
//! Deliberately not here: what a line means (`stratum`), what a share is worth (`solo`), what a node is (`node`).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{Hash, Job, JobBody, Time, Verdict, WorkerStatus};
use stratum::{
    net::{WRITE_LIMIT, prepare},
    v1::{Session, SessionEvent, Submission, notify_line, wire::SERVER_LINE_LIMIT},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    coinbase::EXTRANONCE2_SIZE,
    courier::{Courier, Delivery},
    journal::{Journal, JournalError},
    keeper::{self, Blocks, Report},
    node::Node,
    solo::{Claim, Offer, SoloConfig, SoloPool},
};

/// How often a session is told the time, for its own deadlines.
const TICK: Duration = Duration::from_secs(1);
/// How often the status is renewed.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Pause after the system refused a connection (no file handles left), so that the listener does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Workers in the status; a page cannot show more, and a miner may authorise any number of names.
const WORKERS_LIMIT: usize = 10_000;

/// What a pool is set to.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Where miners connect: `0.0.0.0:3333`. Port 0 takes a free one (see [`PoolStatus::listening`]).
    pub address: String,
    /// Miners at a time; more are closed at once.
    pub max_connections: usize,
    /// What is mined and for whom.
    pub solo: SoloConfig,
    /// Folder of the block journal; `None` for a practice chain, which forgets its blocks itself.
    pub state: Option<PathBuf>,
}

/// What a pool shows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolStatus {
    /// Where it listens; `None` until it does.
    pub listening: Option<SocketAddr>,
    /// Miners connected.
    pub connections: usize,
    /// By name, in order.
    pub workers: Vec<WorkerStatus>,
    /// Height of the block that is mined; `None` before the first template.
    pub height: Option<u32>,
    /// Blocks that became the tip of the node's chain.
    pub blocks: u64,
    /// Blocks that the node refused, or took without making them its tip.
    pub blocks_lost: u64,
    /// Why the node gives no work, for the fault `node-down`.
    pub node_error: Option<String>,
}

/// Why a pool cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("listen for miners on {address}: {source}")]
    Listen {
        /// The address of the settings.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The block journal cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system gives no thread.
    #[error("start the node's threads: {0}")]
    Thread(std::io::Error),
    /// The node's thread ended.
    #[error("the node's thread ended")]
    NodeThread,
}

struct Shared {
    core: Mutex<Core>,
    offers: watch::Receiver<Option<Arc<Broadcast>>>,
    blocks: Blocks,
    start: Instant,
}

/// A job and its lines, made once for all miners.
struct Broadcast {
    offer: Arc<Offer>,
    previous: Hash,
    line: Vec<u8>,
    /// For miners that have not seen any job on this previous block: jobs may be skipped, a `clean` may not.
    clean_line: Vec<u8>,
}

impl Broadcast {
    fn new(offer: Arc<Offer>) -> Broadcast {
        let JobBody::Coinbase(body) = &offer.job.body;
        let previous = body.previous;
        let clean_line = notify_line(&Job { clean: true, ..offer.job.clone() });
        Broadcast { line: notify_line(&offer.job), clean_line, previous, offer }
    }
}

struct Core {
    pool: SoloPool,
    workers: BTreeMap<String, WorkerStatus>,
    status: PoolStatus,
    next_extranonce: u32,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic in one miner's task leaves counters at worst one behind; the others mine on.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }
}

/// Runs a pool until it fails or is dropped. Everything it does is in `status`.
///
/// # Errors
/// The address is taken, the journal cannot be opened, or the node's thread ended.
pub async fn serve(config: PoolConfig, node: Box<dyn Node>, status: watch::Sender<PoolStatus>) -> Result<(), ServeError> {
    let listener = TcpListener::bind(&config.address)
        .await
        .map_err(|source| ServeError::Listen { address: config.address.clone(), source })?;
    let journal = config.state.as_deref().map(Journal::open).transpose()?;
    let (blocks, mut reports) = keeper::start(Courier::new(node, journal)).map_err(ServeError::Thread)?;
    let (offer, offers) = watch::channel(None);
    let listening = listener.local_addr().ok();
    let core = Core {
        pool: SoloPool::new(config.solo),
        workers: BTreeMap::new(),
        status: PoolStatus { listening, ..PoolStatus::default() },
        next_extranonce: 0,
    };
    let shared = Arc::new(Shared { core: Mutex::new(core), offers, blocks, start: Instant::now() });
    // Tasks end when the pool is dropped: the set owns them.
    let mut miners = tokio::task::JoinSet::new();
    let mut renew = tokio::time::interval(STATUS_EVERY);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if miners.len() < config.max_connections => {
                    let shared = Arc::clone(&shared);
                    miners.spawn(async move {
                        if let Err(e) = carry(stream, &shared).await {
                            tracing::debug!(%peer, error = %e, "a miner's connection ended");
                        }
                    });
                }
                Ok((_, peer)) => tracing::warn!(%peer, limit = config.max_connections, "too many miners: connection closed"),
                Err(e) => {
                    tracing::warn!(error = %e, "accept a miner");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = miners.join_next() => {}
            report = reports.recv() => {
                let report = report.ok_or(ServeError::NodeThread)?;
                take(&shared, report, &offer);
                publish(&shared, miners.len(), &status);
            }
            _ = renew.tick() => publish(&shared, miners.len(), &status),
        }
    }
}

fn publish(shared: &Shared, connections: usize, status: &watch::Sender<PoolStatus>) {
    let mut core = shared.core();
    core.status.connections = connections;
    core.status.workers = core.workers.values().cloned().collect();
    let now = core.status.clone();
    drop(core);
    status.send_if_modified(|old| {
        let changed = *old != now;
        *old = now;
        changed
    });
}

fn take(shared: &Shared, report: Report, offers: &watch::Sender<Option<Arc<Broadcast>>>) {
    let mut core = shared.core();
    match report {
        Report::Template(template) => match core.pool.told_template(template) {
            Ok(offer) => {
                core.status.height = Some(offer.height);
                core.status.node_error = None;
                drop(core);
                offers.send_replace(Some(Arc::new(Broadcast::new(offer))));
            }
            Err(e) => core.status.node_error = Some(e.to_string()),
        },
        Report::Delivery(Delivery::Tip(block)) => {
            core.status.blocks += 1;
            tracing::info!(height = block.height, hash = %block.hash.to_explorer_hex(), "our block is the tip");
        }
        Report::Delivery(Delivery::NotTip(block)) => {
            core.status.blocks_lost += 1;
            tracing::warn!(height = block.height, hash = %block.hash.to_explorer_hex(), "our block came second");
        }
        Report::Delivery(Delivery::Refused(block, why)) => {
            core.status.blocks_lost += 1;
            core.pool.told_refused(block.hash);
            tracing::error!(height = block.height, hash = %block.hash.to_explorer_hex(), why, "the node refused our block");
        }
        Report::Delivery(Delivery::Waiting(block, why)) => {
            tracing::warn!(height = block.height, why, "the node has not answered to our block; it is sent again");
            core.status.node_error = Some(why);
        }
        Report::NodeDown(why) => {
            tracing::warn!(why, "no template");
            core.status.node_error = Some(why);
        }
        Report::Journal(why) => tracing::error!(why, "a block that was answered is still in the journal"),
    }
}

/// One miner, from its connection to its end.
async fn carry(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    prepare(&stream)?;
    let (extranonce1, mask) = {
        let mut core = shared.core();
        core.next_extranonce = core.next_extranonce.wrapping_add(1);
        (core.next_extranonce.to_be_bytes(), core.pool.version_mask())
    };
    let mut session = Session::new(shared.now(), extranonce1.to_vec(), EXTRANONCE2_SIZE, mask);
    let mut offers = shared.offers.clone();
    let mut tick = tokio::time::interval(TICK);
    let (mut held, mut chunk, mut seen) = (Vec::new(), [0; 4096], None);
    loop {
        tokio::select! {
            read = stream.read(&mut chunk) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                held.extend_from_slice(&chunk[..read]);
                while let Some(end) = held.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    session.tell_line(shared.now(), &line[..end]);
                }
                if held.len() > SERVER_LINE_LIMIT {
                    return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line without an end"));
                }
            }
            changed = offers.changed() => {
                if changed.is_err() {
                    return Ok(()); // the pool ends
                }
                let broadcast = offers.borrow_and_update().clone();
                offer(&mut session, broadcast.as_deref(), &mut seen);
            }
            _ = tick.tick() => session.tick(shared.now()),
        }
        let mut closed = None;
        while let Some(event) = session.next_event() {
            match event {
                SessionEvent::Authorized { worker, .. } => {
                    shared.core().worker(&worker);
                    let broadcast = offers.borrow_and_update().clone();
                    seen = None;
                    offer(&mut session, broadcast.as_deref(), &mut seen);
                }
                SessionEvent::Submit(submission) => {
                    let verdict = shared.judge(&submission, &extranonce1);
                    session.answer(submission.token, &verdict);
                }
                // A share's difficulty is a setting: each of a solo miner's shares is worth the same, namely nothing.
                SessionEvent::SuggestDifficulty(_) | SessionEvent::MinimumDifficulty(_) => {}
                SessionEvent::Closed(reason) => closed = Some(reason),
            }
        }
        let mut out = Vec::new();
        while let Some(line) = session.next_line() {
            out.extend(line);
        }
        if !out.is_empty() {
            timeout(WRITE_LIMIT, stream.write_all(&out)).await??;
        }
        if let Some(reason) = closed {
            return Err(std::io::Error::other(reason));
        }
    }
}

fn offer(session: &mut Session, broadcast: Option<&Broadcast>, seen: &mut Option<Hash>) {
    let Some(b) = broadcast else { return };
    let known = seen.replace(b.previous) == Some(b.previous);
    session.offer_line(if known { &b.line } else { &b.clean_line }, b.offer.difficulty);
}

impl Shared {
    fn judge(&self, s: &Submission, extranonce1: &[u8]) -> Verdict {
        let mut core = self.core();
        let (verdict, block) = core.pool.judge(&Claim {
            job_name: &s.job_name,
            extranonce1,
            extranonce2: &s.extranonce2,
            time: s.time,
            nonce: s.nonce,
            version_bits: s.version_bits,
        });
        if let Some(block) = block {
            self.blocks.deliver(block, &s.worker);
        }
        if let Some(worker) = core.worker(&s.worker) {
            match verdict {
                Verdict::Accepted => worker.shares.accepted += 1,
                Verdict::Stale => worker.shares.stale += 1,
                Verdict::Rejected(_) => worker.shares.rejected += 1,
            }
        }
        verdict
    }
}

impl Core {
    fn worker(&mut self, name: &str) -> Option<&mut WorkerStatus> {
        let difficulty = self.pool.offer().map(|o| o.difficulty.to_decimal()).unwrap_or_default();
        if !self.workers.contains_key(name) {
            if self.workers.len() >= WORKERS_LIMIT {
                return None;
            }
            self.workers.insert(name.to_owned(), WorkerStatus { name: name.to_owned(), ..WorkerStatus::default() });
        }
        let worker = self.workers.get_mut(name)?;
        worker.difficulty = difficulty;
        Some(worker)
    }
}
