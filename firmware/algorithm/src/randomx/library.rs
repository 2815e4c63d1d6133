//! The C functions of RandomX's library, and owners that make them safe to call.
//!
//! `randomx-rs` carries and links the library; its own wrapper fills the dataset in one thread, allocates for every hash and can
//! be shared by no threads, and its declarations are private. So those that speed needs are declared here again, after the
//! `randomx.h` of the version that the workspace pins. What keeps each call right is a type: memory outlives its machines, parts
//! of a dataset do not overlap, and a batch has begun before it goes on. Not here: which memory and way to ask for, and what to
//! say when there is none.
#![expect(
    unsafe_code,
    reason = "the library is C, and no safe wrapper of it gives parts of a dataset or hashes without allocating"
)]

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

use randomx_rs::RandomXFlag as Flags;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use super::{CACHE_BYTES, DATASET_BYTES, ITEM_BYTES};

/// The library's cache and dataset. It promises that the pointer to the memory comes first, since its compiled code reads it
/// there (`dataset.hpp`: both are of standard layout); a test compares what is found there to the published cache.
#[repr(C)]
struct Owner {
    memory: *mut u8,
}

/// The library's virtual machine, of which nothing is known here.
#[repr(C)]
struct Vm {
    _opaque: [u8; 0],
}

/// C's `fenv_t`, which is 32 bytes on x86-64 and fewer on others.
#[repr(C, align(16))]
struct FloatState(MaybeUninit<[u8; 64]>);

unsafe extern "C" {
    fn randomx_alloc_cache(flags: c_uint) -> *mut Owner;
    fn randomx_init_cache(cache: *mut Owner, key: *const c_void, bytes: usize);
    fn randomx_release_cache(cache: *mut Owner);
    fn randomx_alloc_dataset(flags: c_uint) -> *mut Owner;
    safe fn randomx_dataset_item_count() -> c_ulong;
    fn randomx_init_dataset(dataset: *mut Owner, cache: *mut Owner, first: c_ulong, count: c_ulong);
    fn randomx_release_dataset(dataset: *mut Owner);
    fn randomx_create_vm(flags: c_uint, cache: *mut Owner, dataset: *mut Owner) -> *mut Vm;
    fn randomx_destroy_vm(vm: *mut Vm);
    fn randomx_calculate_hash(vm: *mut Vm, input: *const c_void, bytes: usize, hash: *mut c_void);
    fn randomx_calculate_hash_first(vm: *mut Vm, input: *const c_void, bytes: usize);
    fn randomx_calculate_hash_next(vm: *mut Vm, next: *const c_void, bytes: usize, hash: *mut c_void);
    fn randomx_calculate_hash_last(vm: *mut Vm, hash: *mut c_void);
    fn fegetenv(state: *mut FloatState) -> c_int;
    fn fesetenv(state: *const FloatState) -> c_int;
}

/// Items that the library's dataset has.
pub(super) fn item_count() -> u64 {
    randomx_dataset_item_count()
}

/// What the kernel lets a program do with code that it has just written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Execution {
    /// Nothing.
    Refused,
    /// Run it, while it cannot be written.
    InTurns,
    /// Run it and write it.
    AtOnce,
}

