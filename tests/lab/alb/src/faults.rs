//! The switches that make the stand-in misbehave as the real service sometimes does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::arn;
use crate::metrics::Metric;

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
pub enum Service {
    /// Elastic Load Balancing, version 2.
    Elbv2,
    /// CloudWatch.
    CloudWatch,
    /// One that is served elsewhere, with faults of its own.
    Other,
}

/// What the faults have decided about a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// Serve it.
    Serve {
        /// Afterwards close the connection without an answer.
        lose_response: bool,
    },
    /// Do nothing and answer this error.
    Fail {
        /// The error's code.
        code: String,
        /// What it says.
        message: String,
    },
}

/// When the data of a metric can be seen, and how much of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Arrival {
    /// A period can be seen this long after its end,
    pub(crate) delay: Duration,
    /// and until this long after its end
    pub(crate) settled: Duration,
    /// only this share of its values, 0 to 1.
    pub(crate) share: f64,
}

/// How long a change of a route takes to come through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    /// To the data plane.
    pub(crate) data_plane: Duration,
    /// To what the API tells.
    pub(crate) reads: Duration,
}

/// Thread-safe switches, all off at the start; they can be changed at any time.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    propagation_delay: Duration,
    propagation_delays: BTreeMap<String, Duration>,
    stale_reads: Option<StaleReads>,
    slow_release: Duration,
    throttles: Vec<Throttle>,
    failures: Vec<Failure>,
    lost: Vec<(String, usize)>,
    metric_delay: Duration,
    metric_delays: BTreeMap<Metric, Duration>,
    first_share: f64,
    settled: Duration,
    drop_metrics: bool,
    page_size: Option<usize>,
    partial: usize,
}

#[derive(Clone, Copy, Debug)]
struct StaleReads {
    delay: Duration,
    /// Changes before this are told as they are.
    since: Instant,
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
    /// configuration for this long ("rule updates do not take effect immediately", user guide). A
    /// change keeps the delay it was made with.
    pub fn propagation_delay(&self, delay: Duration) {
        self.lock().propagation_delay = delay;
    }

    /// The same for one route, by the ARN of its rule, or of its listener for the default action; what
    /// counts is the longer of the two. Other routes do not wait for it.
    ///
    /// # Panics
    ///
    /// If this is not the ARN of a rule or a listener.
    pub fn propagation_delay_of(&self, route_arn: &str, delay: Duration) {
        let route = arn::is("listener-rule", route_arn) || arn::is("listener", route_arn);
        assert!(route, "{route_arn} is not the ARN of a rule or a listener");
        self.lock().propagation_delays.insert(route_arn.to_owned(), delay);
    }

    /// Reads are eventually consistent: for this long after a `ModifyRule`, or a `ModifyListener` with
    /// default actions, `DescribeRules` and `DescribeListeners` go on telling the previous
    /// configuration. The answer to the change itself tells the new one, and the data plane does not
    /// wait for the reads. Rules created or deleted are told, or gone, at once, and so are changes made
    /// before this was set; so `Duration::ZERO` ends it.
    pub fn stale_reads(&self, delay: Duration) {
        let since = Instant::now();
        self.lock().stale_reads = (!delay.is_zero()).then_some(StaleReads { delay, since });
    }

