//! The running stand-in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::counts::{ApiCall, Counts, ElbCounts};
use crate::faults::Faults;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::{cloudwatch, elbv2, health, server};

/// A running load balancer stand-in, for any number of load balancers; dropping it stops everything.
#[derive(Debug)]
pub struct Alb {
    shared: Arc<Shared>,
    elbv2: SocketAddr,
    cloudwatch: SocketAddr,
}

/// Why [`Alb::start`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port of 127.0.0.1 could be bound for an API server.
    #[error("cannot bind an API server to 127.0.0.1")]
    Bind(#[source] std::io::Error),
    /// `cloudwatch_upstream` is not `http://host:port`, or the host is unknown.
    #[error("cloudwatch_upstream {0:?} is not http://host:port with a known host")]
    Upstream(String),
}

impl Alb {
    /// Starts the API servers on free ports of 127.0.0.1. The listeners' ports are bound as they are
    /// created.
    pub async fn start(settings: Settings) -> Result<Alb, StartError> {
        let upstream = match &settings.cloudwatch_upstream {
            Some(url) => {
                let upstream = cloudwatch::Upstream::resolve(url).await;
                Some(upstream.ok_or_else(|| StartError::Upstream(url.clone()))?)
            }
            None => None,
        };
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let elbv2_listener = bind().await.map_err(StartError::Bind)?;
        let cloudwatch_listener = bind().await.map_err(StartError::Bind)?;
        let elbv2 = elbv2_listener.local_addr().map_err(StartError::Bind)?;
        let cloudwatch = cloudwatch_listener.local_addr().map_err(StartError::Bind)?;
        let alb = Alb { shared: Arc::new(Shared::new(settings)), elbv2, cloudwatch };
        let shared = Arc::clone(&alb.shared);
        server::run(&alb.shared.tasks, elbv2_listener, move |_, request| elbv2::serve(Arc::clone(&shared), request));
        let shared = Arc::clone(&alb.shared);
        server::run(&alb.shared.tasks, cloudwatch_listener, move |_, request| {
            cloudwatch::serve(Arc::clone(&shared), upstream, request)
        });
        health::start(&alb.shared);
        if let Some(upstream) = upstream {
            cloudwatch::watch_alarms(&alb.shared, upstream);
        }
        Ok(alb)
    }

    /// Where the ELBv2 API is, `http://127.0.0.1:PORT`.
    pub fn elbv2_url(&self) -> String {
        format!("http://{}", self.elbv2)
    }

    /// Where the CloudWatch API is, `http://127.0.0.1:PORT`.
    pub fn cloudwatch_url(&self) -> String {
        format!("http://{}", self.cloudwatch)
    }

    /// The switches for faults.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Totals of a target group since the start, zero for one that has had no request.
    pub fn counts(&self, target_group_arn: &str) -> Counts {
        self.shared.traffic.group(target_group_arn)
    }

    /// Totals of a load balancer since the start, zero for one that has had no request.
    pub fn elb_counts(&self, load_balancer_arn: &str) -> ElbCounts {
        self.shared.traffic.load_balancer(load_balancer_arn)
    }

    /// Target group ARNs and weights of the forward action of a rule, or of a listener's default
    /// action, as they were last set (the data plane and what the API tells may lag behind).
    pub fn weights(&self, route_arn: &str) -> Option<Vec<(String, u32)>> {
        self.shared.state().weights(route_arn)
    }

    /// The API calls so far, oldest first, at most the last 10 000.
    pub fn requests_seen(&self) -> Vec<ApiCall> {
        self.shared.calls.to_vec()
    }
}

impl Drop for Alb {
    fn drop(&mut self) {
        self.shared.tasks.stop();
    }
}

/// A port of 127.0.0.1 that was free a moment ago, for `CreateListener`. It is outside the range that
/// the system takes ports for outgoing connections from, so that only another caller of this function
/// could take it meanwhile.
///
/// # Panics
///
/// If a thousand ports in a row are taken.
pub fn free_port() -> u16 {
    (0..1000)
        .map(|_| fastrand::u16(10_000..32_000))
        .find(|port| StdListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of a thousand ports is free")
}
