//! The program of a period: random merges, loads and sums that every hash of three blocks runs.
//!
//! `ProgPoW` changes it so that no chip can be built for one. It is data, a list of instructions as an enum, because two read
//! it: the loop here (`mix`), and whoever generates code for a GPU from it. The order of the random numbers is the
//! specification's. Not here: running it.

use super::kiss::Kiss;

/// Blocks of a period.
pub const PERIOD_BLOCKS: u64 = 3;
/// Registers of a lane.
pub const REGISTERS: usize = 32;
/// Loads from the cache in a loop.
pub const CACHE_LOADS: usize = 11;
/// Computations in a loop.
pub const COMPUTATIONS: usize = 18;
/// Words of the dataset that a lane takes in a loop.
pub const DATASET_LOADS: usize = 4;

/// A register's number, below [`REGISTERS`].
pub type Register = u8;

/// How a word enters a register without taking what is in it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merge {
    /// `register * 33 + word`
    MultiplyAdd,
    /// `(register ^ word) * 33`
    XorMultiply,
    /// `rotate_left(register, by) ^ word`, by 1 to 31.
    RotateLeftXor(u8),
    /// `rotate_right(register, by) ^ word`, by 1 to 31.
    RotateRightXor(u8),
}

/// What two registers give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The sum.
    Add,
    /// The low half of the product.
    MultiplyLow,
    /// The high half of the product.
    MultiplyHigh,
    /// The smaller one.
    Minimum,
    /// The first rotated left by the second, modulo 32.
    RotateLeft,
    /// The first rotated right by the second, modulo 32.
    RotateRight,
    /// Both.
    And,
    /// Either.
    Or,
    /// One of them.
    Xor,
    /// The sum of their leading zeros.
    LeadingZeros,
    /// The sum of their ones.
    Ones,
}

/// One step of a loop, done in all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Merges the word of the cache whose index is a register modulo the cache's words.
    Cache {
        /// The register with the index.
        index: Register,
        /// The register that it is merged into.
        into: Register,
        /// How.
        merge: Merge,
    },
    /// Merges what two registers give.
    Compute {
        /// What.
        operation: Operation,
        /// The first register.
        a: Register,
        /// The second one, another than the first.
        b: Register,
        /// The register that it is merged into.
        into: Register,
        /// How.
        merge: Merge,
    },
}

/// A word of the dataset and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    /// The register that it is merged into.
    pub into: Register,
    /// How.
    pub merge: Merge,
}

/// The program of one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    period: u64,
    instructions: [Instruction; CACHE_LOADS + COMPUTATIONS],
    loads: [Load; DATASET_LOADS],
}

impl Program {
    /// The program of the period of the block at `height`.
    #[must_use]
    pub fn at(height: u64) -> Program {
        Program::of(height / PERIOD_BLOCKS)
    }

    /// The program of a period.
    #[must_use]
    pub fn of(period: u64) -> Program {
        let mut random = Random::new(period);
        // What is not written over below is a load: the array is as long as both kinds together.
        let nothing = Instruction::Cache { index: 0, into: 0, merge: Merge::MultiplyAdd };
        let mut instructions = [nothing; CACHE_LOADS + COMPUTATIONS];
        let mut places = instructions.iter_mut();
        for i in 0..COMPUTATIONS.max(CACHE_LOADS) {
            if i < CACHE_LOADS {
                let (index, into) = (random.source(), random.target());
                let cache = Instruction::Cache { index, into, merge: random.merge() };
                *places.next().expect("as many places as instructions") = cache;
            }
            if i < COMPUTATIONS {
                let (a, b) = random.pair();
                let operation = random.operation();
                let into = random.target();
                let compute = Instruction::Compute { operation, a, b, into, merge: random.merge() };
                *places.next().expect("as many places as instructions") = compute;
            }
        }
        let loads = std::array::from_fn(|i| {
            // The first word always goes to register 0, which picks the next page.
            let into = if i == 0 { 0 } else { random.target() };
            Load { into, merge: random.merge() }
        });
        Program { period, instructions, loads }
    }

    /// Which period's it is.
    #[must_use]
    pub fn period(&self) -> u64 {
        self.period
    }

    /// What a loop does before it takes its page of the dataset, in order.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Where the words of the page go that a lane takes, in order.
    #[must_use]
    pub fn loads(&self) -> &[Load; DATASET_LOADS] {
        &self.loads
    }
}

/// The random choices of a period.
struct Random {
    kiss: Kiss,
    targets: Ring,
    sources: Ring,
}

/// Every register once in random order, over and over.
struct Ring {
    order: [Register; REGISTERS],
    at: usize,
}

impl Ring {
    fn next(&mut self) -> Register {
        let register = self.order[self.at % REGISTERS];
        self.at += 1;
        register
    }
}

