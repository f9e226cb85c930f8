use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use spillway_asl::expression::{Expression, expressions};
use spillway_asl::machine::fill;
use spillway_lab::{Lab, Misbehaviour};

use crate::replay::{Case, Went, check};
use crate::{create_table, lab};

const TABLE: &str = "leases";
/// What the functions do, by the end of their names.
const FUNCTIONS: [&str; 4] = ["answers", "answers-nothing", "unavailable", "lease-lost"];

/// Nobody waits with the token that it has.
const NEVER_SUCCEEDS: &str = "Wake";
/// There is nothing that it could be given.
const NEVER_FAILS: &str = "ListHeld";

/// A Task of a machine.
pub struct Task {
    pub machine: &'static str,
    pub state: String,
    pub definition: Value,
}

/// All but those that wait for a token, which are for [`crate::tokens`].
fn tasks() -> Vec<Task> {
    all_tasks().into_iter().filter(|task| !task.waits_for_a_token()).collect()
}

impl Task {
    /// Whether it waits for somebody who has its token.
    pub fn waits_for_a_token(&self) -> bool {
        self.definition["Resource"].as_str().is_some_and(|resource| resource.ends_with(".waitForTaskToken"))
    }
}

/// All Tasks of the machines that ship.
pub fn all_tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for machine in ["guard", "release", "retire", "rollback"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../statemachine/{machine}.asl.json"));
        let text = std::fs::read_to_string(path).unwrap();
        let definition: Value = serde_json::from_str(&text).unwrap();
        for (state, definition) in definition["States"].as_object().unwrap() {
            if definition["Type"] == "Task" {
                tasks.push(Task { machine, state: state.clone(), definition: definition.clone() });
            }
        }
    }
    tasks
}

/// Everything outside: what the function does, and who holds the lease.
pub struct Given {
    function: &'static str,
    /// `None`: there is no item.
    owner: Option<Owner>,
    /// Whether all variables are there, or only what a Catch reads: an error there is caught by nobody, and the lint
    /// sees to it that there is none.
    variables: bool,
    /// Whether the executions that it names were ever started.
    started: bool,
}

impl Given {
    /// Everything as it should be, and this owner.
    pub fn owned_by(owner: Owner) -> Self {
        Self { owner: Some(owner), ..Self::WHOLE }
    }

    /// Nothing but what a Catch reads.
    const BARE: Self = Self { function: FUNCTIONS[0], owner: Some(Owner::Me), variables: false, started: true };
    /// Everything as it should be.
    const WHOLE: Self = Self { variables: true, ..Self::BARE };
}

#[derive(Clone, Copy, Debug)]
pub enum Owner {
    Nobody,
    Me,
    Other,
}

/// What can come of a Task: of one that writes or reads the lease, by its owner; of one that calls a function, by that.
fn givens(task: &Task) -> Vec<Given> {
    let resource = task.definition["Resource"].as_str().unwrap();
    let mut givens = vec![Given::BARE];
    if resource.contains(":dynamodb:") {
        let owners = [None, Some(Owner::Nobody), Some(Owner::Me), Some(Owner::Other)];
        givens.extend(owners.map(|owner| Given { owner, ..Given::WHOLE }));
    } else if resource.contains(":lambda:") {
        givens.extend(FUNCTIONS.map(|function| Given { function, ..Given::WHOLE }));
    } else if resource.ends_with(":describeExecution") {
        givens.extend([Given::WHOLE, Given { started: false, ..Given::WHOLE }]);
    } else {
        givens.push(Given::WHOLE);
    }
    givens
}

/// Puts a value where a path leads to, unless something is there.
fn plant(root: &mut Map<String, Value>, path: &[String], leaf: &Value) {
    let (name, rest) = path.split_first().unwrap();
    if rest.is_empty() {
        root.entry(name.clone()).or_insert_with(|| leaf.clone());
    } else {
        let below = root.entry(name.clone()).or_insert_with(|| json!({}));
        if !below.is_object() {
            *below = json!({});
        }
        plant(below.as_object_mut().unwrap(), rest, leaf);
    }
}

/// Every path that a value reads below `$variable`, or below `$states` and a field.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let paths = |expression: Expression| expression.paths().into_iter().map(<[String]>::to_vec).collect::<Vec<_>>();
    expressions(value).unwrap().into_iter().flat_map(paths).collect()
}

