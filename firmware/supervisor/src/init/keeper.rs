//! What the first process decides: when to start, kill and restart its child, when hardware must be made safe, and whether the
//! hardware watchdog may be fed. A pure machine that is told facts and gives back orders; it has no clock, process or bus.

use model::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Silence after which a child counts as hung. It beats each second; ten of them missed is no busy moment any more.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// Wait before the first restart; it doubles up to [`BACK_OFF_MAX`], so that a program that cannot run leaves the log readable.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A child that ran this long was well: its next restart is quick again.
const WELL: Duration = Duration::from_secs(300);
/// Wait before hardware that could not be made safe is tried again. A killed process gives its lines back within milliseconds;
/// what takes longer than that is a fault, and the wait doubles.
const SECURE_RETRY_MIN: Duration = Duration::from_millis(100);
const SECURE_RETRY_MAX: Duration = Duration::from_secs(5);
/// How long letting go of the lines may take. A bus that hangs is no reason to go without a child, which says so on the page.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);
/// How long a killed child may take to be gone. One that hangs in the kernel stays for ever, and with it its lines: only a
/// restart of the board frees them.
const DEATH_LIMIT: Duration = Duration::from_secs(30);
/// Between two feedings; the shortest timeouts of watchdogs are some 15 s, and a third of it is the rule.
pub const FEED_PERIOD: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The child was started.
    Started,
    /// It could not be started.
    StartFailed,
    /// It proved to be alive.
    Beat,
    /// It is gone.
    Exited,
    /// Making hardware safe worked, or it was refused.
    Secured(bool),
    /// The lines are free.
    Released,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Let go of the hardware's lines; answered by `Released`, unless a bus hangs.
    Release,
    /// Start the child; answered by `Started` or `StartFailed`.
    Start,
    /// SIGKILL, without waiting for what comes of it.
    Kill,
    /// Make hardware safe; answered by `Secured`, unless a bus hangs.
    Secure,
    /// Feed the hardware watchdog.
    Feed,
    /// Restart the board: a child that was killed does not go away.
    Restart,
}

/// ```text
///        start_at: Release            Released, or too late: Start
///  Down ─────────────────▶ Releasing ─────────────────────────────▶ Starting
///   ▲ ▲                                                              │    │
///   │ └────────────────────────── StartFailed ───────────────────────┘    │ Started
///   │                             no beat for SILENCE_LIMIT: Kill         ▼
///   ├────── Exited ────── Dying ◀──────────────────────────────────────── Up
///   └────────────────────────────────── Exited ───────────────────────────┘
///
///  On the way out of Up, and once more on Exited: Secure, until it works or a child owns the hardware again.
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No child.
    Down { start_at: Time },
    /// The lines are being let go of.
    Releasing { late_at: Time },
    /// The child is being started.
    Starting,
    /// A child runs.
    Up { since: Time, beat_at: Time },
    /// A hung child was killed and is not gone yet; `lived` is how long it was well.
    Dying { lived: Duration, restart_at: Time },
}

/// The machine.
#[derive(Debug)]
pub struct Keeper {
    state: State,
    silence: Duration,
    back_off: Duration,
    safe: bool,
    /// When to make hardware safe (again); `NEVER` where it is safe or the child's.
    secure_at: Time,
    secure_retry: Duration,
    /// Whether an answer is awaited: nothing is asked twice at once of a bus that may hang.
    securing: bool,
    feed_at: Time,
    feed_period: Duration,
    orders: VecDeque<Order>,
}

impl Keeper {
    /// Nothing runs, and what hardware does is unknown: it is made safe first.
    #[must_use]
    pub fn new(now: Time, silence: Duration, feed_period: Duration) -> Keeper {
        Keeper {
            state: State::Down { start_at: now },
            silence,
            back_off: BACK_OFF_MIN,
            safe: false,
            secure_at: now,
            secure_retry: SECURE_RETRY_MIN,
            securing: false,
            feed_at: now,
            feed_period,
            orders: VecDeque::new(),
        }
    }

