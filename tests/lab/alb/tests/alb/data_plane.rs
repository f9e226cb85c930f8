use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use spillway_lab_alb::{Counts, ElbCounts, Settings, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{App, Client, Lab, eventually, send};

#[tokio::test]
async fn requests_are_split_by_weight() {
    let (blue, green) = (App::start("blue").await, App::start("green").await);
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[blue.port]).await, lab.group("green", &[green.port]).await];
    lab.rule(&[(&groups[0], 90), (&groups[1], 10)], None).await;
    lab.until_healthy(&groups[0]).await;
    lab.until_healthy(&groups[1]).await;
    let mut client = Client::connect(([127, 0, 0, 1], lab.port).into()).await;
    for _ in 0..2000 {
        assert_eq!(client.get().await.status, 200);
    }
    // 200 expected, standard deviation 13.4: five of them on either side.
    let green_share = lab.alb.counts(&groups[1]).requests;
    assert!((133..=267).contains(&green_share), "{green_share}");
    assert_eq!(lab.alb.counts(&groups[0]).requests + green_share, 2000);
    assert_eq!((blue.served(), green.served()), (2000 - green_share, green_share));
    let expected = Counts { requests: green_share, http_2xx: green_share, ..Counts::default() };
    assert_eq!(lab.alb.counts(&groups[1]), expected);
    assert_eq!(lab.alb.elb_counts(&lab.load_balancer), ElbCounts { requests: 2000, elb_5xx: 0 });
}

#[tokio::test]
async fn weight_zero_gets_nothing() {
    let (blue, green) = (App::start("blue").await, App::start("green").await);
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[blue.port]).await, lab.group("green", &[green.port]).await];
    let rule = lab.rule(&[(&groups[0], 1), (&groups[1], 0)], None).await;
    let mut client = Client::connect(([127, 0, 0, 1], lab.port).into()).await;
    for _ in 0..200 {
        assert_eq!(client.get().await.text(), "blue");
    }
    assert_eq!(green.served(), 0);
    lab.set_weights(&rule, &[(&groups[0], 0), (&groups[1], 0)], None).await;
    assert_eq!(client.get().await.status, 503);
}

#[tokio::test]
async fn an_empty_group_keeps_its_share_and_fails_at_the_load_balancer_only() {
    let blue = App::start("blue").await;
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[blue.port]).await, lab.group("green", &[]).await];
    lab.rule(&[(&groups[0], 1), (&groups[1], 1)], None).await;
    let mut failed = 0;
    for _ in 0..100 {
        let status = lab.get("/").await.status;
        assert!(status == 200 || status == 503);
        failed += u64::from(status == 503);
    }
    // 50 expected, standard deviation 5.
    assert!((25..=75).contains(&failed), "{failed}");
    assert_eq!(lab.alb.counts(&groups[1]), Counts::default());
    assert_eq!(lab.alb.elb_counts(&lab.load_balancer), ElbCounts { requests: 100, elb_5xx: failed });
}

#[tokio::test]
async fn there_is_no_fail_over_from_a_dead_group() {
    let blue = App::start("blue").await;
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[blue.port]).await, lab.group("green", &[free_port()]).await];
    lab.rule(&[(&groups[0], 1), (&groups[1], 1)], None).await;
    lab.until_healthy(&groups[0]).await;
    lab.until_state(&groups[1], "unhealthy").await;
    let mut failed = 0;
    for _ in 0..100 {
        let status = lab.get("/").await.status;
        assert!(status == 200 || status == 502);
        failed += u64::from(status == 502);
    }
    // 50 expected, standard deviation 5.
    assert!((25..=75).contains(&failed), "{failed}");
    assert_eq!(lab.alb.counts(&groups[1]).requests, failed);
}

#[tokio::test]
async fn with_no_healthy_target_all_get_requests() {
    let apps = [App::start("a").await, App::start("b").await];
    let lab = Lab::start().await;
    let group = lab.group("blue", &[apps[0].port, apps[1].port]).await;
    lab.rule(&[(&group, 1)], None).await;
    for app in &apps {
        app.answer_health_checks(500);
    }
    lab.until_state(&group, "unhealthy").await;
    for _ in 0..10 {
        assert_eq!(lab.get("/").await.status, 200);
    }
    assert_eq!((apps[0].served(), apps[1].served()), (5, 5));
    apps[0].answer_health_checks(200);
    eventually("one healthy target", async || lab.health(&group).await.iter().any(|(state, _)| state == "healthy"))
        .await;
    for _ in 0..10 {
        assert_eq!(lab.get("/").await.text(), "a");
    }
}

