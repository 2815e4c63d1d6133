//! What was said: the YAML text as a tree of values, each with the line and column where it stands.
//!
//! A tree rather than derived structures, so that one reading can name every mistake of a file and not only the first.
//! Nothing here knows a key; `meant` does.

use super::Problem;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// Largest settings file. A file for ten devices and sixteen upstreams has 8 KiB; beyond this somebody picked the wrong file.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting. The deepest known key, `mining.asic.devices[].ttys[]`, lies seven levels down.
const MAX_DEPTH: usize = 16;
/// Most values in one file, aliases counted each time they are used: what stops an alias bomb.
const MAX_NODES: usize = 20_000;
/// Most aliases in one file.
const MAX_ALIASES: usize = 64;

/// A place in the file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub line: u64,
    pub column: u64,
}

impl At {
    pub(super) const START: At = At { line: 1, column: 1 };

    pub(super) fn problem(self, what: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, what: what.into() }
    }
}

/// One value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: At,
    pub value: Value,
}

/// A value as YAML understands it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(At, String, Node)>),
}

impl Node {
    /// The entry `key` of a map; `None` where it is absent or empty, which mean the same.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(_, k, _)| k == key).map(|(_, _, n)| n).filter(|n| !matches!(n.value, Value::Null))
    }
}

/// Reads the tree.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_BYTES {
        return Err(At::START.problem(format!("the file has {} bytes; a settings file has at most {MAX_BYTES}", text.len())));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ALIASES,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: MAX_DEPTH,
            max_alias_expansions_per_anchor: MAX_ALIASES,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        // `no` and `yes` are names of people and pools too; only true and false are switches.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|e| {
        let at = e.location().map_or(At::START, |l| At { line: l.line().max(1), column: l.column().max(1) });
        let said = e.to_string();
        // The place is told in front, once.
        let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        at.problem(what.lines().next().unwrap_or("not YAML").to_owned())
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { at: place(&said), value: said.value })
    }
}

fn place<T>(said: &Spanned<T>) -> At {
    At { line: said.referenced.line().max(1), column: said.referenced.column().max(1) }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Whole(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Whole(v.into()))
    }
    fn visit_i128<E>(self, v: i128) -> Result<Value, E> {
        Ok(Value::Whole(v))
    }
    fn visit_u128<E>(self, v: u128) -> Result<Value, E> {
        Ok(Value::Whole(i128::try_from(v).unwrap_or(i128::MAX)))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Fraction(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element::<Node>()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let at = place(&key);
            entries.push((at, key.value, map.next_value::<Node>()?));
        }
        Ok(Value::Map(entries))
    }
}