    /// Takes a fact.
    pub fn tell(&mut self, now: Time, fact: Fact) {
        match (self.state, fact) {
            (_, Fact::Secured(safe)) => self.secured(now, safe),
            (State::Releasing { .. }, Fact::Released) => self.state = State::Releasing { late_at: now },
            (State::Starting, Fact::Started) => {
                self.state = State::Up { since: now, beat_at: now };
                (self.safe, self.secure_at) = (false, Time::NEVER);
            }
            (State::Starting, Fact::StartFailed) => self.fall(now, Duration::ZERO),
            (State::Up { since, .. }, Fact::Beat) => self.state = State::Up { since, beat_at: now },
            (State::Up { since, .. }, Fact::Exited) => self.fall(now, now.since(since)),
            (State::Dying { lived, .. }, Fact::Exited) => self.fall(now, lived),
            // A beat may still lie in the pipe of a child that is gone; an exit is told once; lines may be free too late.
            (_, Fact::Beat | Fact::Started | Fact::StartFailed | Fact::Exited | Fact::Released) => {}
        }
    }

    fn secured(&mut self, now: Time, safe: bool) {
        self.securing = false;
        // An answer that comes after a child was started says nothing any more: the hardware is the child's. Nor does one that
        // was asked for before the child ended, where it is due again.
        if matches!(self.state, State::Up { .. }) || self.secure_at != Time::NEVER {
            return;
        }
        self.safe = safe;
        if !safe {
            self.secure_at = now + self.secure_retry;
            self.secure_retry = (self.secure_retry * 2).min(SECURE_RETRY_MAX);
        }
    }

    /// Decides what is due; call it until it gives `None`, after every fact and at [`Keeper::wake_at`].
    pub fn next_order(&mut self, now: Time) -> Option<Order> {
        if self.orders.is_empty() {
            self.decide(now);
        }
        self.orders.pop_front()
    }

