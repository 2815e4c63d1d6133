//! What the bytes of a hashboard's EEPROM say about the board.
//!
//! ```text
//! 11 len …  5A at the end   S17 and S19: len counts itself, the 11 and the payload, which is encrypted (XXTEA) [1]
//! 04 11 …                   format 4, key 11: seen on BHB42xxx and BHB56801 [1]
//! 05 11 …                   format 5, key 11: seen on BHB56801, BHB56902 and BHB68xxx [1]
//! 01 41 …                   format 1, key 41: seen on A3HBxxxxx [1]
//! ```
//!
//! A format is not a board: BHB56801 was seen in two of them (DCENT `hashboard_topology`), so none is refused for it, and only a name in
//! clear text says that a board is another. The encrypted payload is left as it is: nothing here needs what is in it. Where a name stands in clear text it is taken, wherever
//! it stands, for the layout around it is known of one family only. The checksum inside the newer forms is not known, so none is
//! checked. [1]: one source (asic.md A11). Not here: reading the part, and what follows from a board of another product.

use super::at24c02::SIZE;

/// First byte of the older form.
const KEYED: u8 = 0x11;
/// How the newer forms begin: their format's version, and that of their key.
const FORMATS: [(u8, u8); 3] = [(0x04, 0x11), (0x05, 0x11), (0x01, 0x41)];
/// Last byte of the older form.
const END: u8 = 0x5a;
/// Payloads that were seen are 72 and 64 bytes; fewer than two words cannot be encrypted so.
const LENGTHS: std::ops::RangeInclusive<u8> = 10..=250;
/// What the maker's board names begin with, and how many digits follow.
const NAMES: [&[u8]; 2] = [b"BHB", b"A3HB"];
const NAME_DIGITS: usize = 5;

/// What a board says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its name, in clear text.
    Named(String),
    /// A board of the S19 or S21 generation, all of whose data are encrypted.
    Keyed {
        /// Version of the form.
        format: u8,
    },
    /// A board of the S17 or S19 generation, whose encrypted part holds the rest.
    Sealed {
        /// Bytes of the encrypted part.
        payload: u8,
    },
    /// Erased: all bytes are the same, ones or zeros.
    Blank,
    /// A form that is not known.
    Unknown {
        /// Its first two bytes.
        preamble: [u8; 2],
    },
    /// The older form, damaged: a length that cannot be, or another last byte.
    Damaged,
}

/// Whether a board is the one that a product has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It says so.
    Fits,
    /// It says that it is another.
    Other,
    /// It does not say what it is.
    Unsaid,
}

impl Identity {
    /// Reads it out of a whole EEPROM.
    #[must_use]
    pub fn of(contents: &[u8; SIZE]) -> Identity {
        let [first, second, ..] = *contents;
        if contents.iter().all(|b| *b == first) && matches!(first, 0x00 | 0xff) {
            return Identity::Blank;
        }
        if let Some(name) = clear_name(contents) {
            return Identity::Named(name);
        }
        match (first, second) {
            form if FORMATS.contains(&form) => Identity::Keyed { format: first },
            (KEYED, length) if LENGTHS.contains(&length) && contents[SIZE - 1] == END => Identity::Sealed { payload: length - 2 },
            (KEYED, _) => Identity::Damaged,
            _ => Identity::Unknown { preamble: [first, second] },
        }
    }

    /// Compares it with the maker's name of the board that a product has, and with those of boards that are the same.
    #[must_use]
    pub fn fits(&self, board: &str, also: &[&str]) -> Match {
        // Names in board data that are not the maker's say nothing about what an EEPROM should hold.
        if !NAMES.iter().any(|n| board.as_bytes().starts_with(n)) {
            return Match::Unsaid;
        }
        match self {
            Identity::Named(name) if name == board || also.contains(&name.as_str()) => Match::Fits,
            Identity::Named(_) => Match::Other,
            _ => Match::Unsaid,
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Named(name) => write!(f, "{name}"),
            Identity::Keyed { format } => write!(f, "an S19 or S21 board, its data encrypted in format {format}"),
            Identity::Sealed { payload } => write!(f, "an S17 or S19 board, {payload} bytes of its data encrypted"),
            Identity::Blank => write!(f, "an erased EEPROM"),
            Identity::Unknown { preamble: [a, b] } => write!(f, "an EEPROM of unknown form (it begins with {a:02x} {b:02x})"),
            Identity::Damaged => write!(f, "an S17 or S19 board with a damaged EEPROM"),
        }
    }
}

