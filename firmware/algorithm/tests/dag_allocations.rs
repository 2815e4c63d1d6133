//! Hashing, verifying and searching by Ethash and `KawPow` allocate nothing: not per hash, not per nonce, not per job.
//!
//! An allocator that counts this thread's calls stands in for the system's.
#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use algorithm::ethash::{Attempt, Cache, Claim, Dataset, Epoch, Full, Light, Rules, fill};
use algorithm::kawpow::{self, Program};
use algorithm::{Line, Path};
use model::Target;

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory but a constant-initialised thread
// local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

fn lines(bytes: u64) -> Vec<Line> {
    vec![Line::default(); usize::try_from(bytes / Line::BYTES).expect("small")]
}

#[test]
fn nothing_is_allocated_but_by_the_caller() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1]))), 1, "it counts");

    let epoch = Rules::ETHASH.epoch_at(0).expect("epoch 0");
    let epoch = Epoch { cache_bytes: 1024, dataset_bytes: 32 * 1024, ..epoch };
    let go = AtomicBool::new(false);
    let (mut cache, mut dataset) = (lines(epoch.cache_bytes), lines(epoch.dataset_bytes));
    let built = allocations(|| {
        let cache = Cache::build(epoch, &mut cache[..], &go, &mut |_, _| {}).expect("a cache");
        fill(&cache, 0, &mut dataset, Path::best(), &go, &mut |_, _| {}).expect("a dataset");
        Dataset::new(&cache, &dataset[..]).expect("built");
    });
    assert_eq!(built, 0, "building");

    let cache = Cache::build(epoch, cache, &go, &mut |_, _| {}).expect("a cache");
    let dataset = Dataset::new(&cache, dataset).expect("built");
    let (light, full) = (Light::new(cache.clone()), Full::new(dataset.clone()));
    let kawpow_light = kawpow::Light::new(cache).expect("large enough");
    let kawpow_full = kawpow::Full::new(dataset).expect("large enough");
    let attempts: Vec<Attempt> = (0..30).map(|nonce| Attempt { header: [1; 32], nonce }).collect();
    let mut hits = 0;
    let hashed = allocations(|| {
        for job in 0..3 {
            let (header, target, program) = ([job; 32], Target::from_zero_bits(1), Program::at(u64::from(job) * 3));
            light.search(&header, 0..50, &target, &go, &mut |_, _| hits += 1);
            full.search(&header, 0..500, &target, &go, &mut |_, _| hits += 1);
            kawpow_light.search(&program, &header, 0..20, &target, &go, &mut |_, _| hits += 1);
            kawpow_full.search(&program, &header, 0..100, &target, &go, &mut |_, _| hits += 1);
            light.hash_all(&attempts, &mut |_, proof| hits += u32::from(proof.meets(&target)));
            kawpow_full.hash_all(&program, &attempts, &mut |_, proof| hits += u32::from(proof.meets(&target)));
            let claim = Claim { attempt: attempts[0], mix: [job; 32] };
            hits += u32::from(light.verify(&claim, &Target::MAX).is_ok());
            hits += u32::from(kawpow_light.verify(&program, &claim, &Target::MAX).is_ok());
            light.verify_all(&[(claim, target), (claim, Target::MAX)], &mut |_, verdict| hits += u32::from(verdict.is_ok()));
        }
    });
    assert_eq!(hashed, 0, "hashing");
    assert!(hits > 100, "half of some two thousand: {hits}");
}
