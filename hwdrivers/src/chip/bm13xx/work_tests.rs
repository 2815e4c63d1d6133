//! Midstate jobs: how versions are rolled, paced and found again.

use super::super::frame::ReplySize;
use super::super::job::{Tail, deposit};
use super::tests::{Line, run, work};
use super::*;
use model::{ChipAt, ChipModel, Header, WorkId};

fn hashing(model: ChipModel, chips: u8, address_interval: u8, stretch_bits: u8) -> (Chain<Line>, Time) {
    let chip = super::super::chip(model).expect("driven");
    let layout = ChainLayout { chip: model, chips, domains: 1, address_interval };
    let scale = Scale { stretch_bits, ..Scale::HARDWARE };
    let mut chain = Chain::new(Line::of(chip, usize::from(chips)), &layout, scale);
    chain.watcher.silence();
    chain.start(Time::ZERO);
    chain.set_clock(Megahertz(650.0));
    let (events, now) = run(&mut chain, Time::ZERO, Some(&ChainEvent::Hashing));
    assert_eq!(events.last(), Some(&ChainEvent::Hashing));
    chain.uart.sent.clear();
    (chain, now)
}

/// Turns whenever the chain wants to until `end`.
fn pass(chain: &mut Chain<Line>, now: &mut Time, time: Duration) {
    let end = *now + time;
    while chain.wake_at() <= end {
        *now = chain.wake_at().max(*now);
        chain.turn(*now).expect("the line stands");
    }
    *now = end;
}

#[test]
fn four_versions_go_out_at_once_and_the_next_four_when_these_are_nearly_through() {
    let (mut chain, mut now) = hashing(ChipModel::Bm1387, 63, 4, 0);
    let mine = work(1, 0x1fff_e000);
    chain.submit(&mine).expect("the line stands");
    assert_eq!(chain.uart.sent.len(), 1, "at once");
    pass(&mut chain, &mut now, Duration::from_secs(1));
    let sent = &chain.uart.sent;
    // 2.9 ms a job.
    assert!((330..350).contains(&sent.len()), "{} jobs in a second", sent.len());
    let tail = Tail::of(&mine.header);
    for (n, frame) in sent.iter().enumerate().take(70) {
        let states: Vec<[u32; 8]> = (0..4)
            .map(|i| Header { version: 0x2000_0000 | deposit(4 * n as u32 + i, 0x1fff_e000), ..mine.header }.midstate())
            .collect();
        let id = (n as u8 % 32) << 2;
        assert_eq!(*frame, super::super::job::midstate_frame(chain.chip.framing, id, tail, &states), "job {n}");
    }
}

#[test]
fn a_job_that_is_out_while_the_clock_rises_is_followed_sooner() {
    // A job of two seconds, so that it outlasts many steps of the ramp.
    let (mut chain, mut now) = hashing(ChipModel::Bm1387, 63, 4, 10);
    chain.set_clock(Megahertz(100.0));
    pass(&mut chain, &mut now, Duration::from_secs(60));
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    pass(&mut chain, &mut now, Duration::from_millis(1));
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(650.0));
    // What the chips have done of the job, in parts of it, whenever the next one comes.
    let (mut done, mut parts) = (0.0, Vec::new());
    let second = chain.chip.midstates_last(4, Megahertz(1.0), &chain.at).as_secs_f64() * 1024.0;
    for _ in 0..20_000 {
        let before = chain.clock;
        pass(&mut chain, &mut now, Duration::from_millis(1));
        done += 0.001 * before.0 / second;
        if chain.uart.sent.iter().any(|f| f.len() > 40) {
            parts.push(std::mem::take(&mut done));
        }
        chain.uart.sent.clear();
    }
    assert!(parts.len() > 3 && parts.iter().all(|p| (0.85..0.95).contains(p)), "{parts:?}");
}

