//! Application Auto Scaling of ECS services.

use serde_json::{Value, json};
use spillway_aws::compute::AutoScaling;
use spillway_aws::compute::scalable_targets::resource_id;
use spillway_aws::ports::ScalableTargets;
use spillway_core::definition::EcsService;

use crate::double::{Answer, Call, Double};

fn service() -> EcsService {
    serde_json::from_value(json!({"cluster": "main", "service": "shop"})).unwrap()
}

/// A target with this suspended state, unless it is none.
async fn registered(suspended: Value) -> Double {
    Double::start(move |call| match (call.action.as_str(), &suspended) {
        ("DescribeScalableTargets", Value::Null) => Answer::json(&json!({"ScalableTargets": []})),
        ("DescribeScalableTargets", suspended) => Answer::json(&json!({"ScalableTargets": [{
            "ServiceNamespace": "ecs", "ResourceId": "service/main/shop", "ScalableDimension": "ecs:service:DesiredCount",
            "MinCapacity": 2, "MaxCapacity": 9, "RoleARN": "arn:aws:iam::1:role/scaling", "CreationTime": 1.0,
            "SuspendedState": suspended,
        }]})),
        ("RegisterScalableTarget", _) => Answer::json(&json!({"ScalableTargetARN": "arn"})),
        (other, _) => panic!("{other}"),
    })
    .await
}

#[test]
fn a_target_is_named_by_names() {
    for (cluster, service) in [
        ("main", "shop"),
        ("arn:aws:ecs:eu-west-1:123456789012:cluster/main", "arn:aws:ecs:eu-west-1:123456789012:service/main/shop"),
        ("main", "arn:aws:ecs:eu-west-1:123456789012:service/shop"),
    ] {
        let service = serde_json::from_value(json!({"cluster": cluster, "service": service})).unwrap();
        assert_eq!(resource_id(&service), "service/main/shop");
    }
}

#[tokio::test]
async fn scale_in_is_suspended_and_nothing_else() {
    for (found, suspended) in [
        (Value::Null, None),
        (json!({}), Some(false)),
        (json!({"DynamicScalingInSuspended": false, "ScheduledScalingSuspended": true}), Some(false)),
        (json!({"DynamicScalingInSuspended": true}), Some(true)),
    ] {
        let double = registered(found.clone()).await;
        let compute = AutoScaling::new(&double.config().await);
        assert_eq!(compute.scale_in_suspended(&service()).await, Ok(suspended), "{found}");
        compute.suspend_scale_in(&service(), true).await.unwrap();
        let sent: Vec<Value> = double.calls_of("RegisterScalableTarget").iter().map(Call::json).collect();
        let scheduled = found["ScheduledScalingSuspended"] == true;
        let expected = json!({"ServiceNamespace": "ecs", "ResourceId": "service/main/shop",
            "ScalableDimension": "ecs:service:DesiredCount", "SuspendedState": {"DynamicScalingInSuspended": true,
            "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": scheduled}});
        // Nothing is registered where nothing was.
        assert_eq!(sent, if suspended.is_some() { vec![expected] } else { Vec::new() });
    }
}

#[tokio::test]
async fn an_update_at_the_same_time_may_be_tried_again() {
    let double = Double::start(|_| Answer::json_error("ConcurrentUpdateException", "another update")).await;
    let error = AutoScaling::new(&double.config().await).scale_in_suspended(&service()).await.unwrap_err();
    assert!(error.transient, "{error}");
}
