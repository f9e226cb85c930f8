//! The load balancer stand-in from outside: over its wire protocols and through its listeners.

#![allow(
    clippy::doc_markdown,
    clippy::float_cmp,
    reason = "ELBv2 and CloudWatch are names, not code; sums of ones are exact"
)]

/// Calls of the CloudWatch API, and a CloudWatch to stand behind it.
mod cloudwatch;
/// Applications, clients, and a set-up load balancer.
mod support;

/// Alarms on the load balancer's metrics.
mod alarms;
/// The ELBv2 API: round trips, errors, paging.
mod api;
/// Where requests go, and what becomes of them.
mod data_plane;
/// Changes that take a while: on the data plane, in reads, until a deletion is possible.
mod eventual;
/// Throttling, failures, lost answers.
mod faults;
/// States and reasons of targets.
mod health;
/// Metrics that come late, in part, or not at all.
mod late;
/// `GetMetricData`, in all of its protocols.
mod metrics;
/// Clients that a cookie keeps with a target group.
mod sticky;
/// What another CloudWatch answers.
mod upstream;
