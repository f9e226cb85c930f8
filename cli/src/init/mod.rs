//! `spillway init`: a service definition from a live load balancer.

mod compute;
mod missing;
mod routes;
mod slots;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::load_balancer::discovery::TargetGroup;
use spillway_core::arn::TargetGroupArn;
use spillway_core::definition::{ServiceDefinition, ServiceName, StrategyType};
use spillway_core::plan::{self, LiveRoute, Overrides};
use spillway_core::slot::Slot;

use crate::ask::{Ask, Question, whoever};
use crate::connection::Connection;
use crate::operator::failure::Failure;
use crate::operator::{PARAMETER_PREFIX, block_on};
use crate::output;
use routes::{Route, Wanted};

/// Write a service definition from a live load balancer.
///
/// Routes and slots are found in its listener rules and target groups, and what runs behind them by the target groups of
/// ECS services and Auto Scaling groups; what registers in neither is `external`. Nothing on AWS is changed. Where more than
/// one thing could be meant it asks on a terminal, and elsewhere says which option settles it. Where there is one slot only
/// it says what else must be made, and how, and writes nothing.
#[derive(Args)]
#[command(after_long_help = "Examples:
  spillway init --load-balancer shop --listener 443 --rule 10
  spillway init --slot blue=checkout-a --slot green=checkout-b --service checkout --strategy linear
  spillway init --rule arn:aws:elasticloadbalancing:… --slot green=checkout-b --output -

Exit codes:
  0    written
  1    not written: something is missing, ambiguous, or there already
  2    the command line is not right
  3    AWS cannot be reached, or failed")]
pub struct Arguments {
    /// The load balancer, by name or ARN.
    #[arg(long, value_name = "NAME|ARN")]
    load_balancer: Option<String>,
    /// Only this listener's rules, by port or ARN.
    #[arg(long, value_name = "PORT|ARN", value_parser = routes::listener)]
    listener: Option<String>,
    /// A route: a rule by priority or ARN, `default` or a listener's ARN for a default action; may be given several times.
    #[arg(long = "rule", value_name = "PRIORITY|default|ARN", value_parser = routes::named)]
    rules: Vec<String>,
    /// A slot's target group, by name or ARN; once for each slot and load balancer.
    #[arg(long = "slot", value_name = "blue|green=GROUP", value_parser = slots::named)]
    slots: Vec<(Slot, String)>,
    /// What runs a slot: ecs:CLUSTER/SERVICE, ecs:CLUSTER/SERVICE/CONTAINER, asg:NAME or external; otherwise it is looked for.
    #[arg(long = "compute", value_name = "blue|green=COMPUTE", value_parser = compute::named)]
    computes: Vec<(Slot, spillway_core::definition::Compute)>,
    /// The service's name; otherwise what its target groups' names have in common.
    #[arg(long, value_parser = |text: &str| ServiceName::parse(text))]
    service: Option<ServiceName>,
    /// How traffic moves.
    #[arg(long, value_name = "STRATEGY", default_value = "canary", value_parser = strategy)]
    strategy: StrategyType,
    /// The file; otherwise SERVICE.json. `-` is standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

fn strategy(text: &str) -> Result<StrategyType, String> {
    serde_json::from_value(text.into()).map_err(|_| "allowed: canary, linear, blue_green, all_at_once".to_owned())
}

/// Writes one.
pub fn run(arguments: &Arguments) -> ExitCode {
    block_on(async { init(arguments, whoever().as_mut()).await })
}

async fn init(arguments: &Arguments, ask: &mut dyn Ask) -> Result<ExitCode, Failure> {
    // Before anybody is asked anything.
    if let Some(path) = &arguments.output {
        free(path, arguments.force)?;
    }
    let config = arguments.connection.config().await;
    let load_balancers = LoadBalancers::new(&config);
    let groups = load_balancers.target_groups().await?;
    let wanted = Wanted {
        load_balancer: arguments.load_balancer.as_deref(),
        listener: arguments.listener.as_deref(),
        rules: &arguments.rules,
        groups: slots::all_of(&arguments.slots, &groups)?,
    };
    let routes = routes::find(&load_balancers, &wanted, ask).await?;
    let pairs = slots::pairs(&routes, &arguments.slots, &groups, ask)?;
    let of = |slot: Slot| pairs.iter().map(|pair| pair.of(slot)).collect::<Vec<&TargetGroup>>();
    let [blue, green] = Slot::BOTH.map(of);
    let asked = !Slot::BOTH.iter().all(|slot| arguments.computes.iter().any(|(named, _)| named == slot));
    let there = if asked {
        compute::survey(&Ecs::new(&config), &AutoScaling::new(&config)).await?
    } else {
        compute::There::default()
    };
    let [blue_runs, green_runs] = compute::of_both(&there, &arguments.computes, [&blue, &green], ask)?;
    let service = match &arguments.service {
        Some(service) => service.clone(),
        None => named(blue.iter().chain(&green).map(|group| group.arn.name()))?,
    };
    let definition = json!({
        "service": service,
        "routes": routes.iter().map(|route| route.rule.arn.as_str()).collect::<Vec<_>>(),
        "slots": {
            "blue": {"target_groups": arns(&blue), "compute": blue_runs},
            "green": {"target_groups": arns(&green), "compute": green_runs},
        },
        "strategy": {"type": arguments.strategy},
    });
    let text = format!("{definition:#}\n");
    let read = ServiceDefinition::from_json(&text).map_err(|invalid| Failure::Refused(invalid.to_string()))?;
    let told = told(&read, &routes);
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{service}.json")));
    if path.as_os_str() == "-" {
        output::line(text.trim_end());
        for line in &told {
            output::say(line);
        }
        return Ok(ExitCode::SUCCESS);
    }
    write(&path, &text, arguments.force)?;
    output::line(&format!("{}: written: service {service}, strategy {}", path.display(), arguments.strategy));
    let next = next(&path, &service, &arguments.connection);
    told.iter().chain(&next).all(|line| output::line(line));
    Ok(ExitCode::SUCCESS)
}

fn arns<'a>(groups: &[&'a TargetGroup]) -> Vec<&'a str> {
    groups.iter().map(|group| group.arn.as_str()).collect()
}

