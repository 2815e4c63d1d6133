//! The seam to a coin: what a pool asks of a node. Implementors are `rpc::RpcNode` and the simulator's practice chain.
//!
//! Calls block and are few, so that a chain in virtual time can answer them at once; who must not wait calls them from a
//! thread of its own (`server` does). Deliberately not async.

use model::Hash;

use crate::template::{Template, TemplateError};

/// What a node said to a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken. Whether it became the tip is another question.
    Taken,
    /// Refused, in the node's words.
    Refused(String),
}

/// Why a node could not be asked; asking again later may succeed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No connection, or it broke or took too long.
    #[error("{attempt}: {source}")]
    Io {
        /// What was attempted.
        attempt: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It answers something that is not the protocol.
    #[error("{attempt}: {what}")]
    Protocol {
        /// What was attempted.
        attempt: String,
        /// What came instead.
        what: String,
    },
    /// It answers with an error.
    #[error("{attempt}: the node says '{message}' ({code})")]
    Refused {
        /// What was attempted.
        attempt: String,
        /// The node's number of the error.
        code: i64,
        /// Its words.
        message: String,
    },
    /// Its template cannot be mined.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// A coin's node.
pub trait Node: Send {
    /// What to mine now. With the name of an earlier template (`longpoll_id`) a node may wait until there is another one;
    /// one that cannot wait answers at once.
    ///
    /// # Errors
    /// The node cannot be asked, or its template cannot be mined.
    fn template(&mut self, longpoll_id: Option<&str>) -> Result<Template, NodeError>;

    /// Hands in a block. Doing so twice does no harm.
    ///
    /// # Errors
    /// The node gave no answer: hand it in again.
    fn submit(&mut self, block_hex: &str) -> Result<Answer, NodeError>;

    /// The hash of the chain's tip.
    ///
    /// # Errors
    /// The node cannot be asked.
    fn tip(&mut self) -> Result<Hash, NodeError>;

    /// A second line to the same node to wait on for templates, where it offers that.
    fn waiter(&self) -> Option<Box<dyn Node>> {
        None
    }
}
