//! The function's bootstrap: clients once, then one event after another.

use plan_release::handle;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let load_balancers = &LoadBalancers::new(&client::sdk_config().await);
    function::serve(|event| handle(load_balancers, load_balancers, event)).await
}
