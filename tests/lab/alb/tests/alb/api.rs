use crate::support::{Lab, borrowed, forward};

/// Everything of an action list comes back as it was given, but for the secret.
#[tokio::test]
async fn an_oidc_and_sticky_forward_survives_the_round_trip() {
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[]).await, lab.group("green", &[]).await];
    let oidc = "Actions.member.1.AuthenticateOidcConfig";
    let extra = format!("{oidc}.AuthenticationRequestExtraParams.entry");
    let given: Vec<(String, String)> = [
        ("Actions.member.1.Type", "authenticate-oidc"),
        ("Actions.member.1.Order", "1"),
        ("Actions.member.2.Type", "forward"),
        ("Actions.member.2.Order", "2"),
        ("Actions.member.2.ForwardConfig.TargetGroups.member.1.TargetGroupArn", &groups[0]),
        ("Actions.member.2.ForwardConfig.TargetGroups.member.1.Weight", "999"),
        ("Actions.member.2.ForwardConfig.TargetGroups.member.2.TargetGroupArn", &groups[1]),
        ("Actions.member.2.ForwardConfig.TargetGroups.member.2.Weight", "0"),
        ("Actions.member.2.ForwardConfig.TargetGroupStickinessConfig.Enabled", "true"),
        ("Actions.member.2.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds", "604800"),
        (&format!("{oidc}.Issuer"), "https://id.example"),
        (&format!("{oidc}.AuthorizationEndpoint"), "https://id.example/a?x=1&y=<2>"),
        (&format!("{oidc}.TokenEndpoint"), "https://id.example/t"),
        (&format!("{oidc}.UserInfoEndpoint"), "https://id.example/u"),
        (&format!("{oidc}.ClientId"), "shop"),
        (&format!("{oidc}.SessionCookieName"), "session"),
        (&format!("{oidc}.Scope"), "openid email"),
        (&format!("{oidc}.SessionTimeout"), "3600"),
        (&format!("{oidc}.OnUnauthenticatedRequest"), "deny"),
        (&format!("{extra}.1.key"), "prompt"),
        (&format!("{extra}.1.value"), "login"),
        (&format!("{extra}.2.key"), "display"),
        (&format!("{extra}.2.value"), "page"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let secret = (format!("{oidc}.ClientSecret"), "hush".to_owned());
    let keep = (format!("{oidc}.UseExistingClientSecret"), "true".to_owned());
    let place = [
        ("ListenerArn", lab.listener.as_str()),
        ("Priority", "5"),
        ("Conditions.member.1.Field", "host-header"),
        ("Conditions.member.1.Values.member.1", "shop.example"),
    ];
    let mut create = borrowed(&given);
    create.extend(place);
    assert_eq!(lab.elbv2("CreateRule", &create).await.one("Code"), "ValidationError", "a secret is needed");
    create.push((&secret.0, &secret.1));
    let rule = lab.ok("CreateRule", &create).await.one("RuleArn");
    let actions = async || lab.ok("DescribeRules", &[("RuleArns.member.1", &rule)]).await.one("Actions");
    let described = actions().await;
    assert!(!described.contains("hush") && !described.contains("UseExistingClientSecret"));
    for (name, value) in &given {
        let (name, value) = (name.rsplit('.').next().unwrap(), value.replace('&', "&amp;"));
        let value = value.replace('<', "&lt;").replace('>', "&gt;");
        assert!(described.contains(&format!("<{name}>{value}</{name}>")), "{name} {value} in {described}");
    }
    let mut modify = borrowed(&given);
    modify.extend([("RuleArn", rule.as_str()), (&keep.0, &keep.1)]);
    lab.ok("ModifyRule", &modify).await;
    assert_eq!(actions().await, described);
    // A write that leaves the stickiness out deletes it, and the authentication with it.
    lab.set_weights(&rule, &[(&groups[0], 1), (&groups[1], 1)], None).await;
    let described = actions().await;
    assert!(described.contains("<Enabled>false</Enabled>") && !described.contains("oidc"), "{described}");
}

#[tokio::test]
async fn a_single_group_is_told_in_both_forms() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    let parameters = [
        ("ListenerArn", lab.listener.as_str()),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    let answer = lab.ok("ModifyListener", &parameters).await;
    assert_eq!(answer.all("TargetGroupArn").len(), 2, "{}", answer.xml);
    assert_eq!((answer.one("Weight").as_str(), answer.one("Enabled").as_str()), ("1", "false"));
    assert_eq!(lab.alb.weights(&lab.listener), Some(vec![(group, 1)]));
    assert_eq!(lab.alb.weights("arn:of:nothing"), None);
}

#[tokio::test]
async fn the_default_rule_has_an_arn_of_its_own_and_is_the_listeners() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    lab.rule(&[(&group, 1)], None).await;
    let answer = lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
    assert_eq!(answer.all("Priority"), ["1", "default"]);
    assert_eq!(answer.all("IsDefault"), ["false", "true"]);
    let default = answer.all("RuleArn").pop().unwrap();
    assert!(default.starts_with(&lab.listener.replace(":listener/", ":listener-rule/")));
    let mut parameters = forward(&[(&group, 1)], None);
    parameters.push(("RuleArn".to_owned(), default.clone()));
    assert_eq!(lab.elbv2("ModifyRule", &borrowed(&parameters)).await.one("Code"), "OperationNotPermitted");
    assert_eq!(lab.elbv2("DeleteRule", &[("RuleArn", &default)]).await.one("Code"), "OperationNotPermitted");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let lab = Lab::start().await;
    let mut created = Vec::new();
    for name in ["a", "b", "c"] {
        created.push(lab.group(name, &[]).await);
    }
    created.sort();
    let first = lab.ok("DescribeTargetGroups", &[("PageSize", "2")]).await;
    let marker = first.one("NextMarker");
    let second = lab.ok("DescribeTargetGroups", &[("PageSize", "2"), ("Marker", &marker)]).await;
    assert_eq!([first.all("TargetGroupArn"), second.all("TargetGroupArn")].concat(), created);
    assert!(second.all("NextMarker").is_empty());
}

