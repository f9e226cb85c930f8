//! `spillway start`: starts a release.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::error::ApiError;
use spillway_aws::executions::{self, NAME_IS_TAKEN, Status};
use spillway_core::definition::ServiceName;
use spillway_core::plan::{OVERRIDABLE, Overrides};
use spillway_core::slot::Slot;
use spillway_core::version::{Image, LaunchTemplateVersion, OpaqueVersion, TaskDefinition, Version};

use super::failure::{Failure, REFUSED, UNREACHABLE};
use super::preview::Preview;
use super::{Installation, LONGEST_WAIT, World, ending, run as run_operator, wait, with_exit_codes, words};
use crate::{output, watch};

/// Start the release of a version of a service.
///
/// First it says what the release will do: which slot is stable and which gets the version, the steps, how long they take,
/// how soon a fault is rolled back, and what to know beforehand; what would be refused is not started. That is found out by
/// the code that plans releases, as far as you may look; the release itself looks again, and ends as Refused if things have
/// changed. Then it prints the execution's ARN, and what to run next. A --name makes it idempotent: the same name with the
/// same input is the same release as long as it runs.
#[derive(Args)]
#[command(
    after_long_help = with_exit_codes!("spillway start checkout --image shop@sha256:DIGEST --name build-1234 --wait --timeout 7200", "spillway start checkout --opaque build-1234 --without-stable \"first deployment\""),
    group(ArgGroup::new("version").required(true).args(["image", "task_definition", "launch_template_version", "opaque"])),
)]
pub struct Arguments {
    /// The service.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: ServiceName,
    /// A container image by digest: a task definition revision is registered for it.
    #[arg(long, value_name = "REPOSITORY@sha256:DIGEST", value_parser = |text: &str| Image::parse(text))]
    image: Option<Image>,
    /// An existing task definition revision.
    #[arg(long, value_name = "FAMILY:REVISION", value_parser = |text: &str| TaskDefinition::parse(text))]
    task_definition: Option<TaskDefinition>,
    /// A version of the Auto Scaling group's launch template, by number.
    #[arg(long, value_name = "NUMBER", value_parser = |text: &str| LaunchTemplateVersion::parse(text))]
    launch_template_version: Option<LaunchTemplateVersion>,
    /// A label for what somebody else has deployed to the candidate slot already.
    #[arg(long, value_name = "LABEL", value_parser = |text: &str| OpaqueVersion::parse(text))]
    opaque: Option<OpaqueVersion>,
    /// Which slot is stable, when both carry traffic at the start.
    #[arg(long, value_name = "SLOT")]
    stable: Option<StableSlot>,
    /// Start without a healthy stable slot: a first deployment, or a dead one. Says why.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    without_stable: Option<String>,
    /// A field of the definition's strategy for this release alone: `strategy.type=linear`, `strategy.minimum_time_seconds=60`,
    /// `strategy.canary.steps=[10,50]`; may be given several times. Approvals stay as they are.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = overridden)]
    overrides: Vec<(String, Value)>,
    /// Name of the release, 1 to 80 letters, digits, hyphens and underscores; otherwise the service's with the time.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Say what the release would do, and start nothing; exit with 0 only if it could start, or would wait for its turn.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait for the end, with a line whenever the phase changes; exit with 0 only if it is promoted.
    #[arg(long)]
    wait: bool,
    /// Show it on a full screen from its start on, as `spillway watch` does; leaving that leaves the release as it is.
    #[arg(long, conflicts_with_all = ["wait", "dry_run"])]
    watch: bool,
    /// With --wait: give up waiting after so many seconds; the release goes on.
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=LONGEST_WAIT))]
    timeout: Option<u64>,
    #[command(flatten)]
    installation: Installation,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StableSlot {
    Blue,
    Green,
}

fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("allowed: a reason in words".into()) } else { Ok(text.to_owned()) }
}

/// What Step Functions allows of names, less what CloudWatch Logs does not take:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>.
fn name(text: &str) -> Result<String, String> {
    let fits = (1..=80).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits { Ok(text.to_owned()) } else { Err("allowed: 1 to 80 letters, digits, hyphens and underscores".into()) }
}

