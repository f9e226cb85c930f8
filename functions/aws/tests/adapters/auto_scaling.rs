//! Auto Scaling groups.

use std::collections::BTreeMap;

use spillway_aws::compute::AutoScaling;
use spillway_aws::error::ApiError;
use spillway_aws::ports::{AutoScalingGroups, GroupInstances};
use spillway_core::compute::{GroupChange, GroupState, Instance};
use spillway_core::definition::AutoScalingGroupName;

use crate::double::{Answer, Double};

const TEMPLATE: &str = "<LaunchTemplateId>lt-1</LaunchTemplateId><LaunchTemplateName>shop</LaunchTemplateName>";

fn name() -> AutoScalingGroupName {
    AutoScalingGroupName::parse("shop").unwrap()
}

/// A group with an override that uses its own launch template, or the same in its own words.
fn mixed(own: &str) -> String {
    format!(
        "<MixedInstancesPolicy><LaunchTemplate>\
         <LaunchTemplateSpecification>{TEMPLATE}<Version>3</Version></LaunchTemplateSpecification><Overrides>\
         <member><InstanceType>m7g.large</InstanceType><WeightedCapacity>2</WeightedCapacity></member>\
         <member><InstanceType>m7a.large</InstanceType><LaunchTemplateSpecification>{own}<Version>3</Version>\
         </LaunchTemplateSpecification></member></Overrides></LaunchTemplate>\
         <InstancesDistribution><SpotAllocationStrategy>price-capacity-optimized</SpotAllocationStrategy>\
         </InstancesDistribution></MixedInstancesPolicy>"
    )
}

async fn group(launch: &str) -> Double {
    let instance = |version: &str, state: &str, health: &str| {
        format!(
            "<member><InstanceId>i-{version}</InstanceId><LifecycleState>{state}</LifecycleState>\
             <HealthStatus>{health}</HealthStatus><LaunchTemplate>{TEMPLATE}<Version>{version}</Version></LaunchTemplate>\
             <ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>"
        )
    };
    let answer = format!(
        "<AutoScalingGroups><member><AutoScalingGroupName>shop</AutoScalingGroupName>{launch}<MinSize>1</MinSize>\
         <MaxSize>9</MaxSize><DesiredCapacity>3</DesiredCapacity><Instances>{}{}{}</Instances>\
         <SuspendedProcesses><member><ProcessName>AZRebalance</ProcessName></member></SuspendedProcesses>\
         <WarmPoolConfiguration><MinSize>1</MinSize></WarmPoolConfiguration></member></AutoScalingGroups>",
        instance("3", "InService", "Healthy"),
        instance("2", "InService", "Unhealthy"),
        instance("3", "Pending:Wait", "Healthy"),
    );
    Double::start(move |call| match call.action.as_str() {
        "DescribeAutoScalingGroups" => Answer::xml("DescribeAutoScalingGroups", &answer),
        action => Answer::xml(action, ""),
    })
    .await
}

async fn update(launch: &str, version: Option<&str>) -> Result<BTreeMap<String, String>, ApiError> {
    let double = group(launch).await;
    let version = version.map(Into::into);
    let change = GroupChange { version, min: Some(1), max: Some(9), desired: Some(3) };
    AutoScaling::new(&double.config().await).update(&name(), &change).await?;
    let mut sent = double.calls_of("UpdateAutoScalingGroup")[0].form();
    for (common, value) in [("MinSize", "1"), ("MaxSize", "9"), ("DesiredCapacity", "3")] {
        assert_eq!(sent.remove(common).as_deref(), Some(value));
    }
    for common in ["Action", "Version", "AutoScalingGroupName"] {
        sent.remove(common);
    }
    Ok(sent)
}

#[tokio::test]
async fn a_group_and_its_instances_are_read() {
    let plain = format!("<LaunchTemplate>{TEMPLATE}<Version>$Latest</Version></LaunchTemplate>");
    for (launch, version) in [(plain, Some("$Latest")), (mixed(TEMPLATE), Some("3")), (String::new(), None)] {
        let double = group(&launch).await;
        let instance = |version: &str, state: &str, in_service| Instance {
            id: format!("i-{version}"),
            state: state.into(),
            version: Some(version.into()),
            in_service,
            protected: true,
        };
        assert_eq!(
            AutoScaling::new(&double.config().await).describe(&name()).await,
            Ok(GroupState {
                version: version.map(Into::into),
                min: 1,
                max: 9,
                desired: 3,
                instances: vec![
                    instance("3", "InService", true),
                    instance("2", "InService", false),
                    instance("3", "Pending:Wait", false),
                ],
                suspended: vec!["AZRebalance".into()],
                warm_pool: true,
            })
        );
    }
}

