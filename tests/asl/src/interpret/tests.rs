use super::*;

const ARN: &str = "arn:aws:states:us-east-1:000000000000:execution:m:e";

fn now() -> Timestamp {
    "2026-11-23T05:00:00Z".parse().unwrap()
}

/// A machine of these states that starts at `T`; `Done` succeeds with the variable x, `Caught` fails with y.
fn program(states: &Value) -> Result<Program, String> {
    let mut all = json!({
        "Done": {"Type": "Succeed", "Output": {"x": "{% $x %}"}},
        "Caught": {"Type": "Fail", "Error": "Caught", "Cause": "{% $string($y) %}"},
    });
    all.as_object_mut().unwrap().extend(states.as_object().unwrap().clone());
    let machine = json!({
        "Comment": "", "QueryLanguage": "JSONata", "StartAt": "T", "TimeoutSeconds": 600, "States": all,
    });
    let machine = Machine::parse(&machine.to_string()).map_err(|error| error.to_string())?;
    Program::compile(&machine, "arn:aws:states:us-east-1:000000000000:stateMachine:m")
}

/// A Task `T` with these fields besides the usual ones.
fn task(fields: &Value) -> Value {
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 40, "Arguments": {},
        "Assign": {"x": "{% $states.result.x %}"}, "Next": "Done",
    });
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

fn start(program: &Program) -> Execution {
    program.start(ARN, "e", json!({"service": "shop"}), now())
}

fn arguments(program: &Program, execution: &Execution) -> Value {
    match program.pending(execution, now()) {
        Pending::Call { arguments, .. } => arguments.unwrap(),
        pending => panic!("{pending:?}"),
    }
}

fn failed(error: &str, cause: &str) -> Status {
    Status::Failed { error: error.into(), cause: cause.into() }
}

