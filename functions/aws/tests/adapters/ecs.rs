//! ECS services and task definitions.

use std::sync::{Arc, Mutex};

use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, EphemeralStorage, IpcMode, NetworkMode, PidMode, ProxyConfiguration,
    RuntimePlatform, Tag, TaskDefinition, TaskDefinitionPlacementConstraint, Volume,
};
use serde_json::{Value, json};
use spillway_aws::compute::Ecs;
use spillway_aws::compute::task_definitions::{choose_container, registration};
use spillway_aws::ports::{EcsServices, TaskDefinitions};
use spillway_core::compute::{EcsDeployment, EcsState, Rollout};
use spillway_core::definition::{EcsName, EcsService};
use spillway_core::version::{Image, TaskDefinition as Revision};

use crate::double::{Answer, Double};

const FAMILY: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop";

fn service() -> EcsService {
    let name = |name: &str| EcsName::parse(name).unwrap();
    EcsService { cluster: name("main"), service: name("shop"), container: None }
}

fn image(digit: &str) -> Image {
    Image::parse(format!("registry/shop@sha256:{}", digit.repeat(64))).unwrap()
}

fn described() -> Value {
    json!({
        "serviceName": "shop",
        "status": "ACTIVE",
        "taskDefinition": format!("{FAMILY}:2"),
        "desiredCount": 4, "runningCount": 3, "pendingCount": 1,
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "deploymentConfiguration": {"strategy": "ROLLING"},
        "deployments": [
            {"id": "d2", "status": "PRIMARY", "taskDefinition": format!("{FAMILY}:2"), "rolloutState": "IN_PROGRESS",
             "rolloutStateReason": "going on"},
            {"id": "d1", "status": "ACTIVE", "taskDefinition": format!("{FAMILY}:1")},
        ],
    })
}

fn state() -> EcsState {
    let deployment = |id: &str, primary, revision, rollout, reason: &str| EcsDeployment {
        id: id.into(),
        primary,
        task_definition: format!("{FAMILY}:{revision}"),
        rollout,
        reason: reason.into(),
    };
    EcsState {
        task_definition: format!("{FAMILY}:2"),
        desired: 4,
        running: 3,
        pending: 1,
        deployments: vec![
            deployment("d2", true, 2, Some(Rollout::InProgress), "going on"),
            deployment("d1", false, 1, None, ""),
        ],
    }
}

#[tokio::test]
async fn a_service_is_read_and_asked_for_more() {
    let double = Double::start(|call| match call.action.as_str() {
        "DescribeServices" => Answer::json(&json!({"services": [described()]})),
        _ => Answer::json(&json!({"service": described()})),
    })
    .await;
    let ecs = Ecs::new(&double.config().await);
    assert_eq!(ecs.describe(&service()).await, Ok(state()));
    assert_eq!(ecs.update(&service(), Some("shop:2"), 4, false).await, Ok(state()));
    assert_eq!(ecs.update(&service(), None, 0, true).await, Ok(state()));
    let sent: Vec<Value> = double.calls().iter().map(crate::double::Call::json).collect();
    assert_eq!(
        sent,
        [
            json!({"cluster": "main", "services": ["shop"]}),
            json!({"cluster": "main", "service": "shop", "taskDefinition": "shop:2", "desiredCount": 4}),
            json!({"cluster": "main", "service": "shop", "desiredCount": 0, "forceNewDeployment": true}),
        ]
    );
}

