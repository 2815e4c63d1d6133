//! The hand of one chain: its driver, and the verification of every nonce that it reports.

use crate::{Hand, Scale, Works};
use control::{Fact, Order};
use hwdrivers::chip::{ChainDriver, ChainEvent};
use model::{ChainId, FaultCode, Nonce, Target, Time};
use std::time::Duration;

/// Share of frames with a wrong checksum among the last [`NOISE_WINDOW`] replies that raises a fault, in percent.
const NOISE_PERCENT: u64 = 5;
/// Replies after which the noise is judged.
const NOISE_WINDOW: u64 = 200;
/// Damaged frames are told this often: a line of nothing but noise has thousands a second.
const ERRORS_EVERY: Duration = Duration::from_secs(1);

/// One chain's hand.
pub struct ChainHand {
    id: ChainId,
    driver: Box<dyn ChainDriver>,
    ticket: Target,
    nonce_bits: u8,
    works: Works,
    judged_at: (u64, u64),
    /// Damaged frames as last told, and when.
    errors_told: (u64, Time),
    failed: bool,
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
            judged_at: (0, 0),
            errors_told: (0, Time::ZERO),
            failed: false,
        }
    }

    fn verify(&self, work: model::WorkId, nonce: u32, version: u32, chip: Option<model::ChipAt>) -> Fact {
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

    fn judge_noise(&mut self, facts: &mut Vec<Fact>) {
        let c = self.driver.counters();
        let (errors, replies) = (c.frame_errors, c.frame_errors + c.nonces);
        let (errors_before, replies_before) = self.judged_at;
        if replies - replies_before >= NOISE_WINDOW {
            self.judged_at = (errors, replies);
            let percent = (errors - errors_before) * 100 / (replies - replies_before);
            if percent >= NOISE_PERCENT {
                facts.push(Fact::ChainNoise {
                    chain: self.id,
                    frame_errors: errors - errors_before,
                    frames: replies - replies_before,
                });
            }
        }
    }
}

impl Hand for ChainHand {
    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::StartChain(_) => {
                self.failed = false;
                self.driver.start(now);
            }
            Order::StopChain(_) => {
                // The brain pulls reset and cuts the rail behind this: a line that fails here changes nothing.
                if let Err(e) = self.driver.stop() {
                    tracing::debug!(chain = self.id.0, error = %e, "stop told to a line that failed");
                }
            }
            Order::Clock { clock, .. } => self.driver.set_clock(clock),
            Order::ChipClock { chip, clock, .. } => self.driver.set_chip_clock(chip, clock),
            // A line that fails here fails in the next turn too, which tells it.
            Order::Work(work) if self.driver.submit(&work).is_ok() => self.works.remember(work),
            _ => {}
        }
    }

    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        if let Err(e) = self.driver.turn(now)
            && !self.failed
        {
            self.failed = true;
            let detail = format!("talk to the chips of chain {}: {e}", self.id.0);
            facts.push(Fact::ChainFailed { chain: self.id, code: FaultCode::ChainMissing, detail });
        }
        while let Some(event) = self.driver.next_event() {
            let chain = self.id;
            facts.push(match event {
                ChainEvent::Counted { chips } => Fact::ChainCounted { chain, chips },
                ChainEvent::Ready => Fact::ChainReady(chain),
                ChainEvent::Clock(clock) => Fact::ChainClock { chain, clock },
                ChainEvent::Hashing => Fact::ChainHashing { chain, epoch: self.driver.epoch(), nonce_bits: self.nonce_bits },
                ChainEvent::Found { work, nonce, version, chip } => self.verify(work, nonce, version, chip),
                ChainEvent::Register { .. } => continue,
            });
        }
        self.tell_errors(now, facts);
        self.judge_noise(facts);
    }

    fn wake_at(&self) -> Time {
        self.driver.wake_at()
    }
}