#[test]
fn a_reply_names_job_and_midstate_and_so_the_version() {
    for (model, size) in [(ChipModel::Bm1387, ReplySize::Bare), (ChipModel::Bm1397, ReplySize::Short)] {
        let (mut chain, mut now) = hashing(model, 2, 4, 0);
        chain.submit(&work(9, 0x1fff_e000)).expect("the line stands");
        let period = chain.chip.midstates_last(4, Megahertz(650.0), &chain.at).mul_f64(0.9);
        pass(&mut chain, &mut now, period * 2 + Duration::from_micros(10));
        assert_eq!(chain.uart.sent.len(), 3, "{model:?}");
        // Job 2, midstate 3: the twelfth version.
        chain.uart.inbox.extend(Reply::Nonce { nonce: 0, excess: 0, id: 2 << 2 | 3, version: 0 }.to_bytes(size));
        chain.uart.inbox.extend(Reply::Nonce { nonce: 0, excess: 0, id: 5 << 2, version: 0 }.to_bytes(size));
        chain.turn(now).expect("the line stands");
        let version = 0x2000_0000 | 11 << 13;
        let chip = Some(ChipAt { chip: 0, core: 0 });
        assert_eq!(chain.next_event(), Some(ChainEvent::Found { work: WorkId(9), nonce: 0, version, chip }), "{model:?}");
        assert_eq!((chain.next_event(), chain.counters().unknown_jobs), (None, 1), "{model:?}: a job that was never sent");
    }
}

#[test]
fn a_work_lasts_as_long_as_its_versions_and_then_nothing_is_sent_twice() {
    for (mask, jobs, midstates) in [(0, 1, 1), (0x2000, 1, 2), (0x6000, 1, 4), (0x0001_e000, 4, 4)] {
        let (mut chain, mut now) = hashing(ChipModel::Bm1387, 63, 4, 0);
        chain.submit(&work(1, mask)).expect("the line stands");
        pass(&mut chain, &mut now, Duration::from_secs(1));
        assert_eq!(chain.uart.sent.len(), jobs, "{mask:08x}");
        assert!(chain.uart.sent.iter().all(|f| f[3] == midstates), "{mask:08x}");
        let lasts = chain.chip.midstates_last(u32::from(midstates), Megahertz(650.0), &chain.at).mul_f64(0.9) * jobs as u32;
        assert_eq!(chain.epoch(), lasts, "{mask:08x}");
    }
    let (mut chain, _) = hashing(ChipModel::Bm1387, 63, 4, 0);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    assert!((45.0..50.0).contains(&chain.epoch().as_secs_f64()), "{:?}", chain.epoch());
}

#[test]
fn new_work_does_not_wait_for_the_old_ones_versions() {
    let (mut chain, mut now) = hashing(ChipModel::Bm1397, 48, 5, 0);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    pass(&mut chain, &mut now, Duration::from_millis(2));
    let before = chain.uart.sent.len();
    chain.submit(&work(2, 0x1fff_e000)).expect("the line stands");
    assert_eq!(chain.uart.sent.len(), before + 1);
    chain.stop().expect("the line stands");
    assert_eq!(chain.wake_at(), Time::NEVER);
    chain.turn(now + Duration::from_secs(1)).expect("the line stands");
    assert_eq!(chain.uart.sent.len(), before + 1, "a stopped chain is told nothing");
}

#[test]
fn stretched_jobs_cost_a_thousandth_and_count_the_same() {
    let (mut chain, mut now) = hashing(ChipModel::Bm1397, 48, 5, 10);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    pass(&mut chain, &mut now, Duration::from_secs(10));
    let sent = chain.uart.sent.len();
    assert!((26..30).contains(&sent), "{sent} jobs of 0.37 s in 10 s");
}

#[test]
fn a_late_turn_does_not_hurry_the_next() {
    let (mut chain, now) = hashing(ChipModel::Bm1387, 63, 4, 0);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    for late in 1..=5u32 {
        chain.turn(now + Duration::from_millis(100) * late).expect("the line stands");
        chain.turn(now + Duration::from_millis(100) * late).expect("the line stands");
    }
    assert_eq!(chain.uart.sent.len(), 6);
}
