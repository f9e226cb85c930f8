//! Auto Scaling as far as releases need it: groups with a launch template version, and their instances.
//!
//! ministack's UpdateAutoScalingGroup drops the launch template and invents instances that are in service at
//! once. This front serves Create-, Describe- and UpdateAutoScalingGroup(s) itself; the instances are the
//! agent's processes. As in AWS, a new launch template version changes nothing about existing instances, and
//! scaling in ends the oldest. SuspendProcesses, ResumeProcesses and SetInstanceProtection are remembered, and shown. Every
//! other action is an error. Beside it, at the same address, [Application Auto Scaling](crate::scalable_targets).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::agent::{TaskState, TaskView, lock};
use crate::aws::{ACCOUNT, REGION};
use crate::scalable_targets::{ScalableTargets, TARGET};
use crate::xml::escape;

/// The id of every launch template.
const TEMPLATE_ID: &str = "lt-0123456789abcdef0";

/// One group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    template: String,
    pub(crate) version: String,
    min: usize,
    max: usize,
    pub(crate) desired: usize,
    pub(crate) target_groups: Vec<String>,
    instances: Vec<TaskView>,
    suspended: BTreeSet<String>,
    protected: BTreeSet<String>,
}

impl Group {
    /// The name under which the agent knows what an instance of the present version runs.
    pub(crate) fn image(&self) -> String {
        image(&self.template, &self.version)
    }
}

