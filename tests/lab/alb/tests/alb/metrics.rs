use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use ciborium::Value as Cbor;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_lab_alb::Settings;
use tokio::net::TcpListener;

use crate::support::{App, Lab, Reply, address, eventually, send};

/// A query about a target group, or without one about the load balancer.
fn query(lab: &Lab, id: &str, group: Option<&str>, metric: &str, stat: &str) -> Value {
    let load_balancer = lab.load_balancer.split_once("loadbalancer/").unwrap().1;
    let mut dimensions = vec![json!({"Name": "LoadBalancer", "Value": load_balancer})];
    if let Some(group) = group {
        let group = group.rsplit(':').next().unwrap();
        dimensions.push(json!({"Name": "TargetGroup", "Value": group}));
    }
    let metric = json!({"Namespace": "AWS/ApplicationELB", "MetricName": metric, "Dimensions": dimensions});
    json!({"Id": id, "MetricStat": {"Metric": metric, "Period": 1, "Stat": stat}})
}

/// The last minute.
fn request(queries: &[Value]) -> Value {
    let now = Timestamp::now().as_second();
    json!({"MetricDataQueries": queries, "StartTime": now - 60, "EndTime": now + 1, "ScanBy": "TimestampAscending"})
}

async fn call(lab: &Lab, body: &Value) -> Reply {
    post(lab, "GetMetricData", body).await
}

async fn post(lab: &Lab, action: &str, body: &Value) -> Reply {
    let request = Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("GraniteServiceVersion20100801.{action}"))
        .body(body.to_string())
        .unwrap();
    send(address(&lab.alb.cloudwatch_url()), request).await.expect("an answer")
}

fn parse(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// All values of every query, from as many pages as there are.
async fn values(lab: &Lab, queries: &[Value]) -> BTreeMap<String, Vec<f64>> {
    let mut ask = request(queries);
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    loop {
        let answer = parse(&call(lab, &ask).await);
        for result in answer["MetricDataResults"].as_array().unwrap() {
            let known = values.entry(result["Id"].as_str().unwrap().to_owned()).or_default();
            known.extend(result["Values"].as_array().unwrap().iter().filter_map(Value::as_f64));
        }
        match &answer["NextToken"] {
            Value::String(token) => ask["NextToken"] = token.clone().into(),
            _ => return values,
        }
    }
}

async fn sum(lab: &Lab, group: Option<&str>, metric: &str) -> f64 {
    values(lab, &[query(lab, "a", group, metric, "Sum")]).await["a"].iter().sum()
}

/// A stand-in with a group of one application that gets everything.
async fn serving(app: &App) -> (Lab, String) {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    (lab, group)
}

#[tokio::test]
async fn metrics_are_what_happened_and_nothing_else() {
    let app = App::start("blue").await;
    let (lab, blue) = serving(&app).await;
    let green = lab.group("green", &[]).await;
    for status in [200, 200, 200, 302, 404, 500] {
        app.answer(status);
        assert_eq!(lab.get("/").await.status, status);
    }
    // The answers' codes may be of a later second than the requests.
    let answers = ["2XX", "3XX", "4XX", "5XX"].map(|class| format!("HTTPCode_Target_{class}_Count"));
    eventually("all answers", async || {
        let mut seen = 0.0;
        for metric in &answers {
            seen += sum(&lab, Some(&blue), metric).await;
        }
        seen >= 6.0
    })
    .await;
    for (metric, expected) in [
        ("RequestCount", 6.0),
        ("RequestCountPerTarget", 6.0),
        ("HTTPCode_Target_2XX_Count", 3.0),
        ("HTTPCode_Target_3XX_Count", 1.0),
        ("HTTPCode_Target_4XX_Count", 1.0),
        ("HTTPCode_Target_5XX_Count", 1.0),
    ] {
        assert_eq!(sum(&lab, Some(&blue), metric).await, expected, "{metric}");
    }
    assert_eq!(sum(&lab, None, "RequestCount").await, 6.0);
    // Sparse: no data is no data, not zero.
    let silent = values(
        &lab,
        &[
            query(&lab, "a", Some(&blue), "TargetConnectionErrorCount", "Sum"),
            query(&lab, "b", Some(&green), "RequestCount", "Sum"),
            query(&lab, "c", None, "HTTPCode_ELB_5XX_Count", "Sum"),
            query(&lab, "d", Some(&blue), "NoSuchMetric", "Sum"),
        ],
    )
    .await;
    assert!(silent.values().all(Vec::is_empty), "{silent:?}");
}

#[tokio::test]
async fn what_an_empty_group_fails_is_seen_at_the_load_balancer_only() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    lab.rule(&[(&group, 1)], None).await;
    assert_eq!(lab.get("/").await.status, 503);
    eventually("the 503", async || sum(&lab, None, "HTTPCode_ELB_5XX_Count").await == 1.0).await;
    assert_eq!(sum(&lab, None, "HTTPCode_ELB_503_Count").await, 1.0);
    assert_eq!(sum(&lab, None, "RequestCount").await, 0.0);
    assert_eq!(sum(&lab, Some(&group), "RequestCount").await, 0.0);
    assert_eq!(sum(&lab, Some(&group), "HTTPCode_ELB_5XX_Count").await, 0.0);
}

