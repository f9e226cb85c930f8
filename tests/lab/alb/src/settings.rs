//! What a load balancer stand-in is started with.

use std::time::Duration;

/// How [`Alb::start`](crate::Alb::start) sets the stand-in up. Time is real but small: what takes AWS
/// half a minute takes a fraction of a second here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The account number in every ARN.
    pub account: String,
    /// The region in every ARN; Availability Zones are this plus a letter.
    pub region: String,
    /// Where every CloudWatch call goes that is not `GetMetricData` on `AWS/ApplicationELB`, for
    /// example `http://127.0.0.1:4566`. Without it those calls are errors. Alarms are kept there; those on
    /// `AWS/ApplicationELB` are set to the state that the metrics here call for.
    pub cloudwatch_upstream: Option<String>,
    /// The data plane's time between two health checks of a target, in place of every target group's
    /// `HealthCheckIntervalSeconds`.
    pub health_check_interval: Duration,
    /// How long a deregistered target is `draining`, in place of every target group's
    /// `deregistration_delay.timeout_seconds`.
    pub deregistration_delay: Duration,
    /// How long a target may take to begin its answer before the load balancer answers 504; AWS's
    /// `idle_timeout.timeout_seconds` is 60 by default.
    pub idle_timeout: Duration,
    /// Seeds the identifiers in ARNs and the weighted choice between target groups.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            cloudwatch_upstream: None,
            health_check_interval: Duration::from_millis(200),
            deregistration_delay: Duration::from_millis(500),
            idle_timeout: Duration::from_mins(1),
            seed: 1,
        }
    }
}
