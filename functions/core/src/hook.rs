//! Hooks: functions of the service's own that a release asks at named points, and goes on only if they say ok.
//!
//! An answer is `"ok"`, `"fail"` or `"wait"`, or an object with one of them as `result` and a `reason`. A hook that says
//! wait, cannot be called or answers nonsense is asked again at the next look, until its time is up; then it has failed. An
//! answer of more than 4000 characters is nonsense.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::RouteArn;
use crate::definition::ServiceName;
use crate::plan::Plan;
use crate::slot::Slot;
use crate::text::{checked_text, is_word};
use crate::version::Version;
use crate::weight::Percent;

checked_text!(
    /// ARN of a Lambda function, with or without a version or alias.
    FunctionArn,
    "the ARN of a Lambda function",
    "arn:aws:lambda:REGION:ACCOUNT:function:NAME, or that and :VERSION-OR-ALIAS",
    "^arn:aws[a-z-]*:lambda:[A-Za-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,140}(:[A-Za-z0-9$_-]{1,128})?$",
    is_function
);

fn is_function(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let [first, partition, service, region, account, kind, name, qualifier @ ..] = parts.as_slice() else {
        return false;
    };
    *first == "arn"
        && partition.starts_with("aws")
        && (*service, *kind) == ("lambda", "function")
        && is_word(region, 30, "-")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && is_word(name, 140, "-_")
        && match qualifier {
            [] => true,
            [one] => is_word(one, 128, "-_$"),
            _ => false,
        }
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The candidate is ready and no user has reached it; testers do, where there is a test route.
    BeforeTraffic,
    /// A step is over and found healthy.
    AfterStep,
    /// The next weight is 100 %; or, where the first one was that already, the release is about to be promoted.
    BeforePromotion,
    /// All traffic is back on the stable slot.
    AfterRollback,
    /// The candidate of external compute is to be deployed and scaled up.
    Provision,
    /// The stable slot of external compute is to be scaled up again, for a rollback. The hook is the one that provisions.
    Restore,
    /// A slot of external compute is to be scaled down: nothing gives it traffic any more.
    Retire,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BeforeTraffic => "before_traffic",
            Self::AfterStep => "after_step",
            Self::BeforePromotion => "before_promotion",
            Self::AfterRollback => "after_rollback",
            Self::Provision => "provision",
            Self::Restore => "restore",
            Self::Retire => "retire",
        })
    }
}

/// A function to ask.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The function, in the state machine's region, which must be allowed to invoke it. One call may take 60 s.
    pub function: FunctionArn,
    /// Seconds until it must have said ok, 1 to 86 400. Default 600.
    #[serde(default = "default_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
    pub timeout_seconds: u32,
}

fn default_timeout() -> u32 {
    600
}

/// The hooks of a service: none, or one for each point.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// Once the candidate is ready, before any user reaches it. A fail rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_traffic: Option<Hook>,
    /// After each step, before the next weight. A fail rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_step: Option<Hook>,
    /// Before the weight becomes 100 %, or, where that is the first step, at its end. A fail rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_promotion: Option<Hook>,
    /// After a rollback. A fail pages: traffic is back, and something is wrong all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_rollback: Option<Hook>,
    /// Of external compute: deploys the version to the candidate and scales it up, before anything else, and scales the
    /// stable slot up again where a rollback finds it without hosts. A fail rolls back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision: Option<Hook>,
    /// Of external compute: scales the slot without traffic down. A fail leaves it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retire: Option<Hook>,
}

impl Hooks {
    /// The hook of a point.
    #[must_use]
    pub fn at(&self, point: Point) -> Option<&Hook> {
        match point {
            Point::BeforeTraffic => self.before_traffic.as_ref(),
            Point::AfterStep => self.after_step.as_ref(),
            Point::BeforePromotion => self.before_promotion.as_ref(),
            Point::AfterRollback => self.after_rollback.as_ref(),
            Point::Provision | Point::Restore => self.provision.as_ref(),
            Point::Retire => self.retire.as_ref(),
        }
    }

