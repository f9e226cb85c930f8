//! Metrics.

use ciborium::Value;
use jiff::Timestamp;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::ports::{Alarms, Metrics};
use spillway_core::arn::{AlarmArn, LoadBalancerDimension, TargetGroupArn};
use spillway_core::metrics::{Metric, Query, Series, Statistic, Subject, Window};
use spillway_core::plan::{AlarmState, PlannedGroup};

use crate::double::{Answer, Call, Double};

const START: i64 = 1_700_000_040;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn window() -> Window {
    Window { start: at(0), end: at(180), period_seconds: 60 }
}

fn queries(count: usize) -> Vec<Query> {
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/a";
    let group = PlannedGroup {
        arn: TargetGroupArn::parse(arn).unwrap(),
        load_balancer: LoadBalancerDimension::try_from("app/shop/1".to_owned()).unwrap(),
    };
    (0..count)
        .map(|index| Query {
            subject: Subject::Group {
                metric: Metric::OF_GROUPS[index % 6],
                load_balancer: group.load_balancer.clone(),
                group: group.arn.clone(),
                zone: None,
            },
            statistic: Statistic::Sum,
        })
        .collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn map(members: Vec<(&str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn result(id: &str, status: &str, points: &[(i64, f64)]) -> Value {
    let time = |point: &(i64, f64)| Value::Tag(1, Box::new(Value::Integer((START + point.0).into())));
    map(vec![
        ("Id", text(id)),
        ("StatusCode", text(status)),
        ("Timestamps", Value::Array(points.iter().map(time).collect())),
        ("Values", Value::Array(points.iter().map(|point| Value::Float(point.1)).collect())),
    ])
}

fn page(results: Vec<Value>, next: Option<&str>) -> Answer {
    let mut members = vec![("MetricDataResults", Value::Array(results))];
    members.extend(next.map(|token| ("NextToken", text(token))));
    Answer::cbor(&map(members))
}

fn token(call: &Call) -> Option<String> {
    member(&call.cbor(), "NextToken").and_then(Value::as_text).map(Into::into)
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_put_together() {
    let double = Double::start(|call| match token(call).as_deref() {
        None => page(vec![result("m0", "PartialData", &[(0, 1.0)]), result("stray", "Forbidden", &[])], Some("2")),
        Some("2") => page(vec![result("m0", "Complete", &[(60, 2.0), (180, 9.0)])], Some("3")),
        _ => page(vec![result("m1", "Complete", &[])], None),
    })
    .await;
    let series = CloudWatch::new(&double.config().await).values(window(), &queries(2)).await.unwrap();
    assert_eq!(series, [Series::from([(at(0), 1.0), (at(60), 2.0)]), Series::new()]);

    let sent = double.calls()[0].cbor();
    let dimension = |name, value| map(vec![("Name", text(name)), ("Value", text(value))]);
    let metric = map(vec![
        ("Namespace", text("AWS/ApplicationELB")),
        ("MetricName", text("HTTPCode_Target_2XX_Count")),
        (
            "Dimensions",
            Value::Array(vec![dimension("LoadBalancer", "app/shop/1"), dimension("TargetGroup", "targetgroup/blue/a")]),
        ),
    ]);
    let second = &member(&sent, "MetricDataQueries").unwrap().as_array().unwrap()[1];
    let stat = member(second, "MetricStat").unwrap();
    assert_eq!(member(stat, "Metric"), Some(&metric));
    assert_eq!(member(stat, "Stat"), Some(&text("Sum")));
    assert_eq!(member(stat, "Period"), Some(&Value::Integer(60.into())));
    assert_eq!(member(&sent, "ScanBy"), Some(&text("TimestampAscending")));
    for (name, second) in [("StartTime", 0), ("EndTime", 180)] {
        let Some(Value::Tag(1, time)) = member(&sent, name) else { panic!("{sent:?}") };
        let seconds = time.as_float().or(time.as_integer().map(|integer| i128::from(integer) as f64));
        assert_eq!(seconds, Some((START + second) as f64), "{name}");
    }
}

#[tokio::test]
async fn a_load_balancer_as_a_whole_has_one_dimension() {
    let double = Double::start(|_| page(vec![result("m0", "Complete", &[(0, 7.0)])], None)).await;
    let load_balancer = LoadBalancerDimension::try_from("app/shop/1".to_owned()).unwrap();
    let subject = Subject::LoadBalancer { metric: Metric::LoadBalancer5xx, load_balancer };
    let query = Query { subject, statistic: Statistic::CountAbove(0.25) };
    let series = CloudWatch::new(&double.config().await).values(window(), &[query]).await.unwrap();
    assert_eq!(series, [Series::from([(at(0), 7.0)])]);
    let sent = double.calls()[0].cbor();
    let stat = member(&member(&sent, "MetricDataQueries").unwrap().as_array().unwrap()[0], "MetricStat").unwrap();
    assert_eq!(member(stat, "Stat"), Some(&text("TC(0.25:)")));
    let metric = member(stat, "Metric").unwrap();
    assert_eq!(member(metric, "MetricName"), Some(&text("HTTPCode_ELB_5XX_Count")));
    let dimension = map(vec![("Name", text("LoadBalancer")), ("Value", text("app/shop/1"))]);
    assert_eq!(member(metric, "Dimensions"), Some(&Value::Array(vec![dimension])));
}

#[tokio::test]
async fn what_is_not_complete_is_an_error() {
    let complete = || result("m0", "Complete", &[(0, 1.0)]);
    for (answer, code, transient) in [
        (page(vec![complete()], None), "PartialData", true),
        (page(vec![complete(), result("m1", "PartialData", &[])], None), "PartialData", true),
        (page(vec![complete(), result("m1", "InternalError", &[])], None), "InternalError", true),
        (page(vec![complete(), result("m1", "Forbidden", &[])], None), "Forbidden", false),
        (page(vec![complete(), result("m1", "Sideways", &[])], None), "InvalidAnswer", false),
        (page(vec![complete()], Some("same")), "InvalidAnswer", false),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let error = CloudWatch::new(&double.config().await).values(window(), &queries(2)).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, transient), "{error}");
    }
}

#[tokio::test]
async fn many_queries_go_in_several_calls_and_none_in_no_call() {
    let double = Double::start(|call| {
        let asked = member(&call.cbor(), "MetricDataQueries").unwrap().as_array().unwrap().len();
        let results = (0..asked).map(|index| result(&format!("m{index}"), "Complete", &[(0, asked as f64)]));
        page(results.collect(), None)
    })
    .await;
    let cloudwatch = CloudWatch::new(&double.config().await);
    let empty = Window { end: window().start, ..window() };
    assert_eq!(cloudwatch.values(empty, &queries(2)).await, Ok(vec![Series::new(); 2]));
    assert_eq!(cloudwatch.values(window(), &[]).await, Ok(vec![]));
    assert_eq!(double.calls().len(), 0);

    let series = cloudwatch.values(window(), &queries(501)).await.unwrap();
    let firsts: Vec<f64> = series.iter().map(|series| series[&at(0)]).collect();
    assert_eq!((firsts[0], firsts[499], firsts[500], firsts.len()), (500.0, 500.0, 1.0, 501));
}

fn custom() -> Query {
    let dimensions = [("Slot".to_owned(), "blue".to_owned()), ("Kind".to_owned(), "card".to_owned())].into();
    let subject = Subject::Custom { namespace: "Shop".into(), metric: "Declined".into(), dimensions };
    Query { subject, statistic: Statistic::Sum }
}

/// `ListMetrics` tells of all metrics that have at least the dimensions asked for.
#[tokio::test]
async fn a_metric_exists_with_its_dimensions_and_no_others() {
    let metric = |dimensions: &[(&str, &str)]| {
        let dimension = |(name, value): &(&str, &str)| map(vec![("Name", text(name)), ("Value", text(value))]);
        map(vec![
            ("Namespace", text("Shop")),
            ("MetricName", text("Declined")),
            ("Dimensions", Value::Array(dimensions.iter().map(dimension).collect())),
        ])
    };
    let (exact, more) = ([("Slot", "blue"), ("Kind", "card")], [("Slot", "blue"), ("Kind", "card"), ("Shop", "1")]);
    for (second_page, exists) in [(metric(&exact), true), (metric(&more), false)] {
        let first_page = metric(&more);
        let double = Double::start(move |call| match token(call) {
            None => {
                Answer::cbor(&map(vec![("Metrics", Value::Array(vec![first_page.clone()])), ("NextToken", text("2"))]))
            }
            Some(_) => Answer::cbor(&map(vec![("Metrics", Value::Array(vec![second_page.clone()]))])),
        })
        .await;
        assert_eq!(CloudWatch::new(&double.config().await).exists(&custom()).await, Ok(exists));
        let sent = double.calls()[0].cbor();
        assert_eq!(
            (member(&sent, "Namespace"), member(&sent, "MetricName")),
            (Some(&text("Shop")), Some(&text("Declined")))
        );
        assert_eq!(member(&sent, "Dimensions").and_then(Value::as_array).map(Vec::len), Some(2));
    }
}

const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:";

#[tokio::test]
async fn alarms_of_every_kind_are_told_by_arn_and_missing_ones_as_missing() {
    let alarm = |arn: String, state: &str| map(vec![("AlarmArn", text(&arn)), ("StateValue", text(state))]);
    let double = Double::start(move |call| {
        Answer::cbor(&match token(call) {
            None => map(vec![
                ("MetricAlarms", Value::Array(vec![alarm(format!("{ALARM}errors"), "OK")])),
                ("NextToken", text("2")),
            ]),
            Some(_) => map(vec![
                ("MetricAlarms", Value::Array(vec![alarm(format!("{ALARM}quiet"), "INSUFFICIENT_DATA")])),
                ("CompositeAlarms", Value::Array(vec![alarm(format!("{ALARM}any"), "ALARM")])),
            ]),
        })
    })
    .await;
    let arn = |name: &str| AlarmArn::parse(format!("{ALARM}{name}")).unwrap();
    let alarms = [arn("any"), arn("errors"), arn("gone"), arn("quiet")];
    use AlarmState::{Alarm, InsufficientData, Missing, Ok as Fine};
    let states = Alarms::states(&CloudWatch::new(&double.config().await), &alarms).await;
    assert_eq!(states, Ok(vec![Alarm, Fine, Missing, InsufficientData]));
    let sent = double.calls()[0].cbor();
    let names: Vec<&str> =
        member(&sent, "AlarmNames").unwrap().as_array().unwrap().iter().filter_map(Value::as_text).collect();
    assert_eq!(names, ["any", "errors", "gone", "quiet"]);
    assert_eq!(member(&sent, "AlarmTypes").and_then(Value::as_array).map(Vec::len), Some(3));

    let odd = alarm(format!("{ALARM}any"), "SLEEPY");
    let double =
        Double::start(move |_| Answer::cbor(&map(vec![("MetricAlarms", Value::Array(vec![odd.clone()]))]))).await;
    let error = Alarms::states(&CloudWatch::new(&double.config().await), &alarms).await.unwrap_err();
    assert!(error.to_string().contains("the alarm's state is SLEEPY"), "{error}");
}
