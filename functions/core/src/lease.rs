//! The lease: what lets one release at a time change a service.
//!
//! The state machines write the item. Every function that changes something reads it first and goes on
//! only while it is its own: an invocation can outlive its task and its execution.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::definition::ServiceName;

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
}

/// The lease item as it stands in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseRecord {
    /// Who holds it; `None` while it is free.
    pub owner: Option<String>,
    /// The last fence given out.
    pub fence: u64,
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

    /// Checks a record read consistently from the table.
    ///
    /// # Errors
    /// [`LeaseLost`] unless owner and fence are both ours.
    pub fn verify(&self, record: Option<&LeaseRecord>) -> Result<(), LeaseLost> {
        let found = match record {
            Some(LeaseRecord { owner: Some(owner), fence }) if *owner == self.owner && *fence == self.fence => {
                return Ok(());
            }
            Some(LeaseRecord { owner: Some(owner), fence }) => format!("held by {owner} with fence {fence}"),
            Some(LeaseRecord { owner: None, fence }) => format!("free at fence {fence}"),
            None => "there is no such lease".into(),
        };
        Err(LeaseLost { service: self.service.clone(), expected: self.owner.clone(), fence: self.fence, found })
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
        let record = |owner: Option<&str>, fence| LeaseRecord { owner: owner.map(Into::into), fence };
        assert_eq!(lease.verify(Some(&record(Some("me"), 7))), Ok(()));
        for lost in [Some(record(Some("me"), 8)), Some(record(Some("you"), 7)), Some(record(None, 7)), None] {
            assert!(lease.verify(lost.as_ref()).is_err(), "{lost:?}");
        }
    }
}
