//! Epochs: how large cache and dataset are, and what they grow from, as data.
//!
//! Every so many blocks both are made anew, larger each time. [`Rules`] say how for one coin family; an [`Epoch`] is what they
//! come to. The rules of the test epochs differ from the real ones in their sizes alone, so tests run the very code that mines.
//! Not here: the memory itself.

use std::fmt;

use crate::Line;
use crate::keccak::{bytes_of, keccak256};
use crate::proof::hex;

/// Bytes of a page of Ethash's dataset; both sizes of the dataset rules count in it.
const PAGE_BYTES: u64 = 128;

/// The last epoch whose dataset's lines can be counted by 32 bits.
pub const MAX_EPOCH: u32 = 32_639;

/// From what size, and by how much an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Growth {
    initial: u64,
    each: u64,
}

impl Growth {
    /// The largest prime number of units that is not above the grown size, in bytes.
    const fn at(self, epoch: u32, unit: u64) -> u64 {
        largest_prime((self.initial + self.each * epoch as u64) / unit) * unit
    }
}

/// How the epochs of a coin family follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The algorithm's word.
    pub name: &'static str,
    /// Blocks of an epoch.
    blocks: u64,
    /// From which height on an epoch has how many blocks instead.
    longer: Option<(u64, u64)>,
    /// Blocks to a step of the seed, whatever the epoch's length.
    seed_blocks: u64,
    parents: u32,
    cache: Growth,
    dataset: Growth,
}

const REAL_CACHE: Growth = Growth { initial: 1 << 24, each: 1 << 17 };
const REAL_DATASET: Growth = Growth { initial: 1 << 30, each: 1 << 23 };
/// Small enough for a test, and grown in the same proportion.
const TEST_CACHE: Growth = Growth { initial: 1 << 20, each: 1 << 13 };
const TEST_DATASET: Growth = Growth { initial: 1 << 24, each: 1 << 17 };

impl Rules {
    /// Ethash: an epoch of 30,000 blocks.
    pub const ETHASH: Rules = Rules {
        name: "ethash",
        blocks: 30_000,
        longer: None,
        seed_blocks: 30_000,
        parents: 256,
        cache: REAL_CACHE,
        dataset: REAL_DATASET,
    };
    /// Etchash, Ethereum Classic's: 60,000 blocks from ECIP-1099 on, which is block 11,700,000.
    pub const ETCHASH: Rules = Rules { name: "etchash", longer: Some((11_700_000, 60_000)), ..Rules::ETHASH };
    /// `KawPow`, Ravencoin's: 7,500 blocks, and twice the parents.
    pub const KAWPOW: Rules = Rules { name: "kawpow", blocks: 7_500, seed_blocks: 7_500, parents: 512, ..Rules::ETHASH };

    /// The same rules with test sizes: epoch 0 has a cache of 1 MiB and a dataset of 16 MiB.
    #[must_use]
    pub const fn with_test_sizes(self) -> Rules {
        Rules { cache: TEST_CACHE, dataset: TEST_DATASET, ..self }
    }

    /// The epoch of the block at `height`.
    ///
    /// # Errors
    /// [`EpochError::Height`] past the last epoch.
    pub fn epoch_at(&self, height: u64) -> Result<Epoch, EpochError> {
        let blocks = match self.longer {
            Some((from, longer)) if height >= from => longer,
            _ => self.blocks,
        };
        match u32::try_from(height / blocks) {
            Ok(number) if number <= MAX_EPOCH => Ok(self.sized(number, height / blocks * blocks / self.seed_blocks)),
            _ => Err(EpochError::Height { name: self.name, height, most: (u64::from(MAX_EPOCH) + 1) * blocks - 1 }),
        }
    }

    /// The epoch whose seed hash a pool gave.
    ///
    /// # Errors
    /// [`EpochError::Seed`] where no epoch has it.
    pub fn epoch_of_seed(&self, seed: &[u8; 32]) -> Result<Epoch, EpochError> {
        let last = (u64::from(MAX_EPOCH) + 1) * self.longer.map_or(self.blocks, |(_, blocks)| blocks) / self.seed_blocks;
        let mut words = [0; 4];
        for step in 0..last {
            if bytes_of(&words) == *seed {
                // The seed of a height says how many steps of blocks lie below its epoch's first block, so that block is
                // enough; the seeds of odd steps past ECIP-1099 belong to no epoch, and `epoch_at` finds another seed for them.
                return self.epoch_at(step * self.seed_blocks).ok().filter(|e| e.seed == *seed).ok_or_else(|| self.no_seed(seed));
            }
            words = keccak256(&words);
        }
        Err(self.no_seed(seed))
    }

