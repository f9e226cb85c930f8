use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::cloudwatch::{call, parse, query, request, serving, sum, values};
use crate::support::{App, eventually};

#[tokio::test]
async fn late_metrics_come_later_and_dropped_ones_are_an_error() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    lab.alb.faults().metric_delay(Duration::from_hours(1));
    lab.get("/").await;
    let seen = async || sum(&lab, Some(&group), "RequestCount").await;
    let second = Timestamp::now().as_second();
    eventually("the period is over", async || Timestamp::now().as_second() > second).await;
    assert_eq!(seen().await, 0.0);
    lab.alb.faults().metric_delay(Duration::ZERO);
    assert_eq!(seen().await, 1.0);
    lab.alb.faults().drop_metrics(true);
    let reply = call(&lab, &request(&[query(&lab, "a", Some(&group), "RequestCount", "Sum")])).await;
    assert_eq!(reply.status, 500);
    assert!(parse(&reply)["__type"].as_str().unwrap().ends_with("#InternalServiceFault"));
    lab.alb.faults().drop_metrics(false);
    assert_eq!(seen().await, 1.0);
}

#[tokio::test]
async fn errors_can_come_later_than_the_requests() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    app.answer(500);
    lab.alb.faults().metric_delay_of("HTTPCode_Target_5XX_Count", Duration::from_hours(1));
    lab.get("/").await;
    eventually("the request", async || sum(&lab, Some(&group), "RequestCount").await == 1.0).await;
    let errors = async || sum(&lab, Some(&group), "HTTPCode_Target_5XX_Count").await;
    let second = Timestamp::now().as_second();
    eventually("the period of the answer is over", async || Timestamp::now().as_second() > second).await;
    assert_eq!(errors().await, 0.0);
    lab.alb.faults().metric_delay_of("HTTPCode_Target_5XX_Count", Duration::ZERO);
    assert_eq!(errors().await, 1.0);
}

#[tokio::test]
async fn a_first_look_sees_a_part_and_a_later_one_all() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    for status in [200, 200, 500, 200, 200, 200, 200, 200] {
        app.answer(status);
        lab.get("/").await;
    }
    // One period that takes all of them in; a minute would have to be over first.
    let all = async || {
        let queries = [
            query(&lab, "requests", Some(&group), "RequestCount", "Sum"),
            query(&lab, "errors", Some(&group), "HTTPCode_Target_5XX_Count", "Sum"),
            query(&lab, "times", Some(&group), "TargetResponseTime", "SampleCount"),
        ]
        .map(|mut query| {
            query["MetricStat"]["Period"] = 5.into();
            query
        });
        let values = values(&lab, &queries).await;
        ["requests", "errors", "times"].map(|id| values[id].iter().sum::<f64>())
    };
    eventually("all periods are over", async || all().await == [8.0, 1.0, 8.0]).await;
    lab.alb.faults().revise_metrics(0.5, Duration::from_hours(1));
    let [requests, errors, times] = all().await;
    assert!((3.0..=4.0).contains(&requests) && (3.0..=4.0).contains(&times), "{requests} {times}");
    assert_eq!(errors, 0.0);
    lab.alb.faults().revise_metrics(0.5, Duration::ZERO);
    assert_eq!(all().await, [8.0, 1.0, 8.0]);
}

#[tokio::test]
async fn partial_data_come_without_a_way_on_and_then_whole() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    lab.get("/").await;
    eventually("the request", async || sum(&lab, Some(&group), "RequestCount").await == 1.0).await;
    let queries = ["requests", "again"].map(|id| query(&lab, id, Some(&group), "RequestCount", "Sum"));
    let look = async || {
        let answer = parse(&call(&lab, &request(&queries)).await);
        assert!(answer["NextToken"].is_null());
        let results = answer["MetricDataResults"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let statuses: Vec<String> = results.iter().map(|result| text(&result["StatusCode"])).collect();
        (statuses, results[0]["Values"].as_array().unwrap().len())
    };
    // The first of two points is half of a page, and there is no token for the other.
    lab.alb.faults().page_size(Some(1));
    lab.alb.faults().partial_data(2);
    for _ in 0..2 {
        assert_eq!(look().await, (vec!["PartialData".to_owned(); 2], 0));
    }
    lab.alb.faults().page_size(None);
    assert_eq!(look().await, (vec!["Complete".to_owned(); 2], 1));
}