/// The image that instances of a launch template version run.
#[must_use]
pub(crate) fn image(template: &str, version: &str) -> String {
    format!("{template}:{version}")
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(Arc<Mutex<BTreeMap<String, Group>>>);

impl Groups {
    pub(crate) fn get(&self, name: &str) -> Option<Group> {
        lock(&self.0).get(name).cloned()
    }

    /// The agent's word on what runs.
    pub(crate) fn report(&self, name: &str, instances: Vec<TaskView>) {
        if let Some(group) = lock(&self.0).get_mut(name) {
            group.instances = instances;
        }
    }
}

/// The API server; dropping it stops it.
#[derive(Debug)]
pub(crate) struct AutoScaling {
    url: String,
    pub(crate) groups: Groups,
    pub(crate) targets: ScalableTargets,
    _tasks: JoinSet<()>,
}

impl AutoScaling {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let groups = Groups::default();
        let targets = ScalableTargets::default();
        let (served, scaled) = (groups.clone(), targets.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                while connections.try_join_next().is_some() {}
                let (groups, targets) = (served.clone(), scaled.clone());
                let service = service_fn(move |request| serve(groups.clone(), targets.clone(), request));
                connections.spawn(async move {
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Ok(Self { url, groups, targets, _tasks: tasks })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

type Form = BTreeMap<String, String>;

async fn serve(
    groups: Groups,
    targets: ScalableTargets,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await?.to_bytes();
    if let Some(target) = target.filter(|target| target.starts_with(TARGET)) {
        return Ok(targets.serve(&target, &body));
    }
    Ok(answer(&groups, &form_urlencoded::parse(&body).into_owned().collect()))
}

/// What an action answers: the content of its result, or a code and a message.
type Answer = Result<String, (&'static str, String)>;

fn answer(groups: &Groups, form: &Form) -> Response<Full<Bytes>> {
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    let answer = match action {
        "CreateAutoScalingGroup" => create(groups, form),
        "DescribeAutoScalingGroups" => Ok(describe(groups, form)),
        "UpdateAutoScalingGroup" => update(groups, form),
        "SuspendProcesses" | "ResumeProcesses" => processes(groups, form, action == "SuspendProcesses"),
        "SetInstanceProtection" => protect(groups, form),
        other => Err(("InvalidAction", format!("the lab's Auto Scaling has no {other}"))),
    };
    let (status, xml) = match answer {
        Ok(content) => {
            (StatusCode::OK, format!("<{action}Response><{action}Result>{content}</{action}Result></{action}Response>"))
        }
        Err((code, message)) => (
            StatusCode::BAD_REQUEST,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message></Error></ErrorResponse>",
                escape(&message)
            ),
        ),
    };
    let mut response = Response::new(Full::from(xml));
    *response.status_mut() = status;
    response
}

fn create(groups: &Groups, form: &Form) -> Answer {
    let name = required(form, "AutoScalingGroupName")?;
    let mut groups = lock(&groups.0);
    if groups.contains_key(&name) {
        return Err(("AlreadyExists", format!("AutoScalingGroup by this name already exists - {name}")));
    }
    let mut group = Group { target_groups: list(form, "TargetGroupARNs"), ..Group::default() };
    set(&mut group, form)?;
    if !form.contains_key("DesiredCapacity") {
        group.desired = group.min;
    }
    groups.insert(name, group);
    Ok(String::new())
}

fn update(groups: &Groups, form: &Form) -> Answer {
    let name = required(form, "AutoScalingGroupName")?;
    let mut groups = lock(&groups.0);
    let group =
        groups.get_mut(&name).ok_or(("ValidationError", format!("AutoScalingGroup name not found - {name}")))?;
    set(group, form)?;
    Ok(String::new())
}

fn processes(groups: &Groups, form: &Form, suspend: bool) -> Answer {
    named(groups, form, |group| {
        for process in list(form, "ScalingProcesses") {
            if suspend {
                group.suspended.insert(process);
            } else {
                group.suspended.remove(&process);
            }
        }
    })
}

fn protect(groups: &Groups, form: &Form) -> Answer {
    named(groups, form, |group| {
        for instance in list(form, "InstanceIds") {
            if form.get("ProtectedFromScaleIn").is_some_and(|protected| protected == "true") {
                group.protected.insert(instance);
            } else {
                group.protected.remove(&instance);
            }
        }
    })
}

fn named(groups: &Groups, form: &Form, change: impl FnOnce(&mut Group)) -> Answer {
    let name = required(form, "AutoScalingGroupName")?;
    let mut groups = lock(&groups.0);
    let group =
        groups.get_mut(&name).ok_or(("ValidationError", format!("AutoScalingGroup name not found - {name}")))?;
    change(group);
    Ok(String::new())
}

/// Sets what the form names; nothing if anything is wrong.
fn set(group: &mut Group, form: &Form) -> Result<(), (&'static str, String)> {
    let mut changed = group.clone();
    // Groups are made with a template's name; the id that is told for it means the same one.
    if let Some(template) = form.get("LaunchTemplate.LaunchTemplateName") {
        changed.template.clone_from(template);
    }
    if form.get("LaunchTemplate.LaunchTemplateId").is_some_and(|id| id != TEMPLATE_ID) {
        return Err(("ValidationError", "The specified launch template does not exist".to_owned()));
    }
    if let Some(version) = form.get("LaunchTemplate.Version") {
        changed.version.clone_from(version);
    }
    for (name, size) in
        [("MinSize", &mut changed.min), ("MaxSize", &mut changed.max), ("DesiredCapacity", &mut changed.desired)]
    {
        if let Some(text) = form.get(name) {
            *size = text.parse().map_err(|_| ("ValidationError", format!("{name} {text} is not a size")))?;
        }
    }
    if changed.min > changed.max {
        return Err(("ValidationError", "Max bound must be greater than or equal to min bound".to_owned()));
    }
    // "If the current desired capacity is outside the new bounds, it is moved to the nearest one"; one that
    // is asked for must fit (API reference, UpdateAutoScalingGroup).
    if !form.contains_key("DesiredCapacity") {
        changed.desired = changed.desired.clamp(changed.min, changed.max);
    } else if !(changed.min..=changed.max).contains(&changed.desired) {
        return Err((
            "ValidationError",
            format!(
                "Desired capacity:{} must be between the specified min size:{} and max size:{}",
                changed.desired, changed.min, changed.max
            ),
        ));
    }
    *group = changed;
    Ok(())
}

fn describe(groups: &Groups, form: &Form) -> String {
    let wanted = list(form, "AutoScalingGroupNames");
    let mut xml = String::from("<AutoScalingGroups>");
    for (name, group) in lock(&groups.0).iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)) {
        let template = |version: &str| {
            let name = escape(&group.template);
            format!(
                "<LaunchTemplate><LaunchTemplateId>{TEMPLATE_ID}</LaunchTemplateId><LaunchTemplateName>{name}\
                 </LaunchTemplateName><Version>{}</Version></LaunchTemplate>",
                escape(version)
            )
        };
        let mut instances = String::new();
        for instance in &group.instances {
            let state = match instance.state {
                TaskState::Starting => "Pending",
                TaskState::Running => "InService",
                TaskState::Draining => "Terminating",
            };
            let (id, template) = (&instance.id, template(&instance.version));
            let protected = group.protected.contains(id);
            write!(
                instances,
                "<member><InstanceId>{id}</InstanceId><AvailabilityZone>{REGION}a</AvailabilityZone>\
                 <LifecycleState>{state}</LifecycleState><HealthStatus>Healthy</HealthStatus>{template}\
                 <ProtectedFromScaleIn>{protected}</ProtectedFromScaleIn></member>"
            )
            .ok();
        }
        let groups: String =
            group.target_groups.iter().map(|arn| format!("<member>{}</member>", escape(arn))).collect();
        let suspended: String = (group.suspended.iter())
            .map(|process| format!("<member><ProcessName>{}</ProcessName></member>", escape(process)))
            .collect();
        let Group { min, max, desired, .. } = group;
        let (name, template) = (escape(name), template(&group.version));
        write!(
            xml,
            "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><AutoScalingGroupARN>arn:aws:autoscaling:\
             {REGION}:{ACCOUNT}:autoScalingGroup:0:autoScalingGroupName/{name}</AutoScalingGroupARN>{template}\
             <MinSize>{min}</MinSize><MaxSize>{max}</MaxSize><DesiredCapacity>{desired}</DesiredCapacity>\
             <DefaultCooldown>300</DefaultCooldown><AvailabilityZones><member>{REGION}a</member></AvailabilityZones>\
             <HealthCheckType>ELB</HealthCheckType><CreatedTime>2026-01-01T00:00:00Z</CreatedTime>\
             <TargetGroupARNs>{groups}</TargetGroupARNs><Instances>{instances}</Instances>\
             <SuspendedProcesses>{suspended}</SuspendedProcesses></member>"
        )
        .ok();
    }
    xml + "</AutoScalingGroups>"
}

fn required(form: &Form, name: &str) -> Answer {
    form.get(name).cloned().ok_or_else(|| ("ValidationError", format!("{name} is missing")))
}

fn list(form: &Form, name: &str) -> Vec<String> {
    (1..).map_while(|index| form.get(&format!("{name}.member.{index}")).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_versions_are_set_together_or_not_at_all() {
        let groups = Groups::default();
        let form = |pairs: &[(&str, &str)]| {
            let pairs = [("AutoScalingGroupName", "shop")].iter().chain(pairs);
            pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Form>()
        };
        let template = ("LaunchTemplate.LaunchTemplateName", "shop");
        let version = ("LaunchTemplate.Version", "1");
        create(&groups, &form(&[template, version, ("MinSize", "1"), ("MaxSize", "3")])).unwrap();
        let sizes = || groups.get("shop").map(|g| (g.image(), g.min, g.max, g.desired)).unwrap();
        assert_eq!(sizes(), ("shop:1".to_owned(), 1, 3, 1));
        assert!(update(&groups, &form(&[("DesiredCapacity", "4"), ("LaunchTemplate.Version", "2")])).is_err());
        assert_eq!(sizes(), ("shop:1".to_owned(), 1, 3, 1));
        update(&groups, &form(&[("LaunchTemplate.Version", "2"), ("MinSize", "0"), ("DesiredCapacity", "0")])).unwrap();
        assert_eq!(sizes(), ("shop:2".to_owned(), 0, 3, 0));
        update(&groups, &form(&[("MinSize", "2")])).unwrap();
        assert_eq!(sizes(), ("shop:2".to_owned(), 2, 3, 2));
        assert!(describe(&groups, &form(&[])).contains("<DesiredCapacity>2</DesiredCapacity>"));
        let process = ("ScalingProcesses.member.1", "AZRebalance");
        let shown = || describe(&groups, &form(&[])).contains("<ProcessName>AZRebalance</ProcessName>");
        processes(&groups, &form(&[process]), true).unwrap();
        assert!(shown());
        processes(&groups, &form(&[process]), false).unwrap();
        assert!(!shown());
        assert!(!describe(&groups, &form(&[("AutoScalingGroupNames.member.1", "x")])).contains("<member>"));
    }
}
