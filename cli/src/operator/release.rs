//! Which release is meant: the holder's, the one that waits, or the latest.

use spillway_aws::executions::{self, Execution, Status, UNKNOWN_EXECUTION};
use spillway_aws::operator::Item;
use spillway_core::definition::ServiceName;

use super::World;
use super::failure::Failure;

/// So many of the latest executions are looked through for one of a service.
const LOOKED_THROUGH: i32 = 25;

/// What holds a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A release.
    Release,
    /// The retirement of a slot without traffic.
    Retirement,
    /// An undo.
    Rollback,
    /// The guard, who cleans up after a release that died.
    Guard,
    /// None of this installation's machines.
    Stranger,
}

impl Kind {
    /// What an execution of this installation is.
    pub fn of(execution: &str, prefix: &str) -> Self {
        let machine = executions::names(execution).map_or("", |(machine, _)| machine);
        match machine.strip_prefix(prefix) {
            Some("-release") => Self::Release,
            Some("-retire") => Self::Retirement,
            Some("-rollback") => Self::Rollback,
            Some("-guard") => Self::Guard,
            _ => Self::Stranger,
        }
    }

    /// Its name, for people and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Retirement => "retirement",
            Self::Rollback => "rollback",
            Self::Guard => "guard",
            Self::Stranger => "stranger",
        }
    }
}

/// The service that an execution's input names.
pub fn service_of(input: &str) -> Option<String> {
    let input: serde_json::Value = serde_json::from_str(input).ok()?;
    Some(input.get("service")?.as_str()?.to_owned())
}

impl World {
    /// The latest release of the service, if it is among the latest of all: one that runs is on its way to its lease.
    pub async fn latest(&self, service: &str) -> Result<Option<Execution>, Failure> {
        let machine = self.release_machine().await?;
        for arn in self.machines.latest(&machine, LOOKED_THROUGH).await? {
            let execution = self.machines.describe(&arn).await?;
            if service_of(&execution.input).as_deref() == Some(service) {
                return Ok(Some(execution));
            }
        }
        Ok(None)
    }

    /// The release to wait for: the one that holds the lease, or its undo, or the one that waits for it, or else the latest.
    pub async fn current(&self, service: &str, item: Option<&Item>) -> Result<Option<String>, Failure> {
        let held = item.and_then(|item| item.owner.as_deref());
        let waited_for = |owner: &&str| matches!(Kind::of(owner, self.prefix()), Kind::Release | Kind::Rollback);
        if let Some(owner) = held.filter(waited_for) {
            return Ok(Some(owner.to_owned()));
        }
        if let Some(waiting) = item.and_then(|item| item.waiting.as_ref()) {
            return Ok(Some(waiting.execution.clone()));
        }
        Ok(self.latest(service).await?.map(|execution| execution.arn))
    }

    /// The release, or undo, of this ARN; of this service, if one is asked for.
    pub async fn release_of(&self, arn: &str, asked: Option<&ServiceName>) -> Result<Execution, Failure> {
        if !matches!(Kind::of(arn, self.prefix()), Kind::Release | Kind::Rollback) {
            return Err(Failure::Refused(format!(
                "--execution {arn}: not a release of this installation; allowed: \
                 arn:aws:states:REGION:ACCOUNT:execution:{0}-release:NAME, or of {0}-rollback",
                self.prefix()
            )));
        }
        let execution = match self.machines.describe(arn).await {
            Ok(execution) => execution,
            Err(error) if error.code == UNKNOWN_EXECUTION => {
                let why = "there is no such execution, or not any more; allowed: one that start has printed";
                return Err(Failure::Refused(format!("--execution {arn}: {why}")));
            }
            Err(error) => return Err(error.into()),
        };
        let service = service_of(&execution.input).unwrap_or_default();
        match asked.filter(|asked| asked.as_str() != service) {
            Some(asked) => Err(Failure::Refused(format!(
                "--execution {arn}: a release of {service}, not of {asked}; allowed: one of the two, or the ARN of a \
                 release of {asked}"
            ))),
            None => Ok(execution),
        }
    }

    /// How the lease's holder ended, if it did: then nobody reads commands, and nobody frees the lease but the guard.
    /// Not knowing is no reason against anything.
    pub async fn dead(&self, owner: &str) -> Option<Status> {
        let status = self.machines.describe(owner).await.ok()?.status;
        (status != Status::Running).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_known_by_its_machine() {
        let arn = |machine: &str| format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:r:1");
        for (machine, kind) in [
            ("spillway-release", Kind::Release),
            ("spillway-retire", Kind::Retirement),
            ("spillway-rollback", Kind::Rollback),
            ("spillway-guard", Kind::Guard),
            ("shop-release", Kind::Stranger),
            ("spillway-release-2", Kind::Stranger),
        ] {
            assert_eq!(Kind::of(&arn(machine), "spillway"), kind, "{machine}");
        }
        assert_eq!(Kind::of("somebody", "spillway"), Kind::Stranger);
    }
}
