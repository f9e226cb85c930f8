//! A definition against the AWS that it names.

use serde_json::{Value, json};
use spillway_end_to_end::{Scene, lab};
use spillway_lab::{Compute, Lab};

use crate::{spillway, text, written};

fn validate(lab: &Lab, definition: &Value) -> (Option<i32>, Value, String) {
    let path = written(lab, "definition.json", definition);
    let arguments = ["validate", "--live", path.to_str().unwrap(), "--json"];
    let output = tokio::task::block_in_place(|| spillway(lab, &arguments, ""));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    println!("{out}{err}");
    (output.status.code(), serde_json::from_str(&out).unwrap_or(Value::Null), err)
}

fn lines(told: &Value, field: &str) -> Vec<String> {
    told[field].as_array().into_iter().flatten().map(said).collect()
}

/// A line, or a problem's.
fn said(line: &Value) -> String {
    line.as_str().or(line["message"].as_str()).unwrap().to_owned()
}

/// What runs is valid; what is wrong is told all at once, each with its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_wrong_on_aws_is_told_at_once() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let other = lab.service("other").start().await.unwrap();
    let good = scene.shop.definition();
    let (code, told, err) = validate(&lab, &good);
    assert_eq!((code, &told["valid"], lines(&told, "problems")), (Some(0), &json!(true), Vec::new()), "{err}");
    // The lab's definition was made quicker when it was stored.
    assert!(lines(&told, "notes").iter().any(|note| note.contains("the stored definition is another one")), "{told}");

    assert!(lines(&told, "notes").iter().any(|note| note.contains("there is no role spillway-shift-weight")), "{told}");

    let mut bad = good.clone();
    bad["slots"]["green"]["target_groups"] = other.definition()["slots"]["green"]["target_groups"].clone();
    bad["slots"]["green"]["compute"]["ecs_service"]["service"] = json!("nowhere");
    bad["health"]["alarms"] = json!([{"arn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:nothing-like-it"}]);
    let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
    bad["health"]["metrics"] =
        json!([{"name": "declined", "count": source("Declined"), "denominator": source("Payments")}]);
    let (code, told, err) = validate(&lab, &bad);
    assert_eq!((code, &told["valid"]), (Some(1), &json!(false)), "{err}");
    let problems = lines(&told, "problems");
    for part in [
        "health.alarms[0]: arn:aws:cloudwatch:us-east-1:000000000000:alarm:nothing-like-it does not exist",
        "health.metrics[0].count: CloudWatch knows no metric Declined",
        "slots.green.target_groups[0]: other-green-0: load balancer other-0 uses it, and the route is of shop-0",
        "slots.green.compute: DescribeServices of nowhere: ServiceNotFoundException",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "no {part:?} in {problems:#?}");
    }

    let mut gone = good.clone();
    let missing = good["slots"]["green"]["target_groups"][0].as_str().unwrap().replace("shop-green-0", "gone");
    gone["slots"]["green"]["target_groups"] = json!([missing]);
    gone["routes"] = json!([good["routes"][0].as_str().unwrap().to_owned() + "0"]);
    let (code, told, _) = validate(&lab, &gone);
    assert_eq!(code, Some(1));
    let problems = lines(&told, "problems");
    for part in ["cannot be read: DescribeRules of ", "slots.green.target_groups[0]: arn:aws:elasticloadbalancing"] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "no {part:?} in {problems:#?}");
    }
    scene.traffic.stop().await;
    lab.stop().await;
}

/// What you may not see is told from what is wrong, and AWS that fails from both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_at_is_told_from_problems() {
    let lab = lab().await;
    let shop = lab.service("shop").compute(Compute::AutoScaling).start().await.unwrap();
    let definition = shop.definition();
    lab.alb().faults().fail_next("DescribeTargetGroups", 1, "AccessDenied", "not authorized");
    let (code, told, _) = validate(&lab, &definition);
    assert_eq!((code, &told["valid"]), (Some(3), &json!(true)));
    assert_eq!(lines(&told, "not_checked"), ["DescribeTargetGroups: AccessDenied: not authorized"]);

    lab.alb().faults().fail_next("DescribeRules", 1, "AccessDenied", "not authorized");
    let (code, told, _) = validate(&lab, &definition);
    assert_eq!((code, lines(&told, "problems")), (Some(3), Vec::new()));
    assert!(lines(&told, "not_checked")[0].ends_with("not authorized: you may not look at it"), "{told}");

    lab.alb().faults().fail_next("DescribeRules", 4, "Throttling", "Rate exceeded");
    let (code, told, err) = validate(&lab, &definition);
    assert_eq!((code, told), (Some(3), Value::Null));
    assert!(err.contains("Throttling: Rate exceeded; try again"), "{err}");
    assert_eq!(validate(&lab, &definition).0, Some(0));

    let mut wrong = definition.clone();
    wrong["slots"]["green"]["compute"] = json!({"auto_scaling_group": {"name": "nowhere"}});
    let (code, told, _) = validate(&lab, &wrong);
    assert_eq!(code, Some(1));
    assert!(lines(&told, "problems")[0].contains("DescribeAutoScalingGroups of nowhere"), "{told}");
    lab.stop().await;
}

