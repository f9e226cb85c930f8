//! Functions of a service's own. For the command line; the state machines ask them.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::State;
use spillway_core::hook::FunctionArn;

use crate::client::api_error;
use crate::error::ApiError;

const GET: &str = "GetFunctionConfiguration";

/// Lambda functions.
#[derive(Clone, Debug)]
pub struct Functions {
    client: Client,
}

/// A function as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Function {
    /// Seconds that one call may take.
    pub timeout_seconds: u32,
    /// Why it cannot be called, if it cannot.
    pub failed: Option<String>,
}

impl Functions {
    /// Those of the configured account and region, and of others that let it look.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The function, in the version or alias that the ARN names; `None` where there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn find(&self, function: &FunctionArn) -> Result<Option<Function>, ApiError> {
        let call = self.client.get_function_configuration().function_name(function.as_str());
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match api_error(GET, function.as_str(), &error) {
                    error if error.code.starts_with("ResourceNotFound") => Ok(None),
                    error => Err(error),
                };
            }
        };
        let why = || answer.state_reason().unwrap_or("no reason is given").to_owned();
        let failed = (answer.state() == Some(&State::Failed)).then(why);
        let timeout_seconds = answer.timeout().and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or_default();
        Ok(Some(Function { timeout_seconds, failed }))
    }
}
