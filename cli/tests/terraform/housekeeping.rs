//! The housekeeping's state machine, walked through in a world of two slots and one lease.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_asl::interpret::{Execution, Failed, Pending, Program, QUERY_EVALUATION_ERROR, Status};
use spillway_asl::items::Items;
use spillway_asl::lint::lint;
use spillway_asl::machine::Machine;

use crate::render::Module;

const NOW: &str = "2026-11-23T19:00:00Z";
const RETIRE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-retire:live";

/// Desired and least capacity of each slot's compute, by its name; the lease table; and what was called.
struct World {
    now: Timestamp,
    capacity: BTreeMap<String, (u64, u64)>,
    leases: Items,
    calls: Vec<String>,
    /// Calls of this name fail.
    broken: Option<&'static str>,
    retirements: Vec<Value>,
}

impl World {
    fn new(lease: &Value) -> Self {
        let mut leases = Items::new("service");
        let mut item = json!({"service": {"S": "shop"}});
        item.as_object_mut().unwrap().extend(lease.as_object().unwrap().clone());
        leases.put(&item).unwrap();
        Self {
            now: NOW.parse().unwrap(),
            capacity: [("shop-blue".to_owned(), (3, 1)), ("shop-green".to_owned(), (0, 0))].into(),
            leases,
            calls: Vec::new(),
            broken: None,
            retirements: Vec::new(),
        }
    }

    fn lease(&self) -> Value {
        json!(self.leases.get("shop").unwrap())
    }

    fn desired(&self) -> [u64; 2] {
        [self.capacity["shop-blue"].0, self.capacity["shop-green"].0]
    }

    fn set(&mut self, name: &Value, desired: &Value, least: &Value) {
        let entry = self.capacity.get_mut(name.as_str().unwrap()).unwrap();
        // As the APIs take them: whole numbers, and no text.
        *entry = (desired.as_u64().unwrap(), least.as_u64().unwrap());
        assert!(entry.1 <= entry.0, "a group's desired capacity is not below its least");
    }

    fn answer(&mut self, resource: &str, arguments: &Value) -> Result<Value, (String, String)> {
        let call = resource.rsplit(':').next().unwrap();
        self.calls.push(call.to_owned());
        if self.broken == Some(call) {
            return Err(("Broken".into(), "as told".into()));
        }
        Ok(match call {
            "describeServices" => {
                let capacity = self.capacity[arguments["Services"][0].as_str().unwrap()];
                json!({"Services": [{"DesiredCount": capacity.0}], "Failures": []})
            }
            "describeAutoScalingGroups" => {
                let capacity = self.capacity[arguments["AutoScalingGroupNames"][0].as_str().unwrap()];
                json!({"AutoScalingGroups": [{"DesiredCapacity": capacity.0, "MinSize": capacity.1}]})
            }
            "updateService" => {
                self.set(&arguments["Service"], &arguments["DesiredCount"], &json!(0));
                json!({})
            }
            "updateAutoScalingGroup" => {
                self.set(&arguments["AutoScalingGroupName"], &arguments["DesiredCapacity"], &arguments["MinSize"]);
                json!({})
            }
            "updateItem" | "getItem" => self
                .leases
                .call(call, arguments)
                .map_err(|error| (format!("DynamoDB.{}", error.name), error.message))?,
            "startExecution" => {
                self.retirements.push(arguments.clone());
                json!({"ExecutionArn": "arn"})
            }
            _ => panic!("{resource}"),
        })
    }

    /// Runs to the end, and gives the output; `Err` with the error of a failed execution.
    fn run(&mut self, program: &Program, mode: &str) -> Result<Value, String> {
        let mut execution = program.start("arn:e", "e", json!({ "mode": mode }), self.now);
        loop {
            let (resource, arguments) = match program.pending(&execution, self.now) {
                Pending::Ended => break,
                Pending::Wait { .. } => panic!("nothing waits"),
                Pending::Call { resource, arguments, .. } => (resource.to_owned(), arguments),
            };
            let answer = match arguments {
                Ok(arguments) => self.answer(&resource, &arguments),
                Err(undefined) => Err((QUERY_EVALUATION_ERROR.into(), undefined.to_string())),
            };
            match answer {
                Ok(answer) => drop(program.succeed(&mut execution, answer, self.now)),
                Err((error, cause)) => self.failed(program, &mut execution, &error, &cause),
            }
        }
        match execution.status {
            Status::Succeeded { output } => Ok(output),
            Status::Failed { error, .. } => Err(error),
            status => panic!("{status:?}"),
        }
    }

