//! The brain as a whole: precedence, bad input, and what no sequence of facts may lead to.

use super::*;
use crate::ChipCount;
use crate::testing::{LIMITS, PRODUCT, body, job};
use model::{
    Aim, Celsius, ChainState, FanId, Hash, Hours, JobBody, Measured, Megahertz, PowerPlan, Reject, Rpm, SensorId, Status, Task,
    Verdict, Volt, Watt,
};
use proptest::prelude::*;

const PLAN: Plan = Plan {
    product: Some(&PRODUCT),
    upstreams: 2,
    autostart: true,
    small_cores: 512,
    cpus: 0,
    cpu_hashes_per_second: 0.0,
    cooling: Cooling { mode: model::CoolingMode::Auto, target: None, hot: None, danger: None },
};

/// A work's one nonce each 1.5 s is then more than the chains of [`PRODUCT`] promise.
const NONCE_BITS: u8 = 43;

/// A rig that obeys at once, and keeps what was ordered.
struct Rig {
    brain: Brain,
    now: Time,
    orders: Vec<Order>,
    board: Result<f64, String>,
    rails: [Option<Volt>; 2],
    supply: Option<Volt>,
    supply_fails: bool,
    obeys_rail_off: bool,
    pools_answer: bool,
    shares_answered: bool,
    /// The product's chains find nothing.
    mute_chains: bool,
}

impl Rig {
    fn new(plan: Plan) -> Rig {
        let brain = Brain::new(Time::ZERO, plan);
        Rig {
            brain,
            now: Time::ZERO,
            orders: vec![],
            board: Ok(40.0),
            rails: [None; 2],
            supply: None,
            supply_fails: false,
            obeys_rail_off: true,
            pools_answer: true,
            shares_answered: true,
            mute_chains: false,
        }
    }
    fn tell(&mut self, fact: Fact) {
        self.brain.tell(self.now, fact);
        while let Some(order) = self.brain.next_order() {
            self.orders.push(order.clone());
            let answer = |r: &mut Rig, f: Fact| r.brain.tell(r.now, f);
            match order {
                Order::Supply(Some(_)) if self.supply_fails => {
                    answer(self, Fact::Supply(Err("no answer".to_owned())));
                }
                Order::Supply(v) => {
                    self.supply = v;
                    if v.is_none() {
                        self.rails = [None; 2];
                    }
                    answer(self, Fact::Supply(Ok(v)));
                }
                Order::Rail { chain, volt: None } if !self.obeys_rail_off => {
                    answer(self, Fact::Rail { chain, value: Err("no answer".to_owned()) });
                }
                Order::Rail { chain, volt } => {
                    self.rails[usize::from(chain.0)] = volt;
                    answer(self, Fact::Rail { chain, value: Ok(volt) });
                }
                Order::StartChain(chain) => {
                    answer(self, Fact::ChainCounted { chain, chips: 12 });
                    answer(self, Fact::ChainReady(chain));
                }
                Order::Clock { chain, clock } => {
                    answer(self, Fact::ChainClock { chain, clock });
                    answer(self, Fact::ChainHashing { chain, epoch: Duration::from_secs(2), nonce_bits: NONCE_BITS });
                }
                Order::Connect(u) if self.pools_answer => {
                    answer(self, Fact::UpstreamReady(u));
                    answer(self, Fact::Job(job(100 + u64::from(u.0), u.0, true)));
                }
                Order::Work(w) if self.mute_chains && w.chain.0 < 2 => {}
                Order::Work(w) => answer(
                    self,
                    Fact::Nonce(Nonce {
                        work: w.id,
                        chain: w.chain,
                        chip: None,
                        nonce: 1,
                        version: w.header.version,
                        hash: Hash([0; 32]),
                    }),
                ),
                Order::Submit(share) if self.shares_answered => {
                    answer(self, Fact::Verdict { share: share.id, verdict: Verdict::Accepted })
                }
                _ => {}
            }
        }
    }
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            for id in 0..4 {
                // A sensor that lives moves by its least step now and then.
                let value = self.board.clone().map(|c| Celsius(c + (self.now.secs_f64() % 2.0) / 16.0));
                self.tell(Fact::Temperature { sensor: SensorId(id), chain: ChainId(id / 2), value });
            }
            for id in 0..2 {
                self.tell(Fact::FanSpeed { fan: FanId(id), value: Ok(Some(Rpm(6000.0))) });
            }
        }
    }
    fn status(&self) -> Status {
        let mut s = Status::default();
        self.brain.describe(self.now, &mut s);
        s
    }
    fn has(&self, code: FaultCode) -> bool {
        self.brain.faults.iter().any(|f| f.code == code)
    }
}

