//! Whether the hooks are there, and who asks them.

use spillway_aws::hooks::{Function, Functions};
use spillway_core::definition::ServiceDefinition;
use spillway_core::hook::{Hook, Hooks};

use super::live::seen;
use super::permitted::{By, Changed};
use super::report::Report;
use crate::operator::failure::Failure;

/// The longest that one call of a hook is waited for, in seconds.
const LONGEST_CALL: u32 = 60;

/// Each hook by its name, with the machines that ask it.
fn named(hooks: &Hooks) -> Vec<(&'static str, &Hook, &'static [&'static str])> {
    let all: [(_, _, &[&str]); 6] = [
        ("before_traffic", &hooks.before_traffic, &["machine-release"]),
        ("after_step", &hooks.after_step, &["machine-release"]),
        ("before_promotion", &hooks.before_promotion, &["machine-release"]),
        ("after_rollback", &hooks.after_rollback, &["machine-release", "machine-rollback"]),
        ("provision", &hooks.provision, &["machine-release", "machine-rollback"]),
        ("retire", &hooks.retire, &["machine-retire"]),
    ];
    all.into_iter().filter_map(|(name, hook, roles)| Some((name, hook.as_ref()?, roles))).collect()
}

/// Looks at each, and gives what the installation must be allowed to invoke.
pub async fn look(
    functions: &Functions,
    definition: &ServiceDefinition,
    report: &mut Report,
) -> Result<Vec<Changed>, Failure> {
    let mut invoked = Vec::new();
    for (name, hook, roles) in named(&definition.hooks) {
        let place = format!("hooks.{name}.function");
        let arn = hook.function.as_str();
        match seen(functions.find(&hook.function).await, report)? {
            Some(Some(function)) => judge(&place, arn, &function, report),
            Some(None) => {
                report.problems.push(format!("{place}: {arn}: there is no such function"));
                continue;
            }
            None => {}
        }
        invoked.extend(roles.iter().map(|role| Changed {
            place: place.clone(),
            arn: arn.to_owned(),
            tag: None,
            role,
            action: "lambda:InvokeFunction",
            by: By::HookArns,
        }));
    }
    Ok(invoked)
}

fn judge(place: &str, arn: &str, function: &Function, report: &mut Report) {
    if let Some(why) = &function.failed {
        report.problems.push(format!("{place}: {arn}: it cannot be invoked: {why}"));
    }
    if function.timeout_seconds > LONGEST_CALL {
        report.warnings.push(format!(
            "{place}: {arn}: its time-out is {} s, and a call is waited for {LONGEST_CALL} s; longer work is begun, and wait is said \
             until it is done",
            function.timeout_seconds
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_must_be_able_to_answer_in_time() {
        let told = |timeout_seconds, failed: Option<&str>| {
            let mut report = Report::default();
            judge(
                "hooks.retire.function",
                "arn",
                &Function { timeout_seconds, failed: failed.map(Into::into) },
                &mut report,
            );
            (report.problems, report.warnings)
        };
        assert_eq!(told(60, None), (Vec::new(), Vec::new()));
        let (problems, warnings) = told(61, Some("no subnet"));
        assert_eq!(problems, ["hooks.retire.function: arn: it cannot be invoked: no subnet"]);
        assert!(warnings.len() == 1 && warnings[0].contains("its time-out is 61 s"), "{warnings:?}");
    }

    #[test]
    fn every_hook_of_a_definition_is_looked_at() {
        let hook = |name: &str| {
            let arn = format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
            serde_json::json!({"function": arn})
        };
        let names = ["before_traffic", "after_step", "before_promotion", "after_rollback", "provision", "retire"];
        let all: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), hook(name))).collect();
        let hooks: Hooks = serde_json::from_value(all.into()).unwrap();
        let found: Vec<&str> = named(&hooks).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(found, names);
        // No field is left out.
        assert_eq!(serde_json::to_value(&hooks).unwrap().as_object().unwrap().len(), found.len());
    }
}
