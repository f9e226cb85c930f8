//! Drift: a route that is not as the last write of this release left it.
//!
//! Load balancers have no compare-and-set, so a stranger's change is looked for right before each write, and at each
//! check.

use thiserror::Error;

use crate::arn::RouteArn;
use crate::plan::PlannedRoute;
use crate::progress::Progress;
use crate::route::{self, Action};
use crate::weight::Percent;

/// Someone else has changed a route.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("route {route} was changed by someone else: expected {expected}; found {found}")]
pub struct Drift {
    /// The route.
    pub route: RouteArn,
    /// What this release left there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// A route as it was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Its actions.
    Actions(Vec<Action>),
    /// It does not exist any more.
    Gone,
    /// It could not be read, for this reason.
    Unread(String),
}

impl PlannedRoute {
    /// The actions that a release leaves here at a weight; before the first shift, those that it found.
    #[must_use]
    pub fn left_at(&self, weight: Option<Percent>) -> Vec<Action> {
        let shifted = weight.map(|weight| route::with_split(&self.original, self.groups(), weight.split()));
        // Planning has made sure that the edit can be done.
        shifted.and_then(Result::ok).unwrap_or_else(|| self.original.clone())
    }

    /// The drift, unless the live actions are one of those, of which the first is the one to be expected.
    #[must_use]
    pub fn drift(&self, live: &[Action], acceptable: &[Vec<Action>]) -> Option<Drift> {
        if acceptable.iter().any(|actions| route::same(actions, live)) {
            return None;
        }
        let expected = acceptable.first().map(|actions| route::summary(actions)).unwrap_or_default();
        let mut found = route::summary(live);
        if found == expected {
            found.push_str(" with other settings");
        }
        Some(Drift { route: self.arn.clone(), expected, found })
    }

    /// The same for a route that does not exist any more.
    #[must_use]
    pub fn gone(&self, expected: &[Action]) -> Drift {
        Drift { route: self.arn.clone(), expected: route::summary(expected), found: "no such route".into() }
    }
}

impl Progress {
    /// The weight that the routes have been given last; `None` before the candidate was attached.
    #[must_use]
    pub fn written(&self) -> Option<Percent> {
        self.shifted_at.map(|_| self.weight)
    }
}
