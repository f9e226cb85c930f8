//! Which target group is which slot's.

use spillway_aws::load_balancer::discovery::{LoadBalancer, TargetGroup};
use spillway_core::arn::TargetGroupArn;
use spillway_core::slot::Slot;

use super::routes::Route;
use super::{choose, missing};
use crate::ask::{Ask, Question};
use crate::operator::failure::Failure;

/// The two slots' groups behind one load balancer.
#[derive(Clone, Debug)]
pub struct Pair {
    blue: TargetGroup,
    green: TargetGroup,
}

impl Pair {
    /// A slot's group.
    pub fn of(&self, slot: Slot) -> &TargetGroup {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }
}

/// `blue=checkout-a`.
pub fn named(text: &str) -> Result<(Slot, String), String> {
    let allowed = || "allowed: blue=GROUP or green=GROUP, with the group's name or ARN".to_owned();
    let (slot, group) = text.split_once('=').ok_or_else(allowed)?;
    let group = group.trim();
    if group.is_empty() { Err(allowed()) } else { Ok((slot_of(slot).ok_or_else(allowed)?, group.to_owned())) }
}

pub(super) fn slot_of(text: &str) -> Option<Slot> {
    Slot::BOTH.into_iter().find(|slot| slot.to_string() == text)
}

/// The target groups that are named.
pub fn all_of(named: &[(Slot, String)], groups: &[TargetGroup]) -> Result<Vec<TargetGroupArn>, Failure> {
    named.iter().map(|(slot, text)| Ok(find(*slot, text, groups)?.arn.clone())).collect()
}

fn find<'a>(slot: Slot, text: &str, groups: &'a [TargetGroup]) -> Result<&'a TargetGroup, Failure> {
    groups.iter().find(|group| group.arn.as_str() == text || group.arn.name() == text).ok_or_else(|| {
        Failure::Refused(format!(
            "--slot {slot}={text}: there is no such target group in this account and region; allowed: one of {}",
            groups.iter().map(|group| group.arn.name()).collect::<Vec<_>>().join(", ")
        ))
    })
}

/// The slots' groups, for each load balancer of the routes in their order.
pub fn pairs(
    routes: &[Route],
    named: &[(Slot, String)],
    groups: &[TargetGroup],
    ask: &mut dyn Ask,
) -> Result<Vec<Pair>, Failure> {
    let mut explicit = [Vec::new(), Vec::new()];
    for (slot, text) in named {
        explicit[*slot as usize].push(find(*slot, text, groups)?);
    }
    let mut load_balancers: Vec<&LoadBalancer> = Vec::new();
    for route in routes {
        if route.forward().is_none() {
            return Err(Failure::Refused(format!(
                "{}: a route has one forward action; allowed: another --rule, or one forward action there",
                route.text()
            )));
        }
        if !load_balancers.iter().any(|known| known.arn == route.load_balancer.arn) {
            load_balancers.push(&route.load_balancer);
        }
    }
    let pair = |load_balancer: &LoadBalancer, ask: &mut dyn Ask| {
        let here: Vec<&Route> = routes.iter().filter(|route| route.load_balancer.arn == load_balancer.arn).collect();
        let own = |slot: Slot| {
            let fits = |group: &&&TargetGroup| {
                group.load_balancers.contains(&load_balancer.arn)
                    || group.load_balancers.is_empty() && group.vpc == load_balancer.vpc
            };
            explicit[slot as usize].iter().find(fits).copied()
        };
        of_one(load_balancer, &here, [own(Slot::Blue), own(Slot::Green)], groups, ask)
    };
    let mut pairs = Vec::with_capacity(load_balancers.len());
    for load_balancer in load_balancers {
        pairs.push(pair(load_balancer, ask)?);
    }
    for (slot, text) in named {
        let group = find(*slot, text, groups)?;
        if !pairs.iter().any(|pair: &Pair| pair.of(*slot).arn == group.arn) {
            return Err(Failure::Refused(format!(
                "--slot {slot}={text}: it belongs to another load balancer or VPC than the routes, or there is another \
                 {slot} group for it; allowed: one for each load balancer of the routes"
            )));
        }
    }
    Ok(pairs)
}

