//! What nonces and wrong nonces tell of each chip. Nobody is slowed down on noise: a chip is bad when its errors are more than chance
//! would show of one at the knee, and good when they are fewer.
//!
//! Not here: what is done about it (`chain`).

use crate::poisson::{too_few, too_many};

/// Part of a chip's nonces that may be wrong: a step of clock gives 1.2 % more hashes, so that beyond twice that the step costs more than
/// it gives and heats the board for nothing.
pub const KNEE: f64 = 0.025;
/// How improbable a bad chip's errors must be at the knee, as -ln: one in 3000 looks at most. A mistake costs a step of one chip.
const BAD: f64 = 8.0;
/// The same for a good one's lack of errors: one in a hundred. A mistake here is found later.
const GOOD: f64 = 4.6;
/// Part of a chip's promise below which it is dull: most of its cores are dead or it hears no work.
const DULL_PART: f64 = 0.3;
/// How improbable so few must be for a chip just above that.
const DULL: f64 = 20.7;

/// One chip's count since the measure began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Right ones.
    pub good: u64,
    /// Wrong ones.
    pub wrong: u64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn all(self) -> u64 {
        self.good + self.wrong
    }

    /// Part that is wrong; 0 of nothing.
    #[must_use]
    pub fn wrong_part(self) -> f64 {
        if self.all() == 0 { 0.0 } else { self.wrong as f64 / self.all() as f64 }
    }
}

/// What a chip's count says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too many of its nonces are wrong.
    Bad,
    /// They are right.
    Good,
    /// It hardly says anything at all.
    Dull,
    /// Too little is known.
    Open,
}

/// Judges one chip that promised so many nonces in the time of the count.
#[must_use]
pub fn judge(count: Count, promised: f64) -> Verdict {
    let at_knee = KNEE * count.all() as f64;
    if too_many(count.wrong, at_knee) > BAD {
        Verdict::Bad
    } else if too_few(count.all(), DULL_PART * promised) > DULL {
        Verdict::Dull
    } else if too_few(count.wrong, at_knee) > GOOD {
        Verdict::Good
    } else {
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_judged_as_documented() {
        use Verdict::{Bad, Dull, Good, Open};
        for (good, wrong, promised, verdict) in [
            (0, 0, 0.0, Open),
            (0, 0, 60.0, Open),
            (0, 0, 70.0, Dull),
            (3, 0, 200.0, Dull),
            (60, 0, 60.0, Open),
            (183, 0, 183.0, Open),
            (184, 0, 184.0, Good),
            (1000, 8, 1000.0, Good),
            (1000, 25, 1000.0, Open),
            (1000, 40, 1000.0, Open),
            (1000, 60, 1000.0, Bad),
            (14, 1, 15.0, Open),
            (12, 3, 15.0, Open),
            (11, 4, 15.0, Open),
            (10, 5, 15.0, Bad),
            (8, 7, 15.0, Bad),
            (0, 15, 15.0, Bad),
        ] {
            assert_eq!(judge(Count { good, wrong }, promised), verdict, "{good} right, {wrong} wrong of {promised}");
        }
    }
}
