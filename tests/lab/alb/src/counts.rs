//! What tests can read besides the API: totals of the data plane, and a log of API calls.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Totals of one target group since the start, as the data plane counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for which a target of the group was chosen.
    pub requests: u64,
    /// Answers of targets with codes 200 to 299.
    pub http_2xx: u64,
    /// Answers of targets with codes 300 to 399.
    pub http_3xx: u64,
    /// Answers of targets with codes 400 to 499.
    pub http_4xx: u64,
    /// Answers of targets with codes 500 to 599.
    pub http_5xx: u64,
    /// Connections to targets that could not be established.
    pub connection_errors: u64,
}

/// Totals of one load balancer since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElbCounts {
    /// Every request that arrived, whether or not a target was chosen for it.
    pub requests: u64,
    /// Codes 502, 503 and 504 that the load balancer made itself.
    pub elb_5xx: u64,
}

/// One call of an API, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCall {
    /// The action, for example `ModifyRule`.
    pub action: String,
    /// When it arrived.
    pub at: Timestamp,
    /// The ARN that it is about, if it names one: rule, listener, target group or load balancer.
    pub resource: Option<String>,
    /// The error code that was answered, if one was.
    pub error: Option<String>,
}

/// A bounded log of API calls, oldest first.
#[derive(Debug, Default)]
pub(crate) struct CallLog(Mutex<VecDeque<ApiCall>>);

impl CallLog {
    const KEPT: usize = 10_000;

    pub(crate) fn push(&self, call: ApiCall) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == Self::KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(crate) fn to_vec(&self) -> Vec<ApiCall> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().cloned().collect()
    }
}
