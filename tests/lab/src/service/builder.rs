//! Making a service: load balancers, routes, target groups and compute.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CLUSTER, CONTAINER, Compute, Service, Slot, borrowed, ecs};
use crate::agent::{Source, Workload};
use crate::application::Dials;
use crate::aws::AwsError;
use crate::lab::{Lab, LabError};

/// What a service is made of.
#[derive(Debug)]
#[must_use]
pub struct ServiceBuilder<'a> {
    lab: &'a Lab,
    name: String,
    desired: usize,
    stable: Dials,
    compute: Compute,
    load_balancers: usize,
    routes: usize,
    default_action: bool,
    stickiness_seconds: Option<u32>,
    green_attached: bool,
    test_route: bool,
}

impl<'a> ServiceBuilder<'a> {
    pub(crate) fn new(lab: &'a Lab, name: &str) -> Self {
        Self {
            lab,
            name: name.to_owned(),
            desired: 2,
            stable: Dials::version("v1"),
            compute: Compute::Ecs,
            load_balancers: 1,
            routes: 1,
            default_action: false,
            stickiness_seconds: None,
            green_attached: true,
            test_route: false,
        }
    }

    /// How many processes blue has. Default 2.
    pub fn desired(mut self, desired: usize) -> Self {
        self.desired = desired;
        self
    }

    /// What blue runs. Default: a sound version named `v1`.
    pub fn stable(mut self, dials: Dials) -> Self {
        self.stable = dials;
        self
    }

    /// What runs the slots. Default: ECS.
    pub fn compute(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// How many load balancers, each with a listener, routes and a pair of target groups of its own. Default 1.
    pub fn load_balancers(mut self, load_balancers: usize) -> Self {
        self.load_balancers = load_balancers;
        self
    }

    /// How many routes each load balancer has. The first takes every path, the others `/1/*`, `/2/*` and so on.
    /// Default 1.
    pub fn routes(mut self, routes: usize) -> Self {
        self.routes = routes;
        self
    }

    /// Makes the first route of each load balancer the listener's default action; otherwise it is a rule.
    pub fn default_action(mut self) -> Self {
        self.default_action = true;
        self
    }

    /// Group stickiness on every route, for this long.
    pub fn stickiness(mut self, seconds: u32) -> Self {
        self.stickiness_seconds = Some(seconds);
        self
    }

    /// The routes name blue only; otherwise green, too, with weight 0.
    pub fn green_unattached(mut self) -> Self {
        self.green_attached = false;
        self
    }

    /// A route for testers at each load balancer: requests with the header `x-tester: yes`, at first to blue.
    pub fn test_route(mut self) -> Self {
        self.test_route = true;
        self
    }

    /// Makes all of it, puts the definition where releases read it, and waits until blue is healthy.
    ///
    /// # Errors
    /// [`LabError`], with the end of the application's log when blue does not become healthy.
    pub async fn start(self) -> Result<Service<'a>, LabError> {
        let mut service = Service {
            lab: self.lab,
            name: self.name.clone(),
            compute: self.compute,
            urls: Vec::new(),
            load_balancers: Vec::new(),
            listeners: Vec::new(),
            routes: Vec::new(),
            test_routes: Vec::new(),
            target_groups: BTreeMap::new(),
        };
        for index in 0..self.load_balancers {
            self.load_balancer(&mut service, index).await?;
        }
        match self.compute {
            Compute::Ecs => self.ecs(&service).await?,
            Compute::AutoScaling => self.auto_scaling(&service).await?,
            Compute::External => {
                let image = service.publish_image(&self.stable.version, self.stable.clone());
                service.run_external(Slot::Blue, &image, self.desired);
            }
        }
        for slot in Slot::BOTH {
            let source = match self.compute {
                Compute::Ecs => Source::Ecs { cluster: CLUSTER.to_owned() },
                Compute::AutoScaling => Source::AutoScaling,
                Compute::External => Source::External { target_groups: service.target_groups(slot).to_vec() },
            };
            self.lab.agent().look_after(Workload { name: service.workload(slot), service: self.name.clone(), source });
        }
        service.put_definition(&service.definition()).await?;
        service.wait_healthy(Slot::Blue, self.desired, Duration::from_secs(20)).await?;
        Ok(service)
    }