/// Asks the kernel. The library would not: where it is refused, it runs into a fault.
pub(super) fn execution() -> Execution {
    const BYTES: usize = 1 << 16;
    let (writes, runs) = (MprotectFlags::READ | MprotectFlags::WRITE, MprotectFlags::READ | MprotectFlags::EXEC);
    // SAFETY: the mapping is new, nobody else knows it, nothing in it is run, and it is given back once.
    unsafe {
        let Ok(page) = rustix::mm::mmap_anonymous(null_mut(), BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        else {
            return Execution::Refused;
        };
        let may = |flags| rustix::mm::mprotect(page, BYTES, flags).is_ok();
        let answer = if may(writes | MprotectFlags::EXEC) {
            Execution::AtOnce
        } else if may(runs) && may(writes) && may(runs) {
            Execution::InTurns
        } else {
            Execution::Refused
        };
        // A mapping that cannot be given back is lost; there is nothing to be done about it.
        let _ = rustix::mm::munmap(page, BYTES);
        answer
    }
}

/// Advises the kernel about the huge pages of `bytes` from `memory` on: whether it listens.
fn advise(memory: *mut u8, bytes: u64, advice: Advice) -> bool {
    const PAGE: usize = 1 << 12;
    // Advice is for whole pages; the ends, which share theirs with others, go without.
    let Ok(bytes) = usize::try_from(bytes) else { return false };
    let skipped = memory.align_offset(PAGE);
    let whole = bytes.saturating_sub(skipped) & !(PAGE - 1);
    // SAFETY: the pages are wholly within memory that the library has just allocated, and neither advice changes what it holds.
    unsafe { rustix::mm::madvise(memory.wrapping_add(skipped).cast(), whole, advice).is_ok() }
}

/// What to tell the kernel about the pages of new memory.
fn advised(memory: *mut u8, bytes: u64, transparent: bool) -> bool {
    // Small pages are asked for to see what huge ones are worth: without this a kernel may give huge ones all the same.
    let advice = if transparent { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
    advise(memory, bytes, advice) && transparent
}

/// A cache, built.
#[derive(Debug)]
pub(super) struct Cache(NonNull<Owner>);

// SAFETY: after it was built nobody writes to it, and the library has no state of threads; its own benchmark shares one.
unsafe impl Send for Cache {}
// SAFETY: as above.
unsafe impl Sync for Cache {}

impl Cache {
    /// Allocates and builds one, and says whether its pages may become huge. None where the library refuses the flags or finds
    /// no memory.
    pub(super) fn build(flags: Flags, transparent: bool, key: &[u8]) -> Option<(Cache, bool)> {
        // SAFETY: any flags may be asked for.
        let cache = Cache(NonNull::new(unsafe { randomx_alloc_cache(flags.bits()) })?);
        let huge = advised(cache.memory(), CACHE_BYTES, transparent);
        // SAFETY: the cache is allocated, nobody else has it yet, and the key is that long.
        unsafe { randomx_init_cache(cache.0.as_ptr(), key.as_ptr().cast(), key.len()) };
        Some((cache, huge))
    }

    fn memory(&self) -> *mut u8 {
        // SAFETY: the library keeps its pointer here, for as long as the cache is there (see `Owner`).
        unsafe { self.0.as_ref().memory }
    }

    /// Where it is in memory.
    pub(super) fn place(&self) -> Range<usize> {
        let start = self.memory().addr();
        start..start + CACHE_BYTES as usize
    }

    /// One of its words.
    #[cfg(test)]
    pub(super) fn word(&self, index: usize) -> u64 {
        assert!(index < CACHE_BYTES as usize / 8, "the cache ends before word {index}");
        // SAFETY: the cache is built, aligned to 64 bytes and longer than that.
        unsafe { self.memory().cast::<u64>().add(index).read() }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: it was allocated, and who used it kept it alive.
        unsafe { randomx_release_cache(self.0.as_ptr()) }
    }
}

/// Memory for a dataset. Who gives it to a machine has filled it.
#[derive(Debug)]
pub(super) struct Dataset(NonNull<Owner>);

// SAFETY: only a `Part` writes to it, which borrows it; and the library has no state of threads.
unsafe impl Send for Dataset {}
// SAFETY: as above.
unsafe impl Sync for Dataset {}

impl Dataset {
    /// Allocates one, and says whether its pages may become huge. None where the library finds no memory.
    pub(super) fn allocate(flags: Flags, transparent: bool) -> Option<(Dataset, bool)> {
        // SAFETY: any flags may be asked for.
        let dataset = Dataset(NonNull::new(unsafe { randomx_alloc_dataset(flags.bits()) })?);
        let huge = advised(dataset.memory(), DATASET_BYTES, transparent);
        Some((dataset, huge))
    }

    fn memory(&self) -> *mut u8 {
        // SAFETY: the library keeps its pointer here, for as long as the dataset is there (see `Owner`).
        unsafe { self.0.as_ref().memory }
    }

    /// Where it is in memory.
    pub(super) fn place(&self) -> Range<usize> {
        let start = self.memory().addr();
        start..start + DATASET_BYTES as usize
    }

    /// All of it, to be filled.
    pub(super) fn whole(&mut self) -> Part<'_> {
        Part { dataset: self.0, items: 0..item_count(), of: PhantomData }
    }

    /// An item that was filled.
    pub(super) fn item(&self, index: u64) -> [u8; ITEM_BYTES as usize] {
        assert!(index < item_count(), "the dataset ends before item {index}");
        let mut item = [0; ITEM_BYTES as usize];
        // SAFETY: the item is within the dataset, and no part is there to be written to, since each borrows the dataset. One
        // that was not filled is what the kernel gives: a dataset is too large to come from memory that was used before.
        unsafe { self.memory().add((index * ITEM_BYTES) as usize).copy_to_nonoverlapping(item.as_mut_ptr(), item.len()) };
        item
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        // SAFETY: it was allocated, and who used it kept it alive.
        unsafe { randomx_release_dataset(self.0.as_ptr()) }
    }
}

/// Some items of a dataset, which nobody else has.
#[derive(Debug)]
pub(super) struct Part<'d> {
    dataset: NonNull<Owner>,
    items: Range<u64>,
    of: PhantomData<&'d mut Dataset>,
}

// SAFETY: it stands for a mutable borrow of its items alone, and the library has no state of threads.
unsafe impl Send for Part<'_> {}

impl<'d> Part<'d> {
    /// The items not filled yet.
    pub(super) fn items(&self) -> Range<u64> {
        self.items.clone()
    }