#[test]
fn it_comes_to_mine_and_says_so() {
    let mut r = Rig::new(PLAN);
    r.run(120);
    let s = r.status();
    assert!(s.chains.iter().all(|c| c.state == model::ChainState::Hashing && c.chips == 12 && c.volts == 13.0));
    assert!(s.shares.accepted > 50);
    let by_hand: u64 = s.chains.iter().map(|c| c.shares_accepted).sum();
    assert_eq!(by_hand, s.shares.accepted, "each share is some chain's");
    assert!(s.chains.iter().all(|c| c.shares_accepted > 0));
    assert_eq!(s.shares.rejected, 0);
    assert!(s.upstreams[0].active);
    assert!(s.hashes_per_second > 0.0);
    assert!((s.expected_hashes_per_second - 2.0 * 12.0 * 500e6 * 512.0).abs() < 1.0);
    assert_eq!(s.chains[1].chip_celsius, Some(55.0));
    assert_eq!(s.chains[1].sensors[1].place, "chain 1 outlet");
    assert_eq!(s.faults, []);
}

#[test]
fn a_chain_has_not_failed_before_its_first_readings_are_due() {
    let mut r = Rig::new(PLAN);
    r.board = Err("no answer".to_owned());
    r.run(3);
    assert_eq!((r.status().chains[0].state, r.has(FaultCode::SensorLost)), (ChainState::Starting, false));
    r.run(10);
    assert_eq!((r.status().chains[0].state, r.has(FaultCode::SensorLost)), (ChainState::Failed, true));
}

#[test]
fn what_was_left_on_is_switched_off_before_anything_else() {
    let mut brain = Brain::new(Time::ZERO, PLAN);
    let orders: Vec<Order> = std::iter::from_fn(|| brain.next_order()).collect();
    let held = |chain| Order::Reset { chain: ChainId(chain), held: true };
    assert_eq!(orders[..3], [Order::Supply(None), held(0), held(1)]);
    assert!(orders.contains(&Order::Duty(Percent(100.0))), "{orders:?}");
}

#[test]
fn without_an_upstream_hash_power_stays_off() {
    let mut r = Rig::new(Plan { upstreams: 0, ..PLAN });
    r.tell(Fact::Command(Command::Start));
    r.run(300);
    assert!(r.has(FaultCode::NoUpstream));
    assert!(
        !r.orders.iter().any(|o| matches!(o, Order::Supply(Some(_)) | Order::Rail { .. } | Order::Work(_) | Order::Connect(_)))
    );
    assert!(!Rig::new(PLAN).has(FaultCode::NoUpstream));
}

#[test]
fn boards_wait_for_a_first_job_bear_a_gap_and_go_off_without_any() {
    let mut r = Rig::new(PLAN);
    r.pools_answer = false;
    r.run(130);
    assert!(r.has(FaultCode::NoWork));
    assert!(!r.orders.iter().any(|o| matches!(o, Order::Supply(Some(_)) | Order::Rail { volt: Some(_), .. })));
    r.pools_answer = true;
    r.run(200);
    assert!(!r.has(FaultCode::NoWork));
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);

    r.pools_answer = false;
    for upstream in [UpstreamId(0), UpstreamId(1)] {
        r.tell(Fact::UpstreamFailed { upstream, code: FaultCode::UpstreamDown, detail: "gone".to_owned() });
    }
    r.run(100);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2], "a gap is borne");
    assert!(!r.has(FaultCode::NoWork));
    r.run(25);
    assert_eq!((r.rails, r.supply), ([None; 2], None));
    assert!(r.has(FaultCode::NoWork) && r.has(FaultCode::UpstreamDown));
    r.pools_answer = true;
    r.run(200);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);
    assert!(!r.has(FaultCode::NoWork));
}

