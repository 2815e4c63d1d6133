//! The one turn: facts from hands and pools go to `Brain`, its orders go to hands and pools. The only place that matches [`Order`].

use crate::Hand;
use control::{Brain, Fact, Order, Rung};
use model::{Fault, FaultCode, Profile, Status, Time, UpstreamId};
use std::collections::{BTreeSet, VecDeque};
use stratum::v1::{Client, ClientError, ClientEvent};

/// What the world says of a pool's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// The connection stands.
    Connected,
    /// A line came, without its end.
    Line(Vec<u8>),
    /// The connection is gone, or never came about, and why.
    Closed(String),
}

/// What the world is asked to do with a pool's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetOrder {
    /// Connect, and answer with [`Net::Connected`] or [`Net::Closed`].
    Connect(UpstreamId),
    /// Drop the connection; no answer is wanted.
    Disconnect(UpstreamId),
    /// Send a line, its end included.
    Send(UpstreamId, Vec<u8>),
}

/// A pool that is mined for: its dialect's state. The bytes are moved by the owner of the [`Rig`].
pub struct Upstream {
    /// Our half of the conversation.
    pub client: Client,
    /// As shown to people: the address without a password.
    pub shown: String,
}

/// A running miner.
pub struct Rig {
    brain: Brain,
    chains: Vec<Box<dyn Hand>>,
    board: Option<Box<dyn Hand>>,
    upstreams: Vec<Upstream>,
    net_orders: VecDeque<NetOrder>,
    faults: BTreeSet<Fault>,
    facts: Vec<Fact>,
    /// What was found by tuning and nobody took yet.
    found: Option<Profile>,
    /// What is to be started anew.
    restart: Option<Rung>,
}

impl Rig {
    /// Joins a brain with its hands: `chains` in order of their ids, `board` for the buses that all boards share.
    #[must_use]
    pub fn new(brain: Brain, chains: Vec<Box<dyn Hand>>, board: Option<Box<dyn Hand>>, upstreams: Vec<Upstream>) -> Rig {
        let (net_orders, faults, facts) = (VecDeque::new(), BTreeSet::new(), Vec::new());
        Rig { brain, chains, board, upstreams, net_orders, faults, facts, found: None, restart: None }
    }

    /// Tells a fact from outside (a user's command, a remote hand's report).
    pub fn tell(&mut self, now: Time, fact: Fact) {
        self.brain.tell(now, fact);
    }

    /// Tells what became of a pool's connection.
    pub fn tell_net(&mut self, now: Time, upstream: UpstreamId, net: Net) {
        let Some(u) = self.upstreams.get_mut(usize::from(upstream.0)) else { return };
        match net {
            Net::Connected => u.client.open(now),
            Net::Line(line) => u.client.tell_line(now, &line),
            Net::Closed(why) => {
                u.client.tell_closed();
                let detail = format!("talk to {}: {why}", u.shown);
                self.brain.tell(now, Fact::UpstreamFailed { upstream, code: FaultCode::UpstreamDown, detail });
            }
        }
        self.hear(now);
    }

    /// Does all that is due. Call it again at [`Rig::wake_at`], and at once when a fact, a line or a byte arrives.
    pub fn turn(&mut self, now: Time) {
        let mut facts = std::mem::take(&mut self.facts);
        for hand in self.chains.iter_mut().chain(self.board.iter_mut()) {
            hand.turn(now, &mut facts);
        }
        for fact in facts.drain(..) {
            self.brain.tell(now, fact);
        }
        self.facts = facts;
        for u in &mut self.upstreams {
            u.client.tick(now);
        }
        self.hear(now);
        self.brain.tick(now);
        self.obey(now);
    }