#[tokio::test]
async fn host_counts_are_sampled() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    let last =
        async |metric| values(&lab, &[query(&lab, "a", Some(&group), metric, "Maximum")]).await["a"].last().copied();
    eventually("a healthy host", async || last("HealthyHostCount").await == Some(1.0)).await;
    app.answer_health_checks(500);
    eventually("an unhealthy host", async || last("UnHealthyHostCount").await == Some(1.0)).await;
    eventually("no healthy host", async || last("HealthyHostCount").await == Some(0.0)).await;
}

#[tokio::test]
async fn response_times_keep_their_distribution() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    for request in 0..40 {
        app.delay(Duration::from_millis(if request % 8 == 0 { 300 } else { 0 }));
        lab.get("/").await;
    }
    let times = |id: &str, stat: &str| query(&lab, id, Some(&group), "TargetResponseTime", stat);
    let all = async || {
        values(
            &lab,
            &[
                times("n", "SampleCount"),
                times("fast", "TC(:0.25)"),
                times("slow", "TC(0.25:)"),
                times("max", "Maximum"),
            ],
        )
        .await
    };
    eventually("all response times", async || all().await["n"].iter().sum::<f64>() == 40.0).await;
    let all = all().await;
    assert_eq!(all["slow"].iter().sum::<f64>(), 5.0, "{all:?}");
    assert_eq!(all["fast"].iter().sum::<f64>(), 35.0);
    assert!(all["max"].iter().any(|max| *max >= 0.3));
}

#[tokio::test]
async fn answers_are_paged() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    lab.get("/").await;
    eventually("the answer", async || sum(&lab, Some(&group), "HTTPCode_Target_2XX_Count").await == 1.0).await;
    lab.alb.faults().page_size(Some(1));
    let queries = [
        query(&lab, "a", Some(&group), "RequestCount", "Sum"),
        query(&lab, "b", Some(&group), "HTTPCode_Target_5XX_Count", "Sum"),
        query(&lab, "c", Some(&group), "HTTPCode_Target_2XX_Count", "Sum"),
    ];
    let statuses = |answer: &Value| -> Vec<(String, String)> {
        let results = answer["MetricDataResults"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        results.map(|result| (text(&result["Id"]), text(&result["StatusCode"]))).collect()
    };
    let pair = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    let mut ask = request(&queries);
    let first = parse(&call(&lab, &ask).await);
    assert_eq!(statuses(&first), [pair("a", "Complete"), pair("b", "Complete"), pair("c", "PartialData")]);
    ask["NextToken"] = first["NextToken"].clone();
    let second = parse(&call(&lab, &ask).await);
    assert_eq!(statuses(&second), [pair("c", "Complete")]);
    assert_eq!(second["MetricDataResults"][0]["Values"], json!([1.0]));
    assert!(second["NextToken"].is_null());
    ask["NextToken"] = "nonsense".into();
    assert!(parse(&call(&lab, &ask).await)["__type"].as_str().unwrap().ends_with("InvalidNextToken"));
}

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
async fn a_period_in_progress_is_not_seen() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    lab.get("/").await;
    let mut day = query(&lab, "a", Some(&group), "RequestCount", "Sum");
    day["MetricStat"]["Period"] = (24 * 3600).into();
    assert!(values(&lab, &[day]).await["a"].is_empty());
}

#[tokio::test]
async fn what_is_not_valid_is_refused() {
    let lab = Lab::start().await;
    let valid = query(&lab, "a", None, "RequestCount", "Sum");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut ask = request(std::slice::from_ref(&valid));
        change(&mut ask);
        ask
    };
    for ask in [
        changed(&|ask| ask["EndTime"] = ask["StartTime"].clone()),
        changed(&|ask| ask["MetricDataQueries"][0]["Id"] = "A".into()),
        changed(&|ask| ask["MetricDataQueries"][0]["MetricStat"]["Period"] = 7.into()),
        changed(&|ask| ask["MetricDataQueries"][0]["MetricStat"]["Stat"] = "PR(:)".into()),
        changed(&|ask| ask["MetricDataQueries"] = vec![valid.clone(); 2].into()),
        changed(&|ask| ask["MetricDataQueries"] = vec![valid.clone(); 501].into()),
        changed(&|ask| ask["MetricDataQueries"] = json!([valid, {"Id": "e", "Expression": "a * 2"}])),
    ] {
        let reply = call(&lab, &ask).await;
        assert_eq!(reply.status, 400, "{ask}");
        assert!(parse(&reply)["__type"].as_str().unwrap().ends_with("#ValidationError"), "{ask}");
    }
}

