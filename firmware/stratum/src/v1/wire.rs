//! One line of Stratum v1: its limits, its three shapes, and the hex that it carries.
//!
//! A line's length and depth are checked before the JSON parser sees it. Ids and difficulties keep the very text they came
//! with: an id is echoed as it came, a difficulty of 2^-18 is read exactly. Not here: what a message means.

use model::{Difficulty, DifficultyError, Hash};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Longest line from a miner, bytes. A submit is below 300.
pub const SERVER_LINE_LIMIT: usize = 8 * 1024;
/// Longest line from a pool, bytes: a notify carries the whole coinbase in hex.
pub const CLIENT_LINE_LIMIT: usize = 64 * 1024;
/// Deepest nesting. The deepest real message is a subscribe's answer, 4.
pub const DEPTH_LIMIT: usize = 8;
/// Longest id, bytes: each waits in memory until its answer.
pub const ID_LIMIT: usize = 64;
/// Longest name of a job or a method, bytes.
pub const NAME_LIMIT: usize = 128;
/// Most characters that are kept of text meant for people.
pub const TEXT_LIMIT: usize = 200;
/// Version bits that miners may roll (BIP 320).
pub const ROLLABLE_VERSION_BITS: u32 = 0x1fff_e000;

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More bytes than a line may have.
    #[error("a line of {got} bytes (limit {limit})")]
    TooLong {
        /// Its bytes.
        got: usize,
        /// What it may have.
        limit: usize,
    },
    /// Nested too deeply.
    #[error("JSON nested more than {DEPTH_LIMIT} deep")]
    Depth,
    /// Not JSON, or not an object of the fields that Stratum knows.
    #[error("not a Stratum message: {0}")]
    Json(String),
    /// Neither a request nor an answer.
    #[error("a message without a method or a result")]
    Shape,
    /// An id or a method's name that is too long.
    #[error("an id or a method's name of {0} bytes")]
    Name(usize),
}

/// The id of a request: any JSON, echoed byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// The id of an answer to something that had none.
    #[must_use]
    pub fn null() -> Id {
        Id("null".to_owned())
    }
    /// As a number of ours; some pools echo it as text.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.trim_matches('"').parse().ok()
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parameters of a request, each still as its text.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<Box<RawValue>>);

impl Params {
    /// The parameter at `at` as a `T`; `None` where it is missing or of another kind.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, at: usize) -> Option<T> {
        serde_json::from_str(self.0.get(at)?.get()).ok()
    }
    /// The parameter at `at` as it was written.
    #[must_use]
    pub fn raw(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(|p| p.get())
    }
    /// The string at `at` if it is not longer than `limit` bytes.
    #[must_use]
    pub fn text(&self, at: usize, limit: usize) -> Option<String> {
        self.get::<String>(at).filter(|t| t.len() <= limit)
    }
    /// The difficulty at `at`, a number or a number within a string.
    ///
    /// # Errors
    /// Missing, zero, negative or no number.
    pub fn difficulty(&self, at: usize) -> Result<Difficulty, DifficultyError> {
        difficulty(self.raw(at).unwrap_or(""))
    }
    /// The 32-bit number in hex at `at`.
    #[must_use]
    pub fn hex_u32(&self, at: usize) -> Option<u32> {
        hex_u32(&self.get::<String>(at)?)
    }
}

/// An error that the other side answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerError {
    /// Stratum's number for it, 20 where none was given.
    pub code: i64,
    /// In its words, shortened.
    pub text: String,
}

