//! The two threads that may wait for a node: one keeps templates fresh and delivers blocks, one sits in the node's long poll.
//!
//! Three ways lead to a new template, whichever is first: the long poll's answer, a look at the tip every [`TIP_EVERY`], and age.
//! All templates come from the one thread, so an old one never follows a new one. Blocks go before everything else.

use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use model::Hash;
use tokio::sync::mpsc;

use crate::{
    courier::{Courier, Delivery, Outbox},
    node::Node,
    solo::BlockFound,
    template::Template,
};

/// How often the tip is looked at where no long poll tells; also how soon an unanswered block is sent again.
pub const TIP_EVERY: Duration = Duration::from_secs(1);
/// Age at which a template is renewed for its fees and its time.
pub const TEMPLATE_AGE: Duration = Duration::from_secs(30);
/// Pause between two long polls, so that a node that never waits is not asked without end.
const LONGPOLL_PAUSE: Duration = Duration::from_millis(200);
/// Pause after a long poll failed.
const LONGPOLL_RETRY: Duration = Duration::from_secs(5);
/// Reports that may wait for the pool: it takes each in microseconds, so a full queue means that it is gone or stuck.
pub const REPORTS_LIMIT: usize = 64;

/// What the node's thread has to say.
#[derive(Debug)]
pub enum Report {
    /// A template, newer than all before.
    Template(Template),
    /// What became of a block.
    Delivery(Delivery),
    /// The node does not answer, or cannot be mined on; said once until it is well again.
    NodeDown(String),
    /// A block that was answered could not be taken off the disk; it is sent again after the next start.
    Journal(String),
}

/// What the node's thread is asked to do.
enum Errand {
    Block(BlockFound),
    Changed,
}

/// The way to the node's thread; the threads end after the last of these is dropped.
#[derive(Clone)]
pub struct Blocks {
    errands: Arc<Sender<Errand>>,
    outbox: Outbox,
}

impl Blocks {
    /// Keeps a block on disk, at once, and orders it to be sent. The node's thread may sit in a call for half a minute; a program
    /// that ends meanwhile must have the block. The queue is unbounded on purpose: at most one comes per previous block.
    pub fn deliver(&self, block: BlockFound, worker: &str) {
        if let Err(e) = self.outbox.keep(&block) {
            // It is sent all the same: better lost later than now.
            tracing::error!(error = %e, hash = %block.hash.to_explorer_hex(), "a found block is not on disk");
        }
        // Said once it is kept, so that the log names no block that a kill could have lost.
        tracing::info!(height = block.height, hash = %block.hash.to_explorer_hex(), worker, "block found");
        if let Err(e) = self.errands.send(Errand::Block(block)) {
            let Errand::Block(block) = e.0 else { return };
            tracing::error!(height = block.height, hash = %block.hash.to_explorer_hex(), block = block.hex, "block not sent: thread ended");
        }
    }
}

/// Starts both threads. Reports end when the node's thread does.
///
/// # Errors
/// The system gives no thread.
pub fn start(mut courier: Courier) -> std::io::Result<(Blocks, mpsc::Receiver<Report>)> {
    let (errands, inbox) = channel();
    let (reports, reported) = mpsc::channel(REPORTS_LIMIT);
    let errands = Arc::new(errands);
    if let Some(waiter) = courier.node().waiter() {
        // Weak, so that a waiter in a long poll does not keep the node's thread alive.
        let errands = Arc::downgrade(&errands);
        thread::Builder::new().name("node-longpoll".into()).spawn(move || wait_for_templates(waiter, &errands))?;
    }
    let outbox = courier.outbox();
    let mut keeper = Keeper { courier, reports, previous: None, fetched: None, down: None };
    thread::Builder::new().name("node".into()).spawn(move || keeper.run(&inbox))?;
    Ok((Blocks { errands, outbox }, reported))
}

fn wait_for_templates(mut node: Box<dyn Node>, errands: &Weak<Sender<Errand>>) {
    let mut name: Option<String> = None;
    loop {
        let pause = match node.template(name.as_deref()) {
            Ok(template) => {
                // The first one only gives the name to wait with.
                if name.is_some() {
                    let Some(errands) = errands.upgrade() else { return };
                    if errands.send(Errand::Changed).is_err() {
                        return;
                    }
                }
                if template.longpoll_id.is_none() {
                    return; // a node without long polls: the look at the tip has to do
                }
                name = template.longpoll_id;
                LONGPOLL_PAUSE
            }
            Err(_) => {
                // The node's thread meets the same trouble and reports it. A name may be void after a restart of the node.
                name = None;
                LONGPOLL_RETRY
            }
        };
        if errands.strong_count() == 0 {
            return;
        }
        thread::sleep(pause);
    }
}

