//! The sums and midstates of the family. (The driver against simulated chips: `sim/tests/spi.rs`.)

use super::*;
use proptest::prelude::*;

/// A device on which nothing answers, or only noise.
struct Noise(Vec<u8>, usize);

impl Spi for Noise {
    fn configure(&mut self, _: SpiMode, _: u32) -> Result<(), BusError> {
        Ok(())
    }
    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        for b in bytes {
            *b = self.0.get(self.1).copied().unwrap_or(0);
            self.1 = (self.1 + 1) % self.0.len().max(1);
        }
        Ok(())
    }
}

#[test]
fn the_sum_is_the_known_one() {
    // CRC-16/MODBUS of "123456789" is 4B37; here pairs are swapped, so the ten bytes are written swapped.
    assert_eq!(crc(b"2143658709"), { crc_plain(b"1234567890") });
}

fn crc_plain(bytes: &[u8]) -> u16 {
    // The vendor's table of sixteen, half a byte at a time.
    const TABLE: [u16; 16] = [
        0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001, 0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801,
        0x4400,
    ];
    bytes.iter().fold(0xffff, |crc: u16, byte| {
        let low = TABLE[usize::from((u16::from(*byte) ^ crc) & 15)] ^ crc >> 4;
        TABLE[usize::from((u16::from(*byte >> 4) ^ low) & 15)] ^ low >> 4
    })
}

#[test]
fn versions_fill_the_masks_bits() {
    let rows = [(0, 0x2000_0000), (1, 0x2000_2000), (3, 0x2000_6000), (0x8000, 0x3000_0000)];
    for (index, version) in rows {
        assert_eq!(rolled(0x2000_0000, 0x1fff_e000, index), version, "{index:x}");
    }
}

#[test]
fn a_ring_where_nothing_answers_has_no_chips_and_sleeps() {
    for family in [&super::super::bitmine_a1::FAMILY, &super::super::dragonmint_t1::FAMILY] {
        let mut chain = Chain::new(Noise(vec![], 0), family, Scale::HARDWARE);
        chain.start(Time::ZERO);
        chain.turn(Time::from_secs(1)).expect("a bus");
        chain.turn(Time::from_secs(2)).expect("a bus");
        chain.turn(Time::from_secs(3)).expect("a bus");
        assert_eq!(chain.next_event(), Some(ChainEvent::Counted { chips: 0 }));
        assert_eq!((chain.next_event(), chain.wake_at()), (None, Time::NEVER));
    }
}

proptest! {
    #[test]
    fn noise_is_never_a_panic(noise in prop::collection::vec(prop_oneof![0u8..16, Just(0x1a), any::<u8>()], 1..600), t1: bool) {
        let family = if t1 { &super::super::dragonmint_t1::FAMILY } else { &super::super::bitmine_a1::FAMILY };
        let mut chain = Chain::new(Noise(noise, 0), family, Scale::HARDWARE);
        chain.start(Time::ZERO);
        chain.set_clock(Megahertz(600.0));
        for ms in 1..200 {
            if chain.turn(Time::from_millis(ms * 50)).is_err() {
                break;
            }
            while chain.next_event().is_some() {}
        }
    }
}
