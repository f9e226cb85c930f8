//! What the triggers module plans, on the lab: a push to ECR and a pipeline start releases, and hear how they end.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_end_to_end::{PATIENCE, Scene, assert_all_on, assert_failed, assert_succeeded, ended, entered, lab};
use spillway_lab::{Dials, Execution, Lab, Slot, Status, eventually};

use crate::render::Module;

const REPOSITORY: &str = "000000000000.dkr.ecr.us-east-1.amazonaws.com/shop";
/// `PutEvents` takes no event of AWS itself, from nobody; and the emulator's ECR sends none.
const SENDER: &str = "lab.ecr";

fn engine(lab: &Lab) -> Value {
    let release = lab.state_machines().unwrap().arn("release").unwrap();
    json!({"name": "spillway", "release_state_machine_arn": release})
}

/// A resource that is planned, by its address.
fn resource<'a>(planned: &'a Value, address: &str) -> &'a Value {
    let resources = planned["root_module"]["resources"].as_array().unwrap();
    let found = resources.iter().find(|resource| resource["address"] == address);
    &found.unwrap_or_else(|| panic!("{address} in {planned}"))["values"]
}

/// The rule and its target as they are planned, but for where events come from.
async fn post(lab: &Lab, planned: &Value) {
    let (rule, target) = (
        resource(planned, "aws_cloudwatch_event_rule.push[0]"),
        resource(planned, "aws_cloudwatch_event_target.push[0]"),
    );
    let mut pattern: Value = serde_json::from_str(rule["event_pattern"].as_str().unwrap()).unwrap();
    assert_eq!(pattern["source"], json!(["aws.ecr"]));
    pattern["source"] = json!([SENDER]);
    let name = rule["name"].as_str().unwrap();
    let put = json!({"Name": name, "State": rule["state"], "EventPattern": pattern.to_string()});
    lab.aws().call_json("AWSEvents.PutRule", &put).await.unwrap();
    let transformer = &target["input_transformer"][0];
    let target = json!({
        "Id": target["target_id"],
        "Arn": target["arn"],
        "RoleArn": "arn:aws:iam::000000000000:role/push",
        "InputTransformer": {
            "InputPathsMap": transformer["input_paths"],
            "InputTemplate": transformer["input_template"],
        },
    });
    lab.aws().call_json("AWSEvents.PutTargets", &json!({"Rule": name, "Targets": [target]})).await.unwrap();
}