    fn no_seed(&self, seed: &[u8; 32]) -> EpochError {
        EpochError::Seed { name: self.name, seed: *seed }
    }

    fn sized(&self, number: u32, seed_steps: u64) -> Epoch {
        let seed = (0..seed_steps).fold([0; 4], |words, _| keccak256(&words));
        Epoch {
            number,
            cache_bytes: self.cache.at(number, Line::BYTES),
            dataset_bytes: self.dataset.at(number, PAGE_BYTES),
            seed: bytes_of(&seed),
            parents: self.parents,
        }
    }
}

/// The sizes and the seed of one epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Its number, counted in the length that epochs have at its height.
    pub number: u32,
    /// Bytes of the light cache.
    pub cache_bytes: u64,
    /// Bytes of the dataset.
    pub dataset_bytes: u64,
    /// What the cache grows from.
    pub seed: [u8; 32],
    /// How many lines of the cache go into one line of the dataset.
    pub parents: u32,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} ({} and {} bytes)", self.number, self.cache_bytes, self.dataset_bytes)
    }
}

/// Why there is no such epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Past the last epoch.
    #[error("find the {name} epoch of block {height}: heights end at {most}; check the pool's height")]
    Height {
        /// The algorithm.
        name: &'static str,
        /// The height asked for.
        height: u64,
        /// The last height there is.
        most: u64,
    },
    /// No epoch's seed.
    #[error(
        "find the {name} epoch of seed hash {}: no epoch up to {MAX_EPOCH} has it; check that the pool mines {name}",
        hex(seed)
    )]
    Seed {
        /// The algorithm.
        name: &'static str,
        /// The seed asked for.
        seed: [u8; 32],
    },
}

/// The largest prime that is not above `n`; 2 where there is none. Trial division: the numbers stay below 2^32.
const fn largest_prime(n: u64) -> u64 {
    let mut n = n;
    while n > 2 && !is_prime(n) {
        n -= 1;
    }
    if n < 2 { 2 } else { n }
}

