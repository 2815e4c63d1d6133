//! The latest status, for any number of readers.
//!
//! A reader takes a reference to a whole snapshot, so the one who publishes never waits for a slow client. Not a queue: a
//! status that nobody looked at is gone, and that is right.

use std::sync::{Arc, PoisonError, RwLock};

use model::Status;

/// Holds the latest [`Status`]; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<RwLock<Arc<Status>>>);

impl Shared {
    /// A holder whose first readers see `first`.
    #[must_use]
    pub fn new(first: Status) -> Shared {
        Shared(Arc::new(RwLock::new(Arc::new(first))))
    }

    /// Replaces what readers see.
    pub fn publish(&self, status: Status) {
        // A poisoned lock still holds a whole snapshot: an `Arc` is replaced at once or not at all.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(status);
    }

    /// The latest snapshot.
    #[must_use]
    pub fn latest(&self) -> Arc<Status> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
