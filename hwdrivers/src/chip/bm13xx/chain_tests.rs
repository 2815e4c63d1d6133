//! The chain driver against a line that writes down what is sent and, asked who is there, lets a few chips answer.

use super::super::chip;
use super::super::frame::{Reply, ReplySize};
use super::super::job::read_job_frame;
use super::*;
use model::{ChainId, ChipAt, ChipModel, Header, JobId, WorkId};

pub(super) struct Line {
    /// Chips that answer, with what and in how many bytes.
    pub(super) chips: usize,
    pub(super) id: u32,
    pub(super) size: ReplySize,
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) bauds: Vec<u32>,
    pub(super) inbox: VecDeque<u8>,
    pub(super) wakes: bool,
    reads: usize,
    gone: bool,
}

impl Line {
    pub(super) fn of(chip: &Chip, chips: usize) -> Line {
        let (sent, bauds, inbox) = (vec![], vec![], VecDeque::new());
        Line { chips, id: chip.id, size: chip.replies, sent, bauds, inbox, wakes: false, reads: 0, gone: false }
    }
}

impl Uart for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        if self.gone {
            return Err(BusError::Gone);
        }
        if bytes.ends_with(&[0x52, 5, 0, 0, 0x0a]) || bytes == [0x54, 5, 0, 0, 0x19] {
            let reply = Reply::Register { value: self.id, chip: 0, register: 0 };
            (0..self.chips).for_each(|_| self.inbox.extend(reply.to_bytes(self.size)));
        }
        self.sent.push(bytes.to_vec());
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        self.reads += 1;
        let n = buffer.len().min(self.inbox.len()).min(64);
        self.inbox.drain(..n).zip(buffer).for_each(|(b, to)| *to = b);
        Ok(n)
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.bauds.push(baud.0);
        Ok(())
    }
    fn wakes(&self) -> bool {
        self.wakes
    }
}

const LAYOUT: ChainLayout = ChainLayout { chip: ChipModel::Bm1362, chips: 126, domains: 42, address_interval: 2 };

fn chain(chips: usize) -> Chain<Line> {
    Chain::new(Line::of(&super::super::bm1362::BM1362, chips), &LAYOUT, Scale::HARDWARE)
}

/// Turns at each wake until `until` or the script's end, and returns what happened and when it ended.
pub(super) fn run(chain: &mut Chain<Line>, mut now: Time, until: Option<&ChainEvent>) -> (Vec<ChainEvent>, Time) {
    let mut events = vec![];
    for _ in 0..10_000 {
        chain.turn(now).expect("the line stands");
        while let Some(event) = chain.next_event() {
            events.push(event);
        }
        if chain.script.is_empty() || until.is_some_and(|u| events.contains(u)) {
            break;
        }
        now = chain.wake_at().max(now);
    }
    (events, now)
}

pub(super) fn all(register: u8, value: u32) -> Vec<u8> {
    Command::WriteAll { register, value }.to_bytes()
}

fn hashing(clock: f64) -> (Chain<Line>, Time) {
    let mut chain = chain(126);
    chain.set_clock(Megahertz(clock));
    chain.start(Time::ZERO);
    chain.set_clock(Megahertz(clock));
    let (events, now) = run(&mut chain, Time::ZERO, None);
    assert_eq!(events.last(), Some(&ChainEvent::Hashing));
    chain.uart.sent.clear();
    (chain, now)
}

pub(super) fn work(id: u64, version_mask: u32) -> Work {
    let header = Header { version: 0x2000_0000, time: 1_700_000_000, bits: 0x1703_4219, ..Header::default() };
    Work { id: WorkId(id), job: JobId(1), chain: ChainId(0), header, version_mask, extranonce2: vec![0; 4] }
}

#[test]
fn the_start_is_the_captured_one_in_order_and_time() {
    let mut chain = chain(126);
    chain.start(Time::ZERO);
    let (events, now) = run(&mut chain, Time::ZERO, None);
    assert_eq!(events, [ChainEvent::Counted { chips: 126 }, ChainEvent::Ready]);
    assert_eq!(chain.uart.bauds, [115_200, 3_000_000]);
    let rolling = all(0xa4, 0x9000_ffff);
    let mut expected = vec![rolling.clone(), Command::ReadAll { register: 0 }.to_bytes(), rolling.clone(), rolling];
    expected.extend([all(0xa8, 0), all(0x18, 0xb000_c100), Command::Inactive.to_bytes()]);
    expected.extend((0..128).map(|slot| Command::SetAddress(slot * 2).to_bytes()));
    expected.extend([all(0x3c, 0x8000_8540), all(0x3c, 0x8000_8008), all(0x14, 0xff), all(0x54, 3), all(0x58, 0x0001_1111)]);
    expected.extend([all(0x28, 0x1130_0000), all(0x08, 0x40a2_0255)]);
    assert_eq!(chain.uart.sent, expected);
    assert!((Time::from_millis(1_800)..Time::from_millis(2_200)).contains(&now), "{now:?}");
    assert_eq!(chain.counters(), Counters::default());
}

