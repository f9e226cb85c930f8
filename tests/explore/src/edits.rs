//! What people and strangers do to routes and leases.

use std::sync::Arc;

use serde_json::{Value, json};
use spillway_asl::items::Item;
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{ActionKind, WeightedGroup};

use crate::machines::MachineName;
use crate::setting::{group, route, version};
use crate::steps::later;
use crate::universe::Universe;

/// The item with the freeze of all services.
pub(crate) const ALL: &str = "*";

/// A stranger's edit: a group of their own in the first route.
pub(crate) fn stranger(universe: &mut Universe) {
    let arn = TargetGroupArn::parse(group("strange")).expect("a group");
    let Some(actions) = universe.cloud.routes.get_mut(&*route(1)) else { return };
    if let ActionKind::Forward(forward) = &mut Arc::make_mut(actions)[0].kind {
        forward.groups.retain(|group| group.arn != arn);
        forward.groups.push(WeightedGroup { arn, weight: 10 });
    }
    universe.cloud.edited(universe.now);
}

/// A stranger deletes the second route.
pub(crate) fn delete_route(universe: &mut Universe) {
    universe.cloud.routes.remove(&*route(2));
    universe.cloud.edited(universe.now);
}

/// Someone else's name in the lease, as after a restored backup.
pub(crate) fn take_lease(universe: &mut Universe) {
    let intent = version('9').to_string();
    let lease = |item: &mut Item| {
        item.insert("intent".into(), json!({"S": intent}));
        item.insert("owner".into(), json!({"S": MachineName::Release.execution("unknown")}));
        raise(item);
    };
    edit(universe, lease);
}

/// The fence is raised, and nothing else.
pub(crate) fn raise_fence(universe: &mut Universe) {
    edit(universe, raise);
}

/// The fence is taken out.
pub(crate) fn remove_fence(universe: &mut Universe) {
    edit(universe, |item| {
        item.remove("fence");
    });
}

fn raise(item: &mut Item) {
    let fence = item
        .get("fence")
        .and_then(|fence| fence["N"].as_str())
        .and_then(|fence| fence.parse::<u64>().ok())
        .unwrap_or(0);
    item.insert("fence".into(), json!({"N": (fence + 1).to_string()}));
}

/// A name in the lease that is no execution's.
pub(crate) fn scribble(universe: &mut Universe) {
    edit(universe, |item| {
        item.insert("owner".into(), json!({"S": "somebody"}));
    });
}

/// What is written over the end of the lease: no time, and one that is never come to.
pub(crate) const ENDLESS: [&str; 2] = ["tomorrow", "2999-01-01T00:00:00Z"];

/// Something else is written over the end of the lease.
pub(crate) fn end_lease(universe: &mut Universe, until: &str) {
    edit(universe, |item| {
        item.insert("lease_until".into(), json!({"S": until}));
    });
}

/// Something else is written over the plan by which the promoted release could be undone.
pub(crate) fn spoil_plan(universe: &mut Universe) {
    edit(universe, |item| {
        item.insert("promoted_plan".into(), json!({"S": "{"}));
    });
}

/// A freeze of the service, for so many seconds.
pub(crate) fn freeze(universe: &mut Universe, seconds: i64) {
    let freeze = frozen(universe, seconds);
    edit(universe, |item| {
        item.insert("freeze".into(), freeze);
    });
}

/// A freeze of all services, for so many seconds.
pub(crate) fn freeze_all(universe: &mut Universe, seconds: i64) {
    let item =
        Item::from_iter([("service".to_owned(), json!({"S": ALL})), ("freeze".to_owned(), frozen(universe, seconds))]);
    universe.table.items.insert(ALL.into(), Arc::new(item));
}

fn frozen(universe: &Universe, seconds: i64) -> Value {
    let until = spillway_asl::eval::timestamp(later(universe.now, seconds));
    json!({"M": {"reason": {"S": "sale"}, "owner": {"S": "shop"}, "until": {"S": until}}})
}

/// The owner is taken out of the lease.
pub(crate) fn vacate(universe: &mut Universe) {
    edit(universe, |item| {
        item.remove("owner");
    });
}

/// Someone has held the lease, given all traffic back, and freed it.
pub(crate) fn return_lease(universe: &mut Universe) {
    for actions in universe.cloud.routes.values_mut() {
        for action in Arc::make_mut(actions) {
            if let ActionKind::Forward(forward) = &mut action.kind {
                for slot in &mut forward.groups {
                    slot.weight = if slot.arn.name() == "blue" { 100 } else { 0 };
                }
            }
        }
    }
    universe.cloud.edited(universe.now);
    vacate(universe);
    raise_fence(universe);
}

/// The whole lease is deleted.
pub(crate) fn delete_lease(universe: &mut Universe) {
    universe.table.items.remove("shop");
}

/// Someone else's name in the queue: a release that is newer than any.
pub(crate) fn take_queue(universe: &mut Universe) {
    let since = spillway_asl::eval::timestamp(later(universe.now, 1));
    let waiting = json!({"M": {
        "execution": {"S": MachineName::Release.execution("unknown")},
        "intent": {"S": version('9').to_string()},
        "since": {"S": since},
        "supersede": {"BOOL": false},
        "token": {"S": "unknown"},
    }});
    edit(universe, |item| {
        item.insert("waiting".into(), waiting);
    });
}

/// An operator's word.
pub(crate) fn command(universe: &mut Universe, word: &str) {
    edit(universe, |item| {
        item.insert("command".into(), json!({"S": word}));
    });
}

fn edit(universe: &mut Universe, change: impl FnOnce(&mut Item)) {
    if let Some(item) = universe.table.items.get_mut("shop") {
        change(Arc::make_mut(item));
    }
}
