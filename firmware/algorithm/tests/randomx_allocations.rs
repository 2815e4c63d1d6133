//! RandomX allocates nothing while it hashes: neither Rust nor the C++ library, whose memory comes from `malloc`.
//!
//! So `malloc` itself is counted, by one of this program's own, which the linker prefers to C's and which hands on to it. It
//! counts what its thread asks for; another thread's work (the test harness has some) does not disturb.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(unsafe_code, reason = "malloc is C")]

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::AtomicBool;

use algorithm::randomx::{Blob, Cache, Pages, Vm, Way};
use model::{Hash, Target};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(bytes: usize) -> *mut c_void;
}

/// # Safety
/// As C's own.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(bytes: usize) -> *mut c_void {
    COUNT.with(|count| count.set(count.get() + 1));
    // SAFETY: the caller's promises are C's.
    unsafe { __libc_malloc(bytes) }
}

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn a_search_asks_for_no_memory() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1, "Rust's are counted");
    let mut machines = Vec::new();
    let made = allocations(|| {
        let cache = Cache::build(b"key", Way::best(), Pages::Transparent).expect("256 MiB");
        machines.push(Vm::light(&cache, Pages::Small).expect("2 MiB"));
    });
    assert!(made > 4, "the library's are counted: {made}");
    let cache = Cache::build(b"key", Way::Interpreter, Pages::Transparent).expect("256 MiB");
    machines.push(Vm::light(&cache, Pages::Small).expect("2 MiB"));

    for mut vm in machines {
        let (abort, mut hits) = (AtomicBool::new(false), 0);
        // The first program's offsets have to be put somewhere.
        vm.hash(b"once");
        let count = allocations(|| {
            for job in 0..3 {
                let blob = Blob::new(&[job; 76]).expect("as long as Monero's");
                vm.search(&blob, 0..4, &Target::MAX, &abort, &mut |_, _| hits += 1);
                hits += i32::from(vm.verify(&blob, 1, &Hash([job; 32]), &Target::MAX).is_ok());
            }
        });
        assert_eq!((count, hits), (0, 12), "{}", vm.way());
    }
}
