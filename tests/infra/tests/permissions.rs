//! What each role allows is what its function or machine calls: no more, and no less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use spillway_infra::table::{Allowed, Table};
use spillway_infra::{Actions, adapters, functions, machines, root, source, terraform};

fn table() -> Table {
    Table::read(&root()).unwrap()
}

fn calls_of_functions() -> BTreeMap<String, Actions> {
    let adapters = adapters::read(&root()).unwrap();
    functions::read(&root(), &adapters).unwrap()
}

fn keys(allowed: &Allowed) -> Actions {
    allowed.keys().cloned().collect()
}

fn is_read(action: &str) -> bool {
    let name = action.split(':').nth(1).unwrap_or_default();
    ["Describe", "Get", "List"].iter().any(|verb| name.starts_with(verb))
}

/// What is called and not allowed, and what is allowed, not called, and not argued for.
fn differences(name: &str, called: &Actions, allowed: &Actions, argued: &Actions) -> Vec<String> {
    let missing =
        called.difference(allowed).map(|action| format!("{name} calls {action}, which its role does not allow"));
    let idle = allowed.difference(called).filter(|action| !argued.contains(*action));
    let idle = idle.map(|action| format!("{name} never calls {action}, which its role allows"));
    missing.chain(idle).collect()
}

#[test]
fn functions_may_do_what_they_call_and_no_more() {
    let (table, calls) = (table(), calls_of_functions());
    assert_eq!(calls.keys().collect::<Vec<_>>(), table.functions.keys().collect::<Vec<_>>());
    let argued = table.argued("every_function");
    let wrong: Vec<String> = calls
        .iter()
        .flat_map(|(name, called)| differences(name, called, &keys(&table.functions[name]), &table.argued(name)))
        .chain(differences("every function", &Actions::new(), &keys(&table.every_function), &argued))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn machines_may_do_what_they_call_on_what_they_call_it() {
    let (table, calls) = (table(), machines::read(&root()).unwrap());
    assert_eq!(calls.keys().collect::<Vec<_>>(), table.machines.keys().collect::<Vec<_>>());
    for (name, called) in &calls {
        let allowed: BTreeMap<String, BTreeSet<String>> = table.machines[name]
            .iter()
            .map(|(action, scopes)| {
                // Which machine's execution is looked at, only the run knows.
                let scope = |scope: &String| match scope.strip_prefix(machines::SOME_EXECUTION) {
                    Some(_) => machines::SOME_EXECUTION.to_owned(),
                    None => scope.clone(),
                };
                (action.clone(), scopes.iter().map(scope).collect())
            })
            .collect();
        assert_eq!(*called, allowed, "left what {name} calls, right what its role allows");
    }
}

#[test]
fn what_no_call_shows_is_argued_for_and_used() {
    let table = table();
    let shown: Actions = calls_of_functions()
        .into_values()
        .flatten()
        .chain(machines::read(&root()).unwrap().into_values().flat_map(BTreeMap::into_keys))
        .collect();
    for (role, argued) in &table.without_a_call {
        let allowed = match role.as_str() {
            "every_function" => &table.every_function,
            "every_machine" => &table.every_machine,
            role => &table.functions[role],
        };
        for (action, why) in argued {
            assert!(!shown.contains(action), "{role}: {action} is called, and needs no argument");
            assert!(allowed.contains_key(action), "{role}: {action} is argued for, and not allowed");
            assert!(why.ends_with('.') && why.len() > 20, "{role}: {action}: {why}");
        }
    }
    let (all, argued) = (keys(&table.every_machine), table.argued("every_machine"));
    assert_eq!(all.difference(&argued).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn only_reads_are_on_everything() {
    let table = table();
    let all = [&table.every_function, &table.every_machine].into_iter();
    for (action, scopes) in all.chain(table.functions.values()).chain(table.machines.values()).flatten() {
        assert!(!action.contains('*'), "{action}");
        if scopes.iter().any(|scope| scope == "any") {
            assert!(is_read(action), "{action} changes something, on anything");
        }
    }
}

#[test]
fn only_shift_weight_and_rollback_change_routes() {
    let changes = |actions: &Actions| actions.iter().any(|a| a.starts_with("elasticloadbalancing:") && !is_read(a));
    let (table, calls) = (table(), calls_of_functions());
    let called: Vec<&String> = calls.iter().filter(|(_, called)| changes(called)).map(|(name, _)| name).collect();
    assert_eq!(called, ["rollback", "shift-weight"]);
    let functions = table.functions.iter().chain(&table.machines);
    let allowed: Vec<&String> = functions.filter(|(_, own)| changes(&keys(own))).map(|(name, _)| name).collect();
    assert_eq!(allowed, ["rollback", "shift-weight"]);
}

/// With everything named that can be, so that no statement is left out.
fn variables() -> Value {
    let arn = |service: &str, rest: &str| json!([format!("arn:aws:{service}:eu-west-1:123456789012:{rest}")]);
    json!({
        "name": "spillway",
        "partition": "aws",
        "region": "eu-west-1",
        "account_id": "123456789012",
        "lease_table": "spillway-leases",
        "page_topic": "spillway-pages",
        "unannounced_queue": "spillway-unannounced",
        "parameter_prefix": "/spillway/services/",
        "hook_function_arns": arn("lambda", "function:smoke"),
        "kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/0a",
        "managed_arns": {
            "auto_scaling_groups": arn("autoscaling", "autoScalingGroup:0a:autoScalingGroupName/blue"),
            "ecs_services": arn("ecs", "service/shop/blue"),
            "instance_roles": ["arn:aws:iam::123456789012:role/instances"],
            "launch_templates": arn("ec2", "launch-template/lt-0a"),
            "listener_rules": arn("elasticloadbalancing", "listener-rule/app/shop/0a/0b/0c"),
            "listeners": arn("elasticloadbalancing", "listener/app/shop/0a/0b"),
            "scalable_targets": arn("application-autoscaling", "scalable-target/0a"),
            "task_roles": ["arn:aws:iam::123456789012:role/tasks"],
        },
    })
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// The policies that Terraform renders, by role: `function/rollback` and the like. Rendered once for all tests.
fn rendered() -> Option<&'static BTreeMap<String, Vec<Value>>> {
    static RENDERED: LazyLock<Option<BTreeMap<String, Vec<Value>>>> = LazyLock::new(|| {
        if !terraform::is_there() {
            println!("not compared with what is rendered: there is no terraform");
            return None;
        }
        let module = root().join("infra/modules/engine/permissions");
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions");
        let policies = terraform::evaluate(&module, &variables(), "local.policies", &scratch).unwrap();
        let policies: BTreeMap<String, String> = serde_json::from_value(policies).unwrap();
        let statements = |text: &str| serde_json::from_str::<Value>(text).unwrap()["Statement"].as_array().cloned();
        Some(policies.iter().map(|(role, text)| (role.clone(), statements(text).unwrap())).collect())
    });
    RENDERED.as_ref()
}

#[test]
fn policies_as_rendered_allow_what_is_called_and_no_more() {
    let Some(policies) = rendered() else { return };
    let table = table();
    let called = calls_of_functions().into_iter().map(|(name, called)| (format!("function/{name}"), called));
    let machines = machines::read(&root()).unwrap().into_iter();
    let machines = machines.map(|(name, called)| (format!("machine/{name}"), called.into_keys().collect()));
    let called: BTreeMap<String, Actions> = called.chain(machines).collect();
    assert_eq!(called.keys().collect::<Vec<_>>(), policies.keys().collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (role, statements) in policies {
        let (kind, name) = role.split_once('/').unwrap();
        let argued = &table.argued(&format!("every_{kind}")) | &table.argued(name);
        let mut allowed = Actions::new();
        for statement in statements {
            let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
            assert!(
                statement["Effect"] == "Allow" && !actions.is_empty() && !resources.is_empty(),
                "{role}: {statement}"
            );
            if resources.iter().any(|resource| resource == "*") {
                let free = |action: &String| is_read(action) || table.without_a_resource.contains_key(action);
                assert!(actions.iter().all(free), "{role} may change anything: {statement}");
            }
            allowed.extend(actions);
        }
        wrong.extend(differences(role, &called[role], &allowed, &argued));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What no call shows and the calls' sources say: the condition is all that narrows it down.
#[test]
fn launches_and_revisions_are_tagged_as_they_are_made() {
    let Some(policies) = rendered() else { return };
    let statements = |action: &str| -> Vec<(&str, Value, Vec<String>)> {
        let all = policies.iter().flat_map(|(role, all)| all.iter().map(move |statement| (role.as_str(), statement)));
        all.filter(|(_, statement)| texts(&statement["Action"]).iter().any(|allowed| allowed == action))
            .map(|(role, statement)| (role, statement["Condition"].clone(), texts(&statement["Resource"])))
            .collect()
    };
    let (role, ours) = ("function/prepare-candidate", "arn:aws:ec2:eu-west-1:123456789012:*/*");
    let launched = json!({"StringEquals": {"ec2:CreateAction": "RunInstances"}});
    assert_eq!(statements("ec2:CreateTags"), [(role, launched, vec![ours.to_owned()])]);
    let tagged = json!({"Null": {"aws:RequestTag/spillway:release": "false"}});
    assert_eq!(statements("ecs:RegisterTaskDefinition"), [(role, tagged, vec!["*".to_owned()])]);
    let readers: Vec<&str> =
        statements("cognito-idp:DescribeUserPoolClient").into_iter().map(|(role, _, _)| role).collect();
    assert_eq!(readers, ["function/rollback", "function/shift-weight"], "whoever writes routes");
}

/// That nothing is missed is what the comparison rests on.
mod reading {
    use super::*;

    const PORTS: &str =
        "pub trait Routes: Sync { fn read(&self, route: &str) -> u8; fn write(&self, route: &str, weight: u8) -> u8; }
        pub trait Leases: Sync { fn read(&self, service: &str) -> u8; fn count(&self) -> u8; }";
    const ADAPTER: &str = "use aws_sdk_elasticloadbalancingv2::Client; use crate::ports::Routes;
        pub struct LoadBalancers { client: Client, scaling: aws_sdk_applicationautoscaling::Client }
        impl LoadBalancers { async fn rules(&self) { self.client.describe_rules().send().await; } }
        impl Routes for LoadBalancers {
            async fn read(&self, route: &str) -> u8 { self.rules().await }
            async fn write(&self, route: &str, weight: u8) -> u8 {
                self.scaling.describe_scalable_targets().send().await;
                self.client.modify_rule().rule_arn(route).send().await
            }
        }";
    const TABLE: &str = "use aws_sdk_dynamodb::Client; use crate::ports::Leases;
        pub struct Table(Client);
        impl Table { pub async fn everything(&self) -> u8 { self.0.scan().send().await } }
        impl Leases for Table {
            async fn read(&self, service: &str) -> u8 { self.0.get_item().send().await }
            async fn count(&self) -> u8 { 0 }
        }";
    const GUARD: &str = "use crate::ports::Leases;
        pub async fn verify(leases: &impl Leases) { look(leases).await }
        async fn look(leases: &impl Leases) { leases.read(\"x\").await; }";

    fn crate_of(extra: &[(&str, &str)]) -> Vec<source::Source> {
        let files = [("ports", PORTS), ("load_balancer", ADAPTER), ("lease", TABLE), ("guard", GUARD)];
        files.iter().chain(extra).map(|(module, text)| source::parse(module, module, text).unwrap()).collect()
    }

    fn read(function: &str) -> Result<Vec<String>, String> {
        let shared = crate_of(&[]);
        let own = [source::parse("lib", "lib", function).unwrap()];
        functions::of(&own, &shared, &adapters::of(&shared)?).map(|actions| actions.into_iter().collect())
    }

    fn broken(adapter: &str) -> String {
        adapters::of(&crate_of(&[("more", adapter)])).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_verb_is_what_its_adapter_calls() {
        let function = "use spillway_aws::ports::Routes; async fn handle(r: &impl Routes) { r.write(a, 1).await; }";
        let scaling = "application-autoscaling:DescribeScalableTargets";
        assert_eq!(read(function).unwrap(), [scaling, "elasticloadbalancing:ModifyRule"]);
    }

    #[test]
    fn a_method_of_the_adapter_s_own_counts() {
        let function = "use spillway_aws::ports::Routes; async fn handle(r: &impl Routes) { join!(r.read(a), 1); }";
        assert_eq!(read(function).unwrap(), ["elasticloadbalancing:DescribeRules"]);
        let function = "use spillway_aws::lease::Table; async fn handle(t: &Table) { t.everything().await; }";
        assert_eq!(read(function).unwrap(), ["dynamodb:Scan"]);
    }

    #[test]
    fn a_function_of_the_shared_crate_counts() {
        for call in [
            "use spillway_aws::guard; async fn handle() { guard::verify(x).await; }",
            "use spillway_aws::guard::{self, verify as check}; async fn handle() { check(x).await; }",
            "async fn handle() { spillway_aws::guard::verify(x).await; }",
        ] {
            assert_eq!(read(call).unwrap(), ["dynamodb:GetItem"], "{call}");
        }
    }

    #[test]
    fn what_is_not_called_does_not_count() {
        let function = "use spillway_aws::ports::{Leases, Routes};
            async fn handle(l: &impl Leases) { l.count().await; l.read(1, 2); }
            #[cfg(test)] mod tests { fn all() { x.write(a, 1); } }";
        assert_eq!(read(function).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn verbs_of_one_name_count_together() {
        let function =
            "use spillway_aws::ports::{Leases, Routes}; async fn handle(l: &impl Leases) { l.read(a).await; }";
        assert_eq!(read(function).unwrap(), ["dynamodb:GetItem", "elasticloadbalancing:DescribeRules"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let function = "use spillway_aws::ports::*; async fn handle() {}";
        assert!(read(function).unwrap_err().contains("may import anything"));
        let function = "use spillway_aws::ports::Routes; async fn handle() { select! { x = r.read (a) => {} } }";
        assert!(read(function).unwrap_err().contains("a macro that cannot be read may call read"));
        let field = "use aws_sdk_ecs::Client; pub struct Ecs { client: Client }";
        let with = |body: &str| broken(&format!("{field} impl Ecs {{ fn f(&self) {{ {body} }} }}"));
        assert!(with("let c = &self.client;").contains("the client is handed on"));
        assert!(with("use_it(&self.client);").contains("the client is handed on"));
        assert!(with("b.send_with(&self.client);").contains("send_with sends no one knows what"));
        assert!(with("join!(self.client.list_tasks());").contains("a macro may call anything"));
        assert!(broken("fn f(client: &aws_sdk_ecs::Client) {}").contains("f takes a client"));
        assert!(
            broken("use aws_sdk_rds::Client; struct Rds(Client);").contains("whose client is aws_sdk_rds::Client?")
        );
    }

    #[test]
    fn a_builder_s_operation_is_the_one_that_the_file_imports() {
        let text = "use aws_sdk_ecs::Client; use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder;
            pub struct Ecs { client: Client }
            impl Ecs { pub async fn register(&self) { input().send_with(&self.client).await; } }";
        let adapters = adapters::of(&crate_of(&[("ecs", text)])).unwrap();
        let actions: Vec<&String> = adapters.methods["Ecs"].values().flatten().collect();
        assert_eq!(actions, ["ecs:RegisterTaskDefinition"]);
    }

    #[test]
    fn a_machine_s_tasks_are_actions_on_scopes() {
        let machine = |resource: &str, arguments: Value| {
            let task = json!({"Type": "Task", "Resource": resource, "Arguments": arguments, "Next": "End"});
            let states = json!({"T": task, "End": {"Type": "Succeed", "Output": {}}});
            let text = json!({"Comment": "", "QueryLanguage": "JSONata", "StartAt": "T", "TimeoutSeconds": 1, "States": states});
            machines::of(&text.to_string()).map(|calls| format!("{calls:?}"))
        };
        for (resource, arguments, expected) in [
            (
                "lambda:invoke",
                json!({"FunctionName": "${shift_weight_arn}"}),
                r#"{"lambda:InvokeFunction": {"function/shift-weight"}}"#,
            ),
            (
                "lambda:invoke",
                json!({"FunctionName": "{% $hook.function %}"}),
                r#"{"lambda:InvokeFunction": {"hooks"}}"#,
            ),
            (
                "states:startExecution",
                json!({"StateMachineArn": "${retire_state_machine_arn}"}),
                r#"{"states:StartExecution": {"machine/retire"}}"#,
            ),
            (
                "events:putEvents",
                json!({"Entries": [{"Source": "spillway"}]}),
                r#"{"events:PutEvents": {"event_bus"}}"#,
            ),
            (
                "aws-sdk:dynamodb:updateItem.waitForTaskToken",
                json!({"TableName": "${lease_table}"}),
                r#"{"dynamodb:UpdateItem": {"lease_table"}}"#,
            ),
            (
                "aws-sdk:dynamodb:scan",
                json!({"TableName": "${lease_table}", "IndexName": "owner"}),
                r#"{"dynamodb:Scan": {"lease_index"}}"#,
            ),
        ] {
            assert_eq!(machine(&format!("arn:aws:states:::{resource}"), arguments).unwrap(), expected);
        }
        for (resource, arguments) in [
            ("states:startExecution", json!({"StateMachineArn": "{% $machine %}"})),
            ("states:startExecution.sync:2", json!({"StateMachineArn": "${retire_state_machine_arn}"})),
            ("aws-sdk:dynamodb:putItem", json!({"TableName": "others"})),
            ("aws-sdk:ecs:deleteService", json!({})),
            ("events:putEvents", json!({"Entries": [{"Source": "others"}]})),
            ("events:putEvents", json!({"Entries": [{"Source": "spillway", "EventBusName": "others"}]})),
            ("events:putEvents", json!({"Entries": []})),
        ] {
            assert!(machine(&format!("arn:aws:states:::{resource}"), arguments).is_err(), "{resource}");
        }
    }
}
