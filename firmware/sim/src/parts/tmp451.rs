//! TMP451, TMP42x and ADT7461 (NCT218 alike): one register map with small differences, for the part's own place and for diodes.
//!
//! Ranges are kept as on the part: in the standard one a TMP451 and an ADT7461 give nothing below 0 °C and nothing above 127;
//! another range holds from the next conversion on. Not here: alerts and their limits.

use super::{Diode, Target};
use hwdrivers::sensor::tmp451::Family;
use model::{Celsius, Time};
use std::time::Duration;

/// Sixteen conversions a second, as after power-on.
const CONVERSION: Duration = Duration::from_millis(63);
const EXTENDED: u8 = 0x04;

/// The simulated part.
#[derive(Debug)]
pub struct Tmp451 {
    /// What its own die feels.
    pub local: Celsius,
    /// What its diodes feel.
    pub remote: [Celsius; 3],
    /// How its diodes are.
    pub diode: Diode,
    family: Family,
    pointer: u8,
    configuration: u8,
    /// What the last finished conversion used, and when the one with the present range is through.
    converted: u8,
    ready: Time,
}

impl Tmp451 {
    /// A part of this family that was just powered.
    #[must_use]
    pub fn new(family: Family) -> Tmp451 {
        Tmp451 {
            local: Celsius(25.0),
            remote: [Celsius(25.0); 3],
            diode: Diode::Good,
            family,
            pointer: 0,
            configuration: 0,
            converted: 0,
            ready: Time::ZERO,
        }
    }

    /// A value as its two bytes.
    fn code(&self, now: Time, celsius: Celsius) -> [u8; 2] {
        let configuration = if now >= self.ready { self.configuration } else { self.converted };
        let sixteenths = (celsius.0 * 16.0).floor();
        let sixteenths = match (configuration & EXTENDED != 0, self.family) {
            (true, _) => (sixteenths + 64.0 * 16.0).clamp(0.0, 4095.0) as u16,
            (false, Family::Tmp42x) => (sixteenths.clamp(-64.0 * 16.0, 2047.0) as i16).cast_unsigned() & 0x0fff,
            (false, _) => sixteenths.clamp(0.0, 2047.0) as u16,
        };
        (sixteenths << 4).to_be_bytes()
    }

    fn remote(&self, now: Time, index: u8) -> [u8; 2] {
        match self.diode {
            Diode::Good => self.code(now, self.remote[usize::from(index.min(2))]),
            // A short reads as the lowest code (TI); that an open line does so too is our choice: it has a bit of its own.
            Diode::Open | Diode::Short => self.code(now, Celsius(-64.0)),
        }
    }

    fn value(&self, now: Time) -> u8 {
        let open = self.diode == Diode::Open;
        match (self.family, self.pointer) {
            (Family::Tmp42x, register @ 0x01..=0x03) => self.remote(now, register - 1)[0],
            (Family::Tmp42x, register @ 0x11..=0x13) => self.remote(now, register - 0x11)[1] | u8::from(open),
            (Family::Tmp42x, 0x09) | (Family::Tmp451 | Family::Adt7461, 0x03) => self.configuration,
            (Family::Tmp42x, 0x10) | (Family::Tmp451, 0x15) => self.code(now, self.local)[1],
            (Family::Tmp42x, 0xff) => 0x23,
            (Family::Tmp42x | Family::Tmp451, 0xfe) => 0x55,
            (_, 0x00) => self.code(now, self.local)[0],
            (_, 0x01) => self.remote(now, 0)[0],
            (Family::Tmp451, 0x10) => self.remote(now, 0)[1],
            // A quarter of a degree.
            (Family::Adt7461, 0x10) => self.remote(now, 0)[1] & 0xc0,
            (Family::Tmp451 | Family::Adt7461, 0x02) => u8::from(open) << 2,
            (Family::Adt7461, 0xfe) => 0x41,
            (Family::Adt7461, 0xff) => 0x57,
            _ => 0,
        }
    }
}

impl Target for Tmp451 {
    fn write(&mut self, now: Time, bytes: &[u8]) {
        if let Some(pointer) = bytes.first() {
            self.pointer = *pointer;
        }
        if let [0x09, configuration, ..] = bytes {
            if now >= self.ready {
                self.converted = self.configuration;
            }
            self.configuration = *configuration;
            self.ready = now + CONVERSION;
        }
    }

    fn read(&mut self, now: Time, buffer: &mut [u8]) {
        buffer.fill(self.value(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(t: &mut Tmp451, now: Time, register: u8) -> u8 {
        let mut b = [0];
        t.write(now, &[register]);
        t.read(now, &mut b);
        b[0]
    }

    #[test]
    fn the_standard_range_ends_at_0_and_127_and_the_other_holds_after_a_conversion() {
        let mut t = Tmp451 { remote: [Celsius(-20.0); 3], ..Tmp451::new(Family::Tmp451) };
        assert_eq!(get(&mut t, Time::ZERO, 0x01), 0);
        t.remote[0] = Celsius(140.5);
        assert_eq!(get(&mut t, Time::ZERO, 0x01), 0x7f);
        t.write(Time::ZERO, &[0x09, 0x04]);
        assert_eq!(get(&mut t, Time::from_millis(10), 0x01), 0x7f, "still the old one");
        assert_eq!(get(&mut t, Time::from_millis(70), 0x01), 0xcc);
        assert_eq!(get(&mut t, Time::from_millis(70), 0x10), 0x80);
    }

    #[test]
    fn an_open_diode_shows_where_the_family_shows_it() {
        let mut t = Tmp451 { diode: Diode::Open, ..Tmp451::new(Family::Adt7461) };
        assert_eq!(get(&mut t, Time::ZERO, 0x02), 0x04);
        let mut t = Tmp451 { diode: Diode::Open, ..Tmp451::new(Family::Tmp42x) };
        assert_eq!(get(&mut t, Time::ZERO, 0x11) & 1, 1);
        assert_eq!(get(&mut t, Time::ZERO, 0x01), 0xc0, "-64 °C in two's complement");
    }
}
