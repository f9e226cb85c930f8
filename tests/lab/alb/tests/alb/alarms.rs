use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillway_lab_alb::Settings;

use crate::cloudwatch::{call, query, request, upstream};
use crate::support::{App, Lab, eventually};

/// A CloudWatch that holds alarms, tells one a page, and can be made to misbehave.
#[derive(Clone, Default)]
struct Alarms(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    alarms: Vec<Value>,
    described: Vec<Instant>,
    mood: Mood,
}

#[derive(Clone, Copy, Default)]
enum Mood {
    #[default]
    Well,
    /// Answers 500.
    Broken,
    /// Answers what is no answer.
    Nonsense,
    /// Never answers.
    Hanging,
}

impl Alarms {
    async fn lab(&self) -> Lab {
        let store = self.clone();
        let url = upstream(move |action, body| store.answer(action, body)).await;
        Lab::with(Settings { cloudwatch_upstream: Some(url), ..Settings::default() }).await
    }

    fn answer(&self, action: &str, body: &Value) -> Option<(u16, Value)> {
        let mut store = self.0.lock().unwrap();
        match (store.mood, action) {
            (Mood::Well, "DescribeAlarms") => {
                let from = body["NextToken"].as_str().map_or(0, |token| token.parse::<usize>().unwrap());
                if from == 0 {
                    store.described.push(Instant::now());
                }
                let page: Vec<&Value> = store.alarms.get(from).into_iter().collect();
                let mut answer = json!({"MetricAlarms": page});
                if store.alarms.len() > from + 1 {
                    answer["NextToken"] = (from + 1).to_string().into();
                }
                Some((200, answer))
            }
            (Mood::Well, "SetAlarmState") => {
                let alarm = store.alarms.iter_mut().find(|alarm| alarm["AlarmName"] == body["AlarmName"]).unwrap();
                alarm["StateValue"] = body["StateValue"].clone();
                assert!(!body["StateReason"].as_str().unwrap().is_empty());
                Some((200, json!({})))
            }
            (Mood::Well, other) => panic!("{other} is no call of the evaluator"),
            (Mood::Broken, _) => Some((500, json!({"__type": "InternalServiceFault", "message": "broken"}))),
            (Mood::Nonsense, _) => Some((200, json!(["?", 5]))),
            (Mood::Hanging, _) => None,
        }
    }

    fn put(&self, alarm: Value) {
        self.0.lock().unwrap().alarms.push(alarm);
    }

