//! What can happen next.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_asl::interpret::{Failed, Pending, QUERY_EVALUATION_ERROR, Status, TIMEOUT};

use crate::cloud::index;
use crate::invocation::{self, Outcome, Ran, Times};
use crate::machines::{FUNCTION_SECONDS, MachineName, Machines};
use crate::scenario::{Second, Setting};
use crate::script::{Fault, Script};
use crate::universe::{Hang, Invocation, Process, Universe};

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
    /// The second execution of the scenario comes.
    Second,
    /// The same, as it always does.
    Met,
    /// The first execution is stopped, as it always is.
    Died,
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
    /// A slot's tasks fail their health checks from now on.
    Dies(&'static str),
    /// An operator's word.
    Command(&'static str),
    /// An operator approves what waits for that.
    Approved,
}

/// How a step goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As it should.
    Well,
    /// It is turned away once, and nothing has happened.
    TurnedAway,
    /// It is turned away however often it is tried.
    Down,
    /// It happens, and its answer never comes.
    Unanswered,
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

impl Way {
    /// Whether it may change how a release ends.
    fn is_grave(self) -> bool {
        match self {
            Self::Well
            | Self::TurnedAway
            | Self::Unanswered
            | Self::Twice
            | Self::Crashes(_)
            | Self::Disconnected(_)
            | Self::Hangs(_) => false,
            Self::Call(_, fault) => fault == Fault::Refused,
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
            Self::Died => f.write_str("  0 is stopped"),
            Self::Met => f.write_str("  the second execution comes"),
            Self::Stopped(process) => write!(f, "* {process} is stopped"),
            Self::Redriven(process) => write!(f, "* {process} is redriven"),
            Self::Stranger => f.write_str("* a stranger gives another group weight in a route"),
            Self::RouteDeleted => f.write_str("* a stranger deletes a route"),
            Self::LeaseTaken => f.write_str("* someone writes another owner into the lease"),
            Self::Dies(slot) => write!(f, "* the tasks of {slot} fail their health checks"),
            Self::Command(word) => write!(f, "* an operator says {word}"),
            Self::Approved => f.write_str("  an operator approves"),
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
            Self::Down => "is turned away each time".into(),
            Self::Unanswered => "happens, and its answer never comes".into(),
            Self::Twice => "happens twice".into(),
            Self::Call(call, fault) => format!("call {call}: {fault:?}"),
            Self::Crashes(changes) => format!("crashes {}", after(changes)),
            Self::Disconnected(changes) => format!("the connection is lost {}", after(changes)),
            Self::Hangs(changes) => format!("hangs {}", after(changes)),
            Self::StoppedDuring(changes) => format!("the execution is stopped {}", after(changes)),
        }
    }
}

/// What a step was told to do, besides going well.
struct Made {
    result: Result<Value, (String, String)>,
    /// Nobody answers; a token may.
    silent: Option<Hang>,
}

/// Everything that can happen next, and what it leads to. Deterministic, in a fixed order.
#[must_use]
pub fn successors(universe: &Universe, machines: &Machines, setting: &Setting) -> Vec<(Event, Universe)> {
    let mut all = Vec::new();
    let adverse = universe.adversities.count < setting.adversities;
    let mut busy = false;
    for at in 0..universe.executions.len() {
        if universe.executions[at].is_ready(universe.now) {
            busy = true;
            steps(universe, at, machines, setting, adverse, &mut all);
        }
    }
    for at in 0..universe.outliving.len() {
        all.extend(goes_on(universe, at));
    }
    if adverse {
        adversities(universe, machines, setting, &mut all);
    }
    let undone = matches!(setting.second, Some(Second::Undo));
    let met = if undone { Some("promoted") } else { Some("shifting") };
    if !busy
        && setting.dies
        && universe.lease("phase") == Some("shifting")
        && !universe.executions[0].execution.has_ended()
    {
        let mut after = universe.clone();
        let process = Arc::make_mut(&mut after.executions[0]);
        process.execution.abort();
        process.hangs = None;
        all.push((Event::Died, after));
    } else if !busy && setting.meets && !universe.adversities.second && universe.lease("phase") == met {
        let mut after = universe.clone();
        second(&mut after, machines, setting);
        all.push((Event::Met, after));
    } else if !busy {
        // The schedule starts a guard where one is needed. Without need it would change nothing.
        if setting.events {
            // Or not: events can be lost.
            all.extend(ends(universe).map(|at| (Event::Told(at), told(universe, at, machines))));
        }
        if universe.is_orphaned() && !is_guarded(universe) {
            all.push((Event::Scheduled, guard(universe, machines, json!({}))));
        } else if setting.approves && universe.lease("command") == Some("none") && waits_for_people(universe) {
            let mut after = universe.clone();
            crate::scenario::command(&mut after, "approve");
            all.push((Event::Approved, after));
        } else if let Some(next) = passes(universe, machines) {
            all.push(next);
        }
    }
    all
}

fn passes(universe: &Universe, machines: &Machines) -> Option<(Event, Universe)> {
    let next = universe.executions.iter().filter_map(|process| process.wakes_at()).min()?;
    let mut after = universe.clone();
    after.now = next.max(universe.now);
    // What has not gone on by then never does.
    after.outliving.retain(|invocation| invocation.deadline >= after.now);
    let seconds = after.now.duration_since(universe.now).as_secs();
    time_out(&mut after, machines);
    Some((Event::Passes(seconds), after))
}

/// Whether a guard runs. Of several at once it is the first that matters: the others find its recovery.
fn is_guarded(universe: &Universe) -> bool {
    universe.executions.iter().any(|process| process.machine == MachineName::Guard && !process.execution.has_ended())
}

/// Executions whose end nobody has heard of, but for guards.
fn ends(universe: &Universe) -> impl Iterator<Item = usize> {
    let processes = universe.executions.iter().enumerate();
    processes
        .filter(|(_, process)| process.machine != MachineName::Guard && process.execution.has_ended() && !process.told)
        .map(|(at, _)| at)
}

fn told(universe: &Universe, at: usize, machines: &Machines) -> Universe {
    let arn = universe.executions[at].execution.arn.clone();
    let mut after = guard(universe, machines, json!({"detail": {"executionArn": &*arn}}));
    for process in &mut after.executions {
        if process.execution.arn == arn {
            Arc::make_mut(process).told = true;
        }
    }
    after
}

/// Whether a release waits for somebody's approval.
fn waits_for_people(universe: &Universe) -> bool {
    let waits = |variable: Option<&Value>| variable.is_some_and(|value| !value["waiting_since"].is_null());
    universe.executions.iter().any(|process| {
        let execution = &process.execution;
        !execution.has_ended() && (waits(execution.variable("preparation")) || waits(execution.variable("progress")))
    })
}

fn guard(universe: &Universe, machines: &Machines, input: Value) -> Universe {
    let mut after = universe.clone();
    let mut name = 0;
    // One that has ended has no say any more: its place is the new one's.
    let ended = |process: &Arc<Process>| process.machine == MachineName::Guard && process.execution.has_ended();
    after.executions.retain(|process| !ended(process));
    while after.process(&MachineName::Guard.execution(&name.to_string())).is_some() {
        name += 1;
    }
    start(&mut after, machines, MachineName::Guard, &name.to_string(), input);
    after
}

/// Starts an execution.
pub fn start(universe: &mut Universe, machines: &Machines, machine: MachineName, name: &str, input: Value) {
    let execution = machines.program(machine).start(&machine.execution(name), name, input, universe.now);
    let process = Process { machine, execution, ready_at: universe.now, hangs: None, told: false };
    universe.executions.push(Arc::new(process));
}

/// Starts the second execution, which may well change how the first one ends.
pub(crate) fn second(universe: &mut Universe, machines: &Machines, setting: &Setting) {
    universe.adversities.second = true;
    universe.adversities.grave = true;
    match &setting.second {
        None => {}
        Some(Second::Release(input)) => start(universe, machines, MachineName::Release, "second", input.clone()),
        Some(Second::Undo) => {
            start(universe, machines, MachineName::Rollback, "second", json!({"service": "shop"}));
        }
    }
}

fn adversities(universe: &Universe, machines: &Machines, setting: &Setting, all: &mut Vec<(Event, Universe)>) {
    let mut add = |event: Event, grave: bool, change: &mut dyn FnMut(&mut Universe)| {
        let mut after = universe.clone();
        after.adversities.count += 1;
        after.adversities.grave |= grave;
        change(&mut after);
        all.push((event, after));
    };
    if !is_guarded(universe) {
        add(Event::Guard, false, &mut |after| {
            *after = Universe { adversities: after.adversities, ..guard(universe, machines, json!({})) }
        });
    }
    if setting.second.is_some() && !setting.meets && !universe.adversities.second {
        add(Event::Second, true, &mut |after| second(after, machines, setting));
    }
    for (at, process) in universe.executions.iter().enumerate() {
        // Guards that are stopped are guards that never came.
        if process.machine == MachineName::Guard {
            continue;
        }
        match process.execution.status {
            Status::Running => add(Event::Stopped(at), true, &mut |after| {
                let process = Arc::make_mut(&mut after.executions[at]);
                process.execution.abort();
                process.hangs = None;
            }),
            Status::Succeeded { .. } => {}
            _ => add(Event::Redriven(at), true, &mut |after| {
                let (now, process) = (after.now, Arc::make_mut(&mut after.executions[at]));
                machines.program(process.machine).redrive(&mut process.execution, now);
                process.ready_at = now;
            }),
        }
    }
    let planned = universe.lease("owner").is_some() && universe.lease("plan").is_some();
    if setting.strangers && planned {
        add(Event::Stranger, true, &mut |after| crate::scenario::stranger(after));
        add(Event::RouteDeleted, true, &mut crate::scenario::delete_route);
        add(Event::LeaseTaken, true, &mut crate::scenario::take_lease);
    }
    for slot in setting.mortal {
        if planned && universe.cloud.is_healthy(*slot) {
            let name = if index(*slot) == 0 { "blue" } else { "green" };
            add(Event::Dies(name), true, &mut |after| after.cloud.capacity[index(*slot)].dead = true);
        }
    }
    for word in setting.commands {
        if planned && universe.lease("command") == Some("none") {
            add(Event::Command(word), true, &mut |after| crate::scenario::command(after, word));
        }
    }
}

fn goes_on(universe: &Universe, at: usize) -> Option<(Event, Universe)> {
    let Invocation { function, event, had, started, deadline } = &*universe.outliving[at];
    if universe.now > *deadline {
        return None;
    }
    let mut after = universe.clone();
    let begun = !had.is_empty();
    // One that has begun stands right before a change.
    let script = Script { had: had.clone(), writes: Some(usize::from(begun)), ..Script::default() };
    let times = Times { clock: *started, now: universe.now };
    let Ran { outcome, had, .. } = invocation::run(function, event, script, times, &mut after.cloud, &after.table);
    match outcome {
        Outcome::Stopped => Arc::make_mut(&mut after.outliving[at]).had = had,
        _ => drop(after.outliving.remove(at)),
    }
    Some((Event::GoesOn(function), after))
}

/// The next step of an execution, in every way that it can go.
fn steps(
    universe: &Universe,
    at: usize,
    machines: &Machines,
    setting: &Setting,
    adverse: bool,
    all: &mut Vec<(Event, Universe)>,
) {
    let process = &universe.executions[at];
    let program = machines.program(process.machine);
    let event = |way| Event::Step(at, process.execution.state.to_string(), way);
    match program.pending(&process.execution, universe.now) {
        Pending::Ended => {}
        Pending::Wait { .. } => {
            let mut after = universe.clone();
            let process = Arc::make_mut(&mut after.executions[at]);
            program.waited(&mut process.execution, universe.now);
            process.ready_at = universe.now;
            all.push((event(Way::Well), after));
        }
        Pending::Call { resource, arguments, timeout_seconds, .. } => {
            let arguments = match arguments {
                Ok(arguments) => arguments,
                Err(undefined) => {
                    let mut after = universe.clone();
                    let _ = fails(&mut after, at, machines, QUERY_EVALUATION_ERROR, &undefined.to_string());
                    all.push((event(Way::Well), after));
                    return;
                }
            };
            let call = Call { at, resource, arguments: &arguments, timeout_seconds, machines, setting };
            let (well, ran) = call.make(universe, Way::Well);
            all.push((event(Way::Well), well));
            if adverse && setting.faults {
                for way in Call::ways(ran.as_ref()) {
                    let (mut after, _) = call.make(universe, way);
                    after.adversities.count += 1;
                    after.adversities.grave |= way.is_grave();
                    all.push((event(way), after));
                }
            }
        }
    }
}

/// An error of a Task: on to its Retry, its Catch or the end.
fn fails(universe: &mut Universe, at: usize, machines: &Machines, error: &str, cause: &str) -> Failed {
    let now = universe.now;
    let process = Arc::make_mut(&mut universe.executions[at]);
    let (machine, state) = (process.machine, process.execution.state.clone());
    let failed = machines.program(machine).fail(&mut process.execution, error, cause, now);
    if failed == Failed::Caught {
        machines.note(machine, &state, error);
    }
    process.hangs = None;
    process.ready_at = match failed {
        Failed::Retry { after_seconds } => later(now, i64::try_from(after_seconds).unwrap_or(i64::MAX)),
        _ => now,
    };
    failed
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The call of a Task.
struct Call<'a> {
    at: usize,
    resource: &'a str,
    arguments: &'a Value,
    timeout_seconds: Option<u64>,
    machines: &'a Machines,
    setting: &'a Setting,
}

impl Call<'_> {
    fn function(&self) -> Option<&'static str> {
        let name = self.arguments["FunctionName"].as_str()?.strip_prefix("function:")?;
        ["plan-release", "prepare-candidate", "shift-weight", "evaluate-health", "rollback", "teardown"]
            .into_iter()
            .find(|function| *function == name)
    }

    /// Every way in which it can go wrong, given how it goes well.
    fn ways(ran: Option<&Ran>) -> Vec<Way> {
        let mut ways = vec![Way::TurnedAway, Way::Down, Way::Unanswered];
        let Some(ran) = ran else { return ways };
        ways.push(Way::Twice);
        for (at, call) in ran.calls.iter().enumerate() {
            ways.push(Way::Call(at, Fault::Throttled));
            ways.push(Way::Call(at, Fault::Refused));
            if call.writes {
                ways.push(Way::Call(at, Fault::AnswerLost));
            }
            if call.operation == "ModifyRule" {
                ways.push(Way::Call(at, Fault::Ignored));
            }
        }
        let writes = ran.calls.iter().filter(|call| call.writes).count();
        for changes in 0..writes {
            ways.extend([
                Way::Crashes(changes),
                Way::Disconnected(changes),
                Way::Hangs(changes),
                Way::StoppedDuring(changes),
            ]);
        }
        if writes == 0 {
            ways.push(Way::Crashes(0));
        }
        ways
    }

    /// Makes the call, and lets the execution go on from what became of it.
    fn make(&self, universe: &Universe, way: Way) -> (Universe, Option<Ran>) {
        let mut after = universe.clone();
        if let Some(function) = self.function() {
            let ran = self.invoke(&mut after, function, way);
            return (after, Some(ran));
        }
        match way {
            Way::TurnedAway => drop(self.turned_away(&mut after)),
            Way::Down => self.down(&mut after),
            Way::Unanswered => {
                let _ = self.effect(&mut after);
                self.silence(&mut after, Hang::Silence);
            }
            _ => {
                let Made { result, silent } = self.effect(&mut after);
                match (silent, result) {
                    (Some(hang), Ok(_)) => self.silence(&mut after, hang),
                    (_, Ok(result)) => self.succeeds(&mut after, result),
                    (_, Err((error, cause))) => drop(fails(&mut after, self.at, self.machines, &error, &cause)),
                }
            }
        }
        (after, None)
    }

    fn succeeds(&self, universe: &mut Universe, result: Value) {
        let now = universe.now;
        let process = Arc::make_mut(&mut universe.executions[self.at]);
        let (machine, state) = (process.machine, process.execution.state.clone());
        self.machines.weigh(&state, self.arguments);
        self.machines.weigh(&state, &result);
        let failed = self.machines.program(machine).succeed(&mut process.execution, result, now);
        if failed == Some(Failed::Caught) {
            self.machines.note(machine, &state, QUERY_EVALUATION_ERROR);
        }
        process.ready_at = match failed {
            Some(Failed::Retry { after_seconds }) => later(now, i64::try_from(after_seconds).unwrap_or(i64::MAX)),
            _ => now,
        };
    }

    /// Nothing comes until the task's time is up; without any, until the machine's is.
    fn silence(&self, universe: &mut Universe, hang: Hang) {
        let now = universe.now;
        let process = Arc::make_mut(&mut universe.executions[self.at]);
        let deadline = self.machines.program(process.machine).deadline(&process.execution);
        let seconds = self.timeout_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        process.ready_at = seconds.map_or(deadline, |seconds| later(now, seconds));
        process.hangs = Some(hang);
    }

    fn turned_away(&self, universe: &mut Universe) -> Failed {
        let (error, cause) = self.turning_away();
        fails(universe, self.at, self.machines, &error, &cause)
    }

    /// Retries pass as well.
    fn down(&self, universe: &mut Universe) {
        while let Failed::Retry { after_seconds } = self.turned_away(universe) {
            universe.now = later(universe.now, i64::try_from(after_seconds).unwrap_or(i64::MAX));
        }
        let now = universe.now;
        Arc::make_mut(&mut universe.executions[self.at]).ready_at = now;
    }

    fn turning_away(&self) -> (String, String) {
        let error = if self.function().is_some() || self.resource.ends_with("lambda:invoke") {
            "Lambda.TooManyRequestsException"
        } else if self.resource.contains("aws-sdk:dynamodb") {
            "DynamoDb.ProvisionedThroughputExceededException"
        } else if self.resource.contains("dynamodb") {
            "DynamoDB.ProvisionedThroughputExceededException"
        } else if self.resource.contains("aws-sdk:sfn") {
            "Sfn.SfnException"
        } else if self.resource.contains("startExecution") {
            "StepFunctions.StepFunctionsException"
        } else if self.resource.contains("ssm") {
            "Ssm.ThrottlingException"
        } else {
            "SNS.ThrottledException"
        };
        (error.to_owned(), "Rate exceeded".to_owned())
    }
}

