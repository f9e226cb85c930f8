use std::time::{Duration, Instant};

use crate::support::{Answer, App, Lab, borrowed, eventually, forward};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two applications, a group of each, and the rule that sends everything to blue.
async fn blue_and_green() -> (Lab, [App; 2], [String; 2], String) {
    let apps = [App::start("blue").await, App::start("green").await];
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[apps[0].port]).await, lab.group("green", &[apps[1].port]).await];
    let rule = lab.rule(&[(&groups[0], 1), (&groups[1], 0)], None).await;
    (lab, apps, groups, rule)
}

async fn told(lab: &Lab, rule: &str) -> Answer {
    lab.ok("DescribeRules", &[("RuleArns.member.1", rule)]).await
}

#[tokio::test]
async fn the_data_plane_follows_the_api_after_the_propagation_delay() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    lab.alb.faults().propagation_delay(SECOND);
    let changed = Instant::now();
    lab.set_weights(&rule, &[(&blue, 0), (&green, 1)], None).await;
    assert_eq!(told(&lab, &rule).await.all("Weight"), ["0", "1"]);
    eventually("propagated", async || lab.get("/").await.text() == "green").await;
    assert!(changed.elapsed() >= SECOND, "{:?}", changed.elapsed());
}

#[tokio::test]
async fn one_slow_route_holds_no_other_up() {
    let apps = [App::start("blue").await, App::start("green").await];
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[apps[0].port]).await, lab.group("green", &[apps[1].port]).await];
    let (before, after) = ([(groups[0].as_str(), 1), (&groups[1], 0)], [(groups[0].as_str(), 0), (&groups[1], 1)]);
    let slow = lab.rule_at(1, "/slow", &before, None).await;
    let fast = lab.rule_at(2, "/fast", &before, None).await;
    lab.set_default(&groups[0]).await;
    lab.alb.faults().propagation_delay_of(&slow, HOUR);
    lab.set_weights(&slow, &after, None).await;
    lab.set_weights(&fast, &after, None).await;
    lab.set_default(&groups[1]).await;
    for (path, app) in [("/slow", "blue"), ("/fast", "green"), ("/", "green")] {
        assert_eq!(lab.get(path).await.text(), app, "{path}");
    }
}

#[tokio::test]
async fn a_default_action_is_slow_by_its_listeners_arn() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    lab.ok("DeleteRule", &[("RuleArn", &rule)]).await;
    let other = lab.rule_at(1, "/other", &[(&blue, 1)], None).await;
    lab.set_default(&blue).await;
    lab.alb.faults().propagation_delay_of(&lab.listener, SECOND);
    let changed = Instant::now();
    lab.set_default(&green).await;
    lab.set_weights(&other, &[(&green, 1)], None).await;
    assert_eq!(lab.get("/other").await.text(), "green");
    eventually("propagated", async || lab.get("/").await.text() == "green").await;
    assert!(changed.elapsed() >= SECOND, "{:?}", changed.elapsed());
}

#[tokio::test]
async fn stale_reads_tell_the_previous_rule_while_the_data_plane_has_the_new_one() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    let gone = lab.rule_at(2, "/gone", &[(&blue, 1)], None).await;
    lab.alb.faults().stale_reads(HOUR);
    let mut change = forward(&[(&blue, 0), (&green, 9)], None);
    for (name, value) in [
        ("RuleArn", rule.as_str()),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", "/new*"),
    ] {
        change.push((name.to_owned(), value.to_owned()));
    }
    assert_eq!(lab.ok("ModifyRule", &borrowed(&change)).await.all("Weight"), ["0", "9"]);
    assert_eq!(lab.get("/new").await.text(), "green");
    assert_eq!(lab.alb.weights(&rule), Some(vec![(blue.clone(), 0), (green, 9)]));
    let of_listener = async || lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
    for answer in [told(&lab, &rule).await, of_listener().await] {
        assert_eq!(answer.all("Weight")[..2], ["1", "0"]);
        assert!(!answer.xml.contains("/new*"), "{}", answer.xml);
    }
    // What is created or deleted is told at once.
    lab.ok("DeleteRule", &[("RuleArn", &gone)]).await;
    let created = lab.rule_at(3, "/created", &[(&blue, 1)], None).await;
    assert_eq!(lab.elbv2("DescribeRules", &[("RuleArns.member.1", &gone)]).await.one("Code"), "RuleNotFound");
    assert_eq!(of_listener().await.all("RuleArn")[..2], [rule.clone(), created]);

    for delay in [Duration::ZERO, HOUR] {
        lab.alb.faults().stale_reads(delay);
        assert_eq!(told(&lab, &rule).await.all("Weight"), ["0", "9"]);
        assert!(of_listener().await.xml.contains("/new*"));
    }
}

#[tokio::test]
async fn stale_reads_tell_the_previous_default_actions() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    lab.ok("DeleteRule", &[("RuleArn", &rule)]).await;
    lab.set_default(&blue).await;
    lab.alb.faults().stale_reads(HOUR);
    lab.set_default(&green).await;
    assert_eq!(lab.get("/").await.text(), "green");
    let looks = async || {
        let listener = lab.ok("DescribeListeners", &[("ListenerArns.member.1", &lab.listener)]).await;
        let rules = lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
        [listener.one("TargetGroupArn"), rules.one("TargetGroupArn")]
    };
    assert_eq!(looks().await, [blue.clone(), blue]);
    lab.alb.faults().stale_reads(Duration::ZERO);
    assert_eq!(looks().await, [green.clone(), green]);
}

#[tokio::test]
async fn stale_reads_become_right_by_themselves() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    lab.alb.faults().stale_reads(SECOND);
    lab.alb.faults().propagation_delay(HOUR);
    let changed = Instant::now();
    lab.set_weights(&rule, &[(&blue, 0), (&green, 1)], None).await;
    eventually("told", async || told(&lab, &rule).await.all("Weight") == ["0", "1"]).await;
    assert!(changed.elapsed() >= SECOND, "{:?}", changed.elapsed());
    assert_eq!(lab.get("/").await.text(), "blue", "the data plane has a delay of its own");
}

#[tokio::test]
async fn a_group_just_released_cannot_be_deleted_yet() {
    let in_use = Some("ResourceInUse".to_owned());
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    let fresh = lab.group("fresh", &[]).await;
    lab.set_default(&green).await;
    lab.alb.faults().slow_release(HOUR);
    assert_eq!(lab.delete_group(&fresh).await, None, "no rule ever referred to it");
    lab.set_weights(&rule, &[(&blue, 1)], None).await;
    lab.set_default(&blue).await;
    assert_eq!(lab.delete_group(&green).await, in_use, "a rule and a listener were changed");
    lab.ok("DeleteRule", &[("RuleArn", &rule)]).await;
    lab.ok("DeleteListener", &[("ListenerArn", &lab.listener)]).await;
    assert_eq!(lab.delete_group(&blue).await, in_use, "a rule and a listener were deleted");
    lab.alb.faults().slow_release(Duration::ZERO);
    assert_eq!([lab.delete_group(&green).await, lab.delete_group(&blue).await], [None, None]);
}

#[tokio::test]
async fn a_group_is_released_after_a_while() {
    let (lab, _apps, [blue, green], rule) = blue_and_green().await;
    lab.alb.faults().slow_release(SECOND);
    let changed = Instant::now();
    lab.set_weights(&rule, &[(&blue, 1)], None).await;
    eventually("released", async || lab.delete_group(&green).await.is_none()).await;
    assert!(changed.elapsed() >= SECOND, "{:?}", changed.elapsed());
}
