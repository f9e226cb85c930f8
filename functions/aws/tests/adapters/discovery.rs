//! What there is, as the command line looks for it: page by page, and what becomes of a page that fails.

use serde_json::{Value, json};
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::definitions::Definitions;
use spillway_aws::hooks::{Function, Functions};
use spillway_aws::load_balancer::LoadBalancers;
use spillway_core::hook::FunctionArn;

use crate::double::{Answer, Call, Double};

const ELB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

/// The first page, which leads to a second one, and that.
fn paged(call: &Call, token: &str, first: &str, second: &str) -> String {
    if call.form().contains_key(token) { second.to_owned() } else { format!("{first}<NextMarker>2</NextMarker>") }
}

fn load_balancer(name: &str, kind: &str) -> String {
    format!(
        "<member><LoadBalancerArn>{ELB}:loadbalancer/app/{name}/1</LoadBalancerArn><LoadBalancerName>{name}</LoadBalancerName>\
         <VpcId>vpc-1</VpcId><Type>{kind}</Type></member>"
    )
}

fn group(name: &str) -> String {
    format!(
        "<member><TargetGroupArn>{ELB}:targetgroup/{name}/1</TargetGroupArn><Protocol>HTTP</Protocol><Port>80</Port>\
         <LoadBalancerArns><member>{ELB}:loadbalancer/app/a/1</member></LoadBalancerArns></member>"
    )
}

#[tokio::test]
async fn every_page_of_load_balancers_and_groups_is_read() {
    let double = Double::start(|call| {
        let (list, first, second) = match call.action.as_str() {
            "DescribeLoadBalancers" => (
                "LoadBalancers",
                load_balancer("a", "application") + &load_balancer("n", "network"),
                load_balancer("b", "application"),
            ),
            _ => ("TargetGroups", group("blue"), group("green")),
        };
        let all = |members: &str| format!("<{list}>{members}</{list}>");
        Answer::xml(&call.action, &paged(call, "Marker", &all(&first), &all(&second)))
    })
    .await;
    let load_balancers = LoadBalancers::new(&double.config().await);
    let found = load_balancers.all().await.unwrap();
    // A Network Load Balancer is none of them.
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let groups = load_balancers.target_groups().await.unwrap();
    let names: Vec<&str> = groups.iter().map(|one| one.arn.name()).collect();
    assert_eq!((names, groups[1].load_balancers.len()), (vec!["blue", "green"], 1));
}

/// A list that was read by half is none.
#[tokio::test]
async fn a_later_page_that_fails_fails_the_list() {
    let double = Double::start(|call| {
        if call.form().contains_key("Marker") {
            Answer::xml_error(400, "Throttling", "Rate exceeded")
        } else {
            Answer::xml(&call.action, &paged(call, "Marker", "<TargetGroups></TargetGroups>", ""))
        }
    })
    .await;
    let error = LoadBalancers::new(&double.config().await).target_groups().await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.transient),
        ("DescribeTargetGroups: Throttling: Rate exceeded", true)
    );
    // The page was asked for twice.
    assert_eq!(double.calls().len(), 3);
}

/// Twenty ARNs in a call are the most.
#[tokio::test]
async fn tags_are_read_in_chunks_and_in_order() {
    let double = Double::start(|call| {
        let asked = call.form().into_iter().filter(|(name, _)| name.starts_with("ResourceArns")).map(|(_, arn)| arn);
        let tagged = asked.filter(|arn| !arn.ends_with("/7")).map(|arn| {
            format!(
                "<member><ResourceArn>{arn}</ResourceArn><Tags><member><Key>k</Key><Value>{arn}</Value></member></Tags></member>"
            )
        });
        Answer::xml(&call.action, &format!("<TagDescriptions>{}</TagDescriptions>", tagged.collect::<String>()))
    })
    .await;
    let arns: Vec<String> = (0..45).map(|index| format!("{ELB}:targetgroup/x/{index}")).collect();
    let arns: Vec<&str> = arns.iter().map(String::as_str).collect();
    let found = LoadBalancers::new(&double.config().await).tag(&arns, "k").await.unwrap();
    let expected: Vec<Option<String>> =
        arns.iter().map(|arn| (!arn.ends_with("/7")).then(|| (*arn).to_owned())).collect();
    assert_eq!((found, double.calls().len()), (expected, 3));
}

#[tokio::test]
async fn services_of_all_clusters_are_read_ten_at_a_time() {
    let service = |arn: &Value, status: &str| {
        json!({
            "serviceArn": arn, "serviceName": arn.as_str().unwrap().rsplit('/').next(), "status": status,
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/shop", "taskDefinition": "app:3",
            "loadBalancers": [{"targetGroupArn": "group", "containerName": "app"}],
            "tags": [{"key": "spillway:managed", "value": "true"}],
        })
    };
    let double = Double::start(move |call| {
        let asked = call.json();
        Answer::json(&match (call.action.as_str(), asked.get("nextToken")) {
            ("ListClusters", None) => json!({"clusterArns": ["one"], "nextToken": "2"}),
            ("ListClusters", _) => json!({"clusterArns": ["two"]}),
            ("ListServices", None) if asked["cluster"] == "one" => {
                let arns: Vec<String> = (0..10).map(|index| format!("one/{index}")).collect();
                json!({"serviceArns": arns, "nextToken": "2"})
            }
            ("ListServices", _) => json!({"serviceArns": [format!("{}/last", asked["cluster"].as_str().unwrap())]}),
            _ => {
                let asked = asked["services"].as_array().unwrap();
                assert!(asked.len() <= 10, "{asked:?}");
                let status = |arn: &Value| if arn == "one/4" { "INACTIVE" } else { "ACTIVE" };
                json!({"services": asked.iter().map(|arn| service(arn, status(arn))).collect::<Vec<_>>()})
            }
        })
    })
    .await;
    let found = Ecs::new(&double.config().await).all().await.unwrap();
    // Eleven and one, but for the one that is not there any more.
    assert_eq!(found.len(), 11, "{found:?}");
    assert_eq!(found[10].arn, "two/last");
    assert_eq!((found[0].managed.as_deref(), found[0].task_definition.as_str()), (Some("true"), "app:3"));
    assert_eq!(found[0].behind, [("group".to_owned(), "app".to_owned())]);
}