    /// When something is due next.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let hands = self.chains.iter().chain(self.board.iter()).map(|h| h.wake_at());
        let clients = self.upstreams.iter().map(|u| u.client.wake_at());
        hands.chain(clients).fold(self.brain.wake_at(), Time::min)
    }

    /// What is to be done with pools' connections, oldest first.
    pub fn next_net(&mut self) -> Option<NetOrder> {
        self.net_orders.pop_front()
    }

    /// One snapshot of everything the rig knows.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        let mut status = Status::default();
        self.brain.describe(now, &mut status);
        for (shown, u) in self.upstreams.iter().zip(&mut status.upstreams) {
            u.url.clone_from(&shown.shown);
        }
        status.upstream = status.upstreams.iter().find(|u| u.active).map(|u| u.url.clone());
        status
    }

    /// What tuning found since the last call, to be kept for the next start.
    pub fn take_profile(&mut self) -> Option<Profile> {
        self.found.take()
    }

    /// What is to be started anew, told once.
    pub fn take_restart(&mut self) -> Option<Rung> {
        self.restart.take()
    }

    /// The decider, to be asked what it knows.
    #[must_use]
    pub fn brain(&self) -> &Brain {
        &self.brain
    }

    /// The faults that are there now.
    #[must_use]
    pub fn faults(&self) -> &BTreeSet<Fault> {
        &self.faults
    }

    /// Moves what the pools' dialects have to say: lines out, events to the brain.
    fn hear(&mut self, now: Time) {
        for (i, u) in self.upstreams.iter_mut().enumerate() {
            let id = UpstreamId(u8::try_from(i).expect("settings allow 16 upstreams"));
            while let Some(line) = u.client.next_line() {
                self.net_orders.push_back(NetOrder::Send(id, line));
            }
            while let Some(event) = u.client.next_event() {
                let fact = match event {
                    ClientEvent::Ready => Fact::UpstreamReady(id),
                    ClientEvent::Job(job) => Fact::Job(job),
                    ClientEvent::Verdict { share, verdict } => Fact::Verdict { share, verdict },
                    ClientEvent::Difficulty(_) => continue,
                    ClientEvent::Notice(text) => {
                        tracing::info!(upstream = id.0, text = %text, "the pool says");
                        continue;
                    }
                    ClientEvent::Reconnect { url, wait } => {
                        // The back-off of a failed upstream is the wait; the address is the same host, so nothing else changes.
                        self.net_orders.push_back(NetOrder::Disconnect(id));
                        let detail = format!("the pool asked to be connected to again at {url}, after {wait:?}");
                        Fact::UpstreamFailed { upstream: id, code: FaultCode::UpstreamDown, detail }
                    }
                    ClientEvent::Failed(error) => {
                        self.net_orders.push_back(NetOrder::Disconnect(id));
                        let detail = format!("talk to {}: {error}", u.shown);
                        Fact::UpstreamFailed { upstream: id, code: fault_of(&error), detail }
                    }
                };
                self.brain.tell(now, fact);
            }
        }
        self.obey(now);
    }

    fn obey(&mut self, now: Time) {
        while let Some(order) = self.brain.next_order() {
            match order {
                Order::Connect(u) => self.net_orders.push_back(NetOrder::Connect(u)),
                Order::Disconnect(u) => self.net_orders.push_back(NetOrder::Disconnect(u)),
                Order::Submit(share) => {
                    let id = share.upstream;
                    if let Some(u) = self.upstreams.get_mut(usize::from(id.0)) {
                        u.client.submit(now, &share);
                        while let Some(line) = u.client.next_line() {
                            self.net_orders.push_back(NetOrder::Send(id, line));
                        }
                    }
                }
                Order::Keep(profile) => self.found = Some(profile),
                Order::Restart(rung) => self.restart = Some(rung),
                Order::Raise(fault) => {
                    tracing::warn!(code = fault.code.code(), place = %fault.place, detail = %fault.detail, "fault");
                    self.faults.insert(fault);
                }
                Order::Clear { code, place } => {
                    tracing::info!(code = code.code(), place = %place, "fault is gone");
                    self.faults.retain(|f| f.code != code || f.place != place);
                }
                Order::Work(ref work) => self.chain(now, work.chain, order),
                Order::StartChain(chain)
                | Order::StopChain(chain)
                | Order::Clock { chain, .. }
                | Order::ChipClock { chain, .. } => self.chain(now, chain, order),
                Order::Supply(_) | Order::Rail { .. } | Order::Reset { .. } | Order::Duty(_) => {
                    if let Some(board) = &mut self.board {
                        board.obey(now, order);
                    }
                }
            }
        }
    }

    fn chain(&mut self, now: Time, chain: model::ChainId, order: Order) {
        if let Some(hand) = self.chains.get_mut(usize::from(chain.0)) {
            hand.obey(now, order);
        }
    }
}

fn fault_of(error: &ClientError) -> FaultCode {
    match error {
        ClientError::Silent => FaultCode::UpstreamSilent,
        ClientError::Handshake | ClientError::Unanswered => FaultCode::UpstreamDown,
        _ => FaultCode::UpstreamProtocol,
    }
}