fn digest(digit: char) -> String {
    format!("sha256:{}", std::iter::repeat_n(digit, 64).collect::<String>())
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html>
async fn push(lab: &Lab, digest: &str, change: Value) {
    let mut detail = json!({
        "result": "SUCCESS",
        "repository-name": "shop",
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": "main-1234",
    });
    detail.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap_or_default());
    let entry = json!({
        "Source": SENDER, "DetailType": "ECR Image Action", "Detail": detail.to_string(), "Resources": [],
    });
    let answer = lab.aws().call_json("AWSEvents.PutEvents", &json!({"Entries": [entry]})).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

/// All releases so far, the oldest first, once there are so many.
async fn releases(lab: &Lab, count: usize) -> Vec<Execution> {
    let machine = lab.state_machines().unwrap().arn("release").unwrap();
    let there = eventually(PATIENCE, || async {
        let answer = lab.aws().call_json("AWSStepFunctions.ListExecutions", &json!({"stateMachineArn": machine})).await;
        let mut listed = answer.unwrap()["executions"].as_array().cloned().unwrap_or_default();
        listed.sort_by(|a, b| a["startDate"].as_f64().unwrap().total_cmp(&b["startDate"].as_f64().unwrap()));
        if listed.len() >= count { Ok(listed) } else { Err(format!("{} of {count}: {listed:?}", listed.len())) }
    });
    let listed = there.await.unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(listed.len(), count, "{listed:?}");
    listed.iter().map(|one| Execution::of(lab.aws(), one["executionArn"].as_str().unwrap())).collect()
}

/// Pushed images are released by digest, the newest last, and none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_released() {
    let Some(module) = Module::new("triggers", "push") else { return };
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["on_conflict"] = "queue".into();
        definition["strategy"]["approval_at"] = json!([10]);
    })
    .await;
    let variables = json!({
        "engine": engine(&lab), "service": "shop", "on_conflict": "queue", "longest_release_seconds": 3600,
        "ecr": {"repository_url": REPOSITORY, "tags": ["main-*"]},
    });
    post(&lab, &module.plan(&variables).unwrap_or_else(|error| panic!("{error}"))).await;
    let versions = ['2', '3', '4'].map(|digit| (digest(digit), format!("v{digit}")));
    for (digest, version) in &versions {
        lab.agent().publish(format!("{REPOSITORY}@{digest}"), Dials::version(version));
    }
    let [first, second, third] = &versions;

    // Other tags, other repositories, what failed, and what has no tag: nothing is released.
    for other in [
        json!({"image-tag": "feature-1"}),
        json!({"repository-name": "shop2"}),
        json!({"result": "FAILURE"}),
        json!({"image-tag": ""}),
        json!({"action-type": "DELETE"}),
    ] {
        push(&lab, &second.0, other).await;
    }
    push(&lab, &first.0, json!({})).await;
    let running = releases(&lab, 1).await.remove(0);
    let image = json!({"image": format!("{REPOSITORY}@{}", first.0)});
    assert_eq!(running.input().await.unwrap(), json!({"service": "shop", "version": image}));
    entered(&running, "EvaluateHealth").await;

    // The same event again, and another tag of the same image; then two newer ones.
    push(&lab, &first.0, json!({})).await;
    push(&lab, &first.0, json!({"image-tag": "main-latest"})).await;
    for again in &releases(&lab, 3).await[1..] {
        entered(again, "Follow").await;
    }
    push(&lab, &second.0, json!({})).await;
    let outrun = releases(&lab, 4).await.pop().unwrap();
    entered(&outrun, "Queue").await;
    push(&lab, &third.0, json!({})).await;
    let newest = releases(&lab, 5).await.pop().unwrap();
    entered(&newest, "Queue").await;
    scene.shop.command("approve").await.unwrap();
    assert_succeeded(&ended(&running).await, "Promoted");
    entered(&newest, "EvaluateHealth").await;
    scene.shop.command("approve").await.unwrap();
    assert_succeeded(&ended(&newest).await, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, &third.1).await;
    for again in &releases(&lab, 5).await[1..3] {
        assert_succeeded(&ended(again).await, "SamePromoted");
    }
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// What CodePipeline's action does with the configuration that is planned:
/// <https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-StepFunctions.html>.
async fn run_action(lab: &Lab, configuration: &Value, digest: &str, id: &str) -> Execution {
    let machine = configuration["StateMachineArn"].as_str().unwrap();
    let asked = json!({"stateMachineArn": machine});
    let described = lab.aws().call_json("AWSStepFunctions.DescribeStateMachine", &asked).await.unwrap();
    assert_eq!(described["type"], "STANDARD");
    assert_eq!(configuration["InputType"], "Literal");
    // The pipeline puts its variables in.
    let input = configuration["Input"].as_str().unwrap().replace("#{Source.ImageDigest}", digest);
    let name = format!("{}-{id}", configuration["ExecutionNamePrefix"].as_str().unwrap());
    assert!(name.len() <= 80, "{name}");
    Execution::start(lab.aws(), machine, Some(&name), &serde_json::from_str(&input).unwrap()).await.unwrap()
}

/// The action succeeds and fails as the execution does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_green_or_red_as_its_release_ends() {
    let Some(module) = Module::new("triggers", "pipeline") else { return };
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let variables = json!({
        "engine": engine(&lab), "service": "shop", "on_conflict": "reject", "longest_release_seconds": 3600,
        "codepipeline": {"version": {"image": format!("{REPOSITORY}@#{{Source.ImageDigest}}")}},
    });
    let planned = module.plan(&variables).unwrap_or_else(|error| panic!("{error}"));
    let action = &planned["outputs"]["codepipeline_action"]["value"];
    assert_eq!((&action["provider"], &action["category"]), (&json!("StepFunctions"), &json!("Invoke")));
    let configuration = &action["configuration"];
    for (digit, dials) in [('2', Dials::version("v2")), ('3', Dials::version("v3").error_rate(0.5))] {
        lab.agent().publish(format!("{REPOSITORY}@{}", digest(digit)), dials);
    }
    let green = run_action(&lab, configuration, &digest('2'), "11111111-2222-3333-4444-555555555555").await;
    assert_eq!(ended(&green).await.status, Status::Succeeded);
    let red = run_action(&lab, configuration, &digest('3'), "66666666-7777-8888-9999-000000000000").await;
    assert_failed(&ended(&red).await, "RolledBack");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    // A pipeline that is run again for the same image has nothing to do.
    let again = run_action(&lab, configuration, &digest('2'), "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee").await;
    let outcome = again.wait(Duration::from_mins(1)).await.unwrap();
    assert_succeeded(&outcome, "AlreadyStable");
    scene.traffic.stop().await;
    lab.stop().await;
}
