//! The network's thread: connections to pools, the machine's own pool, and the signals that end the program.
//!
//! One tokio runtime on one thread. The deciding thread hands it [`NetOrder`]s and gets events back; it alone knows which
//! connection of a pool counts, so that news of one that was dropped is told from news of the next. Not here: what a line means.

use crate::event::Event;
use crate::own_pool::OwnPool;
use anyhow::Context;
use model::UpstreamId;
use rig::{Net, NetOrder};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use stratum::Url;
use stratum::net::{NetEvent, Tell, ToThread, run_client};
use stratum::v1::wire::CLIENT_LINE_LIMIT;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use pool::server::PoolStatus;

/// Orders that wait for the thread, which takes them in microseconds.
const ORDER_LIMIT: usize = 1024;
/// Lines that wait for a pool's connection: more means that the pool does not read.
const LINE_LIMIT: usize = 512;

/// The far end: what the thread is told.
enum Task {
    Connect(UpstreamId, u64, Url),
    Disconnect(UpstreamId),
    Send(UpstreamId, Vec<u8>),
}

/// The near end.
pub struct Network {
    tasks: mpsc::Sender<Task>,
    urls: Vec<Url>,
    /// The connection of each pool that counts.
    current: BTreeMap<UpstreamId, u64>,
    last: u64,
    lost: u64,
    /// What the own pool says of itself.
    pub pool: watch::Receiver<PoolStatus>,
    /// Where the own pool listens.
    pub listening: Option<SocketAddr>,
}

impl Network {
    /// Starts the thread and waits until the own pool listens.
    ///
    /// # Errors
    /// No thread, no signal handler, or the own pool cannot listen.
    pub fn start(own: Option<OwnPool>, events: SyncSender<Event>) -> anyhow::Result<Network> {
        let (tasks, inbox) = mpsc::channel(ORDER_LIMIT);
        let (status, pool) = watch::channel(PoolStatus::default());
        let (ready, started) = sync_channel(1);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime.context("start the network's runtime") {
                Ok(runtime) => runtime,
                Err(e) => return drop(ready.send(Err(e))),
            };
            runtime.block_on(async move {
                let listening = match begin(own, status, &events).await {
                    Ok(listening) => listening,
                    Err(e) => return drop(ready.send(Err(e))),
                };
                if ready.send(Ok(listening)).is_ok() {
                    carry(inbox, &events).await;
                }
            });
            // Names that are being resolved would hold an ordinary end back.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("network".into()).spawn(run).context("start the network's thread")?;
        let listening = started.recv().context("the network's thread ended")??;
        Ok(Network { tasks, urls: Vec::new(), current: BTreeMap::new(), last: 0, lost: 0, pool, listening })
    }

    /// Sets where the upstreams are, in their order.
    pub fn set_upstreams(&mut self, urls: Vec<Url>) {
        self.urls = urls;
    }

    /// Carries out what the rig asks for. A pool that is connected already stays so.
    pub fn obey(&mut self, order: NetOrder) {
        let task = match order {
            NetOrder::Connect(u) if self.current.contains_key(&u) => return,
            NetOrder::Connect(u) => {
                let Some(url) = self.urls.get(usize::from(u.0)) else { return };
                self.last += 1;
                self.current.insert(u, self.last);
                Task::Connect(u, self.last, url.clone())
            }
            NetOrder::Disconnect(u) => {
                self.current.remove(&u);
                Task::Disconnect(u)
            }
            NetOrder::Send(u, line) => Task::Send(u, line),
        };
        if self.tasks.try_send(task).is_err() {
            self.lost += 1;
        }
    }

    /// Whether this news counts: that of a connection that was dropped does not.
    pub fn hear(&mut self, upstream: UpstreamId, connection: u64, net: &Net) -> bool {
        let counts = self.current.get(&upstream) == Some(&connection);
        if counts && matches!(net, Net::Closed(_)) {
            self.current.remove(&upstream);
        }
        counts
    }

