//! The function's bootstrap: clients once, then one event after another.

use jiff::Timestamp;
use plan_release::handle;
use spillway_aws::compute::AutoScaling;
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (load_balancers, cloudwatch) = (&LoadBalancers::new(&config), &CloudWatch::new(&config));
    let compute = &AutoScaling::new(&config);
    let leases = &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?);
    // `REGION:ACCOUNT,REGION:ACCOUNT`: where definitions may reach beside the function's own.
    let homes = std::env::var("SPILLWAY_ALLOWED_HOMES").unwrap_or_default();
    let homes: &Vec<String> =
        &homes.split(',').map(str::trim).filter(|home| !home.is_empty()).map(Into::into).collect();
    function::serve(|event| handle(load_balancers, cloudwatch, compute, leases, homes, Timestamp::now, event)).await
}
