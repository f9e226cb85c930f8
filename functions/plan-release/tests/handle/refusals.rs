use super::*;

#[tokio::test]
async fn what_was_asked_for_must_make_sense() {
    let world = World::of_shop();
    for (request, expected) in [
        (json!({"service": "shop"}), "missing field `version`"),
        (json!({"service": "shop", "version": {"image": "shop:latest"}}), "by digest"),
        (json!({"service": "shop", "version": "2"}), "version:"),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"stabel": "blue"}}),
            "unknown field `stabel`",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"strategy": {"approval_at": []}}}),
            "overrides: strategy.approval_at: not for one release alone",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"strategy": {"type": "yolo"}}}),
            "overrides: strategy: with it the service definition has 1 problem",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"without_stable": " "}}),
            "a reason in words",
        ),
        (json!({"service": "shop", "version": {"opaque": "2"}, "overide": {}}), "unknown field `overide`"),
        (json!({"service": "shop", "version": {"launch_template_version": "2"}}), "cannot be brought onto ECS service"),
        (json!([]), "input:"),
        (release(&json!({"without_stable": "x".repeat(1025)})), "1025 characters; allowed: a reason of at most 1024"),
        (release(&json!({"stable": "x".repeat(9000)})), "allowed: 8192"),
        (
            json!({"service": "shop", "version": {"task_definition": "shop:ecs:task-definition/shop:1"}}),
            "FAMILY:REVISION or arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION",
        ),
    ] {
        let error = plan(&world, &definition(), request.clone()).await.unwrap_err();
        assert_eq!(error.name(), "ReleaseRefused", "{request}");
        assert!(error.to_string().contains(expected), "{request}: {error}");
    }
    assert!(world.state().changes.is_empty());
}

/// A revision of another account is no more welcome than a definition that names one.
#[tokio::test]
async fn a_strangers_task_definition_is_refused() {
    let world = World::of_shop();
    let here = "arn:aws:states:eu-west-1:123456789012:execution:release:7";
    let ask = async |account: &str, homes: &[String]| {
        let revision = format!("arn:aws:ecs:eu-west-1:{account}:task-definition/shop:7");
        let request = json!({"service": "shop", "version": {"task_definition": revision}});
        let lease = Lease { owner: here.into(), ..lease() };
        let event = Event { lease, definition: definition().to_string(), request, conflict: None };
        handle(&world, &world, &world, &world, homes, now, event).await
    };
    let error = ask("999999999999", &[]).await.unwrap_err();
    assert!(error.to_string().contains("version.task_definition"), "{error}");
    assert!(ask("123456789012", &[]).await.is_ok());
    assert!(ask("999999999999", &["eu-west-1:999999999999".to_owned()]).await.is_ok());
}

