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
    /// The function that changes it.
    pub function: &'static str,
    /// The action.
    pub action: &'static str,
}

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
        if !roles.contains_key(one.function) {
            roles.insert(one.function, role(simulator, prefix, one.function).await);
        }
        let role = roles.get(one.function).cloned().unwrap_or_else(|| Err(String::new()));
        let simulated = match &role {
            Ok(role) => {
                let tag = one.tag.as_deref().map(|value| (MANAGED, value));
                simulator.may(role, one.action, &one.arn, tag).await.map_err(|error| error.to_string())
            }
            Err(why) => Err(why.clone()),
        };
        if let Err(why) = &simulated {
            // What one call was not allowed, the next will not be.
            roles.insert(one.function, Err(why.clone()));
        }
        match ruled(one, simulated) {
            Permission::Given => {}
            Permission::Missing => report.problems.push(format!(
                "{}: {}: the role {} may not {} it; tag it {MANAGED}=true, or name it in the engine's managed_arns",
                one.place,
                one.arn,
                role.unwrap_or_default(),
                one.action
            )),
            Permission::Unknown(why) => report.notes.push(format!(
                "{}: {}: has no tag {MANAGED}=true; whether managed_arns names it cannot be told: {why}",
                one.place, one.arn
            )),
        }
    }
}

/// The ARN of a function's role, as the engine names it; or why it is not known.
async fn role(simulator: &Simulator, prefix: &str, function: &str) -> Result<String, String> {
    let name = format!("{prefix}-{function}");
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
            function: "shift-weight",
            action: "elasticloadbalancing:ModifyListener",
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