    fn be(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    fn states(&self) -> Vec<String> {
        let store = self.0.lock().unwrap();
        store.alarms.iter().map(|alarm| alarm["StateValue"].as_str().unwrap().to_owned()).collect()
    }
}

/// An alarm on a metric of a target group.
fn alarm(lab: &Lab, name: &str, group: &str, metric: &str, missing: &str) -> Value {
    let metric = query(lab, "a", Some(group), metric, "Sum")["MetricStat"]["Metric"].take();
    json!({
        "AlarmName": name,
        "Namespace": metric["Namespace"],
        "MetricName": metric["MetricName"],
        "Dimensions": metric["Dimensions"],
        "Statistic": "Sum",
        "Period": 1,
        "EvaluationPeriods": 1,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": missing,
        "StateValue": "INSUFFICIENT_DATA",
    })
}

#[tokio::test]
async fn alarms_on_these_metrics_follow_them_and_others_are_left_alone() {
    let (app, alarms) = (App::start("blue").await, Alarms::default());
    let lab = alarms.lab().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    let mut stranger = alarm(&lab, "orders", &group, "Orders", "breaching");
    stranger["Namespace"] = "Shop".into();
    let mut unknown = alarm(&lab, "band", &group, "RequestCount", "breaching");
    unknown["ComparisonOperator"] = "GreaterThanUpperThreshold".into();
    alarms.put(stranger);
    alarms.put(unknown);
    let errors = "HTTPCode_Target_5XX_Count";
    alarms.put(alarm(&lab, "errors", &group, errors, "notBreaching"));
    alarms.put(alarm(&lab, "silence", &group, "RequestCount", "breaching"));
    alarms.put(alarm(&lab, "unknown", &group, errors, "missing"));
    let none = "INSUFFICIENT_DATA";
    eventually("their first states", async || alarms.states() == [none, none, "OK", "ALARM", none]).await;
    app.answer(500);
    eventually("the errors", async || {
        lab.get("/").await;
        alarms.states() == [none, none, "ALARM", "ALARM", "ALARM"]
    })
    .await;
    eventually("the end of the errors", async || alarms.states() == [none, none, "OK", "ALARM", none]).await;
}

#[tokio::test]
async fn an_alarm_sees_late_metrics_late() {
    let (app, alarms) = (App::start("blue").await, Alarms::default());
    let lab = alarms.lab().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    app.answer(500);
    lab.alb.faults().metric_delay_of("HTTPCode_Target_5XX_Count", Duration::from_secs(3));
    alarms.put(alarm(&lab, "errors", &group, "HTTPCode_Target_5XX_Count", "notBreaching"));
    eventually("the first state", async || alarms.states() == ["OK"]).await;
    let sent = Instant::now();
    lab.get("/").await;
    eventually("the alarm", async || alarms.states() == ["ALARM"]).await;
    assert!(sent.elapsed() >= Duration::from_secs(3), "{:?}", sent.elapsed());
    eventually("the end of the alarm", async || alarms.states() == ["OK"]).await;
}

#[tokio::test]
async fn an_upstream_that_misbehaves_stops_nothing() {
    let (app, alarms) = (App::start("blue").await, Alarms::default());
    for mood in [Mood::Broken, Mood::Nonsense, Mood::Hanging] {
        alarms.be(mood);
        let lab = alarms.lab().await;
        let group = lab.group("blue", &[app.port]).await;
        lab.rule(&[(&group, 1)], None).await;
        assert_eq!(lab.get("/").await.status, 200);
        let metrics = call(&lab, &request(&[query(&lab, "a", Some(&group), "RequestCount", "Sum")])).await;
        assert_eq!(metrics.status, 200);
        alarms.0.lock().unwrap().alarms.clear();
        alarms.put(alarm(&lab, "errors", &group, "HTTPCode_Target_5XX_Count", "notBreaching"));
        alarms.be(Mood::Well);
        eventually("an evaluation", async || alarms.states() == ["OK"]).await;
    }
}

#[tokio::test]
async fn it_looks_often_only_if_there_are_alarms() {
    let alarms = Alarms::default();
    let lab = alarms.lab().await;
    eventually("three looks", async || alarms.0.lock().unwrap().described.len() >= 3).await;
    let looks = alarms.0.lock().unwrap().described.clone();
    assert!(looks[2] - looks[0] >= Duration::from_millis(1900), "{looks:?}");
    // With one of another namespace, too.
    alarms.put(json!({"AlarmName": "orders", "Namespace": "Shop", "StateValue": "OK"}));
    let before = looks.len();
    eventually("two more looks", async || alarms.0.lock().unwrap().described.len() >= before + 2).await;
    let looks = alarms.0.lock().unwrap().described.clone();
    assert!(looks[before + 1] - looks[before] >= Duration::from_millis(900), "{looks:?}");
    alarms.put(alarm(&lab, "errors", "targetgroup/blue/1", "RequestCount", "notBreaching"));
    eventually("its evaluation", async || alarms.states().last().is_some_and(|state| state == "OK")).await;
    let before = alarms.0.lock().unwrap().described.len();
    eventually("five more looks", async || alarms.0.lock().unwrap().described.len() >= before + 5).await;
    let looks = alarms.0.lock().unwrap().described.clone();
    // Once a second it would be four.
    assert!(looks[before + 4] - looks[before] < Duration::from_secs(3), "{looks:?}");
}
