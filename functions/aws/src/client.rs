//! The configuration that all clients share, and the one error that every failed call becomes.

#![cfg_attr(
    not(any(
        feature = "compute",
        feature = "definitions",
        feature = "events",
        feature = "executions",
        feature = "lease",
        feature = "load-balancer",
        feature = "metrics",
        feature = "permissions",
        feature = "scaling"
    )),
    allow(dead_code, reason = "no adapter is built")
)]

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::ApiError;
use crate::roots;

/// Attempts of a call, the first one included, unless the environment says otherwise.
const ATTEMPTS: u32 = 4;

/// Error codes of calls that were turned away for now: throttling, and changes that another one must precede.
///
/// Throttling as in <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html> and
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html>; the last two are Auto Scaling's:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html>; concurrent updates are
/// Application Auto Scaling's: <https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html>.
pub(crate) const TURNED_AWAY: [&str; 17] = [
    "BandwidthLimitExceeded",
    "ConcurrentUpdateException",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "ResourceContention",
    "ScalingActivityInProgress",
];

/// What the clients of all services share, filled in from the environment.
///
/// Region, credentials, endpoints (`AWS_ENDPOINT_URL`, and `AWS_ENDPOINT_URL_` with a service's name) and
/// `AWS_MAX_ATTEMPTS` come from the environment, as Lambda and the SDKs have them:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>.
pub async fn sdk_config() -> SdkConfig {
    config_loader().load().await
}

/// The same before the environment is read, for callers that set some of it themselves.
///
/// Root certificates are Amazon's own, those of the file that `AWS_CA_BUNDLE` names, or the system's: see
/// the module `roots`.
///
/// The SDK has no time-outs of its own. Here one attempt ends before a function's own time-out, and a call
/// with all of its attempts soon enough for the function to report what happened.
#[must_use]
pub fn config_loader() -> ConfigLoader {
    // One connection pool and one set of root certificates for all clients. Ring, because aws-lc gathers
    // entropy on the first handshake, which takes half a second on the smallest functions.
    let tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    let http = match roots::from_environment() {
        Some(context) => tls.tls_context(context).build_https(),
        None => tls.build_https(),
    };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(6))
        .operation_timeout(Duration::from_secs(20))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    // A configuration set here would hide the one in the environment.
    if ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"].iter().any(|name| std::env::var_os(name).is_some()) {
        loader
    } else {
        loader.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
    }
}

/// A failed call as the rest of the program sees it.
///
/// Transient are throttling, server errors, time-outs, lost connections and answers that cannot be read:
/// the same call may well succeed later, and may have had its effect.
pub(crate) fn api_error<E>(
    operation: &'static str,
    subject: impl Into<String>,
    error: &SdkError<E, HttpResponse>,
) -> ApiError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (code, message, transient) = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let busy = status >= 500 || status == 429;
            match answer.err().code() {
                Some(code) => (
                    code,
                    answer.err().message().map_or_else(|| format!("HTTP status {status}"), Into::into),
                    busy || TURNED_AWAY.contains(&code),
                ),
                // Not the service's own words. An effect may hide behind all but a refusal.
                None => (
                    "InvalidAnswer",
                    format!("HTTP status {status}: {}", causes(answer.err())),
                    busy || !(400..500).contains(&status),
                ),
            }
        }
        SdkError::TimeoutError(_) => ("Timeout", causes(error), true),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ("Timeout", causes(error), true),
        SdkError::DispatchFailure(failure) => ("Connection", causes(error), !failure.is_user()),
        SdkError::ResponseError(_) => ("InvalidAnswer", causes(error), true),
        // The request could not be built; no attempt was made.
        _ => ("InvalidRequest", causes(error), false),
    };
    ApiError { operation, subject: subject.into(), code: code.into(), message, transient }
}

/// A call that was answered, but not with what was asked for.
pub(crate) fn unexpected(
    operation: &'static str,
    subject: impl Into<String>,
    code: &str,
    message: impl Into<String>,
) -> ApiError {
    ApiError { operation, subject: subject.into(), code: code.into(), message: message.into(), transient: false }
}

/// An answer that lacks something or holds what this program does not know.
pub(crate) fn invalid_answer(
    operation: &'static str,
    subject: impl Into<String>,
    message: impl Into<String>,
) -> ApiError {
    unexpected(operation, subject, "InvalidAnswer", message)
}

/// The error's text and those of all its causes.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors show their source in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
