//! The function's bootstrap: clients once, then one event after another.

use announce::handle;
use spillway_aws::events::EventBus;
use spillway_aws::executions::StateMachines;
use spillway_aws::{client, function};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = client::sdk_config().await;
    let (executions, bus) = (&StateMachines::new(&config), &EventBus::new(&config));
    function::serve(|event| handle(executions, bus, event)).await
}
