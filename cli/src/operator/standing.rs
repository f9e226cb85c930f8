//! How far a release is: its step, its weight, the share that was measured and the verdict, as its latest check saw them.

use serde::Deserialize;
use serde_json::{Value, json};
use spillway_aws::operator::Item;
use spillway_core::decision::evidence::GateReport;
use spillway_core::decision::gates::Finding;
use spillway_core::decision::{Decision, Evidence, Next};
use spillway_core::definition::length::Step;
use spillway_core::progress::Progress;

use super::World;
use crate::record::Record;

/// Gates that fail for what the candidate has not done.
const NOT_THE_CANDIDATES: [&str; 3] = ["routes", "split", "stable_hosts"];

/// What the judge says of a candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Proven well enough for the next weight.
    Healthy,
    /// Proven worse, or otherwise broken.
    Unhealthy,
    /// Neither.
    Inconclusive,
}

impl Verdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Inconclusive => "inconclusive",
        }
    }

    fn of(evidence: &Evidence) -> Self {
        let failed = |gate: &GateReport| {
            gate.finding == Finding::Failed && !gate.dry_run && !NOT_THE_CANDIDATES.contains(&gate.gate.as_str())
        };
        if evidence.e_unhealthy_peak >= evidence.unhealthy_at || evidence.gates.iter().any(failed) {
            Self::Unhealthy
        } else if evidence.e_healthy >= evidence.healthy_at {
            Self::Healthy
        } else {
            Self::Inconclusive
        }
    }
}

/// How far a release is. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The weights of its steps, in percent; the promotion is not among them.
    pub steps: Vec<f64>,
    /// The step that is on, from 0; the number of steps stands for the promotion.
    pub position: Option<usize>,
    /// The weight that was written last, in percent.
    pub weight: Option<f64>,
    /// The candidate's share of the requests that were measured at that weight, in percent.
    pub observed: Option<f64>,
    /// The requests behind that.
    pub requests: Option<f64>,
    /// What the judge said.
    pub verdict: Option<Verdict>,
    /// Whether the release is held.
    pub held: bool,
    /// What the check said, in words.
    pub reason: Option<String>,
}

/// What a function has answered, as far as this page tells of it.
#[derive(Deserialize)]
struct Answer {
    progress: Progress,
    #[serde(default)]
    evidence: Option<Evidence>,
    #[serde(default)]
    decision: Option<Decision>,
    #[serde(default)]
    next: Option<Next>,
    #[serde(default)]
    reason: Option<String>,
}

impl Standing {
    /// What the lease's plan, and the answers of the release's functions, the latest first, tell.
    pub fn of(plan: Option<&str>, answers: &[String]) -> Self {
        let mut standing = Self { steps: plan.and_then(steps).unwrap_or_default(), ..Self::default() };
        let answers = answers.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let mut answers =
            answers.filter_map(|mut answer| serde_json::from_value(answer.get_mut("Payload")?.take()).ok());
        let Some(latest) = answers.next() else { return standing };
        let Answer { ref progress, .. } = latest;
        let advancing = latest.decision.zip(latest.next).is_some_and(|(decision, next)| advances(decision, next));
        standing.position = Some(progress.position.saturating_sub(usize::from(advancing)));
        standing.weight = Some(f64::from(progress.weight));
        let fresh = latest.evidence.is_some();
        // After a shift there is no measurement at the new weight yet, and the verdict is the one before it.
        if let Some((evidence, check)) = std::iter::once(latest).chain(answers).find_map(|mut answer: Answer| {
            let evidence = answer.evidence.take()?;
            Some((evidence, answer))
        }) {
            let decision = check.decision.unwrap_or(Decision::Continue);
            standing.verdict = Some(Verdict::of(&evidence));
            if fresh {
                let [candidate, stable] =
                    [evidence.since_shift.candidate, evidence.since_shift.stable].map(|counts| counts.requests);
                let requests = candidate + stable;
                standing.requests = Some(requests);
                standing.observed = (requests > 0.0).then(|| 100.0 * candidate / requests);
                standing.held = decision == Decision::Hold;
                standing.reason = check.reason;
            }
        }
        standing
    }

    /// Of a release whose history was read.
    pub fn of_record(record: &Record) -> Self {
        let check = record.last_check().map(|checked| &checked.check);
        let latest = check.filter(|check| check.progress == record.progress);
        let advancing = latest.is_some_and(|check| advances(check.decision, check.next));
        let steps = record.plan.iter().flat_map(|plan| &plan.steps);
        Self {
            steps: steps.map(|step| f64::from(step.weight)).collect(),
            position: record.exposed().then(|| record.progress.position.saturating_sub(usize::from(advancing))),
            weight: Some(f64::from(record.weight)),
            held: latest.is_some_and(|check| check.decision == Decision::Hold),
            reason: latest.map(|check| check.reason.clone()),
            ..Self::default()
        }
    }

    /// `3/5`: which step of how many; the promotion has a word of its own.
    pub fn step(&self) -> Option<String> {
        let position = self.position?;
        let steps = self.steps.len();
        if steps == 0 {
            return Some((position + 1).to_string());
        }
        Some(if position >= steps { "promotion".to_owned() } else { format!("{}/{steps}", position + 1) })
    }

    /// The weight after this step's, in percent.
    pub fn next_weight(&self) -> Option<f64> {
        let position = self.position?;
        (!self.steps.is_empty()).then(|| self.steps.get(position + 1).copied().unwrap_or(100.0))
    }

    /// For machines.
    pub fn json(&self) -> Value {
        json!({
            "step": self.position.map(|position| position + 1),
            "steps": self.steps,
            "weight": self.weight,
            "observed": self.observed,
            "requests": self.requests,
            "verdict": self.verdict.map(Verdict::word),
            "held": self.held,
            "reason": self.reason,
        })
    }
}

/// Whether a check has counted the step already whose weight is to be written.
fn advances(decision: Decision, next: Next) -> bool {
    decision == Decision::Advance && matches!(next, Next::Shift | Next::ConsumeCommand)
}

/// The weights of a plan's steps.
pub fn steps(plan: &str) -> Option<Vec<f64>> {
    #[derive(Deserialize)]
    struct Planned {
        steps: Vec<Step>,
    }
    let planned: Planned = serde_json::from_str(plan).ok()?;
    Some(planned.steps.iter().map(|step| f64::from(step.weight)).collect())
}

impl World {
    /// How far the release is that holds the lease; what cannot be read is not known. One call, one page.
    pub async fn standing(&self, item: &Item) -> Standing {
        let events = match &item.owner {
            Some(owner) => self.machines.latest_events(owner, |_| true).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let answers: Vec<String> = events.into_iter().filter_map(|event| event.output).collect();
        Standing::of(item.plan.as_deref(), &answers)
    }
}
