use spillway_lab_alb::{Actions, TokenBucket};

use crate::support::{Lab, borrowed, forward};

#[tokio::test]
async fn throttled_calls_do_nothing() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    let rule = lab.rule(&[(&group, 1)], None).await;
    lab.alb.faults().throttle("ModifyRule", Some(TokenBucket { burst: 1, refill_per_second: 0.0 }));
    lab.set_weights(&rule, &[(&group, 2)], None).await;
    let mut parameters = forward(&[(&group, 3)], None);
    parameters.push(("RuleArn".to_owned(), rule.clone()));
    let answer = lab.elbv2("ModifyRule", &borrowed(&parameters)).await;
    assert_eq!(answer.status, 400);
    assert_eq!((answer.one("Code").as_str(), answer.one("Message").as_str()), ("Throttling", "Rate exceeded"));
    assert_eq!(lab.alb.weights(&rule), Some(vec![(group.clone(), 2)]));
    lab.ok("DescribeRules", &[("RuleArns.member.1", &rule)]).await;
    lab.alb.faults().throttle(Actions::All, Some(TokenBucket { burst: 0, refill_per_second: 0.0 }));
    assert_eq!(lab.elbv2("DescribeRules", &[("RuleArns.member.1", &rule)]).await.one("Code"), "Throttling");
    lab.alb.faults().throttle(Actions::All, None);
    lab.alb.faults().throttle("ModifyRule", None);
    lab.set_weights(&rule, &[(&group, 3)], None).await;
}

#[tokio::test]
async fn a_lost_response_has_had_its_effect() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    let rule = lab.rule(&[(&group, 1)], None).await;
    lab.alb.faults().lose_response("ModifyRule", 1);
    let mut parameters = forward(&[(&group, 7)], None);
    parameters.push(("RuleArn".to_owned(), rule.clone()));
    assert!(lab.try_elbv2("ModifyRule", &borrowed(&parameters)).await.is_none());
    assert_eq!(lab.alb.weights(&rule), Some(vec![(group.clone(), 7)]));
    lab.set_weights(&rule, &[(&group, 8)], None).await;
    let calls = lab.alb.requests_seen();
    let modified: Vec<_> = calls.iter().filter(|call| call.action == "ModifyRule").collect();
    assert_eq!(modified.len(), 2);
    assert!(modified.iter().all(|call| call.resource.as_ref() == Some(&rule) && call.error.is_none()));
}

#[tokio::test]
async fn failures_can_be_asked_for() {
    let lab = Lab::start().await;
    lab.alb.faults().fail_next("DescribeRules", 1, "ServiceUnavailable", "come back <later>");
    let answer = lab.elbv2("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
    assert_eq!((answer.status.as_u16(), answer.one("Code").as_str()), (503, "ServiceUnavailable"));
    assert_eq!(answer.one("Message"), "come back &lt;later&gt;");
    lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
}
