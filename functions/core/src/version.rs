//! What is released.

use serde::{Deserialize, Serialize};

use crate::definition::Compute;
use crate::text::{checked_text, is_word};

checked_text!(
    /// A container image named by digest: tags move, digests do not.
    Image,
    "a container image by digest",
    "REPOSITORY@sha256:64 hexadecimal digits",
    "^[^@\\s]+@sha256:[0-9a-f]{64}$",
    |text| text.split_once("@sha256:").is_some_and(|(repository, digest)| {
        !repository.is_empty()
            && text.len() <= 512
            && !repository.contains(|c: char| c == '@' || c.is_whitespace())
            && digest.len() == 64
            && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
);

checked_text!(
    /// A revision of an ECS task definition.
    TaskDefinition,
    "a task definition revision",
    "FAMILY:REVISION or arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION",
    "^(arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/)?[A-Za-z0-9_-]{1,255}:[0-9]+$",
    |text| {
        let short = text.rsplit_once("task-definition/").map_or(text, |(head, tail)| {
            if is_head(head) { tail } else { "" }
        });
        short
            .split_once(':')
            .is_some_and(|(family, revision)| is_word(family, 255, "-_") && revision.parse::<u32>().is_ok_and(|r| r > 0))
    }
);

/// `arn:aws:ecs:REGION:ACCOUNT:`.
fn is_head(head: &str) -> bool {
    let parts: Vec<&str> = head.split(':').collect();
    let [first, partition, service, region, account, rest] = parts.as_slice() else { return false };
    (*first, *service, *rest) == ("arn", "ecs", "")
        && partition.starts_with("aws")
        && is_word(partition, 20, "-")
        && is_word(region, 30, "-")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
}

checked_text!(
    /// A numbered version of a launch template; `$Latest` and `$Default` move, numbers do not.
    LaunchTemplateVersion,
    "a launch template version",
    "a number from 1",
    "^[1-9][0-9]*$",
    |text| text.parse::<u32>().is_ok_and(|v| v > 0) && !text.starts_with(['0', '+'])
);

checked_text!(
    /// A label for something that somebody else has deployed already.
    OpaqueVersion,
    "a version label",
    "1 to 128 characters without control characters",
    "^[^\\x00-\\x1f]{1,128}$",
    |text| (1..=128).contains(&text.chars().count()) && !text.contains(char::is_control)
);

/// What is released: exactly one of these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// A container image by digest; a task definition revision is registered for it.
    Image(Image),
    /// An existing task definition revision.
    TaskDefinition(TaskDefinition),
    /// A version of the Auto Scaling group's launch template.
    LaunchTemplateVersion(LaunchTemplateVersion),
    /// Already deployed to the candidate slot by someone else.
    Opaque(OpaqueVersion),
}

impl Version {
    /// Whether this kind of version can be brought onto that kind of compute.
    #[must_use]
    pub fn suits(&self, compute: &Compute) -> bool {
        match self {
            Self::Image(_) | Self::TaskDefinition(_) => matches!(compute, Compute::EcsService(_)),
            Self::LaunchTemplateVersion(_) => matches!(compute, Compute::AutoScalingGroup(_)),
            Self::Opaque(_) => true,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(image) => write!(f, "image {image}"),
            Self::TaskDefinition(revision) => write!(f, "task definition {revision}"),
            Self::LaunchTemplateVersion(version) => write!(f, "launch template version {version}"),
            Self::Opaque(label) => write!(f, "{label}"),
        }
    }
}

/// Digits by which people tell digests apart.
const DIGITS: usize = 12;

/// A version in words, with a digest cut to its first digits.
#[must_use]
pub fn short(version: &str) -> String {
    match version.split_once("@sha256:") {
        Some((image, digest)) => format!("{image}@sha256:{}", digest.chars().take(DIGITS).collect::<String>()),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_move_are_refused() {
        let digest = "a".repeat(64);
        for (json, ok) in [
            (format!(r#"{{"image":"shop@sha256:{digest}"}}"#), true),
            (r#"{"image":"shop:latest"}"#.into(), false),
            (format!(r#"{{"image":"shop@sha256:{}"}}"#, "A".repeat(64)), false),
            (r#"{"task_definition":"shop:7"}"#.into(), true),
            (r#"{"task_definition":"arn:aws:ecs:eu-west-1:123456789012:task-definition/shop:7"}"#.into(), true),
            (r#"{"task_definition":"shop"}"#.into(), false),
            (r#"{"launch_template_version":"12"}"#.into(), true),
            (r#"{"launch_template_version":"$Latest"}"#.into(), false),
            (r#"{"opaque":"build 7"}"#.into(), true),
            (r#"{"opaque":""}"#.into(), false),
            (r#"{"image":"a","opaque":"b"}"#.into(), false),
        ] {
            assert_eq!(serde_json::from_str::<Version>(&json).is_ok(), ok, "{json}");
        }
    }
}