    /// When something is due next.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let own = match self.state {
            State::Down { start_at } => start_at,
            State::Releasing { late_at } => late_at,
            State::Starting => Time::NEVER,
            State::Up { beat_at, .. } => beat_at + self.silence,
            State::Dying { restart_at, .. } => restart_at,
        };
        let feed = if self.may_feed() { self.feed_at } else { Time::NEVER };
        let secure = if self.securing { Time::NEVER } else { self.secure_at };
        own.min(feed).min(secure)
    }

    fn decide(&mut self, now: Time) {
        if let State::Up { since, beat_at } = self.state
            && beat_at + self.silence <= now
        {
            // Lines belong to one process: it dies first, then they are taken. Nothing waits in between.
            self.state = State::Dying { lived: beat_at.since(since), restart_at: now + DEATH_LIMIT };
            self.secure_from(now);
            self.orders.push_back(Order::Kill);
        }
        if self.secure_at <= now && !self.securing {
            (self.secure_at, self.securing) = (Time::NEVER, true);
            self.orders.push_back(Order::Secure);
            return;
        }
        match self.state {
            State::Down { start_at } if start_at <= now => {
                self.state = State::Releasing { late_at: now + RELEASE_LIMIT };
                self.orders.push_back(Order::Release);
            }
            State::Releasing { late_at } if late_at <= now => {
                self.state = State::Starting;
                self.orders.push_back(Order::Start);
            }
            State::Dying { lived, restart_at } if restart_at <= now => {
                self.state = State::Dying { lived, restart_at: Time::NEVER };
                self.orders.push_back(Order::Restart);
            }
            _ => {}
        }
        if self.may_feed() && self.feed_at <= now {
            self.feed_at = now + self.feed_period;
            self.orders.push_back(Order::Feed);
        }
    }

    /// No proof, no feed: a child that is alive, or hardware that is known to be safe.
    fn may_feed(&self) -> bool {
        matches!(self.state, State::Up { .. }) || self.safe
    }

    fn fall(&mut self, now: Time, lived: Duration) {
        if lived >= WELL {
            self.back_off = BACK_OFF_MIN;
        }
        self.state = State::Down { start_at: now + self.back_off };
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
        // Once more even where it worked already: what the dying child had begun on a bus may have come after it.
        self.secure_from(now);
    }

    fn secure_from(&mut self, now: Time) {
        (self.secure_at, self.secure_retry) = (now, SECURE_RETRY_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    /// All orders due; each `Secure` is answered with `safe`, each `Start` works.
    fn orders(k: &mut Keeper, now: Time, safe: bool) -> Vec<Order> {
        let mut got = vec![];
        while let Some(order) = k.next_order(now) {
            match order {
                Order::Secure => k.tell(now, Fact::Secured(safe)),
                Order::Start => k.tell(now, Fact::Started),
                Order::Release => k.tell(now, Fact::Released),
                Order::Kill | Order::Feed | Order::Restart => {}
            }
            // It goes before every start, which is what the tests look at.
            got.extend(Some(order).filter(|o| *o != Order::Release));
            assert!(got.len() < 20, "the orders never end: {got:?}");
        }
        got
    }

    fn up(now: Time) -> Keeper {
        let mut k = Keeper::new(now, SILENCE_LIMIT, FEED_PERIOD);
        assert_eq!(orders(&mut k, now, true), [Order::Secure, Order::Feed, Order::Start]);
        k
    }

    #[test]
    fn at_the_start_hardware_is_safe_before_the_child_owns_it() {
        let mut k = up(s(0));
        assert_eq!(k.wake_at(), s(5));
        assert_eq!(orders(&mut k, s(5), true), [Order::Feed]);
    }

    #[test]
    fn a_child_that_ends_leaves_safe_hardware_and_comes_back() {
        let mut k = up(s(0));
        k.tell(s(3), Fact::Exited);
        assert_eq!(orders(&mut k, s(3), true), [Order::Secure]);
        assert_eq!(k.wake_at(), s(4));
        assert_eq!(orders(&mut k, s(4), true), [Order::Start]);
    }

    #[test]
    fn a_silent_child_is_killed_first_and_nothing_waits_for_its_end() {
        let mut k = up(s(0));
        k.tell(s(4), Fact::Beat);
        assert_eq!(orders(&mut k, Time::from_millis(13_999), true), [Order::Feed]);
        assert_eq!(orders(&mut k, s(14), true), [Order::Kill, Order::Secure], "at once, without an exit");
        assert_eq!(orders(&mut k, s(18), true), [], "killed once, and no second child beside it");
        k.tell(s(20), Fact::Exited);
        assert_eq!(orders(&mut k, s(20), true), [Order::Secure, Order::Feed]);
        assert_eq!(orders(&mut k, s(21), true), [Order::Start]);
    }

    #[test]
    fn beats_keep_it_alive_and_late_ones_of_the_dead_do_not() {
        let mut k = up(s(0));
        for t in 1..1000 {
            k.tell(s(t), Fact::Beat);
            assert!(orders(&mut k, s(t), true).iter().all(|o| *o == Order::Feed), "at {t} s");
        }
        assert!(orders(&mut k, s(1009), true).contains(&Order::Kill));
        k.tell(s(1009), Fact::Beat);
        assert!(matches!(k.state, State::Dying { .. }));
    }

    #[test]
    fn back_off_doubles_to_a_minute_and_starts_anew_after_five_good_minutes() {
        let mut k = Keeper::new(s(0), SILENCE_LIMIT, FEED_PERIOD);
        let (mut now, mut waits) = (s(0), vec![]);
        for _ in 0..8 {
            orders(&mut k, now, true);
            k.tell(now, Fact::Exited);
            let State::Down { start_at } = k.state else { panic!("it ended") };
            waits.push(start_at.since(now).as_secs());
            now = start_at;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        for (lived, wait) in [(299, 60), (300, 1), (1, 2)] {
            orders(&mut k, now, true);
            now = now + Duration::from_secs(lived);
            k.tell(now, Fact::Exited);
            let State::Down { start_at } = k.state else { panic!("it ended") };
            assert_eq!(start_at.since(now).as_secs(), wait, "after {lived} s");
            now = start_at;
        }
    }

    #[test]
    fn a_program_that_cannot_be_started_waits_too() {
        let mut k = Keeper::new(s(0), SILENCE_LIMIT, FEED_PERIOD);
        assert_eq!(k.next_order(s(0)), Some(Order::Secure));
        k.tell(s(0), Fact::Secured(true));
        assert_eq!(k.next_order(s(0)), Some(Order::Release));
        assert_eq!(k.next_order(s(0)), Some(Order::Feed), "the start waits for the lines");
        k.tell(s(0), Fact::Released);
        assert_eq!(k.next_order(s(0)), Some(Order::Start));
        k.tell(s(0), Fact::StartFailed);
        assert_eq!(orders(&mut k, s(0), true), [Order::Secure]);
        assert_eq!(orders(&mut k, s(1), true), [Order::Start]);
    }

    #[test]
    fn without_a_live_child_the_watchdog_is_fed_only_while_hardware_is_safe() {
        // What happened to the child at 14 s, whether the lines obeyed, whether the watchdog is fed a while later.
        for (hung, obeyed, fed) in [(false, true, true), (false, false, false), (true, true, true), (true, false, false)] {
            let mut k = up(s(0));
            orders(&mut k, s(9), true);
            let mut got = if hung {
                orders(&mut k, s(14), obeyed)
            } else {
                k.tell(s(14), Fact::Exited);
                orders(&mut k, s(14), obeyed)
            };
            // Short of the restart, which would own the hardware again.
            got.extend(orders(&mut k, Time::from_millis(14_900), obeyed));
            assert_eq!(got.contains(&Order::Feed), fed, "hung {hung}, obeyed {obeyed}: {got:?}");
        }
    }

    #[test]
    fn refused_lines_are_tried_again_until_they_obey() {
        let mut k = up(s(0));
        assert_eq!(orders(&mut k, s(10), false), [Order::Kill, Order::Secure]);
        assert_eq!(k.wake_at(), Time::from_millis(10_100));
        assert_eq!(orders(&mut k, Time::from_millis(10_100), false), [Order::Secure]);
        assert_eq!(k.wake_at(), Time::from_millis(10_300), "the wait doubles");
        assert_eq!(orders(&mut k, Time::from_millis(10_300), true), [Order::Secure, Order::Feed]);
    }

    #[test]
    fn a_bus_that_hangs_holds_up_neither_a_kill_nor_the_next_child_and_is_not_fed_for() {
        let mut k = up(s(0));
        k.tell(s(3), Fact::Exited);
        assert_eq!(k.next_order(s(3)), Some(Order::Secure));
        assert_eq!(k.next_order(s(3)), None);
        // No answer ever comes.
        assert_eq!((k.wake_at(), k.next_order(s(4))), (s(4), Some(Order::Release)));
        assert_eq!((k.next_order(s(8)), k.wake_at()), (None, s(14)), "nothing is known to be safe: no feed");
        assert_eq!(k.next_order(s(14)), Some(Order::Start));
        k.tell(s(14), Fact::Started);
        assert_eq!(k.next_order(s(14)), Some(Order::Feed));
        // The late answer says nothing about what the child does now.
        k.tell(s(15), Fact::Secured(true));
        k.tell(s(15), Fact::Released);
        assert!(!k.safe && matches!(k.state, State::Up { .. }));
        assert_eq!(orders(&mut k, s(24), true), [Order::Kill, Order::Secure, Order::Feed]);
    }

    #[test]
    fn an_answer_from_before_the_end_is_asked_for_again() {
        let mut k = up(s(0));
        k.tell(s(3), Fact::Exited);
        assert_eq!(k.next_order(s(3)), Some(Order::Secure));
        k.fall(s(3), Duration::ZERO);
        assert_eq!(k.next_order(s(3)), None, "one at a time");
        k.tell(s(3), Fact::Secured(true));
        assert!(!k.safe);
        assert_eq!(k.next_order(s(3)), Some(Order::Secure));
    }

    #[test]
    fn a_killed_child_that_stays_costs_the_board_a_restart() {
        let mut k = up(s(0));
        assert_eq!(orders(&mut k, s(10), false), [Order::Kill, Order::Secure]);
        let mut got = vec![];
        for t in 11..60 {
            got.extend(orders(&mut k, s(t), false).into_iter().filter(|o| *o != Order::Secure).map(|o| (t, o)));
        }
        assert_eq!(got, [(40, Order::Restart)], "once, and never fed");
    }
}
