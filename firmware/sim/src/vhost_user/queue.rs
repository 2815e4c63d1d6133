//! The half of a vhost-user device that knows queues and guest memory, so that the devices see bytes alone.
//!
//! A guest is a stranger: a chain whose memory is not there, or that has no room for an answer, is given back unanswered; nothing
//! it writes costs more than [`QUEUE_LIMIT`] requests of [`REQUEST_LIMIT`] bytes. Not here: what a request means.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackendMut, VringRwLock, VringT};
use virtio_queue::{DescriptorChain, QueueT};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

/// Entries of a queue, as many as QEMU asks for; also the most requests that are taken at once.
const QUEUE_LIMIT: usize = 256;
/// Most bytes that are taken of one request: the longest message of Linux's I²C buses and its header. Of a longer one comes one
/// byte more, by which its device knows it.
pub(super) const REQUEST_LIMIT: usize = 8192 + 8;
/// Most bytes of configuration that are read at once, as vhost-user has it.
const CONFIGURATION_LIMIT: usize = 256;
/// The queue of requests. What a device has beside it is for events, of which there are none.
const REQUESTS: u16 = 0;
/// A queue's addresses and bytes as version 1 of virtio has them.
const VERSION_1: u64 = 1 << 32;
/// Descriptors may be in a table of their own, so that a queue holds as many requests as entries.
const INDIRECT: u64 = 1 << 28;

/// What a guest asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Its bytes, at most one more than [`REQUEST_LIMIT`].
    pub(super) asked: Vec<u8>,
    /// Bytes that an answer may have.
    pub(super) room: usize,
}

/// What it is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// How many bytes of the room stay as they are.
    pub(super) skip: usize,
    /// Those behind them.
    pub(super) bytes: Vec<u8>,
}

/// What hangs on the queue.
pub(super) trait Device: Send + 'static {
    /// How many queues there are.
    const QUEUES: usize;
    /// Its own feature bits.
    const FEATURES: u64;
    /// What a guest reads of its configuration.
    fn configuration(&self) -> Vec<u8>;
    /// Answers all of a burst, in turn.
    fn answer(&mut self, burst: &[Request]) -> Vec<Answer>;
    /// The guest started anew or is gone.
    fn reset(&mut self);
}

/// A device with its queues.
pub(super) struct Backend<D> {
    /// One thread has it at a time; the lock is what lets the library's trait be shared.
    device: Mutex<D>,
    memory: Option<GuestMemoryAtomic<GuestMemoryMmap>>,
    stopping: Arc<AtomicBool>,
}

impl<D: Device> Backend<D> {
    pub(super) fn new(device: D, stopping: Arc<AtomicBool>) -> Backend<D> {
        Backend { device: Mutex::new(device), memory: None, stopping }
    }

    pub(super) fn device(&mut self) -> &mut D {
        self.device.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes and answers what has come; says whether more may be there.
    fn burst(&mut self, vring: &VringRwLock, memory: &GuestMemoryMmap) -> bool {
        let mut chains = Vec::new();
        {
            let mut ring = vring.get_mut();
            // A ring whose own memory is not there has no chains.
            while chains.len() < QUEUE_LIMIT
                && let Some(chain) = ring.get_queue_mut().pop_descriptor_chain(memory)
            {
                chains.push(chain);
            }
        }
        let requests: Vec<Request> = chains.iter().map(|c| request(c, memory)).collect();
        for (chain, answer) in chains.iter().zip(self.device().answer(&requests)) {
            let written = give(chain, memory, &answer).unwrap_or(0);
            if vring.add_used(chain.head_index(), written).is_err() {
                return false;
            }
        }
        // A guest that cannot be told finds the answers when it looks.
        let _ = vring.signal_used_queue();
        !chains.is_empty()
    }
}

/// What a chain asks; of one that is broken nothing.
fn request(chain: &DescriptorChain<&GuestMemoryMmap>, memory: &GuestMemoryMmap) -> Request {
    let mut asked = Vec::new();
    if let Ok(reader) = chain.clone().reader(memory)
        && reader.take(REQUEST_LIMIT as u64 + 1).read_to_end(&mut asked).is_err()
    {
        asked.clear();
    }
    let room = chain.clone().writer(memory).map_or(0, |w| w.available_bytes());
    Request { asked, room }
}

/// Gives how many bytes of its room the guest may look at.
fn give(chain: &DescriptorChain<&GuestMemoryMmap>, memory: &GuestMemoryMmap, answer: &Answer) -> Option<u32> {
    let mut rest = chain.clone().writer(memory).ok()?.split_at(answer.skip).ok()?;
    rest.write_all(&answer.bytes).ok()?;
    u32::try_from(answer.skip + answer.bytes.len()).ok()
}

impl<D: Device> VhostUserBackendMut for Backend<D> {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        D::QUEUES
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_LIMIT
    }

    fn features(&self) -> u64 {
        VERSION_1 | INDIRECT | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() | D::FEATURES
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        let device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        // QEMU warns of a configuration where it knows of none.
        if device.configuration().is_empty() {
            VhostUserProtocolFeatures::MQ
        } else {
            VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG
        }
    }

    fn reset_device(&mut self) {
        self.device().reset();
    }

    // Never offered: a guest that has it waits for more than is told here.
    fn set_event_idx(&mut self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let all = self.device.lock().unwrap_or_else(PoisonError::into_inner).configuration();
        let size = (size as usize).min(CONFIGURATION_LIMIT);
        // What is beyond it reads as zero; an answer of another length than asked ends the connection.
        (0..size).map(|i| all.get((offset as usize).saturating_add(i)).copied().unwrap_or(0)).collect()
    }

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> std::io::Result<()> {
        self.memory = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()
    }

    fn stop_vring(&mut self, queue: u32) -> std::io::Result<()> {
        if queue == u32::from(REQUESTS) {
            self.device().reset();
        }
        Ok(())
    }

    /// Never an error: one would end the thread, and with it the device.
    fn handle_event(&mut self, queue: u16, _events: EventSet, vrings: &[VringRwLock], _thread: usize) -> std::io::Result<()> {
        if let (Some(vring), Some(memory)) = (vrings.first().filter(|_| queue == REQUESTS), self.memory.clone()) {
            while !self.stopping.load(Ordering::Acquire) && self.burst(vring, &memory.memory()) {}
        }
        Ok(())
    }
}