#[tokio::test]
async fn tags_are_kept() {
    let lab = Lab::start().await;
    let resource = ("ResourceArns.member.1", lab.load_balancer.as_str());
    lab.ok("AddTags", &[resource, ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "1")]).await;
    lab.ok("AddTags", &[resource, ("Tags.member.1.Key", "b"), ("Tags.member.1.Value", "2")]).await;
    lab.ok("RemoveTags", &[resource, ("TagKeys.member.1", "a")]).await;
    let answer = lab.ok("DescribeTags", &[resource]).await;
    assert_eq!((answer.all("Key"), answer.all("Value")), (vec!["b".to_owned()], vec!["2".to_owned()]));
}

#[tokio::test]
async fn creating_the_same_again_is_the_same() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    assert_eq!(lab.group("blue", &[]).await, group);
    let answer = lab.ok("CreateLoadBalancer", &[("Name", "shop")]).await;
    assert_eq!(answer.one("LoadBalancerArn"), lab.load_balancer);
}

#[tokio::test]
async fn priorities_are_set_all_or_none() {
    let lab = Lab::start().await;
    let group = lab.group("blue", &[]).await;
    let first = lab.rule(&[(&group, 1)], None).await;
    let mut parameters = forward(&[(&group, 1)], None);
    for (name, value) in [
        ("ListenerArn", lab.listener.as_str()),
        ("Priority", "2"),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", "/x"),
    ] {
        parameters.push((name.to_owned(), value.to_owned()));
    }
    let second = lab.ok("CreateRule", &borrowed(&parameters)).await.one("RuleArn");
    let one = ("RulePriorities.member.1.RuleArn", first.as_str());
    let refused = lab.elbv2("SetRulePriorities", &[one, ("RulePriorities.member.1.Priority", "2")]).await;
    assert_eq!(refused.one("Code"), "PriorityInUse");
    let swap = [
        one,
        ("RulePriorities.member.1.Priority", "2"),
        ("RulePriorities.member.2.RuleArn", second.as_str()),
        ("RulePriorities.member.2.Priority", "1"),
    ];
    lab.ok("SetRulePriorities", &swap).await;
    let answer = lab.ok("DescribeRules", &[("ListenerArn", &lab.listener)]).await;
    assert_eq!(answer.all("RuleArn")[..2], [second, first]);
}

