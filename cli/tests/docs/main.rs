//! Every command of the pages is run: by a walk along its page here, or by what the list names.

mod listed;
mod walk;
mod walks;

use std::collections::BTreeSet;

use spillway_docs::{Command, pages};

use listed::LISTED;
use walk::Walk;

/// Each walk goes along its pages, runs every command of theirs, and leaves none out.
macro_rules! walks {
    ($($name:ident: [$($page:literal),+ $(,)?],)+) => {
        /// The pages that are walked along.
        const WALKED: &[&str] = &[$($($page),+),+];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut walk = Walk::along(stringify!($name), &[$($page),+]);
                walks::$name(&mut walk).await;
                walk.finish();
            }
        )+
    };
}

walks! {
    what_needs_no_aws: [
        "docs/tour.md",
        "docs/strategies/all-at-once.md",
        "docs/strategies/blue-green.md",
        "docs/strategies/canary.md",
        "docs/strategies/linear.md",
    ],
    adopting: [
        "docs/adopt.md",
        "docs/install.md",
        "infra/examples/adopt-existing/README.md",
        "infra/examples/asg-blue-green/README.md",
        "infra/examples/ecs-canary/README.md",
    ],
    operating: [
        "cli/README.md",
        "docs/migrate.md",
        "docs/operate.md",
        "docs/runbook.md",
        "docs/uninstall.md",
        "simulate/README.md",
    ],
}

fn is_listed(command: &Command) -> bool {
    LISTED.iter().any(|(_, all)| all.contains(&command.text.as_str()))
}

/// A command that nothing runs is on no page, and what is listed is on one.
#[test]
fn every_command_is_run_by_something() {
    let pages = pages();
    // The changelog tells of commands, and is no instruction.
    let instructions = pages.iter().filter(|page| page.name != "CHANGELOG.md");
    let all: Vec<&Command> = instructions.flat_map(|page| &page.commands).filter(|one| one.is_to_be_run()).collect();
    let walked = |command: &Command| WALKED.contains(&command.page.as_str());
    let idle: Vec<String> = all.iter().filter(|one| !walked(one) && !is_listed(one)).map(|one| one.place()).collect();
    assert!(idle.is_empty(), "nothing runs these:\n{}", idle.join("\n"));
    let texts: BTreeSet<&str> = all.iter().map(|one| one.text.as_str()).collect();
    let listed = LISTED.iter().flat_map(|(_, all)| *all);
    let gone: Vec<&&str> = listed.filter(|text| !texts.contains(**text)).collect();
    assert!(gone.is_empty(), "on no page: {gone:?}");
    assert!(all.len() > 150, "{} commands", all.len());
}

/// A block that says no language is a command, or one of these.
#[test]
fn blocks_that_are_no_commands_are_known() {
    const KNOWN: [&str; 5] = [
        // Terraform.
        "lifecycle { ignore_changes = [action] }",
        "compute = {",
        // An execution's input.
        r#"{"service": "checkout", "version": {"image": "shop@sha256:…"}, "overrides": {"stable": "blue"}}"#,
        // Rust.
        "let lab = Lab::builder().start().await?;",
        "let alb = Alb::start(Settings::default()).await?;",
    ];
    let found: BTreeSet<String> = pages().into_iter().flat_map(|page| page.others).collect();
    assert_eq!(found, KNOWN.map(ToOwned::to_owned).into());
}
