//! The function's bootstrap: clients once, then one event after another.

use jiff::Timestamp;
use rollback::handle;
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (load_balancers, leases) =
        (&LoadBalancers::new(&config), &LeaseTable::new(&config, std::env::var("SPILLWAY_LEASE_TABLE")?));
    function::serve(|event| handle(load_balancers, leases, Timestamp::now, event)).await
}
