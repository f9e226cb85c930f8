//! IAM's policy simulator.

use spillway_aws::permissions::Simulator;

use crate::double::{Answer, Double};

const ROLE: &str = "arn:aws:iam::123456789012:role/spillway-shift-weight";

#[tokio::test]
async fn a_role_is_there_or_not() {
    let double = Double::start(|call| match call.form()["RoleName"].as_str() {
        "there" => Answer::xml(
            "GetRole",
            &format!(
                "<Role><Path>/</Path><RoleName>there</RoleName><RoleId>A</RoleId><Arn>{ROLE}</Arn>\
                 <CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>"
            ),
        ),
        "none" => Answer::xml_error(404, "NoSuchEntity", "no such role"),
        "busy" => Answer::xml_error(400, "Throttling", "Rate exceeded"),
        _ => Answer::xml_error(403, "AccessDenied", "not authorized"),
    })
    .await;
    let simulator = Simulator::new(&double.config().await);
    assert_eq!(simulator.role("there").await.unwrap().as_deref(), Some(ROLE));
    assert_eq!(simulator.role("none").await.unwrap(), None);
    for (name, code, transient) in [("busy", "Throttling", true), ("denied", "AccessDenied", false)] {
        let error = simulator.role(name).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.subject.as_str(), error.transient), (code, name, transient), "{error}");
    }
}

/// One action on one resource has one result; and the tag that counts is told to the simulator.
#[tokio::test]
async fn a_permission_is_asked_with_its_tag() {
    let double = Double::start(|call| {
        let result = |decision: &str| {
            format!("<member><EvalActionName>a</EvalActionName><EvalDecision>{decision}</EvalDecision></member>")
        };
        let results = match call.form()["ResourceArns.member.1"].as_str() {
            "allowed" => result("allowed"),
            "denied" => result("implicitDeny"),
            "explicit" => result("explicitDeny"),
            "two" => result("allowed") + &result("allowed"),
            "busy" => return Answer::xml_error(400, "Throttling", "Rate exceeded"),
            _ => String::new(),
        };
        Answer::xml(&call.action, &format!("<EvaluationResults>{results}</EvaluationResults>"))
    })
    .await;
    let simulator = Simulator::new(&double.config().await);
    let tag = Some(("aws:ResourceTag/spillway:managed", "true"));
    for (resource, expected) in [("allowed", true), ("denied", false), ("explicit", false)] {
        assert_eq!(simulator.may(ROLE, "ecs:UpdateService", resource, tag).await, Ok(expected), "{resource}");
    }
    let asked = double.calls()[0].form();
    for (name, value) in [
        ("PolicySourceArn", ROLE),
        ("ActionNames.member.1", "ecs:UpdateService"),
        ("ContextEntries.member.1.ContextKeyName", "aws:ResourceTag/spillway:managed"),
        ("ContextEntries.member.1.ContextKeyValues.member.1", "true"),
        ("ContextEntries.member.1.ContextKeyType", "string"),
    ] {
        assert_eq!(asked[name], value, "{asked:?}");
    }
    // No result is no permission and no refusal.
    for (resource, code, transient) in
        [("two", "InvalidAnswer", false), ("none", "InvalidAnswer", false), ("busy", "Throttling", true)]
    {
        let error = simulator.may(ROLE, "ecs:UpdateService", resource, None).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, transient), "{error}");
    }
    assert!(!double.calls().last().unwrap().form().keys().any(|name| name.starts_with("ContextEntries")));
}