#[test]
fn a_stop_waits_for_the_answers_to_the_last_shares_and_not_for_ever() {
    let disconnects = |r: &Rig| r.orders.iter().filter(|o| matches!(o, Order::Disconnect(_))).count();
    for answered in [true, false] {
        let mut r = Rig::new(Plan { product: None, ..PLAN });
        r.tell(Fact::ChainHashing { chain: ChainId(0), epoch: Duration::from_secs(60), nonce_bits: 12 });
        r.run(1);
        r.shares_answered = answered;
        let Some(Order::Work(w)) = r.orders.iter().find(|o| matches!(o, Order::Work(_))).cloned() else { panic!("no work") };
        r.tell(Fact::Command(Command::Stop));
        // Found before the stop, told after it.
        let found = Nonce { work: w.id, chain: w.chain, chip: None, nonce: 2, version: w.header.version, hash: Hash([0; 32]) };
        r.orders.clear();
        r.tell(Fact::Nonce(found));
        assert!(r.orders.iter().any(|o| matches!(o, Order::Submit(_))));
        assert_eq!(disconnects(&r), 0);
        assert!(r.brain.is_finishing(r.now));
        r.run(1);
        assert_eq!(disconnects(&r), usize::from(answered));
        r.run(4);
        assert_eq!(disconnects(&r), 1);
        assert!(!r.brain.is_finishing(r.now));
    }
}

#[test]
fn a_pulled_board_is_named_once_and_comes_back_by_itself() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    let plug = |r: &mut Rig, plugged| r.tell(Fact::Plugged { chain: ChainId(1), plugged });
    plug(&mut r, false);
    plug(&mut r, false);
    plug(&mut r, true);
    plug(&mut r, false);
    plug(&mut r, false);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2], "a loose contact is no pulled board");
    r.obeys_rail_off = false;
    plug(&mut r, false);
    r.run(60);
    assert!(r.has(FaultCode::ChainMissing) && !r.has(FaultCode::RailFailed));
    assert_eq!(r.status().chains[0].state, ChainState::Hashing);
    assert!(r.supply.is_some(), "what is not there needs no cut of all the others' supply");
    r.obeys_rail_off = true;
    plug(&mut r, true);
    r.run(60);
    assert!(r.status().chains.iter().all(|c| c.state == ChainState::Hashing));
    assert_eq!(r.status().faults, []);
}

#[test]
fn stop_and_start_by_a_person() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.tell(Fact::Command(Command::Stop));
    assert_eq!((r.rails, r.supply), ([None; 2], None));
    r.run(60);
    assert_eq!(r.supply, None);
    r.tell(Fact::Command(Command::Start));
    r.run(60);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);
}

#[test]
fn a_pause_keeps_the_rail_without_work_and_ends_within_five_seconds() {
    let mut r = Rig::new(PLAN);
    r.run(120);
    r.orders.clear();
    r.tell(Fact::Command(Command::Pause));
    r.run(5);
    let slow = |c| Order::Clock { chain: ChainId(c), clock: LIMITS.clock_min };
    assert!((0..2).all(|c| r.orders.contains(&slow(c))), "{:?}", r.orders);
    r.orders.clear();
    r.run(600);
    let busy = |o: &Order| matches!(o, Order::Work(_) | Order::Rail { .. } | Order::Supply(_) | Order::Clock { .. });
    assert!(!r.orders.iter().any(busy), "{:?}", r.orders.iter().find(|o| busy(o)));
    assert!(r.status().paused && r.rails == [Some(Volt(13.0)); 2]);
    assert_eq!(r.status().paused_by, Some(model::PausedBy::Person));
    assert_eq!(r.status().faults, []);
    r.tell(Fact::Command(Command::Resume));
    r.run(5);
    for chain in 0..2 {
        assert!(r.orders.contains(&Order::Clock { chain: ChainId(chain), clock: LIMITS.clock_nominal }));
        assert!(r.orders.iter().any(|o| matches!(o, Order::Work(w) if w.chain == ChainId(chain))));
    }
    assert!(!r.status().paused && r.status().paused_by.is_none());
}

