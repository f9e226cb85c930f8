//! Undos, and recoveries by the guard: executions of `PREFIX-rollback`, and the releases that they were about.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::Value;
use spillway_aws::error::ApiError;
use spillway_aws::executions::{Event, Execution};
use tokio::sync::OnceCell;

use super::World;
use super::release::service_of;
use crate::output;
use crate::record::Record;
use crate::record::reader::Reader;

/// Executions are looked at so many at a time: Step Functions lets 15 a second be described for long.
const AT_ONCE: usize = 8;

/// Those that were started since some time, the oldest first.
#[derive(Default)]
pub struct Undos(Vec<Undo>);

struct Undo {
    execution: Execution,
    /// To the millisecond.
    started: Timestamp,
    service: String,
    /// Its history, once it was asked for.
    events: OnceCell<Vec<Event>>,
}

impl World {
    /// All that were started since then, of a service or of all; a release's ARN tells where. If they cannot be looked up, that
    /// is told, and there are none.
    pub async fn undos(&self, release: &str, service: Option<&str>, since: Timestamp) -> Undos {
        self.all_undos(release, service, since).await.unwrap_or_else(|error| {
            output::say(&format!("spillway: whether releases were undone cannot be looked up: {error}"));
            Undos::default()
        })
    }

    async fn all_undos(&self, release: &str, service: Option<&str>, since: Timestamp) -> Result<Undos, ApiError> {
        let Some((before, _)) = release.split_once(&format!(":execution:{}-release:", self.prefix())) else {
            return Ok(Undos::default());
        };
        let machine = format!("{before}:stateMachine:{}-rollback", self.prefix());
        let (mut token, mut found) = (None, Vec::new());
        loop {
            let (page, next) = self.machines.list(&machine, token).await?;
            let old = page.iter().any(|listed| listed.started < since);
            found.extend(
                page.into_iter().filter(|listed| listed.started >= since).map(|listed| (listed.arn, listed.started)),
            );
            token = next;
            if old || token.is_none() {
                break;
            }
        }
        let described = stream::iter(found.into_iter().rev()).map(|(arn, started)| async move {
            let execution = self.known(&arn).await?;
            Ok::<_, ApiError>(execution.map(|execution| {
                let service = service_of(&execution.input).unwrap_or_default();
                Undo { execution, started, service, events: OnceCell::new() }
            }))
        });
        let undos: Vec<Option<Undo>> = described.buffered(AT_ONCE).try_collect().await?;
        let undos = undos.into_iter().flatten();
        Ok(Undos(undos.filter(|undo| service.is_none_or(|service| service == undo.service)).collect()))
    }

    /// Adds those that were about this release: a recovery names it, and an undo goes by its plan.
    pub(super) async fn add_undos(&self, record: &mut Record, undos: &Undos) -> Result<(), ApiError> {
        for undo in &undos.0 {
            if undo.service != record.service || undo.started < record.started {
                continue;
            }
            let input: Value = serde_json::from_str(&undo.execution.input).unwrap_or_default();
            let is_of = if let Some(owner) = input["owner"].as_str() {
                owner == record.arn
            } else {
                let planned = self.planned_at(record).await?;
                planned.is_some() && planned == planned_before(undo.events(self).await?)
            };
            if is_of {
                let mut events = undo.events(self).await?.to_vec();
                events.reverse();
                record.add_undo(&undo.execution, &events);
            }
        }
        Ok(())
    }

    /// When the release was planned; its end alone may not tell.
    async fn planned_at(&self, record: &mut Record) -> Result<Option<Timestamp>, ApiError> {
        if record.plan.is_none() {
            let mut reader = Reader::new(&record.arn, record.started);
            // One that cannot be read has no plan to go by.
            let _ = reader.read(&self.machines.history(&record.arn, 0).await?);
            record.plan = reader.into_record().plan;
        }
        Ok(record.plan.as_ref().and_then(|plan| plan.planned_at))
    }
}

impl Undo {
    async fn events(&self, world: &World) -> Result<&[Event], ApiError> {
        let events = self.events.get_or_try_init(|| world.machines.history(&self.execution.arn, 0)).await?;
        Ok(events)
    }
}

/// When the release was planned that an undo has found in the lease.
fn planned_before(events: &[Event]) -> Option<Timestamp> {
    let plan = events.iter().find_map(|event| {
        let output: Value = serde_json::from_str(event.output.as_deref()?).ok()?;
        serde_json::from_str::<Value>(output.pointer("/Attributes/plan/S")?.as_str()?).ok()
    });
    plan?["planned_at"].as_str()?.parse().ok()
}