/// What was found, and what a release would say to it now.
fn told(definition: &ServiceDefinition, routes: &[Route]) -> Vec<String> {
    let mut lines: Vec<String> = routes.iter().map(|route| format!("  route   {}", route.text())).collect();
    for slot in Slot::BOTH {
        let chosen = definition.slots.get(slot);
        let groups: Vec<&str> = chosen.target_groups.iter().map(TargetGroupArn::name).collect();
        lines.push(format!("  {:<8}{}, {}", slot.to_string(), groups.join(", "), chosen.compute));
    }
    let live: Vec<LiveRoute> = routes
        .iter()
        .filter_map(|route| Some(LiveRoute { arn: route.rule.arn.clone(), actions: route.rule.actions.clone().ok()? }))
        .collect();
    match plan::roles(definition, &live, &Overrides::default()) {
        Ok(roles) => lines.push(format!("  stable  {}, by the live weights", roles.stable)),
        Err(refused) => {
            lines.extend(refused.0.iter().map(|refusal| format!("  a release would be refused now: {refusal}")));
        }
    }
    lines
}

fn next(path: &Path, service: &ServiceName, connection: &Connection) -> Vec<String> {
    let (file, hint) = (path.display(), connection.hint());
    vec![
        format!("Next: spillway validate --live {file}{hint}"),
        format!(
            "      aws ssm put-parameter --name {PARAMETER_PREFIX}{service} --type String --value file://{file}{hint}"
        ),
        "      and let the installation change the routes and what runs the slots: the tag spillway:managed=true, or"
            .to_owned(),
        "      managed_arns of infra/modules/engine; infra/modules/service stores the definition as well".to_owned(),
    ]
}

/// What the names of the slots' target groups have in common.
fn named<'a>(groups: impl Iterator<Item = &'a str>) -> Result<ServiceName, Failure> {
    let names: Vec<String> = groups.map(slots::without_colour).collect();
    let (first, rest) = names.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let common = first
        .char_indices()
        .take_while(|(at, letter)| {
            rest.iter().all(|name| name[..].get(*at..).is_some_and(|rest| rest.starts_with(*letter)))
        })
        .count();
    let name = first[..common].trim_matches(['-', '_']);
    ServiceName::parse(name).map_err(|_| {
        Failure::Refused(format!(
            "service: the target groups' names ({}) have no service's name in common; allowed: --service NAME",
            names.join(", ")
        ))
    })
}

/// One of the options: the only one, or the one that somebody chooses.
fn choose<'a, T>(ask: &mut dyn Ask, question: &Question, options: &'a [T]) -> Result<&'a T, Failure> {
    match options {
        [one] => Ok(one),
        _ => match ask.choose(question).and_then(|index| options.get(index)) {
            Some(chosen) => Ok(chosen),
            None => Err(Failure::Refused(format!(
                "{}: there are {}; allowed: {}\n  {}",
                question.what,
                options.len(),
                question.otherwise,
                question.options.join("\n  ")
            ))),
        },
    }
}

fn free(path: &Path, force: bool) -> Result<(), Failure> {
    if force || path.as_os_str() == "-" || !path.exists() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{}: there is such a file, and it was not written over; allowed: --force, or another --output",
        path.display()
    )))
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    free(path, force)?;
    let mut options = OpenOptions::new();
    // Somebody else may have written it in the meantime.
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let written = options.write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .map_err(|error| Failure::Refused(format!("{}: {error}; allowed: --output with another file", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_called_as_its_groups_are() {
        for (groups, expected) in [
            (&["checkout-blue", "checkout-green"][..], Some("checkout")),
            (&["checkout-a", "checkout-b"], Some("checkout")),
            (&["shop-api-1", "shop-api-2", "shop-int-1", "shop-int-2"], Some("shop")),
            (&["blue-shop", "green-shop"], Some("shop")),
            (&["a", "b"], None),
            (&["1-a", "1-b"], None),
        ] {
            let name = named(groups.iter().copied());
            assert_eq!(name.as_ref().map(ServiceName::as_str).ok(), expected, "{groups:?}");
        }
    }

    #[test]
    fn a_file_is_not_written_over() {
        let path = std::env::temp_dir().join(format!("spillway-init-{}.json", std::process::id()));
        write(&path, "a", false).unwrap();
        let refused = write(&path, "b", false).unwrap_err();
        assert!(refused.text().contains("it was not written over; allowed: --force"), "{}", refused.text());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
        write(&path, "c", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c");
        std::fs::remove_file(&path).unwrap();
    }
}
