//! Following a release: from the execution's history and the load balancer's own counts to what a person wants
//! to see.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;
use spillway_lab::{Alb, Counts, Execution, LabError, Service, Slot};

use crate::screen::Screen;

/// Over how long the share is measured.
const SHARE_WINDOW: Duration = Duration::from_secs(2);

/// A release being followed.
pub struct Follower<'a> {
    alb: &'a Alb,
    service: &'a Service<'a>,
    stable: Slot,
    execution: &'a Execution,
    started: Instant,
    seen: usize,
    state: String,
    steps: Vec<f64>,
    position: usize,
    readiness: String,
    check: Option<Value>,
    at_start: [Counts; 2],
    now: [Counts; 2],
    recent: VecDeque<(Instant, [Counts; 2])>,
}

impl<'a> Follower<'a> {
    /// Starts to follow.
    pub fn new(alb: &'a Alb, service: &'a Service<'a>, stable: Slot, execution: &'a Execution) -> Self {
        let counts = counts(alb, service, stable);
        Self {
            alb,
            service,
            stable,
            execution,
            started: Instant::now(),
            seen: 0,
            state: String::new(),
            steps: Vec::new(),
            position: 0,
            readiness: String::new(),
            check: None,
            at_start: counts,
            now: counts,
            recent: VecDeque::new(),
        }
    }

