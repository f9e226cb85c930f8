//! The function's bootstrap: clients once, then one event after another.

use jiff::Timestamp;
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::{client, function};
use teardown::{Ports, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (services, groups) = (&Ecs::new(&config), &AutoScaling::new(&config));
    let (routes, metrics) = (&LoadBalancers::new(&config), &CloudWatch::new(&config));
    let ports = Ports {
        services,
        groups,
        routes,
        metrics,
        leases: &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?),
    };
    function::serve(|event| handle(ports, Timestamp::now, event)).await
}
