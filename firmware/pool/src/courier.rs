//! Between a pool and its node: templates in, blocks out, and no block lost on the way.
//!
//! A block is journalled (fsynced) before it is sent and sent again until the node has answered; it counts once the node's tip is
//! its hash. Calls block as the node's do. Deliberately without a thread or a clock: `server` gives it both, and a simulation none.

use std::sync::{Arc, Mutex, PoisonError};

use model::Hash;

use crate::{
    journal::{Journal, JournalError},
    node::{Answer, Node, NodeError},
    solo::BlockFound,
    template::Template,
};

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is the tip of the node's chain.
    Tip(BlockFound),
    /// The node took it, but another block is its tip.
    NotTip(BlockFound),
    /// The node refused it, in these words.
    Refused(BlockFound, String),
    /// The node gave no answer: it is kept and sent again.
    Waiting(BlockFound, String),
}

/// The way to the disk, for who finds blocks and for who sends them. A found block must not wait in memory for a node that is
/// slow to answer something else: whoever finds it keeps it first.
#[derive(Clone, Default)]
pub struct Outbox(Option<Arc<Mutex<Journal>>>);

impl Outbox {
    /// Keeps a block. When this returns it is on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self, block: &BlockFound) -> Result<(), JournalError> {
        self.with(|journal| journal.found(block))
    }

    fn answered(&self, hash: Hash) -> Result<(), JournalError> {
        self.with(|journal| journal.answered(hash))
    }

    fn with(&self, act: impl FnOnce(&mut Journal) -> Result<(), JournalError>) -> Result<(), JournalError> {
        // A panic in another holder leaves the list at worst one block behind the file.
        self.0.as_ref().map_or(Ok(()), |journal| act(&mut journal.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Carries blocks to a node and templates back.
pub struct Courier {
    node: Box<dyn Node>,
    outbox: Outbox,
    waiting: Vec<BlockFound>,
}

impl Courier {
    /// With a journal, blocks that nobody answered before the restart are waiting again. Without one (a practice chain that
    /// itself forgets) nothing outlives the process.
    #[must_use]
    pub fn new(node: Box<dyn Node>, journal: Option<Journal>) -> Courier {
        let waiting = journal.as_ref().map(|j| j.waiting().to_vec()).unwrap_or_default();
        Courier { node, outbox: Outbox(journal.map(|j| Arc::new(Mutex::new(j)))), waiting }
    }

    /// Where found blocks are kept.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// The node.
    pub fn node(&mut self) -> &mut dyn Node {
        self.node.as_mut()
    }

    /// Fetches a template.
    ///
    /// # Errors
    /// The node's.
    pub fn template(&mut self) -> Result<Template, NodeError> {
        self.node.template(None)
    }

    /// Whether any block is still without an answer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Keeps a block and sends it. The disk's refusal is returned beside: the block is sent all the same, since a block that
    /// may be lost later is better than one that is lost now.
    pub fn deliver(&mut self, block: BlockFound) -> (Delivery, Option<JournalError>) {
        let kept = self.outbox.keep(&block).err();
        let (delivery, forgotten) = self.deliver_kept(block);
        (delivery, kept.or(forgotten))
    }

    /// Sends a block that is on disk already.
    pub fn deliver_kept(&mut self, block: BlockFound) -> (Delivery, Option<JournalError>) {
        self.waiting.push(block.clone());
        self.send(block)
    }

    /// Sends every block again that has no answer yet.
    pub fn deliver_again(&mut self) -> Vec<Delivery> {
        let blocks = self.waiting.clone();
        blocks.into_iter().map(|b| self.send(b).0).collect()
    }

    fn send(&mut self, block: BlockFound) -> (Delivery, Option<JournalError>) {
        let answered = self.node.submit(&block.hex).and_then(|answer| Ok((answer, self.node.tip()?)));
        let (answer, tip) = match answered {
            Ok(both) => both,
            Err(e) => return (Delivery::Waiting(block, e.to_string()), None),
        };
        self.waiting.retain(|b| b.hash != block.hash);
        let forgotten = self.outbox.answered(block.hash).err();
        // The tip outweighs the words: a block sent twice is 'refused' as known by some nodes.
        let is_tip = |tip: Hash| tip == block.hash;
        let delivery = match answer {
            _ if is_tip(tip) => Delivery::Tip(block),
            Answer::Taken => Delivery::NotTip(block),
            Answer::Refused(why) => Delivery::Refused(block, why),
        };
        (delivery, forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    /// A node that answers as it is told and remembers what it was sent.
    #[derive(Default)]
    struct Scripted {
        answers: VecDeque<Option<Answer>>,
        tip: Hash,
        sent: Arc<Mutex<Vec<String>>>,
    }

    impl Node for Scripted {
        fn template(&mut self, _: Option<&str>) -> Result<Template, NodeError> {
            Err(NodeError::Protocol { attempt: "ask".into(), what: "no template".into() })
        }
        fn submit(&mut self, block_hex: &str) -> Result<Answer, NodeError> {
            self.sent.lock().expect("one thread").push(block_hex.to_owned());
            let silent = || NodeError::Protocol { attempt: "submit".into(), what: "silence".into() };
            self.answers.pop_front().flatten().ok_or_else(silent)
        }
        fn tip(&mut self) -> Result<Hash, NodeError> {
            Ok(self.tip)
        }
    }

    fn block(n: u8) -> BlockFound {
        BlockFound { hex: crate::hex::encode(&[n; 100]), hash: Hash([n; 32]), height: u32::from(n) }
    }

    #[test]
    fn a_block_is_sent_until_it_is_answered_even_after_a_restart() {
        let folder = std::env::temp_dir().join(format!("otedama-courier-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let silent = Scripted { sent: Arc::clone(&sent), ..Scripted::default() };
        let mut c = Courier::new(Box::new(silent), Some(Journal::open(&folder).expect("open")));
        let (delivery, trouble) = c.deliver(block(1));
        assert!(matches!(delivery, Delivery::Waiting(..)) && trouble.is_none(), "{delivery:?}");
        assert!(c.is_waiting());
        assert!(matches!(c.deliver_again().as_slice(), [Delivery::Waiting(..)]));
        drop(c); // the power fails

        let answers = VecDeque::from([None, Some(Answer::Taken)]);
        let back = Scripted { answers, tip: block(1).hash, sent: Arc::clone(&sent) };
        let mut c = Courier::new(Box::new(back), Some(Journal::open(&folder).expect("open")));
        assert!(matches!(c.deliver_again().as_slice(), [Delivery::Waiting(..)]));
        assert_eq!(c.deliver_again(), [Delivery::Tip(block(1))]);
        assert_eq!(c.deliver_again(), []);
        assert_eq!(*sent.lock().expect("one thread"), vec![block(1).hex; 4]);
        drop(c);
        assert!(Journal::open(&folder).expect("open").waiting().is_empty());
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn only_the_tip_is_success() {
        let answers = VecDeque::from([
            Some(Answer::Taken),
            Some(Answer::Refused("high-hash".into())),
            Some(Answer::Refused("known".into())),
        ]);
        let mut c = Courier::new(Box::new(Scripted { answers, tip: block(3).hash, ..Scripted::default() }), None);
        assert_eq!(c.deliver(block(1)).0, Delivery::NotTip(block(1)));
        assert_eq!(c.deliver(block(2)).0, Delivery::Refused(block(2), "high-hash".into()));
        assert_eq!(c.deliver(block(3)).0, Delivery::Tip(block(3)));
        assert!(!c.is_waiting());
    }
}