#[tokio::test]
async fn draining_and_new_weights_lose_no_request() {
    let apps = [App::start("a").await, App::start("b").await, App::start("c").await];
    for app in &apps {
        app.delay(Duration::from_millis(15));
    }
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[apps[0].port, apps[1].port]).await, lab.group("green", &[apps[2].port]).await];
    let rule = lab.rule(&[(&groups[0], 100), (&groups[1], 0)], None).await;
    lab.until_healthy(&groups[0]).await;
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (done, port) = (Arc::clone(&done), lab.port);
            tokio::spawn(async move {
                let mut client = Client::connect(([127, 0, 0, 1], port).into()).await;
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.get().await.status, 200);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let served = |app: usize, more: u64| {
        let enough = apps[app].served() + more;
        let apps = &apps;
        async move { eventually("more requests", async || apps[app].served() >= enough).await }
    };
    served(1, 20).await;
    lab.deregister(&groups[0], apps[1].port).await;
    assert!(lab.health(&groups[0]).await.iter().any(|(state, _)| state == "draining"));
    let before = apps[1].served();
    served(0, 50).await;
    // What was on its way to the target when it was deregistered may still have arrived.
    assert!(apps[1].served() <= before + 8, "a draining target got new requests");
    for weight in (0..=100).step_by(10) {
        lab.set_weights(&rule, &[(&groups[0], 100 - weight), (&groups[1], weight)], None).await;
        served(if weight < 50 { 0 } else { 2 }, 5).await;
    }
    eventually("drained", async || lab.health(&groups[0]).await.len() == 1).await;
    done.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert_eq!(lab.alb.elb_counts(&lab.load_balancer), ElbCounts { requests: answered, elb_5xx: 0 });
}

#[tokio::test]
async fn dead_and_slow_targets_are_502_and_504() {
    let app = App::start("slow").await;
    app.delay(Duration::from_secs(5));
    let lab = Lab::with(Settings { idle_timeout: Duration::from_millis(100), ..Settings::default() }).await;
    let group = lab.group("blue", &[free_port()]).await;
    lab.rule(&[(&group, 1)], None).await;
    assert_eq!(lab.get("/").await.status, 502);
    let expected = Counts { requests: 1, connection_errors: 1, ..Counts::default() };
    assert_eq!(lab.alb.counts(&group), expected);
    let slow = lab.group("slow", &[app.port]).await;
    let rules = lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
    lab.set_weights(&rules.one("RuleArn"), &[(&slow, 1)], None).await;
    assert_eq!(lab.get("/").await.status, 504);
    assert_eq!(lab.alb.counts(&slow), Counts { requests: 1, ..Counts::default() });
    assert_eq!(lab.alb.elb_counts(&lab.load_balancer), ElbCounts { requests: 2, elb_5xx: 2 });
}

/// A target that closes idle connections without announcing it, as many servers do after a while.
#[tokio::test]
async fn a_pooled_connection_that_the_target_closed_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
            });
        }
    });
    let lab = Lab::start().await;
    let group = lab.group("blue", &[port]).await;
    lab.rule(&[(&group, 1)], None).await;
    let mut client = Client::connect(([127, 0, 0, 1], lab.port).into()).await;
    for _ in 0..300 {
        assert_eq!(client.get().await.status, 200);
    }
}

#[tokio::test]
async fn bodies_and_headers_arrive_with_those_an_alb_adds() {
    let app = App::start("blue").await;
    let lab = Lab::start().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    let request = Request::post("/echo")
        .header("host", "shop.example:8080")
        .header("x-forwarded-for", "203.0.113.7")
        .header("connection", "x-secret")
        .header("x-secret", "s")
        .body("a body".repeat(10_000))
        .unwrap();
    let reply = send(([127, 0, 0, 1], lab.port).into(), request).await.unwrap();
    let text = reply.text();
    let (headers, body) = text.split_once('\n').unwrap();
    assert_eq!(body, "a body".repeat(10_000));
    for part in [
        r#""x-forwarded-for": "203.0.113.7, 127.0.0.1""#,
        r#""x-forwarded-proto": "http""#,
        r#""x-forwarded-port": "8080""#,
        r#""x-amzn-trace-id": "Root=1-"#,
        r#""host": "shop.example:8080""#,
    ] {
        assert!(headers.contains(part), "{part} in {headers}");
    }
    assert!(!headers.contains("x-secret"));
}

#[tokio::test]
async fn rules_go_by_priority_and_default_actions_come_last() {
    let lab = Lab::start().await;
    for (priority, pattern, status) in [("20", "/a*", "418"), ("10", "/ab*", "202")] {
        let parameters = [
            ("ListenerArn", lab.listener.as_str()),
            ("Priority", priority),
            ("Conditions.member.1.Field", "path-pattern"),
            ("Conditions.member.1.PathPatternConfig.Values.member.1", pattern),
            ("Actions.member.1.Type", "fixed-response"),
            ("Actions.member.1.FixedResponseConfig.StatusCode", status),
        ];
        lab.ok("CreateRule", &parameters).await;
    }
    assert_eq!(lab.get("/abc").await.status, 202);
    assert_eq!(lab.get("/ac").await.status, 418);
    let reply = lab.get("/b").await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (404, "nobody here"));
}

#[tokio::test]
async fn dropping_it_frees_its_ports() {
    let lab = Lab::start().await;
    let port = lab.port;
    drop(lab);
    eventually("the port is free", async || TcpListener::bind(("127.0.0.1", port)).await.is_ok()).await;
}
