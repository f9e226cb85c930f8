//! The function's bootstrap: clients once, then one event after another.

use evaluate_health::handle;
use jiff::Timestamp;
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (cloudwatch, load_balancers) = (&CloudWatch::new(&config), &LoadBalancers::new(&config));
    let leases = &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?);
    function::serve(|event| handle(cloudwatch, load_balancers, leases, Timestamp::now, event)).await
}
