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
        // The last one first. Linux (i2c-virtio since 6.12.41) waits for the messages of a
        // transfer in their order, frees them all at the first that failed, and then marks those as done that come later: its
        // memory is broken where a failure is given back before what belongs to it.
        for (chain, answer) in chains.iter().zip(self.device().answer(&requests)).rev() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestAddress};

    const SIZE: u16 = 16;
    const TABLE: u64 = 0x1000;
    const AVAILABLE: u64 = 0x2000;
    const USED: u64 = 0x3000;
    const DATA: u64 = 0x4000;
    const END: u64 = 0x10000;
    const NEXT: u16 = 1;
    const WRITE: u16 = 2;
    const TABLE_OF_ITS_OWN: u16 = 4;

    /// Address, length, flags, the next one.
    type Descriptor = (u64, u32, u16, u16);

    /// A device that notes what comes and fills four bytes of the room.
    #[derive(Default)]
    struct Noting(Vec<Request>);

    impl Device for Noting {
        const QUEUES: usize = 1;
        const FEATURES: u64 = 0;
        fn configuration(&self) -> Vec<u8> {
            vec![1, 2, 3]
        }
        fn answer(&mut self, burst: &[Request]) -> Vec<Answer> {
            self.0.extend_from_slice(burst);
            burst.iter().map(|r| Answer { skip: 0, bytes: vec![7; r.room.min(4)] }).collect()
        }
        fn reset(&mut self) {}
    }

    struct Guest {
        memory: GuestMemoryAtomic<GuestMemoryMmap>,
        ring: VringRwLock,
        backend: Backend<Noting>,
        offered: u16,
    }

    impl Guest {
        fn new() -> Guest {
            let map = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), END as usize)]).expect("memory");
            let memory = GuestMemoryAtomic::new(map);
            let ring = VringRwLock::new(memory.clone(), SIZE).expect("a ring");
            ring.set_queue_size(SIZE);
            ring.set_queue_info(TABLE, AVAILABLE, USED).expect("aligned");
            ring.set_queue_ready(true);
            let mut backend = Backend::new(Noting::default(), Arc::default());
            backend.update_memory(memory.clone()).expect("taken");
            Guest { memory, ring, backend, offered: 0 }
        }

        fn put<T: vm_memory::ByteValued>(&self, value: T, at: u64) {
            self.memory.memory().write_obj(value, GuestAddress(at)).expect("there");
        }

        fn describe(&self, table: u64, index: u16, (address, length, flags, next): Descriptor) {
            let at = table + u64::from(index) * 16;
            self.put(address, at);
            self.put(length, at + 8);
            self.put(flags, at + 12);
            self.put(next, at + 14);
        }

        fn offer(&mut self, head: u16) {
            self.put(head, AVAILABLE + 4 + u64::from(self.offered % SIZE) * 2);
            self.offered = self.offered.wrapping_add(1);
            self.put(self.offered, AVAILABLE + 2);
        }

        /// Lets the device look; gives what it saw.
        fn kick(&mut self) -> Vec<Request> {
            self.backend.handle_event(REQUESTS, EventSet::IN, std::slice::from_ref(&self.ring), 0).expect("never an error");
            std::mem::take(&mut self.backend.device().0)
        }

        /// How many were given back, and head and length of the last.
        fn used(&self) -> (u16, u32, u32) {
            let memory = self.memory.memory();
            let count: u16 = memory.read_obj(GuestAddress(USED + 2)).expect("there");
            let last = USED + 4 + u64::from(count.wrapping_sub(1) % SIZE) * 8;
            let read = |at| memory.read_obj(GuestAddress(at)).expect("there");
            (count, read(last), read(last + 4))
        }

        /// A good request in descriptors 0 and 1.
        fn good(&mut self) -> Vec<Request> {
            self.memory.memory().write_slice(&[1, 2, 3], GuestAddress(DATA)).expect("there");
            self.describe(TABLE, 0, (DATA, 3, NEXT, 1));
            self.describe(TABLE, 1, (DATA + 8, 6, WRITE, 0));
            self.offer(0);
            self.kick()
        }
    }

    #[test]
    fn a_request_is_read_answered_and_given_back() {
        let mut g = Guest::new();
        assert_eq!(g.good(), [Request { asked: vec![1, 2, 3], room: 6 }]);
        assert_eq!(g.used(), (1, 0, 4));
        let mut answer = [0; 6];
        g.memory.memory().read_slice(&mut answer, GuestAddress(DATA + 8)).expect("there");
        assert_eq!(answer, [7, 7, 7, 7, 0, 0]);
        // The same in a table of its own.
        g.describe(DATA + 0x100, 0, (DATA, 2, NEXT, 1));
        g.describe(DATA + 0x100, 1, (DATA + 8, 2, WRITE, 0));
        g.describe(TABLE, 3, (DATA + 0x100, 32, TABLE_OF_ITS_OWN, 0));
        g.offer(3);
        assert_eq!(g.kick(), [Request { asked: vec![1, 2], room: 2 }]);
        assert_eq!(g.used(), (2, 3, 2));
        assert_eq!(g.kick(), [], "nothing more");
    }

    #[test]
    fn of_a_burst_the_first_request_is_given_back_last() {
        let mut g = Guest::new();
        for (head, size) in [(0, 1), (2, 2), (4, 3)] {
            g.describe(TABLE, head, (DATA, size, NEXT, head + 1));
            g.describe(TABLE, head + 1, (DATA + 8, size, WRITE, 0));
            g.offer(head);
        }
        assert_eq!(g.kick().iter().map(|r| r.room).collect::<Vec<_>>(), [1, 2, 3], "seen in their order");
        let memory = g.memory.memory();
        let heads = [0, 1, 2].map(|n| memory.read_obj::<u32>(GuestAddress(USED + 4 + 8 * n)).expect("there"));
        assert_eq!((heads, g.used()), ([4, 2, 0], (3, 0, 1)));
    }

    #[test]
    fn chains_of_any_shape_are_given_back_and_the_next_one_is_served() {
        let rows: [(&str, &[Descriptor]); 10] = [
            ("outside memory", &[(END, 8, NEXT, 1), (END + 8, 8, WRITE, 0)]),
            ("across the end of memory", &[(END - 4, 8, NEXT, 1), (DATA, 8, WRITE, 0)]),
            ("at the end of addresses", &[(u64::MAX - 3, 8, NEXT, 1), (u64::MAX, 8, WRITE, 0)]),
            ("longer than memory", &[(DATA, u32::MAX, NEXT, 1), (DATA, u32::MAX, WRITE, 0)]),
            ("a ring", &[(DATA, 1, NEXT, 1), (DATA, 1, NEXT, 0)]),
            ("beyond the table", &[(DATA, 1, NEXT, 99)]),
            ("no room", &[(DATA, 8, 0, 0)]),
            ("room before the request", &[(DATA, 8, NEXT | WRITE, 1), (DATA, 8, 0, 0)]),
            ("an odd table of its own", &[(DATA, 17, TABLE_OF_ITS_OWN, 0)]),
            ("a table of its own outside memory", &[(END, 32, TABLE_OF_ITS_OWN, 0)]),
        ];
        for (what, chain) in rows {
            let mut g = Guest::new();
            for (index, descriptor) in (0..).zip(chain) {
                g.describe(TABLE, index, *descriptor);
            }
            g.offer(0);
            let seen = g.kick();
            assert!(seen.iter().all(|r| r.asked.len() <= REQUEST_LIMIT + 1), "{what}");
            assert_eq!(g.used().0, 1, "{what}");
            assert_eq!(g.good(), [Request { asked: vec![1, 2, 3], room: 6 }], "{what}");
            assert_eq!(g.used(), (2, 0, 4), "{what}");
        }
    }

    #[test]
    fn a_long_request_is_cut_and_a_whole_ring_is_one_burst() {
        let mut g = Guest::new();
        g.describe(TABLE, 0, (DATA, 0xb000, NEXT, 1));
        g.describe(TABLE, 1, (DATA, 0xb000, WRITE, 0));
        g.offer(0);
        assert_eq!(g.kick().iter().map(|r| (r.asked.len(), r.room)).collect::<Vec<_>>(), [(REQUEST_LIMIT + 1, 0xb000)]);
        for _ in 0..SIZE {
            g.offer(0);
        }
        assert_eq!(g.kick().len(), usize::from(SIZE));
        assert_eq!(g.used().0, SIZE + 1);
    }

    #[test]
    fn rings_that_lie_are_let_be() {
        let mut g = Guest::new();
        g.put(SIZE + 1, AVAILABLE + 2);
        assert_eq!(g.kick(), [], "more than the ring holds");
        g.put(0u16, AVAILABLE + 2);
        g.offer(SIZE);
        g.kick();
        assert_eq!(g.used().0, 0, "no such descriptor");
        for (table, available, used) in [(END, AVAILABLE, USED), (TABLE, END, USED), (TABLE, AVAILABLE, END)] {
            let mut g = Guest::new();
            g.ring.set_queue_info(table, available, used).expect("aligned");
            g.good();
            g.kick();
        }
        let unready = Guest::new();
        let mut backend = Backend::new(Noting::default(), Arc::default());
        backend.handle_event(REQUESTS, EventSet::IN, &[unready.ring], 0).expect("without memory too");
    }

    #[test]
    fn the_configuration_is_read_in_any_piece() {
        let backend = Backend::new(Noting::default(), Arc::default());
        assert_eq!(backend.get_config(0, 3), [1, 2, 3]);
        assert_eq!(backend.get_config(1, 4), [2, 3, 0, 0]);
        assert_eq!(backend.get_config(u32::MAX, u32::MAX), [0; CONFIGURATION_LIMIT]);
    }
}