/// The Task as a machine of its own: it is given its variables, and each way out of it ends in a Fail of its own, with
/// all variables as the cause.
pub fn case(task: &Task, given: &Given, index: usize, values: &BTreeMap<String, String>) -> Case {
    let name = format!("{}-{}-{index}", task.machine, task.state);
    let service = name.clone();
    let execution = if given.started { name.as_str() } else { "never" };
    let me = format!("arn:aws:states:us-east-1:000000000000:execution:{name}:{execution}");
    let mut definition: Value = serde_json::from_str(&fill(&task.definition.to_string(), values).unwrap()).unwrap();

    // What it reads, each with a value that says where it came from.
    let (mut variables, mut input) = (Map::new(), Map::new());
    for path in paths(&definition) {
        let leaf = match path.join(".").as_str() {
            "service" | "request.service" | "page.Items.service.S" => json!(service),
            name if name.starts_with("states.") && name.to_lowercase().ends_with("input.service") => json!(service),
            "lease.owner" | "turn.following" | "states.input.detail.executionArn" | "ended" | "page.Items.owner.S" => {
                json!(me)
            }
            "page.LastEvaluatedKey" => json!({"service": {"S": service}, "owner": {"S": me}}),
            "hook.function" => json!(values["hook"]),
            "item.plan.S" => json!("{}"),
            name if name.ends_with("fence") || name.ends_with("fence.N") => json!("1"),
            name => json!(name),
        };
        match (path[0].as_str(), path.get(1).map(String::as_str)) {
            ("states", Some("input")) => plant(&mut input, &path[2..], &leaf),
            ("states", Some("context")) if path.len() > 4 && path[3] == "Input" => plant(&mut input, &path[4..], &leaf),
            ("states", _) => {}
            _ => plant(&mut variables, &path, &leaf),
        }
    }
    let mut states = Map::new();
    if !given.variables {
        let caught = paths(&definition["Catch"]);
        variables.retain(|name, _| caught.iter().any(|path| path[0] == *name));
    }
    let known: Vec<String> = variables.keys().cloned().collect();
    let mut way = |to: &str, assigned: &Value| {
        let end = format!("{to}{}", states.len());
        let assigned = assigned.as_object().into_iter().flat_map(Map::keys);
        let all: Map<String, Value> =
            known.iter().chain(assigned).map(|name| (name.clone(), format!("{{% ${name} %}}").into())).collect();
        let told = format!("{end}Told");
        states.insert(told.clone(), json!({"Type": "Fail", "Error": to, "Cause": "{% $string($all_of_them) %}"}));
        states.insert(end.clone(), json!({"Type": "Wait", "Seconds": 0, "Assign": {"all_of_them": all}, "Next": told}));
        Value::from(end)
    };
    definition["Next"] = way(definition["Next"].as_str().unwrap(), &definition["Assign"]);
    for catcher in definition["Catch"].as_array_mut().unwrap() {
        catcher["Next"] = way(catcher["Next"].as_str().unwrap(), &catcher["Assign"]);
    }
    // As often as it needs to be seen that it is tried again.
    for retrier in definition["Retry"].as_array_mut().unwrap() {
        retrier["MaxAttempts"] = retrier["MaxAttempts"].as_u64().unwrap().min(1).into();
    }
    states.insert(task.state.clone(), definition);
    states.insert("Given".into(), json!({"Type": "Wait", "Seconds": 0, "Assign": variables, "Next": task.state}));
    let mut item = json!({
        "service": {"S": service}, "fence": {"N": "1"}, "planned_fence": {"N": "1"}, "plan": {"S": "{\"a\":[1]}"},
        "promoted_plan": {"S": "{\"b\":[2]}"}, "command": {"S": "command"}, "lease_until": {"S": "2026-01-01T00:00:00.000Z"},
        "promoted_by": {"S": me}, "phase": {"S": "baking"}, "acquired_at": {"S": "2026-01-01T00:00:00.000Z"},
    });
    let waits = if matches!(given.owner, Some(Owner::Other)) { "another" } else { me.as_str() };
    item["waiting"] = json!({"M": {
        "execution": {"S": waits}, "since": {"S": "2026-01-01T00:00:00.000Z"}, "token": {"S": "token"},
    }});
    match given.owner {
        Some(Owner::Me) => item["owner"] = json!({ "S": me }),
        Some(Owner::Other) => item["owner"] = json!({"S": "another"}),
        Some(Owner::Nobody) | None => {}
    }
    Case {
        name,
        states: states.into(),
        start_at: "Given".to_owned(),
        input: input.into(),
        items: given.owner.map(|_| item).into_iter().collect(),
    }
}

