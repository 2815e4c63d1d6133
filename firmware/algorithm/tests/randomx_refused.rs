//! A kernel that refuses to run code just written, as SELinux and systemd's `MemoryDenyWriteExecute` make it: RandomX goes on by
//! the next way and does not run into a fault.
//!
//! Each test refuses itself such calls by a seccomp filter, which holds for its thread alone.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![expect(unsafe_code, reason = "prctl is C")]

use std::ffi::{c_int, c_ulong};

use algorithm::randomx::{BuildError, Cache, Pages, Way, WayError, self_test};

/// An instruction of Berkeley's packet filter, as the kernel takes it (`linux/filter.h`).
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
}

const PR_SET_SECCOMP: c_int = 22;
const PR_SET_NO_NEW_PRIVS: c_int = 38;
const SECCOMP_MODE_FILTER: c_ulong = 2;
const ALLOW: u32 = 0x7fff_0000;
/// An error: permission denied.
const REFUSE: u32 = 0x0005_0000 | 13;
const MPROTECT: u32 = if cfg!(target_arch = "x86_64") { 10 } else { 226 };
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;

/// From now on this thread may give no memory all of these rights at once.
fn refuse(rights: u32) {
    const LOAD: u16 = 0x20;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, if_true, if_false, operand| Instruction { code, if_true, if_false, operand };
    let instructions = [
        // The call's number, then its third argument.
        step(LOAD, 0, 0, 0),
        step(IF_EQUAL, 0, 4, MPROTECT),
        step(LOAD, 0, 0, 32),
        step(AND, 0, 0, rights),
        step(IF_EQUAL, 0, 1, rights),
        step(RETURN, 0, 0, REFUSE),
        step(RETURN, 0, 0, ALLOW),
    ];
    let program = Program { length: instructions.len() as u16, instructions: instructions.as_ptr() };
    let (yes, no): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: the program is whole and the kernel copies it; neither call touches other memory.
    unsafe {
        assert_eq!(prctl(PR_SET_NO_NEW_PRIVS, yes, no, no, no), 0);
        assert_eq!(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn where_code_may_not_be_written_and_run_at_once_it_is_in_turns() {
    refuse(WRITE | EXECUTE);
    assert_eq!((Way::best(), Way::Jit.require()), (Way::SecureJit, Err(WayError::Unavailable(Way::Jit))));
    assert_eq!(self_test(Way::best()), Ok(()));
}

#[test]
fn where_it_may_not_be_run_at_all_it_is_interpreted() {
    refuse(EXECUTE);
    assert_eq!(Way::best(), Way::Interpreter);
    for way in [Way::Jit, Way::SecureJit] {
        let error = Cache::build(b"key", way, Pages::Small).expect_err("refused");
        assert_eq!(error, BuildError::Way(WayError::Unavailable(way)));
        assert!(error.to_string().contains("take the slower 'interpreter'"), "{error}");
    }
    assert_eq!(self_test(Way::Interpreter), Ok(()));
}