    /// For this long after the last rule or listener stopped referring to a target group,
    /// `DeleteTargetGroup` goes on answering `ResourceInUse`. `Duration::ZERO` ends it.
    pub fn slow_release(&self, delay: Duration) {
        self.lock().slow_release = delay;
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

    /// The same for one metric, by its name in CloudWatch; what counts is the longer of the two. So errors
    /// can become visible later than the requests they belong to.
    ///
    /// # Panics
    ///
    /// If the load balancer has no metric of this name.
    pub fn metric_delay_of(&self, metric: &str, delay: Duration) {
        let Some(metric) = Metric::from_name(metric) else { panic!("there is no metric {metric}") };
        self.lock().metric_delays.insert(metric, delay);
    }

    /// Data are revised: until `settled` after its end a period shows only this share of its values, 0 to 1,
    /// the first ones, rounded down to whole values; afterwards it shows all of them. Where that is no
    /// value the period is missing, as CloudWatch publishes nothing for it. Delays come on top: a period
    /// whose delay is not over shows nothing. `Duration::ZERO` ends it.
    pub fn revise_metrics(&self, share: f64, settled: Duration) {
        let mut switches = self.lock();
        switches.first_share = share;
        switches.settled = settled;
    }

    /// The next `n` calls of `GetMetricData` answer with `PartialData` for every query and no `NextToken`, and
    /// leave out the later half of each query's data points, in the order asked for.
    pub fn partial_data(&self, n: usize) {
        self.lock().partial = n;
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

    /// What becomes of a call that comes now.
    pub fn decide(&self, service: Service, action: &str, now: Instant) -> Fate {
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

    /// How long a change takes that is made now, of the route that goes by any of these ARNs.
    pub(crate) fn lag(&self, route_arns: &[&str]) -> Lag {
        let switches = self.lock();
        let own = route_arns.iter().filter_map(|arn| switches.propagation_delays.get(*arn).copied());
        Lag {
            data_plane: own.fold(switches.propagation_delay, Duration::max),
            reads: switches.stale_reads.map_or(Duration::ZERO, |stale| stale.delay),
        }
    }

    /// Since when reads are stale; none if they are not.
    pub(crate) fn stale_since(&self) -> Option<Instant> {
        self.lock().stale_reads.map(|stale| stale.since)
    }

    pub(crate) fn current_slow_release(&self) -> Duration {
        self.lock().slow_release
    }

    pub(crate) fn arrival(&self, metric: Metric) -> Arrival {
        let switches = self.lock();
        let own = switches.metric_delays.get(&metric).copied().unwrap_or_default();
        Arrival { delay: own.max(switches.metric_delay), settled: switches.settled, share: switches.first_share }
    }

    /// Whether this call is one of those that get partial data.
    pub(crate) fn take_partial(&self) -> bool {
        let mut switches = self.lock();
        let partial = switches.partial > 0;
        switches.partial = switches.partial.saturating_sub(1);
        partial
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
        faults.partial_data(1);
        assert_eq!([faults.take_partial(), faults.take_partial()], [true, false]);
    }

    #[test]
    fn the_longer_delay_counts() {
        let faults = Faults::default();
        let errors = "HTTPCode_Target_5XX_Count";
        let delays = || [Metric::Target5xx, Metric::RequestCount].map(|metric| faults.arrival(metric).delay.as_secs());
        faults.metric_delay_of(errors, Duration::from_secs(5));
        assert_eq!(delays(), [5, 0]);
        faults.metric_delay(Duration::from_secs(2));
        assert_eq!(delays(), [5, 2]);
        faults.metric_delay_of(errors, Duration::ZERO);
        assert_eq!(delays(), [2, 2]);
    }

    #[test]
    fn the_longer_propagation_delay_counts_and_only_for_its_route() {
        let faults = Faults::default();
        let [rule, listener] = ["listener-rule", "listener"]
            .map(|kind| format!("arn:aws:elasticloadbalancing:us-east-1:000000000000:{kind}/app/shop/1/2"));
        let lags = || {
            let routes: [&[&str]; 3] = [&[&rule], &["its default rule", &listener], &["another"]];
            routes.map(|arns| faults.lag(arns).data_plane.as_secs())
        };
        faults.propagation_delay_of(&rule, Duration::from_secs(5));
        assert_eq!(lags(), [5, 0, 0]);
        faults.propagation_delay(Duration::from_secs(2));
        assert_eq!(lags(), [5, 2, 2]);
        faults.propagation_delay_of(&listener, Duration::from_secs(3));
        faults.propagation_delay_of(&rule, Duration::from_secs(1));
        assert_eq!(lags(), [2, 3, 2]);
    }

    #[test]
    #[should_panic(expected = "is not the ARN of a rule or a listener")]
    fn a_propagation_delay_of_something_else_is_refused() {
        let group = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/blue/1";
        Faults::default().propagation_delay_of(group, Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "there is no metric HTTPCode_Target_5xx_Count")]
    fn a_delay_of_a_metric_that_does_not_exist_is_refused() {
        Faults::default().metric_delay_of("HTTPCode_Target_5xx_Count", Duration::ZERO);
    }
}
