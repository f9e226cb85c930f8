use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ciborium::Value as Cbor;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use spillway_lab::aws::Aws;
use spillway_lab::{AlarmState, Compute, Lab, Service, Slot, Traffic, eventually};

use crate::{Result, SOON};

const TARGET: &str = "GraniteServiceVersion20100801";
const ERRORS: &str = "HTTPCode_Target_5XX_Count";

/// More than no error in blue within a second.
fn errors_alarm(shop: &Service<'_>, name: &str, missing: &str) -> Value {
    json!({
        "AlarmName": name,
        "Namespace": "AWS/ApplicationELB",
        "MetricName": ERRORS,
        "Dimensions": shop.target_group_dimensions(Slot::Blue)[0],
        "Statistic": "Sum",
        "Period": 1,
        "EvaluationPeriods": 2,
        "DatapointsToAlarm": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": missing,
    })
}

/// A call of the load balancer's CloudWatch in RPC v2 CBOR, as the Rust SDK makes it.
async fn call_cbor(lab: &Lab, action: &str, body: &Value) -> Result<Value> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&tagged("", body), &mut bytes)?;
    let url = format!("{}/service/{TARGET}/operation/{action}", lab.alb().cloudwatch_url());
    let scope = "test/20260101/us-east-1/monitoring/aws4_request";
    let request = Request::post(url)
        .header("smithy-protocol", "rpc-v2-cbor")
        .header(CONTENT_TYPE, "application/cbor")
        .header(AUTHORIZATION, format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
        .body(Full::<Bytes>::from(bytes))?;
    let response = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    let answer: Cbor = ciborium::from_reader(&bytes[..])
        .map_err(|error| format!("{action}: {status}: {error} in {}", String::from_utf8_lossy(&bytes)))?;
    let answer = plain("", &answer)?;
    if status == StatusCode::OK { Ok(answer) } else { Err(format!("{action}: {status}: {answer}").into()) }
}

/// Timestamps are tagged.
fn tagged(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Object(fields) => {
            Cbor::Map(fields.iter().map(|(key, value)| (key.clone().into(), tagged(key, value))).collect())
        }
        Value::Array(values) => Cbor::Array(values.iter().map(|value| tagged(name, value)).collect()),
        Value::Number(number) if name.ends_with("Time") => {
            Cbor::Tag(1, Box::new(Cbor::Float(number.as_f64().unwrap_or_default())))
        }
        other => Cbor::serialized(other).unwrap_or(Cbor::Null),
    }
}

