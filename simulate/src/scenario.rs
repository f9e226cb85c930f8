//! What is simulated: a service and a candidate.

/// A service's usual traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Service {
    /// Requests in a second.
    pub requests_per_second: f64,
    /// Share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// Response times.
    pub latency: Latency,
}

/// Response times: log-normal, and a factor of its own for each slot in each period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Standard deviation of the logarithm of a response time.
    pub spread: f64,
    /// Standard deviation of the logarithm of the factor that a slot's response times have in common for a period:
    /// noise that the slots do not share, such as a busy neighbour's. 0 for none.
    pub jitter: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { spread: 0.5, jitter: 0.0 }
    }
}

/// A version to be released.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What tables call it.
    pub name: String,
    /// Share of its requests that fail, 0 to 1.
    pub error_rate: f64,
    /// It fails so only from this weight on, as a fraction; below it is as the stable version.
    pub from_weight: f64,
    /// How many times as long as the stable version's its answers take.
    pub slowdown: f64,
}

impl Candidate {
    /// Fails so many times as often as the stable version.
    #[must_use]
    pub fn times(name: impl Into<String>, times: f64, service: &Service) -> Self {
        Self::failing(name, (times * service.error_rate).min(1.0))
    }

    /// Fails at this rate.
    #[must_use]
    pub fn failing(name: impl Into<String>, error_rate: f64) -> Self {
        Self { name: name.into(), error_rate, from_weight: 0.0, slowdown: 1.0 }
    }

    /// The same, from a weight on only.
    #[must_use]
    pub fn from_weight(self, from_weight: f64) -> Self {
        Self { from_weight, ..self }
    }

    /// The same, and slower.
    #[must_use]
    pub fn slower(self, slowdown: f64) -> Self {
        Self { slowdown, ..self }
    }

    /// Those that a policy is asked about: as good as the stable version, 2, 5 and 10 times as bad, and broken, which
    /// answers half of its requests with an error.
    #[must_use]
    pub fn usual(service: &Service) -> Vec<Self> {
        vec![
            Self::times("healthy", 1.0, service),
            Self::times("2x", 2.0, service),
            Self::times("5x", 5.0, service),
            Self::times("10x", 10.0, service),
            Self::failing("broken", 0.5),
        ]
    }
}
