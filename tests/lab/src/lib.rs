//! The local stack that the demo and the end-to-end tests run on: real processes and real wire protocols, on
//! 127.0.0.1 only, without root, Docker or an AWS account. README.md tells what is real and what is not.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use spillway_lab::{Dials, Lab, Traffic};
//!
//! let lab = Lab::builder().start().await?;
//! let shop = lab.service("shop").start().await?;
//! let traffic = Traffic::start(&shop.url(), 100.0, 0);
//! let image = shop.publish_image("v2", Dials::version("v2").error_rate(0.2));
//! let outcome = shop.release(&serde_json::json!({"image": image})).await?.wait(Duration::from_secs(60)).await?;
//! println!("{:?}: {:?}", outcome.status, traffic.snapshot());
//! lab.stop().await;
//! # Ok(())
//! # }
//! ```

#![warn(clippy::pedantic)]
#![allow(clippy::doc_markdown, clippy::format_collect, reason = "names of services are prose here; speed is no matter")]

pub mod agent;
pub mod application;
mod auto_scaling;
pub mod aws;
pub mod broken_function;
mod cloudwatch;
pub mod dependency;
mod eventually;
pub mod execution;
mod front;
pub mod functions;
mod lab;
pub mod ministack;
pub mod paths;
pub mod process;
pub mod run_dir;
mod scalable_targets;
pub mod service;
pub mod state_machines;
pub mod traffic;
pub mod xml;

pub use application::Dials;
pub use aws::AwsError;
pub use broken_function::Misbehaviour;
pub use cloudwatch::AlarmState;
pub use eventually::{TooLate, eventually};
pub use execution::{Execution, ExecutionError, Outcome, Status};
pub use lab::{Builder, Lab, LabError};
pub use service::{Compute, Service, ServiceBuilder, Slot};
pub use spillway_lab_alb::{Actions, Alb, ApiCall, Counts, ElbCounts, Faults, Settings as AlbSettings, TokenBucket};
pub use traffic::{Traffic, TrafficCounts, VersionCounts, Watch};
