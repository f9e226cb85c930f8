//! A definition against AWS: with the rules of planning, and what planning need not ask.

use std::collections::BTreeSet;
use std::process::ExitCode;

use aws_config::SdkConfig;
use jiff::Timestamp;
use plan_release::{examine, roles};
use spillway_aws::compute::discovery::MANAGED;
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::error::ApiError;
use spillway_aws::executions::StateMachines;
use spillway_aws::hooks::Functions;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::permissions::Simulator;
use spillway_aws::ports::EcsServices;
use spillway_core::arn::RouteKind;
use spillway_core::definition::{Compute, EcsName, EcsService, ServiceDefinition};
use spillway_core::plan::{self, Draft, Overrides, Refused, Roles};
use spillway_core::slot::Slot;
use spillway_core::version::{OpaqueVersion, Version};

use super::hooks;
use super::named;
use super::permitted::{self, By, Changed};
use super::report::Report;
use crate::operator::Installation;
use crate::operator::block_on;
use crate::operator::failure::Failure;

/// Looks, and prints what it came to.
pub fn run(installation: &Installation, file: &str, definition: &ServiceDefinition) -> ExitCode {
    block_on(async {
        let config = installation.config().await;
        let report = look(&config, installation, definition).await?;
        Ok(report.print(file, definition, installation.json()))
    })
}

async fn look(
    config: &SdkConfig,
    installation: &Installation,
    definition: &ServiceDefinition,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let load_balancers = LoadBalancers::new(config);
    let roles = planned(config, &load_balancers, definition, &mut report).await?;
    groups(&load_balancers, definition, roles.as_ref(), &mut report).await?;
    let mut changed = routes(&load_balancers, definition, &mut report).await?;
    changed.extend(compute(config, definition, roles.as_ref(), &mut report).await?);
    changed.extend(hooks::look(&Functions::new(config), definition, &mut report).await?);
    permitted::check(&Simulator::new(config), installation.prefix(), &changed, &mut report).await;
    installed(config, installation, definition, &mut report).await?;
    // The same may be said by planning and by the closer look.
    let mut told = BTreeSet::new();
    report.problems.retain(|problem| told.insert(problem.clone()));
    Ok(report)
}

/// What planning says to a release that would start now. An opaque version suits every slot.
async fn planned(
    config: &SdkConfig,
    load_balancers: &LoadBalancers,
    definition: &ServiceDefinition,
    report: &mut Report,
) -> Result<Option<Roles>, Failure> {
    let (cloudwatch, auto_scaling) = (CloudWatch::new(config), AutoScaling::new(config));
    let mut refusals = Vec::new();
    let overrides = Overrides::default();
    let roles = roles(load_balancers, definition, Some(&overrides), &mut refusals).await?;
    let now = Timestamp::now();
    let found = (roles.as_ref(), None, Vec::new());
    let survey = examine(load_balancers, &cloudwatch, &auto_scaling, definition, found, now, &mut refusals).await?;
    let version = OpaqueVersion::parse("validate").ok().map(Version::Opaque);
    let draft = Draft { definition: definition.clone(), version, overrides, roles: roles.clone(), survey, refusals };
    match draft.plan() {
        Ok(plan) => report.warnings.extend(plan.warnings),
        Err(Refused(refusals)) => refusals.iter().for_each(|refusal| report.refusal(refusal)),
    }
    Ok(roles)
}

