//! Releases of the past: found, and read together with what other executions did to them.

use spillway_aws::error::ApiError;
use spillway_aws::executions::{Event, Execution, UNKNOWN_EXECUTION, execution_arn, names};
use spillway_core::definition::ServiceName;

use super::World;
use super::failure::Failure;
use super::release::Kind;
use super::undos::Undos;
use crate::output;
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
        let undos = self.undos(&record.arn, Some(&record.service), record.started).await;
        self.add_aftermath(&mut record, &undos).await;
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
    pub async fn known(&self, arn: &str) -> Result<Option<Execution>, ApiError> {
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
        Ok(reader.into_record())
    }

    /// Adds the retirement, and an undo or a recovery. What cannot be looked up is told, and left out.
    pub async fn add_aftermath(&self, record: &mut Record, undos: &Undos) {
        if let Err(error) = self.add_undos(record, undos).await {
            output::say(&format!("spillway: {}: whether it was undone cannot be looked up: {error}", record.release));
        }
        if let Err(error) = self.add_retirement(record).await {
            output::say(&format!("spillway: {}: its retirement cannot be looked up: {error}", record.release));
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
