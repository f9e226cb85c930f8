//! Routes: the actions of a listener rule or listener default, and the edits that change only weights.
//!
//! `ModifyRule` and `ModifyListener` replace the whole action list, so everything that an action can hold is
//! held here, in the field names of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::arn::TargetGroupArn;
use crate::weight::Split;

/// A forward action takes at most so many target groups.
const MOST_GROUPS: usize = 5;
/// The largest weight.
const MOST_WEIGHT: u16 = 999;
/// The longest life of a cookie of group stickiness, in seconds.
const LONGEST_COOKIE: u32 = 604_800;

/// One action of a route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Action {
    /// Place in the order of actions; the last one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
    /// What the action does.
    #[serde(flatten)]
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ActionKind {
    /// Sends the request to one of some target groups.
    Forward(Forward),
    /// Asks an OpenID Connect provider.
    AuthenticateOidc(AuthenticateOidc),
    /// Asks an Amazon Cognito user pool.
    AuthenticateCognito(AuthenticateCognito),
    /// Checks a JSON Web Token.
    JwtValidation(JwtValidation),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Answers by itself.
    FixedResponse(FixedResponse),
}

/// A forward action.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forward {
    /// The groups, in order.
    pub groups: Vec<WeightedGroup>,
    /// Group stickiness; `None` where the action has no such configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
}

/// A target group and its weight.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WeightedGroup {
    /// The group.
    pub arn: TargetGroupArn,
    /// 0–999, relative to the other groups'.
    pub weight: u16,
}

/// Group stickiness of a forward action.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stickiness {
    /// Whether it is on.
    pub enabled: bool,
    /// Life of the cookie in seconds, 1–604 800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i32>,
}

/// `authenticate-oidc`. The client secret is never told; it is kept by `UseExistingClientSecret`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: AuthenticateOidcActionConfig")]
pub struct AuthenticateOidc {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub user_info_endpoint: String,
    pub client_id: String,
    #[serde(flatten)]
    pub session: Session,
}

/// `authenticate-cognito`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: AuthenticateCognitoActionConfig")]
pub struct AuthenticateCognito {
    pub user_pool_arn: String,
    pub user_pool_client_id: String,
    pub user_pool_domain: String,
    #[serde(flatten)]
    pub session: Session,
}

/// What both kinds of authentication share.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields")]
pub struct Session {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_cookie_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_timeout: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authentication_request_extra_params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unauthenticated_request: Option<String>,
}

/// `jwt-validation`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: JwtValidationActionConfig")]
pub struct JwtValidation {
    pub jwks_endpoint: String,
    pub issuer: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_claims: Vec<JwtClaim>,
}

/// A claim that a token must have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: JwtValidationActionAdditionalClaim")]
pub struct JwtClaim {
    pub format: String,
    pub name: String,
    pub values: Vec<String>,
}

/// `redirect`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: RedirectActionConfig")]
pub struct Redirect {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    pub status_code: String,
}

/// `fixed-response`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the API's own fields: FixedResponseActionConfig")]
pub struct FixedResponse {
    pub status_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// The two groups of a route that a release moves traffic between.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    /// The stable slot's group behind this route's load balancer.
    pub stable: &'a TargetGroupArn,
    /// The candidate slot's.
    pub candidate: &'a TargetGroupArn,
}

/// A route whose actions cannot be edited.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UneditableRoute {
    /// No forward action: a redirect or fixed response answers every request.
    #[error("has no forward action")]
    NoForward,
    /// More than one forward action.
    #[error("has more than one forward action")]
    SeveralForwards,
    /// Neither slot's group is in the forward action.
    #[error("forwards to neither {0} nor {1}, the slots' target groups")]
    NeitherSlot(TargetGroupArn, TargetGroupArn),
    /// Somebody else's group takes part of the traffic.
    #[error(
        "also sends traffic to {0}, which belongs to neither slot; weights are relative, so its share would change with every shift: give it weight 0, or a route of its own"
    )]
    ForeignTraffic(TargetGroupArn),
    /// The forward action is full.
    #[error("already forwards to {MOST_GROUPS} target groups, the most that one action takes; remove one at weight 0")]
    Full,
}

/// The one forward action of a route.
///
/// # Errors
/// [`UneditableRoute`] if there is none, or more than one.
pub fn forward(actions: &[Action]) -> Result<&Forward, UneditableRoute> {
    let mut found = forwards(actions);
    match (found.next(), found.next()) {
        (Some(forward), None) => Ok(forward),
        (None, _) => Err(UneditableRoute::NoForward),
        _ => Err(UneditableRoute::SeveralForwards),
    }
}