#[test]
fn heat_beats_a_pause_and_hours_can_ask_for_one() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.orders.clear();
    let hours = vec![Hours { from: 0, to: 60, task: Task::Pause }];
    r.tell(Fact::PowerPlan(PowerPlan { aim: None, hours, ahead_minutes: 0 }));
    r.tell(Fact::WallClock(1_767_225_600));
    r.run(120);
    assert!(r.status().paused && !r.orders.iter().any(|o| matches!(o, Order::Work(_))));
    assert_eq!(r.status().paused_by, Some(model::PausedBy::Hours));
    assert_eq!(r.status().chains[0].clock_hertz, LIMITS.clock_min.0 * 1e6);
    r.board = Ok(85.0);
    r.run(3);
    assert_eq!(r.rails, [None; 2], "too hot is too hot");
    r.board = Ok(40.0);
    r.run(600);
    assert_eq!(r.rails, [None; 2], "nothing is started for a pause");
    r.run(3000);
    assert!(!r.status().paused && r.status().chains[0].state == ChainState::Hashing);
    r.tell(Fact::Command(Command::Pause));
    r.run(5);
    assert!(r.status().paused);
    r.tell(Fact::Command(Command::Start));
    r.run(5);
    assert!(!r.status().paused, "who starts wants no pause");
}

#[test]
fn an_aim_lowers_the_clock_at_once_and_the_rail_in_steps() {
    let mut r = Rig::new(PLAN);
    r.tell(Fact::PowerPlan(PowerPlan { aim: Some(Aim::Power(Watt(1500.0))), ..PowerPlan::default() }));
    r.run(60);
    let s = r.status();
    let watts: f64 = s.chains.iter().map(|c| c.watts).sum();
    assert!(watts > 1450.0 && watts <= 1500.0, "{watts}");
    assert_eq!(s.chains[0].tuning, "factory");
    let mut right = 0;
    for _ in 0..600 {
        right += 10;
        for chain in [ChainId(0), ChainId(1)] {
            r.tell(Fact::ChipStats { chain, chips: vec![ChipCount { right, wrong: 0 }; 12] });
        }
        r.run(10);
    }
    assert_eq!(r.rails, [Some(LIMITS.rail_min); 2]);
    assert!(r.status().chains.iter().all(|c| c.clock_hertz > 430e6), "{:?}", r.status().chains);
    assert!(r.orders.iter().any(|o| matches!(o, Order::Keep(_))), "what was found is kept");
}

#[test]
fn danger_cuts_within_the_same_call_and_unknown_chains_are_no_panic() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.tell(Fact::Temperature { sensor: SensorId(0), chain: ChainId(0), value: Ok(Celsius(81.0)) });
    assert_eq!(r.rails, [None, Some(Volt(13.0))]);
    assert_eq!(r.status().chains[0].state, model::ChainState::Cooling);
    r.tell(Fact::ChainCounted { chain: ChainId(200), chips: 1 });
    r.tell(Fact::ChainFailed { chain: ChainId(200), code: FaultCode::ChainSilent, detail: String::new() });
    r.tell(Fact::Temperature { sensor: SensorId(200), chain: ChainId(9), value: Ok(Celsius(500.0)) });
    r.tell(Fact::FanSpeed { fan: FanId(9), value: Err(String::new()) });
}

#[test]
fn a_lost_bus_stops_hashing_within_40_s_even_if_no_regulator_obeys() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.board = Err("nothing answers".to_owned());
    r.obeys_rail_off = false;
    r.run(31);
    assert_eq!(r.supply, None, "the supply is the last switch");
    r.run(300);
    assert_eq!(r.supply, None);
    assert!(r.has(FaultCode::RailFailed));
    r.board = Ok(40.0);
    r.obeys_rail_off = true;
    r.run(120);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2], "and back again");
}