    /// Those that there are, with their names in the definition.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Hook)> {
        let all = [
            ("before_traffic", &self.before_traffic),
            ("after_step", &self.after_step),
            ("before_promotion", &self.before_promotion),
            ("after_rollback", &self.after_rollback),
            ("provision", &self.provision),
            ("retire", &self.retire),
        ];
        all.into_iter().filter_map(|(name, hook)| Some((name, hook.as_ref()?)))
    }

    /// The longest, in seconds, that hooks can take before the first traffic.
    #[must_use]
    pub fn longest_seconds_before(&self) -> u64 {
        let hooks = [&self.provision, &self.before_traffic].into_iter().flatten();
        hooks.map(|hook| u64::from(hook.timeout_seconds)).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The longest, in seconds, that hooks can keep a release from going on while users are exposed.
    #[must_use]
    pub fn longest_seconds(&self, steps: usize) -> u64 {
        let seconds = |hook: &Option<Hook>| hook.as_ref().map_or(0, |hook| u64::from(hook.timeout_seconds));
        let steps = u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1);
        seconds(&self.after_step).saturating_mul(steps).saturating_add(seconds(&self.before_promotion))
    }
}

/// A hook that is waited for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pending {
    /// Which.
    pub point: Point,
    /// Since when.
    pub since: Timestamp,
}

/// What came of the last call of a hook, as the state machine hands it over.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Reply {
    /// The point that it was called at; `None` before any call.
    pub point: Option<Point>,
    /// Its answer as text, at most 4000 characters of it, or the error that the call ended with.
    pub answer: Value,
}

/// A call to make.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    /// The function.
    pub function: FunctionArn,
    /// What it is told.
    pub payload: Question,
}

/// What a hook is told.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Question {
    /// The point.
    pub point: Point,
    /// The service.
    pub service: ServiceName,
    /// The release's name.
    pub release: String,
    /// What is released.
    pub version: Version,
    /// The slot with the old version.
    pub stable: Slot,
    /// The slot with the new one.
    pub candidate: Slot,
    /// The candidate's weight in percent.
    pub weight: Percent,
    /// The routes that lead testers to the candidate.
    pub test_routes: Vec<RouteArn>,
    /// The slot to be scaled; at the points of external compute only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Targets that each of its target groups is to have, with the slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<u32>,
}

impl Call {
    /// The call of a point's hook, if there is one.
    #[must_use]
    pub fn of(plan: &Plan, release: &str, point: Point, weight: Percent) -> Option<Self> {
        let hook = plan.hooks.at(point)?;
        Some(Self {
            function: hook.function.clone(),
            payload: Question {
                point,
                service: plan.service.clone(),
                release: release.to_owned(),
                version: plan.version.clone(),
                stable: plan.stable.slot,
                candidate: plan.candidate.slot,
                weight,
                test_routes: plan.test_routes.iter().map(|route| route.arn.clone()).collect(),
                slot: None,
                targets: None,
            },
        })
    }

    /// The call of the hook that scales a slot, if there is one.
    #[must_use]
    pub fn scaling(plan: &Plan, release: &str, point: Point, slot: Slot, targets: u32) -> Option<Self> {
        let mut call = Self::of(plan, release, point, Percent::ZERO)?;
        (call.payload.slot, call.payload.targets) = (Some(slot), Some(targets));
        Some(call)
    }
}

/// Where a hook stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It said ok.
    Passed,
    /// It said fail, or its time is up: why.
    Failed(String),
    /// It is to be asked, for the first time or again: since when it is waited for, and what it said last.
    Ask(Pending, String),
}

/// Where the hook of a point stands, given the last reply.
#[must_use]
pub fn standing(hook: &Hook, point: Point, pending: Option<Pending>, reply: &Reply, now: Timestamp) -> Standing {
    let Some(pending) = pending.filter(|pending| pending.point == point) else {
        return Standing::Ask(Pending { point, since: now }, format!("asking the {point} hook"));
    };
    let words = if reply.point == Some(point) {
        match read(&reply.answer) {
            Answer::Ok => return Standing::Passed,
            Answer::Fail(reason) => return Standing::Failed(format!("the {point} hook says fail{reason}")),
            Answer::Wait(reason) => format!("the {point} hook {reason}"),
        }
    } else {
        format!("the {point} hook has not answered yet")
    };
    let waited = now.duration_since(pending.since).as_secs();
    if waited >= i64::from(hook.timeout_seconds) {
        return Standing::Failed(format!("no ok within {} s: {words}", hook.timeout_seconds));
    }
    Standing::Ask(pending, words)
}

enum Answer {
    Ok,
    Fail(String),
    Wait(String),
}

