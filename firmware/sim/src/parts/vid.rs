//! The voltage id input of a DragonMint T1 hashboard: it times the pulses of one line and takes a frame whose second half is the
//! inverse of its first. Not here: the line that switches the board on.

use model::{Time, Volt};

/// A pulse from here up is a sync, whose high half is 2 ms.
const SYNC_LEAST: u64 = 1_500;
/// A pulse from here up is a one, which is high for 750 µs; a zero is high for 250 µs.
const ONE_LEAST: u64 = 500;
/// From one rise to the next, at most, within a frame: 4 ms behind a sync.
const GAP_MOST: u64 = 4_500;

/// The simulated input.
#[derive(Debug, Default)]
pub struct Vid {
    rose: Option<Time>,
    last_rise: Option<Time>,
    bits: Option<Vec<bool>>,
    id: Option<u8>,
    /// Frames that it took.
    pub frames: u32,
    /// Frames that it dropped.
    pub dropped: u32,
}

impl Vid {
    /// The level of its line from now on.
    pub fn drive(&mut self, now: Time, high: bool) {
        match (self.rose, high) {
            (None, true) => {
                let slow = self.last_rise.is_some_and(|r| now.since(r).as_micros() > u128::from(GAP_MOST));
                if slow && self.bits.take().is_some() {
                    self.dropped += 1;
                }
                (self.rose, self.last_rise) = (Some(now), Some(now));
            }
            (Some(rose), false) => {
                self.rose = None;
                let micros = now.micros() - rose.micros();
                if micros >= SYNC_LEAST {
                    self.bits = Some(Vec::new());
                } else if let Some(bits) = &mut self.bits {
                    bits.push(micros >= ONE_LEAST);
                    if bits.len() == 16 {
                        let byte = |bits: &[bool]| bits.iter().rev().fold(0u8, |b, bit| b << 1 | u8::from(*bit));
                        let (id, inverse) = (byte(&bits[..8]), byte(&bits[8..]));
                        self.bits = None;
                        if id == !inverse && id < 32 {
                            (self.id, self.frames) = (Some(id), self.frames + 1);
                        } else {
                            self.dropped += 1;
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// The id that it holds, where it ever took one.
    #[must_use]
    pub fn id(&self) -> Option<u8> {
        self.id
    }

    /// What the board gives while it is on: the driver's table, in hundredths of a volt [?]. Without an id, the least: our
    /// choice.
    #[must_use]
    pub fn output(&self) -> Volt {
        Volt(f64::from(1608 - 9 * u16::from(self.id.unwrap_or(31))) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(v: &mut Vid, from: u64, bytes: [u8; 2]) {
        let mut at = from;
        let mut pulse = |high: u64, all: u64| {
            v.drive(Time::from_micros(at), true);
            v.drive(Time::from_micros(at + high), false);
            at += all;
        };
        pulse(2000, 4000);
        for bit in bytes.iter().flat_map(|b| (0..8).map(move |i| b >> i & 1)) {
            pulse(if bit == 1 { 750 } else { 250 }, 1000);
        }
    }

    #[test]
    fn a_frame_with_its_inverse_is_taken_and_no_other() {
        let mut v = Vid::default();
        send(&mut v, 0, [5, !5]);
        assert_eq!((v.id(), v.output()), (Some(5), Volt(15.63)));
        send(&mut v, 50_000, [6, !5]);
        send(&mut v, 100_000, [40, !40]);
        assert_eq!((v.id(), v.frames, v.dropped), (Some(5), 1, 2));
    }
}
