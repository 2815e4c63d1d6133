//! A hand on a thread of its own: orders go to it through a bounded channel, facts come back through the one channel of events.
//!
//! The thread sleeps in `poll` on an eventfd that an order rings, and on the hand's line, so that a reply is read when it arrives; where
//! the hand lets replies gather, it wakes for the line at full twentieths of a second alone. Not here: what a hand does.

use crate::event::Event;
use crate::vital::Vital;
use control::{Fact, Order};
use model::Time;
use rig::Hand;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Orders that wait for a hand. A chain gets one work an epoch and at most one more a job, and tuning may set each of its 255 chips at once;
/// a hand that is this far behind hangs.
const ORDER_LIMIT: usize = 512;
/// Longest sleep of a hand's thread, so that a stop is seen.
const SLEEP_LIMIT: Duration = Duration::from_millis(500);

/// The near end of a hand that lives on its own thread.
pub struct RemoteHand {
    orders: SyncSender<Order>,
    bell: Arc<OwnedFd>,
    place: String,
    lost: u64,
    vital: Arc<Vital>,
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
        let vital = Arc::new(Vital::new(place, crate::event::now(epoch)));
        let near = Near { inbox, bell: rung, events, vital: Arc::clone(&vital) };
        std::thread::Builder::new().name(place.to_owned()).spawn(move || run(&mut hand, line.as_ref(), &near, epoch))?;
        Ok(RemoteHand { orders, bell, place: place.to_owned(), lost: 0, vital })
    }

    /// Its signs of life.
    pub fn vital(&self) -> Arc<Vital> {
        Arc::clone(&self.vital)
    }
}

impl Hand for RemoteHand {
    fn obey(&mut self, now: Time, order: Order) {
        self.vital.ordered(now, &order);
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

/// What a hand's thread hears and tells.
struct Near {
    inbox: Receiver<Order>,
    bell: Arc<OwnedFd>,
    events: SyncSender<Event>,
    vital: Arc<Vital>,
}

fn run(hand: &mut dyn Hand, line: Option<&OwnedFd>, near: &Near, epoch: Instant) {
    let mut facts = Vec::new();
    loop {
        let now = crate::event::now(epoch);
        near.vital.turns(now);
        loop {
            match near.inbox.try_recv() {
                Ok(order) => hand.obey(now, order),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
        hand.turn(now, &mut facts);
        near.vital.told(&facts);
        if !facts.is_empty() && near.events.send(Event::Facts(std::mem::take(&mut facts))).is_err() {
            return;
        }
        let (now, due, gather) = (crate::event::now(epoch), hand.wake_at(), hand.gathers());
        match line {
            Some(_) if !gather.is_zero() => sleep(&near.bell, None, due.min(next_full(now, gather)).since(now)),
            line => sleep(&near.bell, line, due.since(now)),
        }
    }
}

/// The next whole multiple of a period: hands that gather wake up together, and so the deciding loop hears them together.
fn next_full(now: Time, period: Duration) -> Time {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
    Time::from_micros((now.micros() / period).saturating_add(1).saturating_mul(period))
}

/// Sleeps until the bell rings, or bytes are there, or the time is over.
fn sleep(bell: &OwnedFd, line: Option<&OwnedFd>, sleep: Duration) {
    let sleep = sleep.min(SLEEP_LIMIT);
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
    let mut fds = [PollFd::new(bell, PollFlags::IN), PollFd::new(line.unwrap_or(bell), PollFlags::IN)];
    let polled = if line.is_some() { &mut fds[..] } else { &mut fds[..1] };
    // An interrupted or failed poll only means an early turn.
    if poll(polled, Some(&timeout)).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    } else if !fds[0].revents().is_empty() {
        let mut rings = [0; 8];
        let _ = rustix::io::read(bell, &mut rings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its turns take as long as a bus that hangs.
    struct Hangs(Receiver<()>);

    impl Hand for Hangs {
        fn obey(&mut self, _: Time, _: Order) {}
        fn turn(&mut self, _: Time, _: &mut Vec<Fact>) {
            let _ = self.0.recv();
        }
        fn wake_at(&self) -> Time {
            Time::NEVER
        }
    }

    #[test]
    fn a_hand_whose_bus_hangs_gives_no_sign_of_life() {
        let (end, wait) = sync_channel::<()>(0);
        let (events, _kept) = sync_channel(8);
        let epoch = Instant::now();
        let hand = RemoteHand::start("board", Hangs(wait), None, events, epoch).expect("a thread");
        let vital = hand.vital();
        assert_eq!(vital.trouble(crate::event::now(epoch)), None);
        let later = crate::event::now(epoch) + Duration::from_secs(31);
        assert!(vital.trouble(later).is_some_and(|t| t.contains("board")), "as it stands 31 s later");
        // The bus answers: each turn from here on is over at once.
        drop(end);
        let (freed, patience) = (crate::event::now(epoch), Instant::now() + Duration::from_secs(60));
        while vital.trouble(freed + Duration::from_secs(30)).is_some() {
            assert!(Instant::now() < patience, "never well again");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn hands_that_gather_wake_at_the_same_full_moments() {
        let period = Duration::from_millis(50);
        for (now, full) in [(0, 50), (1, 50), (49, 50), (50, 100), (99, 100), (1234, 1250)] {
            assert_eq!(next_full(Time::from_millis(now), period), Time::from_millis(full), "{now}");
        }
        assert_eq!(next_full(Time::from_micros(49_999), period), Time::from_millis(50));
        assert_eq!(next_full(Time::NEVER, period), Time::from_micros(u64::MAX));
    }
}
