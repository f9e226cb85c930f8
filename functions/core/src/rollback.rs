//! Rolling back, knowing what the slots can carry: the next move for one route.
//!
//! In this order: no user on the candidate; every user on something that answers; a stranger's edit survives. So
//!
//! - a stable slot that is **warm** gets everything at once;
//! - one that was **scaled in** gets what its hosts can carry, and the rest when its capacity is back;
//! - one that is **dead** gets nothing: what serves keeps the traffic, and people are called;
//! - one that is **not attached**, as after a shift with group stickiness, is attached first, and its health awaited;
//! - a route that sends nothing to either slot any more is its new owner's, and is left alone.

use serde::{Deserialize, Serialize};

use crate::plan::PlannedRoute;
use crate::route::{self, Action, UneditableRoute};
use crate::targets::TargetCounts;
use crate::weight::Percent;

/// How much more load than before the release, or than now, a host may get by a rollback.
const OVERLOAD: f64 = 1.5;

/// What stands behind a route.
#[derive(Clone, Copy, Debug)]
pub struct Hosts {
    /// The stable group's targets.
    pub stable: TargetCounts,
    /// The candidate's.
    pub candidate: TargetCounts,
    /// Healthy targets of the stable group when the release was planned: enough for all traffic.
    pub before: u32,
}

/// What is known from earlier looks, and from the plan.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How long the rollback has been waiting.
    pub patience: Patience,
    /// Whether the stable slot was dead in the look before.
    pub was_dead: bool,
    /// Whether it was looked at in vain so often that nothing more is to be known.
    pub blind: bool,
    /// The largest share of the two slots' traffic that the candidate has had since the rollback began.
    pub exposed: f64,
    /// Whether the release was started without a healthy stable slot: a dead one is not waited for.
    pub resigned: bool,
}

/// How long the rollback has been waiting for capacity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// This is the first look, so what looks dead may be a moment's.
    Fresh,
    /// There was an earlier look.
    Waiting,
    /// It has waited long enough.
    Over,
}

/// Where a route stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// All of the slots' traffic is given to the stable slot, by this call.
    Restored,
    /// It was there already.
    Unchanged,
    /// The route does not exist any more, so it sends no traffic anywhere.
    Gone,
    /// Someone else has taken the route for something else: neither slot gets anything from it.
    Left,
    /// The stable slot's health is awaited.
    Awaiting,
    /// The stable slot has what it can carry, the candidate the rest.
    Ramped,
    /// The stable slot is dead. What serves keeps the traffic.
    Dead,
    /// It was dead, or has had no users, and cannot be looked at now. What serves keeps the traffic.
    Unknown,
}

impl Standing {
    /// Whether there is nothing more to do.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Restored | Self::Unchanged | Self::Gone | Self::Left)
    }
}

/// The next move for a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The actions to write, if they are not there already.
    pub write: Option<Vec<Action>>,
    /// Where the route stands after that.
    pub standing: Standing,
}

