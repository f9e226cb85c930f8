//! The load balancer stand-in from outside: over its wire protocols and through its listeners.

#![allow(
    clippy::doc_markdown,
    clippy::float_cmp,
    reason = "ELBv2 and CloudWatch are names, not code; sums of ones are exact"
)]

/// Applications, clients, and a set-up load balancer.
mod support;

/// The ELBv2 API: round trips, errors, paging.
mod api;
/// Where requests go, and what becomes of them.
mod data_plane;
/// Throttling, failures, lost answers, slow propagation.
mod faults;
/// States and reasons of targets.
mod health;
/// `GetMetricData`, in all of its protocols.
mod metrics;