/// Hooks must be there, and an image must have a container to go to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_and_containers_are_looked_at() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let smoke = lab.functions().create_hook("smoke", &json!("ok")).await.unwrap();
    let mut definition = shop.definition();
    let hook = |function: &str| json!({"function": function, "timeout_seconds": 20});
    definition["hooks"] = json!({"before_traffic": hook(&smoke), "after_rollback": hook(&smoke)});
    let (code, told, err) = validate(&lab, &definition);
    assert_eq!((code, lines(&told, "problems")), (Some(0), Vec::new()), "{err}");
    // Without roles nobody can tell.
    let notes = lines(&told, "notes");
    let unknown =
        |note: &&String| note.contains(&format!("{smoke}: whether hook_function_arns names it cannot be told"));
    assert_eq!(notes.iter().filter(unknown).count(), 3, "{notes:#?}");

    definition["hooks"]["after_step"] = hook(&format!("{smoke}-gone"));
    definition["slots"]["green"]["compute"]["ecs_service"]["container"] = json!("sidecar");
    let (code, told, err) = validate(&lab, &definition);
    assert_eq!(code, Some(1), "{err}");
    let problems = lines(&told, "problems");
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("slots.green.compute.ecs_service.container: arn:aws:ecs:"), "{problems:#?}");
    assert!(problems[0].contains("the task definition has no container sidecar; it has "), "{problems:#?}");
    assert_eq!(problems[1], format!("hooks.after_step.function: {smoke}-gone: there is no such function"));
    lab.stop().await;
}

/// The installation must be allowed to invoke the hooks, each by the machines that ask it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_that_may_not_be_invoked_are_told() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let smoke = lab.functions().create_hook("smoke", &json!("ok")).await.unwrap();
    let mut definition = shop.definition();
    definition["hooks"] = json!({"after_rollback": {"function": smoke}});
    let allow = |resource: &str| {
        let statement = json!({"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [resource]});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    role(&lab, "spillway-machine-release", &allow(&smoke)).await;
    role(&lab, "spillway-machine-rollback", &allow(&format!("{smoke}-other"))).await;
    let (code, told, err) = validate(&lab, &definition);
    assert_eq!(code, Some(1), "{err}");
    let problems = lines(&told, "problems");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let expected =
        "role/spillway-machine-rollback may not lambda:InvokeFunction it; name it in the engine's hook_function_arns";
    assert!(
        problems[0].starts_with("hooks.after_rollback.function: ") && problems[0].ends_with(expected),
        "{problems:#?}"
    );
    lab.stop().await;
}

/// A role of the installation that may change what is named, or what has the tag.
/// A role with a policy.
async fn role(lab: &Lab, name: &str, policy: &Value) {
    let service = json!({"Version": "2012-10-17", "Statement": []}).to_string();
    let created = [("RoleName", name), ("AssumeRolePolicyDocument", service.as_str())];
    lab.aws().call_query("iam", "2010-05-08", "CreateRole", &created).await.unwrap();
    allow(lab, name, policy).await;
}

/// What a role may do from now on.
async fn allow(lab: &Lab, name: &str, policy: &Value) {
    let document = policy.to_string();
    let put = [("RoleName", name), ("PolicyName", "calls"), ("PolicyDocument", document.as_str())];
    lab.aws().call_query("iam", "2010-05-08", "PutRolePolicy", &put).await.unwrap();
}

/// The installation must be allowed to change the routes and what runs the slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_that_are_missing_are_told() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let definition = shop.definition();
    let only = |action: &str, resource: &str| {
        let statement = json!({"Effect": "Allow", "Action": [action], "Resource": [resource]});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    let route = definition["routes"][0].as_str().unwrap();
    role(&lab, "spillway-shift-weight", &only("elasticloadbalancing:ModifyRule", route)).await;
    role(&lab, "spillway-prepare-candidate", &only("ecs:UpdateService", "arn:aws:ecs:*:*:service/lab/shop-blue")).await;
    let (code, told, err) = validate(&lab, &definition);
    assert_eq!(code, Some(1), "{err}");
    let problems = lines(&told, "problems");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let expected = "role/spillway-prepare-candidate may not ecs:UpdateService it; tag it spillway:managed=true";
    assert!(problems[0].starts_with("slots.green.compute: ") && problems[0].contains(expected), "{problems:?}");

    // Whoever registers a copy of a revision hands its roles on.
    let ecs = async |operation: &str, body: Value| {
        lab.aws().call_json(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), &body).await.unwrap()
    };
    let found = ecs("DescribeServices", json!({"cluster": "lab", "services": ["shop-blue"]})).await;
    let revision = found["services"][0]["taskDefinition"].clone();
    let mut copy = ecs("DescribeTaskDefinition", json!({ "taskDefinition": revision })).await["taskDefinition"].take();
    let tasks = "arn:aws:iam::000000000000:role/tasks";
    copy = json!({
        "family": copy["family"], "containerDefinitions": copy["containerDefinitions"], "taskRoleArn": tasks,
    });
    let copy = ecs("RegisterTaskDefinition", copy).await;
    let update = json!({
        "cluster": "lab", "service": "shop-blue", "taskDefinition": copy["taskDefinition"]["taskDefinitionArn"],
    });
    ecs("UpdateService", update).await;
    let passes =
        |told: &Value| lines(told, "problems").into_iter().filter(|problem| problem.contains("iam:PassRole")).collect();
    let problems: Vec<String> = passes(&validate(&lab, &definition).1);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains(tasks) && problems[0].ends_with("name it in the engine's managed_arns.task_roles"),
        "{problems:?}"
    );
    allow(&lab, "spillway-prepare-candidate", &only("iam:PassRole", tasks)).await;
    assert_eq!(passes(&validate(&lab, &definition).1), Vec::<String>::new());
    lab.stop().await;
}
