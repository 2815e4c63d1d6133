//! How the virtual machine's programs are run, and in which pages its memory lies.
//!
//! Compiled to the CPU's instructions a program runs several times as fast as interpreted, but a kernel may refuse to run code
//! that was just written (SELinux, systemd's `MemoryDenyWriteExecute`), so it is asked before. AES instructions are used where
//! the CPU has them, on every way. Not here: how fast a way is.

use std::fmt;
use std::str::FromStr;

use randomx_rs::RandomXFlag as Flags;

use super::library::{self, Execution};

/// How programs are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Compiled, into memory that can be written and run at once.
    Jit,
    /// Compiled, into memory that is written and run in turns; a few hundredths slower.
    SecureJit,
    /// Interpreted.
    Interpreter,
}

/// Why a way cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WayError {
    /// Not the name of a way.
    #[error("choose how RandomX runs programs: '{0}' is none of jit, secure-jit, interpreter")]
    Unknown(String),
    /// The CPU's architecture or the kernel does not allow it.
    #[error(
        "run RandomX programs by {0}: this CPU has no compiler in the library, or the kernel refuses to run code just written \
         (SELinux, MemoryDenyWriteExecute); allow it, or take the slower '{best}'", best = Way::best()
    )]
    Unavailable(Way),
}

/// How much of an unknown name is repeated in the error: enough to recognise a typing mistake.
const NAME_SHOWN: usize = 24;

impl Way {
    /// Every way, the fastest first.
    pub const ALL: [Way; 3] = [Way::Jit, Way::SecureJit, Way::Interpreter];

    /// The fastest way that is available here. Asks the kernel each time, which takes microseconds.
    #[must_use]
    pub fn best() -> Way {
        Way::ALL.into_iter().find(|way| way.is_available()).unwrap_or(Way::Interpreter)
    }

    /// Whether the library has it for this CPU and the kernel allows it.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.is_possible(Flags::get_recommended_flags().contains(Flags::FLAG_JIT), library::execution)
    }

    /// The way itself where it is available.
    ///
    /// # Errors
    /// [`WayError::Unavailable`] where it is not.
    pub fn require(self) -> Result<Way, WayError> {
        if self.is_available() { Ok(self) } else { Err(WayError::Unavailable(self)) }
    }

    fn is_possible(self, has_compiler: bool, execution: impl FnOnce() -> Execution) -> bool {
        match self {
            Way::Jit => has_compiler && execution() == Execution::AtOnce,
            Way::SecureJit => has_compiler && execution() >= Execution::InTurns,
            Way::Interpreter => true,
        }
    }

    /// What to ask of the library, without pages and memory.
    pub(super) fn flags(self) -> Flags {
        let flags = Flags::get_recommended_flags() - Flags::FLAG_JIT - Flags::FLAG_SECURE;
        match self {
            Way::Jit => flags | Flags::FLAG_JIT,
            Way::SecureJit => flags | Flags::FLAG_JIT | Flags::FLAG_SECURE,
            Way::Interpreter => flags,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Way::Jit => "jit",
            Way::SecureJit => "secure-jit",
            Way::Interpreter => "interpreter",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Way {
    type Err = WayError;
    fn from_str(text: &str) -> Result<Way, WayError> {
        let unknown = || WayError::Unknown(text.chars().take(NAME_SHOWN).collect());
        Way::ALL.into_iter().find(|way| way.name() == text).ok_or_else(unknown)
    }
}

/// Which pages memory lies in. Asked for, it is the best to be tried, and those after it follow; got, it is what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pages {
    /// Huge pages that the machine's owner has set aside (`vm.nr_hugepages`). They are taken to be of 2 MiB: a kernel started
    /// with `default_hugepagesz=1G` would give one of those for each scratchpad; there, ask for [`Pages::Transparent`].
    Huge,
    /// The kernel was told that huge pages are welcome, and will give as many as it finds. How many it found stands in
    /// `/proc/self/smaps`, at the memory's place.
    Transparent,
    /// Ordinary pages.
    Small,
}

impl Pages {
    /// Tries what was asked for and what follows it. `make` is told whether to ask for set-aside and for transparent pages, and
    /// tells whether those became possible.
    pub(super) fn best_of<T>(self, mut make: impl FnMut(Flags, bool) -> Option<(T, bool)>) -> Option<(T, Pages)> {
        if self == Pages::Huge
            && let Some((made, _)) = make(Flags::FLAG_LARGE_PAGES, false)
        {
            return Some((made, Pages::Huge));
        }
        let (made, transparent) = make(Flags::FLAG_DEFAULT, self != Pages::Small)?;
        Some((made, if transparent { Pages::Transparent } else { Pages::Small }))
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pages::Huge => "huge",
            Pages::Transparent => "transparent",
            Pages::Small => "small",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_refused() {
        for way in Way::ALL {
            assert_eq!(way.to_string().parse(), Ok(way));
            assert!(WayError::Unknown(String::new()).to_string().contains(way.name()));
        }
        for text in ["", "JIT", "secure jit", "interpreter "] {
            assert_eq!(text.parse::<Way>(), Err(WayError::Unknown(text.to_owned())));
        }
        assert_eq!("ä".repeat(1000).parse::<Way>(), Err(WayError::Unknown("ä".repeat(NAME_SHOWN))));
    }

    #[test]
    fn what_the_kernel_refuses_is_not_available() {
        let possible = |compiler, execution| Way::ALL.map(|way| way.is_possible(compiler, || execution));
        assert_eq!(possible(true, Execution::AtOnce), [true, true, true]);
        assert_eq!(possible(true, Execution::InTurns), [false, true, true]);
        assert_eq!(possible(true, Execution::Refused), [false, false, true]);
        assert_eq!(possible(false, Execution::AtOnce), [false, false, true]);
        let refused = WayError::Unavailable(Way::Jit).to_string();
        assert!(refused.starts_with("run RandomX programs by jit: ") && refused.contains("allow it, or take"), "{refused}");
    }

    #[test]
    fn the_best_way_is_the_first_available_one() {
        assert!(Way::best().is_available() && Way::Interpreter.is_available());
        for way in Way::ALL {
            assert_eq!(way.require().is_ok(), way.is_available());
            assert_eq!(way.flags().contains(Flags::FLAG_JIT), way != Way::Interpreter);
            assert_eq!(way.flags().contains(Flags::FLAG_SECURE), way == Way::SecureJit);
        }
    }

    #[test]
    fn pages_are_tried_from_the_best_that_was_asked_for() {
        let run = |asked: Pages, set_aside: bool, listens: bool| {
            let mut tried = Vec::new();
            let got = asked.best_of(|flags, transparent| {
                let huge = flags == Flags::FLAG_LARGE_PAGES;
                tried.push((huge, transparent));
                (!huge || set_aside).then_some(((), transparent && listens))
            });
            (got.map(|((), pages)| pages), tried)
        };
        assert_eq!(run(Pages::Huge, true, true), (Some(Pages::Huge), vec![(true, false)]));
        assert_eq!(run(Pages::Huge, false, true), (Some(Pages::Transparent), vec![(true, false), (false, true)]));
        assert_eq!(run(Pages::Huge, false, false), (Some(Pages::Small), vec![(true, false), (false, true)]));
        assert_eq!(run(Pages::Transparent, true, true), (Some(Pages::Transparent), vec![(false, true)]));
        assert_eq!(run(Pages::Small, true, true), (Some(Pages::Small), vec![(false, false)]));
        assert_eq!(Pages::Huge.best_of(|_, _| None::<((), bool)>), None);
    }
}