    fn failed(&mut self, program: &Program, execution: &mut Execution, error: &str, cause: &str) {
        if let Failed::Retry { after_seconds } = program.fail(execution, error, cause, self.now) {
            self.now += SignedDuration::from_secs(i64::try_from(after_seconds).unwrap());
        }
    }
}

fn variables(kind: &str, dry_run: bool) -> Value {
    let slot = |slot: &str| match kind {
        "ecs" => json!({"ecs_service": {"cluster": "shops", "service": format!("shop-{slot}")}}),
        _ => json!({"auto_scaling_group": {"name": format!("shop-{slot}")}}),
    };
    json!({
        "engine": {
            "name": "spillway",
            "lease_table_name": "spillway-leases",
            "lease_table_arn": "arn:aws:dynamodb:eu-west-1:123456789012:table/spillway-leases",
            "retire_state_machine_arn": RETIRE,
        },
        "dry_run": dry_run,
        "services": {"shop": {
            "compute": {"blue": slot("blue"), "green": slot("green")},
            "working_hours": {"sleep": "cron(0 19 ? * MON-FRI *)", "wake": "cron(0 7 ? * MON-FRI *)"},
        }},
    })
}

fn program(module: &Module, kind: &str, dry_run: bool) -> Program {
    let planned = module.plan(&variables(kind, dry_run)).unwrap_or_else(|error| panic!("{error}"));
    let resources = planned["root_module"]["resources"].as_array().unwrap();
    let machine = resources.iter().find(|resource| resource["type"] == "aws_sfn_state_machine").unwrap();
    let machine = Machine::parse(machine["values"]["definition"].as_str().unwrap()).unwrap();
    assert_eq!(lint(&machine), Vec::<String>::new());
    Program::compile(&machine, "arn:aws:states:eu-west-1:123456789012:stateMachine:housekeeping").unwrap()
}

#[test]
fn a_service_sleeps_and_wakes_as_it_was() {
    let Some(module) = Module::new("housekeeping", "sleep") else { return };
    for kind in ["ecs", "groups"] {
        let program = program(&module, kind, false);
        let mut world = World::new(&json!({"fence": {"N": "7"}, "lease_until": {"S": "2026-11-23T18:00:00Z"}}));
        let output = world.run(&program, "sleep").unwrap();
        assert_eq!((output["outcome"].as_str(), world.desired()), (Some("asleep"), [0, 0]), "{kind}");
        let freeze = &world.lease()["freeze"]["M"];
        assert_eq!(freeze["owner"]["S"], "housekeeping");
        assert_eq!(
            freeze["until"]["S"].as_str().unwrap().parse::<Timestamp>().unwrap(),
            "2026-11-26T19:00:00Z".parse().unwrap()
        );
        assert_eq!(world.run(&program, "sleep").unwrap()["outcome"], "is_asleep", "{kind}");

        let output = world.run(&program, "wake").unwrap();
        assert_eq!((output["outcome"].as_str(), world.desired()), (Some("awake"), [3, 0]), "{kind}");
        let least = u64::from(kind == "groups");
        assert_eq!(world.capacity["shop-blue"].1, least, "{kind}");
        let lease = world.lease();
        assert!(lease["freeze"].is_null() && lease["asleep"].is_null() && lease["fence"]["N"] == "7", "{lease}");
        assert_eq!(world.run(&program, "wake").unwrap()["outcome"], "is_awake", "{kind}");
    }
}