#[test]
fn a_job_with_a_malformed_branch_moves_on_to_the_next_upstream() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    let mut b = body();
    b.branch = vec![Hash([0; 32]); 40];
    r.tell(Fact::Job(Job { body: JobBody::Coinbase(b), ..job(500, 0, true) }));
    assert!(r.orders.contains(&Order::Disconnect(UpstreamId(0))));
    assert!(r.status().upstreams[1].active);
    assert!(r.has(FaultCode::UpstreamProtocol));
    r.run(60);
    assert!(r.status().upstreams[0].active, "back when it is well again");
    assert!(!r.has(FaultCode::UpstreamProtocol));
}

#[test]
fn no_share_of_a_superseded_or_foreign_job_is_sent() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    let work = r.orders.iter().rev().find_map(|o| if let Order::Work(w) = o { Some(w.clone()) } else { None }).expect("work");
    r.tell(Fact::Job(job(600, 0, true)));
    let before = r.orders.len();
    let nonce =
        Nonce { work: work.id, chain: work.chain, chip: None, nonce: 77, version: work.header.version, hash: Hash([0; 32]) };
    r.tell(Fact::Nonce(nonce));
    r.tell(Fact::Verdict { share: ShareId(u64::MAX), verdict: Verdict::Rejected(Reject::Duplicate) });
    assert!(!r.orders[before..].iter().any(|o| matches!(o, Order::Submit(_))));
    assert!(!r.brain.is_active(work.job));
    assert!(r.brain.is_active(JobId(600)));
}

#[test]
fn noise_and_lost_orders_are_shown_and_pass() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.tell(Fact::ChainNoise { chain: ChainId(0), frame_errors: 30, frames: 100 });
    r.tell(Fact::FrameErrors { chain: ChainId(0), count: 30 });
    r.tell(Fact::OrdersLost { place: "chain 0".to_owned(), count: 3 });
    assert_eq!(r.status().chains[0].frame_errors, 30);
    assert!(r.has(FaultCode::ChainNoise));
    assert!(r.has(FaultCode::QueueFull));
    r.run(61);
    assert_eq!(r.status().faults, []);
}

#[test]
fn cpu_threads_are_hands_without_a_board() {
    let mut r = Rig::new(Plan { product: None, cpus: 2, cpu_hashes_per_second: 1e6, ..PLAN });
    let states = |r: &Rig| r.status().cpus.iter().map(|c| c.state).collect::<Vec<_>>();
    assert_eq!(states(&r), [ChainState::Starting; 2]);
    r.tell(Fact::ChainHashing { chain: ChainId(0), epoch: Duration::from_secs(60), nonce_bits: 12 });
    r.run(5);
    assert!(r.orders.iter().any(|o| matches!(o, Order::Submit(_))));
    assert_eq!(states(&r), [ChainState::Hashing, ChainState::Starting]);
    let status = r.status();
    assert_eq!(status.expected_hashes_per_second, 1e6);
    assert!(status.cpus[0].nonces > 0 && status.hashes_per_second == status.cpus[0].hashes_per_second);
    r.tell(Fact::Command(Command::Stop));
    assert!(r.orders.contains(&Order::StopChain(ChainId(0))));
    assert_eq!(states(&r), [ChainState::Off, ChainState::Starting]);
}

#[test]
fn threads_come_after_the_chains_and_are_called_so_and_idle_without_a_pool() {
    let mut r = Rig::new(Plan { cpus: 1, upstreams: 0, ..PLAN });
    let id = ChainId(2);
    r.tell(Fact::ChainHashing { chain: id, epoch: Duration::from_secs(60), nonce_bits: 12 });
    r.run(5);
    assert!(!r.orders.iter().any(|o| matches!(o, Order::Work(_))));
    assert_eq!(r.status().cpus[0].state, ChainState::Off);
    (0..30).for_each(|_| r.tell(Fact::HardwareError(id)));
    r.tell(Fact::ChainFailed { chain: id, code: FaultCode::SelfTest, detail: String::new() });
    let places: Vec<String> = r.status().faults.into_iter().map(|f| f.place).filter(|p| p != "settings").collect();
    assert!(
        !places.is_empty() && places.iter().all(|p| p == "cpu 0" || p.starts_with("fan") || p.contains("sensor")),
        "{places:?}"
    );
}

