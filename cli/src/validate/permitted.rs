//! Whether the installation may change what a release of the service would have to.

use std::collections::BTreeMap;

use spillway_aws::compute::discovery::MANAGED;
use spillway_aws::permissions::Simulator;

use super::report::Report;

/// Something that a release changes.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Where the definition names it.
    pub place: String,
    /// Its ARN.
    pub arn: String,
    /// The value of its tag `spillway:managed`.
    pub tag: Option<String>,
    /// The role that changes it, without the installation's prefix.
    pub role: &'static str,
    /// The action.
    pub action: &'static str,
    /// What gives it the permission.
    pub by: By,
}

/// What gives a permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// A tag, or the engine's `managed_arns`.
    Tag,
    /// The engine's `hook_function_arns`.
    HookArns,
    /// The engine's `managed_arns.task_roles`.
    TaskRoles,
}

/// Who is handed the roles of tasks: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security_iam_service-with-iam.html>.
const ECS_TASKS: (&str, &str) = ("iam:PassedToService", "ecs-tasks.amazonaws.com");

/// What is known of a permission.
#[derive(Debug, Eq, PartialEq)]
enum Permission {
    Given,
    Missing,
    /// Why it is not known.
    Unknown(String),
}

/// Finds out, and notes what is missing.
pub async fn check(simulator: &Simulator, prefix: &str, changed: &[Changed], report: &mut Report) {
    let mut roles: BTreeMap<&str, Result<String, String>> = BTreeMap::new();
    for one in changed {
        if !roles.contains_key(one.role) {
            roles.insert(one.role, role(simulator, prefix, one.role).await);
        }
        let role = roles.get(one.role).cloned().unwrap_or_else(|| Err(String::new()));
        let simulated = match &role {
            Ok(role) => {
                let tag = format!("aws:ResourceTag/{MANAGED}");
                let context = match one.by {
                    By::TaskRoles => Some(ECS_TASKS),
                    By::Tag | By::HookArns => one.tag.as_deref().map(|value| (tag.as_str(), value)),
                };
                simulator.may(role, one.action, &one.arn, context).await.map_err(|error| error.to_string())
            }
            Err(why) => Err(why.clone()),
        };
        if let Err(why) = &simulated {
            // What one call was not allowed, the next will not be.
            roles.insert(one.role, Err(why.clone()));
        }
        match ruled(one, simulated) {
            Permission::Given => {}
            Permission::Missing => {
                let remedy = match one.by {
                    By::Tag => format!("tag it {MANAGED}=true, or name it in the engine's managed_arns"),
                    By::HookArns => "name it in the engine's hook_function_arns".to_owned(),
                    By::TaskRoles => "name it in the engine's managed_arns.task_roles".to_owned(),
                };
                let role = role.unwrap_or_default();
                let Changed { place, arn, action, .. } = one;
                report.problems.push(format!("{place}: {arn}: the role {role} may not {action} it; {remedy}"));
            }
            Permission::Unknown(why) => {
                let known = match one.by {
                    By::Tag => format!("has no tag {MANAGED}=true; whether managed_arns"),
                    By::HookArns => "whether hook_function_arns".to_owned(),
                    By::TaskRoles => "whether managed_arns.task_roles".to_owned(),
                };
                report.notes.push(format!("{}: {}: {known} names it cannot be told: {why}", one.place, one.arn));
            }
        }
    }
}

/// The ARN of a role, as the engine names it; or why it is not known.
async fn role(simulator: &Simulator, prefix: &str, role: &str) -> Result<String, String> {
    let name = format!("{prefix}-{role}");
    match simulator.role(&name).await {
        Ok(Some(arn)) => Ok(arn),
        Ok(None) => Err(format!("there is no role {name}: is the engine installed here?")),
        Err(error) => Err(error.to_string()),
    }
}

/// The simulator decides; without it the tag is enough, and its absence proves nothing.
fn ruled(changed: &Changed, simulated: Result<bool, String>) -> Permission {
    match (simulated, changed.tag.as_deref()) {
        (Ok(true), _) | (Err(_), Some("true")) => Permission::Given,
        (Ok(false), _) => Permission::Missing,
        (Err(why), _) => Permission::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_enough_and_its_absence_proves_nothing() {
        let changed = |tag: Option<&str>| Changed {
            place: "routes[0]".into(),
            arn: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/shop/1/2".into(),
            tag: tag.map(Into::into),
            role: "shift-weight",
            action: "elasticloadbalancing:ModifyListener",
            by: By::Tag,
        };
        for (tag, simulated, expected) in [
            (None, Ok(true), Permission::Given),
            (None, Ok(false), Permission::Missing),
            (Some("true"), Ok(false), Permission::Missing),
            (Some("true"), Err("denied"), Permission::Given),
            (Some("false"), Err("denied"), Permission::Unknown("denied".into())),
            (None, Err("denied"), Permission::Unknown("denied".into())),
        ] {
            assert_eq!(ruled(&changed(tag), simulated.map_err(Into::into)), expected, "{tag:?}");
        }
    }
}
