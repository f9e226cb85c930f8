//! The history of a release's execution: its plan, and the minutes that its checks have seen.

use serde::Deserialize;
use serde_json::Value;
use spillway_core::decision::Evidence;
use spillway_core::judge::recording::Minute;
use spillway_core::judge::replay::Policy;
use spillway_core::plan::Plan;

/// What can be judged again.
pub struct Release {
    /// The minutes, each as the first check that saw it knew it.
    pub minutes: Vec<Minute>,
    /// What the release was planned with.
    pub policy: Policy,
}

/// `GetExecutionHistory`'s answer:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html>.
#[derive(Deserialize)]
struct History {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    task_succeeded_event_details: Option<Details>,
    #[serde(default)]
    lambda_function_succeeded_event_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    output: Option<String>,
}

/// Reads a history.
pub fn read(text: &str) -> Result<Release, String> {
    let history: History = serde_json::from_str(text).map_err(|error| {
        format!("{error}; allowed: what `aws stepfunctions get-execution-history --include-execution-data` prints")
    })?;
    let outputs = history.events.iter().filter_map(|event| {
        let details =
            event.task_succeeded_event_details.as_ref().or(event.lambda_function_succeeded_event_details.as_ref());
        serde_json::from_str::<Value>(details?.output.as_ref()?).ok()
    });
    let (mut plan, mut minutes, mut before): (Option<Plan>, Vec<Minute>, _) = (None, Vec::new(), None);
    for output in outputs {
        // A function's answer is the payload of its task.
        let payload = output.get("Payload").unwrap_or(&output);
        if let Some(found) = payload.get("plan").filter(|_| payload.get("record").is_some()) {
            plan = Some(serde_json::from_value(found.clone()).map_err(|error| format!("the plan: {error}"))?);
        }
        if let Some(evidence) = payload.get("evidence") {
            let evidence: Evidence =
                serde_json::from_value(evidence.clone()).map_err(|error| format!("a check's evidence: {error}"))?;
            let last = minutes.last().map(|minute: &Minute| minute.minute);
            before = Some(evidence.before).filter(|before| before.requests > 0.0).or(before);
            // A check that was repeated tells its minutes again.
            minutes.extend(evidence.minutes.into_iter().filter(|minute| last.is_none_or(|last| minute.minute > last)));
        }
    }
    let plan = plan.ok_or("there is no plan in it; allowed: the history of a release that got as far as planning")?;
    Ok(Release { minutes, policy: Policy { before, ..Policy::of(&plan) } })
}
