//! ARNs of the load balancer resources that a release touches, and what can be read off them.
//!
//! Formats: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html>.

use serde::{Deserialize, Serialize};

use crate::text::{InvalidText, checked_text, is_word};

/// The resource part of an Elastic Load Balancing ARN, if the rest of the ARN is well formed.
fn resource(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let known = parts.next()? == "arn"
        && parts.next()?.starts_with("aws")
        && parts.next()? == "elasticloadbalancing"
        && is_word(parts.next()?, 30, "-");
    let account = parts.next()?;
    (known && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then(|| parts.next())?
}

/// Whether the resource is `kind/` followed by as many segments as `segments` has, each a word.
fn is_resource(arn: &str, kind: &str, first: Option<&str>, segments: usize) -> bool {
    let Some(rest) = resource(arn).and_then(|r| r.strip_prefix(kind)).and_then(|r| r.strip_prefix('/')) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('/').collect();
    parts.len() == segments && first.is_none_or(|f| parts[0] == f) && parts.iter().all(|p| is_word(p, 64, "-"))
}

checked_text!(
    /// ARN of a target group.
    TargetGroupArn,
    "a target group ARN",
    "arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID",
    "^arn:aws[a-z-]*:elasticloadbalancing:[A-Za-z0-9-]+:[0-9]{12}:targetgroup/[A-Za-z0-9-]+/[A-Za-z0-9]+$",
    |arn| is_resource(arn, "targetgroup", None, 2)
);

impl TargetGroupArn {
    /// The value of CloudWatch's `TargetGroup` dimension: `targetgroup/NAME/ID`.
    #[must_use]
    pub fn dimension(&self) -> &str {
        self.as_str().splitn(6, ':').nth(5).unwrap_or_default()
    }

    /// The group's name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dimension().split('/').nth(1).unwrap_or_default()
    }
}

checked_text!(
    /// ARN of a route: a listener rule, or a listener whose default action is the route.
    RouteArn,
    "the ARN of a listener rule or listener of an Application Load Balancer",
    "arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/LB-ID/LISTENER-ID/RULE-ID, or \
     arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/LB-ID/LISTENER-ID",
    "^arn:aws[a-z-]*:elasticloadbalancing:[A-Za-z0-9-]+:[0-9]{12}:(listener-rule/app/[A-Za-z0-9-]+/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+|listener/app/[A-Za-z0-9-]+/[A-Za-z0-9]+/[A-Za-z0-9]+)$",
    |arn| is_resource(arn, "listener-rule", Some("app"), 5) || is_resource(arn, "listener", Some("app"), 4)
);

/// What kind of thing a route is: they are read and written by different calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RouteKind {
    /// A listener rule: `DescribeRules`, `ModifyRule`.
    Rule,
    /// A listener's default action: `DescribeListeners`, `ModifyListener`.
    ListenerDefault,
}

impl RouteArn {
    /// Rule or listener default.
    #[must_use]
    pub fn kind(&self) -> RouteKind {
        if self.as_str().contains(":listener-rule/") { RouteKind::Rule } else { RouteKind::ListenerDefault }
    }

    /// The load balancer that the route belongs to.
    #[must_use]
    pub fn load_balancer(&self) -> LoadBalancerDimension {
        let parts: Vec<&str> = self.as_str().split('/').collect();
        LoadBalancerDimension(format!("app/{}/{}", parts[2], parts[3]))
    }

    /// The ARN of that load balancer.
    #[must_use]
    pub fn load_balancer_arn(&self) -> String {
        let prefix: Vec<&str> = self.as_str().splitn(6, ':').take(5).collect();
        format!("{}:loadbalancer/{}", prefix.join(":"), self.load_balancer())
    }

    /// Region and account: `eu-west-1:123456789012`.
    #[must_use]
    pub fn home(&self) -> &str {
        home(self.as_str())
    }
}

/// The value of CloudWatch's `LoadBalancer` dimension: `app/NAME/ID`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoadBalancerDimension(String);

impl LoadBalancerDimension {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LoadBalancerDimension {
    type Error = InvalidText;
    fn try_from(text: String) -> Result<Self, InvalidText> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() == 3 && parts[0] == "app" {
            Ok(Self(text))
        } else {
            Err(InvalidText { what: "a load balancer dimension", allowed: "app/NAME/ID" })
        }
    }
}

impl From<LoadBalancerDimension> for String {
    fn from(dimension: LoadBalancerDimension) -> Self {
        dimension.0
    }
}

impl std::fmt::Display for LoadBalancerDimension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

checked_text!(
    /// ARN of a CloudWatch alarm, metric or composite.
    AlarmArn,
    "an alarm ARN",
    "arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
    "^arn:aws[a-z-]*:cloudwatch:[A-Za-z0-9-]+:[0-9]{12}:alarm:.{1,255}$",
    |arn| {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        matches!(parts[..], ["arn", partition, "cloudwatch", region, account, "alarm", name]
            if partition.starts_with("aws")
                && is_word(region, 30, "-")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && (1..=255).contains(&name.chars().count())
                && !name.contains(char::is_control))
    }
);

impl AlarmArn {
    /// The alarm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().splitn(7, ':').nth(6).unwrap_or_default()
    }

    /// Region and account: `eu-west-1:123456789012`.
    #[must_use]
    pub fn home(&self) -> &str {
        home(self.as_str())
    }
}

/// Region and account of an ARN: `eu-west-1:123456789012`.
#[must_use]
pub fn home(arn: &str) -> &str {
    let mut colons = arn.match_indices(':').map(|(at, _)| at).skip(2);
    let (Some(start), Some(_), Some(end)) = (colons.next(), colons.next(), colons.next()) else { return "" };
    &arn[start + 1..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

    #[test]
    fn reads_dimensions_off_arns() {
        let group = TargetGroupArn::parse(format!("{LB}:targetgroup/shop-blue/73e2d6bc24d8a067")).unwrap();
        assert_eq!(group.dimension(), "targetgroup/shop-blue/73e2d6bc24d8a067");
        assert_eq!(group.name(), "shop-blue");
        for (arn, kind) in
            [("listener-rule/app/lb/1/2/3", RouteKind::Rule), ("listener/app/lb/1/2", RouteKind::ListenerDefault)]
        {
            let route = RouteArn::parse(format!("{LB}:{arn}")).unwrap();
            assert_eq!((route.kind(), route.load_balancer().as_str()), (kind, "app/lb/1"));
            assert_eq!(
                (route.load_balancer_arn(), route.home()),
                (format!("{LB}:loadbalancer/app/lb/1"), "eu-west-1:123456789012")
            );
        }
    }

    #[test]
    fn alarms_may_have_colons_in_their_names() {
        let alarm = AlarmArn::parse("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop: errors").unwrap();
        assert_eq!((alarm.name(), alarm.home()), ("shop: errors", "eu-west-1:123456789012"));
        for arn in ["", "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:", "arn:aws:cloudwatch:eu-west-1:1:alarm:x"] {
            assert!(AlarmArn::parse(arn).is_err(), "{arn}");
        }
    }

    #[test]
    fn refuses_what_is_not_of_an_application_load_balancer() {
        for arn in [
            "",
            "x",
            "arn:aws:s3:::bucket",
            "arn:aws:elasticloadbalancing:eu-west-1:12345:listener/app/lb/1/2",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/lb/1/2",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/lb/1/2/",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/lb/1/2",
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/a/b",
        ] {
            assert!(RouteArn::parse(arn).is_err(), "{arn}");
        }
    }
}
