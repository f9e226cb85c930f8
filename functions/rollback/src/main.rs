//! The function's bootstrap: clients once, then one event after another.

use rollback::handle;
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (routes, leases) =
        (&LoadBalancers::new(&config), &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?));
    function::serve(|event| handle(routes, leases, event)).await
}