/// Whatever else is on with the service comes first.
#[test]
fn nobody_is_put_to_sleep_in_a_release_or_in_somebody_elses_freeze() {
    let Some(module) = Module::new("housekeeping", "busy") else { return };
    let program = program(&module, "ecs", false);
    let freeze = |owner: &str, until: &str| json!({"freeze": {"M": {"reason": {"S": "sale"}, "owner": {"S": owner}, "until": {"S": until}}}});
    for (lease, outcome) in [
        (json!({"owner": {"S": "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:r"}}), "busy"),
        (json!({"lease_until": {"S": "2026-11-23T19:00:30.000Z"}}), "busy"),
        // What would be recorded is a release's doing: it may have raised a least size.
        (json!({"scaling": {"S": r#"[{"ecs_service":{"cluster":"shops","service":"shop-blue"}}]"#}}), "busy"),
        (json!({"scaling": {"S": "[]"}}), "asleep"),
        (freeze("ada", "2026-11-24T00:00:00.000Z"), "busy"),
        (freeze("ada", "2026-11-23T18:59:59.000Z"), "asleep"),
        (freeze("housekeeping", "2026-11-24T00:00:00.000Z"), "asleep"),
        (json!({}), "asleep"),
    ] {
        let mut world = World::new(&lease);
        assert_eq!(world.run(&program, "sleep").unwrap()["outcome"], outcome, "{lease}");
        let expected = if outcome == "busy" { [3, 0] } else { [0, 0] };
        assert_eq!(world.desired(), expected, "{lease}");
        if outcome == "busy" {
            assert!(world.lease()["asleep"].is_null(), "{lease}");
        }
    }
}

/// What had begun when something failed goes on from there, and nothing that was recorded is lost.
#[test]
fn half_a_sleep_is_finished_or_undone() {
    let Some(module) = Module::new("housekeeping", "half") else { return };
    let program = program(&module, "ecs", false);
    for then in ["sleep", "wake"] {
        let mut world = World::new(&json!({}));
        world.capacity.insert("shop-green".into(), (2, 0));
        world.broken = Some("updateService");
        assert_eq!(world.run(&program, "sleep"), Err("HousekeepingFailed".into()));
        world.broken = None;
        // As if the first of the two had worked.
        world.capacity.insert("shop-blue".into(), (0, 0));
        world.run(&program, then).unwrap();
        if then == "sleep" {
            assert_eq!(world.desired(), [0, 0]);
            world.run(&program, "wake").unwrap();
        }
        assert_eq!(world.desired(), [3, 2], "{then}");
    }
}

/// Somebody has lifted the freeze at night and begun one of their own, and scaled a slot: both stay.
#[test]
fn waking_leaves_to_people_what_is_theirs() {
    let Some(module) = Module::new("housekeeping", "theirs") else { return };
    let program = program(&module, "ecs", false);
    let mut world = World::new(&json!({}));
    world.capacity.insert("shop-green".into(), (2, 0));
    world.run(&program, "sleep").unwrap();
    let mut item = world.lease();
    item["freeze"]["M"]["owner"]["S"] = "ada".into();
    world.leases.put(&item).unwrap();
    world.capacity.insert("shop-green".into(), (5, 0));
    assert_eq!(world.run(&program, "wake").unwrap()["outcome"], "awake");
    assert_eq!(world.desired(), [3, 5]);
    assert_eq!(world.lease()["freeze"]["M"]["owner"]["S"], "ada");
    assert!(world.lease()["asleep"].is_null());
}

/// The retirement gets what a release would give it.
#[test]
fn the_slot_that_the_latest_promotion_left_is_retired() {
    let Some(module) = Module::new("housekeeping", "retire") else { return };
    let program = program(&module, "ecs", false);
    let plan = json!({"stable": {"slot": "blue"}, "retire_after_seconds": 3600});
    let mut world = World::new(&json!({"promoted_plan": {"S": plan.to_string()}, "planned_fence": {"N": "7"}}));
    assert_eq!(
        world.run(&program, "retire").unwrap(),
        json!({"outcome": "retiring", "service": "shop", "slot": "blue"})
    );
    let input = json!({"service": "shop", "plan": plan, "slot": "blue", "fence": "7"});
    assert_eq!(world.retirements, [json!({"StateMachineArn": RETIRE, "Input": input})]);
    assert_eq!(world.desired(), [3, 0]);

    let mut world = World::new(&json!({"planned_fence": {"N": "8"}}));
    assert_eq!(world.run(&program, "retire").unwrap()["outcome"], "nothing_to_retire");
    assert_eq!(world.run(&program, "sing"), Err("UnknownMode".into()));
}

/// A dry run tells what it would do, and makes no call that changes anything.
#[test]
fn a_dry_run_only_looks() {
    let Some(module) = Module::new("housekeeping", "dry") else { return };
    for kind in ["ecs", "groups"] {
        let program = program(&module, kind, true);
        let asleep = json!({"M": {"blue": {"S": "3"}, "blue_minimum": {"S": "1"}, "green": {"S": "0"}, "green_minimum": {"S": "0"}}});
        let plan = json!({"stable": {"slot": "green"}}).to_string();
        let mut world =
            World::new(&json!({"asleep": asleep, "promoted_plan": {"S": plan}, "planned_fence": {"N": "7"}}));
        let told = ["sleep", "wake", "retire"].map(|mode| world.run(&program, mode).unwrap());
        assert_eq!(
            told,
            [
                json!({"outcome": "would_sleep", "service": "shop", "blue": "3", "green": "0"}),
                json!({"outcome": "would_wake", "service": "shop", "blue": "3", "green": "0"}),
                json!({"outcome": "would_retire", "service": "shop", "slot": "green"}),
            ]
        );
        assert!(world.calls.iter().all(|call| call.starts_with("describe") || call == "getItem"), "{:?}", world.calls);
    }
}