#[tokio::test]
async fn a_group_in_any_action_cannot_be_deleted_at_weight_zero_either() {
    let lab = Lab::start().await;
    let groups = [lab.group("blue", &[]).await, lab.group("green", &[]).await, lab.group("default", &[]).await];
    let rule = lab.rule(&[(&groups[0], 1), (&groups[1], 0)], None).await;
    lab.set_default(&groups[2]).await;
    for group in &groups {
        assert_eq!(lab.delete_group(group).await.as_deref(), Some("ResourceInUse"));
    }
    lab.set_weights(&rule, &[(&groups[0], 1)], None).await;
    assert_eq!(lab.delete_group(&groups[1]).await, None);
    lab.ok("DeleteRule", &[("RuleArn", &rule)]).await;
    assert_eq!(lab.delete_group(&groups[0]).await, None);
    assert_eq!(lab.delete_group(&groups[0]).await, None, "what is gone is no error");
}

#[tokio::test]
async fn errors_have_the_codes_of_the_api() {
    let lab = Lab::start().await;
    let (listener, port) = (&lab.listener, lab.port);
    let load_balancer = &lab.load_balancer;
    let blue = lab.group("blue", &[]).await;
    let rule = lab.rule(&[(&blue, 1)], None).await;
    let other = lab.ok("CreateLoadBalancer", &[("Name", "other")]).await.one("LoadBalancerArn");
    let (elsewhere, _) = lab.new_listener(&other).await;
    let tcp = [("Name", "tcp"), ("Protocol", "TCP"), ("Port", "80"), ("TargetType", "ip")];
    let tcp = lab.ok("CreateTargetGroup", &tcp).await.one("TargetGroupArn");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = socket.local_addr().unwrap().port();
    let gone = |arn: &str| format!("{}0000000000000000", &arn[..arn.len() - 16]);
    let (no_rule, no_group, no_listener) = (gone(&rule), gone(&blue), gone(listener));

    let forward = "Actions.member.1.Type=forward";
    let to = |arn: &str| format!("{forward}&Actions.member.1.TargetGroupArn={arn}");
    let to_blue = to(&blue);
    let config = "Actions.member.1.ForwardConfig";
    let six = (1..=6)
        .map(|n| format!("{config}.TargetGroups.member.{n}.TargetGroupArn={}{n}", &blue[..blue.len() - 1]))
        .collect::<Vec<_>>()
        .join("&");
    let heavy =
        format!("{config}.TargetGroups.member.1.TargetGroupArn={blue}&{config}.TargetGroups.member.1.Weight=1000");
    let sticky = format!("{config}.TargetGroupStickinessConfig.Enabled=true");
    let seconds = format!("{sticky}&{config}.TargetGroupStickinessConfig.DurationSeconds");
    let twice = "Actions.member.1.Order=1&Actions.member.2.Type=forward&Actions.member.2.Order=2\
        &Actions.member.2.TargetGroupArn";
    let cognito = "Actions.member.1.AuthenticateCognitoConfig";
    let login = format!(
        "Actions.member.1.Type=authenticate-cognito&{cognito}.UserPoolArn=a&{cognito}.UserPoolClientId=b\
         &{cognito}.UserPoolDomain=c"
    );
    let path = "Conditions.member.1.Field=path-pattern&Conditions.member.1.Values.member.1=/x";
    let fixed = "DefaultActions.member.1.Type=fixed-response\
        &DefaultActions.member.1.FixedResponseConfig.StatusCode=200";

    for (action, parameters, code) in [
        ("Nonsense", String::new(), "InvalidAction"),
        ("DescribeRules", String::new(), "ValidationError"),
        ("DescribeRules", "ListenerArn=nonsense".to_owned(), "ValidationError"),
        ("DescribeRules", format!("RuleArns.member.1={no_rule}"), "RuleNotFound"),
        ("DescribeRules", format!("ListenerArn={no_listener}"), "ListenerNotFound"),
        ("DescribeTargetGroups", "Names.member.1=none".to_owned(), "TargetGroupNotFound"),
        ("DescribeTargetGroups", "PageSize=401".to_owned(), "ValidationError"),
        ("DescribeTargetHealth", format!("TargetGroupArn={no_group}"), "TargetGroupNotFound"),
        ("DescribeLoadBalancers", "Names.member.1=none".to_owned(), "LoadBalancerNotFound"),
        ("DescribeListeners", format!("LoadBalancerArn={}", gone(load_balancer)), "LoadBalancerNotFound"),
        ("DescribeTags", format!("ResourceArns.member.1={no_listener}"), "ListenerNotFound"),
        ("ModifyListener", format!("ListenerArn={no_listener}"), "ListenerNotFound"),
        ("ModifyRule", format!("RuleArn={no_rule}&{to_blue}"), "RuleNotFound"),
        ("ModifyRule", format!("RuleArn={rule}&{}", to(&no_group)), "TargetGroupNotFound"),
        ("ModifyRule", format!("RuleArn={rule}&{}", to(&tcp)), "IncompatibleProtocols"),
        ("ModifyRule", format!("RuleArn={rule}&{forward}"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{forward}&{six}"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{forward}&{heavy}"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{to_blue}&{sticky}"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{to_blue}&{seconds}=0"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{to_blue}&{seconds}=604801"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&Actions.member.1.Type=nonsense"), "ValidationError"),
        ("ModifyRule", format!("RuleArn={rule}&{login}"), "InvalidLoadBalancerAction"),
        ("ModifyRule", format!("RuleArn={rule}&{to_blue}&{twice}={blue}"), "TooManyActions"),
        ("CreateRule", format!("ListenerArn={listener}&Priority=1&{path}&{to_blue}"), "PriorityInUse"),
        ("CreateRule", format!("ListenerArn={listener}&Priority=0&{path}&{to_blue}"), "ValidationError"),
        ("CreateRule", format!("ListenerArn={listener}&Priority=2&{to_blue}"), "ValidationError"),
        ("CreateRule", format!("ListenerArn={elsewhere}&Priority=1&{path}&{to_blue}"), "TargetGroupAssociationLimit"),
        (
            "CreateListener",
            format!("LoadBalancerArn={load_balancer}&Protocol=HTTP&Port={port}&{fixed}"),
            "DuplicateListener",
        ),
        (
            "CreateListener",
            format!("LoadBalancerArn={load_balancer}&Protocol=HTTP&Port={taken}&{fixed}"),
            "InvalidConfigurationRequest",
        ),
        (
            "CreateListener",
            format!("LoadBalancerArn={load_balancer}&Protocol=HTTPS&Port=443&{fixed}"),
            "ValidationError",
        ),
        (
            "CreateListener",
            format!("LoadBalancerArn={load_balancer}&Protocol=TLS&Port=443&{fixed}"),
            "UnsupportedProtocol",
        ),
        ("CreateLoadBalancer", "Name=shop&Scheme=internal".to_owned(), "DuplicateLoadBalancerName"),
        ("CreateLoadBalancer", "Name=-shop".to_owned(), "ValidationError"),
        ("CreateTargetGroup", "Name=blue&Protocol=HTTP&Port=81&TargetType=ip".to_owned(), "DuplicateTargetGroupName"),
        ("DeleteTargetGroup", format!("TargetGroupArn={blue}"), "ResourceInUse"),
        ("RegisterTargets", format!("TargetGroupArn={blue}&Targets.member.1.Id=i-0123456789abcdef0"), "InvalidTarget"),
    ] {
        let answer = lab.call(format!("Action={action}&{parameters}")).await.expect("an answer");
        assert_eq!(answer.status, 400, "{action} {parameters}: {}", answer.xml);
        assert_eq!(answer.one("Code"), code, "{action} {parameters}: {}", answer.xml);
    }
    assert_eq!(lab.alb.weights(&rule), Some(vec![(blue.clone(), 1)]), "no refused call changed anything");
    lab.ok("DeleteRule", &[("RuleArn", &rule)]).await;
    lab.ok("DeleteTargetGroup", &[("TargetGroupArn", &blue)]).await;
}
