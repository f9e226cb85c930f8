use std::time::{Duration, Instant};

use crate::support::{App, Lab, eventually};

/// Blue and green behind one sticky rule that sends everybody to green, and the cookie of a client there.
struct Pinned {
    lab: Lab,
    rule: String,
    blue: String,
    green: String,
    cookie: String,
    apps: [App; 2],
}

impl Pinned {
    async fn start(seconds: u32) -> Self {
        let apps = [App::start("blue").await, App::start("green").await];
        let lab = Lab::start().await;
        let (blue, green) = (lab.group("blue", &[apps[0].port]).await, lab.group("green", &[apps[1].port]).await);
        let rule = lab.rule(&[(&blue, 0), (&green, 100)], Some(seconds)).await;
        let reply = lab.get("/").await;
        assert_eq!(reply.text(), "green");
        let set = reply.headers["set-cookie"].to_str().unwrap();
        assert!(set.starts_with("AWSALBTG=") && set.contains(&format!("Max-Age={seconds};")), "{set}");
        let cookie = reply.cookie();
        lab.set_weights(&rule, &[(&blue, 100), (&green, 0)], Some(seconds)).await;
        Self { lab, rule, blue, green, cookie, apps }
    }

    /// Who answers the client with the cookie.
    async fn answer(&self) -> String {
        self.lab.get_as("/", Some(&self.cookie)).await.text()
    }
}

#[tokio::test]
async fn a_cookie_outlives_weight_zero() {
    let pinned = Pinned::start(60).await;
    for _ in 0..20 {
        assert_eq!(pinned.answer().await, "green");
        assert_eq!(pinned.lab.get("/").await.text(), "blue");
    }
}

#[tokio::test]
async fn a_cookie_ends_with_its_duration() {
    let start = Instant::now();
    let pinned = Pinned::start(2).await;
    eventually("the end of the cookie", async || pinned.answer().await == "blue").await;
    // A cookie expires at a whole second.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_pinned_client_has_no_fail_over() {
    let pinned = Pinned::start(60).await;
    pinned.lab.deregister(&pinned.green, pinned.apps[1].port).await;
    assert_eq!(pinned.lab.get_as("/", Some(&pinned.cookie)).await.status, 503);
    assert_eq!(pinned.lab.get("/").await.text(), "blue");
}

#[tokio::test]
async fn a_group_out_of_the_action_pins_nobody_until_it_is_back() {
    let pinned = Pinned::start(60).await;
    let Pinned { lab, rule, blue, green, cookie, .. } = &pinned;
    lab.set_weights(rule, &[(blue, 100)], Some(60)).await;
    let moved = lab.get_as("/", Some(cookie)).await;
    assert_eq!(moved.text(), "blue");
    lab.set_weights(rule, &[(blue, 100), (green, 0)], Some(60)).await;
    // Who sent nothing meanwhile still has the old cookie; who did got another.
    assert_eq!(pinned.answer().await, "green");
    assert_eq!(lab.get_as("/", Some(&moved.cookie())).await.text(), "blue");
}

#[tokio::test]
async fn without_stickiness_a_cookie_counts_for_nothing() {
    let pinned = Pinned::start(60).await;
    pinned.lab.set_weights(&pinned.rule, &[(&pinned.blue, 100), (&pinned.green, 0)], None).await;
    let reply = pinned.lab.get_as("/", Some(&pinned.cookie)).await;
    assert_eq!((reply.text().as_str(), reply.headers.get("set-cookie")), ("blue", None));
}
