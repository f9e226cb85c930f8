//! The switches that make the stand-in misbehave as the real service sometimes does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which API actions a throttle covers. The actions of one throttle share one bucket, as AWS's
/// `Describe*` actions do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// Every action of the ELBv2 API.
    All,
    /// The actions of these names, for example `ModifyRule` (CloudWatch's `GetMetricData` too).
    Only(Vec<String>),
}

impl Actions {
    fn cover(&self, service: Service, action: &str) -> bool {
        match self {
            Self::All => service == Service::Elbv2,
            Self::Only(names) => names.iter().any(|name| name == action),
        }
    }
}

impl From<&str> for Actions {
    fn from(action: &str) -> Self {
        Self::Only(vec![action.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Actions {
    fn from(actions: [&str; N]) -> Self {
        Self::Only(actions.map(ToOwned::to_owned).to_vec())
    }
}

/// A token bucket: `burst` calls at once, then `refill_per_second` calls a second (AWS's for
/// `Describe*`: 40 and about 10).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenBucket {
    /// Calls that pass at once when the bucket is full.
    pub burst: u32,
    /// Calls a second that pass after that.
    pub refill_per_second: f64,
}

/// Which API an action belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Elbv2,
    CloudWatch,
}

/// What the faults have decided about a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Serve it; afterwards close the connection without an answer if told so.
    Serve { lose_response: bool },
    /// Do nothing and answer this error.
    Fail { code: String, message: String },
}

/// Thread-safe switches, all off at the start; they can be changed at any time.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    propagation_delay: Duration,
    throttles: Vec<Throttle>,
    failures: Vec<Failure>,
    lost: Vec<(String, usize)>,
    metric_delay: Duration,
    drop_metrics: bool,
    page_size: Option<usize>,
}

#[derive(Debug)]
struct Throttle {
    actions: Actions,
    bucket: TokenBucket,
    tokens: f64,
    filled: Instant,
}

#[derive(Debug)]
struct Failure {
    action: String,
    left: usize,
    code: String,
    message: String,
}

impl Faults {
    /// After a change of a rule or a listener the data plane goes on using the previous
    /// configuration for this long ("rule updates do not take effect immediately", user guide).
    pub fn propagation_delay(&self, delay: Duration) {
        self.lock().propagation_delay = delay;
    }

    /// Answers `Throttling` "Rate exceeded" once `bucket` is empty; `None` lifts the throttle that
    /// was set for exactly these actions.
    pub fn throttle(&self, actions: impl Into<Actions>, bucket: Option<TokenBucket>) {
        let actions = actions.into();
        let mut switches = self.lock();
        switches.throttles.retain(|throttle| throttle.actions != actions);
        if let Some(bucket) = bucket {
            switches.throttles.push(Throttle {
                actions,
                bucket,
                tokens: f64::from(bucket.burst),
                filled: Instant::now(),
            });
        }
    }

    /// The next `n` calls of `action` get this error and do nothing.
    pub fn fail_next(&self, action: &str, n: usize, code: &str, message: &str) {
        self.lock().failures.push(Failure {
            action: action.to_owned(),
            left: n,
            code: code.to_owned(),
            message: message.to_owned(),
        });
    }

    /// The next `n` calls of `action` take effect, and then the connection is closed without an
    /// answer.
    pub fn lose_response(&self, action: &str, n: usize) {
        self.lock().lost.push((action.to_owned(), n));
    }

    /// The metrics of a period become visible only this long after the period has ended.
    pub fn metric_delay(&self, delay: Duration) {
        self.lock().metric_delay = delay;
    }

    /// While on, `GetMetricData` answers 500 `InternalServiceFault`.
    pub fn drop_metrics(&self, on: bool) {
        self.lock().drop_metrics = on;
    }

    /// Forces `GetMetricData` to pages of at most this many data points; `None` gives the real limit
    /// of 100 800.
    pub fn page_size(&self, points: Option<usize>) {
        self.lock().page_size = points;
    }

    pub(crate) fn decide(&self, service: Service, action: &str, now: Instant) -> Fate {
        let mut switches = self.lock();
        if let Some(failure) = switches.failures.iter_mut().find(|failure| failure.action == action && failure.left > 0)
        {
            failure.left -= 1;
            return Fate::Fail { code: failure.code.clone(), message: failure.message.clone() };
        }
        for throttle in &mut switches.throttles {
            if throttle.actions.cover(service, action) && !throttle.take(now) {
                return Fate::Fail { code: "Throttling".to_owned(), message: "Rate exceeded".to_owned() };
            }
        }
        let lost = switches.lost.iter_mut().find(|(name, left)| name == action && *left > 0);
        let lose_response = lost.is_some();
        if let Some((_, left)) = lost {
            *left -= 1;
        }
        Fate::Serve { lose_response }
    }

    pub(crate) fn current_propagation_delay(&self) -> Duration {
        self.lock().propagation_delay
    }

    pub(crate) fn current_metric_delay(&self) -> Duration {
        self.lock().metric_delay
    }

    pub(crate) fn metrics_dropped(&self) -> bool {
        self.lock().drop_metrics
    }

    pub(crate) fn current_page_size(&self) -> Option<usize> {
        self.lock().page_size
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Throttle {
    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.bucket.refill_per_second).min(f64::from(self.bucket.burst));
        self.filled = now;
        let pass = self.tokens >= 1.0;
        if pass {
            self.tokens -= 1.0;
        }
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVED: Fate = Fate::Serve { lose_response: false };

    #[test]
    fn a_bucket_passes_its_burst_and_then_its_refill() {
        let faults = Faults::default();
        faults.throttle("ModifyRule", Some(TokenBucket { burst: 2, refill_per_second: 10.0 }));
        let start = Instant::now();
        let passes = |at: Instant| faults.decide(Service::Elbv2, "ModifyRule", at) == SERVED;
        assert!(passes(start) && passes(start));
        assert!(!passes(start));
        assert!(passes(start + Duration::from_millis(150)));
        assert!(!passes(start + Duration::from_millis(160)));
        assert_eq!(faults.decide(Service::Elbv2, "DescribeRules", start), SERVED);
    }

    #[test]
    fn a_throttle_on_all_spares_cloudwatch() {
        let faults = Faults::default();
        faults.throttle(Actions::All, Some(TokenBucket { burst: 0, refill_per_second: 0.0 }));
        let now = Instant::now();
        assert_ne!(faults.decide(Service::Elbv2, "DescribeRules", now), SERVED);
        assert_eq!(faults.decide(Service::CloudWatch, "GetMetricData", now), SERVED);
        faults.throttle(Actions::All, None);
        assert_eq!(faults.decide(Service::Elbv2, "DescribeRules", now), SERVED);
    }

    #[test]
    fn counted_faults_run_out() {
        let faults = Faults::default();
        faults.fail_next("ModifyRule", 1, "RuleNotFound", "gone");
        faults.lose_response("ModifyRule", 1);
        let now = Instant::now();
        let fates: Vec<Fate> = (0..3).map(|_| faults.decide(Service::Elbv2, "ModifyRule", now)).collect();
        assert!(matches!(&fates[0], Fate::Fail { code, .. } if code == "RuleNotFound"));
        assert_eq!(fates[1], Fate::Serve { lose_response: true });
        assert_eq!(fates[2], SERVED);
    }
}
