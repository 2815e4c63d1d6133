//! The hand of one chain: its driver, the verification of every nonce that it reports, and each chip's own account of them.

use crate::{Hand, Scale, Works};
use control::{ChipCount, Fact, Order};
use hwdrivers::chip::{ChainDriver, ChainEvent, WatchError};
use model::{ChainId, ChipAt, FaultCode, Nonce, Product, SensorId, SensorPart, Target, Time};
use std::time::Duration;

/// Share of frames with a wrong checksum that raises a fault, in percent.
const NOISE_PERCENT: u64 = 5;
/// Replies after which the noise is judged.
const NOISE_WINDOW: u64 = 200;
/// It is judged after this in any case: a small or a slow chain takes minutes for so many replies.
const NOISE_PERIOD: Duration = Duration::from_secs(30);
/// Fewer damaged frames than this are chance.
const NOISE_LEAST: u64 = 3;
/// Damaged frames are told this often: a line of nothing but noise has thousands a second.
const ERRORS_EVERY: Duration = Duration::from_secs(1);
/// What chips at work say may wait so long: an S21's chain says two hundred things a second, and to wake up for each costs more than to
/// read it. A share is late by half of it, which makes one in 24,000 stale at a block each ten minutes.
const GATHER: Duration = Duration::from_millis(50);
/// The same where all work is run through, as in a pause: what comes then is no share.
const GATHER_IDLE: Duration = Duration::from_millis(200);
/// Each chip's account is told this often while it changes.
const STATS_EVERY: Duration = Duration::from_secs(10);

/// One chain's hand.
pub struct ChainHand {
    id: ChainId,
    driver: Box<dyn ChainDriver>,
    ticket: Target,
    nonce_bits: u8,
    works: Works,
    /// Damaged frames and all replies when the noise was last judged, and when.
    judged_at: (u64, u64, Time),
    /// Damaged frames as last told, and when.
    errors_told: (u64, Time),
    /// Each chip's account since the last start, and when it was last told.
    counts: Vec<ChipCount>,
    counts_told: Time,
    counted: bool,
    /// The machine's number of the sensor that the chips themselves are.
    sensor: Option<SensorId>,
    failed: bool,
    /// It said that it hashes, since its last start.
    hashing: bool,
    /// When it was last given work, and when it last turned.
    worked_at: Time,
    turned_at: Time,
}

/// The machine's number of the sensor that a chain reads itself, on or through its chips.
#[must_use]
pub fn chain_sensor(product: &Product, chain: ChainId) -> Option<SensorId> {
    let spots = product.hashboards.iter().zip(0u8..).flat_map(|(board, at)| board.sensors.iter().map(move |spot| (spot, at)));
    let own = |part| matches!(part, SensorPart::OnChip | SensorPart::ThroughChip { .. });
    spots.zip(0u8..).find(|((spot, at), _)| *at == chain.0 && own(spot.part)).map(|(_, id)| SensorId(id))
}

impl ChainHand {
    /// Takes the chain's driver; `scale` is the one that the driver was made with.
    #[must_use]
    pub fn new(id: ChainId, driver: Box<dyn ChainDriver>, scale: Scale) -> ChainHand {
        let ticket_bits = driver.ticket_bits();
        ChainHand {
            id,
            driver,
            nonce_bits: scale.zero_bits + scale.scale_bits + ticket_bits,
            ticket: Target::from_zero_bits(u32::from(scale.zero_bits) + u32::from(ticket_bits)),
            works: Works::default(),
            judged_at: (0, 0, Time::ZERO),
            errors_told: (0, Time::ZERO),
            counts: Vec::new(),
            counts_told: Time::ZERO,
            counted: false,
            sensor: None,
            failed: false,
            hashing: false,
            worked_at: Time::ZERO,
            turned_at: Time::ZERO,
        }
    }

    /// Tells the chips' own temperature as this sensor's; without one it is left untold.
    #[must_use]
    pub fn with_sensor(mut self, sensor: Option<SensorId>) -> ChainHand {
        self.sensor = sensor;
        self
    }

