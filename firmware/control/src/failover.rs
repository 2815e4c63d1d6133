//! Which upstream is mined for: the first of the list that is well.
//!
//! Not here: connections (orders ask for them) and what jobs mean (`schedule`).

use crate::{Order, faults::Faults};
use model::{FaultCode, ShareCounts, Time, UpstreamId, Verdict};
use std::time::Duration;

/// Wait after a first failure, doubled by each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait: a pool that is back is used within about a minute and a half.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// An upstream whose connection leads nowhere and is not reported either.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// An upper upstream must have been well for so long before it is returned to.
const WELL: Duration = Duration::from_secs(30);
/// First job after authorisation.
const FIRST_JOB_LIMIT: Duration = Duration::from_secs(30);
/// Between two jobs. Pools send one a minute; a quiet solo pool one a block.
const JOB_LIMIT: Duration = Duration::from_secs(600);
/// Rejected shares in a row.
const REJECTS_MAX: u32 = 20;

/// ```text
///  Idle ──turn comes──▶ Connecting ──ready──▶ Well ──failed, silent, 20 rejects──▶ Waiting ──back-off──▶ Connecting
///                          └────────────failed, 60 s──────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Connecting { by: Time },
    Well { since: Time, last_job: Option<Time> },
    Waiting { until: Time },
}

#[derive(Debug)]
struct Upstream {
    state: State,
    failures: u32,
    rejects: u32,
    shares: ShareCounts,
    trouble: Option<(FaultCode, String)>,
}

/// The controller of the list.
#[derive(Debug)]
pub struct Failover {
    list: Vec<Upstream>,
    active: Option<usize>,
}

fn place(i: usize) -> String {
    format!("upstream {i}")
}

fn id(i: usize) -> UpstreamId {
    UpstreamId(u8::try_from(i).expect("the list was counted by a u8"))
}

impl Failover {
    /// A list of so many upstreams, none connected.
    #[must_use]
    pub fn new(upstreams: u8) -> Failover {
        let idle = |_| Upstream { state: State::Idle, failures: 0, rejects: 0, shares: ShareCounts::default(), trouble: None };
        Failover { list: (0..upstreams).map(idle).collect(), active: None }
    }

    /// Who is mined for.
    #[must_use]
    pub fn active(&self) -> Option<UpstreamId> {
        self.active.map(id)
    }

    /// An upstream is authorised.
    pub fn ready(&mut self, now: Time, upstream: UpstreamId, faults: &mut Faults) {
        let i = usize::from(upstream.0);
        let Some(u) = self.list.get_mut(i).filter(|u| matches!(u.state, State::Connecting { .. })) else { return };
        u.state = State::Well { since: now, last_job: None };
        u.rejects = 0;
        u.end_trouble(i, &[FaultCode::UpstreamDown], faults);
    }

    /// An upstream sent a job. False where it is not one that may.
    pub fn job(&mut self, now: Time, upstream: UpstreamId, faults: &mut Faults) -> bool {
        let i = usize::from(upstream.0);
        let Some(u) = self.list.get_mut(i) else { return false };
        let State::Well { last_job, .. } = &mut u.state else { return false };
        *last_job = Some(now);
        u.end_trouble(i, &[FaultCode::UpstreamSilent, FaultCode::UpstreamProtocol], faults);
        true
    }

    /// A pool judged a share.
    pub fn verdict(&mut self, now: Time, upstream: UpstreamId, verdict: &Verdict, faults: &mut Faults, orders: &mut Vec<Order>) {
        let i = usize::from(upstream.0);
        let Some(u) = self.list.get_mut(i) else { return };
        match verdict {
            Verdict::Accepted => {
                u.shares.accepted += 1;
                u.rejects = 0;
                u.end_trouble(i, &[FaultCode::UpstreamRejects], faults);
            }
            Verdict::Stale => u.shares.stale += 1,
            Verdict::Rejected(why) => {
                u.shares.rejected += 1;
                u.rejects += 1;
                if u.rejects >= REJECTS_MAX && matches!(u.state, State::Well { .. }) {
                    let detail = format!("{REJECTS_MAX} shares in a row were refused, the last one: {why:?}");
                    self.failed(now, upstream, FaultCode::UpstreamRejects, &detail, faults, orders);
                }
            }
        }
    }

    /// An upstream is unusable.
    pub fn failed(
        &mut self,
        now: Time,
        upstream: UpstreamId,
        code: FaultCode,
        detail: &str,
        faults: &mut Faults,
        orders: &mut Vec<Order>,
    ) {
        let i = usize::from(upstream.0);
        let Some(u) = self.list.get_mut(i) else { return };
        if matches!(u.state, State::Idle | State::Waiting { .. }) {
            return;
        }
        let unlasting = !matches!(u.state, State::Well { since, .. } if now.since(since) >= WELL);
        // Refused shares and missing jobs show late: such an upstream is well for a while each time.
        let at_once = !matches!(code, FaultCode::UpstreamRejects | FaultCode::UpstreamSilent);
        if at_once && !unlasting {
            u.failures = 0;
        }
        let wait = if at_once { BACKOFF_FIRST * (1 << u.failures.min(6)) } else { BACKOFF_MAX };
        u.state = State::Waiting { until: now + spread(wait.min(BACKOFF_MAX), i, u.failures) };
        u.failures += 1;
        u.rejects = 0;
        if let Some((old, _)) = u.trouble.replace((code, detail.to_owned()))
            && old != code
        {
            faults.clear(old, &place(i));
        }
        faults.raise(code, &place(i), detail);
        orders.push(Order::Disconnect(upstream));
        if self.active == Some(i) {
            self.active = None;
        }
    }

