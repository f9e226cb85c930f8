//! What every task of a stand-in works with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counts::CallLog;
use crate::faults::Faults;
use crate::pool::Pool;
use crate::settings::Settings;
use crate::state::State;
use crate::tasks::Tasks;
use crate::traffic::Traffic;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) traffic: Traffic,
    pub(crate) pool: Arc<Pool>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) calls: CallLog,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        let tasks = Arc::new(Tasks::default());
        Self {
            state: Mutex::new(State::new(&settings)),
            settings,
            faults: Faults::default(),
            traffic: Traffic::default(),
            pool: Arc::new(Pool::new(Arc::clone(&tasks))),
            tasks,
            calls: CallLog::default(),
        }
    }

    /// The state, for as long as it is looked at; never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