#[tokio::test]
async fn services_that_a_release_cannot_use_are_refused() {
    let with = |pointer: &str, value: &str| {
        let mut service = described();
        *service.pointer_mut(pointer).unwrap() = json!(value);
        json!({"services": [service]})
    };
    for (answer, code, why) in [
        (json!({"services": [], "failures": [{"reason": "MISSING"}]}), "ServiceNotFoundException", "MISSING"),
        (with("/status", "INACTIVE"), "ServiceNotFoundException", "INACTIVE"),
        (with("/deploymentController/type", "CODE_DEPLOY"), "UnsupportedDeploymentController", "CODE_DEPLOY"),
        (with("/deploymentConfiguration/strategy", "BLUE_GREEN"), "UnsupportedDeploymentController", "BLUE_GREEN"),
        (with("/schedulingStrategy", "DAEMON"), "UnsupportedSchedulingStrategy", "DAEMON"),
        (with("/deployments/0/rolloutState", "ODD"), "InvalidAnswer", "ODD"),
    ] {
        let double = Double::start(move |_| Answer::json(&answer)).await;
        let error = Ecs::new(&double.config().await).describe(&service()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, false), "{error}");
        assert!(error.message.contains(why), "{error}");
    }
}

/// A registry of task definitions that begins with `shop:7`.
async fn registry(containers: &[&str]) -> Double {
    let containers: Vec<Value> =
        containers.iter().map(|name| json!({"name": name, "image": "old", "cpu": 0})).collect();
    let first = json!({
        "taskDefinition": {"taskDefinitionArn": format!("{FAMILY}:7"), "family": "shop", "revision": 7,
                           "status": "ACTIVE", "cpu": "256", "containerDefinitions": containers},
        "tags": [{"key": "team", "value": "checkout"}, {"key": "aws:cloudformation:stack-name", "value": "s"}],
    });
    let all = Arc::new(Mutex::new(vec![first]));
    Double::start(move |call| {
        let (mut all, asked) = (all.lock().unwrap(), call.json());
        let arn = |entry: &Value| entry["taskDefinition"]["taskDefinitionArn"].clone();
        match call.action.as_str() {
            "ListTaskDefinitions" => {
                Answer::json(&json!({"taskDefinitionArns": all.iter().rev().map(arn).collect::<Vec<_>>()}))
            }
            "DescribeTaskDefinition" => match all.iter().find(|entry| arn(entry) == asked["taskDefinition"]) {
                Some(entry) => Answer::json(entry),
                None => Answer::json_error("ClientException", "Unable to describe task definition."),
            },
            _ => {
                let mut definition = asked.clone();
                let revision = 7 + all.len();
                definition["taskDefinitionArn"] = json!(format!("{FAMILY}:{revision}"));
                definition["revision"] = json!(revision);
                definition["status"] = json!("ACTIVE");
                all.push(json!({"taskDefinition": definition, "tags": asked["tags"]}));
                Answer::json(&json!({"taskDefinition": definition}))
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_release_registers_one_revision_however_often_it_asks() {
    let double = registry(&["app"]).await;
    let ecs = Ecs::new(&double.config().await);
    let from = format!("{FAMILY}:7");
    let first = ecs.with_image("release-1", &from, None, &image("a")).await.unwrap();
    assert_eq!(first, format!("{FAMILY}:8"));
    assert_eq!(ecs.with_image("release-1", &from, None, &image("a")).await, Ok(first));
    assert_eq!(ecs.with_image("release-2", &from, Some("app"), &image("a")).await, Ok(format!("{FAMILY}:9")));
    assert_eq!(
        double.calls_of("RegisterTaskDefinition")[0].json(),
        json!({
            "family": "shop",
            "cpu": "256",
            "containerDefinitions": [{"name": "app", "image": image("a").as_str(), "cpu": 0}],
            "tags": [{"key": "team", "value": "checkout"}, {"key": "spillway:release", "value": "release-1"}],
        })
    );
    assert_eq!(double.calls_of("RegisterTaskDefinition").len(), 2);
}

#[tokio::test]
async fn an_unclear_container_registers_nothing() {
    let from = format!("{FAMILY}:7");
    for (containers, wanted, why) in [
        (&["app", "envoy"][..], None, "the task definition has app, envoy"),
        (&["app", "envoy"], Some("web"), "has no container web; it has app, envoy"),
        (&[], None, "the task definition has none"),
    ] {
        let double = registry(containers).await;
        let ecs = Ecs::new(&double.config().await);
        let error = ecs.with_image("release-1", &from, wanted, &image("a")).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), ("ContainerUnclear", false));
        assert!(error.message.contains(why), "{error}");
        assert_eq!(double.calls_of("RegisterTaskDefinition").len(), 0);
    }
}

#[tokio::test]
async fn a_revision_is_resolved_while_it_is_active() {
    let revision = Revision::parse("shop:7").unwrap();
    let answer = |status: &str| {
        let definition = json!({"taskDefinitionArn": format!("{FAMILY}:7"), "revision": 7, "status": status});
        Answer::json(&json!({"taskDefinition": definition}))
    };
    for (answer, expected) in [
        (answer("ACTIVE"), Ok(format!("{FAMILY}:7"))),
        (answer("INACTIVE"), Err("TaskDefinitionNotActive")),
        (Answer::json_error("ClientException", "Unable to describe task definition."), Err("ClientException")),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let resolved = Ecs::new(&double.config().await).resolve(&revision).await;
        assert_eq!(resolved.map_err(|error| error.code), expected.map_err(Into::into));
    }
}

#[tokio::test]
async fn two_registrations_at_once_may_be_tried_again() {
    let described = json!({"taskDefinition": {"taskDefinitionArn": format!("{FAMILY}:7"), "family": "shop",
        "revision": 7, "containerDefinitions": [{"name": "app"}]}});
    let double = Double::start(move |call| match call.action.as_str() {
        "DescribeTaskDefinition" => Answer::json(&described),
        "ListTaskDefinitions" => Answer::json(&json!({"taskDefinitionArns": []})),
        _ => Answer::json_error(
            "ClientException",
            "Too many concurrent attempts to create a new revision of the specified family.",
        ),
    })
    .await;
    let ecs = Ecs::new(&double.config().await);
    let error = ecs.with_image("release-1", &format!("{FAMILY}:7"), None, &image("a")).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), ("ClientException", true));
}

/// A task of two containers, with something of everything that there can be.
fn full() -> Value {
    serde_json::from_str(include_str!("task-definition.json")).unwrap()
}

/// What AWS describes is registered as it came, over the wire, but for one image and what AWS adds by itself.
#[tokio::test]
async fn a_task_definition_comes_through_as_it_was() {
    let mut described = full();
    for (field, value) in [
        ("taskDefinitionArn", json!(format!("{FAMILY}:7"))),
        ("revision", json!(7)),
        ("status", json!("ACTIVE")),
        ("requiresAttributes", json!([{"name": "ecs.capability.task-eni"}])),
        ("compatibilities", json!(["EC2", "FARGATE"])),
        ("registeredAt", json!(1700000000.0)),
        ("registeredBy", json!("arn:aws:iam::1:user/ann")),
    ] {
        described[field] = value;
    }
    let double = Double::start(move |call| match call.action.as_str() {
        "DescribeTaskDefinition" => Answer::json(&json!({"taskDefinition": described, "tags": []})),
        "ListTaskDefinitions" => Answer::json(&json!({"taskDefinitionArns": []})),
        _ => Answer::json(&json!({"taskDefinition": {"taskDefinitionArn": format!("{FAMILY}:8")}})),
    })
    .await;
    let ecs = Ecs::new(&double.config().await);
    ecs.with_image("release-1", &format!("{FAMILY}:7"), Some("app"), &image("a")).await.unwrap();
    let mut expected = full();
    expected["containerDefinitions"][0]["image"] = json!(image("a").as_str());
    expected["tags"] = json!([{"key": "spillway:release", "value": "release-1"}]);
    assert_eq!(double.calls_of("RegisterTaskDefinition")[0].json(), expected);
}

/// A field that a later SDK adds is missing here until it is copied.
#[test]
fn every_field_of_a_registration_is_set() {
    let full = TaskDefinition::builder()
        .family("shop")
        .task_role_arn("task")
        .execution_role_arn("execution")
        .network_mode(NetworkMode::Awsvpc)
        .container_definitions(ContainerDefinition::builder().name("app").build())
        .volumes(Volume::builder().name("data").build())
        .placement_constraints(TaskDefinitionPlacementConstraint::builder().expression("x").build())
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("256")
        .memory("512")
        .pid_mode(PidMode::Task)
        .ipc_mode(IpcMode::Task)
        .proxy_configuration(ProxyConfiguration::builder().container_name("envoy").build().unwrap())
        .set_inference_accelerators(Some(Vec::new()))
        .ephemeral_storage(EphemeralStorage::builder().size_in_gib(30).build())
        .runtime_platform(RuntimePlatform::builder().build())
        .enable_fault_injection(true)
        .build();
    let input = registration(&full, &[], 0, &image("b"), "release-3").build().unwrap();
    let shown = format!("{input:#?}");
    let unset: Vec<&str> =
        shown.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")).collect();
    assert!(unset.len() > 17, "{shown}");
    assert!(unset.iter().all(|line| !line.ends_with(": None,")), "{shown}");
}

#[test]
fn all_that_can_be_registered_is_copied() {
    let constraint = TaskDefinitionPlacementConstraint::builder().expression("attribute:x").build();
    let container = |name: &str| ContainerDefinition::builder().name(name).image("old").cpu(64).essential(true);
    let from = TaskDefinition::builder()
        .task_definition_arn("arn")
        .family("shop")
        .revision(7)
        .task_role_arn("task")
        .execution_role_arn("execution")
        .network_mode(NetworkMode::Awsvpc)
        .container_definitions(container("app").build())
        .container_definitions(container("envoy").build())
        .volumes(Volume::builder().name("data").build())
        .placement_constraints(constraint.clone())
        .requires_compatibilities(Compatibility::Fargate)
        .compatibilities(Compatibility::Ec2)
        .cpu("256")
        .memory("512")
        .pid_mode(PidMode::Task)
        .ipc_mode(IpcMode::Task)
        .proxy_configuration(ProxyConfiguration::builder().container_name("envoy").build().unwrap())
        .ephemeral_storage(EphemeralStorage::builder().size_in_gib(30).build())
        .runtime_platform(RuntimePlatform::builder().build())
        .enable_fault_injection(true)
        .build();
    assert_eq!(choose_container(from.container_definitions(), Some("envoy")), Ok(1));
    let tags = ["spillway:release", "AWS:reserved", "awscost"].map(|key| Tag::builder().key(key).value("v").build());
    let input = registration(&from, &tags, 1, &image("b"), "release-3").build().unwrap();
    assert_eq!(input.container_definitions()[0], container("app").build());
    assert_eq!(input.container_definitions()[1], container("envoy").image(image("b").as_str()).build());
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    assert_eq!(input.tags(), [tag("awscost", "v"), tag("spillway:release", "release-3")]);
    assert_eq!(input.placement_constraints(), [constraint]);
    assert_eq!(
        (input.family(), input.task_role_arn(), input.execution_role_arn(), input.cpu(), input.memory()),
        (Some("shop"), Some("task"), Some("execution"), Some("256"), Some("512"))
    );
    assert_eq!(
        (input.network_mode(), input.pid_mode(), input.ipc_mode(), input.volumes()),
        (from.network_mode(), from.pid_mode(), from.ipc_mode(), from.volumes())
    );
    assert_eq!(
        (input.proxy_configuration(), input.ephemeral_storage(), input.runtime_platform()),
        (from.proxy_configuration(), from.ephemeral_storage(), from.runtime_platform())
    );
    assert_eq!(input.requires_compatibilities(), [Compatibility::Fargate]);
    assert_eq!(input.enable_fault_injection(), Some(true));
}
