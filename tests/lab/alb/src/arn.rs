//! ARNs of the ELBv2 API, in the formats of the service authorization reference.

/// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:` before every resource.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        Self(format!("arn:aws:elasticloadbalancing:{region}:{account}:"))
    }

    pub(crate) fn load_balancer(&self, name: &str, id: &str) -> String {
        format!("{}loadbalancer/app/{name}/{id}", self.0)
    }

    pub(crate) fn target_group(&self, name: &str, id: &str) -> String {
        format!("{}targetgroup/{name}/{id}", self.0)
    }

    /// A listener's ARN: `…:listener/app/NAME/LBID/ID`.
    pub(crate) fn listener(&self, load_balancer_arn: &str, id: &str) -> String {
        format!("{}listener/{}/{id}", self.0, load_balancer_dimension(load_balancer_arn))
    }

    /// A rule's ARN: `…:listener-rule/app/NAME/LBID/LISTENERID/ID`.
    pub(crate) fn rule(&self, listener_arn: &str, id: &str) -> String {
        let listener = resource(listener_arn).strip_prefix("listener/").unwrap_or_default();
        format!("{}listener-rule/{listener}/{id}", self.0)
    }
}

/// The value of a load balancer's CloudWatch dimension: `app/NAME/ID`.
pub(crate) fn load_balancer_dimension(arn: &str) -> &str {
    resource(arn).strip_prefix("loadbalancer/").unwrap_or_default()
}

/// The value of a target group's CloudWatch dimension: `targetgroup/NAME/ID`.
pub(crate) fn target_group_dimension(arn: &str) -> &str {
    resource(arn)
}

/// Whether an ARN is of this kind (`targetgroup`, `listener`, `listener-rule`, `loadbalancer`).
pub(crate) fn is(kind: &str, arn: &str) -> bool {
    arn.starts_with("arn:aws:elasticloadbalancing:")
        && resource(arn).strip_prefix(kind).is_some_and(|rest| rest.starts_with('/'))
}

fn resource(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_nest_as_the_real_ones_do() {
        let prefix = Prefix::new("eu-west-1", "123456789012");
        let load_balancer = prefix.load_balancer("shop", "50dc6c495c0c9188");
        let listener = prefix.listener(&load_balancer, "f2f7dc8efc522ab2");
        assert_eq!(
            prefix.rule(&listener, "9683b2d02a6cabee"),
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:\
             listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee"
        );
        assert_eq!(load_balancer_dimension(&load_balancer), "app/shop/50dc6c495c0c9188");
        assert!(is("listener", &listener) && !is("listener-rule", &listener));
    }
}
