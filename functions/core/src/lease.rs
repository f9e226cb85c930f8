//! The lease: what lets one release at a time change a service.
//!
//! The state machines write the item. Every function that changes something reads it first and goes on
//! only while it is its own: an invocation can outlive its task and its execution.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decision::Command;
use crate::definition::ServiceName;
use crate::scaling::Scaling;
use crate::slot::Slot;
use crate::version::Version;

/// The lease as the state machine that calls a function holds it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lease {
    /// The service that it is for.
    pub service: ServiceName,
    /// ARN of the execution that holds it.
    pub owner: String,
    /// Grows with every acquisition.
    #[serde(with = "digits")]
    pub fence: u64,
    /// When the invocation that works under it has ended at the latest. The function's frame knows that, and no state
    /// machine; without it nothing is asked of [`LeaseRecord::until`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// The lease item as it stands in the table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeaseRecord {
    /// Who holds it; `None` while it is free.
    pub owner: Option<String>,
    /// The last fence given out.
    pub fence: u64,
    /// Until when an invocation under it may change something. Whoever holds it next changes nothing before.
    pub until: Option<Timestamp>,
    /// What its holder does, or how the latest one ended.
    pub phase: String,
    /// Since when it is held.
    pub since: Option<Timestamp>,
    /// What the latest release was started with, as JSON.
    pub intent: Option<String>,
    /// An operator's word.
    pub command: Command,
    /// The release that waits for its turn.
    pub waiting: Option<Waiting>,
    /// Nothing starts or goes on while this lasts.
    pub freeze: Option<Freeze>,
    /// The latest version that was promoted.
    pub live: Option<Live>,
    /// What releases have taken from the slots' scaling, and not given back yet.
    pub scaling: Vec<Scaling>,
}

/// A release that waits for its turn. There is one at most: a newer one takes its place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// ARN of its execution.
    pub execution: String,
    /// What it was started with, as JSON.
    pub intent: String,
    /// When it was started.
    pub since: Timestamp,
    /// Whether the running release is to be rolled back for it.
    pub supersede: bool,
}

/// A version and where it was promoted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Live {
    /// The version.
    pub version: Version,
    /// The slot that got it.
    pub slot: Slot,
}

/// A time in which no release starts or goes on; rollbacks do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Freeze {
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub owner: String,
    /// When it ends.
    pub until: Timestamp,
}

/// What others want of a running release.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notices {
    /// A newer release that this one is to be rolled back for: its execution's ARN.
    pub superseded_by: Option<String>,
    /// The freeze that is on, of the service or of all.
    pub freeze: Option<Freeze>,
}

impl Notices {
    /// What the service's lease and the freeze of all services say.
    #[must_use]
    pub fn of(record: &LeaseRecord, all: Option<Freeze>, now: Timestamp) -> Self {
        let freeze = [record.freeze.clone(), all].into_iter().flatten().find(|freeze| freeze.is_on(now));
        // In a freeze the newer one could not start, and users would have been sent back for nobody.
        let newer = record.waiting.as_ref().filter(|waiting| waiting.supersede && freeze.is_none());
        Self { superseded_by: newer.map(|waiting| waiting.execution.clone()), freeze }
    }
}

impl Freeze {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

impl std::fmt::Display for Freeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "frozen by {} until {}: {}", self.owner, self.until, self.reason)
    }
}

/// Why nothing may be changed under a lease.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NotHeld {
    /// It is someone else's, or nobody's.
    #[error(transparent)]
    Lost(#[from] LeaseLost),
    /// The invocation could outlast it: whoever comes next would not wait for what it does.
    #[error("the lease on {service} lasts until {until}, and the invocation may last until {deadline}")]
    TooShort {
        /// The service.
        service: ServiceName,
        /// How long it lasts.
        until: Timestamp,
        /// How long the invocation may last.
        deadline: Timestamp,
    },
}

/// The lease belongs to someone else now: nothing may be changed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the lease on {service} is no longer {expected}'s with fence {fence}: {found}")]
pub struct LeaseLost {
    /// The service.
    pub service: ServiceName,
    /// Who should hold it.
    pub expected: String,
    /// With which fence.
    pub fence: u64,
    /// What stands in the table.
    pub found: String,
}

impl Lease {
    /// The release's name: the last part of its execution's ARN.
    #[must_use]
    pub fn release(&self) -> &str {
        self.owner.rsplit(':').next().unwrap_or_default()
    }

    /// Region and account of the execution: `eu-west-1:123456789012`.
    #[must_use]
    pub fn home(&self) -> &str {
        crate::arn::home(&self.owner)
    }

    /// Checks a record read consistently from the table.
    ///
    /// # Errors
    /// [`NotHeld`] unless owner and fence are both ours, and the invocation ends before the lease does.
    pub fn verify(&self, record: Option<&LeaseRecord>) -> Result<(), NotHeld> {
        let found = match record {
            Some(LeaseRecord { owner: Some(owner), fence, until, .. })
                if *owner == self.owner && *fence == self.fence =>
            {
                return match (*until, self.deadline) {
                    (Some(until), Some(deadline)) if deadline > until => {
                        Err(NotHeld::TooShort { service: self.service.clone(), until, deadline })
                    }
                    _ => Ok(()),
                };
            }
            Some(LeaseRecord { owner: Some(owner), fence, .. }) => format!("held by {owner} with fence {fence}"),
            Some(LeaseRecord { owner: None, fence, .. }) => format!("free at fence {fence}"),
            None => "there is no such lease".into(),
        };
        Err(LeaseLost { service: self.service.clone(), expected: self.owner.clone(), fence: self.fence, found }.into())
    }
}

/// DynamoDB hands numbers over as strings; people write numbers.
mod digits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(number),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_owner_with_the_same_fence_holds_it() {
        let lease: Lease = serde_json::from_str(r#"{"service":"shop","owner":"me","fence":"7"}"#).unwrap();
        let record =
            |owner: Option<&str>, fence| LeaseRecord { owner: owner.map(Into::into), fence, ..LeaseRecord::default() };
        assert_eq!(lease.verify(Some(&record(Some("me"), 7))), Ok(()));
        for lost in [Some(record(Some("me"), 8)), Some(record(Some("you"), 7)), Some(record(None, 7)), None] {
            assert!(matches!(lease.verify(lost.as_ref()), Err(NotHeld::Lost(_))), "{lost:?}");
        }
    }

    /// An invocation that may outlast the lease would change something after whoever comes next has begun to.
    #[test]
    fn an_invocation_must_end_before_the_lease() {
        let mut lease: Lease = serde_json::from_str(r#"{"service":"shop","owner":"me","fence":"7"}"#).unwrap();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let record = |until| LeaseRecord { owner: Some("me".into()), fence: 7, until, ..LeaseRecord::default() };
        for (deadline, until, held) in [
            (Some(100), Some(100), true),
            (Some(101), Some(100), false),
            (None, Some(100), true),
            (Some(101), None, true),
        ] {
            lease.deadline = deadline.map(at);
            assert_eq!(lease.verify(Some(&record(until.map(at)))).is_ok(), held, "{deadline:?} {until:?}");
        }
    }
}
