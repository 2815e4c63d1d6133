//! A running miner: hands (a driver and its verification) and the one turn that obeys every order.
//!
//! [`Rig::turn`] has no thread and no clock. The simulator calls it in virtual time with hands in process; the supervisor calls it
//! with hands that live on threads of their own and answer through channels. What the seeds test is what ships.
//! Not here: decisions (`control`), registers (`hwdrivers`), sockets (the supervisor moves the bytes).

mod air;
mod board_hand;
mod chain_hand;
mod cpu_hand;
mod eeprom;
mod rail;
mod turn;

pub use board_hand::{BoardHand, OpenError};
pub use chain_hand::{ChainHand, chain_sensor};
pub use cpu_hand::CpuHand;
pub use hwdrivers::chip::Scale;
pub use turn::{Net, NetOrder, Rig, Upstream};

use control::{Fact, Order};
use model::{Time, WorkId};
use std::time::Duration;

/// One bus or chain and all that sits on it.
pub trait Hand {
    /// Takes an order that concerns this hand. What comes of it is told as facts by a later [`Hand::turn`].
    fn obey(&mut self, now: Time, order: Order);
    /// Does what is due and adds what happened.
    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>);
    /// When something is due next; [`Time::NEVER`] where nothing is until an order or a byte comes.
    fn wake_at(&self) -> Time;
    /// How long bytes that arrive may wait, so that many are read at once; orders never wait. Zero: they are read as they come.
    fn gathers(&self) -> Duration {
        Duration::ZERO
    }
}

/// Works that a chain's verification remembers. The chips know 32 job ids; older replies cannot be told apart anyway.
const REMEMBERED_WORKS: usize = 32;

/// The last works handed to a chain, to finish a header from a reply.
#[derive(Default)]
struct Works(std::collections::VecDeque<model::Work>);

impl Works {
    fn remember(&mut self, work: model::Work) {
        if self.0.len() == REMEMBERED_WORKS {
            self.0.pop_front();
        }
        self.0.push_back(work);
    }
    fn get(&self, id: WorkId) -> Option<&model::Work> {
        self.0.iter().rev().find(|w| w.id == id)
    }
}
