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
    /// The stable slot's group is not in the forward action.
    #[error("does not forward to {0}, the stable slot's target group")]
    StableMissing(TargetGroupArn),
    /// Somebody else's group takes part of the traffic.
    #[error("also sends traffic to {0}, which belongs to neither slot")]
    ForeignTraffic(TargetGroupArn),
    /// The forward action is full.
    #[error("already forwards to {MOST_GROUPS} target groups, the most that one action takes")]
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

impl Forward {
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

/// The actions with these weights for the two groups and everything else as it was. A candidate group that
/// is missing is attached behind the stable one.
///
/// # Errors
/// [`UneditableRoute`]; nothing is guessed.
pub fn with_split(actions: &[Action], groups: Groups<'_>, split: Split) -> Result<Vec<Action>, UneditableRoute> {
    let live = forward(actions)?;
    if live.weight(groups.stable).is_none() {
        return Err(UneditableRoute::StableMissing(groups.stable.clone()));
    }
    let mut edited = actions.to_vec();
    for action in &mut edited {
        let ActionKind::Forward(forward) = &mut action.kind else { continue };
        if forward.weight(groups.candidate).is_none() {
            if forward.groups.len() >= MOST_GROUPS {
                return Err(UneditableRoute::Full);
            }
            let behind = forward.groups.iter().position(|g| g.arn == *groups.stable).map_or(0, |at| at + 1);
            forward.groups.insert(behind, WeightedGroup { arn: groups.candidate.clone(), weight: 0 });
        }
        for group in &mut forward.groups {
            if group.arn == *groups.stable {
                group.weight = split.stable;
            } else if group.arn == *groups.candidate {
                group.weight = split.candidate;
            }
        }
    }
    Ok(edited)
}

/// The live actions with all the slots' traffic on the stable group.
///
/// Only weights change, so that a stranger's edit survives. Where the live actions no longer forward to the
/// stable group, the original ones take their place as a whole.
///
/// # Errors
/// [`UneditableRoute`] if not even the original actions forward to the stable group.
pub fn with_all_on_stable(
    live: &[Action],
    original: &[Action],
    groups: Groups<'_>,
) -> Result<Vec<Action>, UneditableRoute> {
    let basis = match forward(live) {
        Ok(forward) if forward.weight(groups.stable).is_some() => live,
        _ => original,
    };
    let recorded = forward(original)?;
    // What stood there before is what the owner wrote: 1 stays 1, and does not become 100.
    let stable = match (recorded.weight(groups.stable), recorded.weight(groups.candidate)) {
        (Some(weight), None | Some(0)) if weight > 0 => weight,
        _ => 100,
    };
    let mut edited = basis.to_vec();
    let mut found = false;
    for action in &mut edited {
        let ActionKind::Forward(forward) = &mut action.kind else { continue };
        for group in &mut forward.groups {
            if group.arn == *groups.stable {
                group.weight = stable;
                found = true;
            } else if group.arn == *groups.candidate {
                group.weight = 0;
            }
        }
    }
    if found { Ok(edited) } else { Err(UneditableRoute::StableMissing(groups.stable.clone())) }
}
