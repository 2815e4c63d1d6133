//! The real program from end to end: pools over real TCP, a real node, chains on ptys, signals. One binary for all themes, so that
//! what they share is built once; each test is a process of its own under nextest.
//!
//! What takes time is the product's own patience (30 s until a pool that is back is trusted again, 32 s of a chain's protocol),
//! which no test shortens. Not here: decisions in virtual time (`sim`'s tests, `control`'s), one program alone (`serve.rs`).

mod bad_pools;
mod bench;
mod ends;
mod lines;
#[path = "../../../pool/tests/node/mod.rs"]
mod node;
mod node_down;
mod peer;
mod products;
mod real_node;