fn read(answer: &Value) -> Answer {
    let parsed: Option<Value> = answer.as_str().and_then(|text| serde_json::from_str(text).ok());
    // A text that is no object's means itself.
    let answer = parsed.as_ref().filter(|parsed| parsed.is_object() || parsed.is_null()).unwrap_or(answer);
    let reason = answer.get("reason").and_then(Value::as_str).map(|reason| format!(": {}", short(reason)));
    let reason = reason.unwrap_or_default();
    match answer.as_str().or_else(|| answer.get("result").and_then(Value::as_str)) {
        Some("ok") => Answer::Ok,
        Some("fail") => Answer::Fail(reason),
        Some("wait") => Answer::Wait(format!("says wait{reason}")),
        _ => match answer.get("Error").and_then(Value::as_str) {
            Some(error) => {
                let cause = answer.get("Cause").and_then(Value::as_str).unwrap_or_default();
                Answer::Wait(format!("cannot be called: {error} {}", short(cause)).trim_end().to_owned())
            }
            None => Answer::Wait(format!(
                "answered {}; allowed: ok, fail or wait, or an object with one of them as result",
                short(&answer.to_string())
            )),
        },
    }
}

/// Short enough for a line.
fn short(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        format!("{}...", text.chars().take(MOST).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_where_a_hook_stands() {
        let function = FunctionArn::parse("arn:aws:lambda:eu-west-1:123456789012:function:smoke:live").unwrap();
        let hook = Hook { function, timeout_seconds: 60 };
        let at = |second| Timestamp::from_second(second).unwrap();
        let point = Point::AfterStep;
        let pending = Pending { point, since: at(0) };
        let stands =
            |answer: Value, now| standing(&hook, point, Some(pending), &Reply { point: Some(point), answer }, at(now));
        assert_eq!(
            standing(&hook, point, None, &Reply::default(), at(9)),
            Standing::Ask(Pending { point, since: at(9) }, "asking the after_step hook".into())
        );
        assert_eq!(stands(json!("ok"), 99), Standing::Passed, "late is better than never");
        assert_eq!(stands(json!({"result": "ok"}), 1), Standing::Passed);
        assert_eq!(stands(json!(r#"{"result": "ok"}"#), 1), Standing::Passed, "as it comes");
        assert_eq!(
            stands(json!({"result": "fail", "reason": "cart is empty"}), 1),
            Standing::Failed("the after_step hook says fail: cart is empty".into())
        );
        for (answer, words) in [
            (json!("wait"), "says wait"),
            (json!({"result": "wait", "reason": "2 of 9"}), "says wait: 2 of 9"),
            (json!({"Error": "Lambda.Unknown", "Cause": "exit 1"}), "cannot be called: Lambda.Unknown exit 1"),
            (json!("null"), "answered null; allowed: ok, fail or wait, or an object with one of them as result"),
            (json!("17"), "answered \"17\"; allowed: ok, fail or wait, or an object with one of them as result"),
            (json!(null), "answered null; allowed: ok, fail or wait, or an object with one of them as result"),
            (
                json!({"result": "OK"}),
                "answered {\"result\":\"OK\"}; allowed: ok, fail or wait, or an object with one of them as result",
            ),
        ] {
            assert_eq!(stands(answer.clone(), 59), Standing::Ask(pending, format!("the after_step hook {words}")));
            assert_eq!(stands(answer, 60), Standing::Failed(format!("no ok within 60 s: the after_step hook {words}")));
        }
        // The answer to another point's call says nothing about this one.
        let other = Reply { point: Some(Point::BeforeTraffic), answer: json!("ok") };
        assert!(matches!(standing(&hook, point, Some(pending), &other, at(1)), Standing::Ask(..)));
    }

    #[test]
    fn takes_arns_of_functions_only() {
        for ok in [
            "arn:aws:lambda:eu-west-1:123456789012:function:a_b-c",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:x:$LATEST",
        ] {
            assert!(FunctionArn::parse(ok).is_ok(), "{ok}");
        }
        for bad in [
            "smoke",
            "arn:aws:lambda:eu-west-1:123456789012:layer:x",
            "arn:aws:lambda:eu-west-1:12:function:x",
            "arn:aws:lambda:eu-west-1:123456789012:function:x:y:z",
        ] {
            assert!(FunctionArn::parse(bad).is_err(), "{bad}");
        }
    }
}
