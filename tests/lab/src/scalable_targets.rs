//! Application Auto Scaling as far as releases need it, which ministack lacks: scalable targets of ECS services and whether
//! their scaling is suspended. Nothing scales by itself. As in AWS, a target that exists keeps what a registration leaves
//! out, and a new one needs its capacities.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::agent::lock;
use crate::aws::{ACCOUNT, REGION};

/// What an `X-Amz-Target` of this API begins with.
pub(crate) const TARGET: &str = "AnyScaleFrontendService.";

/// All scalable targets, by resource id.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScalableTargets(Arc<Mutex<BTreeMap<String, Value>>>);

impl ScalableTargets {
    pub(crate) fn register(&self, id: &str) {
        let request = json!({"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "ResourceId": id,
            "MinCapacity": 1, "MaxCapacity": 10});
        self.answer("RegisterScalableTarget", &request).ok();
    }

    pub(crate) fn scale_in_suspended(&self, id: &str) -> Option<bool> {
        lock(&self.0).get(id).and_then(|target| target["SuspendedState"]["DynamicScalingInSuspended"].as_bool())
    }

    pub(crate) fn serve(&self, target: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let request = serde_json::from_slice(body).unwrap_or_default();
        let (status, body) = match self.answer(target.trim_start_matches(TARGET), &request) {
            Ok(body) => (StatusCode::OK, body),
            Err(message) => (StatusCode::BAD_REQUEST, json!({"__type": "ValidationException", "message": message})),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response
    }

    fn answer(&self, operation: &str, request: &Value) -> Result<Value, String> {
        let mut targets = lock(&self.0);
        match operation {
            "DescribeScalableTargets" => {
                let wanted = request["ResourceIds"].as_array();
                let is_wanted = |id: &&String| wanted.is_none_or(|ids| ids.iter().any(|wanted| wanted == id.as_str()));
                let found: Vec<&Value> = targets.keys().filter(is_wanted).map(|id| &targets[id]).collect();
                Ok(json!({"ScalableTargets": found}))
            }
            "RegisterScalableTarget" => {
                let id = request["ResourceId"].as_str().ok_or("ResourceId is missing")?;
                let bounded = request["MinCapacity"].is_u64() && request["MaxCapacity"].is_u64();
                if !targets.contains_key(id) && !bounded {
                    return Err("a new scalable target needs MinCapacity and MaxCapacity".into());
                }
                let target = targets.entry(id.to_owned()).or_insert_with(|| {
                    json!({"CreationTime": 1_767_225_600, "RoleARN": format!("arn:aws:iam::{ACCOUNT}:role/scaling"),
                        "ScalableTargetARN": arn(id),
                        "SuspendedState": {"DynamicScalingInSuspended": false, "DynamicScalingOutSuspended": false,
                            "ScheduledScalingSuspended": false}})
                });
                for (field, value) in request.as_object().into_iter().flatten() {
                    target[field] = value.clone();
                }
                Ok(json!({"ScalableTargetARN": arn(id)}))
            }
            other => Err(format!("the lab's Application Auto Scaling has no {other}")),
        }
    }
}

fn arn(id: &str) -> String {
    format!("arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/{}", id.replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_keeps_what_it_leaves_out() {
        let targets = ScalableTargets::default();
        let suspend = json!({"ResourceId": "service/lab/shop", "SuspendedState": {"DynamicScalingInSuspended": true}});
        assert!(targets.answer("RegisterScalableTarget", &suspend).is_err(), "nothing to keep");
        assert_eq!(targets.scale_in_suspended("service/lab/shop"), None);
        targets.register("service/lab/shop");
        assert_eq!(targets.scale_in_suspended("service/lab/shop"), Some(false));
        targets.answer("RegisterScalableTarget", &suspend).unwrap();
        assert_eq!(targets.scale_in_suspended("service/lab/shop"), Some(true));
        let of = |id: &str| targets.answer("DescribeScalableTargets", &json!({"ResourceIds": [id]})).unwrap();
        assert_eq!(of("service/lab/shop")["ScalableTargets"][0]["MaxCapacity"], 10);
        assert_eq!(of("service/lab/other"), json!({"ScalableTargets": []}));
    }
}