    /// The items before `item`, and the others.
    pub(super) fn split_at(self, item: u64) -> (Part<'d>, Part<'d>) {
        let middle = item.clamp(self.items.start, self.items.end);
        let part = |items| Part { dataset: self.dataset, items, of: PhantomData };
        (part(self.items.start..middle), part(middle..self.items.end))
    }

    /// Fills up to `count` items and leaves the others.
    pub(super) fn fill(&mut self, cache: &Cache, count: u64) {
        let first = self.items.start;
        let end = self.items.end.min(first.saturating_add(count));
        if first < end {
            // SAFETY: the items are within the dataset, both are alive, and nobody else has these items.
            unsafe { randomx_init_dataset(self.dataset.as_ptr(), cache.0.as_ptr(), first, end - first) };
        }
        self.items.start = end;
    }

    /// Leaves up to `count` items out.
    pub(super) fn skip(&mut self, count: u64) {
        self.items.start = self.items.end.min(self.items.start.saturating_add(count));
    }
}

/// What a machine reads.
#[derive(Clone, Debug)]
pub(super) enum Memory {
    Cache(Arc<Cache>),
    Dataset(Arc<Dataset>),
}

/// A virtual machine, which hashes.
#[derive(Debug)]
pub(super) struct Machine {
    vm: NonNull<Vm>,
    /// It reads this for as long as it lives.
    _memory: Memory,
}

// SAFETY: it is changed by its owner alone, and the library has no state of threads; the rounding of floats, which is one, is
// put back after each call.
unsafe impl Send for Machine {}

impl Machine {
    /// Makes one. None where the library refuses the flags or finds no memory.
    pub(super) fn new(flags: Flags, memory: Memory) -> Option<Machine> {
        let (flags, cache, dataset) = match &memory {
            Memory::Cache(cache) => (flags - Flags::FLAG_FULL_MEM, cache.0.as_ptr(), null_mut()),
            Memory::Dataset(dataset) => (flags | Flags::FLAG_FULL_MEM, null_mut(), dataset.0.as_ptr()),
        };
        // SAFETY: the flags name the memory that is there, and it is kept alive beside the machine. The machine only reads it.
        let vm = NonNull::new(unsafe { randomx_create_vm(flags.bits(), cache, dataset) })?;
        Some(Machine { vm, _memory: memory })
    }

    /// The hash of `input`.
    pub(super) fn hash(&mut self, input: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        // SAFETY: the machine is alive and ours, the input is that long, and 32 bytes are written. This call, unlike those
        // below, puts the rounding of floats back by itself.
        unsafe {
            randomx_calculate_hash(self.vm.as_ptr(), input.as_ptr().cast(), input.len(), hash.as_mut_ptr().cast());
        }
        hash
    }

    /// Begins to hash several inputs, which is faster than one by one.
    pub(super) fn begin(&mut self, input: &[u8]) -> Batch<'_> {
        keeping_rounding(|| {
            // SAFETY: the machine is alive and ours, and the input is that long.
            unsafe { randomx_calculate_hash_first(self.vm.as_ptr(), input.as_ptr().cast(), input.len()) }
        });
        Batch { machine: self }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: it was made, and nobody uses it any more.
        unsafe { randomx_destroy_vm(self.vm.as_ptr()) }
    }
}

/// Hashes of which one has always begun. One that is dropped has cost the filling of its scratchpad.
#[derive(Debug)]
pub(super) struct Batch<'m> {
    machine: &'m mut Machine,
}

impl Batch<'_> {
    /// The hash of the input before, while that of this one begins.
    pub(super) fn next(&mut self, input: &[u8]) -> [u8; 32] {
        let (vm, mut hash) = (self.machine.vm.as_ptr(), [0; 32]);
        keeping_rounding(|| {
            // SAFETY: the machine is alive and ours and has begun, the input is that long, and 32 bytes are written.
            unsafe { randomx_calculate_hash_next(vm, input.as_ptr().cast(), input.len(), hash.as_mut_ptr().cast()) }
        });
        hash
    }

    /// The hash of the input before, the last one.
    pub(super) fn end(self) -> [u8; 32] {
        let (vm, mut hash) = (self.machine.vm.as_ptr(), [0; 32]);
        keeping_rounding(|| {
            // SAFETY: the machine is alive and ours and has begun, and 32 bytes are written.
            unsafe { randomx_calculate_hash_last(vm, hash.as_mut_ptr().cast()) }
        });
        hash
    }
}

/// Calls the library and puts back how the thread rounds floats, which a hash changes and Rust does not expect to change.
#[inline(never)]
fn keeping_rounding(call: impl FnOnce()) {
    let mut state = FloatState(MaybeUninit::uninit());
    // SAFETY: C's own functions, on memory that is large enough; what is put back is what was got. They fail on no machine
    // that has floats.
    unsafe {
        fegetenv(&raw mut state);
        call();
        fesetenv(&raw const state);
    }
}