async fn groups(
    load_balancers: &LoadBalancers,
    definition: &ServiceDefinition,
    roles: Option<&Roles>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(groups) = seen(load_balancers.target_groups().await, report)? else { return Ok(()) };
    let all = seen(load_balancers.all().await, report)?.unwrap_or_default();
    // Without roles the pairs are not known; one load balancer is everybody's.
    let mut own: Vec<String> = definition.routes.iter().map(spillway_core::arn::RouteArn::load_balancer_arn).collect();
    own.dedup();
    let behind = definition.slots.blue.target_groups.iter().enumerate().map(|(index, _)| match roles {
        Some(roles) => {
            let of = |arn: &&String| roles.load_balancers.get(index).is_some_and(|lb| arn.ends_with(&format!("/{lb}")));
            own.iter().find(of).cloned()
        }
        None => own.first().filter(|_| own.len() == 1).cloned(),
    });
    report.problems.extend(named::groups(definition, &behind.collect::<Vec<_>>(), &groups, &all));
    Ok(())
}

/// The routes as what a release changes.
async fn routes(
    load_balancers: &LoadBalancers,
    definition: &ServiceDefinition,
    report: &mut Report,
) -> Result<Vec<Changed>, Failure> {
    let all = [("routes", &definition.routes), ("test_routes", &definition.test_routes)];
    let mut changed = Vec::new();
    for (field, routes) in all {
        for (index, route) in routes.iter().enumerate() {
            let place = format!("{field}[{index}]");
            // One that does not exist has no tags, and planning has said so.
            let tag = match load_balancers.tag(&[route.as_str()], MANAGED).await {
                Ok(tags) => tags.into_iter().next().flatten(),
                Err(error) if error.transient => return Err(error.into()),
                Err(error) if error.code.ends_with("NotFound") => continue,
                Err(error) => {
                    report.notes.push(format!("{place}: its tags cannot be read: {error}"));
                    None
                }
            };
            let action = match route.kind() {
                RouteKind::Rule => "elasticloadbalancing:ModifyRule",
                RouteKind::ListenerDefault => "elasticloadbalancing:ModifyListener",
            };
            let arn = route.as_str().into();
            changed.push(Changed { place, arn, tag, role: "shift-weight", action, by: By::Tag });
        }
    }
    Ok(changed)
}

/// What runs the slots: whether it is there and registers in its groups; and it as what a release changes.
async fn compute(
    config: &SdkConfig,
    definition: &ServiceDefinition,
    roles: Option<&Roles>,
    report: &mut Report,
) -> Result<Vec<Changed>, Failure> {
    let mut changed = Vec::new();
    let mut services = Vec::new();
    let ecs = Ecs::new(config);
    let groups = match definition.slots.blue.compute {
        Compute::AutoScalingGroup(_) => seen(AutoScaling::new(config).all().await, report)?.unwrap_or_default(),
        _ => Vec::new(),
    };
    for slot in Slot::BOTH {
        let chosen = definition.slots.get(slot);
        let place = format!("slots.{slot}.compute");
        match &chosen.compute {
            Compute::EcsService(service) => {
                let Some(found) = workload(&ecs, &place, service, report).await? else { continue };
                report.problems.extend(named::service(slot, chosen, &found));
                let (arn, tag, action) = (found.arn, found.managed, "ecs:UpdateService");
                services.push((slot, service, found.task_definition));
                changed.push(Changed { place, arn, tag, role: "prepare-candidate", action, by: By::Tag });
            }
            Compute::AutoScalingGroup(group) => {
                // That one is not there, planning has said.
                let Some(found) = groups.iter().find(|found| found.name == group.name.as_str()) else { continue };
                report.problems.extend(named::group(slot, chosen, found));
                let (arn, tag) = (found.arn.clone(), found.managed.clone());
                let action = "autoscaling:UpdateAutoScalingGroup";
                changed.push(Changed { place, arn, tag, role: "prepare-candidate", action, by: By::Tag });
            }
            Compute::External => {}
        }
    }
    containers(&ecs, &services, roles, report).await?;
    // An image's revision is a copy of the one that serves, roles included.
    let mut passed = BTreeSet::new();
    for (slot, _, revision) in services.iter().filter(|(slot, ..)| roles.is_none_or(|roles| roles.stable == *slot)) {
        for arn in seen(ecs.roles(revision).await, report)?.unwrap_or_default() {
            if passed.insert(arn.clone()) {
                let (place, action) = (format!("slots.{slot}.compute: {revision}"), "iam:PassRole");
                changed.push(Changed { place, arn, tag: None, role: "prepare-candidate", action, by: By::TaskRoles });
            }
        }
    }
    Ok(changed)
}

