use serde_json::{Value, json};
use spillway_lab::Misbehaviour;

use crate::replay::{Case, Went, check};
use crate::{create_table, lab};

const TABLE: &str = "items";
const ANSWERS: &str = "answers";
const BOOM: &str = "boom";
const HANGS: &str = "hangs";

/// A Task with these fields, that calls a function.
fn invoke(function: &str, fields: &Value) -> Value {
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 20,
        "Arguments": {"FunctionName": format!("spillway-{function}"), "Payload": {}}, "Next": "Done",
    });
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

/// A Task with these fields, that updates the case's item.
fn update(arguments: &Value, fields: &Value) -> Value {
    let mut all = json!({"TableName": TABLE, "Key": {"service": {"S": "{% $states.context.StateMachine.Name %}"}}});
    all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::dynamodb:updateItem", "TimeoutSeconds": 20, "Arguments": all,
        "Next": "Done",
    });
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

fn retry(error: &str, attempts: u8) -> Value {
    json!({"ErrorEquals": [error], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": attempts})
}

fn catch(errors: &[&str], next: &str) -> Value {
    json!({"ErrorEquals": errors, "Next": next, "Assign": {"failure": "{% $states.errorOutput %}"}})
}

/// Fails with a variable as its cause.
fn tells(variable: &str) -> Value {
    json!({"Type": "Fail", "Error": "Told", "Cause": format!("{{% $string(${variable}) %}}")})
}

/// `{"name": "{% $expression %}", …}`.
fn all(expressions: &[&str]) -> Value {
    let each = |(index, text): (usize, &&str)| (format!("v{index:02}"), json!(format!("{{% {text} %}}")));
    Value::Object(expressions.iter().enumerate().map(each).collect())
}

/// A name, the states, and how it must end: the last state, and the cause.
type Feature = (&'static str, Value, &'static str, Value);

fn errors() -> Vec<Feature> {
    let reported = json!({"errorType": "Boom", "errorMessage": "no", "stackTrace": []});
    // As the emulator writes it.
    let boom = json!({"Error": "Boom", "Cause": r#"{"errorMessage": "no", "errorType": "Boom", "stackTrace": []}"#});
    let condition = json!({"Error": "DynamoDB.ConditionalCheckFailedException",
        "Cause": "The conditional request failed"});
    let fourth = json!({"ConditionExpression": "least < :tries", "UpdateExpression": "SET tries = :tries",
        "ExpressionAttributeValues": {":tries": {"N": "{% $string($states.context.State.RetryCount) %}"}}});
    let never = json!({"ConditionExpression": "attribute_exists(nothing)", "UpdateExpression": "SET phase = :p",
        "ExpressionAttributeValues": {":p": {"S": "x"}}});
    let conditional = "DynamoDB.ConditionalCheckFailedException";
    let by_name = json!([{"ErrorEquals": ["Other"], "Next": "Done"}, catch(&["Else", "Boom"], "Named"),
        catch(&["States.ALL"], "Caught")]);
    vec![
        (
            "retried-until-it-succeeds",
            json!({"T": update(&fourth, &json!({"Retry": [retry(conditional, 4)]}))}),
            "Done",
            Value::Null,
        ),
        (
            "retried-too-often",
            json!({"T": update(&fourth, &json!({"Retry": [retry(conditional, 1)], "Catch": [catch(&[conditional], "Caught")]}))}),
            "Caught",
            condition.clone(),
        ),
        (
            "the-first-retrier-decides",
            json!({"T": update(&never, &json!({"Retry": [retry(conditional, 0), retry("States.ALL", 9)],
                "Catch": [catch(&["States.ALL"], "Caught")]}))}),
            "Caught",
            condition,
        ),
        ("caught-by-name", json!({"T": invoke(BOOM, &json!({"Catch": by_name}))}), "Named", boom.clone()),
        (
            "caught-as-task-failed",
            json!({"T": invoke(BOOM, &json!({"Catch": [catch(&["States.Timeout"], "Done"), catch(&["States.TaskFailed"], "Caught")]}))}),
            "Caught",
            boom.clone(),
        ),
        (
            "too-late-is-not-task-failed",
            json!({"T": invoke(HANGS, &json!({"TimeoutSeconds": 1,
                "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Done"},
                    {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Assign": {"failure": "{% $states.errorOutput.Error %}"}}]}))}),
            "Caught",
            json!("States.Timeout"),
        ),
        (
            "caught-by-nothing",
            json!({"T": invoke(BOOM, &json!({"Catch": [catch(&["Other"], "Caught")]}))}),
            "T",
            reported,
        ),
        (
            "an-assign-fails-after-the-effect",
            json!({"T": update(&json!({"UpdateExpression": "SET phase = :p", "ExpressionAttributeValues": {":p": {"S": "done"}}}),
                &json!({"Assign": {"x": "{% $states.result.Attributes.phase.S %}"}, "Retry": [retry("States.QueryEvaluationError", 1)],
                    "Catch": [catch(&["States.QueryEvaluationError"], "Caught")]}))}),
            "Caught",
            json!({"Error": "States.QueryEvaluationError"}),
        ),
        (
            "arguments-fail",
            json!({"T": invoke(ANSWERS, &json!({"Arguments": {"FunctionName": "{% $states.input.nothing %}"},
                "Retry": [retry("States.ALL", 1)], "Catch": [catch(&["States.TaskFailed"], "Caught")]}))}),
            "Caught",
            json!({"Error": "States.QueryEvaluationError"}),
        ),
        (
            "an-assign-of-a-catch-fails",
            json!({"T": invoke(BOOM, &json!({"Catch": [
                {"ErrorEquals": ["States.ALL"], "Next": "Done", "Assign": {"x": "{% $states.input.nothing %}"}}]}))}),
            "T",
            Value::Null,
        ),
        (
            "what-was-caught-is-the-next-input",
            json!({"T": invoke(BOOM, &json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]})),
                "C": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.Error = 'Boom' %}", "Next": "W"}], "Default": "Done"},
                "W": {"Type": "Wait", "Seconds": 0, "Assign": {"failure": "{% $states.input %}"}, "Next": "Caught"}}),
            "Caught",
            boom,
        ),
    ]
}

fn ways() -> Vec<Feature> {
    let choice = |conditions: &[(&str, &str)]| {
        let rule =
            |(condition, next): &(&str, &str)| json!({"Condition": format!("{{% {condition} %}}"), "Next": next});
        json!({"Type": "Choice", "Choices": conditions.iter().map(rule).collect::<Vec<_>>(), "Default": "Done"})
    };
    let wait = |fields: Value| {
        let mut wait = json!({"Type": "Wait", "Next": "Done"});
        wait.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        wait
    };
    let fails = |cause: &str| json!({"Type": "Fail", "Error": "F", "Cause": cause});
    let given = |next: &str| invoke(ANSWERS, &json!({"Assign": {"x": "{% $states.result.Payload %}"}, "Next": next}));
    vec![
        (
            "the-first-choice-that-holds",
            json!({"T": given("C"), "C": choice(&[("$x.next = 'shift'", "Done"), ("$x.next = 'bake'", "Named"), ("true", "Done")]),
                "Named": tells("x.next")}),
            "Named",
            json!("bake"),
        ),
        (
            "no-choice-holds",
            json!({"T": given("C"), "C": choice(&[("$x.next = 'no'", "Named"), ("$x.one = '1'", "Named")])}),
            "Done",
            Value::Null,
        ),
        (
            "choices-of-paths",
            json!({"T": given("C"), "C": choice(&[("$x.one = $x.float", "D")]),
            "D": choice(&[("$x.nothing = $x.neither", "Done"), ("$exists($x.list)", "Named")]), "Named": tells("x.one")}),
            "Named",
            json!(1),
        ),
        (
            "waits-from-a-variable",
            json!({"T": given("W"), "W": wait(json!({"Seconds": "{% $x.one %}", "Assign": {"x": "after"}, "Next": "Told"})),
            "Told": tells("x")}),
            "Told",
            json!("after"),
        ),
        (
            "waits-until-a-time-that-is-past",
            json!({"T": given("W"), "W": wait(json!({"Timestamp": "{% $x.time %}"}))}),
            "Done",
            Value::Null,
        ),
        (
            "waits-for-what-is-not-there",
            json!({"T": given("W"), "W": wait(json!({"Seconds": "{% $x.nothing %}"}))}),
            "W",
            Value::Null,
        ),
        (
            "waits-for-a-fraction",
            json!({"T": given("W"), "W": wait(json!({"Seconds": "{% $x.float %}", "Next": "V"})),
            "V": wait(json!({"Seconds": "{% $x.half %}"}))}),
            "V",
            Value::Null,
        ),
        (
            "waits-until-no-time",
            json!({"T": given("W"), "W": wait(json!({"Timestamp": "{% $x.next %}"}))}),
            "W",
            Value::Null,
        ),
        ("fails-with-a-cause", json!({"T": given("F"), "F": fails("{% $x.next %}")}), "F", json!("bake")),
        ("fails-with-no-text", json!({"T": given("F"), "F": fails("{% $x %}")}), "F", Value::Null),
        ("fails-with-what-is-not-there", json!({"T": given("F"), "F": fails("{% $x.nothing %}")}), "F", Value::Null),
    ]
}

fn expressions() -> Vec<Feature> {
    let values = [
        "$states.result.Payload.list",
        "$states.result.Payload.empty",
        "$states.result.Payload.one_element.a",
        "$states.result.Payload.two_elements.a",
        "$states.result.Payload.nested.a",
        "$states.result.Payload.nil",
        "$states.result.Payload.one_element",
        "$string($states.result.Payload.next)",
        "$string($states.result.Payload.one)",
        "$string($states.result.Payload.list)",
        "$string($states.result.Payload.nil)",
        "$exists($states.result.Payload.nil)",
        "$exists($states.result.Payload.nothing)",
        "$exists($states.context.Execution.RedriveTime)",
        "$parse($states.result.Payload.json)",
        "'/services/' & $states.input.service",
        "'n' & $states.input.nothing",
        "'n' & $states.result.Payload.one",
        "$states.input",
        "$states.context.Execution.Id",
        "$states.context.Execution.Name",
        "$states.context.Execution.Input.service",
        "$states.context.State.Name",
        "$states.context.State.RetryCount",
        "$states.context.StateMachine.Name",
        "$states.context.StateMachine.Id",
        "$fromMillis($millis() + 45000)",
        "$states.context.State.EnteredTime",
        "$states.context.Execution.StartTime",
        "'text'",
        "true",
        "$states.result.Payload.list = $states.result.Payload.list",
        "'2026-11-23T10:00:00.000Z' > '2026-11-23T09:59:59.999Z'",
        "'2026-11-23T10:00:00.000Z' > '2026-11-23T10:00:00.000Z'",
        "$states.result.Payload.next > 'bake'",
        "$states.result.Payload.next > 'baker'",
    ];
    let undefined = |text: &str| {
        invoke(
            ANSWERS,
            &json!({"Assign": {"x": format!("{{% {text} %}}")}, "Catch": [catch(&["States.QueryEvaluationError"], "Caught")]}),
        )
    };
    let mut features = vec![(
        "values",
        json!({"T": invoke(ANSWERS, &json!({"Assign": {"x": all(&values), "deep": {"list": [1, "{% $states.input.service %}"]}}, "Next": "U"})),
            "U": update(&json!({"UpdateExpression": "SET phase = :x, deep = :deep", "ReturnValues": "ALL_NEW",
                "ExpressionAttributeValues": {":x": {"S": "{% $string($x.v00) %}"}, ":deep": {"S": "{% $string($deep) %}"}}}),
                &json!({"Assign": {"x": "{% $x %}", "item": "{% $states.result.Attributes.deep.S %}"}, "Next": "Told"})),
            "Told": tells("x")}),
        "Told",
        // Compared with the emulator's below.
        Value::Null,
    )];
    for (name, text) in [
        ("undefined-field", "$states.result.Payload.nothing"),
        ("undefined-below-a-text", "$states.result.Payload.next.x"),
        ("undefined-below-null", "$states.result.Payload.nil.x"),
        ("undefined-below-nothing", "$states.result.Payload.empty.x"),
        ("undefined-in-elements", "$states.result.Payload.two_elements.b"),
        ("undefined-variable", "$nowhere"),
        ("undefined-text", "$string($states.result.Payload.nothing)"),
        ("later-than-nothing", "$states.result.Payload.next > $states.result.Payload.nothing"),
        ("later-than-a-number", "$states.result.Payload.next > $states.result.Payload.one"),
        ("no-json", "$parse($states.result.Payload.next)"),
        ("undefined-redrive", "$states.context.Execution.RedriveTime"),
    ] {
        features.push((
            name,
            json!({ "T": undefined(text) }),
            "Caught",
            json!({"Error": "States.QueryEvaluationError"}),
        ));
    }
    features
}

/// All machines go the same way in the emulator and in the interpreter, and it is the way that they should go.
#[tokio::test(flavor = "multi_thread")]
async fn machines_go_as_in_the_emulator() {
    let lab = lab().await;
    create_table(&lab, TABLE).await;
    let answer = json!({
        "next": "bake", "one": 1, "float": 1.0, "half": 1.5, "time": "2026-01-01T00:00:00.000Z", "list": ["x"],
        "empty": [], "one_element": [{"a": 1}], "two_elements": [{"a": 1}, {"a": [2, 3]}], "nested": [[{"a": {"b": 1}}]],
        "nil": null, "json": "{\"x\":[1,null]}",
    });
    lab.functions().create_hook(ANSWERS, &answer).await.unwrap();
    for (name, misbehaviour) in [(BOOM, Misbehaviour::fail("Boom", "no")), (HANGS, Misbehaviour::Hang)] {
        lab.functions().create_hook(name, &answer).await.unwrap();
        lab.functions().replace(name, &misbehaviour).await.unwrap();
    }
    let features = errors().into_iter().chain(ways()).chain(expressions());
    let run = features.map(|(name, states, end, cause)| {
        let lab = &lab;
        async move {
            let mut all = json!({
                "Done": {"Type": "Succeed", "Output": {}}, "Caught": tells("failure"), "Named": tells("failure"),
            });
            all.as_object_mut().unwrap().extend(states.as_object().unwrap().clone());
            let case = Case {
                name: name.to_owned(),
                states: all,
                start_at: "T".to_owned(),
                input: json!({"service": "shop"}),
                items: vec![json!({"service": {"S": name}, "least": {"N": "2"}})],
            };
            (name, check(lab, TABLE, case).await, end, cause)
        }
    });
    let mut checked = 0;
    for (name, went, end, cause) in crate::replay::all(run).await {
        let Went { states, cause: said, .. } = &went;
        assert_eq!(states.last().map(String::as_str), Some(end), "{name}: {went:?}");
        if !cause.is_null() {
            assert_eq!(said.as_ref(), Some(&cause), "{name}");
        }
        checked += 1;
    }
    assert!(checked > 30);
    lab.stop().await;
}