/// What the functions answer: every field that some state assigns.
fn answer(tasks: &[Task]) -> Value {
    let mut answer = Map::new();
    for path in tasks.iter().flat_map(|task| paths(&task.definition["Assign"])) {
        if let [_, result, payload, rest @ ..] = path.as_slice()
            && (result.as_str(), payload.as_str()) == ("result", "Payload")
            && !rest.is_empty()
        {
            plant(&mut answer, rest, &json!({"from": path.join(".")}));
        }
    }
    answer.into()
}

async fn create_functions(lab: &Lab, answer: &Value) {
    for name in FUNCTIONS {
        lab.functions().create_hook(name, if name == "answers" { answer } else { &Value::Null }).await.unwrap();
    }
    for (name, misbehaviour) in [
        ("unavailable", Misbehaviour::fail("Unavailable", "try again")),
        ("lease-lost", Misbehaviour::fail("LeaseLost", "to another")),
    ] {
        lab.functions().replace(name, &misbehaviour).await.unwrap();
    }
}

/// Every Task of the machines that ship, with a call that succeeds, whose condition fails, that answers too little or
/// that fails: the way that is taken and what is assigned there is the same.
#[tokio::test(flavor = "multi_thread")]
async fn every_task_goes_as_in_the_emulator() {
    let lab = lab().await;
    create_table(&lab, TABLE).await;
    let tasks = tasks();
    create_functions(&lab, &answer(&tasks)).await;
    let topic = lab.aws().call_query("sns", "2010-03-31", "CreateTopic", &[("Name", "pages")]).await.unwrap();
    let machine = json!({"name": "retire", "roleArn": "arn:aws:iam::000000000000:role/any", "type": "STANDARD",
        "definition": json!({"QueryLanguage": "JSONata", "StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}).to_string()});
    let machine = lab.aws().call_json("AWSStepFunctions.CreateStateMachine", &machine).await.unwrap();

    let mut cases = Vec::new();
    for task in &tasks {
        for (index, given) in givens(task).into_iter().enumerate() {
            let function = lab.functions().arn(given.function);
            let functions =
                ["plan_release", "prepare_candidate", "shift_weight", "evaluate_health", "rollback", "teardown"];
            let mut values: BTreeMap<String, String> =
                functions.iter().map(|name| (format!("{name}_arn"), function.clone())).collect();
            for (name, value) in [
                ("hook", function.as_str()),
                ("lease_table", TABLE),
                ("lease_milliseconds", "60000"),
                ("page_topic_arn", topic.text_of("TopicArn")),
                ("parameter_prefix", "/services/"),
                ("retire_state_machine_arn", machine["stateMachineArn"].as_str().unwrap()),
                ("rollback_state_machine_arn", machine["stateMachineArn"].as_str().unwrap()),
            ] {
                values.insert(name.to_owned(), value.to_owned());
            }
            let case = case(task, &given, index, &values);
            if task.state == "LoadService" && given.variables {
                let put = json!({"Name": format!("/services/{}", case.name), "Value": "{}", "Type": "String"});
                lab.aws().call_json("AmazonSSM.PutParameter", &put).await.unwrap();
            }
            cases.push((task, case));
        }
    }
    let count = cases.len();
    assert!(count > 200, "{count}");
    let run = cases.into_iter().map(|(task, case)| {
        let lab = &lab;
        async move { (task, check(lab, TABLE, case).await) }
    });
    let mut ways: BTreeMap<(&str, &str), Vec<Option<String>>> = BTreeMap::new();
    for (task, Went { error, .. }) in crate::replay::all(run).await {
        ways.entry((task.machine, &task.state)).or_default().push(error);
    }
    // Every Task was seen to succeed and to fail, where it can here; nothing ended in its midst.
    for task in &tasks {
        let seen = &ways[&(task.machine, task.state.as_str())];
        let next = task.definition["Next"].as_str();
        let succeeded = seen.iter().any(|way| way.as_deref() == next);
        assert!(succeeded || task.state == NEVER_SUCCEEDS, "{}, {}: {seen:?}", task.machine, task.state);
        let catches: Vec<Option<&str>> =
            task.definition["Catch"].as_array().unwrap().iter().map(|catcher| catcher["Next"].as_str()).collect();
        let failed = seen.iter().any(|way| catches.contains(&way.as_deref()));
        assert!(failed || task.state == NEVER_FAILS, "{}, {}: {seen:?}", task.machine, task.state);
        let known = |way: &Option<String>| way.as_deref() == next || catches.contains(&way.as_deref());
        assert!(seen.iter().all(known), "{}, {}: {seen:?}", task.machine, task.state);
    }
    lab.stop().await;
}