    /// Everything is to be disconnected, or not any more.
    pub fn tick(&mut self, now: Time, mining: bool, faults: &mut Faults, orders: &mut Vec<Order>) {
        if !mining {
            (0..self.list.len()).for_each(|i| self.leave(i, faults, orders));
            self.active = None;
            return;
        }
        for i in 0..self.list.len() {
            if let Some((code, detail)) = self.overdue(i).filter(|o| now >= o.0).map(|o| (o.1, o.2)) {
                self.failed(now, id(i), code, detail, faults, orders);
            }
        }
        let offers = |u: &Upstream| matches!(u.state, State::Well { last_job: Some(_), .. });
        let lasts = |u: &Upstream| matches!(u.state, State::Well { since, .. } if now.since(since) >= WELL);
        self.active = match self.active {
            None => self.list.iter().position(offers),
            Some(a) => Some(self.list[..a].iter().position(|u| offers(u) && lasts(u)).unwrap_or(a)),
        };
        if let Some(a) = self.active {
            (a + 1..self.list.len()).for_each(|i| self.leave(i, faults, orders));
        }
        // From the top down to the active one, or else to the first that is not waiting.
        for i in 0..self.active.unwrap_or(self.list.len()) {
            match self.list[i].state {
                State::Waiting { until } if now < until => continue,
                State::Idle | State::Waiting { .. } => {
                    self.list[i].state = State::Connecting { by: now + CONNECT_LIMIT };
                    orders.push(Order::Connect(id(i)));
                }
                State::Connecting { .. } | State::Well { .. } => {}
            }
            if self.active.is_none() {
                break;
            }
        }
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        let of = |(i, u): (usize, &Upstream)| match u.state {
            State::Waiting { until } => until,
            State::Well { since, .. } if self.active.is_some_and(|a| i < a) => {
                let back = since + WELL;
                self.overdue(i).map_or(back, |o| o.0.min(back))
            }
            _ => self.overdue(i).map_or(Time::NEVER, |o| o.0),
        };
        self.list.iter().enumerate().map(of).min().unwrap_or(Time::NEVER)
    }

    /// Shares by what became of them.
    #[must_use]
    pub fn shares(&self, i: usize) -> ShareCounts {
        self.list.get(i).map_or_else(ShareCounts::default, |u| u.shares)
    }

    /// `connected`, `connecting`, `idle`, or what went wrong.
    #[must_use]
    pub fn words(&self, i: usize) -> String {
        match self.list.get(i).map(|u| (u.state, &u.trouble)) {
            Some((State::Well { .. }, _)) => "connected".to_owned(),
            Some((_, Some((_, detail)))) => detail.clone(),
            Some((State::Connecting { .. }, None)) => "connecting".to_owned(),
            _ => "idle".to_owned(),
        }
    }

    fn overdue(&self, i: usize) -> Option<(Time, FaultCode, &'static str)> {
        match self.list[i].state {
            State::Connecting { by } => Some((by, FaultCode::UpstreamDown, "connect: not authorised within 60 s")),
            State::Well { since, last_job: None } => {
                Some((since + FIRST_JOB_LIMIT, FaultCode::UpstreamSilent, "no job within 30 s of being authorised"))
            }
            State::Well { last_job: Some(t), .. } => Some((t + JOB_LIMIT, FaultCode::UpstreamSilent, "no new job for 10 min")),
            State::Idle | State::Waiting { .. } => None,
        }
    }

    /// Nobody asks for it any more, so nobody knows whether what was wrong with it still is.
    fn leave(&mut self, i: usize, faults: &mut Faults, orders: &mut Vec<Order>) {
        if !matches!(self.list[i].state, State::Idle | State::Waiting { .. }) {
            orders.push(Order::Disconnect(id(i)));
        }
        self.list[i].state = State::Idle;
        if let Some((code, _)) = self.list[i].trouble.take() {
            faults.clear(code, &place(i));
        }
    }
}

impl Upstream {
    fn end_trouble(&mut self, i: usize, codes: &[FaultCode], faults: &mut Faults) {
        if let Some((code, _)) = &self.trouble
            && codes.contains(code)
        {
            faults.clear(*code, &place(i));
            self.trouble = None;
        }
    }
}

/// Up to a quarter more, differing by place and try but not by run: a farm does not come back in one second.
fn spread(wait: Duration, i: usize, failures: u32) -> Duration {
    let mixed = (i as u32 + 1).wrapping_mul(0x9e37_79b9) ^ (failures + 1).wrapping_mul(0x85eb_ca6b);
    wait + wait.mul_f64(0.25 * f64::from(mixed >> 16) / 65_536.0)
}

#[cfg(test)]
#[path = "failover_tests.rs"]
mod tests;