/// The next move. Without knowledge of the hosts a stable slot that has users counts as warm, unless it was dead at the look
/// before: users come first.
///
/// # Errors
/// [`UneditableRoute`] for a route that has both slots' traffic and cannot be edited.
pub fn next_move(
    planned: &PlannedRoute,
    live: &[Action],
    hosts: Option<Hosts>,
    memory: Memory,
) -> Result<Move, UneditableRoute> {
    let Memory { patience, was_dead, blind, exposed, resigned } = memory;
    let groups = planned.groups();
    let forward = match route::forward(live) {
        Ok(forward) => forward,
        Err(UneditableRoute::NoForward) => return Ok(Move { write: None, standing: Standing::Left }),
        Err(other) => return Err(other),
    };
    let (of_stable, of_candidate) = (forward.weight(groups.stable), forward.weight(groups.candidate));
    let foreign = forward.foreign_traffic(groups).is_some();
    let silent = of_stable.unwrap_or(0) == 0 && of_candidate.unwrap_or(0) == 0;
    let to = |actions: Vec<Action>, standing| Move { write: (actions != live).then_some(actions), standing };
    if of_stable.is_none() && of_candidate.is_none() {
        return Ok(Move { write: None, standing: Standing::Left });
    }
    if silent && foreign {
        // Clients whose cookie names the candidate would stay with it.
        return Ok(to(route::without(live, groups.candidate)?, Standing::Left));
    }
    let share = forward.candidate_share(groups);
    let all_on_stable = || {
        let actions = route::with_all_on_stable(live, &planned.original, groups)?;
        let standing = if actions == live { Standing::Unchanged } else { Standing::Restored };
        Ok(to(actions, standing))
    };
    // Nothing is taken from anyone: whether the stable slot can carry it is no question. But where it was found dead, and
    // has got everything for want of anything better, that is still so.
    if share <= 0.0 {
        let dead = was_dead && !resigned && hosts.is_none_or(|hosts| hosts.stable.usable() == 0);
        let serves = hosts.is_some_and(|hosts| hosts.candidate.usable() > 0);
        return match (dead, serves) {
            (false, _) => all_on_stable(),
            (true, false) => Ok(Move { standing: Standing::Dead, ..all_on_stable()? }),
            (true, true) => Ok(to(with_share(live, planned, Percent::ALL)?, Standing::Dead)),
        };
    }
    // Nothing serves, and it was known before: as the release found things.
    if resigned && hosts.is_some_and(|hosts| hosts.candidate.usable() == 0) {
        return all_on_stable();
    }
    if of_stable.is_none() && was_dead && (resigned || patience == Patience::Over) {
        return Ok(Move { write: None, standing: Standing::Dead });
    }
    if of_stable.is_none() {
        if hosts.is_some_and(|hosts| hosts.candidate.usable() == 0) {
            return all_on_stable();
        }
        // No other room for it: the actions of before, as a whole.
        return match route::with_attached(live, groups.stable, groups.candidate) {
            Ok(actions) => Ok(to(actions, Standing::Awaiting)),
            Err(UneditableRoute::Full) => Ok(to(planned.original.clone(), Standing::Restored)),
            Err(other) => Err(other),
        };
    }
    let unused = of_stable == Some(0);
    let Some(Hosts { stable, candidate, before }) = hosts else {
        // With users there it answers somehow, unless it was found dead; without any, nobody knows.
        let stay = |standing| Ok(Move { write: None, standing });
        return match (unused, patience) {
            (true, Patience::Fresh | Patience::Waiting) => stay(Standing::Awaiting),
            (unused, _) if (unused || was_dead) && !resigned && !blind => stay(Standing::Unknown),
            _ => all_on_stable(),
        };
    };
    let usable = f64::from(stable.usable());
    if usable <= 0.0 {
        // Nobody is there, so nobody fails there: it may be starting, or its capacity may have to be asked for.
        let hopeless = resigned && stable.registered == 0;
        if unused && candidate.usable() > 0 && patience != Patience::Over && !hopeless {
            return Ok(Move { write: None, standing: Standing::Awaiting });
        }
        if candidate.usable() == 0 && stable.registered > 0 {
            // Neither is healthy: the version that is known.
            return Ok(Move { standing: Standing::Dead, ..all_on_stable()? });
        }
        if patience == Patience::Fresh || candidate.usable() == 0 {
            return Ok(Move { write: None, standing: Standing::Dead });
        }
        return Ok(to(with_share(live, planned, Percent::ALL)?, Standing::Dead));
    }
    // As many as it had, or, where traffic has grown since, as many as the candidate needed for its share at first.
    let before = f64::from(before.max(1)).max(f64::from(candidate.usable()) * share.max(exposed));
    let warm = usable * OVERLOAD >= before || OVERLOAD * (1.0 - share) >= 1.0;
    if warm || candidate.usable() == 0 || patience == Patience::Over {
        return all_on_stable();
    }
    let rest = Percent::at_most(1.0 - usable / before);
    if rest.fraction() >= share {
        return Ok(Move { write: None, standing: Standing::Ramped });
    }
    Ok(to(with_share(live, planned, rest)?, Standing::Ramped))
}

/// The live actions with this share of the two slots' traffic for the candidate. What a stranger's group gets of the
/// whole stays what it is, as far as whole weights can say it.
fn with_share(live: &[Action], planned: &PlannedRoute, share: Percent) -> Result<Vec<Action>, UneditableRoute> {
    let groups = planned.groups();
    let forward = route::forward(live)?;
    let both = forward.weight(groups.stable).unwrap_or(0) + forward.weight(groups.candidate).unwrap_or(0);
    let split = if forward.foreign_traffic(groups).is_some() { share.split_of(both) } else { share.split() };
    route::with_split(live, groups, split)
}