impl Random {
    fn new(period: u64) -> Random {
        let [low, high] = crate::keccak::halves(period);
        let mut kiss = Kiss::seeded(low, high, low, high);
        let in_order = || Ring { order: std::array::from_fn(|i| i as Register), at: 0 };
        let (mut targets, mut sources) = (in_order(), in_order());
        for i in (1..REGISTERS).rev() {
            let mut other = || (kiss.next() % (i as u32 + 1)) as usize;
            targets.order.swap(i, other());
            sources.order.swap(i, other());
        }
        Random { kiss, targets, sources }
    }

    fn source(&mut self) -> Register {
        self.sources.next()
    }

    fn target(&mut self) -> Register {
        self.targets.next()
    }

    fn merge(&mut self) -> Merge {
        let random = self.kiss.next();
        let by = ((random >> 16) % 31 + 1) as u8;
        match random % 4 {
            0 => Merge::MultiplyAdd,
            1 => Merge::XorMultiply,
            2 => Merge::RotateLeftXor(by),
            _ => Merge::RotateRightXor(by),
        }
    }

    fn operation(&mut self) -> Operation {
        match self.kiss.next() % 11 {
            0 => Operation::Add,
            1 => Operation::MultiplyLow,
            2 => Operation::MultiplyHigh,
            3 => Operation::Minimum,
            4 => Operation::RotateLeft,
            5 => Operation::RotateRight,
            6 => Operation::And,
            7 => Operation::Or,
            8 => Operation::Xor,
            9 => Operation::LeadingZeros,
            _ => Operation::Ones,
        }
    }

    /// Two different registers.
    fn pair(&mut self) -> (Register, Register) {
        let registers = REGISTERS as u32;
        let random = self.kiss.next() % (registers * (registers - 1));
        let (a, b) = (random % registers, random / registers);
        (a as Register, if b >= a { b + 1 } else { b } as Register)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registers(instruction: &Instruction) -> (Vec<Register>, Register, Merge) {
        match *instruction {
            Instruction::Cache { index, into, merge } => (vec![index], into, merge),
            Instruction::Compute { a, b, into, merge, .. } => (vec![a, b], into, merge),
        }
    }

    proptest! {
        #[test]
        fn every_period_has_a_program_within_its_bounds(period: u64) {
            let program = Program::of(period);
            let cache = program.instructions().iter().filter(|i| matches!(i, Instruction::Cache { .. })).count();
            prop_assert_eq!((program.period(), cache, program.instructions().len()), (period, 11, 29));
            let turned = |merge| match merge {
                Merge::RotateLeftXor(by) | Merge::RotateRightXor(by) => (1..32).contains(&by),
                _ => true,
            };
            let mut written = Vec::new();
            for (from, into, merge) in program.instructions().iter().map(registers) {
                prop_assert!(from.iter().chain([&into]).all(|r| usize::from(*r) < REGISTERS) && turned(merge));
                prop_assert!(from.len() == 1 || from[0] != from[1]);
                written.push(into);
            }
            prop_assert_eq!(program.loads()[0].into, 0);
            for load in program.loads() {
                prop_assert!(usize::from(load.into) < REGISTERS && turned(load.merge));
            }
            // Thirty-two writes go to thirty-two registers: the ring is a permutation.
            written.extend(program.loads()[1..].iter().map(|load| load.into));
            written.sort_unstable();
            prop_assert_eq!(written, (0..32).collect::<Vec<_>>());
        }
    }

    /// EIP-1057's vectors for period 600.
    #[test]
    fn registers_are_shuffled_as_published() {
        let random = Random::new(600);
        assert_eq!(
            random.sources.order,
            [
                0x1a, 0x1e, 0x01, 0x13, 0x0b, 0x15, 0x0f, 0x12, 0x03, 0x11, 0x1f, 0x10, 0x1c, 0x04, 0x16, 0x17, //
                0x02, 0x0d, 0x1d, 0x18, 0x0a, 0x0c, 0x05, 0x14, 0x07, 0x08, 0x0e, 0x1b, 0x06, 0x19, 0x09, 0x00,
            ]
        );
        assert_eq!(
            random.targets.order,
            [
                0x00, 0x04, 0x1b, 0x1a, 0x0d, 0x0f, 0x11, 0x07, 0x0e, 0x08, 0x09, 0x0c, 0x03, 0x0a, 0x01, 0x0b, //
                0x06, 0x10, 0x1c, 0x1f, 0x02, 0x13, 0x1e, 0x16, 0x1d, 0x05, 0x18, 0x12, 0x19, 0x17, 0x15, 0x14,
            ]
        );
    }

    #[test]
    fn three_blocks_share_a_program() {
        assert_eq!(Program::at(29), Program::of(9));
        assert_eq!(Program::at(27), Program::at(29));
        assert_ne!(Program::at(29).instructions(), Program::at(30).instructions());
        assert_eq!(Program::at(u64::MAX).period(), u64::MAX / 3);
    }
}