#[tokio::test]
async fn an_invalid_definition_lists_its_problems() {
    let world = World::of_shop();
    let mut broken = definition();
    broken["strategy"]["type"] = json!("yolo");
    broken["routes"][0] = json!("nowhere");
    let error = plan(&world, &broken, release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "InvalidDefinition");
    assert!(error.to_string().contains("strategy.type") && error.to_string().contains("routes[0]"), "{error}");

    let mut other = definition();
    other["service"] = json!("shoe");
    let error = plan(&world, &other, release(&json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("\"shoe\""), "{error}");
}

/// Everything that speaks against starting, whatever it is about, and what to do.
#[tokio::test]
async fn every_reason_not_to_start_is_told_at_once() {
    let world = World::of_shop();
    world.state().targets.insert(group("blue").as_str().into(), vec![TargetState::Unhealthy]);
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.add("green Payments Sum", ago(600), 1.0);
    let request = json!({"service": "shop", "version": {"launch_template_version": "2"}});
    let error = plan(&world, &watched(), request).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused");
    let Error::Refused(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.0.len(), 5, "{error}");
    for reason in [
        "cannot be brought onto ECS service",
        "has no healthy target in",
        "health.alarms[0]: arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop is in ALARM; clear it first",
        "health.alarms[1]: arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop-slow does not exist; create it",
        "health.metrics[0].count: CloudWatch knows no metric Declined in Shop",
    ] {
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    assert!(world.state().changes.is_empty());
}

/// Reasons of the request and of the routes do not hide those of the alarms.
#[tokio::test]
async fn reasons_of_all_kinds_are_told_together() {
    let world = with_routes(&[("stranger", 1)], &[("blue", 1)]);
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.state().alarms.insert("shop-slow".into(), AlarmState::Ok);
    let request = json!({"service": "shop", "version": {"image": "shop:latest"}});
    let error = plan(&world, &watched(), request).await.unwrap_err().to_string();
    for reason in ["by digest", "forwards to neither slot", "is in ALARM", "knows no metric Declined in Shop"] {
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn an_alarm_without_a_say_or_without_data_is_a_warning() {
    use AlarmState::{Alarm, InsufficientData, Missing};
    for (state, policy, dry_run, expected) in [
        (InsufficientData, "hold", false, Ok("alarm shop: INSUFFICIENT_DATA; unless that changes")),
        (InsufficientData, "ignore", false, Ok("alarm shop: INSUFFICIENT_DATA, which the definition ignores")),
        (InsufficientData, "rollback", false, Err("wait until it has data")),
        (Alarm, "hold", true, Ok("alarm shop: in ALARM, and has no say")),
        (Missing, "hold", true, Ok("alarm shop: does not exist, and has no say")),
    ] {
        let world = World::of_shop();
        world.state().alarms.insert("shop".into(), state);
        let mut definition = definition();
        definition["health"]["alarms"] = json!([{"arn": ALARM, "on_insufficient_data": policy, "dry_run": dry_run}]);
        match (plan(&world, &definition, release(&json!({}))).await, expected) {
            (Ok(output), Ok(warning)) => {
                assert!(output.plan.warnings.iter().any(|text| text.contains(warning)), "{:?}", output.plan.warnings);
            }
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            (result, expected) => panic!("{state:?} {policy}: {result:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_for_now_is_worth_another_attempt() {
    for operation in ["GetMetricData", "DescribeAlarms", "DescribeRules", "DescribeTargetHealth"] {
        let world = World::of_shop();
        world.state().alarms.insert("shop".into(), AlarmState::Ok);
        world.plan_fault(Fault::before(operation, "", throttled(operation)));
        let mut definition = definition();
        definition["health"]["alarms"] = json!([{"arn": ALARM}]);
        let error = plan(&world, &definition, release(&json!({}))).await.unwrap_err();
        assert_eq!(error.name(), "Unavailable", "{operation}: {error}");
        assert!(plan(&world, &definition, release(&json!({}))).await.is_ok());
    }
    let world = World::of_shop();
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.plan_fault(Fault::before("GetMetricData", "", rejected("GetMetricData", "", "AccessDenied")));
    let mut watched = definition();
    watched["health"]["alarms"] = json!([{"arn": ALARM}]);
    let error = plan(&world, &watched, release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused", "{error}");
    assert!(error.to_string().contains("AccessDenied") && error.to_string().contains("is in ALARM"), "{error}");

    let world = World::of_shop();
    world.state().routes.clear();
    let error = plan(&world, &definition(), release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused");
    assert_eq!(error.to_string().matches("cannot be read").count(), 2, "{error}");
}

/// Beside every other reason.
#[tokio::test]
async fn nothing_starts_in_a_freeze() {
    for (own, all, frozen) in [
        (Some(freeze(now() + SignedDuration::from_secs(1))), None, true),
        (None, Some(freeze(now() + SignedDuration::from_secs(1))), true),
        (Some(freeze(now())), Some(freeze(ago(1))), false),
    ] {
        let world = World::of_shop();
        world.state().leases.get_mut("shop").unwrap().freeze.clone_from(&own);
        world.state().freeze_of_all.clone_from(&all);
        let outcome = plan(&world, &definition(), json!({"service": "shop", "version": {"opaque": ""}})).await;
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains("version: "), "{text}");
        assert_eq!(text.contains("frozen by ann until 2027-01-15T08:00:01Z: the sale"), frozen, "{text}");
    }
}

/// Every ARN that a definition names, of another account or region.
#[tokio::test]
async fn what_is_of_another_account_is_refused_unless_allowed() {
    const HOOK: &str = "arn:aws:lambda:eu-west-1:123456789012:function:smoke";
    let mut definition = definition();
    definition["hooks"] = json!({"before_traffic": {"function": HOOK}});
    definition["slots"]["blue"]["compute"]["ecs_service"]["cluster"] =
        json!("arn:aws:ecs:eu-west-1:123456789012:cluster/lab");
    let told = async |owner: &str, homes: &[String]| {
        let lease = Lease { owner: owner.into(), ..lease() };
        let event = Event { lease, definition: definition.to_string(), request: release(&Value::Null), conflict: None };
        let world = World::of_shop();
        handle(&world, &world, &world, &world, homes, now, event).await.err().map(|error| error.to_string())
    };
    let at = |home: &str| format!("arn:aws:states:{home}:execution:release:r");
    assert_eq!(told(&at("eu-west-1:123456789012"), &[]).await, None);
    for home in ["us-east-1:123456789012", "eu-west-1:999999999999"] {
        let text = told(&at(home), &[]).await.unwrap();
        for path in [
            "routes[0]",
            "routes[1]",
            "slots.blue.target_groups[0]",
            "slots.blue.compute.ecs_service.cluster",
            "slots.green.target_groups[0]",
            "hooks.before_traffic.function",
        ] {
            assert!(text.contains(&format!("{path}: arn:aws:")), "{path}: {text}");
        }
        assert!(text.contains(&format!("allowed: {home}, or those")), "{text}");
        assert_eq!(told(&at(home), &["eu-west-1:123456789012".into()]).await, None);
    }
}