#[tokio::test]
async fn all_three_protocols_tell_the_same() {
    let app = App::start("blue").await;
    let (lab, group) = serving(&app).await;
    lab.get("/").await;
    eventually("the request", async || sum(&lab, Some(&group), "RequestCount").await == 1.0).await;
    let ask = request(&[query(&lab, "a", Some(&group), "RequestCount", "Sum")]);
    let json = parse(&call(&lab, &ask).await);
    let at = json["MetricDataResults"][0]["Timestamps"][0].as_i64().unwrap();

    let mut cbor = to_cbor(&ask);
    if let Cbor::Map(entries) = &mut cbor {
        for (key, value) in entries {
            if key.as_text().is_some_and(|key| key.ends_with("Time")) {
                *value = Cbor::Tag(1, Box::new(value.clone()));
            }
        }
    }
    let mut body = Vec::new();
    ciborium::into_writer(&cbor, &mut body).unwrap();
    let request = Request::post("/service/GraniteServiceVersion20100801/operation/GetMetricData")
        .header("smithy-protocol", "rpc-v2-cbor")
        .body(body)
        .unwrap();
    let reply = send(address(&lab.alb.cloudwatch_url()), request).await.unwrap();
    assert_eq!(reply.headers["smithy-protocol"], "rpc-v2-cbor");
    let answer: Cbor = ciborium::from_reader(&reply.body[..]).unwrap();
    let text = format!("{answer:?}");
    assert!(text.contains(&format!("Tag(1, Integer(Integer({at})))")), "{text}");
    assert!(text.contains("Float(1.0)") && text.contains("Text(\"Complete\")"), "{text}");

    let mut form = form_urlencoded::Serializer::new(String::from("Action=GetMetricData&"));
    flatten("", &ask, &mut form);
    let form = form.finish();
    let reply = send(address(&lab.alb.cloudwatch_url()), Request::post("/").body(form).unwrap()).await.unwrap();
    let time = Timestamp::from_second(at).unwrap();
    assert!(reply.text().contains(&format!("<Timestamps><member>{time}</member></Timestamps>")), "{}", reply.text());
    assert!(reply.text().contains("<Values><member>1</member></Values>"));
}

#[tokio::test]
async fn other_calls_and_namespaces_go_upstream() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = upstream.accept().await.unwrap();
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(other)),
            );
        }
    });
    let lab = Lab::with(Settings { cloudwatch_upstream: Some(url), ..Settings::default() }).await;
    let body = json!({"MetricName": "x"});
    let reply = post(&lab, "ListMetrics", &body).await;
    assert_eq!(reply.headers["x-from"], "upstream");
    assert_eq!(parse(&reply), json!({"target": "GraniteServiceVersion20100801.ListMetrics", "body": body}));
    let elsewhere = json!({"Id": "b", "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "Orders"}}});
    let mixed = request(&[query(&lab, "a", None, "RequestCount", "Sum"), elsewhere]);
    let answer = parse(&call(&lab, &mixed).await);
    let ids: Vec<_> = answer["MetricDataResults"].as_array().unwrap().iter().map(|result| &result["Id"]).collect();
    assert_eq!(ids, ["a", "b"]);
    let alone = Lab::start().await;
    assert_eq!(post(&alone, "ListMetrics", &json!({})).await.status, 400);
}

/// A CloudWatch that echoes, and has one result for every query.
async fn other(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let answer = if target.ends_with("GetMetricData") {
        let queries = body["MetricDataQueries"].as_array().unwrap();
        let results = queries.iter().map(|query| {
            json!({"Id": query["Id"], "Label": "x", "Timestamps": [60.0], "Values": [2.0], "StatusCode": "Complete"})
        });
        json!({"MetricDataResults": results.collect::<Vec<_>>()})
    } else {
        json!({"target": target, "body": body})
    };
    Ok(Response::builder().header("x-from", "upstream").body(Full::new(answer.to_string().into())).unwrap())
}

fn to_cbor(value: &Value) -> Cbor {
    Cbor::serialized(value).unwrap()
}

fn flatten(name: &str, value: &Value, form: &mut form_urlencoded::Serializer<'_, String>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&below(key), value, form)),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&below(&format!("member.{}", index + 1)), value, form);
            }
        }
        Value::String(text) => {
            form.append_pair(name, text);
        }
        Value::Number(seconds) if name.ends_with("Time") => {
            let time = Timestamp::from_second(seconds.as_i64().unwrap()).unwrap();
            form.append_pair(name, &time.to_string());
        }
        other => {
            form.append_pair(name, &other.to_string());
        }
    }
}
