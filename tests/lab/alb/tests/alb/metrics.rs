use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_lab_alb::{Settings, free_port};

use crate::cloudwatch::{call, call_cbor, call_query, parse, query, request, serving, sum, values};
use crate::support::{App, Lab, eventually};

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
async fn errors_of_the_load_balancer_are_never_a_target_groups() {
    let app = App::start("slow").await;
    app.delay(Duration::from_secs(5));
    let lab = Lab::with(Settings { idle_timeout: Duration::from_millis(100), ..Settings::default() }).await;
    let ports: [&[u16]; 3] = [&[free_port()], &[], &[app.port]];
    let cases = [("/dead", 502_u16, 1.0), ("/empty", 503, 0.0), ("/slow", 504, 1.0)];
    let mut groups = Vec::new();
    for (priority, ((path, status, _), ports)) in (1..).zip(cases.iter().zip(ports)) {
        let group = lab.group(path.trim_start_matches('/'), ports).await;
        lab.rule_at(priority, path, &[(&group, 1)], None).await;
        assert_eq!(lab.get(path).await.status, *status);
        groups.push(group);
    }
    eventually("all errors", async || sum(&lab, None, "HTTPCode_ELB_5XX_Count").await == 3.0).await;
    // The requests for which there was a target.
    assert_eq!(sum(&lab, None, "RequestCount").await, 2.0);
    for ((_, status, requests), group) in cases.iter().zip(&groups) {
        let own = format!("HTTPCode_ELB_{status}_Count");
        assert_eq!(sum(&lab, None, &own).await, 1.0, "{own}");
        assert_eq!(sum(&lab, Some(group), "RequestCount").await, *requests, "{group}");
        let metrics = [own.as_str(), "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"];
        let queries =
            ["a", "b", "c"].iter().zip(metrics).map(|(id, metric)| query(&lab, id, Some(group), metric, "Sum"));
        let seen = values(&lab, &queries.collect::<Vec<_>>()).await;
        assert!(seen.values().all(Vec::is_empty), "{group} {seen:?}");
    }
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

    let text = format!("{:?}", call_cbor(&lab, "GetMetricData", &ask).await);
    assert!(text.contains(&format!("Tag(1, Integer(Integer({at})))")), "{text}");
    assert!(text.contains("Float(1.0)") && text.contains("Text(\"Complete\")"), "{text}");

    let reply = call_query(&lab, "GetMetricData", &ask).await;
    let time = Timestamp::from_second(at).unwrap();
    assert!(reply.text().contains(&format!("<Timestamps><member>{time}</member></Timestamps>")), "{}", reply.text());
    assert!(reply.text().contains("<Values><member>1</member></Values>"));
}
