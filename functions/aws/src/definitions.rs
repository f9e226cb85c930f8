//! Definitions in the parameter store, as releases read them.

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;

use crate::client::api_error;
use crate::error::ApiError;

const GET: &str = "GetParameter";
/// The error code of a parameter that does not exist.
const NO_PARAMETER: &str = "ParameterNotFound";

/// The parameters of services' definitions.
#[derive(Clone, Debug)]
pub struct Definitions {
    client: Client,
    prefix: String,
}

impl Definitions {
    /// Those below a path, which ends with a slash.
    #[must_use]
    pub fn new(config: &SdkConfig, prefix: impl Into<String>) -> Self {
        Self { client: Client::new(config), prefix: prefix.into() }
    }

    /// The name of a service's parameter.
    #[must_use]
    pub fn name(&self, service: &str) -> String {
        self.prefix.clone() + service
    }

    /// A service's definition as it is stored; `None` where there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn read(&self, service: &str) -> Result<Option<String>, ApiError> {
        let name = self.name(service);
        let call = self.client.get_parameter().name(&name).with_decryption(true);
        match call.send().await {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
            Err(error) => match api_error(GET, name, &error) {
                error if error.code == NO_PARAMETER => Ok(None),
                error => Err(error),
            },
        }
    }
}