#[tokio::test]
async fn a_version_changes_nothing_but_the_version() {
    let entries = |prefix: &str, entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| (format!("{prefix}{name}"), (*value).into())).collect()
    };
    let plain = format!("<LaunchTemplate>{TEMPLATE}<Version>3</Version></LaunchTemplate>");
    let id_and_version = [("LaunchTemplateId", "lt-1"), ("Version", "4")];
    assert_eq!(update(&plain, Some("4")).await, Ok(entries("LaunchTemplate.", &id_and_version)));
    assert_eq!(update(&plain, None).await, Ok(BTreeMap::new()));
    let named = "<LaunchTemplateName>shop</LaunchTemplateName>";
    let by_name = [
        ("LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateId", "lt-1"),
        ("LaunchTemplate.LaunchTemplateSpecification.Version", "4"),
        ("LaunchTemplate.Overrides.member.1.InstanceType", "m7g.large"),
        ("LaunchTemplate.Overrides.member.1.WeightedCapacity", "2"),
        ("LaunchTemplate.Overrides.member.2.InstanceType", "m7a.large"),
        ("LaunchTemplate.Overrides.member.2.LaunchTemplateSpecification.LaunchTemplateName", "shop"),
        ("LaunchTemplate.Overrides.member.2.LaunchTemplateSpecification.Version", "4"),
        ("InstancesDistribution.SpotAllocationStrategy", "price-capacity-optimized"),
    ];
    assert_eq!(update(&mixed(named), Some("4")).await, Ok(entries("MixedInstancesPolicy.", &by_name)));
}

#[tokio::test]
async fn what_is_not_named_is_not_sent() {
    let double = group("").await;
    let compute = AutoScaling::new(&double.config().await);
    compute.update(&name(), &GroupChange { min: Some(4), ..GroupChange::default() }).await.unwrap();
    compute.rebalance(&name(), false).await.unwrap();
    compute.rebalance(&name(), true).await.unwrap();
    let ids: Vec<String> = (0..60).map(|number| format!("i-{number}")).collect();
    compute.unprotect(&name(), &ids).await.unwrap();
    let sent: Vec<BTreeMap<String, String>> = double.calls().iter().map(crate::double::Call::form).collect();
    let [update, suspend, resume, first, second] = &sent[..] else { panic!("{sent:?}") };
    let mut keys: Vec<&str> = update.keys().map(String::as_str).collect();
    keys.retain(|key| !matches!(*key, "Action" | "Version"));
    assert_eq!((keys, update["MinSize"].as_str()), (vec!["AutoScalingGroupName", "MinSize"], "4"));
    for (call, action) in [(suspend, "SuspendProcesses"), (resume, "ResumeProcesses")] {
        assert_eq!(call["Action"], action);
        let processes = call.iter().filter(|(key, _)| key.starts_with("ScalingProcesses")).map(|(_, process)| process);
        assert_eq!(processes.collect::<Vec<_>>(), ["AZRebalance"]);
    }
    for (call, instances) in [(first, 50), (second, 10)] {
        let ids = call.keys().filter(|key| key.starts_with("InstanceIds"));
        assert_eq!((ids.count(), call["ProtectedFromScaleIn"].as_str()), (instances, "false"));
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_set_is_refused() {
    let other = "<LaunchTemplateId>lt-2</LaunchTemplateId>";
    let configuration = "<LaunchConfigurationName>old</LaunchConfigurationName>";
    for (launch, code) in [(configuration.to_owned(), "NoLaunchTemplate"), (mixed(other), "SeveralLaunchTemplates")] {
        let error = update(&launch, Some("4")).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.transient), (code, false));
    }
    let double = Double::start(|call| Answer::xml(&call.action, "<AutoScalingGroups/>")).await;
    let error = AutoScaling::new(&double.config().await).describe(&name()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), ("AutoScalingGroupNotFound", false));
}