fn of_one(
    load_balancer: &LoadBalancer,
    routes: &[&Route],
    explicit: [Option<&TargetGroup>; 2],
    groups: &[TargetGroup],
    ask: &mut dyn Ask,
) -> Result<Pair, Failure> {
    let found = forwarded(routes, groups);
    let [blue, green] = match explicit {
        [Some(blue), Some(green)] => [blue, green],
        [Some(one), None] => [one, other(load_balancer, &found, one, Slot::Green, groups, ask)?],
        [None, Some(one)] => [other(load_balancer, &found, one, Slot::Blue, groups, ask)?, one],
        [None, None] => match found.as_slice() {
            [] => {
                return Err(Failure::Refused(format!(
                    "{}: its target groups are not there any more",
                    load_balancer.name
                )));
            }
            [only] => {
                let slot = if colour(only.arn.name()) == Some(Slot::Green) { Slot::Green } else { Slot::Blue };
                let other = other(load_balancer, &found, only, slot.other(), groups, ask)?;
                if slot == Slot::Blue { [only, other] } else { [other, only] }
            }
            [first, second] => in_colours(first, second),
            several => {
                let first = *choose(ask, &which("blue", several), several)?;
                let rest: Vec<&TargetGroup> = several.iter().copied().filter(|group| group.arn != first.arn).collect();
                [first, *choose(ask, &which("green", &rest), &rest)?]
            }
        },
    };
    if blue.arn == green.arn {
        return Err(Failure::Refused(format!(
            "{}: the group of both slots; allowed: a target group of its own for each slot",
            blue.arn.name()
        )));
    }
    if !found.iter().any(|group| group.arn == blue.arn || group.arn == green.arn) {
        return Err(Failure::Refused(format!(
            "{} and {}: the routes forward to neither ({}); allowed: groups that they forward to, or another --rule",
            blue.arn.name(),
            green.arn.name(),
            routes.iter().map(|route| route.text()).collect::<Vec<_>>().join("; ")
        )));
    }
    Ok(Pair { blue: blue.clone(), green: green.clone() })
}

/// The groups that the routes forward to, the heaviest first.
fn forwarded<'a>(routes: &[&Route], groups: &'a [TargetGroup]) -> Vec<&'a TargetGroup> {
    let mut weighed: Vec<(&TargetGroup, u32)> = Vec::new();
    for weighted in routes.iter().filter_map(|route| route.forward()).flat_map(|forward| &forward.groups) {
        let Some(group) = groups.iter().find(|group| group.arn == weighted.arn) else { continue };
        match weighed.iter_mut().find(|(known, _)| known.arn == group.arn) {
            Some((_, weight)) => *weight += u32::from(weighted.weight),
            None => weighed.push((group, weighted.weight.into())),
        }
    }
    weighed.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    weighed.into_iter().map(|(group, _)| group).collect()
}

/// The other slot's group: the only other one that the routes forward to; or one that no load balancer uses yet.
fn other<'a>(
    load_balancer: &LoadBalancer,
    found: &[&'a TargetGroup],
    one: &TargetGroup,
    slot: Slot,
    groups: &'a [TargetGroup],
    ask: &mut dyn Ask,
) -> Result<&'a TargetGroup, Failure> {
    let rest: Vec<&TargetGroup> = found.iter().copied().filter(|group| group.arn != one.arn).collect();
    if let [only] = rest.as_slice() {
        return Ok(only);
    }
    if !rest.is_empty() {
        return choose(ask, &which(&slot.to_string(), &rest), &rest).copied();
    }
    let alike = |group: &&TargetGroup| {
        group.load_balancers.is_empty()
            && group.vpc == load_balancer.vpc
            && (&group.protocol, &group.target_type) == (&one.protocol, &one.target_type)
    };
    let free: Vec<&TargetGroup> = groups.iter().filter(alike).collect();
    let chosen = if free.is_empty() { None } else { ask.choose(&which(&slot.to_string(), &free)) };
    match chosen.and_then(|index| free.get(index)) {
        Some(group) => Ok(group),
        None => Err(Failure::Refused(missing::group(one, slot, load_balancer, &free))),
    }
}

fn which(slot: &str, groups: &[&TargetGroup]) -> Question {
    Question {
        what: format!("target group is {slot}"),
        options: groups.iter().map(|group| group.arn.name().to_owned()).collect(),
        otherwise: format!("--slot {slot}=GROUP"),
    }
}

/// Two groups as their names have it; otherwise the heavier one is blue.
fn in_colours<'a>(first: &'a TargetGroup, second: &'a TargetGroup) -> [&'a TargetGroup; 2] {
    match (colour(first.arn.name()), colour(second.arn.name())) {
        (Some(Slot::Green), other) if other != Some(Slot::Green) => [second, first],
        (None, Some(Slot::Blue)) => [second, first],
        _ => [first, second],
    }
}

fn colour(name: &str) -> Option<Slot> {
    let words: Vec<String> = name.split(['-', '_']).map(str::to_ascii_lowercase).collect();
    let has = |slot: &Slot| words.iter().any(|word| *word == slot.to_string());
    Slot::BOTH.into_iter().find(has)
}