#[test]
fn the_ramp_ends_with_each_chip_and_the_sweep() {
    let mut chain = chain(126);
    chain.start(Time::ZERO);
    let (_, ready) = run(&mut chain, Time::ZERO, None);
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(68.75));
    let (events, _) = run(&mut chain, ready, None);
    assert_eq!(events, [ChainEvent::Clock(Megahertz(62.5)), ChainEvent::Clock(Megahertz(68.75)), ChainEvent::Hashing]);
    let sent = &chain.uart.sent;
    assert_eq!(sent.len(), 2 + 126 * 5 + 2);
    assert!(sent[..2].iter().all(|f| f[2..6] == [0x51, 9, 0, 8]));
    let first: Vec<Vec<u8>> = [(0xa8, 2), (0x18, 0xb000_c100), (0x3c, 0x8000_8540), (0x3c, 0x8000_8008), (0x3c, 0x8000_82aa)]
        .map(|(register, value)| Command::Write { chip: 0, register, value }.to_bytes())
        .to_vec();
    assert_eq!(sent[2..7], first);
    assert_eq!(sent[631][..6], [0x55, 0xaa, 0x41, 9, 250, 0x3c]);
    assert_eq!(sent[632], all(0x10, chain.chip.sweep_ticks(Megahertz(68.75), &chain.at).expect("bounded")));
    assert_eq!(sent[633], all(0xa4, 0x9000_ffff));
    assert!(chain.is_hashing());
}

#[test]
fn a_clock_set_before_the_start_is_forgotten_and_one_set_while_starting_is_kept() {
    let (chain, _) = hashing(62.5);
    assert_eq!(chain.clock(), Megahertz(62.5));
}

#[test]
fn a_running_chain_ramps_with_its_sweep_never_too_long() {
    let (mut chain, now) = hashing(62.5);
    let at = chain.at;
    let ticks = |clock| all(0x10, chip(ChipModel::Bm1362).and_then(|c| c.sweep_ticks(Megahertz(clock), &at)).expect("bounded"));
    chain.set_clock(Megahertz(75.0));
    let (events, now) = run(&mut chain, now, None);
    assert_eq!(
        events,
        [ChainEvent::Clock(Megahertz(68.75)), ChainEvent::Clock(Megahertz(75.0)), ChainEvent::Hashing],
        "another epoch"
    );
    assert_eq!((&chain.uart.sent[0], &chain.uart.sent[2]), (&ticks(68.75), &ticks(75.0)), "up: the sweep first");
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(70.0));
    run(&mut chain, now, None);
    assert_eq!(chain.uart.sent[0][5], 0x08, "down: the clock first");
    assert_eq!(chain.uart.sent[1], ticks(70.0));
    assert_eq!(chain.clock(), Megahertz(70.0));
}

#[test]
fn the_epoch_is_that_of_the_factory() {
    let (mut chain, _) = hashing(525.0);
    let epoch = chain.epoch().as_secs_f64();
    assert!((1.9..2.0).contains(&epoch), "{epoch} s: 2^13 sweeps of 6041 ticks");
    chain.submit(&work(1, 0)).expect("the line stands");
    assert!(chain.epoch() < Duration::from_millis(1), "without version rolling one sweep is all there is");
}

