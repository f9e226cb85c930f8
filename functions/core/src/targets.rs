//! Target health, as the load balancer tells it.

use serde::{Deserialize, Serialize};

/// State of one target. Names as in `DescribeTargetHealth`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Being registered, or its first health checks are running.
    Initial,
    /// Answers its health checks.
    Healthy,
    /// Does not.
    Unhealthy,
    /// Unhealthy and finishing its requests.
    UnhealthyDraining,
    /// In no route, or in a disabled zone: nobody checks its health.
    Unused,
    /// Deregistered and finishing its requests.
    Draining,
    /// Health checks are off: unknown, hence not healthy.
    Unavailable,
}

impl TargetState {
    /// Its name, as in `DescribeTargetHealth`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::UnhealthyDraining => "unhealthy.draining",
            Self::Unused => "unused",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How many targets are in which state: `2 healthy, 1 initial`, or `no target`.
#[must_use]
pub fn by_state(states: &[TargetState]) -> String {
    use TargetState::{Draining, Healthy, Initial, Unavailable, Unhealthy, UnhealthyDraining, Unused};
    let of = |wanted: TargetState| {
        let count = states.iter().filter(|state| **state == wanted).count();
        (count > 0).then(|| format!("{count} {}", wanted.name()))
    };
    let all = [Healthy, Initial, Unused, Unhealthy, Unavailable, Draining, UnhealthyDraining];
    let words: Vec<String> = all.into_iter().filter_map(of).collect();
    if words.is_empty() { "no target".into() } else { words.join(", ") }
}

/// The targets of one or more groups, counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TargetCounts {
    /// Healthy targets.
    pub healthy: u32,
    /// Registered targets, those that are leaving not counted.
    pub registered: u32,
    /// Targets whose health is unknown, because health checks are off: neither healthy nor unhealthy.
    pub unknown: u32,
}

impl TargetCounts {
    /// Counts one group's targets.
    #[must_use]
    pub fn of(states: &[TargetState]) -> Self {
        let count = |wanted: &[TargetState]| {
            u32::try_from(states.iter().filter(|state| wanted.contains(state)).count()).unwrap_or(u32::MAX)
        };
        use TargetState::{Healthy, Initial, Unavailable, Unhealthy, Unused};
        Self {
            healthy: count(&[Healthy]),
            registered: count(&[Healthy, Initial, Unhealthy, Unused, Unavailable]),
            unknown: count(&[Unavailable]),
        }
    }

    /// Targets that may answer: healthy ones, and those that nobody checks.
    #[must_use]
    pub fn usable(self) -> u32 {
        self.healthy + self.unknown
    }

    /// Whether at least this share of `expected` targets is healthy, and at least one. An empty group never is.
    #[must_use]
    pub fn enough(self, expected: u32, percent: u32) -> bool {
        let needed = (u64::from(expected.max(1)) * u64::from(percent)).div_ceil(100).max(1);
        u64::from(self.healthy) >= needed
    }
}

impl std::fmt::Display for TargetCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} targets healthy", self.healthy, self.registered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_healthy_targets_count_as_healthy() {
        use TargetState::{Draining, Healthy, Initial, Unavailable, Unhealthy, UnhealthyDraining, Unused};
        let all = [Initial, Healthy, Unhealthy, UnhealthyDraining, Unused, Draining, Unavailable];
        assert_eq!(TargetCounts::of(&all), TargetCounts { healthy: 1, registered: 5, unknown: 1 });
        assert_eq!(
            by_state(&all),
            "1 healthy, 1 initial, 1 unused, 1 unhealthy, 1 unavailable, 1 draining, 1 unhealthy.draining"
        );
        assert_eq!(by_state(&[]), "no target");
        assert!(!TargetCounts::of(&[]).enough(0, 1), "an empty group is not healthy");
        for (healthy, expected, percent, enough) in
            [(1, 1, 100, true), (2, 3, 100, false), (2, 3, 66, true), (2, 3, 67, false), (1, 0, 100, true)]
        {
            assert_eq!(
                TargetCounts { healthy, registered: 9, ..TargetCounts::default() }.enough(expected, percent),
                enough
            );
        }
    }
}
