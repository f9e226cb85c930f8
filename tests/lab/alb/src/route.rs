//! Which target gets a request: one look at the state, taken when the request arrives.

use std::net::SocketAddr;
use std::time::Instant;

use hyper::http::request::Parts;
use jiff::Timestamp;

use crate::action::{Forward, Kind, Redirect};
use crate::arn::{load_balancer_dimension, target_group_dimension};
use crate::condition;
use crate::cookie;
use crate::metrics::Dimensions;
use crate::state::State;

/// Where a request goes, and whose it is.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) load_balancer: String,
    pub(crate) verb: Verb,
}

/// What is done with a request.
#[derive(Debug)]
pub(crate) enum Verb {
    Forward(Box<Chosen>),
    /// The chosen group has no target, or all weights are zero: 503.
    NoTarget,
    FixedResponse {
        status: u16,
        content_type: String,
        body: String,
    },
    Redirect {
        status: u16,
        location: String,
    },
}

/// The target that was chosen.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) group: String,
    /// None for an address that is not on loopback: nothing outside is ever connected to.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) dimensions: Dimensions,
    /// Registered targets of the group, and of the target's zone in it.
    pub(crate) targets: usize,
    pub(crate) zone_targets: usize,
    pub(crate) set_cookie: Option<String>,
}

impl State {
    /// Routes a request by the rules in force now; nothing if the listener is gone.
    pub(crate) fn route(&mut self, listener: &str, request: &Parts, now: Instant, time: Timestamp) -> Option<Decision> {
        self.prune(now);
        let load_balancer = self.load_balancer_of(listener)?.to_owned();
        let port = self.listeners.get(listener)?.port;
        let kind = self
            .rules_of(listener)
            .into_iter()
            .map(|rule| rule.effective(now))
            .find(|config| config.conditions.iter().all(|condition| condition.matches(request)))?
            .actions
            .iter()
            .map(|action| &action.kind)
            .find(|kind| !matches!(kind, Kind::Authenticate { .. }))?
            .clone();
        let verb = match kind {
            Kind::Forward(forward) => self.forward(&forward, request, &load_balancer, time),
            Kind::FixedResponse { status, content_type, body } => Verb::FixedResponse { status, content_type, body },
            Kind::Redirect(redirect) => {
                Verb::Redirect { status: redirect.status, location: location(&redirect, request, port) }
            }
            Kind::Authenticate { .. } => return None,
        };
        Some(Decision { load_balancer, verb })
    }

    /// A cookie decides before the weights, also for a group at weight 0 and for one without healthy
    /// targets; there is no fail-over to another group.
    fn forward(&mut self, forward: &Forward, request: &Parts, load_balancer: &str, time: Timestamp) -> Verb {
        let pinned = forward
            .sticky
            .and_then(|_| cookie::group(&request.headers, time))
            .filter(|pinned| forward.groups.iter().any(|(arn, _)| arn == pinned));
        let Some(arn) = pinned.or_else(|| weighted(&forward.groups, &mut self.rng)) else {
            return Verb::NoTarget;
        };
        let Some(group) = self.target_groups.get_mut(&arn) else { return Verb::NoTarget };
        let target_type = group.target_type;
        let Some(target) = group.pick() else { return Verb::NoTarget };
        let address = target.address(target_type, target.port);
        let zone = target.zone.clone();
        Verb::Forward(Box::new(Chosen {
            address,
            targets: group.registered(None),
            zone_targets: group.registered(Some(&zone)),
            set_cookie: forward.sticky.map(|duration| cookie::set(&arn, duration, time)),
            dimensions: Dimensions {
                load_balancer: Some(load_balancer_dimension(load_balancer).to_owned()),
                target_group: Some(target_group_dimension(&arn).to_owned()),
                zone: Some(zone),
            },
            group: arn,
        }))
    }
}

fn weighted(groups: &[(String, u32)], rng: &mut fastrand::Rng) -> Option<String> {
    let total: u32 = groups.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return None;
    }
    let mut at = rng.u32(..total);
    for (arn, weight) in groups {
        if at < *weight {
            return Some(arn.clone());
        }
        at -= weight;
    }
    None
}

/// Fills in the keywords of a redirect; `#{path}` is without its leading slash.
fn location(redirect: &Redirect, request: &Parts, port: u16) -> String {
    let port = port.to_string();
    let fill = |template: &str| {
        template
            .replace("#{protocol}", "http")
            .replace("#{host}", condition::host(request))
            .replace("#{port}", &port)
            .replace("#{path}", request.uri.path().trim_start_matches('/'))
            .replace("#{query}", request.uri.query().unwrap_or_default())
    };
    let query = fill(&redirect.query);
    let (mark, query) = if query.is_empty() { ("", "") } else { ("?", query.as_str()) };
    format!(
        "{}://{}:{}{}{mark}{query}",
        fill(&redirect.protocol).to_lowercase(),
        fill(&redirect.host),
        fill(&redirect.port),
        fill(&redirect.path),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_and_zero_gets_nothing() {
        let mut rng = fastrand::Rng::with_seed(7);
        let groups = [("a".to_owned(), 0), ("b".to_owned(), 3), ("c".to_owned(), 1)];
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..4000 {
            *seen.entry(weighted(&groups, &mut rng).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(seen.get("a"), None);
        // 3000 expected, standard deviation 27: five of them on either side.
        assert!((2863..=3137).contains(&seen["b"]), "{seen:?}");
        assert_eq!(weighted(&groups[..1], &mut rng), None);
    }

    #[test]
    fn redirects_fill_in_their_keywords() {
        let request = hyper::Request::get("/a/b?x=1").header("host", "shop.example").body(()).unwrap();
        let redirect = Redirect {
            status: 301,
            protocol: "HTTPS".to_owned(),
            host: "www.#{host}".to_owned(),
            port: "443".to_owned(),
            path: "/new/#{path}".to_owned(),
            query: "#{query}&y=2".to_owned(),
        };
        let location = location(&redirect, &request.into_parts().0, 80);
        assert_eq!(location, "https://www.shop.example:443/new/a/b?x=1&y=2");
    }
}