const fn is_prime(n: u64) -> bool {
    if n.is_multiple_of(2) {
        return n == 2;
    }
    let mut factor = 3;
    while factor * factor <= n {
        if n.is_multiple_of(factor) {
            return false;
        }
        factor += 2;
    }
    n > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epoch, cache and dataset of chfast/ethash's `test_ethash.cpp`, which are those of the Ethereum wiki.
    const SIZES: [(u32, u64, u64); 19] = [
        (0, 16_776_896, 1_073_739_904),
        (14, 18_611_392, 1_191_180_416),
        (17, 19_004_224, 1_216_345_216),
        (56, 24_116_672, 1_543_503_488),
        (158, 37_486_528, 2_399_139_968),
        (203, 43_382_848, 2_776_625_536),
        (211, 44_433_344, 2_843_734_144),
        (272, 52_427_968, 3_355_440_512),
        (350, 62_651_584, 4_009_751_168),
        (412, 70_778_816, 4_529_846_144),
        (530, 86_244_416, 5_519_703_424),
        (658, 103_021_888, 6_593_443_456),
        (798, 121_372_352, 7_767_849_088),
        (1096, 160_430_656, 10_267_656_064),
        (1502, 213_645_632, 13_673_430_656),
        (1790, 251_395_136, 16_089_346_688),
        (2047, 285_081_536, 18_245_220_736),
        (30_000, 3_948_936_512, 252_731_976_832),
        (MAX_EPOCH, 4_294_836_032, 274_869_514_624),
    ];

    #[test]
    fn sizes_are_the_published_ones() {
        for (number, cache, dataset) in SIZES {
            let epoch = Rules::ETHASH.epoch_at(u64::from(number) * 30_000).expect("an epoch");
            assert_eq!((epoch.number, epoch.cache_bytes, epoch.dataset_bytes, epoch.parents), (number, cache, dataset, 256));
            let kawpow = Rules::KAWPOW.epoch_at(u64::from(number) * 7_500 + 7_499).expect("an epoch");
            assert_eq!(kawpow, Epoch { parents: 512, ..epoch });
        }
    }

    /// Seeds of the same file.
    #[test]
    fn seeds_are_the_published_ones_and_lead_back_to_their_epochs() {
        for (number, seed) in [
            (0, "0000000000000000000000000000000000000000000000000000000000000000"),
            (1, "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563"),
            (171, "a9b0e0c9aca72c07ba06b5bbdae8b8f69e61878301508473379bb4f71807d707"),
            (2_048, "20a7678ca7b50829183baac2e1e3c43fa3c4bcbc171b11cf5a9f30bebd172920"),
            (29_998, "1222b1faed7f93098f8ae498621fb3479805a664b70186063861c46596c66164"),
            (29_999, "ee1d0f61b054dff0f3025ebba821d405c8dc19a983e582e9fa5436fc3e7a07d8"),
            (MAX_EPOCH - 1, "9472a82f992649315e3977120843a5a246e375715bd70ee98b3dd77c63154e99"),
            (MAX_EPOCH, "09b435f2d92d0ddee038c379be8db1f895c904282e9ceb790f519a6aa3f83810"),
        ] {
            let epoch = Rules::ETHASH.epoch_at(u64::from(number) * 30_000 + 29_999).expect("an epoch");
            assert_eq!(hex(&epoch.seed), seed);
            assert_eq!(Rules::ETHASH.epoch_of_seed(&epoch.seed), Ok(epoch));
            assert_eq!(Rules::KAWPOW.epoch_of_seed(&epoch.seed), Ok(Epoch { parents: 512, ..epoch }));
        }
    }

    /// ECIP-1099: epochs double in length at block 11,700,000 and count on from 195; seeds still step every 30,000 blocks.
    #[test]
    fn epochs_of_etchash_double_in_length() {
        let at = |height| Rules::ETCHASH.epoch_at(height).expect("an epoch");
        let old = |height| Rules::ETHASH.epoch_at(height).expect("an epoch");
        assert_eq!(at(0), old(0));
        assert_eq!(at(11_699_999), old(11_699_999));
        assert_eq!(at(11_699_999).number, 389);
        assert_eq!((at(11_700_000).number, at(11_759_999).number, at(11_760_000).number), (195, 195, 196));
        assert_eq!(at(11_700_000), Epoch { seed: old(11_700_000).seed, ..old(195 * 30_000) });
        assert_eq!(at(24_000_000), Epoch { seed: old(24_000_000).seed, ..old(400 * 30_000) });
        for height in [0, 30_000, 11_670_000, 11_700_000, 11_760_000, 24_000_000] {
            assert_eq!(Rules::ETCHASH.epoch_of_seed(&at(height).seed), Ok(at(height)));
        }
        // The step in the middle of an epoch is nobody's seed.
        let between = old(11_730_000).seed;
        assert_eq!(Rules::ETCHASH.epoch_of_seed(&between), Err(EpochError::Seed { name: "etchash", seed: between }));
    }

    #[test]
    fn test_epochs_have_test_sizes() {
        for rules in [Rules::ETHASH, Rules::ETCHASH, Rules::KAWPOW] {
            let (small, real) = (rules.with_test_sizes().epoch_at(0).expect("epoch 0"), rules.epoch_at(0).expect("epoch 0"));
            assert_eq!((small.cache_bytes, small.dataset_bytes), (16_381 * 64, 131_071 * 128));
            assert_eq!((small.seed, small.parents), (real.seed, real.parents));
            let next = rules.with_test_sizes().epoch_at(60_000).expect("a later epoch");
            assert!(next.cache_bytes > small.cache_bytes && next.dataset_bytes > small.dataset_bytes);
        }
    }

    #[test]
    fn heights_and_seeds_of_no_epoch_are_named() {
        for (rules, most) in [(Rules::ETHASH, 979_199_999), (Rules::ETCHASH, 1_958_399_999), (Rules::KAWPOW, 244_799_999)] {
            assert_eq!(rules.epoch_at(most).map(|e| e.number), Ok(MAX_EPOCH));
            for height in [most + 1, u64::from(u32::MAX) * 60_000, u64::MAX] {
                assert_eq!(rules.epoch_at(height), Err(EpochError::Height { name: rules.name, height, most }));
            }
        }
        let error = Rules::ETHASH.epoch_of_seed(&[0xab; 32]).expect_err("nobody's seed");
        assert!(error.to_string().contains("abababab"), "{error}");
        assert!(error.to_string().contains("check that the pool mines ethash"), "{error}");
    }
}