/// `strategy.canary.steps=[10,50]` is the field `canary` with `{"steps": [10, 50]}`.
fn overridden(text: &str) -> Result<(String, Value), String> {
    let allowed = || {
        let keys: Vec<String> = OVERRIDABLE
            .iter()
            .map(|field| match *field {
                "canary" => "strategy.canary.steps".to_owned(),
                "linear" => "strategy.linear.increment".to_owned(),
                field => format!("strategy.{field}"),
            })
            .collect();
        format!("allowed: KEY=VALUE, with a KEY of {}", keys.join(", "))
    };
    let (key, value) = text.split_once('=').ok_or_else(allowed)?;
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    match key.split('.').collect::<Vec<_>>()[..] {
        ["strategy", field @ "canary", inner @ "steps"] | ["strategy", field @ "linear", inner @ "increment"] => {
            Ok((field.to_owned(), json!({ inner: value })))
        }
        ["strategy", field] if OVERRIDABLE.contains(&field) => Ok((field.to_owned(), value)),
        _ => Err(allowed()),
    }
}

impl Arguments {
    fn version(&self) -> Option<Version> {
        let image = self.image.clone().map(Version::Image);
        image
            .or_else(|| self.task_definition.clone().map(Version::TaskDefinition))
            .or_else(|| self.launch_template_version.clone().map(Version::LaunchTemplateVersion))
            .or_else(|| self.opaque.clone().map(Version::Opaque))
    }

    /// The release's input. Always in the same order: for a name, the same input is the same text.
    fn input(&self) -> Value {
        let stable = self.stable.map(|slot| match slot {
            StableSlot::Blue => Slot::Blue,
            StableSlot::Green => Slot::Green,
        });
        let strategy = self.overrides.iter().cloned().collect();
        let overrides = Overrides { stable, without_stable: self.without_stable.clone(), strategy };
        let mut input = json!({"service": self.service, "version": self.version()});
        if overrides != Overrides::default() {
            input["overrides"] = json!(overrides);
        }
        input
    }

    /// The given name, or one that nobody else has: a call whose answer is lost is made again under the same name.
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            format!("{}-{now}-{:06x}", self.service, fastrand::u32(..1 << 24))
        })
    }
}

/// Starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_operator(&arguments.installation, |world| async move { start(world, arguments).await })
}

