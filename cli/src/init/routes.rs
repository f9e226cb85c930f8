//! Which routes are meant.

use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::load_balancer::discovery::{Listener, LoadBalancer, Rule};
use spillway_core::arn::{RouteArn, RouteKind, TargetGroupArn};
use spillway_core::route::{self, Forward};

use super::choose;
use crate::ask::{Ask, Question};
use crate::operator::failure::Failure;

/// What is asked for.
pub struct Wanted<'a> {
    pub load_balancer: Option<&'a str>,
    pub listener: Option<&'a str>,
    pub rules: &'a [String],
    /// The target groups that are named as slots.
    pub groups: Vec<TargetGroupArn>,
}

/// `10`, `default`, or an ARN.
pub fn named(text: &str) -> Result<String, String> {
    let fits = text == "default" || text.parse::<u32>().is_ok_and(|priority| (1..=50_000).contains(&priority));
    if fits || RouteArn::parse(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("allowed: a priority, 1 to 50000, default, or the ARN of a rule or listener of an Application Load Balancer".into())
    }
}

/// `443`, or an ARN.
pub fn listener(text: &str) -> Result<String, String> {
    let arn = RouteArn::parse(text).is_ok_and(|arn| arn.kind() == RouteKind::ListenerDefault);
    if arn || text.parse::<u16>().is_ok_and(|port| port > 0) {
        Ok(text.to_owned())
    } else {
        Err("allowed: a port, 1 to 65535, or the ARN of a listener of an Application Load Balancer".into())
    }
}

/// A route with where it is.
#[derive(Clone, Debug)]
pub struct Route {
    pub load_balancer: LoadBalancer,
    pub listener: Listener,
    pub rule: Rule,
}

impl Route {
    /// Its forward action; nothing for a route that cannot be one.
    pub fn forward(&self) -> Option<&Forward> {
        route::forward(self.rule.actions.as_ref().ok()?).ok()
    }

    /// Where it is, when it matches, and where it leads.
    pub fn text(&self) -> String {
        let Self { load_balancer, listener, rule } = self;
        let which = match rule.arn.kind() {
            RouteKind::ListenerDefault => "default action".to_owned(),
            RouteKind::Rule if rule.conditions.is_empty() => format!("rule {}", rule.priority),
            RouteKind::Rule => format!("rule {} ({})", rule.priority, rule.conditions),
        };
        let leads = match (&rule.actions, self.forward()) {
            (_, Some(forward)) => {
                let groups: Vec<String> =
                    forward.groups.iter().map(|group| format!("{} {}", group.arn.name(), group.weight)).collect();
                groups.join(", ")
            }
            (Err(unreadable), None) => unreadable.clone(),
            (Ok(_), None) => "not one forward action".to_owned(),
        };
        format!("{} {} {}, {which}: {leads}", load_balancer.name, listener.protocol, listener.port)
    }

    fn is(&self, wanted: &str) -> bool {
        self.rule.arn.as_str() == wanted || self.rule.priority == wanted
    }
}

/// Finds them, asking where it is not clear.
pub async fn find(
    load_balancers: &LoadBalancers,
    wanted: &Wanted<'_>,
    ask: &mut dyn Ask,
) -> Result<Vec<Route>, Failure> {
    let all = load_balancers.all().await?;
    let mut routes = Vec::new();
    for load_balancer in meant(&all, wanted, ask)? {
        for (listener, rules) in load_balancers.listeners(&load_balancer.arn).await? {
            let (of, at) = (load_balancer, &listener);
            routes.extend(rules.into_iter().map(|rule| Route {
                load_balancer: of.clone(),
                listener: at.clone(),
                rule,
            }));
        }
    }
    choose_routes(&routes, wanted, ask)
}