    /// How long a job lasts the chain at its clock now.
    fn lasts(&self) -> Fact {
        Fact::ChainHashing { chain: self.id, epoch: self.driver.epoch(), nonce_bits: self.nonce_bits }
    }

    fn verify(&mut self, work: model::WorkId, nonce: u32, version: u32, chip: Option<ChipAt>) -> Fact {
        let fact = self.judge(work, nonce, version, chip);
        if let Some(at) = chip {
            let index = usize::from(at.chip);
            if self.counts.len() <= index {
                self.counts.resize(index + 1, ChipCount::default());
            }
            match fact {
                Fact::Nonce(_) => self.counts[index].right += 1,
                _ => self.counts[index].wrong += 1,
            }
            self.counted = true;
        }
        fact
    }

    fn judge(&self, work: model::WorkId, nonce: u32, version: u32, chip: Option<ChipAt>) -> Fact {
        let Some(known) = self.works.get(work) else { return Fact::HardwareError(self.id) };
        let hash = model::Header { nonce, version, ..known.header }.hash();
        let rolled_outside = (version ^ known.header.version) & !known.version_mask != 0;
        if rolled_outside || !self.ticket.is_met_by(&hash) {
            return Fact::HardwareError(self.id);
        }
        Fact::Nonce(Nonce { work, chain: self.id, chip, nonce, version, hash })
    }

    fn tell_errors(&mut self, now: Time, facts: &mut Vec<Fact>) {
        let ((told, at), count) = (self.errors_told, self.driver.counters().frame_errors);
        if count != told && now >= at + ERRORS_EVERY {
            self.errors_told = (count, now);
            facts.push(Fact::FrameErrors { chain: self.id, count });
        }
    }

    fn tell_counts(&mut self, now: Time, facts: &mut Vec<Fact>) {
        if self.counted && now >= self.counts_told + STATS_EVERY {
            (self.counted, self.counts_told) = (false, now);
            facts.push(Fact::ChipStats { chain: self.id, chips: self.counts.clone() });
        }
    }

    fn judge_noise(&mut self, now: Time, facts: &mut Vec<Fact>) {
        let c = self.driver.counters();
        let (errors, replies) = (c.frame_errors, c.frame_errors + c.nonces);
        let (errors_before, replies_before, at) = self.judged_at;
        let (frame_errors, frames) = (errors - errors_before, replies - replies_before);
        if frames < NOISE_WINDOW && now < at + NOISE_PERIOD {
            return;
        }
        let noise = frame_errors >= NOISE_LEAST && frame_errors * 100 >= frames * NOISE_PERCENT;
        // A few that may be chance are followed for as long again.
        if !noise && frame_errors > 0 && frames < 2 * NOISE_WINDOW && now < at + 2 * NOISE_PERIOD {
            return;
        }
        self.judged_at = (errors, replies, now);
        if noise {
            facts.push(Fact::ChainNoise { chain: self.id, frame_errors, frames });
        }
    }
}

