//! A hand on a thread of its own: orders go to it through a bounded channel, facts come back through the one channel of events.
//!
//! The thread sleeps in `poll` on the hand's line, so that a reply is read when it arrives, and on an eventfd that an order
//! rings. Not here: what a hand does.

use crate::event::Event;
use control::{Fact, Order};
use model::Time;
use rig::Hand;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Orders that wait for a hand. A chain gets one work an epoch and at most one more a job; a hand that is this far behind hangs.
const ORDER_LIMIT: usize = 64;
/// Longest sleep of a hand's thread, so that a stop is seen.
const SLEEP_LIMIT: Duration = Duration::from_millis(500);

/// The near end of a hand that lives on its own thread.
pub struct RemoteHand {
    orders: SyncSender<Order>,
    bell: Arc<OwnedFd>,
    place: String,
    lost: u64,
}

impl RemoteHand {
    /// Starts the thread. `line` is polled for arriving bytes where the hand has one.
    ///
    /// # Errors
    /// No eventfd or no thread can be had.
    pub fn start(
        place: &str,
        mut hand: impl Hand + Send + 'static,
        line: Option<OwnedFd>,
        events: SyncSender<Event>,
        epoch: Instant,
    ) -> std::io::Result<RemoteHand> {
        let (orders, inbox) = sync_channel(ORDER_LIMIT);
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let rung = Arc::clone(&bell);
        std::thread::Builder::new().name(place.to_owned()).spawn(move || run(&mut hand, line, &inbox, &rung, &events, epoch))?;
        Ok(RemoteHand { orders, bell, place: place.to_owned(), lost: 0 })
    }
}

impl Hand for RemoteHand {
    fn obey(&mut self, _now: Time, order: Order) {
        match self.orders.try_send(order) {
            Ok(()) => {
                // A full eventfd counter still wakes its reader.
                let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.lost += 1,
        }
    }

    fn turn(&mut self, _now: Time, facts: &mut Vec<Fact>) {
        if self.lost > 0 {
            facts.push(Fact::OrdersLost { place: self.place.clone(), count: std::mem::take(&mut self.lost) });
        }
    }

    fn wake_at(&self) -> Time {
        Time::NEVER
    }
}

fn run(
    hand: &mut dyn Hand,
    line: Option<OwnedFd>,
    inbox: &Receiver<Order>,
    bell: &OwnedFd,
    events: &SyncSender<Event>,
    epoch: Instant,
) {
    let mut facts = Vec::new();
    loop {
        let now = crate::event::now(epoch);
        loop {
            match inbox.try_recv() {
                Ok(order) => hand.obey(now, order),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
        hand.turn(now, &mut facts);
        for fact in facts.drain(..) {
            if events.send(Event::Fact(fact)).is_err() {
                return;
            }
        }
        let sleep = hand.wake_at().since(crate::event::now(epoch)).min(SLEEP_LIMIT);
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
        let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
        if let Some(line) = &line {
            fds.push(PollFd::new(line, PollFlags::IN));
        }
        // An interrupted or failed poll only means an early turn.
        if poll(&mut fds, Some(&timeout)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut rings = [0; 8];
        let _ = rustix::io::read(bell, &mut rings);
    }
}
