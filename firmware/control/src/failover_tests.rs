//! Upstreams that fail, and their return.

use super::*;
use model::Reject;

struct Bench {
    f: Failover,
    faults: Faults,
    orders: Vec<Order>,
}

const DOWN: FaultCode = FaultCode::UpstreamDown;

impl Bench {
    fn new(n: u8) -> Bench {
        Bench { f: Failover::new(n), faults: Faults::default(), orders: vec![] }
    }
    fn tick(&mut self, s: u64) -> Vec<Order> {
        self.f.tick(Time::from_secs(s), true, &mut self.faults, &mut self.orders);
        std::mem::take(&mut self.orders)
    }
    fn fail(&mut self, s: u64, u: u8, code: FaultCode) {
        self.f.failed(Time::from_secs(s), UpstreamId(u), code, "why", &mut self.faults, &mut self.orders);
    }
    fn offer(&mut self, s: u64, u: u8) {
        self.f.ready(Time::from_secs(s), UpstreamId(u), &mut self.faults);
        assert!(self.f.job(Time::from_secs(s), UpstreamId(u), &mut self.faults));
    }
    fn reject(&mut self, s: u64, u: u8) {
        let v = Verdict::Rejected(Reject::LowDifficulty);
        self.f.verdict(Time::from_secs(s), UpstreamId(u), &v, &mut self.faults, &mut self.orders);
    }
    /// Upstream 0 failed, 1 is active.
    fn on_the_second() -> Bench {
        let mut b = Bench::new(2);
        assert_eq!(b.tick(0), [Order::Connect(UpstreamId(0))]);
        b.fail(0, 0, DOWN);
        assert_eq!(b.tick(0), [Order::Disconnect(UpstreamId(0)), Order::Connect(UpstreamId(1))]);
        b.offer(0, 1);
        assert_eq!(b.tick(0), []);
        assert_eq!(b.f.active(), Some(UpstreamId(1)));
        b
    }
}

#[test]
fn the_next_is_used_meanwhile_and_the_first_again_once_it_lasts() {
    let mut b = Bench::on_the_second();
    assert!(b.faults.has(DOWN, "upstream 0"));
    assert_eq!(b.tick(2), [Order::Connect(UpstreamId(0))], "after its back-off");
    b.offer(3, 0);
    assert!(!b.faults.has(DOWN, "upstream 0"));
    assert_eq!(b.tick(32), []);
    assert_eq!(b.f.active(), Some(UpstreamId(1)), "not yet well for 30 s");
    assert_eq!(b.tick(33), [Order::Disconnect(UpstreamId(1))]);
    assert_eq!(b.f.active(), Some(UpstreamId(0)));
}

#[test]
fn back_off_doubles_to_a_minute_and_is_the_same_each_run() {
    let waits = || {
        let mut b = Bench::new(1);
        let (mut waits, mut now) = (vec![], Time::ZERO);
        for _ in 0..9 {
            b.f.tick(now, true, &mut b.faults, &mut b.orders);
            b.f.failed(now, UpstreamId(0), DOWN, "why", &mut b.faults, &mut b.orders);
            let next = b.f.wake_at();
            waits.push(next.since(now).as_secs_f64());
            now = next;
        }
        waits
    };
    let w = waits();
    for (i, want) in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0].into_iter().enumerate() {
        assert!((want..=want * 1.25).contains(&w[i]), "{i}: {w:?}");
    }
    assert_eq!(w, waits());
}

#[test]
fn silence_refusals_and_nonsense_each_have_their_name() {
    // Nothing after authorisation.
    let mut b = Bench::new(2);
    b.tick(0);
    b.f.ready(Time::from_secs(0), UpstreamId(0), &mut b.faults);
    b.tick(29);
    assert_eq!(b.faults.iter().count(), 0);
    assert_eq!(b.tick(30), [Order::Disconnect(UpstreamId(0)), Order::Connect(UpstreamId(1))]);
    assert!(b.faults.has(FaultCode::UpstreamSilent, "upstream 0"));

    // No job for ten minutes.
    let mut b = Bench::on_the_second();
    b.fail(1, 0, DOWN);
    b.tick(599);
    assert_eq!(b.f.active(), Some(UpstreamId(1)));
    b.tick(600);
    assert!(b.faults.has(FaultCode::UpstreamSilent, "upstream 1"));

    // Twenty refusals in a row; an accepted share between them starts the count again.
    let mut b = Bench::on_the_second();
    (0..19).for_each(|_| b.reject(1, 1));
    b.f.verdict(Time::from_secs(1), UpstreamId(1), &Verdict::Accepted, &mut b.faults, &mut b.orders);
    (0..19).for_each(|_| b.reject(1, 1));
    assert_eq!(b.f.active(), Some(UpstreamId(1)));
    b.reject(1, 1);
    assert!(b.faults.has(FaultCode::UpstreamRejects, "upstream 1"));
    assert_eq!(b.f.active(), None);
    assert_eq!(b.f.shares(1), ShareCounts { accepted: 1, rejected: 39, stale: 0 });

    // Never authorised.
    let mut b = Bench::new(2);
    b.tick(0);
    assert_eq!(b.tick(60), [Order::Disconnect(UpstreamId(0)), Order::Connect(UpstreamId(1))]);
    assert!(b.faults.has(DOWN, "upstream 0"));
}

#[test]
fn unknown_upstreams_and_jobs_out_of_turn_are_ignored() {
    let mut b = Bench::new(1);
    b.fail(0, 9, DOWN);
    b.f.ready(Time::ZERO, UpstreamId(9), &mut b.faults);
    assert!(!b.f.job(Time::ZERO, UpstreamId(9), &mut b.faults));
    assert!(!b.f.job(Time::ZERO, UpstreamId(0), &mut b.faults), "not connected");
    b.reject(0, 9);
    assert_eq!(b.orders, []);
    assert_eq!(b.faults.iter().count(), 0);
}

#[test]
fn stopped_means_disconnected() {
    let mut b = Bench::on_the_second();
    b.f.tick(Time::from_secs(1), false, &mut b.faults, &mut b.orders);
    assert_eq!(b.orders, [Order::Disconnect(UpstreamId(1))]);
    assert_eq!(b.f.active(), None);
}