#[test]
fn a_chain_whose_nonces_stay_wrong_is_started_anew_once_an_hour() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    let (mut starts, mut at) = (vec![], 0);
    // Noise left a register wrong; the first start sets it right again, or it is the chips that err.
    for mends in [true, false] {
        r.orders.clear();
        for second in 0..3000 {
            if !mends || starts.len() == at {
                r.tell(Fact::HardwareError(ChainId(1)));
            }
            r.run(1);
            starts.extend(r.orders.drain(..).filter(|o| *o == Order::StartChain(ChainId(1))).map(|_| second));
        }
        assert_eq!(starts.len(), at + 1, "{mends} {starts:?}");
        assert_eq!(r.has(FaultCode::HardwareErrors), !mends);
        r.run(3600);
        at = starts.len();
    }
    assert!(starts.iter().all(|second| *second >= 600), "{starts:?}");
}

#[test]
fn a_chain_that_computes_right_again_is_not_started_for_what_is_over_and_a_start_for_it_is_named() {
    // Seconds for which many are wrong, a start in between for another reason, and all starts that are made.
    for (wrong, fails, starts) in [(30, false, 0), (500, false, 0), (500, true, 1), (700, false, 1)] {
        let mut r = Rig::new(PLAN);
        r.run(60);
        r.orders.clear();
        let (mut made, mut named) = (0, true);
        for second in 0..1500 {
            if second < wrong {
                r.tell(Fact::HardwareError(ChainId(1)));
            }
            if fails && second == wrong {
                let (code, detail) = (FaultCode::ChainSlow, String::new());
                r.tell(Fact::ChainFailed { chain: ChainId(1), code, detail });
                r.run(60);
                assert!(!r.has(FaultCode::HardwareErrors), "its chips are set anew, and right");
            }
            r.run(1);
            made += r.orders.drain(..).filter(|o| *o == Order::StartChain(ChainId(1))).count();
            let off = r.status().chains[1].state != ChainState::Hashing;
            named &= !off || r.has(FaultCode::HardwareErrors);
        }
        assert_eq!((made, named), (starts, true), "{wrong} {fails}");
        assert!(!r.has(FaultCode::HardwareErrors));
    }
}

#[test]
fn silent_chains_cost_no_pool_that_the_processor_mines_for() {
    for (cpus, left) in [(0, true), (1, false)] {
        let mut r = Rig::new(Plan { cpus, ..PLAN });
        if cpus > 0 {
            r.tell(Fact::ChainHashing { chain: ChainId(2), epoch: Duration::from_secs(2), nonce_bits: NONCE_BITS });
        }
        r.run(60);
        r.mute_chains = true;
        r.orders.clear();
        r.run(150);
        assert_eq!(r.orders.iter().any(|o| matches!(o, Order::Disconnect(_))), left, "with {cpus} threads");
    }
}

#[test]
fn chains_without_a_supply_cost_no_pool() {
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.supply_fails = true;
    r.tell(Fact::Supply(Err("no answer".to_owned())));
    r.orders.clear();
    r.run(300);
    assert!(r.has(FaultCode::SupplyFailed) && !r.has(FaultCode::UpstreamSilent));
    assert!(!r.orders.iter().any(|o| matches!(o, Order::Disconnect(_))));
}

#[test]
fn nothing_at_all_makes_a_rate_of_zero_and_not_less() {
    let status = Rig::new(Plan { product: None, upstreams: 0, ..PLAN }).status();
    for rate in [status.hashes_per_second, status.expected_hashes_per_second] {
        assert!(rate == 0.0 && rate.is_sign_positive(), "{rate}");
    }
}