#[test]
fn nonces_find_their_work_until_its_id_comes_round() {
    let (mut chain, now) = hashing(62.5);
    for id in 0..33 {
        chain.submit(&work(id, 0x1fff_e000)).expect("the line stands");
    }
    let ids: Vec<u8> = chain.uart.sent.iter().map(|f| f[4]).collect();
    assert_eq!(ids[..4], [0, 8, 16, 24]);
    assert_eq!((ids[31], ids[32]), (0xf8, 0));
    let frame = chain.uart.sent[0].clone().try_into().expect("a job");
    assert_eq!(read_job_frame(&frame), Some((0, work(0, 0).header)));
    let nonce = (5u32 << 25 | 20 << 17 | 1).swap_bytes();
    for id in [0x0b, 0x07] {
        chain.uart.inbox.extend(Reply::Nonce { nonce, excess: 0, id, version: 0x05a2 }.to_bytes(ReplySize::Long));
    }
    let (events, _) = run(&mut chain, now, None);
    let found =
        |id| ChainEvent::Found { work: WorkId(id), nonce, version: 0x20b4_4000, chip: Some(ChipAt { chip: 10, core: 5 }) };
    assert_eq!(events, [found(1), found(32)], "the small core in the id byte does not matter; id 0 is the newest of its kind");
    assert_eq!(chain.counters().nonces, 2);
}

#[test]
fn replies_for_unknown_jobs_and_damaged_ones_are_counted() {
    let (mut chain, now) = hashing(62.5);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    let reply = Reply::Nonce { nonce: 1, excess: 0, id: 0x10, version: 0 }.to_bytes(ReplySize::Long);
    let mut damaged = reply.clone();
    damaged[3] ^= 0x40;
    chain.uart.inbox.extend([damaged, reply].concat());
    assert_eq!(run(&mut chain, now, None).0, []);
    assert_eq!(chain.counters(), Counters { frame_errors: 1, unknown_jobs: 1, nonces: 1, events_lost: 0 });
}

#[test]
fn another_mask_is_told_before_its_first_job() {
    let (mut chain, _) = hashing(62.5);
    chain.submit(&work(1, 0x1fff_e000)).expect("the line stands");
    chain.submit(&work(2, 0x0000_6000)).expect("the line stands");
    assert_eq!(chain.uart.sent.len(), 3);
    assert_eq!(chain.uart.sent[1], all(0xa4, 0x9000_0003));
}

#[test]
fn no_answer_ends_the_start_and_few_do_not() {
    let mut silent = chain(0);
    silent.start(Time::ZERO);
    assert_eq!(run(&mut silent, Time::ZERO, None).0, [ChainEvent::Counted { chips: 0 }]);
    assert_eq!(silent.wake_at(), Time::NEVER);
    let mut short = chain(7);
    short.start(Time::ZERO);
    assert_eq!(run(&mut short, Time::ZERO, None).0, [ChainEvent::Counted { chips: 7 }, ChainEvent::Ready]);
}

#[test]
fn stop_leads_to_silence_and_start_leads_back() {
    let (mut chain, now) = hashing(62.5);
    chain.stop().expect("the line stands");
    assert_eq!(chain.uart.sent, [all(0x10, 0)]);
    chain.submit(&work(1, 0)).expect("ignored");
    assert_eq!((chain.uart.sent.len(), chain.wake_at()), (1, Time::NEVER));
    chain.start(now);
    assert_eq!(run(&mut chain, now, None).0.last(), Some(&ChainEvent::Ready));
}

#[test]
fn a_babbling_line_holds_no_turn_and_a_dead_one_is_told() {
    let (mut chain, now) = hashing(62.5);
    chain.uart.inbox.extend([0x55; 100_000]);
    chain.uart.reads = 0;
    chain.turn(now).expect("the line stands");
    assert_eq!(chain.uart.reads, READS);
    chain.uart.gone = true;
    assert!(matches!(chain.submit(&work(1, 0)), Err(BusError::Gone)));
}

#[test]
fn another_chip_is_named_and_ends_the_start() {
    let mut strange = chain(3);
    strange.uart.id = 0x1366_0000;
    strange.start(Time::ZERO);
    let (events, _) = run(&mut strange, Time::ZERO, None);
    let trouble = ChainTrouble::Model { expected: 0x1362, found: 0x1366 };
    assert_eq!(events, [ChainEvent::Trouble(trouble)]);
    assert!(trouble.to_string().contains("1366"), "{trouble}");
    assert_eq!(strange.wake_at(), Time::NEVER);
}

#[test]
fn replies_of_the_wrong_size_are_named_at_the_start_and_later() {
    let trouble = ChainEvent::Trouble(ChainTrouble::ReplySize { expected: 11, found: 9 });
    for chips in [1, 126] {
        let mut deaf = chain(chips);
        deaf.uart.size = ReplySize::Short;
        deaf.start(Time::ZERO);
        assert_eq!(run(&mut deaf, Time::ZERO, None).0, std::slice::from_ref(&trouble), "{chips} chips");
    }
    let (mut chain, now) = hashing(62.5);
    let nonce = Reply::Nonce { nonce: 7, excess: 0, id: 0, version: 0 };
    for _ in 0..20 {
        chain.uart.inbox.extend(nonce.to_bytes(ReplySize::Short));
    }
    assert_eq!(run(&mut chain, now, None).0, [trouble], "told once");
}

