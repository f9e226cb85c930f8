//! The tasks of a running stand-in, so that all of them end with it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::{AbortHandle, JoinSet};

/// Tasks that are aborted together.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Set>);

#[derive(Debug, Default)]
struct Set {
    tasks: JoinSet<()>,
    stopped: bool,
}

impl Tasks {
    /// Spawns a task; one that is spawned after the end is aborted at once.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.tasks.try_join_next().is_some() {}
        let handle = set.tasks.spawn(task);
        if set.stopped {
            handle.abort();
        }
        handle
    }

    /// Aborts every task.
    pub(crate) fn stop(&self) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.stopped = true;
        set.tasks.abort_all();
    }
}
