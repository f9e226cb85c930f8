//! A Task under way, in every way that it can go.

use std::sync::Arc;

use serde_json::{Value, json};
use spillway_asl::interpret::{Failed, QUERY_EVALUATION_ERROR};

use crate::check::{self, Heard};
use crate::errors;
use crate::event::Way;
use crate::invocation::{self, Outcome, Ran, Times};
use crate::machines::{FUNCTION_SECONDS, Machines};
use crate::script::{Fault, Script};
use crate::services::Made;
use crate::setting::Setting;
use crate::steps::{fails, later};
use crate::universe::{Hang, Invocation, Universe};

/// The cause of an error that is explored.
const AS_EXPLORED: &str = "as explored";

/// The call of a Task.
pub(crate) struct Call<'a> {
    pub at: usize,
    pub resource: &'a str,
    pub arguments: &'a Value,
    pub timeout_seconds: Option<u64>,
    pub machines: &'a Machines,
    pub setting: &'a Setting,
}

/// A connection is lost late: what is tried again then must still fit into the lease.
const LOST_AFTER_SECONDS: i64 = 25;

impl Call<'_> {
    fn function(&self) -> Option<&'static str> {
        let name = self.arguments["FunctionName"].as_str()?.strip_prefix("function:")?;
        ["plan-release", "prepare-candidate", "shift-weight", "evaluate-health", "rollback", "teardown"]
            .into_iter()
            .find(|function| *function == name)
    }

    /// Every way in which it can go wrong, given how it goes well.
    pub fn ways(&self, ran: Option<&Ran>) -> Vec<Way> {
        let mut ways = vec![Way::TurnedAway, Way::Down];
        // The answer to one with a token comes from whoever has that.
        if !self.resource.ends_with(".waitForTaskToken") {
            ways.extend([Way::Unanswered, Way::Silent]);
        }
        if self.setting.names {
            ways.extend(errors::of_task(self.resource).iter().map(|(error, transient)| Way::Fails(error, *transient)));
            // What a function of the service's own answers may be of any size.
            if self.resource.ends_with("lambda:invoke") && self.function().is_none() {
                ways.push(Way::Fails(errors::TOO_LARGE, true));
            }
        }
        let Some(ran) = ran else { return ways };
        ways.push(Way::Twice);
        for (at, call) in ran.calls.iter().enumerate() {
            if self.setting.names {
                let named = |(error, transient)| Way::Call(at, Fault::Named(error, transient));
                ways.extend(errors::of_call(call.operation).map(named));
            }
            ways.push(Way::Call(at, Fault::Throttled));
            ways.push(Way::Call(at, Fault::Refused));
            if call.writes {
                ways.push(Way::Call(at, Fault::AnswerLost));
            }
            if call.operation == "ModifyRule" || (call.operation == "DescribeRules" && self.setting.stale) {
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
    pub fn make(&self, universe: &Universe, way: Way) -> (Universe, Option<Ran>) {
        let mut after = universe.clone();
        if way == Way::Silent {
            self.silence(&mut after, Hang::Silence);
            return (after, None);
        }
        if let Some(function) = self.function() {
            let ran = self.invoke(&mut after, function, way);
            return (after, Some(ran));
        }
        match way {
            Way::TurnedAway => drop(self.turned_away(&mut after)),
            Way::Fails(error, _) => drop(fails(&mut after, self.at, self.machines, error, AS_EXPLORED)),
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
        if let Some(failed) = failed {
            if failed == Failed::Caught {
                self.machines.note(machine, &state, QUERY_EVALUATION_ERROR);
            }
            let error = Heard { machine, state: &state, error: QUERY_EVALUATION_ERROR, is_first: true };
            if let Some(violation) = error.mistaken(failed, &process.execution, self.machines) {
                universe.cloud.violate(violation);
            }
        }
        let process = Arc::make_mut(&mut universe.executions[self.at]);
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
        if matches!(way, Way::TurnedAway | Way::Down | Way::Fails(..)) {
            match way {
                Way::TurnedAway => drop(self.turned_away(universe)),
                Way::Fails(error, _) => drop(fails(universe, self.at, self.machines, error, AS_EXPLORED)),
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
                        let process = Arc::make_mut(&mut universe.executions[self.at]);
                        process.ready_at = later(process.ready_at, LOST_AFTER_SECONDS);
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
                if let Some(violation) = check::thaw(universe, self.arguments, output) {
                    universe.cloud.violate(violation);
                }
                self.succeeds(universe, json!({"Payload": output, "StatusCode": 200}));
            }
            Outcome::Failed(error, cause) => drop(fails(universe, self.at, self.machines, error, cause)),
            Outcome::Stopped => unreachable!("nobody stopped it"),
        }
    }
}