impl Hand for ChainHand {
    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::StartChain(_) => {
                self.failed = false;
                self.counts.clear();
                self.hashing = false;
                self.driver.start(now);
            }
            Order::StopChain(_) => {
                self.hashing = false;
                // The brain pulls reset and cuts the rail behind this: a line that fails here changes nothing.
                if let Err(e) = self.driver.stop() {
                    tracing::debug!(chain = self.id.0, error = %e, "stop told to a line that failed");
                }
            }
            Order::Clock { clock, .. } => self.driver.set_clock(clock),
            Order::ChipClock { chip, clock, .. } => self.driver.set_chip_clock(chip, clock),
            // A line that fails here fails in the next turn too, which tells it.
            Order::Work(work) if self.driver.submit(&work).is_ok() => {
                self.worked_at = now;
                self.works.remember(work);
            }
            _ => {}
        }
    }

    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        self.turned_at = now;
        if let Err(e) = self.driver.turn(now)
            && !self.failed
        {
            self.failed = true;
            let detail = format!("talk to the chips of chain {}: {e}", self.id.0);
            facts.push(Fact::ChainFailed { chain: self.id, code: FaultCode::ChainMissing, detail });
        }
        while let Some(event) = self.driver.next_event() {
            let chain = self.id;
            let fact = match event {
                ChainEvent::Counted { chips } => Fact::ChainCounted { chain, chips },
                ChainEvent::Ready => Fact::ChainReady(chain),
                ChainEvent::Clock(clock) => {
                    // Faster chips are through a job sooner: without this they would hash it again.
                    facts.extend(self.hashing.then(|| self.lasts()));
                    Fact::ChainClock { chain, clock }
                }
                ChainEvent::Hashing => {
                    self.hashing = true;
                    self.lasts()
                }
                ChainEvent::Found { work, nonce, version, chip } => self.verify(work, nonce, version, chip),
                ChainEvent::Temperature(value) => match (self.sensor, value) {
                    (None, _) => continue,
                    (Some(sensor), Err(e @ (WatchError::OpenCircuit | WatchError::ShortCircuit))) => {
                        Fact::SensorBroken { sensor, chain, why: e.to_string() }
                    }
                    (Some(sensor), value) => Fact::Temperature { sensor, chain, value: value.map_err(|e| e.to_string()) },
                },
                ChainEvent::Trouble(trouble) => {
                    let detail = format!("chain {}: {trouble}", chain.0);
                    Fact::ChainFailed { chain, code: FaultCode::ChainMissing, detail }
                }
                ChainEvent::Register { .. } => continue,
            };
            facts.push(fact);
        }
        self.tell_errors(now, facts);
        self.tell_counts(now, facts);
        self.judge_noise(now, facts);
    }

    fn wake_at(&self) -> Time {
        self.driver.wake_at()
    }

    /// During a start the driver waits for each answer.
    fn gathers(&self) -> Duration {
        match self.hashing {
            false => Duration::ZERO,
            true if self.turned_at > self.worked_at + self.driver.epoch() => GATHER_IDLE,
            true => GATHER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwdrivers::bus::BusError;
    use hwdrivers::chip::{ChainTrouble, Counters};
    use model::{Celsius, Hash, Header, JobId, Megahertz, Work, WorkId};
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    /// A driver that says what it is told to say.
    #[derive(Clone, Default)]
    struct Parrot(Arc<Mutex<VecDeque<ChainEvent>>>);

    impl ChainDriver for Parrot {
        fn start(&mut self, _: Time) {}
        fn set_clock(&mut self, _: Megahertz) {}
        fn set_chip_clock(&mut self, _: u8, _: Megahertz) {}
        fn submit(&mut self, _: &Work) -> Result<(), BusError> {
            Ok(())
        }
        fn stop(&mut self) -> Result<(), BusError> {
            Ok(())
        }
        fn turn(&mut self, _: Time) -> Result<(), BusError> {
            Ok(())
        }
        fn wake_at(&self) -> Time {
            Time::NEVER
        }
        fn next_event(&mut self) -> Option<ChainEvent> {
            self.0.lock().expect("one thread").pop_front()
        }
        fn epoch(&self) -> Duration {
            Duration::from_secs(1)
        }
        fn counters(&self) -> Counters {
            Counters::default()
        }
        fn ticket_bits(&self) -> u8 {
            1
        }
    }

    /// A hand that has a work, and what it is made to hear.
    fn hand() -> (ChainHand, Parrot, Work) {
        let parrot = Parrot::default();
        let scale = Scale { zero_bits: 0, scale_bits: 0, stretch_bits: 0 };
        let mut hand = ChainHand::new(ChainId(1), Box::new(parrot.clone()), scale).with_sensor(Some(SensorId(4)));
        let header = Header { version: 0x2000_0000, merkle_root: Hash([3; 32]), ..Header::default() };
        let work = Work { id: WorkId(7), job: JobId(1), chain: ChainId(1), header, version_mask: 0, extranonce2: vec![] };
        hand.obey(Time::ZERO, Order::Work(work.clone()));
        (hand, parrot, work)
    }

    fn facts(hand: &mut ChainHand, parrot: &Parrot, now: Time, events: impl IntoIterator<Item = ChainEvent>) -> Vec<Fact> {
        parrot.0.lock().expect("one thread").extend(events);
        let mut facts = vec![];
        hand.turn(now, &mut facts);
        facts
    }

    #[test]
    fn each_chip_has_its_own_account_and_it_is_told_now_and_then() {
        let (mut hand, parrot, work) = hand();
        let found = |nonce, chip| ChainEvent::Found {
            work: work.id,
            nonce,
            version: work.header.version,
            chip: Some(ChipAt { chip, core: 0 }),
        };
        let target = Target::from_zero_bits(1);
        let good = |nonce: &u32| target.is_met_by(&Header { nonce: *nonce, ..work.header }.hash());
        let right: Vec<u32> = (0..).filter(good).take(3).collect();
        let wrong = (0..).find(|n| !good(n)).expect("half of all");
        let events = [found(right[0], 2), found(right[1], 0), found(right[2], 2), found(wrong, 2)];
        let told = facts(&mut hand, &parrot, Time::from_secs(20), events.clone());
        let count = |right, wrong| ChipCount { right, wrong };
        let chips = vec![count(1, 0), count(0, 0), count(2, 1)];
        assert_eq!(told.last(), Some(&Fact::ChipStats { chain: ChainId(1), chips }));
        assert_eq!(told[3], Fact::HardwareError(ChainId(1)));
        let stats = |facts: &[Fact]| facts.iter().any(|f| matches!(f, Fact::ChipStats { .. }));
        assert!(!stats(&facts(&mut hand, &parrot, Time::from_secs(25), events)), "not more often than is good");
        assert!(stats(&facts(&mut hand, &parrot, Time::from_secs(31), [])));
        assert!(!stats(&facts(&mut hand, &parrot, Time::from_secs(90), [])), "nothing new");
        hand.obey(Time::from_secs(91), Order::StartChain(ChainId(1)));
        let told = facts(&mut hand, &parrot, Time::from_secs(92), [found(right[0], 0)]);
        assert_eq!(told.last(), Some(&Fact::ChipStats { chain: ChainId(1), chips: vec![count(1, 0)] }), "a start begins anew");
    }

    #[test]
    fn replies_gather_while_chips_work_and_longer_once_their_work_is_run_through() {
        let (mut hand, parrot, work) = hand();
        assert_eq!(hand.gathers(), Duration::ZERO, "a start waits for each answer");
        facts(&mut hand, &parrot, Time::ZERO, [ChainEvent::Hashing]);
        assert_eq!(hand.gathers(), GATHER);
        facts(&mut hand, &parrot, Time::from_secs(2), []);
        assert_eq!(hand.gathers(), GATHER_IDLE, "a work lasts this one a second");
        hand.obey(Time::from_secs(2), Order::Work(work));
        assert_eq!(hand.gathers(), GATHER);
        hand.obey(Time::from_secs(2), Order::StopChain(ChainId(1)));
        assert_eq!(hand.gathers(), Duration::ZERO);
    }

    #[test]
    fn the_chips_temperature_and_their_troubles_reach_the_brain() {
        let (mut hand, parrot, _) = hand();
        let events = [
            ChainEvent::Temperature(Ok(Celsius(61.5))),
            ChainEvent::Temperature(Err(WatchError::OpenCircuit)),
            ChainEvent::Temperature(Err(WatchError::Silent)),
            ChainEvent::Trouble(ChainTrouble::Model { expected: 0x1362, found: 0x1366 }),
        ];
        let told = facts(&mut hand, &parrot, Time::ZERO, events);
        let (sensor, chain) = (SensorId(4), ChainId(1));
        assert_eq!(told[0], Fact::Temperature { sensor, chain, value: Ok(Celsius(61.5)) });
        assert!(matches!(&told[1], Fact::SensorBroken { why, .. } if why.contains("open circuit")), "{:?}", told[1]);
        assert!(matches!(&told[2], Fact::Temperature { value: Err(why), .. } if why.contains("no chip")), "{:?}", told[2]);
        assert!(matches!(&told[3], Fact::ChainFailed { detail, .. } if detail.contains("1366")), "{:?}", told[3]);
    }
}