#[test]
fn one_chips_clock_is_its_own_until_all_are_set() {
    let (mut chain, now) = hashing(62.5);
    let pll = |clock: f64| Pll::solve(Megahertz(clock), &chain.chip.pll).expect("solvable").to_register(chain.chip.pll.form);
    let (fast, slow, common) = (pll(75.0), pll(56.25), pll(62.5));
    let ticks = chain.chip.sweep_ticks(Megahertz(75.0), &chain.at).expect("bounded");
    chain.set_chip_clock(10, Megahertz(75.0));
    chain.set_chip_clock(11, Megahertz(56.25));
    chain.set_chip_clock(126, Megahertz(56.25));
    chain.set_chip_clock(12, Megahertz(f64::NAN));
    let (_, now) = run(&mut chain, now, None);
    let one = |chip, value| Command::Write { chip, register: 0x08, value }.to_bytes();
    assert_eq!(chain.uart.sent, [all(0x10, ticks), one(20, fast), one(22, slow)], "the sweep is the fastest one's, and first");
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(62.5));
    run(&mut chain, now, None);
    assert_eq!(
        chain.uart.sent[..3],
        [all(0x08, common), one(22, slow), one(22, common)],
        "all come back, though the common clock was the same before; the slower one a step at a time"
    );
    assert_eq!(chain.uart.sent.last(), Some(&all(0x10, chain.chip.sweep_ticks(Megahertz(62.5), &chain.at).expect("bounded"))));
}

/// What was written of clocks: the chip's address, where it is one's, and MHz.
fn clocks(chain: &Chain<Line>) -> Vec<(Option<u8>, f64)> {
    let of = |f: &Vec<u8>| {
        let one = f[2] & 0x10 == 0;
        let word = u32::from_be_bytes([f[6], f[7], f[8], f[9]]);
        let mhz = (0..2400)
            .map(|k| 50.0 + f64::from(k) * 0.25)
            .find(|mhz| Pll::solve(Megahertz(*mhz), &chain.chip.pll).is_some_and(|p| p.to_register(chain.chip.pll.form) == word));
        (one.then_some(f[4]), mhz.expect("a clock"))
    };
    chain.uart.sent.iter().filter(|f| f[5] == 0x08).map(of).collect()
}

#[test]
fn slower_chips_alone_come_back_too() {
    let (mut chain, now) = hashing(75.0);
    chain.set_chip_clock(11, Megahertz(56.25));
    let (_, now) = run(&mut chain, now, None);
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(75.0));
    let (_, now) = run(&mut chain, now, None);
    assert_eq!(clocks(&chain), [(Some(22), 62.5), (Some(22), 68.75), (Some(22), 75.0)]);
    // And once they are back, there is nothing to come back from.
    chain.uart.sent.clear();
    chain.set_chip_clock(11, Megahertz(75.0));
    let (_, now) = run(&mut chain, now, None);
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(75.0));
    run(&mut chain, now, None);
    assert_eq!(clocks(&chain), []);
}

#[test]
fn a_ramp_does_not_lift_a_chip_that_is_slower() {
    let (mut chain, now) = hashing(81.25);
    chain.set_chip_clock(11, Megahertz(68.75));
    let (_, now) = run(&mut chain, now, None);
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(62.5));
    let began = now;
    let (_, now) = run(&mut chain, now, None);
    assert_eq!(clocks(&chain), [(None, 75.0), (Some(22), 68.75), (None, 68.75), (None, 62.5)]);
    // As long as a ramp of three steps always takes: a slower chip costs no time.
    assert!(now.since(began) < Duration::from_millis(400), "{:?}", now.since(began));
    chain.set_chip_clock(11, Megahertz(56.25));
    let (_, now) = run(&mut chain, now, None);
    chain.uart.sent.clear();
    chain.set_clock(Megahertz(68.75));
    run(&mut chain, now, None);
    let up = [(None, 68.75), (Some(22), 56.25), (Some(22), 62.5), (Some(22), 68.75)];
    assert_eq!(clocks(&chain), up, "it rises behind the others, by the same steps");
}