/// The load balancers: those of the ARNs that are given, the one that is named, the only one, or the one that is chosen.
fn meant<'a>(
    all: &'a [LoadBalancer],
    wanted: &Wanted<'_>,
    ask: &mut dyn Ask,
) -> Result<Vec<&'a LoadBalancer>, Failure> {
    let known = || all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    let arns = wanted.rules.iter().map(String::as_str).chain(wanted.listener).filter(|text| text.starts_with("arn:"));
    let mut named: Vec<&LoadBalancer> = Vec::new();
    for text in arns {
        let arn = RouteArn::parse(text).map_err(|error| Failure::Usage(format!("{text}: {error}")))?;
        let found = all.iter().find(|one| one.arn == arn.load_balancer_arn()).ok_or_else(|| {
            Failure::Refused(format!("{text}: there is no such load balancer here; known: {}", known()))
        })?;
        if !named.iter().any(|one| one.arn == found.arn) {
            named.push(found);
        }
    }
    if let Some(text) = wanted.load_balancer {
        let found = all.iter().find(|one| one.arn == text || one.name == text).ok_or_else(|| {
            Failure::Refused(format!(
                "--load-balancer {text}: there is no such Application Load Balancer in this account and region; known: {}",
                known()
            ))
        })?;
        if !named.is_empty() && !named.iter().any(|one| one.arn == found.arn) {
            return Err(Failure::Usage(format!("--load-balancer {text}: --rule or --listener is of another one")));
        }
        return Ok(if named.is_empty() { vec![found] } else { named });
    }
    if !named.is_empty() {
        return Ok(named);
    }
    // The slots' groups may tell by their routes; then all are looked through.
    if !wanted.groups.is_empty() && wanted.rules.is_empty() {
        return Ok(all.iter().collect());
    }
    if all.is_empty() {
        let why = "there is no Application Load Balancer in this account and region; allowed: --region, --profile";
        return Err(Failure::Refused(why.into()));
    }
    let question = Question {
        what: "load balancer".into(),
        options: all.iter().map(|one| one.name.clone()).collect(),
        otherwise: "--load-balancer NAME".into(),
    };
    Ok(vec![choose(ask, &question, all)?])
}

fn choose_routes(routes: &[Route], wanted: &Wanted<'_>, ask: &mut dyn Ask) -> Result<Vec<Route>, Failure> {
    let of_listener = |route: &Route| match wanted.listener {
        Some(listener) => route.listener.arn == listener || route.listener.port.to_string() == listener,
        None => true,
    };
    let listed = |routes: &[Route]| routes.iter().map(Route::text).collect::<Vec<_>>().join("\n  ");
    let here: Vec<Route> = routes.iter().filter(|route| of_listener(route)).cloned().collect();
    if here.is_empty() {
        let listener = wanted.listener.map_or_else(String::new, |listener| format!("--listener {listener}: "));
        return Err(Failure::Refused(format!("{listener}there is no route; known:\n  {}", listed(routes))));
    }
    if !wanted.rules.is_empty() {
        let mut chosen = Vec::new();
        for text in wanted.rules {
            let found: Vec<&Route> = here.iter().filter(|route| route.is(text)).collect();
            let question = Question {
                what: format!("listener of rule {text}"),
                options: found.iter().map(|route| route.text()).collect(),
                otherwise: "--listener PORT".into(),
            };
            if found.is_empty() {
                let known = listed(&here);
                return Err(Failure::Refused(format!("--rule {text}: there is no such rule; known:\n  {known}")));
            }
            chosen.push((*choose(ask, &question, &found)?).clone());
        }
        return Ok(chosen);
    }
    let sets = by_groups(&here, &wanted.groups);
    if sets.is_empty() {
        let known = listed(&here);
        return Err(Failure::Refused(format!(
            "no route forwards to one or two target groups{}; known:\n  {known}",
            if wanted.groups.is_empty() { "" } else { ", the slots' among them" }
        )));
    }
    let question = Question {
        what: "service, by its routes".into(),
        options: sets.iter().map(|set| set.iter().map(Route::text).collect::<Vec<_>>().join("; ")).collect(),
        otherwise: "--rule with a priority, default or an ARN, or --slot with the target groups".into(),
    };
    Ok(choose(ask, &question, &sets)?.clone())
}

/// The routes that could be a service's, those together that lead to the same groups.
fn by_groups(routes: &[Route], slots: &[TargetGroupArn]) -> Vec<Vec<Route>> {
    let mut sets: Vec<(Vec<TargetGroupArn>, Vec<Route>)> = Vec::new();
    for route in routes {
        let Some(forward) = route.forward() else { continue };
        let mut groups: Vec<TargetGroupArn> = forward.groups.iter().map(|group| group.arn.clone()).collect();
        groups.sort();
        if slots.is_empty() && groups.len() > 2
            || !slots.is_empty() && !groups.iter().any(|group| slots.contains(group))
        {
            continue;
        }
        // Routes to the named slots are one service's, whatever else they forward to.
        let key = if slots.is_empty() { groups } else { Vec::new() };
        match sets.iter_mut().find(|(known, _)| *known == key) {
            Some((_, set)) => set.push(route.clone()),
            None => sets.push((key, vec![route.clone()])),
        }
    }
    sets.into_iter().map(|(_, routes)| routes).collect()
}