impl Call<'_> {
    /// Runs the function, in this way.
    fn invoke(&self, universe: &mut Universe, function: &'static str, way: Way) -> Ran {
        let now = universe.now;
        let mut event = self.arguments["Payload"].clone();
        let deadline = later(now, FUNCTION_SECONDS);
        if let Some(lease) = event.get_mut("lease").and_then(Value::as_object_mut) {
            lease.insert("deadline".to_owned(), deadline.to_string().into());
        }
        let mut script = Script::default();
        match way {
            Way::Call(at, fault) => script.fault = Some((at, fault)),
            Way::Crashes(changes) | Way::Disconnected(changes) | Way::Hangs(changes) | Way::StoppedDuring(changes) => {
                script.writes = Some(changes);
            }
            _ => {}
        }
        let run = |universe: &mut Universe| {
            let times = Times { clock: now, now };
            invocation::run(function, &event, script.clone(), times, &mut universe.cloud, &universe.table)
        };
        if matches!(way, Way::TurnedAway | Way::Down) {
            match way {
                Way::TurnedAway => drop(self.turned_away(universe)),
                _ => self.down(universe),
            }
            return Ran { outcome: Outcome::Stopped, calls: Vec::new(), had: Vec::new() };
        }
        let ran = run(universe);
        match way {
            Way::Twice => {
                let second = run(universe);
                self.answered(universe, &second.outcome);
            }
            Way::Unanswered => self.silence(universe, Hang::Silence),
            Way::Crashes(_) => drop(fails(universe, self.at, self.machines, "Lambda.Unknown", "it exited")),
            Way::Disconnected(_) | Way::Hangs(_) | Way::StoppedDuring(_) => {
                let event = Arc::new(event);
                let had = ran.had.clone();
                universe.outliving.push(Arc::new(Invocation { function, event, had, started: now, deadline }));
                match way {
                    Way::Hangs(_) => self.silence(universe, Hang::Silence),
                    Way::Disconnected(_) => {
                        let _ = fails(universe, self.at, self.machines, "Lambda.SdkClientException", "connection lost");
                    }
                    _ => Arc::make_mut(&mut universe.executions[self.at]).execution.abort(),
                }
            }
            _ => self.answered(universe, &ran.outcome),
        }
        ran
    }

    fn answered(&self, universe: &mut Universe, outcome: &Outcome) {
        match outcome {
            Outcome::Answered(output) => {
                self.succeeds(universe, json!({"Payload": output, "StatusCode": 200}));
            }
            Outcome::Failed(error, cause) => drop(fails(universe, self.at, self.machines, error, cause)),
            Outcome::Stopped => unreachable!("nobody stopped it"),
        }
    }

    /// What a call of another service does.
    fn effect(&self, universe: &mut Universe) -> Made {
        let made = |result| Made { result, silent: None };
        let (callback, resource) = match self.resource.strip_suffix(".waitForTaskToken") {
            Some(resource) => (true, resource),
            None => (false, self.resource),
        };
        let action = resource.rsplit(':').next().unwrap_or_default();
        match resource {
            "arn:aws:states:::dynamodb:updateItem"
            | "arn:aws:states:::dynamodb:getItem"
            | "arn:aws:states:::aws-sdk:dynamodb:updateItem"
            | "arn:aws:states:::aws-sdk:dynamodb:scan" => {
                let prefix = if resource.contains("aws-sdk") { "DynamoDb" } else { "DynamoDB" };
                let answer = universe.table.call(action, self.arguments);
                let silent = callback.then(|| {
                    let waiting = &self.arguments["ExpressionAttributeValues"][":waiting"]["M"];
                    Hang::Token(waiting["token"]["S"].as_str().unwrap_or_default().to_owned())
                });
                let result = answer.map_err(|error| (format!("{prefix}.{}", error.name), error.message));
                Made { result, silent }
            }
            "arn:aws:states:::aws-sdk:ssm:getParameter" => {
                made(Ok(json!({"Parameter": {"Value": self.setting.definition}})))
            }
            "arn:aws:states:::sns:publish" => made(Ok(json!({"MessageId": "1"}))),
            "arn:aws:states:::states:startExecution" => made(self.start_execution(universe)),
            "arn:aws:states:::aws-sdk:sfn:describeExecution" => {
                let arn = self.arguments["ExecutionArn"].as_str().unwrap_or_default();
                made(match universe.process(arn) {
                    None => Err(("Sfn.ExecutionDoesNotExistException".into(), "Execution Does Not Exist".into())),
                    Some(process) => {
                        let status = match process.execution.status {
                            Status::Running => "RUNNING",
                            Status::Succeeded { .. } => "SUCCEEDED",
                            Status::Failed { .. } => "FAILED",
                            Status::Aborted => "ABORTED",
                            Status::TimedOut => "TIMED_OUT",
                        };
                        Ok(json!({"Status": status, "Input": process.execution.input.to_string()}))
                    }
                })
            }
            "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess" => made(self.send(universe)),
            "arn:aws:states:::lambda:invoke" => made(Ok(json!({"Payload": self.setting.hook}))),
            other => panic!("{other} is not known here"),
        }
    }

    fn start_execution(&self, universe: &mut Universe) -> Result<Value, (String, String)> {
        let machine = self.arguments["StateMachineArn"].as_str().unwrap_or_default();
        let machine = MachineName::ALL.into_iter().find(|name| name.arn() == machine).expect("one of ours");
        let input = self.arguments["Input"].clone();
        let name = if let Some(name) = self.arguments["Name"].as_str() {
            name.to_owned()
        } else {
            let number = universe.executions.iter().filter(|process| process.machine == machine).count();
            format!("of-{}-{number}", universe.executions[self.at].execution.name)
        };
        let arn = machine.execution(&name);
        if let Some(process) = universe.process(&arn) {
            let same = !process.execution.has_ended() && *process.execution.input == input;
            let exists = || ("StepFunctions.ExecutionAlreadyExistsException".to_owned(), "it exists".to_owned());
            return if same { Ok(json!({ "ExecutionArn": arn })) } else { Err(exists()) };
        }
        start(universe, self.machines, machine, &name, input);
        Ok(json!({ "ExecutionArn": arn }))
    }

    fn send(&self, universe: &mut Universe) -> Result<Value, (String, String)> {
        let token = self.arguments["TaskToken"].as_str().unwrap_or_default();
        let waits = |process: &Arc<Process>| process.hangs == Some(Hang::Token(token.to_owned()));
        let Some(at) = universe.executions.iter().position(waits) else {
            return Err(("Sfn.TaskTimedOutException".into(), "nobody waits for it".into()));
        };
        let now = universe.now;
        let process = Arc::make_mut(&mut universe.executions[at]);
        process.hangs = None;
        process.ready_at = now;
        let _ = self.machines.program(process.machine).succeed(&mut process.execution, json!({}), now);
        Ok(json!({}))
    }
}

/// A call that has hung until its task's time was up fails then.
fn time_out(universe: &mut Universe, machines: &Machines) {
    for at in 0..universe.executions.len() {
        let process = &universe.executions[at];
        if process.hangs.is_none() || process.ready_at > universe.now {
            continue;
        }
        let deadline = machines.program(process.machine).deadline(&process.execution);
        if process.ready_at >= deadline {
            let process = Arc::make_mut(&mut universe.executions[at]);
            process.execution.time_out();
            process.hangs = None;
        } else {
            let _ = fails(universe, at, machines, TIMEOUT, "no answer in time");
        }
    }
}
