//! A search allocates nothing: not per job, per nonce or per hit.
//!
//! The allocator counts what this thread asks of it; another thread's work (the test harness has some) does not disturb.
#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use algorithm::{Line, Search, scrypt, sha256d};
use model::{Hash, Header, Target};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

fn header() -> Header {
    Header { version: 2, previous: Hash([1; 32]), merkle_root: Hash([2; 32]), time: 3, bits: 0x1d00_ffff, nonce: 0 }
}

#[test]
fn counting_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

#[test]
fn sha256d_searches_without() {
    let (abort, target) = (AtomicBool::new(false), Target::from_zero_bits(4));
    for path in sha256d::PATHS.into_iter().filter(|path| path.is_available()) {
        let mut hits = 0;
        let count = allocations(|| {
            Search::new(&header(), path).search(0..40_001, &target, &abort, &mut |_, _| hits += 1);
        });
        assert!(hits > 1000, "{path}: {hits}");
        assert_eq!(count, 0, "{path}");
    }
}

#[test]
fn scrypt_searches_without() {
    let (abort, target) = (AtomicBool::new(false), Target::from_zero_bits(1));
    for path in scrypt::PATHS.into_iter().filter(|path| path.is_available()) {
        let mut memory = vec![Line::ZERO; scrypt::lanes(path) * scrypt::LINES];
        let mut hits = 0;
        let count = allocations(|| {
            let search = scrypt::Search::new(&header(), path).expect("an available path");
            search.search(0..67, &target, &abort, &mut memory, &mut |_, _| hits += 1);
        });
        assert!(hits > 10, "{path}: {hits}");
        assert_eq!(count, 0, "{path}");
    }
}
