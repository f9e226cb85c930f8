//! Which slot is stable: read off the live weights, never off names.

use super::refusal::{Refusal, Refused};
use super::{Overrides, PlannedGroup, PlannedRoute, Side};
use crate::arn::{LoadBalancerDimension, RouteArn};
use crate::definition::ServiceDefinition;
use crate::route::{self, Action, Groups, UneditableRoute};
use crate::slot::Slot;
use crate::weight::Percent;

/// A route as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveRoute {
    /// The route.
    pub arn: RouteArn,
    /// Its actions.
    pub actions: Vec<Action>,
}

/// Which slot is stable, and what that makes of the routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roles {
    /// The slot with the traffic.
    pub stable: Slot,
    /// The routes with their groups by role.
    pub routes: Vec<PlannedRoute>,
    /// The testers' routes, likewise.
    pub test_routes: Vec<PlannedRoute>,
    /// For each position of the target group lists, its load balancer.
    pub load_balancers: Vec<LoadBalancerDimension>,
}

impl Roles {
    /// Takes in the routes that lead testers to the candidate. They may forward to either slot, or to both.
    ///
    /// # Errors
    /// [`Refused`] with every reason.
    pub fn with_test_routes(mut self, definition: &ServiceDefinition, live: &[LiveRoute]) -> Result<Self, Refused> {
        let mut refusals = Vec::new();
        for route in live {
            let planned = pair_of(definition, route).map(|(index, _)| self.planned(definition, route, index));
            let editable = planned.and_then(|planned| {
                let edited = route::with_split(&route.actions, planned.groups(), Percent::HALF.split());
                edited.map(|_| planned).map_err(|reason| Refusal::Route { route: route.arn.clone(), reason })
            });
            match editable {
                Ok(planned) => self.test_routes.push(planned),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() { Ok(self) } else { Err(Refused(refusals)) }
    }

    fn planned(&self, definition: &ServiceDefinition, route: &LiveRoute, index: usize) -> PlannedRoute {
        planned(definition, self.stable, route, index)
    }

    /// A slot with its target groups and their load balancers.
    #[must_use]
    pub fn side(&self, definition: &ServiceDefinition, slot: Slot) -> Side {
        let chosen = definition.slots.get(slot);
        Side {
            slot,
            groups: std::iter::zip(&chosen.target_groups, &self.load_balancers)
                .map(|(arn, load_balancer)| PlannedGroup { arn: arn.clone(), load_balancer: load_balancer.clone() })
                .collect(),
            compute: chosen.compute.clone(),
            price_per_hour: chosen.price_per_hour,
        }
    }
}

/// Reads the roles off the live routes.
///
/// # Errors
/// [`Refused`] with every reason.
pub fn roles(definition: &ServiceDefinition, live: &[LiveRoute], overrides: &Overrides) -> Result<Roles, Refused> {
    let mut refusals = Vec::new();
    let mut pairs: Vec<Option<LoadBalancerDimension>> = vec![None; definition.slots.blue.target_groups.len()];
    let mut seen: Vec<(&LiveRoute, usize, [Option<u16>; 2])> = Vec::new();
    for route in live {
        match pair_of(definition, route) {
            Ok((index, weights)) => {
                let load_balancer = route.arn.load_balancer();
                match &pairs[index] {
                    Some(first) if *first != load_balancer => {
                        refusals.push(Refusal::TwoLoadBalancers { index, first: first.clone(), second: load_balancer });
                    }
                    _ => pairs[index] = Some(load_balancer),
                }
                seen.push((route, index, weights));
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() {
        refusals.extend(
            pairs.iter().enumerate().filter(|(_, lb)| lb.is_none()).map(|(index, _)| Refusal::UnroutedPair(index)),
        );
    }
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }

    let carries = |slot: Slot| seen.iter().any(|(_, _, weights)| weights[slot as usize].is_some_and(|w| w > 0));
    let stable = match (carries(Slot::Blue), carries(Slot::Green), overrides.stable) {
        (false, false, _) => return Err(Refused(vec![Refusal::NoTraffic])),
        (true, true, None) => return Err(Refused(vec![Refusal::BothCarryTraffic(weights_text(&seen))])),
        (true, true, Some(named)) => named,
        (blue, _, named) => {
            let loaded = if blue { Slot::Blue } else { Slot::Green };
            if let Some(named) = named.filter(|named| *named != loaded) {
                return Err(Refused(vec![Refusal::StableWithoutTraffic { named, other: loaded }]));
            }
            loaded
        }
    };

    let mut routes = Vec::new();
    for (route, index, weights) in seen {
        let planned = planned(definition, stable, route, index);
        // The edit that the first shift will make: what cannot be done then is refused now.
        if let Err(reason) = route::with_split(&route.actions, planned.groups(), Percent::ZERO.split()) {
            refusals.push(Refusal::Route { route: route.arn.clone(), reason });
        } else if weights[stable as usize].unwrap_or(0) == 0 {
            refusals.push(Refusal::SilentRoute { route: route.arn.clone(), stable });
        }
        routes.push(planned);
    }
    if refusals.is_empty() {
        Ok(Roles { stable, routes, test_routes: Vec::new(), load_balancers: pairs.into_iter().flatten().collect() })
    } else {
        Err(Refused(refusals))
    }
}

fn planned(definition: &ServiceDefinition, stable: Slot, route: &LiveRoute, index: usize) -> PlannedRoute {
    PlannedRoute {
        arn: route.arn.clone(),
        stable: definition.slots.get(stable).target_groups[index].clone(),
        candidate: definition.slots.get(stable.other()).target_groups[index].clone(),
        original: route.actions.clone(),
    }
}

/// The position of a route's groups in the slots' lists, and the weights of blue and green there.
fn pair_of(definition: &ServiceDefinition, route: &LiveRoute) -> Result<(usize, [Option<u16>; 2]), Refusal> {
    let uneditable = |reason| Refusal::Route { route: route.arn.clone(), reason };
    let forward = route::forward(&route.actions).map_err(uneditable)?;
    let (blue, green) = (&definition.slots.blue.target_groups, &definition.slots.green.target_groups);
    let mut positions =
        (0..blue.len()).filter(|&i| forward.weight(&blue[i]).is_some() || forward.weight(&green[i]).is_some());
    match (positions.next(), positions.next()) {
        (Some(index), None) => {
            if let Some(foreign) = forward.foreign_traffic(Groups { stable: &blue[index], candidate: &green[index] }) {
                return Err(uneditable(UneditableRoute::ForeignTraffic(foreign.clone())));
            }
            Ok((index, [forward.weight(&blue[index]), forward.weight(&green[index])]))
        }
        (None, _) => {
            let groups: Vec<&str> = forward.groups.iter().map(|g| g.arn.as_str()).collect();
            Err(Refusal::NeitherSlot { route: route.arn.clone(), groups: groups.join(", ") })
        }
        _ => Err(Refusal::MixedPair { route: route.arn.clone() }),
    }
}

fn weights_text(seen: &[(&LiveRoute, usize, [Option<u16>; 2])]) -> String {
    let texts: Vec<String> = seen
        .iter()
        .map(|(route, _, [blue, green])| {
            format!("{}: blue {}, green {}", route.arn, blue.unwrap_or(0), green.unwrap_or(0))
        })
        .collect();
    texts.join("; ")
}