/// A name without the words that tell slots apart.
pub fn without_colour(name: &str) -> String {
    let words: Vec<&str> = name.split('-').filter(|word| slot_of(&word.to_ascii_lowercase()).is_none()).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Nobody;
    use spillway_aws::load_balancer::discovery::{Listener, Rule};
    use spillway_core::arn::RouteArn;
    use spillway_core::route::{Action, ActionKind, Forward, WeightedGroup};

    const HOME: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

    fn group(name: &str, of: Option<&str>) -> TargetGroup {
        TargetGroup {
            arn: TargetGroupArn::parse(format!("{HOME}:targetgroup/{name}/1")).unwrap(),
            protocol: "HTTP".into(),
            port: 8080,
            vpc: "vpc-1".into(),
            target_type: "ip".into(),
            health_check_path: "/health".into(),
            load_balancers: of.map(|name| format!("{HOME}:loadbalancer/app/{name}/1")).into_iter().collect(),
        }
    }

    fn route(load_balancer: &str, groups: &[(&str, u16)]) -> Route {
        let weighted =
            groups.iter().map(|(name, weight)| WeightedGroup { arn: group(name, None).arn, weight: *weight });
        let forward = ActionKind::Forward(Forward { groups: weighted.collect(), stickiness: None });
        Route {
            load_balancer: LoadBalancer {
                arn: format!("{HOME}:loadbalancer/app/{load_balancer}/1"),
                name: load_balancer.into(),
                vpc: "vpc-1".into(),
            },
            listener: Listener { arn: String::new(), port: 80, protocol: "HTTP".into() },
            rule: Rule {
                arn: RouteArn::parse(format!("{HOME}:listener-rule/app/{load_balancer}/1/2/3")).unwrap(),
                priority: "10".into(),
                conditions: String::new(),
                actions: Ok(vec![Action { order: None, kind: forward }]),
            },
        }
    }

    fn names(routes: &[Route], named: &[&str], groups: &[TargetGroup]) -> Result<Vec<[String; 2]>, String> {
        let named: Vec<(Slot, String)> = named.iter().map(|text| super::named(text).unwrap()).collect();
        let found = pairs(routes, &named, groups, &mut Nobody).map_err(|failure| failure.text())?;
        Ok(found.iter().map(|pair| [pair.blue.arn.name().to_owned(), pair.green.arn.name().to_owned()]).collect())
    }

    #[test]
    fn two_groups_are_two_slots() {
        let all = ["a", "b", "shop-green", "shop-blue"].map(|name| group(name, Some("shop")));
        for (groups, named, expected) in [
            (&[("a", 100), ("b", 0)][..], &[][..], ["a", "b"]),
            (&[("a", 0), ("b", 100)], &[], ["b", "a"]),
            (&[("shop-green", 100), ("shop-blue", 0)], &[], ["shop-blue", "shop-green"]),
            (&[("shop-green", 100), ("b", 0)], &[], ["b", "shop-green"]),
            (&[("a", 100), ("b", 0)], &["blue=b"], ["b", "a"]),
            (&[("a", 100)], &["green=b"], ["a", "b"]),
            (&[("a", 100), ("b", 0), ("shop-blue", 0)], &["blue=a", "green=b"], ["a", "b"]),
        ] {
            assert_eq!(names(&[route("shop", groups)], named, &all), Ok(vec![expected.map(Into::into)]), "{groups:?}");
        }
    }

    #[test]
    fn each_load_balancer_has_a_pair_of_its_own() {
        let all = [group("a", Some("one")), group("b", Some("one")), group("c", Some("two")), group("d", Some("two"))];
        let routes = [route("one", &[("a", 100), ("b", 0)]), route("two", &[("d", 0), ("c", 100)])];
        let expected = vec![["a", "b"].map(String::from), ["c", "d"].map(String::from)];
        assert_eq!(names(&routes, &[], &all), Ok(expected.clone()));
        assert_eq!(names(&routes, &["blue=a", "blue=c"], &all), Ok(expected));
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_settles_it() {
        let all =
            [group("a", Some("shop")), group("b", Some("shop")), group("c", Some("shop")), group("d", Some("other"))];
        for (groups, named, expected) in [
            (
                &[("a", 100), ("b", 0), ("c", 0)][..],
                &[][..],
                "target group is blue: there are 3; allowed: --slot blue=GROUP",
            ),
            (&[("a", 100)], &["green=x"], "--slot green=x: there is no such target group"),
            (&[("a", 100)], &["green=d"], "slots.green: only one slot exists"),
            (&[("a", 100), ("b", 0)], &["green=d"], "it belongs to another load balancer or VPC"),
            (&[("a", 100)], &["blue=b", "green=c"], "the routes forward to neither"),
            (&[("a", 100)], &["blue=a", "green=a"], "the group of both slots"),
        ] {
            let refused = names(&[route("shop", groups)], named, &all).unwrap_err();
            assert!(refused.contains(expected) && refused.contains("allowed"), "{refused}");
        }
    }

    #[test]
    fn the_missing_slot_is_described() {
        let refused = names(&[route("shop", &[("a", 100)])], &[], &[group("a", Some("shop")), group("free", None)]);
        let refused = refused.unwrap_err();
        for part in [
            "slots.green: only one slot exists: a, behind shop",
            "aws elbv2 create-target-group --name a-green --protocol HTTP --port 8080 --vpc-id vpc-1 --target-type ip \
             --health-check-path /health",
            "infra/modules/service",
            "--slot green=free",
        ] {
            assert!(refused.contains(part), "no {part:?} in\n{refused}");
        }
    }
}