/// All forward actions of a route.
pub fn forwards(actions: &[Action]) -> impl Iterator<Item = &Forward> {
    actions.iter().filter_map(|action| match &action.kind {
        ActionKind::Forward(forward) => Some(forward),
        _ => None,
    })
}

/// The one forward action of a route, to be changed.
fn forward_mut(actions: &mut [Action]) -> Result<&mut Forward, UneditableRoute> {
    forward(actions)?;
    let mut found = actions.iter_mut().filter_map(|action| match &mut action.kind {
        ActionKind::Forward(forward) => Some(forward),
        _ => None,
    });
    found.next().ok_or(UneditableRoute::NoForward)
}

impl Forward {
    /// Seconds for which a client stays with the group that answered it; 0 without group stickiness. One that is on
    /// without a duration, which the API does not allow, counts as the longest.
    #[must_use]
    pub fn sticky_seconds(&self) -> u32 {
        match self.stickiness {
            Some(Stickiness { enabled: true, duration_seconds }) => {
                duration_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(LONGEST_COOKIE)
            }
            _ => 0,
        }
    }

    /// The share that the candidate has of what the two groups get.
    #[must_use]
    pub fn candidate_share(&self, groups: Groups<'_>) -> f64 {
        let weight = |group| f64::from(self.weight(group).unwrap_or(0));
        let (stable, candidate) = (weight(groups.stable), weight(groups.candidate));
        if candidate > 0.0 { candidate / (stable + candidate) } else { 0.0 }
    }

    /// Sets a group's weight. One that is missing is attached behind its counterpart.
    fn set(
        &mut self,
        group: &TargetGroupArn,
        weight: u16,
        counterpart: &TargetGroupArn,
    ) -> Result<(), UneditableRoute> {
        if let Some(found) = self.groups.iter_mut().find(|found| found.arn == *group) {
            found.weight = weight;
            return Ok(());
        }
        if self.groups.len() >= MOST_GROUPS {
            return Err(UneditableRoute::Full);
        }
        let behind = self.groups.iter().position(|found| found.arn == *counterpart).map_or(0, |at| at + 1);
        self.groups.insert(behind, WeightedGroup { arn: group.clone(), weight });
        Ok(())
    }

    /// Leaves a group without traffic. With group stickiness it is taken out of the action, since clients whose cookie
    /// names it would stay with it at weight 0:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html>.
    fn leave(&mut self, group: &TargetGroupArn) {
        if self.sticky_seconds() > 0 && self.groups.len() > 1 {
            self.groups.retain(|found| found.arn != *group);
        }
        for found in self.groups.iter_mut().filter(|found| found.arn == *group) {
            found.weight = 0;
        }
    }

    /// The group's weight; `None` if it is not in the action.
    #[must_use]
    pub fn weight(&self, group: &TargetGroupArn) -> Option<u16> {
        self.groups.iter().find(|g| g.arn == *group).map(|g| g.weight)
    }

    /// A group that belongs to neither slot and has traffic.
    #[must_use]
    pub fn foreign_traffic(&self, groups: Groups<'_>) -> Option<&TargetGroupArn> {
        self.groups
            .iter()
            .find(|g| g.weight > 0 && g.arn != *groups.stable && g.arn != *groups.candidate)
            .map(|g| &g.arn)
    }
}

/// The actions with these weights for the two groups and everything else as it was. A group that is missing is
/// attached behind the other one; with group stickiness, a stable group that is to get nothing any more is taken out.
///
/// # Errors
/// [`UneditableRoute`]; nothing is guessed.
pub fn with_split(actions: &[Action], groups: Groups<'_>, split: Split) -> Result<Vec<Action>, UneditableRoute> {
    let Groups { stable, candidate } = groups;
    let mut edited = actions.to_vec();
    let forward = forward_mut(&mut edited)?;
    if forward.weight(stable).is_none() && forward.weight(candidate).is_none() {
        return Err(UneditableRoute::NeitherSlot(stable.clone(), candidate.clone()));
    }
    if split.stable == 0 {
        forward.set(candidate, split.candidate, stable)?;
        forward.leave(stable);
    } else {
        forward.set(stable, split.stable, candidate)?;
        forward.set(candidate, split.candidate, stable)?;
    }
    Ok(edited)
}

