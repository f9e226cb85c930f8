//! Looks at a release again and again, and at what is new alone.

use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use spillway_aws::executions::UNKNOWN_EXECUTION;
use spillway_aws::operator::{ALL, Freeze, Item};
use spillway_core::definition::ServiceName;
use tokio::sync::{Notify, watch};

use crate::operator::World;
use crate::operator::failure::Failure;
use crate::operator::release::Kind;
use crate::record::Record;
use crate::record::reader::Reader;

/// Between two looks.
const POLL: Duration = Duration::from_secs(2);
/// The longest pause after failed looks.
const RARELY: Duration = Duration::from_secs(20);

/// What a look has found.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When; `None` before there was any.
    pub at: Option<Timestamp>,
    /// The lease.
    pub item: Option<Item>,
    /// A freeze that is on, and what it is of.
    pub freeze: Option<(String, Freeze)>,
    /// The release, if there is one.
    pub record: Option<Rc<Record>>,
    /// Why the latest look found nothing, and since when there was none that did.
    pub trouble: Option<(Timestamp, String)>,
}

/// Looks at one service's releases.
pub struct Feed {
    world: Rc<World>,
    service: ServiceName,
    /// The release that alone is meant.
    only: Option<String>,
}

/// What a look goes on from: the execution, and what was read of its history.
type Reading = Option<(String, Reader)>;

impl Feed {
    /// Of a service, or of one release of it.
    pub fn new(world: Rc<World>, service: ServiceName, only: Option<String>) -> Self {
        Self { world, service, only }
    }

    /// The first look. What may pass is left to the next ones.
    ///
    /// # Errors
    /// What will not pass by itself.
    pub async fn first(&self) -> Result<Look, Failure> {
        match self.look(&mut None).await {
            Ok(look) => Ok(look),
            // One that was just started may not be known everywhere yet.
            Err(Failure::Aws(error)) if error.transient || error.code == UNKNOWN_EXECUTION => {
                Ok(Look { trouble: Some((Timestamp::now(), error.to_string())), ..Look::default() })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Looks until nobody listens any more; at once when it is woken.
    pub async fn run(self, looks: watch::Sender<Look>, wake: Rc<Notify>) {
        let (mut reading, mut pause) = (None, POLL);
        loop {
            match self.look(&mut reading).await {
                Ok(look) => {
                    pause = POLL;
                    looks.send_replace(look);
                }
                Err(failure) => {
                    // Others may be throttled by the same limit, and look again at the same time.
                    pause = (pause * 2).min(RARELY).mul_f64(0.75 + fastrand::f64() / 4.0);
                    looks.send_modify(|look| {
                        let since = look.trouble.take().map_or_else(Timestamp::now, |(since, _)| since);
                        look.trouble = Some((since, failure.text()));
                    });
                }
            }
            if looks.is_closed() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake.notified() => {}
            }
        }
    }

    async fn look(&self, reading: &mut Reading) -> Result<Look, Failure> {
        let service = self.service.as_str();
        let item = self.world.leases.read(service).await?;
        let all = self.world.leases.read(ALL).await?.and_then(|item| item.freeze);
        let own = item.as_ref().and_then(|item| item.freeze.clone());
        let now = Timestamp::now();
        let freezes =
            own.map(|freeze| (service.to_owned(), freeze)).into_iter().chain(all.map(|all| (ALL.into(), all)));
        let freeze = freezes.into_iter().find(|(_, freeze)| freeze.is_on(now));

        let execution = match &self.only {
            Some(only) => Some(only.clone()),
            None => self.execution(item.as_ref(), reading.as_ref()).await?,
        };
        if let Some(execution) = &execution {
            if reading.as_ref().is_none_or(|(arn, _)| arn != execution) {
                *reading = Some((execution.clone(), Reader::new(execution, now)));
            }
            if let Some((_, reader)) = reading {
                let events = self.world.machines.history(execution, reader.record().seen).await?;
                reader.read(&events).map_err(|why| Failure::Refused(format!("{service}: {why}")))?;
            }
        }
        let record = reading.as_ref().map(|(_, reader)| Rc::new(reader.record().clone()));
        Ok(Look { at: Some(now), item, freeze, record, trouble: None })
    }

    /// The release that is meant: the one that holds the lease or waits for it, or the one that was seen already, or the
    /// latest.
    async fn execution(
        &self,
        item: Option<&Item>,
        reading: Option<&(String, Reader)>,
    ) -> Result<Option<String>, Failure> {
        let held = item.and_then(|item| item.owner.as_deref());
        let held = held.filter(|owner| Kind::of(owner, self.world.prefix()) == Kind::Release);
        match (held, reading) {
            (None, Some((seen, _))) if item.is_none_or(|item| item.waiting.is_none()) => Ok(Some(seen.clone())),
            _ => self.world.current(self.service.as_str(), item).await,
        }
    }
}