#[test]
fn a_brown_out_and_a_supply_in_danger_take_the_load_away_and_give_it_back() {
    let measured = |celsius, volt: f64| Fact::Power {
        place: PowerPlace::Supply,
        measured: Measured { volt: Some(Volt(volt)), celsius: Some(Celsius(celsius)), ..Measured::default() },
    };
    let mut r = Rig::new(PLAN);
    r.run(60);
    r.tell(measured(40.0, 13.1));
    assert!(r.has(FaultCode::BrownOut));
    assert!(r.orders.iter().rev().take(4).any(|o| matches!(o, Order::Clock { clock: Megahertz(100.0), .. })), "first the clock");
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);
    r.run(6);
    assert_eq!((r.rails, r.supply), ([None; 2], None), "then all of it, before the supply latches");
    r.run(60);
    assert!(!r.has(FaultCode::BrownOut));
    assert_eq!(r.rails, [Some(Volt(13.0)); 2], "and back again");
    r.orders.clear();
    r.tell(measured(86.0, 14.0));
    assert_eq!(r.supply, Some(Volt(14.0)), "one word may be damaged");
    r.tell(measured(86.0, 14.0));
    assert_eq!((r.rails, r.supply), ([None; 2], None), "a supply in danger is cut in the same call");
}

#[test]
fn a_board_of_another_product_is_left_off_and_the_rest_runs() {
    let mut r = Rig::new(PLAN);
    let part = crate::BoardPart::Eeprom;
    r.tell(Fact::Identity { chain: ChainId(1), part, value: Err("it says BHB68603".to_owned()) });
    r.run(120);
    assert_eq!(r.rails, [Some(Volt(13.0)), None]);
    assert!(r.has(FaultCode::BoardUnknown));
    r.tell(Fact::Identity { chain: ChainId(1), part, value: Ok("BHB42601".to_owned()) });
    r.run(60);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);
}

#[test]
fn what_was_latched_before_a_restart_waits_for_a_person() {
    let mut r = Rig::new(PLAN);
    r.tell(Fact::Latched(ChainId(0)));
    r.run(7200);
    assert_eq!(r.rails, [None, Some(Volt(13.0))]);
    assert!(r.has(FaultCode::Latched));
    r.tell(Fact::Command(Command::Start));
    r.run(120);
    assert_eq!(r.rails, [Some(Volt(13.0)); 2]);
    assert!(!r.has(FaultCode::Latched));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let celsius = prop_oneof![4 => 20.0..90.0, 1 => -100.0..200.0, 1 => Just(f64::NAN)];
    let volt = prop_oneof![Just(None), Just(Some(14.0)), Just(Some(13.0)), Just(Some(99.0)), Just(Some(f64::NAN))];
    let lost = |ok: bool| if ok { Ok(()) } else { Err("lost".to_owned()) };
    let chain = (0u8..4).prop_map(ChainId);
    prop_oneof![
        12 => (0u8..5, celsius, proptest::bool::weighted(0.9)).prop_map(move |(id, c, ok)| Fact::Temperature {
            sensor: SensorId(id), chain: ChainId(id / 2), value: lost(ok).map(|()| Celsius(c)) }),
        6 => (0u8..3, 0.0..7000.0f64, proptest::bool::weighted(0.9)).prop_map(move |(id, rpm, ok)| Fact::FanSpeed {
            fan: FanId(id), value: lost(ok).map(|()| Some(Rpm(rpm))) }),
        4 => (chain.clone(), volt.clone(), proptest::bool::weighted(0.9)).prop_map(move |(chain, v, ok)| Fact::Rail {
            chain, value: lost(ok).map(|()| v.map(Volt)) }),
        3 => volt.prop_map(|v| Fact::Supply(Ok(v.map(Volt)))),
        1 => Just(Fact::Supply(Err("lost".to_owned()))),
        2 => (chain.clone(), 0u32..200).prop_map(|(chain, chips)| Fact::ChainCounted { chain, chips }),
        2 => chain.clone().prop_map(Fact::ChainReady),
        2 => (chain.clone(), 0.0..1e9f64).prop_map(|(chain, c)| Fact::ChainClock { chain, clock: Megahertz(c) }),
        3 => (chain.clone(), 0u64..5000).prop_map(|(chain, ms)| Fact::ChainHashing { chain, epoch: Duration::from_millis(ms), nonce_bits: 12 }),
        1 => chain.prop_map(|chain| Fact::ChainFailed { chain, code: FaultCode::ChainSilent, detail: String::new() }),
        1 => (0u8..5).prop_map(|id| Fact::SensorBroken {
            sensor: SensorId(id), chain: ChainId(id / 2), why: "open circuit".to_owned() }),
        2 => (0u8..3, -10.0..40.0f64, -10.0..120.0f64).prop_map(|(id, volt, celsius)| Fact::Power {
            place: if id == 2 { PowerPlace::Supply } else { PowerPlace::Rail(ChainId(id)) },
            measured: Measured { volt: Some(Volt(volt)), celsius: Some(Celsius(celsius)), ..Measured::default() } }),
        1 => (0u8..4, proptest::bool::weighted(0.7)).prop_map(move |(id, ok)| Fact::Identity {
            chain: ChainId(id), part: crate::BoardPart::Regulator, value: lost(ok).map(|()| "89".to_owned()) }),
        1 => (0u8..40).prop_map(|id| Fact::Latched(ChainId(id))),
        2 => (0u8..3).prop_map(|u| Fact::UpstreamReady(UpstreamId(u))),
        2 => (0u64..50, 0u8..3, any::<bool>()).prop_map(|(id, u, clean)| Fact::Job(job(id, u, clean))),
        1 => prop_oneof![Just(Command::Start), Just(Command::Stop), Just(Command::Pause), Just(Command::Resume)].prop_map(Fact::Command),
        1 => (1.0..4000.0f64).prop_map(|w| Fact::PowerPlan(PowerPlan { aim: Some(Aim::Power(Watt(w))), ..PowerPlan::default() })),
        1 => any::<u64>().prop_map(Fact::WallClock),
        2 => (0u8..4, 0u64..1000, 0u64..1000).prop_map(|(chain, right, wrong)| Fact::ChipStats {
            chain: ChainId(chain), chips: vec![ChipCount { right, wrong }; 12] }),
    ]
}