/// One message.
#[derive(Clone, Debug)]
pub enum Message {
    /// It wants an answer. A null id makes a [`Message::Notification`].
    Request {
        /// To be echoed.
        id: Id,
        /// What is asked.
        method: String,
        /// With what.
        params: Params,
    },
    /// It wants none.
    Notification {
        /// What is told.
        method: String,
        /// With what.
        params: Params,
    },
    /// The answer to a request.
    Response {
        /// Of the request.
        id: Id,
        /// What came of it, as its text; `null` where it is missing.
        result: String,
        /// Why nothing came of it.
        error: Option<PeerError>,
    },
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<Box<RawValue>>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

/// Reads one line. A line's end may be there or not.
///
/// # Errors
/// The first limit that is broken, or what is not a message.
pub fn parse(line: &[u8], limit: usize) -> Result<Message, WireError> {
    let line = line.trim_ascii();
    if line.len() > limit {
        return Err(WireError::TooLong { got: line.len(), limit });
    }
    if depth(line) > DEPTH_LIMIT {
        return Err(WireError::Depth);
    }
    if line.contains(&b'\n') {
        return Err(WireError::Json("a line break within".to_owned()));
    }
    let e: Envelope = serde_json::from_slice(line).map_err(|e| WireError::Json(shorten(&e.to_string())))?;
    let id = e.id.map(|id| Id(id.get().to_owned()));
    let longest = id.as_ref().map_or(0, |id| id.0.len()).max(e.method.as_ref().map_or(0, String::len) / 2);
    if longest > ID_LIMIT {
        return Err(WireError::Name(longest));
    }
    if let Some(method) = e.method {
        // Parameters that are no list are read as none: the method then misses what it needs and says so.
        let params = e.params.and_then(|p| serde_json::from_str(p.get()).ok()).map(Params).unwrap_or_default();
        return Ok(match id {
            Some(id) => Message::Request { id, method, params },
            None => Message::Notification { method, params },
        });
    }
    let error = e.error.and_then(|e| peer_error(e.get()));
    match (e.result, id) {
        (Some(r), id) => Ok(Message::Response { id: id.unwrap_or_else(Id::null), result: r.get().to_owned(), error }),
        (None, Some(id)) => Ok(Message::Response { id, result: "null".to_owned(), error }),
        (None, None) if error.is_some() => Ok(Message::Response { id: Id::null(), result: "null".to_owned(), error }),
        (None, None) => Err(WireError::Shape),
    }
}

/// Pools write errors as `[code, text, …]`, as `{code, message}` or as bare text.
fn peer_error(raw: &str) -> Option<PeerError> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(raw).ok()?;
    let (code, text) = match &value {
        Value::Null | Value::Bool(false) => return None,
        Value::Array(a) => (a.first(), a.get(1)),
        Value::Object(o) => (o.get("code"), o.get("message")),
        other => (None, Some(other)),
    };
    let code = code.and_then(Value::as_i64).unwrap_or(20);
    let text = text.map_or_else(String::new, |t| t.as_str().map_or_else(|| t.to_string(), str::to_owned));
    Some(PeerError { code, text: shorten(&text) })
}