struct Keeper {
    courier: Courier,
    reports: mpsc::Sender<Report>,
    previous: Option<Hash>,
    fetched: Option<Instant>,
    /// Why the node gave no template, as last reported.
    down: Option<String>,
}

/// The pool is gone: the thread ends.
struct Gone;

impl Keeper {
    fn run(&mut self, inbox: &Receiver<Errand>) {
        // Blocks of before the restart go first; any new template is built upon them then.
        let mut going = self.again().and_then(|()| self.refresh(false));
        while going.is_ok() {
            going = match inbox.recv_timeout(TIP_EVERY) {
                Ok(Errand::Block(block)) => self.block(block).and_then(|()| self.refresh(true)),
                Ok(Errand::Changed) => self.refresh(true),
                Err(RecvTimeoutError::Timeout) => self.again().and_then(|()| self.refresh(false)),
                Err(RecvTimeoutError::Disconnected) => return,
            };
        }
    }

    fn report(&self, report: Report) -> Result<(), Gone> {
        self.reports.blocking_send(report).map_err(|_| Gone)
    }

    fn block(&mut self, block: BlockFound) -> Result<(), Gone> {
        let (delivery, trouble) = self.courier.deliver_kept(block);
        if let Some(trouble) = trouble {
            self.report(Report::Journal(trouble.to_string()))?;
        }
        self.report(Report::Delivery(delivery))
    }

    fn again(&mut self) -> Result<(), Gone> {
        for delivery in self.courier.deliver_again() {
            if !matches!(delivery, Delivery::Waiting(..)) {
                self.report(Report::Delivery(delivery))?;
            }
        }
        Ok(())
    }

    fn refresh(&mut self, changed: bool) -> Result<(), Gone> {
        let young = self.fetched.is_some_and(|at| at.elapsed() < TEMPLATE_AGE);
        let template = if changed || !young || self.down.is_some() {
            self.courier.template().map(Some)
        } else {
            let previous = self.previous;
            self.courier
                .node()
                .tip()
                .and_then(|tip| if Some(tip) == previous { Ok(None) } else { self.courier.template().map(Some) })
        };
        match template {
            Ok(None) => Ok(()),
            Ok(Some(template)) => {
                self.down = None;
                self.previous = Some(template.previous);
                self.fetched = Some(Instant::now());
                self.report(Report::Template(template))
            }
            Err(e) => {
                let why = e.to_string();
                // Told again where it is another one: first nobody answers, then a node that still reads its chain.
                if self.down.as_ref() == Some(&why) {
                    return Ok(());
                }
                self.down = Some(why.clone());
                self.report(Report::NodeDown(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::Journal,
        node::{Answer, NodeError},
    };

    /// A node that says nothing until it is let go, and then fails.
    struct Hanging(Receiver<()>);

    impl Node for Hanging {
        fn template(&mut self, _: Option<&str>) -> Result<Template, NodeError> {
            let _ = self.0.recv();
            Err(NodeError::Protocol { attempt: "ask".into(), what: "no template".into() })
        }
        fn submit(&mut self, _: &str) -> Result<Answer, NodeError> {
            let _ = self.0.recv();
            Err(NodeError::Protocol { attempt: "submit".into(), what: "silence".into() })
        }
        fn tip(&mut self) -> Result<Hash, NodeError> {
            Err(NodeError::Protocol { attempt: "ask".into(), what: "no tip".into() })
        }
    }

    #[test]
    fn a_found_block_is_on_disk_while_the_node_hangs() {
        let folder = std::env::temp_dir().join(format!("otedama-keeper-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let (let_go, hanging) = channel();
        let courier = Courier::new(Box::new(Hanging(hanging)), Some(Journal::open(&folder).expect("open")));
        let (blocks, mut reports) = start(courier).expect("threads");
        let block = BlockFound { hex: crate::hex::encode(&[1; 100]), hash: Hash([1; 32]), height: 1 };
        blocks.deliver(block.clone(), "worker");
        assert_eq!(
            Journal::open(&folder).expect("open").waiting(),
            std::slice::from_ref(&block),
            "as a program would find it that ended now"
        );
        // Let go: every call fails at once, and the block stays for later.
        drop(let_go);
        let told = std::iter::from_fn(|| reports.blocking_recv());
        let waiting = |r: Report| matches!(r, Report::Delivery(Delivery::Waiting(b, _)) if b == block);
        assert!(told.take(8).any(waiting), "it is said that the block waits");
        assert_eq!(Journal::open(&folder).expect("open").waiting(), [block]);
        drop(blocks);
        let _ = std::fs::remove_dir_all(&folder);
    }
}
