//! What can happen.

use spillway_core::slot::Slot;

use crate::machines::MachineName;
use crate::script::Fault;

/// One way for things to go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The next step of an execution, by its number; and how that goes.
    Step(usize, String, Way),
    /// An invocation that nobody waits for goes on to its next change, or to its end.
    GoesOn(&'static str),
    /// Time passes, in seconds.
    Passes(i64),
    /// A guard comes for nothing.
    Guard,
    /// A guard comes since an execution has ended.
    Told(usize),
    /// A guard comes by the schedule.
    Scheduled,
    /// What always happens there.
    Fated(usize, &'static str, Happening),
    /// The second execution comes.
    Second,
    /// An execution is stopped.
    Stopped(usize),
    /// An execution is redriven.
    Redriven(usize),
    /// A stranger gives a group of their own some weight in a route.
    Stranger,
    /// A stranger deletes a route.
    RouteDeleted,
    /// Someone else's name is written into the lease.
    LeaseTaken,
    /// A name that is no execution's is written into the lease.
    LeaseScribbled,
    /// The owner is taken out of the lease.
    LeaseVacated,
    /// Someone has held it, and given it back.
    LeaseReturned,
    /// The whole lease is deleted.
    LeaseDeleted,
    /// What is no end of a lease is written over its end.
    LeaseEnded(&'static str),
    /// The lease's fence is raised, and nothing else.
    LeaseFenced,
    /// Someone takes the fence out of the lease.
    LeaseUnfenced,
    /// A freeze begins.
    Frozen,
    /// A freeze of all services begins.
    AllFrozen,
    /// Someone else's name is written into the place in the queue.
    QueueTaken,
    /// A slot's tasks fail their health checks from now on.
    Dies(&'static str),
    /// An operator's word.
    Command(&'static str),
    /// An operator approves what waits for that.
    Approved,
}

/// Something that always happens, the first time that an execution of this machine is at this state.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The machine.
    pub machine: MachineName,
    /// The state.
    pub state: &'static str,
    /// What happens.
    pub happens: Happening,
}

/// What always happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Happening {
    /// The state's step goes this way.
    Goes(Way),
    /// The state's step goes well, and takes so many seconds.
    Slow(i64),
    /// The execution, which waits there, is stopped.
    Stopped,
    /// The execution that has been stopped is redriven.
    Redriven,
    /// So many seconds pass while the execution waits there.
    Passes(i64),
    /// The second execution comes.
    Second,
    /// A third release comes.
    Third,
    /// Someone else's name is written into the lease.
    LeaseTaken,
    /// What is no end of a lease is written over its end.
    LeaseEnded(&'static str),
    /// The fence is taken out of the lease.
    LeaseUnfenced,
    /// What is no plan is written over the promoted release's.
    PlanSpoiled,
    /// Someone else's name is written into the place in the queue.
    QueueTaken,
    /// A slot's tasks fail their health checks from now on.
    Dies(Slot),
    /// A slot's tasks pass their health checks again.
    Revives(Slot),
    /// An operator's word.
    Command(&'static str),
}

/// How a step goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As it should.
    Well,
    /// It is turned away once, and nothing has happened.
    TurnedAway,
    /// It fails once with this error, and nothing has happened; whether the same may well succeed a moment later.
    Fails(&'static str, bool),
    /// It is turned away however often it is tried.
    Down,
    /// It happens, and its answer never comes.
    Unanswered,
    /// It does not happen, and no answer comes.
    Silent,
    /// It happens twice.
    Twice,
    /// A call of the function, by its number, runs into a fault.
    Call(usize, Fault),
    /// The function crashes after so many changes.
    Crashes(usize),
    /// The connection to the function is lost after so many changes, and the function goes on or not.
    Disconnected(usize),
    /// The function hangs after so many changes until its task's time is up, and goes on or not.
    Hangs(usize),
    /// The execution is stopped when the function has made so many changes, and that goes on or not.
    StoppedDuring(usize),
}

impl Event {
    /// Whether something goes wrong with it.
    #[must_use]
    pub fn is_adverse(&self) -> bool {
        !matches!(
            self,
            Self::Step(_, _, Way::Well)
                | Self::Passes(_)
                | Self::GoesOn(_)
                | Self::Scheduled
                | Self::Told(_)
                | Self::Approved
                | Self::Fated(..)
        )
    }
}

impl Way {
    /// Whether it may change how a release ends.
    #[must_use]
    pub fn is_grave(self) -> bool {
        match self {
            Self::Well
            | Self::TurnedAway
            | Self::Unanswered
            | Self::Silent
            | Self::Twice
            | Self::Crashes(_)
            | Self::Disconnected(_)
            | Self::Hangs(_) => false,
            Self::Call(_, fault) => matches!(fault, Fault::Refused | Fault::Named(_, false)),
            Self::Fails(_, transient) => !transient,
            Self::Down | Self::StoppedDuring(_) => true,
        }
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(process, state, Way::Well) => write!(f, "{process} {state}"),
            Self::Step(process, state, way) => write!(f, "{process} {state}: {}", way.words()),
            Self::GoesOn(function) => write!(f, "* {function}, which nobody waits for, goes on"),
            Self::Passes(seconds) => write!(f, "  {seconds} s pass"),
            Self::Guard => f.write_str("* a guard comes"),
            Self::Told(process) => write!(f, "  a guard comes since {process} has ended"),
            Self::Scheduled => f.write_str("  a guard comes by the schedule"),
            Self::Second => f.write_str("* the second execution comes"),
            Self::Fated(process, state, happening) => write!(f, "  {process} {state}: as always, {happening}"),
            Self::Stopped(process) => write!(f, "* {process} is stopped"),
            Self::Redriven(process) => write!(f, "* {process} is redriven"),
            Self::Stranger => f.write_str("* a stranger gives another group weight in a route"),
            Self::RouteDeleted => f.write_str("* a stranger deletes a route"),
            Self::LeaseTaken => f.write_str("* someone writes another owner into the lease"),
            Self::LeaseScribbled => f.write_str("* someone scribbles over the owner of the lease"),
            Self::LeaseVacated => f.write_str("* someone takes the owner out of the lease"),
            Self::LeaseReturned => f.write_str("* someone takes the lease, and gives it back"),
            Self::LeaseDeleted => f.write_str("* someone deletes the lease"),
            Self::LeaseEnded(until) => write!(f, "* someone writes {until} over the lease's end"),
            Self::LeaseFenced => f.write_str("* someone raises the lease's fence"),
            Self::LeaseUnfenced => f.write_str("* someone takes the fence out of the lease"),
            Self::Frozen => f.write_str("* a freeze begins"),
            Self::AllFrozen => f.write_str("* a freeze of all services begins"),
            Self::QueueTaken => f.write_str("* someone takes the place in the queue"),
            Self::Dies(slot) => write!(f, "* the tasks of {slot} fail their health checks"),
            Self::Command(word) => write!(f, "* an operator says {word}"),
            Self::Approved => f.write_str("  an operator approves"),
        }
    }
}

impl std::fmt::Display for Happening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Goes(way) => f.write_str(&way.words()),
            Self::Slow(seconds) => write!(f, "it takes {seconds} s"),
            Self::Passes(seconds) => write!(f, "{seconds} s pass"),
            Self::Stopped => f.write_str("it is stopped"),
            Self::Redriven => f.write_str("it is redriven"),
            Self::Second => f.write_str("the second execution comes"),
            Self::Third => f.write_str("a third release comes"),
            Self::LeaseTaken => f.write_str("someone writes another owner into the lease"),
            Self::LeaseEnded(until) => write!(f, "someone writes {until} over the lease's end"),
            Self::LeaseUnfenced => f.write_str("someone takes the fence out of the lease"),
            Self::PlanSpoiled => f.write_str("someone scribbles over the promoted release's plan"),
            Self::QueueTaken => f.write_str("someone takes the place in the queue"),
            Self::Dies(slot) => write!(f, "the tasks of {slot} fail their health checks"),
            Self::Revives(slot) => write!(f, "the tasks of {slot} pass their health checks again"),
            Self::Command(word) => write!(f, "an operator says {word}"),
        }
    }
}

impl Way {
    fn words(self) -> String {
        let after = |changes: usize| match changes {
            0 => "before any change".to_owned(),
            1 => "after one change".to_owned(),
            many => format!("after {many} changes"),
        };
        match self {
            Self::Well => String::new(),
            Self::TurnedAway => "is turned away once".into(),
            Self::Fails(error, _) => format!("fails once with {error}"),
            Self::Down => "is turned away each time".into(),
            Self::Unanswered => "happens, and its answer never comes".into(),
            Self::Silent => "does not happen, and no answer comes".into(),
            Self::Twice => "happens twice".into(),
            Self::Call(call, fault) => format!("call {call}: {fault:?}"),
            Self::Crashes(changes) => format!("crashes {}", after(changes)),
            Self::Disconnected(changes) => format!("the connection is lost {}", after(changes)),
            Self::Hangs(changes) => format!("hangs {}", after(changes)),
            Self::StoppedDuring(changes) => format!("the execution is stopped {}", after(changes)),
        }
    }
}