/// How deep brackets are nested, text within quotes left out.
fn depth(line: &[u8]) -> usize {
    let (mut now, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for b in line {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Text for people: at most [`TEXT_LIMIT`] characters, none that moves a cursor.
#[must_use]
pub fn shorten(text: &str) -> String {
    text.chars().take(TEXT_LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Reads a difficulty from JSON text: exactly where it fits, else the next higher one that does (pools compute in f64 and write
/// all 17 digits of it); higher, so that what meets it meets the pool's.
///
/// # Errors
/// Zero, negative, no number, or above 2^63.
pub fn difficulty(raw: &str) -> Result<Difficulty, DifficultyError> {
    let text = raw.trim_matches('"');
    let refused = match Difficulty::from_decimal(text) {
        Err(e @ DifficultyError::Text(_)) => e,
        exact => return exact,
    };
    match text.parse::<f64>() {
        Ok(d) if d <= 0.0 => Err(DifficultyError::Zero),
        Ok(d) if (1e-15..9.2e18).contains(&d) => {
            // The widest power of two that keeps the numerator below 2^63; multiplying by it is exact in f64.
            let twos = (0..63).rev().find(|t| d * (1u64 << t) as f64 <= 9.2e18).unwrap_or(0);
            Difficulty::new((d * (1u64 << twos) as f64).ceil() as u64, 1 << twos)
        }
        _ => Err(refused),
    }
}

/// Lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes of hex in either case; `None` for an odd length or another character.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// A 32-bit number of one to eight hex digits.
#[must_use]
pub fn hex_u32(text: &str) -> Option<u32> {
    let good = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if good { u32::from_str_radix(text, 16).ok() } else { None }
}

/// 32 bytes of hex as they stand.
#[must_use]
pub fn hex_hash(text: &str) -> Option<Hash> {
    Some(Hash(from_hex(text)?.try_into().ok()?))
}

/// Stratum sends the previous block as eight words, each byte-swapped. The same swap leads there and back.
#[must_use]
pub fn swap_words(hash: Hash) -> Hash {
    let mut b = hash.0;
    b.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
    Hash(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_shapes_are_told_apart_and_ids_keep_their_text() {
        for id in ["4", "\"a b\"", "12345678901234567890123", "1.50", "[1, 2]", "{\"a\": 1}", "false"] {
            let line = format!("{{\"id\":{id},\"method\":\"m\",\"params\":[1]}}\r\n");
            let Ok(Message::Request { id: got, method, params }) = parse(line.as_bytes(), 99) else { panic!("{line}") };
            assert_eq!((got.to_string().as_str(), method.as_str(), params.raw(0)), (id, "m", Some("1")));
        }
        assert!(matches!(parse(br#"{"id":null,"method":"m"}"#, 99), Ok(Message::Notification { .. })));
        assert!(matches!(parse(br#"{"id":1,"result":true,"error":null}"#, 99), Ok(Message::Response { error: None, .. })));
        assert!(matches!(parse(b"{}", 99), Err(WireError::Shape)));
    }

    #[test]
    fn errors_are_read_in_all_their_forms() {
        for (raw, code, text) in [
            (r#"[21,"Job not found",null]"#, 21, "Job not found"),
            (r#"{"code":23,"message":"low"}"#, 23, "low"),
            (r#""no""#, 20, "no"),
            ("[]", 20, ""),
        ] {
            assert_eq!(peer_error(raw), Some(PeerError { code, text: text.to_owned() }), "{raw}");
        }
        assert_eq!(peer_error("null"), None);
        assert_eq!(peer_error(&format!("\"{}\"", "é".repeat(500))).map(|e| e.text.chars().count()), Some(TEXT_LIMIT));
    }

    #[test]
    fn limits_hold_before_the_parser() {
        assert!(matches!(parse(&[b'x'; 100], 99), Err(WireError::TooLong { got: 100, limit: 99 })));
        let nested = |n| format!("{{\"method\":\"m\",\"params\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(DEPTH_LIMIT - 1).as_bytes(), 999).is_ok());
        assert!(matches!(parse(nested(DEPTH_LIMIT).as_bytes(), 999), Err(WireError::Depth)));
        assert!(matches!(parse(&[b'['; 60_000], CLIENT_LINE_LIMIT), Err(WireError::Depth)));
        assert!(parse(br#"{"method":"[[[[[[[[[[[[\"[[[["}"#, 99).is_ok());
        let id = format!("{{\"id\":\"{}\",\"method\":\"m\"}}", "i".repeat(ID_LIMIT));
        assert!(matches!(parse(id.as_bytes(), 999), Err(WireError::Name(_))));
    }

    #[test]
    fn difficulties_are_exact_or_rounded_up() {
        assert_eq!(difficulty("0.000003814697265625"), Ok(Difficulty::power_of_two(-18)));
        assert_eq!(difficulty("\"1024\""), Ok(Difficulty::power_of_two(10)));
        let odd = difficulty("3.8146972656251234e-06").expect("an f64");
        assert!((odd.to_f64() / 3.814_697_265_625_123e-6 - 1.0).abs() < 1e-12);
        assert!(odd.to_target_bdiff() <= Difficulty::power_of_two(-18).to_target_bdiff());
        for bad in ["0", "0.0", "-1", "-0.5", "1e400", "\"nan\"", "null", "", "[]", "1e30", "inf", "-inf"] {
            assert!(difficulty(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_is_strict() {
        assert_eq!(from_hex("00fFa5"), Some(vec![0, 255, 0xa5]));
        for bad in ["0", "0g", "+1", " 0", "é"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
        assert_eq!(hex_u32("1d00ffff"), Some(0x1d00_ffff));
        for bad in ["", "+1", "123456789", "0x1"] {
            assert_eq!(hex_u32(bad), None, "{bad}");
        }
    }
}