#[test]
fn retriers_and_catchers_are_the_first_that_match() {
    let retry = json!([
        {"ErrorEquals": ["None"], "MaxAttempts": 0},
        {"ErrorEquals": ["Few"], "MaxAttempts": 2, "IntervalSeconds": 3, "BackoffRate": 1.5},
        {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 4, "MaxDelaySeconds": 5},
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1},
    ]);
    let catch = json!([
        {"ErrorEquals": ["Few"], "Next": "Done", "Assign": {"x": "few"}},
        {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Assign": {"y": "{% $states.errorOutput %}"}},
    ]);
    let program = program(&json!({"T": task(&json!({"Retry": retry, "Catch": catch}))})).unwrap();
    let caught = |error: &str| failed("Caught", &format!(r#"{{"Cause":"why","Error":"{error}"}}"#));
    let few = Status::Succeeded { output: json!({"x": "few"}) };
    // Errors, the delays that follow, and the end.
    let cases: [(&[&str], &[u64], Status); 7] = [
        (&["None"], &[], caught("None")),
        (&["Few", "Few", "Few"], &[3, 5], few),
        (&["Other"; 5], &[1, 2, 4, 5], caught("Other")),
        (&["Few", "Other", "Few", "Other", "Few"], &[3, 1, 5, 2], Status::Succeeded { output: json!({"x": "few"}) }),
        (&["States.Timeout", "States.Timeout"], &[1], caught("States.Timeout")),
        (&["States.QueryEvaluationError"; 5], &[1, 2, 4, 5], caught("States.QueryEvaluationError")),
        (&["States.Runtime"; 5], &[1, 2, 4, 5], failed("States.Runtime", "why")),
    ];
    for (errors, delays, expected) in cases {
        let mut execution = start(&program);
        let mut waited = Vec::new();
        for error in errors {
            if let Failed::Retry { after_seconds } = program.fail(&mut execution, error, "why", now()) {
                waited.push(after_seconds);
            }
        }
        assert_eq!((waited.as_slice(), &execution.status), (delays, &expected), "{errors:?}");
    }
}

#[test]
fn an_assign_without_a_value_is_an_error_after_the_effect() {
    let query = json!([{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}]);
    let catch = json!([{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Done", "Assign": {"x": "caught"}}]);
    let program = program(&json!({"T": task(&json!({"Retry": query, "Catch": catch}))})).unwrap();
    let mut execution = start(&program);
    let retried = program.succeed(&mut execution, json!({}), now());
    assert_eq!(retried, Some(Failed::Retry { after_seconds: 1 }));
    assert_eq!(program.succeed(&mut execution, json!({"y": 1}), now()), Some(Failed::Caught));
    assert_eq!(execution.status, Status::Succeeded { output: json!({"x": "caught"}) });
    // ExecutionStarted, entered, twice (scheduled, started, succeeded, evaluation failed), exited, Done, the end.
    assert_eq!(execution.events, 1 + 1 + 2 * 4 + 1 + 2 + 1);
}

#[test]
fn an_error_that_nothing_can_catch_ends_the_execution() {
    let wait = |seconds: Value| json!({"Type": "Wait", "Seconds": seconds, "Next": "Done"});
    let until = json!({"Type": "Wait", "Timestamp": "{% $x %}", "Next": "Done"});
    let choice = json!({"Type": "Choice", "Choices": [{"Condition": "{% $x %}", "Next": "Done"}], "Default": "Done"});
    let fail = json!({"Type": "Fail", "Error": "F", "Cause": "{% $x %}"});
    for (next, x) in [
        (wait("{% $z %}".into()), json!(1)),
        (wait("{% $x %}".into()), json!(1.5)),
        (wait("{% $x %}".into()), json!(-1)),
        (wait("{% $x %}".into()), json!("1")),
        (until.clone(), json!("soon")),
        (until, json!(5)),
        (choice, json!("yes")),
        (fail, json!({})),
    ] {
        let program = program(&json!({"T": task(&json!({"Next": "N"})), "N": next})).unwrap();
        let mut execution = start(&program);
        assert_eq!(program.succeed(&mut execution, json!({"x": x}), now()), None);
        let Status::Failed { error, .. } = &execution.status else { panic!("{next}: {:?}", execution.status) };
        assert_eq!((error.as_str(), &*execution.state), (QUERY_EVALUATION_ERROR, "N"), "{next}");
        assert_eq!(program.pending(&execution, now()), Pending::Ended);
    }
    let catch = json!([{"ErrorEquals": ["States.ALL"], "Next": "Done", "Assign": {"x": "{% $z %}"}}]);
    let program = program(&json!({"T": task(&json!({"Catch": catch}))})).unwrap();
    let mut execution = start(&program);
    assert_eq!(program.fail(&mut execution, "Boom", "", now()), Failed::Ended);
    assert!(matches!(execution.status, Status::Failed { error, .. } if error == QUERY_EVALUATION_ERROR));
}

#[test]
fn choices_are_walked_through_and_variables_change_at_once() {
    let swap = task(&json!({"Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Next": "C"}));
    let choice = json!({
        "Type": "Choice", "Choices": [{"Condition": "{% $x = 'b' %}", "Next": "Caught"}], "Default": "W",
    });
    let program = program(&json!({
        "T": task(&json!({"Assign": {"x": "a", "y": "b"}, "Next": "U"})), "U": swap, "C": choice,
        "W": {"Type": "Wait", "Seconds": 60, "Assign": {"x": "{% $states.input %}"}, "Next": "Done"},
    }))
    .unwrap();
    let mut execution = start(&program);
    program.succeed(&mut execution, json!({}), now());
    program.succeed(&mut execution, json!({}), now());
    assert_eq!(execution.status, failed("Caught", "a"));
    assert_eq!(execution.variables_size(), json!({"x": "b", "y": "a"}).to_string().len());

    // The Wait's input is what the Task before the Choice put out, and kept for it.
    let mut execution = start(&program);
    program.succeed(&mut execution, json!({}), now());
    assert_eq!(*execution.state_input, Value::Null);
    execution.variables.insert("y".into(), json!("c").into());
    program.succeed(&mut execution, json!({"from": "U"}), now());
    let until = "2026-11-23T05:01:00Z".parse().unwrap();
    assert_eq!(program.pending(&execution, now()), Pending::Wait { until });
    program.waited(&mut execution, until);
    assert_eq!(execution.status, Status::Succeeded { output: json!({"x": {"from": "U"}}) });
    // Two Tasks, a Choice, a Wait and a Succeed.
    assert_eq!(execution.events, 1 + 5 + 5 + 2 + 2 + 2 + 1);
}

#[test]
fn the_context_tells_of_execution_state_retries_and_token() {
    let context = json!({"Arguments": {"all": "{% $states.context %}", "until": "{% $fromMillis($millis() + 1) %}"},
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 1}, {"ErrorEquals": ["B"], "MaxAttempts": 1}]});
    let program = program(&json!({"T": task(&context)})).unwrap();
    let mut execution = start(&program);
    let first = arguments(&program, &execution);
    let state = json!({"Name": "T", "EnteredTime": "2026-11-23T05:00:00.000Z", "RetryCount": 0});
    assert_eq!(first["all"]["State"], state);
    assert_eq!(
        first["all"]["Execution"],
        json!({"Id": ARN, "Name": "e", "Input": {"service": "shop"},
        "StartTime": "2026-11-23T05:00:00.000Z", "RedriveCount": 0})
    );
    assert_eq!(first["all"]["StateMachine"]["Name"], "m");
    assert_eq!(first["all"]["Task"]["Token"], execution.token());
    assert_eq!(first["until"], "2026-11-23T05:00:00.001Z");
    assert!(matches!(program.fail(&mut execution, "A", "", now()), Failed::Retry { .. }));
    assert!(matches!(program.fail(&mut execution, "B", "", now()), Failed::Retry { .. }));
    let third = arguments(&program, &execution);
    assert_eq!(third["all"]["State"]["RetryCount"], 2);
    assert_ne!(third["all"]["Task"]["Token"], first["all"]["Task"]["Token"]);
    // ExecutionStarted, entered, twice (scheduled, started, submitted, failed).
    assert_eq!(execution.events, 10);
}

#[test]
fn a_redrive_goes_on_where_it_ended() {
    let retry = json!([{"ErrorEquals": ["Boom"], "MaxAttempts": 1}]);
    let redriven = json!({"redriven": "{% $exists($states.context.Execution.RedriveTime) %}"});
    let program = program(&json!({"T": task(&json!({"Retry": retry, "Arguments": redriven}))})).unwrap();
    let mut execution = start(&program);
    assert!(!program.redrive(&mut execution, now()), "it runs");
    assert_eq!(arguments(&program, &execution), json!({"redriven": false}));
    assert!(matches!(program.fail(&mut execution, "Boom", "", now()), Failed::Retry { .. }));
    assert_eq!(program.fail(&mut execution, "Boom", "", now()), Failed::Ended);
    let later = now() + SignedDuration::from_secs(3600);
    for end in [Execution::abort, Execution::time_out, |_: &mut Execution| {}] {
        let mut execution = execution.clone();
        assert!(program.redrive(&mut execution, later));
        end(&mut execution);
        assert_eq!(execution.has_ended(), program.redrive(&mut execution, later));
        assert_eq!(program.deadline(&execution), later + SignedDuration::from_secs(600));
        assert_eq!(arguments(&program, &execution), json!({"redriven": true}));
        assert!(matches!(program.fail(&mut execution, "Boom", "", later), Failed::Retry { .. }));
        program.succeed(&mut execution, json!({"x": 1}), later);
        assert!(!program.redrive(&mut execution, later), "it has succeeded");
    }
    // A Fail fails again.
    let program = self::program(&json!({"T": {"Type": "Fail", "Error": "F", "Cause": "c"}})).unwrap();
    let mut execution = start(&program);
    assert!(program.redrive(&mut execution, later));
    assert_eq!((&execution.status, execution.events), (&failed("F", "c"), 6));
}

#[test]
fn what_cannot_run_does_not_compile() {
    let choice =
        |to: &str| json!({"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": to}], "Default": "Done"});
    for (states, expected) in [
        (json!({"T": task(&json!({"Next": "Nowhere"}))}), "T: there is no state Nowhere"),
        (json!({"T": task(&json!({"Arguments": "{% $sum(1) %}"}))}), "T: not in the subset: $sum(1)"),
        (json!({"T": task(&json!({"Resource": "${arn}"}))}), "T: a placeholder is not filled: ${arn}"),
        (json!({"T": choice("U"), "U": choice("T")}), "T: a circle of choices"),
        (json!({"U": task(&json!({}))}), "there is no state T"),
    ] {
        assert_eq!(program(&states).unwrap_err(), expected);
    }
}