    async fn load_balancer(&self, service: &mut Service<'a>, index: usize) -> Result<(), AwsError> {
        let name = format!("{}-{index}", self.name);
        let created = service.elbv2("CreateLoadBalancer", &[("Name", &name)]).await?;
        let load_balancer = created.text_of("LoadBalancerArn").to_owned();
        let target_type = if self.compute == Compute::AutoScaling { "instance" } else { "ip" };
        let mut groups = Vec::new();
        for slot in Slot::BOTH {
            let name = format!("{}-{slot}-{index}", self.name);
            let parameters = [
                ("Name", name.as_str()),
                ("Protocol", "HTTP"),
                ("Port", "80"),
                ("VpcId", "vpc-lab"),
                ("TargetType", target_type),
                ("HealthCheckPath", "/health"),
                ("HealthCheckIntervalSeconds", "5"),
                ("HealthCheckTimeoutSeconds", "2"),
                ("HealthyThresholdCount", "2"),
                ("UnhealthyThresholdCount", "2"),
            ];
            let created = service.elbv2("CreateTargetGroup", &parameters).await?;
            let arn = created.text_of("TargetGroupArn").to_owned();
            groups.push(arn.clone());
            service.target_groups.entry(slot).or_default().push(arn);
        }
        let (listener, port) = self.listener(service, &load_balancer, &groups).await?;
        if self.default_action {
            service.routes.push(listener.clone());
        }
        for route in usize::from(self.default_action)..self.routes {
            let (priority, path) = match route {
                0 => ("40000".to_owned(), "/*".to_owned()),
                number => (number.to_string(), format!("/{number}/*")),
            };
            let mut parameters = vec![
                ("ListenerArn".to_owned(), listener.clone()),
                ("Priority".to_owned(), priority),
                ("Conditions.member.1.Field".to_owned(), "path-pattern".to_owned()),
                ("Conditions.member.1.Values.member.1".to_owned(), path),
            ];
            parameters.extend(self.forward("Actions", &groups));
            let created = service.elbv2("CreateRule", &borrowed(&parameters)).await?;
            service.routes.push(created.text_of("RuleArn").to_owned());
        }
        if self.test_route {
            let parameters = [
                ("ListenerArn".to_owned(), listener.clone()),
                ("Priority".to_owned(), "39999".to_owned()),
                ("Conditions.member.1.Field".to_owned(), "http-header".to_owned()),
                ("Conditions.member.1.HttpHeaderConfig.HttpHeaderName".to_owned(), "x-tester".to_owned()),
                ("Conditions.member.1.HttpHeaderConfig.Values.member.1".to_owned(), "yes".to_owned()),
                ("Actions.member.1.Type".to_owned(), "forward".to_owned()),
                ("Actions.member.1.TargetGroupArn".to_owned(), groups[0].clone()),
            ];
            let created = service.elbv2("CreateRule", &borrowed(&parameters)).await?;
            service.test_routes.push(created.text_of("RuleArn").to_owned());
        }
        service.urls.push(format!("http://127.0.0.1:{port}/"));
        service.load_balancers.push(load_balancer);
        service.listeners.push(listener);
        Ok(())
    }

