//! The function's bootstrap: clients once, then one event after another.

use jiff::Timestamp;
use plan_release::handle;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (load_balancers, cloudwatch) = (&LoadBalancers::new(&config), &CloudWatch::new(&config));
    function::serve(|event| handle(load_balancers, cloudwatch, Timestamp::now, event)).await
}
