//! What was found out about a definition.

use std::process::ExitCode;

use serde_json::{Value, json};
use spillway_core::definition::ServiceDefinition;
use spillway_core::plan::Refusal;

use crate::operator::failure::{REFUSED, UNREACHABLE};
use crate::output::{self, Paint, painted};

/// What the definition is about, in a line.
pub fn words(definition: &ServiceDefinition) -> String {
    let steps: Vec<String> = definition.strategy.steps().iter().map(|step| step.weight.to_string()).collect();
    let routes = definition.routes.len();
    format!(
        "service {}, {routes} {}, strategy {} ({})",
        definition.service,
        if routes == 1 { "route" } else { "routes" },
        definition.strategy.kind,
        steps.join(", "),
    )
}

/// The same for machines.
pub fn summary(file: &str, definition: &ServiceDefinition) -> Value {
    json!({
        "file": file,
        "valid": true,
        "service": definition.service,
        "routes": definition.routes.len(),
        "strategy": definition.strategy.kind,
        "steps": definition.strategy.steps().iter().map(|step| f64::from(step.weight)).collect::<Vec<f64>>(),
        "problems": [],
    })
}

/// What the look at AWS came to.
#[derive(Debug, Default)]
pub struct Report {
    /// What would refuse or end a release.
    pub problems: Vec<String>,
    /// What should be known before one.
    pub warnings: Vec<String>,
    /// What could not be looked at, and why.
    pub unknown: Vec<String>,
    /// What else was seen.
    pub notes: Vec<String>,
}

impl Report {
    /// Takes in a reason not to start: what could not be read for want of permission is no problem of the definition.
    pub fn refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Unreadable(reason) | Refusal::UnreadableRoute { reason, .. } if is_denied(reason) => {
                self.unknown.push(format!("{reason}: you may not look at it"));
            }
            Refusal::Frozen(_) => self.warnings.push(refusal.to_string()),
            other => self.problems.push(other.to_string()),
        }
    }

    /// Prints it; the exit code tells problems from what could not be looked at.
    pub fn print(&self, file: &str, definition: &ServiceDefinition, json: bool) -> ExitCode {
        if json {
            let mut told = summary(file, definition);
            told["valid"] = self.problems.is_empty().into();
            let problems = self.problems.iter().map(|problem| json!({"message": problem}));
            told["problems"] = problems.collect();
            told["warnings"] = json!(self.warnings);
            told["not_checked"] = json!(self.unknown);
            told["notes"] = json!(self.notes);
            output::line(&told.to_string());
        } else {
            self.tell(file, definition);
        }
        if !self.problems.is_empty() {
            ExitCode::from(REFUSED)
        } else if self.unknown.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(UNREACHABLE)
        }
    }

    fn tell(&self, file: &str, definition: &ServiceDefinition) {
        let verdict = match (self.problems.len(), self.unknown.is_empty()) {
            (0, true) => painted("valid, and a release could start", Paint::Good),
            (0, false) => painted("valid, as far as could be looked at", Paint::Warn),
            (1, _) => painted("1 problem", Paint::Bad),
            (count, _) => painted(&format!("{count} problems"), Paint::Bad),
        };
        output::line(&format!("{file}: {verdict}: {}", words(definition)));
        let groups = [
            ("problem", &self.problems, Paint::Bad),
            ("not checked", &self.unknown, Paint::Warn),
            ("warning", &self.warnings, Paint::Warn),
            ("note", &self.notes, Paint::Plain),
        ];
        for (kind, lines, paint) in groups {
            for line in lines {
                output::line(&format!("  {}: {line}", painted(kind, paint)));
            }
        }
    }
}

/// Whether AWS has refused to tell.
pub fn is_denied(error: &str) -> bool {
    ["AccessDenied", "UnauthorizedOperation", "NotAuthorized"].iter().any(|code| error.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_you_may_not_see_is_no_problem_of_the_definition() {
        let mut report = Report::default();
        for (reason, problems, unknown) in [
            ("DescribeAlarms: AccessDenied: not authorized", 0, 1),
            ("DescribeAlarms: ValidationError: no", 1, 1),
            ("DescribeServices of x: AccessDeniedException: no", 1, 2),
        ] {
            report.refusal(&Refusal::Unreadable(reason.into()));
            assert_eq!((report.problems.len(), report.unknown.len()), (problems, unknown), "{reason}");
        }
    }
}
