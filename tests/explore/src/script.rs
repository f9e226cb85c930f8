//! What happens to the calls of one invocation.
//!
//! An invocation is a function of its event and of the answers that it gets. So one that has been stopped half-way is
//! kept as the answers that it had, and goes on by being run again: those are given again, and what it calls then is
//! real.

use std::any::Any;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use spillway_aws::error::ApiError;

/// An answer that a call got, of whatever type.
#[derive(Clone, Debug)]
pub struct Answer {
    value: Arc<dyn Any + Send + Sync>,
    fingerprint: u64,
}

impl Answer {
    fn new<T: Clone + Debug + Send + Sync + 'static>(answer: &Result<T, ApiError>) -> Self {
        let mut hasher = DefaultHasher::new();
        format!("{answer:?}").hash(&mut hasher);
        Self { value: Arc::new(answer.clone()), fingerprint: hasher.finish() }
    }

    fn get<T: Clone + 'static>(&self) -> Result<T, ApiError> {
        self.value.downcast_ref::<Result<T, ApiError>>().expect("the same calls in the same order").clone()
    }
}

impl Hash for Answer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// What one call runs into.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// It is turned away for now.
    Throttled,
    /// It is refused for good.
    Refused,
    /// It fails with this error, and nothing has happened; whether the same may well succeed a moment later.
    Named(&'static str, bool),
    /// It does what it should, and its answer is lost.
    AnswerLost,
    /// It is accepted, and does nothing; and a read tells what was there before the last write.
    Ignored,
}

/// The script of one run.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Answers that were had before.
    pub had: Vec<Answer>,
    /// The call, counted from 0, that runs into a fault.
    pub fault: Option<(usize, Fault)>,
    /// So many writes happen, and the invocation stops right before the next; `None`: it runs to its end.
    pub writes: Option<usize>,
    /// Whether it stops before its first call.
    pub unbegun: bool,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The API operation.
    pub operation: &'static str,
    /// Whether it changes something.
    pub writes: bool,
}

/// A run under way.
#[derive(Debug, Default)]
pub struct Run {
    script: Script,
    /// Every answer so far.
    pub had: Vec<Answer>,
    /// Every call so far.
    pub calls: Vec<Call>,
    written: usize,
    stopped: bool,
}

impl Run {
    /// Begins.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self { stopped: script.unbegun, script, ..Self::default() }
    }

    /// Makes a call; nothing when the invocation is stopped. `nothing` is the answer of one that was accepted and ignored.
    pub fn call<T, F>(
        &mut self,
        operation: &'static str,
        subject: &str,
        writes: bool,
        nothing: Option<T>,
        effect: F,
    ) -> Option<Result<T, ApiError>>
    where
        T: Clone + Debug + Send + Sync + 'static,
        F: FnOnce() -> Result<T, ApiError>,
    {
        let index = self.had.len();
        if self.stopped {
            return None;
        }
        if let Some(before) = self.script.had.get(index) {
            self.had.push(before.clone());
            self.calls.push(Call { operation, writes });
            return Some(before.get());
        }
        if writes {
            if self.script.writes.is_some_and(|most| self.written >= most) {
                self.stopped = true;
                return None;
            }
            self.written += 1;
        }
        let error = |code: &str, transient| {
            Err(ApiError {
                operation,
                subject: subject.to_owned(),
                code: code.to_owned(),
                message: "as explored".to_owned(),
                transient,
            })
        };
        let answer = match self.script.fault.filter(|(at, _)| *at == index).map(|(_, fault)| fault) {
            None => effect(),
            Some(Fault::Throttled) => error("Throttling", true),
            Some(Fault::Refused) => error("AccessDenied", false),
            Some(Fault::Named(code, transient)) => error(code, transient),
            Some(Fault::Ignored) => nothing.map_or_else(effect, Ok),
            Some(Fault::AnswerLost) => effect().and_then(|_| error("Timeout", true)),
        };
        self.had.push(Answer::new(&answer));
        self.calls.push(Call { operation, writes });
        Some(answer)
    }
}