/// The live actions with all of the slots' traffic on the stable group, and the candidate without any.
///
/// Only the two groups change, so that a stranger's edit survives. What stood in the original comes back: 1 stays 1, and
/// does not become 100; but where a stranger has given a group of his own a part, that part stays what it is.
///
/// # Errors
/// [`UneditableRoute`], in particular where the live actions forward to neither slot.
pub fn with_all_on_stable(
    live: &[Action],
    original: &[Action],
    groups: Groups<'_>,
) -> Result<Vec<Action>, UneditableRoute> {
    let Groups { stable, candidate } = groups;
    let mut edited = live.to_vec();
    let forward = forward_mut(&mut edited)?;
    let (of_stable, of_candidate) = (forward.weight(stable), forward.weight(candidate));
    if of_stable.is_none() && of_candidate.is_none() {
        return Err(UneditableRoute::NeitherSlot(stable.clone(), candidate.clone()));
    }
    let recorded = self::forward(original).ok().and_then(|recorded| {
        let weight = recorded.weight(stable).filter(|weight| *weight > 0);
        weight.filter(|_| recorded.weight(candidate).unwrap_or(0) == 0)
    });
    let both = of_stable.unwrap_or(0) + of_candidate.unwrap_or(0);
    let weight = match forward.foreign_traffic(groups) {
        Some(_) => both.min(MOST_WEIGHT),
        None => recorded.unwrap_or(100),
    };
    forward.set(stable, weight, candidate)?;
    forward.leave(candidate);
    Ok(edited)
}

/// The live actions with a group attached at weight 0, so that its targets are health-checked; unchanged where it is in
/// them already.
///
/// # Errors
/// [`UneditableRoute`].
pub fn with_attached(
    live: &[Action],
    group: &TargetGroupArn,
    counterpart: &TargetGroupArn,
) -> Result<Vec<Action>, UneditableRoute> {
    let mut edited = live.to_vec();
    let forward = forward_mut(&mut edited)?;
    if forward.weight(group).is_none() {
        forward.set(group, 0, counterpart)?;
    }
    Ok(edited)
}

/// The live actions without traffic for a group: with group stickiness it is taken out, otherwise its weight is 0.
///
/// # Errors
/// [`UneditableRoute`].
pub fn without(live: &[Action], group: &TargetGroupArn) -> Result<Vec<Action>, UneditableRoute> {
    let mut edited = live.to_vec();
    forward_mut(&mut edited)?.leave(group);
    Ok(edited)
}

/// Whether two lists of actions are the same, whatever the order in which a forward names its groups.
#[must_use]
pub fn same(one: &[Action], other: &[Action]) -> bool {
    let sorted = |actions: &[Action]| {
        let mut actions = actions.to_vec();
        for action in &mut actions {
            if let ActionKind::Forward(forward) = &mut action.kind {
                forward.groups.sort_by(|a, b| a.arn.cmp(&b.arn));
            }
        }
        actions.sort_by_key(|action| action.order);
        actions
    };
    sorted(one) == sorted(other)
}

/// The actions in one line for people: `authenticate-oidc, forward to shop-blue 75, shop-green 25, sticky for 60 s`.
#[must_use]
pub fn summary(actions: &[Action]) -> String {
    let words: Vec<String> = actions.iter().map(|action| action.kind.summary()).collect();
    if words.is_empty() { "no action".into() } else { words.join(", ") }
}

impl ActionKind {
    fn summary(&self) -> String {
        match self {
            Self::Forward(forward) => {
                let groups = forward.groups.iter().map(|group| format!("{} {}", group.arn.name(), group.weight));
                let groups: Vec<String> = groups.collect();
                let sticky = match forward.sticky_seconds() {
                    0 => String::new(),
                    seconds => format!(", sticky for {seconds} s"),
                };
                format!("forward to {}{sticky}", groups.join(", "))
            }
            Self::AuthenticateOidc(oidc) => format!("authenticate-oidc at {}", oidc.issuer),
            Self::AuthenticateCognito(cognito) => format!("authenticate-cognito at {}", cognito.user_pool_domain),
            Self::JwtValidation(jwt) => format!("jwt-validation of {}", jwt.issuer),
            Self::Redirect(redirect) => format!("redirect {}", redirect.status_code),
            Self::FixedResponse(fixed) => format!("fixed-response {}", fixed.status_code),
        }
    }
}
