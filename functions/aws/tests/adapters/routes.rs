//! Routes and targets.

use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::ports::{Routes, Targets, Zones};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::route::ActionKind;
use spillway_core::targets::TargetState;

use crate::double::{Answer, Double};

const LB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

fn rule() -> RouteArn {
    RouteArn::parse(format!("{LB}:listener-rule/app/shop/1/2/3")).unwrap()
}

fn listener() -> RouteArn {
    RouteArn::parse(format!("{LB}:listener/app/shop/1/2")).unwrap()
}

/// An OIDC action before a sticky forward, as an answer has them.
fn actions() -> String {
    format!(
        "<member><Type>authenticate-oidc</Type><Order>1</Order><AuthenticateOidcConfig><Issuer>https://id</Issuer>\
         <AuthorizationEndpoint>https://id/a</AuthorizationEndpoint><TokenEndpoint>https://id/t</TokenEndpoint>\
         <UserInfoEndpoint>https://id/u</UserInfoEndpoint><ClientId>shop</ClientId>\
         <SessionCookieName>session</SessionCookieName><Scope>openid email</Scope>\
         <SessionTimeout>604800</SessionTimeout><AuthenticationRequestExtraParams><entry><key>display</key>\
         <value>page</value></entry></AuthenticationRequestExtraParams>\
         <OnUnauthenticatedRequest>authenticate</OnUnauthenticatedRequest></AuthenticateOidcConfig></member>\
         <member><Type>forward</Type><Order>2</Order><ForwardConfig><TargetGroups>\
         <member><TargetGroupArn>{LB}:targetgroup/blue/a</TargetGroupArn><Weight>100</Weight></member>\
         <member><TargetGroupArn>{LB}:targetgroup/green/b</TargetGroupArn><Weight>0</Weight></member></TargetGroups>\
         <TargetGroupStickinessConfig><Enabled>true</Enabled><DurationSeconds>3600</DurationSeconds>\
         </TargetGroupStickinessConfig></ForwardConfig></member>"
    )
}

