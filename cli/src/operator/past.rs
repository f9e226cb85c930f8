//! Releases of the past: found, and read together with what other executions did to them.

use serde_json::Value;
use spillway_aws::error::ApiError;
use spillway_aws::executions::{Event, Execution, UNKNOWN_EXECUTION, execution_arn, names};
use spillway_core::definition::ServiceName;

use super::World;
use super::failure::Failure;
use super::release::{Kind, service_of};
use crate::record::Record;
use crate::record::aftermath::{cost, is_told};
use crate::record::reader::Reader;

/// How long Step Functions keeps what has ended:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>.
pub const KEPT: &str = "Step Functions forgets executions 90 days after their end";

impl World {
    /// The record of a release, by its name, by its execution's ARN, or by a service, whose current or latest is meant.
    pub async fn record(&self, asked: &str) -> Result<Record, Failure> {
        let execution = self.asked_for(asked).await?;
        let mut record = self.read(&execution).await?;
        self.add_aftermath(&mut record).await;
        Ok(record)
    }

    async fn asked_for(&self, asked: &str) -> Result<Execution, Failure> {
        if asked.starts_with("arn:") {
            return self.by_arn(asked).await;
        }
        let arn = execution_arn(&self.release_machine().await?, asked);
        if let Some(execution) = self.known(&arn).await? {
            return Ok(execution);
        }
        let item = match ServiceName::parse(asked) {
            Ok(service) => self.leases.read(service.as_str()).await?,
            Err(_) => None,
        };
        let Some(item) = item else {
            return Err(Failure::Refused(format!(
                "{asked}: there is no such release, and no such service; {KEPT}; allowed: a release's name or ARN, as {} \
                 lists them, or a service",
                self.hint("history SERVICE")
            )));
        };
        let current = self.current(asked, Some(&item)).await?;
        let found = match &current {
            Some(arn) => self.known(arn).await?,
            None => None,
        };
        found.ok_or_else(|| {
            Failure::Refused(format!(
                "{asked}: none of the latest releases is of this service; {KEPT}; allowed: a release's name or ARN"
            ))
        })
    }

    async fn by_arn(&self, arn: &str) -> Result<Execution, Failure> {
        if arn.contains(":express:") {
            return Err(Failure::Refused(format!(
                "{arn}: an execution of an Express state machine, of which no history is kept; allowed: \
                 arn:aws:states:REGION:ACCOUNT:execution:{}-release:NAME",
                self.prefix()
            )));
        }
        if Kind::of(arn, self.prefix()) != Kind::Release {
            return Err(Failure::Refused(format!(
                "{arn}: not a release of this installation; allowed: arn:aws:states:REGION:ACCOUNT:execution:{}-release:NAME",
                self.prefix()
            )));
        }
        self.known(arn).await?.ok_or_else(|| {
            Failure::Refused(format!(
                "{arn}: there is no such execution, or not any more; {KEPT}; allowed: one that history lists"
            ))
        })
    }