    /// How many orders were lost since the last call because the thread hangs.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// Starts what runs beside the connections; gives back where the own pool listens.
async fn begin(
    own: Option<OwnPool>,
    status: watch::Sender<PoolStatus>,
    events: &SyncSender<Event>,
) -> anyhow::Result<Option<SocketAddr>> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind).context("listen for signals")?;
        let events = events.clone();
        tokio::spawn(async move {
            let mut tell = ToThread(events, |_| Event::Stop);
            while signals.recv().await.is_some() && tell.tell(NetEvent::Connected).await {}
        });
    }
    let Some(own) = own else { return Ok(None) };
    let mut seen = status.subscribe();
    let mut serving = tokio::spawn(pool::server::serve(own.config, own.node, status));
    tokio::select! {
        ended = &mut serving => {
            ended.context("run the own pool")?.context("run the own pool (settings 'pool.address', 'state')")?;
            anyhow::bail!("the own pool ended at its start");
        }
        listening = seen.wait_for(|s| s.listening.is_some()) => {
            let listening = listening.context("start the own pool")?.listening;
            tokio::spawn(async move {
                if let Ok(Err(e)) = serving.await {
                    tracing::error!(error = %e, "the own pool ended");
                }
            });
            Ok(listening)
        }
    }
}

struct Connection {
    number: u64,
    lines: mpsc::Sender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without lines it would end by itself, after a peer that does not answer was waited for.
        self.task.abort();
    }
}

async fn carry(mut inbox: mpsc::Receiver<Task>, events: &SyncSender<Event>) {
    let mut connections: BTreeMap<UpstreamId, Connection> = BTreeMap::new();
    while let Some(task) = inbox.recv().await {
        match task {
            Task::Connect(upstream, number, url) => {
                let (lines, outbox) = mpsc::channel(LINE_LIMIT);
                let tell = teller(upstream, number, events);
                let task = tokio::spawn(async move { run_client(&url, CLIENT_LINE_LIMIT, outbox, tell).await });
                connections.insert(upstream, Connection { number, lines, task });
            }
            Task::Disconnect(upstream) => drop(connections.remove(&upstream)),
            Task::Send(upstream, line) => {
                let Some(connection) = connections.get(&upstream) else { continue };
                if let Err(mpsc::error::TrySendError::Full(_)) = connection.lines.try_send(line) {
                    let number = connection.number;
                    connections.remove(&upstream);
                    let why = format!("{LINE_LIMIT} lines wait for it and it does not read");
                    teller(upstream, number, events).tell(NetEvent::Closed(why)).await;
                }
            }
        }
    }
}

fn teller(upstream: UpstreamId, connection: u64, events: &SyncSender<Event>) -> impl Tell + 'static {
    ToThread(events.clone(), move |event| {
        let net = match event {
            NetEvent::Connected => Net::Connected,
            NetEvent::Line(line) => Net::Line(line),
            NetEvent::Closed(why) => Net::Closed(why),
        };
        Event::Net { upstream, connection, net }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_a_dropped_connection_does_not_count_and_a_second_connect_is_no_new_one() {
        let (events, _kept) = sync_channel(8);
        let mut network = Network::start(None, events).expect("starts");
        // Port 1 of loopback: whatever comes of it is not waited for.
        network.set_upstreams(vec![Url::parse("stratum+tcp://127.0.0.1:1").expect("an address")]);
        let u = UpstreamId(0);
        network.obey(NetOrder::Connect(u));
        network.obey(NetOrder::Connect(u));
        assert!(network.hear(u, 1, &Net::Connected));
        network.obey(NetOrder::Disconnect(u));
        network.obey(NetOrder::Connect(u));
        assert!(!network.hear(u, 1, &Net::Closed("late".into())));
        assert!(network.hear(u, 2, &Net::Closed("now".into())));
        assert!(!network.hear(u, 2, &Net::Connected));
    }
}