async fn start(world: World, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.watch {
        watch::on_terminal(&world, &arguments.service)?;
    }
    let execution = match begin(&world, arguments).await? {
        Begun::Release(execution) => execution,
        Begun::Nothing(code) => return Ok(code),
    };
    let service = arguments.service.as_str();
    if arguments.watch {
        return watch::follow(world, &arguments.service, Some(execution)).await;
    }
    if arguments.wait {
        return wait::until_ended(&world, service, &execution, arguments.timeout.map(Duration::from_secs)).await;
    }
    if !world.json() {
        let wait = world.hint(&format!("status {service} --wait --execution {execution}"));
        let stop = world.hint(&format!("abort {service}"));
        output::line(&format!("Next: {wait}\n      {stop}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was begun.
enum Begun {
    /// A release: its execution's ARN.
    Release(String),
    /// Nothing: it was only to be foretold, or would be refused.
    Nothing(ExitCode),
}

async fn begin(world: &World, arguments: &Arguments) -> Result<Begun, Failure> {
    let (service, name, input) = (arguments.service.as_str(), arguments.name(), arguments.input());
    let machine = world.release_machine().await?;
    let preview = preview(world, arguments, &machine, &name, &input).await;
    if let Some(preview) = &preview
        && let Some(code) = told(world, arguments, preview)
    {
        return Ok(Begun::Nothing(code));
    }
    let execution = match world.machines.start(&machine, &name, &input.to_string()).await {
        Ok(execution) => execution,
        Err(error) if error.code == NAME_IS_TAKEN => taken(world, &machine, &name, &input, error).await?,
        Err(error) => return Err(error.into()),
    };
    if world.json() {
        let mut told = json!({"service": service, "execution": execution, "name": name, "input": input});
        if let Some(preview) = &preview {
            told["preview"] = preview.json();
        }
        output::line(&told.to_string());
    } else {
        output::line(&format!("{service}: release {name} has started\n  {execution}"));
    }
    Ok(Begun::Release(execution))
}

/// What would become of it; nothing where the name is a release's already, which is not started again.
async fn preview(world: &World, arguments: &Arguments, machine: &str, name: &str, input: &Value) -> Option<Preview> {
    let execution = executions::execution_arn(machine, name);
    if !arguments.dry_run && arguments.name.is_some() && world.machines.describe(&execution).await.is_ok() {
        return None;
    }
    Some(world.preview(&arguments.service, &execution, input).await)
}

/// Tells what would become of it. An exit code where that is all: with --dry-run, and where it would be refused.
fn told(world: &World, arguments: &Arguments, preview: &Preview) -> Option<ExitCode> {
    let service = arguments.service.as_str();
    let refused = matches!(preview, Preview::Refused(_));
    let stops = arguments.dry_run || refused;
    let code = match preview {
        Preview::Refused(_) => ExitCode::from(REFUSED),
        Preview::Unknown(_) => ExitCode::from(UNREACHABLE),
        _ => ExitCode::SUCCESS,
    };
    if world.json() {
        if stops {
            let told = json!({"service": service, "input": arguments.input(), "preview": preview.json()});
            output::line(&told.to_string());
        }
    } else {
        let lines = preview.lines(service);
        // What goes wrong is not what was asked for.
        let wrong = matches!(preview, Preview::Refused(_) | Preview::Unknown(_));
        for line in &lines {
            if wrong {
                output::say(line);
            } else {
                output::line(line);
            }
        }
        if refused && !arguments.dry_run {
            output::say("Nothing was started.");
        }
    }
    stops.then_some(code)
}

/// The release that the name is of, if it is the one that was asked for: it runs, and was started with the same input,
/// although not with the same text.
async fn taken(world: &World, machine: &str, name: &str, input: &Value, error: ApiError) -> Result<String, Failure> {
    let Ok(other) = world.machines.describe(&executions::execution_arn(machine, name)).await else {
        return Err(error.into());
    };
    let released = words::version(&other.input).unwrap_or_else(|| other.input.clone());
    let why = if other.status == Status::Running {
        if serde_json::from_str::<Value>(&other.input).is_ok_and(|other| other == *input) {
            return Ok(other.arn);
        }
        format!("a release that runs, and was started with other input: {released}")
    } else {
        let then = other.stopped.map_or_else(String::new, |stopped| format!(" at {stopped:.0}"));
        format!("a release of {released} that ended as {}{then}", ending::name(&other))
    };
    Err(Failure::Refused(format!(
        "--name {name}: it is the name of {why}; a name is one release's, and with the same input the same release \
         while that runs; allowed: another name, or none"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_strategy_are_overridden() {
        for (text, expected) in [
            ("strategy.type=linear", Some(json!({"type": "linear"}))),
            ("strategy.minimum_time_seconds=60", Some(json!({"minimum_time_seconds": 60}))),
            ("strategy.canary.steps=[10, 50]", Some(json!({"canary": {"steps": [10, 50]}}))),
            ("strategy.linear.increment=25", Some(json!({"linear": {"increment": 25}}))),
            ("strategy.canary={\"steps\":[5]}", Some(json!({"canary": {"steps": [5]}}))),
            ("strategy.approval_at=[]", None),
            ("strategy.canary.weights=[5]", None),
            ("health.alarms=[]", None),
            ("strategy.type", None),
        ] {
            let found = overridden(text).map(|field| Value::Object([field].into_iter().collect()));
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{text}");
            assert!(found.is_ok() || found.is_err_and(|why| why.contains("allowed: KEY=VALUE")), "{text}");
        }
    }
}
