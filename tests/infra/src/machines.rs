//! Which calls the state machines make, and on what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use spillway_asl::machine::{Machine, Task};

/// What the scope of an execution is called that only the run knows.
pub const SOME_EXECUTION: &str = "execution/";

/// The actions of each machine, and the scopes of `permissions.json` that they are on.
pub type Calls = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads `statemachine/*.asl.json`.
///
/// # Errors
/// What cannot be read, or not be understood.
pub fn read(root: &Path) -> Result<Calls, String> {
    let directory = root.join("statemachine");
    let mut machines = Calls::new();
    for entry in fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(".asl.json") else { continue };
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        machines.insert(name.to_owned(), of(&text).map_err(|problem| format!("{name}: {problem}"))?);
    }
    Ok(machines)
}

/// What the machine of this text calls.
///
/// # Errors
/// What cannot be understood.
pub fn of(text: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let machine = Machine::parse(text).map_err(|error| error.to_string())?;
    let mut actions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, task) in machine.tasks() {
        let (action, scope) = call(task).map_err(|problem| format!("{name}: {problem}"))?;
        actions.entry(action).or_default().insert(scope);
    }
    Ok(actions)
}

/// The action that a task needs, and its scope.
fn call(task: &Task) -> Result<(String, String), String> {
    let resource = task.resource.strip_prefix("arn:aws:states:::").ok_or("its resource is no service integration")?;
    let resource = resource.strip_prefix("aws-sdk:").unwrap_or(resource);
    let (service, operation) = resource.split_once(':').ok_or_else(|| format!("what is {resource}?"))?;
    // A call that waits for a token is made as any other; `.sync` would need more.
    let operation = operation.strip_suffix(".waitForTaskToken").unwrap_or(operation);
    let argument = |name: &str| task.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let scope = match (service, operation) {
        ("dynamodb", _) if argument("TableName") != "${lease_table}" => {
            Err("another table than the leases'".to_owned())
        }
        ("dynamodb", _) if !argument("IndexName").is_empty() => Ok("lease_index".to_owned()),
        ("dynamodb", _) => Ok("lease_table".to_owned()),
        ("lambda", "invoke") => match placeholder(argument("FunctionName")) {
            Some(name) => named("function/", name, "_arn"),
            None => Ok("hooks".to_owned()),
        },
        ("events", "putEvents") if events_are_ours(&task.arguments) => Ok("event_bus".to_owned()),
        ("ssm", "getParameter") if argument("Name").starts_with("{% '${parameter_prefix}' & ") => {
            Ok("parameters".to_owned())
        }
        ("sns", "publish") if argument("TopicArn") == "${page_topic_arn}" => Ok("page_topic".to_owned()),
        ("states", "startExecution") => match placeholder(argument("StateMachineArn")) {
            Some(name) => named("machine/", name, "_state_machine_arn"),
            None => Err("it starts whatever the run says".to_owned()),
        },
        ("sfn", "describeExecution") => Ok(SOME_EXECUTION.to_owned()),
        ("sfn", "sendTaskSuccess") => Ok("task_tokens".to_owned()),
        _ => Err(format!("nobody has said what {resource} is on")),
    }?;
    let service = if service == "sfn" { "states" } else { service };
    let operation = if (service, operation) == ("lambda", "invoke") { "invokeFunction" } else { operation };
    let (first, rest) = operation.split_at(1);
    Ok((format!("{service}:{}{rest}", first.to_uppercase()), scope))
}

/// Whether all events are put on the default bus, from the source that the role may put them from.
fn events_are_ours(arguments: &Value) -> bool {
    let entries = arguments["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = |entry: &Value| entry["Source"] == "spillway" && entry.get("EventBusName").is_none();
    !entries.is_empty() && entries.iter().all(ours)
}

fn placeholder(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

fn named(kind: &str, placeholder: &str, suffix: &str) -> Result<String, String> {
    let name = placeholder.strip_suffix(suffix).ok_or_else(|| format!("what is {placeholder}?"))?;
    Ok(format!("{kind}{}", name.replace('_', "-")))
}