proptest! {
    /// The limits are looked at here again, apart from the guard, and the age of readings by a book of our own.
    #[test]
    fn no_facts_lead_beyond_the_limits(steps in proptest::collection::vec((0u64..4000, any_fact()), 1..400)) {
        let mut brain = Brain::new(Time::ZERO, PLAN);
        let (mut now, mut read, mut rails) = (Time::ZERO, [None::<Time>; 4], [None::<Volt>; 2]);
        for (ms, fact) in steps {
            now = now + Duration::from_millis(ms);
            if let Fact::Temperature { sensor, value: Ok(c), .. } = &fact
                && (1.0..=125.0).contains(&c.0)
                && let Some(at) = read.get_mut(usize::from(sensor.0))
            {
                *at = Some(now);
            }
            brain.tell(now, fact);
            while let Some(order) = brain.next_order() {
                match order {
                    Order::Rail { chain, volt } => rails[usize::from(chain.0)] = volt,
                    Order::Clock { clock, .. } | Order::ChipClock { clock, .. } => prop_assert!(clock <= LIMITS.clock_max && clock >= LIMITS.clock_min),
                    Order::Duty(d) => prop_assert!((LIMITS.duty_min.0..=100.0).contains(&d.0)),
                    Order::Supply(v) => prop_assert!(v.is_none_or(|v| v <= LIMITS.rail_max)),
                    _ => {}
                }
            }
            prop_assert!(brain.wake_at() > now);
            for (i, rail) in rails.iter().enumerate().filter(|(_, r)| r.is_some()) {
                prop_assert!(rail.is_none_or(|v| v <= LIMITS.rail_max));
                for at in &read[2 * i..2 * i + 2] {
                    prop_assert!(at.is_some_and(|t| now.since(t) <= LIMITS.reading_age_max * 3), "chain {i} is on, unknown");
                }
            }
        }
    }
}