#[tokio::test]
async fn every_page_of_auto_scaling_groups_is_read() {
    let double = Double::start(|call| {
        let group = |name: &str| format!("<AutoScalingGroups><member><AutoScalingGroupName>{name}</AutoScalingGroupName></member></AutoScalingGroups>");
        let (first, second) = (group("blue") + "<NextToken>2</NextToken>", group("green"));
        Answer::xml(&call.action, if call.form().contains_key("NextToken") { &second } else { &first })
    })
    .await;
    let found = AutoScaling::new(&double.config().await).all().await.unwrap();
    assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["blue", "green"]);
}

/// An image has a container to go to, or the reason why not; a task definition that cannot be read is an error.
#[tokio::test]
async fn containers_are_told_apart() {
    let double = Double::start(|call| match call.json()["taskDefinition"].as_str().unwrap() {
        "gone:1" => Answer::json_error("ClientException", "Unable to describe task definition."),
        _ => Answer::json(&json!({"taskDefinition": {"containerDefinitions": [{"name": "app"}, {"name": "proxy"}]}})),
    })
    .await;
    let ecs = Ecs::new(&double.config().await);
    assert_eq!(ecs.takes_image("shop:1", Some("proxy")).await.unwrap(), Ok(()));
    for (wanted, expected) in [
        (None, "name the container that gets the image: the task definition has app"),
        (Some("web"), "the task definition has no container web; it has app"),
    ] {
        let unclear = ecs.takes_image("shop:1", wanted).await.unwrap().unwrap_err().to_string();
        assert!(unclear.starts_with(expected), "{unclear}");
    }
    let error = ecs.takes_image("gone:1", None).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), ("ClientException", false));
}

#[tokio::test]
async fn definitions_are_read_decrypted() {
    let double = Double::start(|call| {
        let asked = call.json();
        assert_eq!(asked["WithDecryption"], true);
        match asked["Name"].as_str().unwrap() {
            "/p/shop" => Answer::json(&json!({"Parameter": {"Name": "/p/shop", "Value": "{}"}})),
            "/p/none" => Answer::json_error("ParameterNotFound", ""),
            "/p/denied" => Answer::json_error("AccessDeniedException", "not authorized"),
            _ => Answer::json_error("ThrottlingException", "Rate exceeded"),
        }
    })
    .await;
    let definitions = Definitions::new(&double.config().await, "/p/");
    assert_eq!(definitions.read("shop").await.unwrap().as_deref(), Some("{}"));
    assert_eq!(definitions.read("none").await.unwrap(), None);
    for (service, code, transient, calls) in
        [("denied", "AccessDeniedException", false, 1), ("busy", "ThrottlingException", true, 2)]
    {
        let before = double.calls().len();
        let error = definitions.read(service).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, transient), "{error}");
        assert_eq!(error.subject, format!("/p/{service}"));
        assert_eq!(double.calls().len() - before, calls, "{service}");
    }
}

#[tokio::test]
async fn hooks_are_looked_up_by_their_arn() {
    let double = Double::start(|call| match call.action.rsplit("%3A").next().unwrap() {
        "smoke/configuration" => Answer::json(&json!({"State": "Active", "Timeout": 30})),
        "live/configuration" => Answer::json(&json!({"State": "Failed", "StateReason": "no subnet", "Timeout": 900})),
        "none/configuration" => Answer::json_error("ResourceNotFoundException", "Function not found"),
        "denied/configuration" => Answer::json_error("AccessDeniedException", "not authorized"),
        "busy/configuration" => Answer::json_error("TooManyRequestsException", "Rate exceeded"),
        other => panic!("{other}"),
    })
    .await;
    let functions = Functions::new(&double.config().await);
    let arn =
        |name: &str| FunctionArn::parse(format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")).unwrap();
    let healthy = Function { timeout_seconds: 30, failed: None };
    assert_eq!(functions.find(&arn("smoke")).await.unwrap(), Some(healthy));
    let failed = Function { timeout_seconds: 900, failed: Some("no subnet".into()) };
    assert_eq!(functions.find(&arn("smoke:live")).await.unwrap(), Some(failed));
    assert_eq!(functions.find(&arn("none")).await.unwrap(), None);
    for (name, code, transient) in
        [("denied", "AccessDeniedException", false), ("busy", "TooManyRequestsException", true)]
    {
        let error = functions.find(&arn(name)).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, transient), "{error}");
    }
}