    /// Creates a listener on a free port.
    async fn listener(
        &self,
        service: &Service<'a>,
        load_balancer: &str,
        groups: &[String],
    ) -> Result<(String, u16), AwsError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = spillway_lab_alb::free_port();
            let mut parameters = vec![
                ("LoadBalancerArn".to_owned(), load_balancer.to_owned()),
                ("Protocol".to_owned(), "HTTP".to_owned()),
                ("Port".to_owned(), port.to_string()),
            ];
            if self.default_action {
                parameters.extend(self.forward("DefaultActions", groups));
            } else {
                let pairs = [("Type", "fixed-response"), ("FixedResponseConfig.StatusCode", "404")]
                    .map(|(name, value)| (format!("DefaultActions.member.1.{name}"), value.to_owned()));
                parameters.extend(pairs);
            }
            match service.elbv2("CreateListener", &borrowed(&parameters)).await {
                Ok(created) => return Ok((created.text_of("ListenerArn").to_owned(), port)),
                // Another lab took the port meanwhile.
                Err(error) if attempt < 5 && error.status.is_some() => {
                    tracing::debug!(%error, port, "trying another port");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The parameters of a forward action: everything to blue.
    fn forward(&self, list: &str, groups: &[String]) -> Vec<(String, String)> {
        let action = format!("{list}.member.1");
        let mut parameters = vec![(format!("{action}.Type"), "forward".to_owned())];
        let attached = if self.green_attached { groups } else { &groups[..1] };
        for (index, (group, weight)) in attached.iter().zip(["100", "0"]).enumerate() {
            let tuple = format!("{action}.ForwardConfig.TargetGroups.member.{}", index + 1);
            parameters.push((format!("{tuple}.TargetGroupArn"), group.clone()));
            parameters.push((format!("{tuple}.Weight"), weight.to_owned()));
        }
        if let Some(seconds) = self.stickiness_seconds {
            let config = format!("{action}.ForwardConfig.TargetGroupStickinessConfig");
            parameters.push((format!("{config}.Enabled"), "true".to_owned()));
            parameters.push((format!("{config}.DurationSeconds"), seconds.to_string()));
        }
        parameters
    }

    async fn ecs(&self, service: &Service<'a>) -> Result<(), AwsError> {
        let image = service.publish_image(&self.stable.version, self.stable.clone());
        ecs(self.lab, "CreateCluster", &json!({ "clusterName": CLUSTER })).await?;
        let definition = service.register_task_definition(&image).await?;
        for (slot, desired) in [(Slot::Blue, self.desired), (Slot::Green, 0)] {
            let groups = service.target_groups(slot).iter();
            let groups: Vec<Value> = groups
                .map(|arn| json!({"targetGroupArn": arn, "containerName": CONTAINER, "containerPort": 80}))
                .collect();
            let body = json!({
                "cluster": CLUSTER,
                "serviceName": service.workload(slot),
                "taskDefinition": definition,
                "desiredCount": desired,
                "launchType": "FARGATE",
                "loadBalancers": groups,
            });
            ecs(self.lab, "CreateService", &body).await?;
        }
        Ok(())
    }

    async fn auto_scaling(&self, service: &Service<'a>) -> Result<(), AwsError> {
        service.publish_launch_template_version("1", self.stable.clone());
        let client = crate::aws::Aws::new(self.lab.auto_scaling_url());
        for (slot, desired) in [(Slot::Blue, self.desired), (Slot::Green, 0)] {
            let mut parameters = vec![
                ("AutoScalingGroupName".to_owned(), service.workload(slot)),
                ("LaunchTemplate.LaunchTemplateName".to_owned(), self.name.clone()),
                ("LaunchTemplate.Version".to_owned(), "1".to_owned()),
                ("MinSize".to_owned(), desired.to_string()),
                ("MaxSize".to_owned(), (2 * self.desired).max(1).to_string()),
                ("DesiredCapacity".to_owned(), desired.to_string()),
            ];
            for (index, group) in service.target_groups(slot).iter().enumerate() {
                parameters.push((format!("TargetGroupARNs.member.{}", index + 1), group.clone()));
            }
            let action = "CreateAutoScalingGroup";
            client.call_query("autoscaling", "2011-01-01", action, &borrowed(&parameters)).await?;
        }
        Ok(())
    }
}
