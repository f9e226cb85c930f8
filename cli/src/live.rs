//! What a live service tells: its traffic in the last hour.

use std::path::Path;

use jiff::Timestamp;
use plan_release::survey;
use spillway_aws::client;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::ports::Routes;
use spillway_core::definition::ServiceDefinition;
use spillway_core::plan::{self, Forecast, LiveRoute, Overrides};

use crate::input::{self, Fault};

/// The traffic to expect of the service that this file defines.
pub fn forecast(path: &Path) -> Result<Forecast, Fault> {
    let invalid = |problem: String| Fault::Invalid { name: path.display().to_string(), problem };
    let text = input::read(path)?;
    let definition = ServiceDefinition::from_json(&text).map_err(|error| invalid(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Fault::Unreadable { name: "simulate".into(), source })?;
    let forecast = runtime.block_on(ask(&definition)).map_err(|error| invalid(error.to_string()))?;
    if forecast.requests_per_second > 0.0 {
        Ok(forecast)
    } else {
        Err(invalid("no requests in the last hour; allowed: a service with traffic, or --rps and --error-rate".into()))
    }
}

async fn ask(definition: &ServiceDefinition) -> Result<Forecast, Box<dyn std::error::Error>> {
    let config = client::sdk_config().await;
    let (load_balancers, cloudwatch) = (LoadBalancers::new(&config), CloudWatch::new(&config));
    let mut live = Vec::with_capacity(definition.routes.len());
    for arn in &definition.routes {
        live.push(LiveRoute { arn: arn.clone(), actions: load_balancers.read(arn).await? });
    }
    let roles = plan::roles(definition, &live, &Overrides::default())?;
    let history = survey::history(&load_balancers, &cloudwatch, definition, &roles, Timestamp::now()).await?;
    Ok(history.forecast())
}
