//! The state machines that Terraform renders are the ones that the lab runs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use spillway_infra::{root, terraform};
use spillway_lab::state_machines;

const FUNCTIONS: [&str; 6] =
    ["plan_release", "prepare_candidate", "shift_weight", "evaluate_health", "rollback", "teardown"];

fn values() -> BTreeMap<String, String> {
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}:7");
    let machine = |name: &str| format!("arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-{name}:live");
    let mut values: BTreeMap<String, String> =
        FUNCTIONS.iter().map(|name| (format!("{name}_arn"), function(name))).collect();
    values.extend(["retire", "rollback"].map(|name| (format!("{name}_state_machine_arn"), machine(name))));
    let others = [
        ("lease_table", "leases"),
        ("lease_milliseconds", "100000"),
        ("parameter_prefix", "/services/"),
        ("page_topic_arn", "arn:aws:sns:eu-west-1:123456789012:pages"),
    ];
    values.extend(others.map(|(name, value)| (name.to_owned(), value.to_owned())));
    values
}

#[test]
fn terraform_renders_what_the_lab_runs() {
    if !terraform::is_there() {
        println!("not compared: there is no terraform");
        return;
    }
    let module = root().join("infra/modules/engine/definitions");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("definitions");
    let rendered = terraform::evaluate(&module, &json!({"values": values()}), "local.definitions", &scratch).unwrap();
    let rendered: BTreeMap<String, String> = serde_json::from_value(rendered).unwrap();
    assert_eq!(rendered.keys().collect::<Vec<_>>(), ["guard", "release", "retire", "rollback"]);
    for (machine, text) in rendered {
        assert_eq!(text, state_machines::definition(&machine, &values()).unwrap(), "{machine}");
        assert!(
            serde_json::from_str::<Value>(&text).unwrap()["States"].is_object() && !text.contains("${"),
            "{machine}"
        );
    }
}
