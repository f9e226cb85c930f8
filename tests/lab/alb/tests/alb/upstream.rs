use serde_json::{Value, json};
use spillway_lab_alb::Settings;

use crate::cloudwatch::{call, call_cbor, call_query, parse, post, query, request, upstream};
use crate::support::{App, Lab, eventually};

/// Two points for every query, in ascending order whatever is asked for; every other call is echoed.
fn echo(action: &str, body: &Value) -> Value {
    let result = |query: &Value| json!({"Id": query["Id"], "Label": "x", "Timestamps": [60, 120], "Values": [1.5, 2.5], "StatusCode": "Complete"});
    match action {
        "GetMetricData" => {
            let results: Vec<Value> = body["MetricDataQueries"].as_array().unwrap().iter().map(result).collect();
            json!({"MetricDataResults": results})
        }
        _ => json!({"action": action, "body": body}),
    }
}

fn orders(id: &str) -> Value {
    let metric = json!({"Namespace": "Shop", "MetricName": "Orders"});
    json!({"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}})
}

async fn lab() -> Lab {
    let url = upstream(|action, body| Some((200, echo(action, body)))).await;
    Lab::with(Settings { cloudwatch_upstream: Some(url), ..Settings::default() }).await
}

#[tokio::test]
async fn other_calls_go_upstream_as_they_are() {
    let lab = lab().await;
    let body = json!({"MetricName": "x"});
    let reply = post(&lab, "ListMetrics", &body).await;
    assert_eq!(reply.headers["x-from"], "upstream");
    assert_eq!(parse(&reply), json!({"action": "ListMetrics", "body": body}));
    let elsewhere = call(&lab, &request(&[orders("a")])).await;
    assert_eq!(elsewhere.headers["x-from"], "upstream");
    let alone = Lab::start().await;
    assert_eq!(post(&alone, "ListMetrics", &json!({})).await.status, 400);
}

#[tokio::test]
async fn results_of_elsewhere_come_with_the_first_page() {
    let app = App::start("blue").await;
    let lab = lab().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    lab.get("/").await;
    let answers = [
        query(&lab, "a", Some(&group), "RequestCount", "Sum"),
        orders("b"),
        query(&lab, "c", Some(&group), "HTTPCode_Target_2XX_Count", "Sum"),
    ];
    let mut ask = request(&answers);
    let results = async |ask: &Value| parse(&call(&lab, ask).await);
    let values = |answer: &Value| -> Vec<(Value, Value)> {
        let results = answer["MetricDataResults"].as_array().unwrap().iter();
        results.map(|result| (result["Id"].clone(), result["Values"].clone())).collect()
    };
    let pair = |id: &str, values: Value| (id.into(), values);
    eventually("the answer", async || {
        values(&results(&ask).await) == [pair("a", json!([1.0])), pair("c", json!([1.0])), pair("b", json!([1.5, 2.5]))]
    })
    .await;
    ask["ScanBy"] = "TimestampDescending".into();
    assert_eq!(values(&results(&ask).await)[2], pair("b", json!([2.5, 1.5])));

    lab.alb.faults().page_size(Some(1));
    let first = results(&ask).await;
    assert_eq!(values(&first), [pair("a", json!([1.0])), pair("c", json!([])), pair("b", json!([2.5, 1.5]))]);
    assert_eq!(first["MetricDataResults"][1]["StatusCode"], "PartialData");
    ask["NextToken"] = first["NextToken"].clone();
    let second = results(&ask).await;
    assert_eq!(values(&second), [pair("c", json!([1.0]))]);
    assert!(second["NextToken"].is_null());
}

#[tokio::test]
async fn mixed_queries_are_answered_in_every_protocol() {
    let lab = lab().await;
    let mixed = request(&[query(&lab, "a", None, "RequestCount", "Sum"), orders("b")]);
    let answer = parse(&call(&lab, &mixed).await);
    let ids: Vec<_> = answer["MetricDataResults"].as_array().unwrap().iter().map(|result| &result["Id"]).collect();
    assert_eq!(ids, ["a", "b"]);
    let cbor = format!("{:?}", call_cbor(&lab, "GetMetricData", &mixed).await);
    assert!(cbor.contains("Tag(1, Float(120.0))") && cbor.contains("Float(2.5)"), "{cbor}");
    let xml = call_query(&lab, "GetMetricData", &mixed).await.text();
    assert!(xml.contains("<member>1970-01-01T00:02:00Z</member>") && xml.contains("<member>2.5</member>"), "{xml}");
}

#[tokio::test]
async fn partial_data_are_of_every_namespace() {
    let lab = lab().await;
    lab.alb.faults().partial_data(2);
    for queries in [vec![query(&lab, "a", None, "RequestCount", "Sum"), orders("b")], vec![orders("b")]] {
        let answer = parse(&call(&lab, &request(&queries)).await);
        let results = answer["MetricDataResults"].as_array().unwrap();
        assert_eq!(results.len(), queries.len());
        assert!(results.iter().all(|result| result["StatusCode"] == "PartialData"), "{answer}");
        assert_eq!(results.last().unwrap()["Values"], json!([1.5]));
        assert_eq!(results.last().unwrap()["Timestamps"], json!([60]));
    }
    let reply = call(&lab, &request(&[orders("b")])).await;
    assert_eq!(parse(&reply)["MetricDataResults"][0]["StatusCode"], "Complete");
}
