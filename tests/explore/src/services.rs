//! What the calls of other services than our functions do.

use std::sync::Arc;

use serde_json::{Value, json};
use spillway_asl::interpret::Status;
use spillway_core::slot::Slot;

use crate::call::Call;
use crate::check;
use crate::machines::MachineName;
use crate::steps::start;
use crate::universe::{Hang, Process, Universe};

/// What a step was told to do, besides going well.
pub(crate) struct Made {
    pub result: Result<Value, (String, String)>,
    /// Nobody answers; a token may.
    pub silent: Option<Hang>,
}

impl Call<'_> {
    /// What a call of another service does.
    pub(crate) fn effect(&self, universe: &mut Universe) -> Made {
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
                let before = universe.table.get("shop").cloned();
                let answer = universe.table.call(action, self.arguments);
                let process = &universe.executions[self.at];
                if let Some(violation) = check::trespass(before.as_ref(), universe, process, self.arguments) {
                    universe.cloud.violate(violation);
                }
                let silent = callback.then(|| {
                    let waiting = &self.arguments["ExpressionAttributeValues"][":waiting"]["M"];
                    Hang::Token(waiting["token"]["S"].as_str().unwrap_or_default().to_owned())
                });
                let result = answer.map_err(|error| (format!("{prefix}.{}", error.name), error.message));
                Made { result, silent }
            }
            "arn:aws:states:::aws-sdk:ssm:getParameter" => {
                if self.setting.unknown {
                    made(Err(("Ssm.ParameterNotFoundException".into(), "there is none".into())))
                } else {
                    made(Ok(json!({"Parameter": {"Value": self.setting.definition}})))
                }
            }
            "arn:aws:states:::sns:publish" => {
                let process = &universe.executions[self.at];
                let page = format!("{} {}", process.machine.name(), process.execution.state);
                universe.pages.insert(page);
                made(Ok(json!({"MessageId": "1"})))
            }
            // Nothing follows from what others are told.
            "arn:aws:states:::events:putEvents" => {
                made(Ok(json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})))
            }
            "arn:aws:states:::states:startExecution" => made(self.start_execution(universe)),
            "arn:aws:states:::aws-sdk:sfn:describeExecution" => {
                let arn = self.arguments["ExecutionArn"].as_str().unwrap_or_default();
                made(match universe.process(arn) {
                    None if !arn.starts_with("arn:") => Err(("Sfn.InvalidArnException".into(), "Invalid Arn".into())),
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
            "arn:aws:states:::lambda:invoke" => {
                self.scale(universe);
                made(Ok(json!({"Payload": self.setting.hook})))
            }
            other => panic!("{other} is not known here"),
        }
    }

    /// What the service's own function does when it is asked to scale a slot.
    fn scale(&self, universe: &mut Universe) {
        let asked = &self.arguments["Payload"];
        let slot = Slot::BOTH.into_iter().find(|slot| asked["slot"] == slot.to_string());
        if let (Some(slot), Some(targets)) =
            (slot, asked["targets"].as_u64().and_then(|targets| targets.try_into().ok()))
        {
            universe.cloud.scale(slot, targets, universe.now);
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
