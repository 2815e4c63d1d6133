//! Hex as coin nodes write it, and hashes as they print them (reversed). Not a general codec: lower case out, either case in.

use model::Hash;

/// Lower-case hex of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

/// The bytes of a hex text; `None` where it is not hex or of odd length.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// A hash from the text that a node or block explorer prints.
#[must_use]
pub fn hash(text: &str) -> Option<Hash> {
    let mut bytes: [u8; 32] = decode(text)?.try_into().ok()?;
    bytes.reverse();
    Some(Hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_and_foreign_characters_are_refused() {
        for bad in ["0", "0g", "é0", "+1", " 1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("00fF"), Some(vec![0, 255]));
        assert_eq!(encode(&[0, 0xa5, 255]), "00a5ff");
        assert_eq!(hash("00"), None);
    }
}
