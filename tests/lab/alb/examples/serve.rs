//! Runs the stand-in by itself, to try other tools on it: `cargo run --example serve [CLOUDWATCH_UPSTREAM]`.

use spillway_lab_alb::{Alb, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings { cloudwatch_upstream: std::env::args().nth(1), ..Settings::default() };
    let alb = Alb::start(settings).await?;
    println!("export AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2={}", alb.elbv2_url());
    println!("export AWS_ENDPOINT_URL_CLOUDWATCH={}", alb.cloudwatch_url());
    std::future::pending().await
}
