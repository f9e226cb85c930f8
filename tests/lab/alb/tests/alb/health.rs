use std::time::{Duration, Instant};

use spillway_lab_alb::{Settings, free_port};

use crate::support::{App, Lab, eventually};

fn is(state: &str, reason: &str) -> Vec<(String, String)> {
    vec![(state.to_owned(), reason.to_owned())]
}

#[tokio::test]
async fn attaching_at_weight_zero_makes_health_checks_start() {
    let (blue, green) = (App::start("blue").await, App::start("green").await);
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[blue.port]).await, lab.group("green", &[green.port]).await];
    let rule = lab.rule(&[(&groups[0], 100)], None).await;
    lab.until_healthy(&groups[0]).await;
    assert_eq!(lab.health(&groups[1]).await, is("unused", "Target.NotInUse"));
    let describe =
        async || lab.ok("DescribeTargetGroups", &[("Names.member.1", "green")]).await.one("LoadBalancerArns");
    assert_eq!(describe().await, "");
    lab.set_weights(&rule, &[(&groups[0], 100), (&groups[1], 0)], None).await;
    assert_eq!(lab.health(&groups[1]).await[0].0, "initial");
    assert!(describe().await.contains(&lab.load_balancer));
    lab.until_healthy(&groups[1]).await;
    assert_eq!(green.served(), 0);
    lab.set_weights(&rule, &[(&groups[0], 100)], None).await;
    assert_eq!(lab.health(&groups[1]).await, is("unused", "Target.NotInUse"));
}

#[tokio::test]
async fn a_new_target_tells_what_it_waits_for() {
    let app = App::start("blue").await;
    app.answer_health_checks(500);
    for (health_check_interval, reason) in [
        (Duration::from_hours(1), "Elb.RegistrationInProgress"),
        (Duration::from_millis(200), "Elb.InitialHealthChecking"),
    ] {
        let lab = Lab::with(Settings { health_check_interval, ..Settings::default() }).await;
        let group = lab.group("blue", &[app.port]).await;
        let patient = [("TargetGroupArn", group.as_str()), ("UnhealthyThresholdCount", "10")];
        lab.ok("ModifyTargetGroup", &patient).await;
        lab.rule(&[(&group, 1)], None).await;
        eventually(reason, async || lab.health(&group).await == is("initial", reason)).await;
    }
}

#[tokio::test]
async fn failures_tell_their_reasons() {
    let app = App::start("blue").await;
    app.answer_health_checks(503);
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[app.port]).await, lab.group("dead", &[free_port()]).await];
    lab.rule(&[(&groups[0], 1), (&groups[1], 1)], None).await;
    for (group, reason) in [(&groups[0], "Target.ResponseCodeMismatch"), (&groups[1], "Target.FailedHealthChecks")] {
        lab.until_state(group, "unhealthy").await;
        assert_eq!(lab.health(group).await, is("unhealthy", reason));
    }
    app.answer_health_checks(200);
    lab.until_healthy(&groups[0]).await;
    let matcher = [("TargetGroupArn", groups[0].as_str()), ("Matcher.HttpCode", "201-204")];
    lab.ok("ModifyTargetGroup", &matcher).await;
    lab.until_state(&groups[0], "unhealthy").await;
}

#[tokio::test]
async fn an_address_that_is_not_on_loopback_times_out() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    let target = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", "10.0.0.1")];
    lab.ok("RegisterTargets", &target).await;
    lab.rule(&[(&group, 1)], None).await;
    lab.until_state(&group, "unhealthy").await;
    assert_eq!(lab.health(&group).await, is("unhealthy", "Target.Timeout"));
    assert_eq!(lab.get("/").await.status, 504);
}

#[tokio::test]
async fn a_deregistered_target_drains_and_a_stranger_is_not_registered() {
    let app = App::start("blue").await;
    let lab = Lab::start().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    lab.until_healthy(&group).await;
    lab.deregister(&group, app.port).await;
    assert_eq!(lab.health(&group).await, is("draining", "Target.DeregistrationInProgress"));
    assert_eq!(lab.get("/").await.status, 503);
    lab.register(&group, app.port).await;
    assert_eq!(lab.health(&group).await[0].0, "initial");
    lab.deregister(&group, app.port).await;
    eventually("drained", async || lab.health(&group).await.is_empty()).await;
    let stranger = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", "127.0.0.9")];
    let answer = lab.ok("DescribeTargetHealth", &stranger).await;
    assert_eq!((answer.one("State"), answer.one("Reason")), ("unused".to_owned(), "Target.NotRegistered".to_owned()));
}

#[tokio::test]
async fn a_target_drains_for_the_deregistration_delay_and_finishes_what_it_has() {
    let app = App::start("blue").await;
    app.delay(Duration::from_millis(300));
    let delay = Duration::from_secs(1);
    let lab = Lab::with(Settings { deregistration_delay: delay, ..Settings::default() }).await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    let deregister = async {
        eventually("a request in flight", async || app.served() == 1).await;
        let start = Instant::now();
        lab.deregister(&group, app.port).await;
        start
    };
    let (reply, start) = tokio::join!(lab.get("/"), deregister);
    assert_eq!(reply.text(), "blue");
    eventually("drained", async || lab.health(&group).await.is_empty()).await;
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
}