/// The shape of JSON; an error for a timestamp that is not tagged, which the SDK would refuse.
fn plain(name: &str, value: &Cbor) -> Result<Value> {
    let is_time = name.ends_with("Timestamp") || name == "Timestamps";
    Ok(match value {
        Cbor::Tag(1, time) => plain("", time)?,
        Cbor::Map(fields) => {
            let field = |(key, value): &(Cbor, Cbor)| {
                let key = key.as_text().ok_or("a key that is no text")?;
                Ok((key.to_owned(), plain(key, value)?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_>>()?)
        }
        Cbor::Array(values) => values.iter().map(|value| plain(name, value)).collect::<Result<_>>()?,
        _ if is_time => return Err(format!("{name} is not tagged: {value:?}").into()),
        other => other.deserialized()?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_the_load_balancer_follow_its_metrics() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).compute(Compute::External).start().await?;
    let arn = lab.put_alarm(&errors_alarm(&shop, "errors", "notBreaching")).await?;
    assert_eq!(arn, "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors");
    lab.put_alarm(&errors_alarm(&shop, "unsure", "missing")).await?;
    lab.put_alarm(&errors_alarm(&shop, "patient", "ignore")).await?;
    lab.put_composite_alarm(&json!({"AlarmName": "any", "AlarmRule": "ALARM(errors) OR ALARM(unsure)"})).await?;
    lab.put_composite_alarm(&json!({"AlarmName": "above", "AlarmRule": "ALARM(any)"})).await?;
    lab.wait_alarm("errors", AlarmState::Ok, SOON).await?;
    assert_eq!(lab.alarm_state("unsure").await?, AlarmState::InsufficientData);

    let traffic = Traffic::start(&shop.url(), 50.0, 0);
    shop.fail_dependency(1.0)?;
    for name in ["errors", "unsure", "patient", "any", "above"] {
        lab.wait_alarm(name, AlarmState::Alarm, SOON).await?;
    }
    // As users of the load balancer's endpoint see them.
    let both = json!({"AlarmNames": ["errors", "any"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]});
    let described = Aws::new(lab.alb().cloudwatch_url()).call_json(&format!("{TARGET}.DescribeAlarms"), &both).await?;
    assert_eq!(described["MetricAlarms"][0]["StateValue"], "ALARM", "{described}");
    assert_eq!(described["CompositeAlarms"][0]["StateValue"], "ALARM", "{described}");

    shop.restore_dependency()?;
    lab.wait_alarm("unsure", AlarmState::InsufficientData, SOON).await?;
    for name in ["errors", "any", "above"] {
        lab.wait_alarm(name, AlarmState::Ok, SOON).await?;
    }
    assert_eq!(lab.alarm_state("patient").await?, AlarmState::Alarm, "without data it stays as it was");
    // What was set by hand lasts until the next evaluation.
    lab.set_alarm_state("errors", AlarmState::Alarm).await?;
    lab.wait_alarm("errors", AlarmState::Ok, SOON).await?;
    drop(traffic);
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_on_other_metrics_are_the_emulators() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let alarm = json!({
        "AlarmName": "orders",
        "Namespace": "Shop",
        "MetricName": "FailedOrders",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
    });
    lab.put_alarm(&alarm).await?;
    assert_eq!(lab.alarm_state("orders").await?, AlarmState::InsufficientData);
    lab.put_metric("Shop", "FailedOrders", &[("Version", "v1")], 3.0).await?;
    assert_eq!(lab.alarm_state("orders").await?, AlarmState::Ok);
    // Values add up.
    lab.put_metric("Shop", "FailedOrders", &[("Version", "v1")], 3.0).await?;
    assert_eq!(lab.alarm_state("orders").await?, AlarmState::Alarm);

    // One without data stays where it is put, evaluator or not.
    let mut silent = alarm.clone();
    (silent["AlarmName"], silent["MetricName"]) = ("silent".into(), "Nothing".into());
    lab.put_alarm(&silent).await?;
    lab.put_composite_alarm(&json!({"AlarmName": "both", "AlarmRule": "ALARM(orders) AND ALARM(silent)"})).await?;
    lab.set_alarm_state("silent", AlarmState::Alarm).await?;
    assert_eq!(lab.alarm_state("both").await?, AlarmState::Alarm);
    lab.put_metric("Shop", "FailedOrders", &[("Version", "v1")], 3.0).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(lab.alarm_state("silent").await?, AlarmState::Alarm);
    lab.delete_alarm("both").await?;
    let error = lab.alarm_state("both").await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ResourceNotFound", "there is no alarm both"));
    assert_eq!(lab.set_alarm_state("both", AlarmState::Ok).await.unwrap_err().code, "ResourceNotFound");
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_passed_on_keep_their_protocol() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let alarm = |name: &str| {
        json!({
            "AlarmName": name,
            "Namespace": "AWS/ApplicationELB",
            "MetricName": ERRORS,
            "Dimensions": [{"Name": "LoadBalancer", "Value": "app/shop/1"}],
            "ExtendedStatistic": "p99",
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "Threshold": 1.5,
            "ComparisonOperator": "GreaterThanThreshold",
        })
    };
    lab.put_metric("Shop", "Orders", &[("Version", "v1")], 1.0).await?;
    lab.put_metric("Shop", "Orders", &[("Version", "v2")], 1.0).await?;
    let both = json!({"AlarmNames": ["m", "c"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]});
    let orders =
        json!({"Namespace": "Shop", "MetricName": "Orders", "Dimensions": [{"Name": "Version", "Value": "v2"}]});

    call_cbor(&lab, "PutMetricAlarm", &alarm("m")).await?;
    call_cbor(&lab, "PutMetricAlarm", &alarm("unasked")).await?;
    call_cbor(&lab, "PutCompositeAlarm", &json!({"AlarmName": "c", "AlarmRule": "ALARM(\"m\")"})).await?;
    let json = Aws::new(lab.alb().cloudwatch_url());
    let described_json = json.call_json(&format!("{TARGET}.DescribeAlarms"), &both).await?;
    for described in [call_cbor(&lab, "DescribeAlarms", &both).await?, described_json] {
        let metric = &described["MetricAlarms"];
        assert_eq!(metric.as_array().map(Vec::len), Some(1), "{described}");
        let (of, dimension) = (&metric[0], &metric[0]["Dimensions"][0]);
        assert_eq!(
            (&of["AlarmName"], &of["DatapointsToAlarm"], &of["Threshold"]),
            (&json!("m"), &json!(2), &json!(1.5))
        );
        assert_eq!((&of["ExtendedStatistic"], &dimension["Value"]), (&json!("p99"), &json!("app/shop/1")));
        assert_eq!(described["CompositeAlarms"][0]["AlarmRule"], "ALARM(\"m\")");
    }
    let listed_json = json.call_json(&format!("{TARGET}.ListMetrics"), &orders).await?;
    for listed in [call_cbor(&lab, "ListMetrics", &orders).await?, listed_json] {
        assert_eq!(listed["Metrics"], json!([orders]));
    }

    // The Query protocol, of older SDKs and of the command line tool.
    let parameters = [
        ("AlarmNames.member.1", "m"),
        ("AlarmNames.member.2", "c"),
        ("AlarmTypes.member.1", "MetricAlarm"),
        ("AlarmTypes.member.2", "CompositeAlarm"),
    ];
    let xml = json.call_query("monitoring", "2010-08-01", "DescribeAlarms", &parameters).await?;
    assert_eq!(xml.members("MetricAlarms")[0].text_of("AlarmName"), "m");
    assert_eq!(xml.members("CompositeAlarms")[0].text_of("AlarmName"), "c");
    let set = [("AlarmName", "c"), ("StateValue", "ALARM"), ("StateReason", "why not")];
    json.call_query("monitoring", "2010-08-01", "SetAlarmState", &set).await?;
    assert_eq!(lab.alarm_state("c").await?, AlarmState::Alarm);
    // Errors come back, too.
    let error = call_cbor(&lab, "PutCompositeAlarm", &json!({"AlarmName": "d", "AlarmRule": "ALARM(none)"})).await;
    assert!(error.unwrap_err().to_string().contains("in the alarm rule do not exist"));
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_reads_metrics_of_both_namespaces() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).compute(Compute::External).start().await?;
    let query = |id: &str, namespace: &str, name: &str, dimensions: &Value, period: u32| {
        let metric = json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions});
        json!({"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}})
    };
    let (elb, version) = (&shop.target_group_dimensions(Slot::Blue)[0], json!([{"Name": "Version", "Value": "v1"}]));
    let traffic = Traffic::start(&shop.url(), 100.0, 0);
    lab.put_metric("Shop", "Orders", &[("Version", "v1")], 2.0).await?;
    lab.put_metric("Shop", "Orders", &[("Version", "v1")], 3.0).await?;
    lab.put_metric("Shop", "Orders", &[("Version", "v2")], 100.0).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut ask = json!({
        "MetricDataQueries": [
            query("requests", "AWS/ApplicationELB", "RequestCount", elb, 1),
            query("orders", "Shop", "Orders", &version, 1),
            query("answers", "AWS/ApplicationELB", "HTTPCode_Target_2XX_Count", elb, 1),
            query("orders_of_the_minute", "Shop", "Orders", &version, 60),
            query("nothing", "Shop", "Orders", &json!([{"Name": "Version", "Value": "v3"}]), 60),
        ],
        "StartTime": now - 120,
        "EndTime": now + 120,
    });
    eventually(SOON, || async {
        let answer = call_cbor(&lab, "GetMetricData", &ask).await.map_err(|error| error.to_string())?;
        let results = answer["MetricDataResults"].as_array().cloned().unwrap_or_default();
        let requests = results[0]["Values"].as_array().map_or(0, Vec::len);
        if requests >= 3 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await?;
    drop(traffic);
    let sum =
        |result: &Value| -> f64 { result["Values"].as_array().into_iter().flatten().filter_map(Value::as_f64).sum() };

    // Without a metric of the load balancer the emulator answers by itself.
    let mut alone = ask.clone();
    alone["MetricDataQueries"] = json!([ask["MetricDataQueries"][3]]);
    let answer = call_cbor(&lab, "GetMetricData", &alone).await?;
    let minute = &answer["MetricDataResults"][0];
    assert_eq!((sum(minute), &minute["StatusCode"]), (5.0, &json!("Complete")), "{answer}");

    // Page by page, as a client has to.
    lab.alb().faults().page_size(Some(2));
    let mut sums = std::collections::BTreeMap::<String, f64>::new();
    let (mut pages, mut partial) = (0, 0);
    loop {
        let answer = call_cbor(&lab, "GetMetricData", &ask).await?;
        pages += 1;
        for result in answer["MetricDataResults"].as_array().ok_or("no results")? {
            partial += usize::from(result["StatusCode"] == "PartialData");
            *sums.entry(result["Id"].as_str().unwrap_or_default().to_owned()).or_default() += sum(result);
        }
        match &answer["NextToken"] {
            Value::String(token) => ask["NextToken"] = token.clone().into(),
            _ => break,
        }
    }
    assert!(pages >= 3 && partial >= 2, "{pages} pages, {partial} in part");
    assert!(sums["requests"] >= 100.0 && sums["answers"] >= 100.0, "{sums:?}");
    assert_eq!((sums["orders"], sums["orders_of_the_minute"], sums["nothing"]), (5.0, 5.0, 0.0));
    lab.stop().await;
    Ok(())
}
