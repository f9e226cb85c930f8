//! The function's bootstrap: clients once, then one event after another.

use jiff::Timestamp;
use prepare_candidate::{Ports, handle};
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let ecs = &Ecs::new(&config);
    let (targets, leases) =
        (&LoadBalancers::new(&config), &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?));
    let ports = Ports { services: ecs, revisions: ecs, groups: &AutoScaling::new(&config), targets, leases };
    function::serve(|event| handle(ports, Timestamp::now, event)).await
}
