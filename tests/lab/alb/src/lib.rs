//! A stand-in for AWS Application Load Balancers on loopback: the slice of the ELBv2 API that Spillway
//! uses, over the real wire protocol; a data plane that really forwards HTTP; and CloudWatch's
//! `GetMetricData` for `AWS/ApplicationELB`, computed from what happened on that data plane.
//!
//! It is a test double: no signature is verified, any credentials will do, and everything it listens on
//! and connects to is on 127.0.0.1. README.md tells what is modelled, with sources, and what is not.
//!
//! **Architecture invariant:** all state that the API and the data plane share is in one `State` behind
//! one lock, never held across an await; a request is routed by one look at it.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]
#![allow(
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    reason = "ELBv2 and CloudWatch are names, not code; errors are documented on their types"
)]

mod action;
mod alb;
mod arn;
mod cloudwatch;
mod condition;
mod cookie;
mod counts;
mod elbv2;
mod error;
mod faults;
mod health;
mod metrics;
mod node;
mod pool;
mod proxy;
mod route;
mod server;
mod settings;
mod shared;
mod state;
mod target_group;
mod tasks;
mod traffic;
mod visible;

pub use alb::{Alb, StartError, free_port};
pub use counts::{ApiCall, Counts, ElbCounts};
pub use faults::{Actions, Fate, Faults, Service, TokenBucket};
pub use settings::Settings;
