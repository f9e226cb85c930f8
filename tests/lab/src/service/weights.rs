//! How a service's routes divide its traffic.

use super::{Service, Slot, borrowed};
use crate::aws::AwsError;

/// The weights of a route; `None` for a slot that is not in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteWeights {
    /// The rule's or listener's ARN.
    pub route: String,
    /// Blue's.
    pub blue: Option<u32>,
    /// Green's.
    pub green: Option<u32>,
}

impl Service<'_> {
    /// The weights of every route, as the load balancer's API tells them.
    #[must_use]
    pub fn weights(&self) -> Vec<RouteWeights> {
        self.routes.iter().map(|route| self.weights_of(route)).collect()
    }

    /// The weights of one route, or of the testers'.
    #[must_use]
    pub fn weights_of(&self, route: &str) -> RouteWeights {
        let groups = self.lab.alb().weights(route).unwrap_or_default();
        let weight = |slot| {
            let mine = self.target_groups(slot);
            groups.iter().find(|(arn, _)| mine.contains(arn)).map(|(_, weight)| *weight)
        };
        RouteWeights { route: route.to_owned(), blue: weight(Slot::Blue), green: weight(Slot::Green) }
    }

    /// Sets the weights of every route, as a stranger would.
    ///
    /// # Errors
    /// The load balancer's.
    pub async fn set_weights(&self, blue: u32, green: u32) -> Result<(), AwsError> {
        for (index, route) in self.routes.iter().enumerate() {
            let is_rule = route.contains(":listener-rule/");
            let (action, of, list) = if is_rule {
                ("ModifyRule", "RuleArn", "Actions")
            } else {
                ("ModifyListener", "ListenerArn", "DefaultActions")
            };
            let pair = index / (self.routes.len() / self.load_balancers.len());
            let tuple = |number: usize, field: &str| {
                format!("{list}.member.1.ForwardConfig.TargetGroups.member.{number}.{field}")
            };
            let parameters = [
                (of.to_owned(), route.clone()),
                (format!("{list}.member.1.Type"), "forward".to_owned()),
                (tuple(1, "TargetGroupArn"), self.target_groups(Slot::Blue)[pair].clone()),
                (tuple(1, "Weight"), blue.to_string()),
                (tuple(2, "TargetGroupArn"), self.target_groups(Slot::Green)[pair].clone()),
                (tuple(2, "Weight"), green.to_string()),
            ];
            self.elbv2(action, &borrowed(&parameters)).await?;
        }
        Ok(())
    }
}
