//! Calls that fail, and the environment that says where calls go.

use std::process::Command;
use std::time::Duration;

use spillway_aws::error::ApiError;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::ports::Routes;
use spillway_core::arn::RouteArn;

use crate::double::{Answer, Double, config};

fn rule() -> RouteArn {
    RouteArn::parse("arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/1/2/3").unwrap()
}

async fn failure(answer: Answer) -> (ApiError, usize) {
    let double = Double::start(move |_| answer.clone()).await;
    let error = LoadBalancers::new(&double.config().await).write(&rule(), &[]).await.unwrap_err();
    (error, double.calls().len())
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_then_reported_as_transient() {
    let slow = Answer::xml("ModifyRule", "").after(Duration::from_secs(5));
    for (answer, code, transient, attempts) in [
        (Answer::xml_error(400, "Throttling", "Rate exceeded"), "Throttling", true, 2),
        (Answer::xml_error(400, "RequestLimitExceeded", "Rate exceeded"), "RequestLimitExceeded", true, 2),
        (Answer::xml_error(503, "ServiceUnavailable", "later"), "ServiceUnavailable", true, 2),
        (Answer::garbage(502), "InvalidAnswer", true, 2),
        (Answer::garbage(200), "InvalidAnswer", true, 1),
        (Answer::garbage(413), "InvalidAnswer", false, 1),
        (slow, "Timeout", true, 2),
        (Answer::xml_error(400, "ValidationError", "bad"), "ValidationError", false, 1),
        (Answer::xml_error(403, "AccessDenied", "no"), "AccessDenied", false, 1),
    ] {
        let (error, calls) = failure(answer).await;
        assert_eq!((error.code.as_str(), error.transient, calls), (code, transient, attempts), "{error}");
        assert_eq!((error.operation, error.subject.as_str()), ("ModifyRule", rule().as_str()));
    }
}

#[tokio::test]
async fn a_lost_connection_is_told_with_its_causes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = LoadBalancers::new(&config(&url).await).read(&rule()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), ("Connection", true));
    assert!(error.message.contains("Connection refused"), "{error}");
}

/// Not a test by itself: calls with what the environment says.
#[tokio::test]
async fn child_of_the_environment() {
    if std::env::var_os("SPILLWAY_TEST_CHILD").is_some() {
        let balancers = LoadBalancers::new(&spillway_aws::client::sdk_config().await);
        let error = balancers.read(&rule()).await.unwrap_err();
        assert_eq!(error.code, "Throttling");
    }
}

#[tokio::test]
async fn the_environment_names_endpoints_credentials_and_attempts() {
    let double = Double::start(|_| Answer::xml_error(400, "Throttling", "Rate exceeded")).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "failures::child_of_the_environment"])
        .env("SPILLWAY_TEST_CHILD", "1")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "A")
        .env("AWS_SECRET_ACCESS_KEY", "S")
        .env("AWS_MAX_ATTEMPTS", "1")
        // Nothing listens on the discard port.
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", double.url());
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(double.calls().len(), 1);
}
