//! How everything begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use spillway_asl::items::Items;
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{Action, ActionKind, FixedResponse, Forward, Stickiness, WeightedGroup};

use crate::cloud::{Capacity, Cloud};
use crate::machines::{MachineName, Machines};
use crate::setting::Setting;
use crate::steps;
use crate::universe::{Adversities, Universe};

/// How everything begins: all traffic on blue, and the release just started.
#[must_use]
pub fn beginning(setting: &Setting, machines: &Machines) -> Universe {
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let definition: Value = serde_json::from_str(&setting.definition).expect("JSON");
    // Each load balancer has a pair of groups of its own, and the routes behind them take turns.
    let blue = definition["slots"]["blue"]["target_groups"].as_array().expect("groups");
    let actions = |index: usize| {
        let arn = blue[index % blue.len()].as_str().unwrap_or_default();
        let arn = TargetGroupArn::parse(arn).expect("a group");
        let stickiness = setting.sticky.then_some(Stickiness { enabled: true, duration_seconds: Some(30) });
        let forward = Forward { groups: vec![WeightedGroup { arn, weight: 100 }], stickiness };
        let forward = Action { order: None, kind: ActionKind::Forward(forward) };
        // No route has both; it is as large as one that asks who a user is.
        let message_body = setting.bulky.then(|| "\"".repeat(1024));
        let bulk = message_body.map(|body| FixedResponse {
            status_code: "200".into(),
            message_body: Some(body),
            content_type: None,
        });
        let bulk = bulk.map(|response| Action { order: None, kind: ActionKind::FixedResponse(response) });
        Arc::new(bulk.into_iter().chain([forward]).collect::<Vec<Action>>())
    };
    let listed = |field: &str| -> Vec<Arc<str>> {
        definition[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
    };
    let users = listed("routes");
    let capacity = |desired, revision: &str| Capacity {
        desired,
        revision: revision.into(),
        deployment: 0,
        dead: false,
        died_at: None,
    };
    let testers = listed("test_routes");
    let all = users.iter().enumerate().chain(testers.iter().enumerate());
    let all = all.map(|(at, route)| (route.clone(), actions(at))).collect();
    let mut cloud = Cloud {
        routes: all,
        users,
        capacity: [capacity(2, "v1"), capacity(0, "v0")],
        scale_in_suspended: [setting.scaled.then_some(false); 2],
        requests: setting.requests,
        alarm: setting.alarm,
        sick: setting.sick.then(|| "first-revision".to_owned()),
        before: setting.stale.then(BTreeMap::new),
        believed: setting.blind.then(BTreeMap::new),
        ..Cloud::nothing()
    };
    cloud.edited(now - SignedDuration::from_hours(1));
    let mut universe = Universe {
        now,
        cloud,
        table: Items::new("service"),
        executions: Vec::new(),
        outliving: Vec::new(),
        adversities: Adversities::default(),
        fated: 0,
        approved: 0,
        pages: BTreeSet::new(),
    };
    steps::start(&mut universe, machines, MachineName::Release, "first", setting.input.clone());
    universe
}
