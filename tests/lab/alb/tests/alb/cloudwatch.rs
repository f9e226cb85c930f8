use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use ciborium::Value as Cbor;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{App, Lab, Reply, address, send};

/// A query about a target group, or without one about the load balancer.
pub fn query(lab: &Lab, id: &str, group: Option<&str>, metric: &str, stat: &str) -> Value {
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
pub fn request(queries: &[Value]) -> Value {
    let now = Timestamp::now().as_second();
    json!({"MetricDataQueries": queries, "StartTime": now - 60, "EndTime": now + 1, "ScanBy": "TimestampAscending"})
}

pub async fn call(lab: &Lab, body: &Value) -> Reply {
    post(lab, "GetMetricData", body).await
}

pub async fn post(lab: &Lab, action: &str, body: &Value) -> Reply {
    let request = Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("GraniteServiceVersion20100801.{action}"))
        .body(body.to_string())
        .unwrap();
    send(address(&lab.alb.cloudwatch_url()), request).await.expect("an answer")
}

pub fn parse(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// All values of every query, from as many pages as there are.
pub async fn values(lab: &Lab, queries: &[Value]) -> BTreeMap<String, Vec<f64>> {
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

pub async fn sum(lab: &Lab, group: Option<&str>, metric: &str) -> f64 {
    values(lab, &[query(lab, "a", group, metric, "Sum")]).await["a"].iter().sum()
}

/// A stand-in with a group of one application that gets everything.
pub async fn serving(app: &App) -> (Lab, String) {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[app.port]).await;
    lab.rule(&[(&group, 1)], None).await;
    (lab, group)
}

/// The same call in RPC v2 CBOR, where times are tagged.
pub async fn call_cbor(lab: &Lab, action: &str, body: &Value) -> Cbor {
    let mut cbor = Cbor::serialized(body).unwrap();
    if let Cbor::Map(entries) = &mut cbor {
        for (key, value) in entries {
            if key.as_text().is_some_and(|key| key.ends_with("Time")) {
                *value = Cbor::Tag(1, Box::new(value.clone()));
            }
        }
    }
    let mut body = Vec::new();
    ciborium::into_writer(&cbor, &mut body).unwrap();
    let request = Request::post(format!("/service/GraniteServiceVersion20100801/operation/{action}"))
        .header("smithy-protocol", "rpc-v2-cbor")
        .body(body)
        .unwrap();
    let reply = send(address(&lab.alb.cloudwatch_url()), request).await.unwrap();
    assert_eq!(reply.headers["smithy-protocol"], "rpc-v2-cbor");
    ciborium::from_reader(&reply.body[..]).unwrap()
}

/// The same call in the Query protocol.
pub async fn call_query(lab: &Lab, action: &str, body: &Value) -> Reply {
    let mut form = form_urlencoded::Serializer::new(format!("Action={action}&"));
    flatten("", body, &mut form);
    send(address(&lab.alb.cloudwatch_url()), Request::post("/").body(form.finish()).unwrap()).await.unwrap()
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

/// A CloudWatch behind the stand-in, which answers the JSON protocol with a status and a body; none is no answer,
/// for ever. Gives its address.
pub async fn upstream<F>(answer: F) -> String
where
    F: Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| serve(request, Arc::clone(&answer)));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

async fn serve<F>(request: Request<Incoming>, answer: Arc<F>) -> Result<Response<Full<Bytes>>, Infallible>
where
    F: Fn(&str, &Value) -> Option<(u16, Value)>,
{
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let body: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let action = target.rsplit('.').next().unwrap();
    let Some((status, answer)) = answer(action, &body) else { std::future::pending().await };
    let response = Response::builder().status(status).header("x-from", "upstream");
    Ok(response.body(Full::new(answer.to_string().into())).unwrap())
}