/// Whether an image has a container to go to: a release copies the revision that serves, whichever slot it is for.
async fn containers(
    ecs: &Ecs,
    services: &[(Slot, &EcsService, String)],
    roles: Option<&Roles>,
    report: &mut Report,
) -> Result<(), Failure> {
    for (slot, service, own) in services {
        let serving = services.iter().find(|(slot, ..)| roles.is_some_and(|roles| roles.stable == *slot));
        let revision = serving.map_or(own, |(.., revision)| revision);
        let wanted = service.container.as_ref().map(EcsName::as_str);
        if let Some(Err(unclear)) = seen(ecs.takes_image(revision, wanted).await, report)? {
            let told = format!("slots.{slot}.compute.ecs_service.container: {revision}: {unclear}");
            match wanted {
                Some(_) => report.problems.push(told),
                // Other versions than images go on.
                None => report.warnings.push(told),
            }
        }
    }
    Ok(())
}

/// An ECS service, if it is one that a release can change: active, rolling, of replicas.
async fn workload(
    ecs: &Ecs,
    place: &str,
    service: &EcsService,
    report: &mut Report,
) -> Result<Option<spillway_aws::compute::discovery::EcsWorkload>, Failure> {
    match ecs.describe(service).await {
        Ok(_) => {}
        Err(error) if error.transient => return Err(error.into()),
        Err(error) if super::report::is_denied(&error.code) => {
            report.unknown.push(format!("{place}: {error}: you may not look at it"));
            return Ok(None);
        }
        Err(error) => {
            report.problems.push(format!("{place}: {error}"));
            return Ok(None);
        }
    }
    let names = [service.service.as_str().to_owned()];
    Ok(seen(ecs.workloads(service.cluster.as_str(), &names).await, report)?.and_then(|found| found.into_iter().next()))
}

/// Whether the installation is there, in the same place, and has this definition.
async fn installed(
    config: &SdkConfig,
    installation: &Installation,
    definition: &ServiceDefinition,
    report: &mut Report,
) -> Result<(), Failure> {
    let machine = format!("{}-release", installation.prefix());
    match StateMachines::new(config).find(&machine).await {
        Ok(Some(arn)) => {
            let home = spillway_core::arn::home(&arn);
            let strangers = plan::strangers(definition, None, home, &[]);
            report.warnings.extend(strangers.iter().map(ToString::to_string));
        }
        Ok(None) => report.notes.push(format!("no state machine is named {machine}: is the engine installed here?")),
        Err(error) => report.notes.push(format!("whether the engine is installed cannot be told: {error}")),
    }
    let definitions = installation.definitions(config);
    let name = definitions.name(definition.service.as_str());
    report.notes.extend(match definitions.read(definition.service.as_str()).await {
        Ok(Some(stored)) => match ServiceDefinition::from_json(&stored) {
            Ok(stored) if stored == *definition => None,
            Ok(_) => Some(format!("{name}: the stored definition is another one, and releases read that")),
            Err(_) => Some(format!("{name}: the stored definition is not valid, and releases read that")),
        },
        Ok(None) => Some(format!("{name}: no definition is stored yet; releases read it there")),
        Err(error) => Some(format!("{name}: cannot be read: {error}")),
    });
    Ok(())
}

/// What was read. What may be read later is an error; what you may not read is noted.
pub(super) fn seen<T>(read: Result<T, ApiError>, report: &mut Report) -> Result<Option<T>, Failure> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.transient => Err(error.into()),
        Err(error) => {
            report.unknown.push(error.to_string());
            Ok(None)
        }
    }
}
