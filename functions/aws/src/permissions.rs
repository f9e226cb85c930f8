//! What a role may do, as IAM's policy simulator has it.

use aws_config::SdkConfig;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use crate::client::{api_error, unexpected};
use crate::error::ApiError;

const GET: &str = "GetRole";
const SIMULATE: &str = "SimulatePrincipalPolicy";

/// IAM's policy simulator.
#[derive(Clone, Debug)]
pub struct Simulator {
    client: Client,
}

impl Simulator {
    /// That of the configured account.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The ARN of the role of this name; `None` where there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn role(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.client.get_role().role_name(name).send().await {
            Ok(answer) => Ok(answer.role.map(|role| role.arn)),
            Err(error) => match api_error(GET, name, &error) {
                error if error.code.starts_with("NoSuchEntity") => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Whether a role may do this to that resource, where a context key such as `aws:ResourceTag/KEY` has this value. Resource
    /// policies and the organisation's are not looked at:
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>.
    ///
    /// # Errors
    /// The call's.
    pub async fn may(
        &self,
        role: &str,
        action: &str,
        resource: &str,
        context: Option<(&str, &str)>,
    ) -> Result<bool, ApiError> {
        let entry = context.map(|(key, value)| {
            ContextEntry::builder()
                .context_key_name(key)
                .context_key_type(ContextKeyTypeEnum::String)
                .context_key_values(value)
                .build()
        });
        let call = self
            .client
            .simulate_principal_policy()
            .policy_source_arn(role)
            .action_names(action)
            .resource_arns(resource)
            .set_context_entries(entry.map(|entry| vec![entry]));
        let answer = call.send().await.map_err(|error| api_error(SIMULATE, role, &error))?;
        match answer.evaluation_results() {
            [result] => Ok(*result.eval_decision() == PolicyEvaluationDecisionType::Allowed),
            results => {
                let message = format!("{} results for one action", results.len());
                Err(unexpected(SIMULATE, role, "InvalidAnswer", message))
            }
        }
    }
}
