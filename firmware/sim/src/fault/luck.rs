//! Chance from a seed: SplitMix64. The same seed gives the same luck on every machine.

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Luck(u64);

impl Luck {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Luck {
        Luck(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % (end.max(1) as u64)) as usize
    }

    /// True so many times of a thousand.
    pub fn permille(&mut self, of: u64) -> bool {
        self.bits() % 1000 < of
    }

    /// One of them; `None` where there is none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }

    /// Brings them into any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_is_the_seeds_and_fair() {
        let take = |seed| (0..1000).map(|_| 0).scan(Luck::new(seed), |l, _: i32| Some(l.below(10))).collect::<Vec<_>>();
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        for n in 0..10 {
            let count = take(7).iter().filter(|x| **x == n).count();
            assert!((60..140).contains(&count), "{n}: {count}");
        }
        let mut items: Vec<_> = (0..20).collect();
        Luck::new(3).shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
        assert_eq!((Luck::new(1).pick::<u8>(&[]), Luck::new(1).below(0)), (None, 0));
    }
}