#[tokio::test]
async fn what_is_read_is_sent_back_whole() {
    for (route, prefix, arn_name) in [(rule(), "Actions", "RuleArn"), (listener(), "DefaultActions", "ListenerArn")] {
        let double = Double::start(|call| match call.action.as_str() {
            "DescribeRules" => Answer::xml(
                "DescribeRules",
                &format!(
                    "<Rules><member><RuleArn>{}</RuleArn><Actions>{}</Actions></member></Rules>",
                    rule(),
                    actions()
                ),
            ),
            "DescribeListeners" => Answer::xml(
                "DescribeListeners",
                &format!(
                    "<Listeners><member><ListenerArn>{}</ListenerArn><DefaultActions>{}</DefaultActions></member>\
                     </Listeners>",
                    listener(),
                    actions()
                ),
            ),
            action => Answer::xml(action, ""),
        })
        .await;
        let balancers = LoadBalancers::new(&double.config().await);
        let mut actions = balancers.read(&route).await.unwrap();
        let Some(ActionKind::Forward(forward)) = actions.last_mut().map(|action| &mut action.kind) else {
            panic!("{actions:?}")
        };
        (forward.groups[0].weight, forward.groups[1].weight) = (95, 5);
        balancers.write(&route, &actions).await.unwrap();

        let mut sent = double.calls().last().unwrap().form();
        for common in ["Action", "Version"] {
            sent.remove(common);
        }
        let expected = [
            ("1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.key", "display"),
            ("1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.value", "page"),
            ("1.AuthenticateOidcConfig.AuthorizationEndpoint", "https://id/a"),
            ("1.AuthenticateOidcConfig.ClientId", "shop"),
            ("1.AuthenticateOidcConfig.Issuer", "https://id"),
            ("1.AuthenticateOidcConfig.OnUnauthenticatedRequest", "authenticate"),
            ("1.AuthenticateOidcConfig.Scope", "openid email"),
            ("1.AuthenticateOidcConfig.SessionCookieName", "session"),
            ("1.AuthenticateOidcConfig.SessionTimeout", "604800"),
            ("1.AuthenticateOidcConfig.TokenEndpoint", "https://id/t"),
            ("1.AuthenticateOidcConfig.UseExistingClientSecret", "true"),
            ("1.AuthenticateOidcConfig.UserInfoEndpoint", "https://id/u"),
            ("1.Order", "1"),
            ("1.Type", "authenticate-oidc"),
            ("2.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds", "3600"),
            ("2.ForwardConfig.TargetGroupStickinessConfig.Enabled", "true"),
            ("2.ForwardConfig.TargetGroups.member.1.TargetGroupArn", &format!("{LB}:targetgroup/blue/a")),
            ("2.ForwardConfig.TargetGroups.member.1.Weight", "95"),
            ("2.ForwardConfig.TargetGroups.member.2.TargetGroupArn", &format!("{LB}:targetgroup/green/b")),
            ("2.ForwardConfig.TargetGroups.member.2.Weight", "5"),
            ("2.Order", "2"),
            ("2.Type", "forward"),
        ];
        let expected = expected.map(|(name, value)| (format!("{prefix}.member.{name}"), value.to_owned()));
        let arn = (arn_name.to_owned(), route.to_string());
        assert_eq!(sent.into_iter().collect::<Vec<_>>(), expected.into_iter().chain([arn]).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_route_that_is_gone_or_strange_is_an_error() {
    let strange = "<Rules><member><RuleArn>RULE</RuleArn><Actions><member><Type>teleport</Type></member></Actions>\
                   </member></Rules>";
    for (route, answer, code) in [
        (rule(), Answer::xml("DescribeRules", "<Rules/>"), "RuleNotFound"),
        (listener(), Answer::xml("DescribeListeners", "<Listeners/>"), "ListenerNotFound"),
        (rule(), Answer::xml_error(400, "RuleNotFound", "One or more rules not found"), "RuleNotFound"),
        (rule(), Answer::xml("DescribeRules", &strange.replace("RULE", rule().as_str())), "InvalidAnswer"),
    ] {
        let double = Double::start(move |_| answer.clone()).await;
        let error = LoadBalancers::new(&double.config().await).read(&route).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient, error.subject.as_str()), (code, false, route.as_str()));
    }
}

#[tokio::test]
async fn every_target_state_has_its_name_and_no_other_is_guessed() {
    let group = TargetGroupArn::parse(format!("{LB}:targetgroup/blue/a")).unwrap();
    let names = ["initial", "healthy", "unhealthy", "unhealthy.draining", "unused", "draining", "unavailable"];
    let health = |names: &[&str]| {
        let state = |name: &&str| format!("<member><TargetHealth><State>{name}</State></TargetHealth></member>");
        let all = names.iter().map(state).collect::<String>();
        Answer::xml("DescribeTargetHealth", &format!("<TargetHealthDescriptions>{all}</TargetHealthDescriptions>"))
    };
    let answer = health(&names);
    let double = Double::start(move |_| answer.clone()).await;
    use TargetState::{Draining, Healthy, Initial, Unavailable, Unhealthy, UnhealthyDraining, Unused};
    assert_eq!(
        LoadBalancers::new(&double.config().await).states(&group).await,
        Ok(vec![Initial, Healthy, Unhealthy, UnhealthyDraining, Unused, Draining, Unavailable])
    );
    let answer = health(&["healthy", "sleepy"]);
    let double = Double::start(move |_| answer.clone()).await;
    let error = LoadBalancers::new(&double.config().await).states(&group).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("InvalidAnswer", "a target's state is sleepy"));
}

#[tokio::test]
async fn the_zones_are_those_of_the_routes_load_balancer() {
    let route = RouteArn::parse("arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/1/2").unwrap();
    let zones = "<AvailabilityZones><member><ZoneName>eu-west-1a</ZoneName></member><member><ZoneName>eu-west-1b</ZoneName></member></AvailabilityZones>";
    let all = format!(
        "<LoadBalancers><member><LoadBalancerArn>{}</LoadBalancerArn>{zones}</member></LoadBalancers>",
        route.load_balancer_arn()
    );
    let double = Double::start(move |_| Answer::xml("DescribeLoadBalancers", &all)).await;
    let found = LoadBalancers::new(&double.config().await).zones(&route).await;
    assert_eq!(found, Ok(vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()]));

    let double = Double::start(|_| Answer::xml("DescribeLoadBalancers", "<LoadBalancers></LoadBalancers>")).await;
    let error = LoadBalancers::new(&double.config().await).zones(&route).await.unwrap_err();
    assert_eq!(error.code, "LoadBalancerNotFound");
}