    /// An execution, if there is one.
    async fn known(&self, arn: &str) -> Result<Option<Execution>, ApiError> {
        match self.machines.describe(arn).await {
            Ok(execution) => Ok(Some(execution)),
            Err(error) if error.code == UNKNOWN_EXECUTION => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an execution's own history tells.
    async fn read(&self, execution: &Execution) -> Result<Record, Failure> {
        let events = self.machines.history(&execution.arn, 0).await?;
        let mut reader = Reader::new(&execution.arn, execution.started);
        reader.read(&events).map_err(|problem| unreadable(&execution.arn, &problem))?;
        Ok(reader.into_record())
    }

    /// The same of its end only, which takes one call for most: its ending, its latest check and its cost.
    pub async fn read_end(&self, execution: &Execution) -> Result<Record, Failure> {
        let has_check = |event: &Event| event.output.as_deref().is_some_and(|output| output.contains("\"evidence\""));
        let mut events = self.machines.latest_events(&execution.arn, |events| events.iter().any(has_check)).await?;
        events.reverse();
        let mut reader = Reader::new(&execution.arn, execution.started);
        reader.read(&events).map_err(|problem| unreadable(&execution.arn, &problem))?;
        let mut record = reader.into_record();
        record.service = service_of(&execution.input).unwrap_or_default();
        Ok(record)
    }

    /// Adds the retirement, and an undo or a recovery. What cannot be looked up is told, and left out.
    pub async fn add_aftermath(&self, record: &mut Record) {
        if let Err(error) = self.add_undo(record).await {
            eprintln!("spillway: {}: whether it was undone cannot be looked up: {error}", record.release);
        }
        if let Err(error) = self.add_retirement(record).await {
            eprintln!("spillway: {}: its retirement cannot be looked up: {error}", record.release);
        }
    }

    /// The retirement of the slot that the release left without traffic, which is named after it.
    pub async fn add_retirement(&self, record: &mut Record) -> Result<(), ApiError> {
        let Some(arn) = execution_of(&record.arn, self.prefix(), "retire", &record.release) else { return Ok(()) };
        let Some(retirement) = self.known(&arn).await? else { return Ok(()) };
        let enough = |events: &[Event]| events.iter().any(|event| cost(event).is_some());
        let events = if is_told(&retirement) { Vec::new() } else { self.machines.latest_events(&arn, enough).await? };
        record.add_retirement(&retirement, &events);
        Ok(())
    }

    /// An undo of the release, or a recovery after it had died.
    async fn add_undo(&self, record: &mut Record) -> Result<(), ApiError> {
        let Some(machine) =
            record.arn.rsplit_once(':').map(|(machine, _)| machine.replacen(":execution:", ":stateMachine:", 1))
        else {
            return Ok(());
        };
        let machine =
            machine.replacen(&format!(":{}-release", self.prefix()), &format!(":{}-rollback", self.prefix()), 1);
        let (mut token, mut found) = (None, Vec::new());
        loop {
            let (page, next) = self.machines.list(&machine, token).await?;
            let old = page.iter().any(|listed| listed.started < record.started);
            found.extend(page.into_iter().filter(|listed| listed.started >= record.started).map(|listed| listed.arn));
            token = next;
            if old || token.is_none() {
                break;
            }
        }
        for arn in found.iter().rev() {
            let Some(undo) = self.known(arn).await? else { continue };
            if service_of(&undo.input).as_deref() != Some(&record.service) {
                continue;
            }
            if record.plan.is_none() {
                let mut reader = Reader::new(&record.arn, record.started);
                // One that cannot be read has no plan to go by.
                let _ = reader.read(&self.machines.history(&record.arn, 0).await?);
                record.plan = reader.into_record().plan;
            }
            let mut events = self.machines.history(arn, 0).await?;
            if is_of(&undo, &events, record) {
                events.reverse();
                record.add_undo(&undo, &events);
            }
        }
        Ok(())
    }
}

/// Whether an undo of the service was about this release: a recovery names it, and an undo goes by its plan.
fn is_of(undo: &Execution, events: &[Event], record: &Record) -> bool {
    let input: Value = serde_json::from_str(&undo.input).unwrap_or_default();
    if let Some(owner) = input["owner"].as_str() {
        return owner == record.arn;
    }
    let Some(planned) = record.plan.as_ref().and_then(|plan| plan.planned_at) else { return false };
    let plan = events.iter().find_map(|event| {
        let output: Value = serde_json::from_str(event.output.as_deref()?).ok()?;
        serde_json::from_str::<Value>(output.pointer("/Attributes/plan/S")?.as_str()?).ok()
    });
    plan.as_ref().and_then(|plan| plan["planned_at"].as_str()?.parse().ok()) == Some(planned)
}

/// The execution of another machine of the installation that has this name.
fn execution_of(release: &str, prefix: &str, machine: &str, name: &str) -> Option<String> {
    let (before, _) = release.split_once(&format!(":{prefix}-release:"))?;
    names(release)?;
    Some(format!("{before}:{prefix}-{machine}:{name}"))
}

fn unreadable(arn: &str, problem: &str) -> Failure {
    Failure::Refused(format!("{arn}: {problem}"))
}