fn clear_name(contents: &[u8]) -> Option<String> {
    let named = NAMES.iter().find_map(|n| {
        let mut places = contents.windows(n.len() + NAME_DIGITS);
        places.find(|w| w.starts_with(n) && w[n.len()..].iter().all(u8::is_ascii_digit))
    })?;
    Some(String::from_utf8_lossy(named).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(start: &[u8], last: u8) -> [u8; SIZE] {
        let mut c = [0xff; SIZE];
        c[..start.len()].copy_from_slice(start);
        c[SIZE - 1] = last;
        c
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        let sealed = |length| Identity::of(&contents(&[0x11, length, 0x9c, 0x31], 0x5a));
        assert_eq!(sealed(0x4a), Identity::Sealed { payload: 72 });
        assert_eq!(sealed(0x42), Identity::Sealed { payload: 64 });
        assert_eq!(sealed(0x03), Identity::Damaged);
        assert_eq!(sealed(0xff), Identity::Damaged);
        assert_eq!(Identity::of(&contents(&[0x11, 0x4a], 0x00)), Identity::Damaged);
        for (start, format) in [([0x04, 0x11], 4), ([0x05, 0x11], 5), ([0x01, 0x41], 1)] {
            assert_eq!(Identity::of(&contents(&start, 0xff)), Identity::Keyed { format });
        }
        assert_eq!(Identity::of(&contents(&[0x05, 0x41], 0xff)), Identity::Unknown { preamble: [0x05, 0x41] });
        assert_eq!(Identity::of(&[0xff; SIZE]), Identity::Blank);
        assert_eq!(Identity::of(&[0x00; SIZE]), Identity::Blank);
        assert_eq!(Identity::of(&contents(&[0x7e, 0xff], 0xdb)), Identity::Unknown { preamble: [0x7e, 0xff] });
    }

    #[test]
    fn a_name_in_clear_text_says_more_than_the_form() {
        let named = Identity::of(&contents(b"\x04\x11\x00\x00BHB42601\x00", 0xff));
        assert_eq!(named, Identity::Named("BHB42601".to_owned()));
        let at_the_end: [u8; SIZE] = std::array::from_fn(|i| if i < 248 { 1 } else { b"BHB68603"[i - 248] });
        assert_eq!(Identity::of(&at_the_end), Identity::Named("BHB68603".to_owned()));
        let newest = Identity::of(&contents(b"\x01\x41\x00A3HB70601\x00", 0xff));
        assert_eq!(newest, Identity::Named("A3HB70601".to_owned()));
        assert_eq!(Identity::of(&contents(b"\x04\x11BHB42x01", 0xff)), Identity::Keyed { format: 4 }, "no such name");
    }

    #[test]
    fn a_board_of_another_product_is_told_from_one_that_says_nothing() {
        let named = Identity::Named("BHB42601".to_owned());
        for (identity, board, fits) in [
            (&named, "BHB42601", Match::Fits),
            (&named, "BHB42603", Match::Fits),
            (&named, "BHB56902", Match::Other),
            (&named, "A3HB70601", Match::Other),
            // A format is that of many boards.
            (&Identity::Keyed { format: 4 }, "BHB56801", Match::Unsaid),
            (&Identity::Keyed { format: 5 }, "BHB42601", Match::Unsaid),
            (&Identity::Keyed { format: 1 }, "A3HB70601", Match::Unsaid),
            (&Identity::Sealed { payload: 72 }, "BHB42601", Match::Unsaid),
            (&Identity::Blank, "BHB42601", Match::Unsaid),
            (&Identity::Damaged, "BHB42601", Match::Unsaid),
            (&Identity::Unknown { preamble: [1, 2] }, "BHB42601", Match::Unsaid),
            (&named, "S17 hashboard", Match::Unsaid),
        ] {
            let also: &[&str] = if board == "BHB42603" { &["BHB42621", "BHB42601"] } else { &[] };
            assert_eq!(identity.fits(board, also), fits, "{identity} as {board}");
        }
    }

    #[test]
    fn what_is_shown_names_the_board_or_why_not() {
        let text = Identity::Unknown { preamble: [0x7e, 0x00] }.to_string();
        assert!(text.contains("7e 00"), "{text}");
        assert_eq!(Identity::Named("BHB42601".to_owned()).to_string(), "BHB42601");
    }
}