    /// Reads what has happened since the last look.
    pub async fn look(&mut self) -> Result<(), LabError> {
        let events = self.execution.history().await?;
        for event in &events[self.seen.min(events.len())..] {
            if let Some(name) = event["stateEnteredEventDetails"]["name"].as_str() {
                name.clone_into(&mut self.state);
            }
            let output = event["taskSucceededEventDetails"]["output"].as_str().unwrap_or_default();
            if let Ok(output) = serde_json::from_str::<Value>(output) {
                self.learn(&output["Payload"]);
            }
        }
        self.seen = events.len();
        self.now = counts(self.alb, self.service, self.stable);
        let now = Instant::now();
        self.recent.push_back((now, self.now));
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > SHARE_WINDOW) {
            self.recent.pop_front();
        }
        Ok(())
    }

    /// What a function said.
    fn learn(&mut self, payload: &Value) {
        if let Some(steps) = payload["plan"]["steps"].as_array() {
            self.steps = steps.iter().filter_map(|step| step["weight"].as_f64()).collect();
        }
        if let Some(position) = payload["progress"]["position"].as_u64() {
            self.position = usize::try_from(position).unwrap_or(usize::MAX);
        }
        if payload["routes"].is_array() {
            // The weights were just written: what was measured before belongs to the old ones.
            self.recent.clear();
        }
        if payload.get("ready").is_some() {
            payload["reason"].as_str().unwrap_or_default().clone_into(&mut self.readiness);
        }
        if payload.get("decision").is_some() {
            self.check = Some(payload.clone());
        }
    }

    /// Why the last check decided what it did.
    pub fn reason(&self) -> &str {
        self.check.as_ref().and_then(|check| check["reason"].as_str()).unwrap_or_default()
    }

    /// Draws it.
    pub fn show(&self, screen: &mut Screen) {
        let step = if self.position < self.steps.len() {
            format!("step {} of {}", self.position + 1, self.steps.len())
        } else if self.steps.is_empty() {
            "planning".into()
        } else {
            "promotion".into()
        };
        let [stable, candidate] = [0, 1].map(|side| since(&self.at_start[side], &self.now[side]));
        let candidate_slot = if self.stable == Slot::Blue { Slot::Green } else { Slot::Blue };
        let (phase, next) = self.phase();
        let judge =
            self.check.as_ref().and_then(|check| check["evidence"]["summary"].as_str()).unwrap_or("no check yet");
        let block = [
            format!("  {:>4} s     {phase}, {step} ({})", self.started.elapsed().as_secs(), self.ladder()),
            format!("  weight     requested {:>5}   measured {}", self.requested(), self.measured()),
            format!("  stable     {:<6} {:>8} requests {:>6} errors", self.stable.to_string(), stable.0, stable.1),
            format!(
                "  candidate  {:<6} {:>8} requests {:>6} errors",
                candidate_slot.to_string(),
                candidate.0,
                candidate.1
            ),
            format!("  judge      {judge}"),
            format!("  next       {next}"),
        ];
        let news = format!(
            "  {:>3} s  {phase}, {step}: requested {}, measured {}; stable {} requests, {} errors; candidate {} requests, {} errors\n         {judge}; next: {next}",
            self.started.elapsed().as_secs(),
            self.requested(),
            self.measured(),
            stable.0,
            stable.1,
            candidate.0,
            candidate.1
        );
        // Without a terminal, a line for each state that lasts or decides, and none for the lease in between.
        let worth_a_line =
            !self.state.starts_with("Renew") && !self.state.starts_with("Is") && self.state != "WhatNext";
        if screen.is_terminal() || worth_a_line {
            screen.draw(&block, &self.headline(&phase, &step), &news);
        }
    }

    /// What makes a line new: the phase, the step, and what the last check said.
    fn headline(&self, phase: &str, step: &str) -> String {
        format!("{phase} {step} {} {}", self.readiness, self.reason())
    }

    /// `10 > [50] > 95 > 100 %`.
    fn ladder(&self) -> String {
        let mut rungs: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        if rungs.last().is_none_or(|last| last != "100") {
            rungs.push("100".into());
        }
        if let Some(rung) = rungs.get_mut(self.position).filter(|_| self.exposed()) {
            *rung = format!("[{rung}]");
        }
        format!("{} %", rungs.join(" > "))
    }

    fn exposed(&self) -> bool {
        self.check.is_some()
            || matches!(self.state.as_str(), "ShiftWeight" | "Bake" | "RenewForCheck" | "EvaluateHealth")
    }

    /// What is going on, and what comes next.
    fn phase(&self) -> (String, String) {
        let after = |text: &str| text.to_owned();
        let (phase, next) = match self.state.as_str() {
            "" | "LoadService" | "AcquireLease" => ("taking the lease", after("plan the release")),
            "PlanRelease" | "RecordPlan" | "FreeUnused" => ("planning", after("attach the candidate at 0 %")),
            "RenewForAttach" | "AttachCandidate" => ("attaching the candidate at 0 %", after("prepare its capacity")),
            "RenewForPrepare" | "PrepareCandidate" | "IsReady" | "WaitForCandidate" => {
                let seen = if self.readiness.is_empty() { "starting it" } else { &self.readiness };
                ("preparing the candidate", format!("look again in 1 s ({seen})"))
            }
            "RenewForShift" | "ShiftWeight" => ("shifting traffic", after("bake, then check")),
            "Bake" | "RenewForCheck" | "EvaluateHealth" | "WhatNext" => ("baking", self.after_bake()),
            "RenewForRollBack" | "RollBackPromptly" | "WaitOutLease" | "RollBack" => {
                ("rolling back", after("retire the candidate"))
            }
            "RetireStable" | "RetireCandidate" | "FreePromoted" | "FreeRolledBack" => {
                ("finishing", after("free the lease, retire the slot without traffic"))
            }
            "Promoted" => ("promoted", after("retire the old slot")),
            "RolledBack" => ("rolled back", after("retire the candidate")),
            other => (other, after("nothing")),
        };
        (phase.to_owned(), next)
    }

    fn after_bake(&self) -> String {
        match self.check.as_ref().and_then(|check| check["decision"].as_str()) {
            Some("hold") => format!("check again in 1 s ({})", self.reason()),
            _ => "check again in 1 s; on with proof, or without doubt at the end of the step".into(),
        }
    }

    /// The weight asked for, as the load balancer's API tells it.
    fn requested(&self) -> String {
        let Some(route) = self.service.weights().into_iter().next() else { return "-".into() };
        let (blue, green) = (f64::from(route.blue.unwrap_or(0)), f64::from(route.green.unwrap_or(0)));
        let candidate = if self.stable == Slot::Blue { green } else { blue };
        if blue + green > 0.0 { format!("{:.1} %", 100.0 * candidate / (blue + green)) } else { "-".into() }
    }

    /// The share of requests that the candidate really got lately.
    fn measured(&self) -> String {
        let Some((_, earlier)) = self.recent.front() else { return "-".into() };
        let [stable, candidate] = [0, 1].map(|side| since(&earlier[side], &self.now[side]).0);
        if stable + candidate == 0 {
            return "-".into();
        }
        #[allow(clippy::cast_precision_loss, reason = "a few hundred requests")]
        let share = 100.0 * candidate as f64 / (stable + candidate) as f64;
        format!("{share:.1} % of the last {} requests", stable + candidate)
    }
}

/// The data plane's counts of the stable slot and the candidate.
fn counts(alb: &Alb, service: &Service<'_>, stable: Slot) -> [Counts; 2] {
    let candidate = if stable == Slot::Blue { Slot::Green } else { Slot::Blue };
    [stable, candidate].map(|slot| service.target_groups(slot).first().map(|arn| alb.counts(arn)).unwrap_or_default())
}

/// Requests and errors since then.
fn since(then: &Counts, now: &Counts) -> (u64, u64) {
    let errors = |counts: &Counts| counts.http_5xx + counts.connection_errors;
    (now.requests.saturating_sub(then.requests), errors(now).saturating_sub(errors(then)))
}
