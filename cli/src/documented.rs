//! What the pages say that can be typed, against what can be.

use clap::CommandFactory;
use clap::error::ErrorKind;
use spillway_docs::{Command, Kind, pages};

use crate::Arguments;

/// The words of a command, as a shell splits them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(mark), _) if mark == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What is wrong with a command, if anything is.
fn wrong(command: &Command) -> Option<String> {
    let typed = command.text.split(" | ").find(|part| part.starts_with("spillway "))?;
    let mut words = words(typed);
    // Taken from USER, which need not be set here.
    if words[1] == "freeze" && words.len() > 2 {
        words.push("--owner=ann".into());
    }
    let error = Arguments::command().try_get_matches_from(words).err()?;
    let accepted = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        // A sentence need not say all of it.
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => command.kind != Kind::Block,
        // What people put there.
        ErrorKind::ValueValidation => {
            command.text.contains(['…', '$']) || !command.is_to_be_run() && command.kind == Kind::Inline
        }
        _ => false,
    };
    (!accepted).then(|| format!("{}\n{error}", command.place()))
}

#[test]
fn every_command_of_the_pages_can_be_typed() {
    let pages = pages();
    let all: Vec<&Command> = pages.iter().flat_map(|page| &page.commands).collect();
    let wrong: Vec<String> = all.iter().filter_map(|command| wrong(command)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let ours = all.iter().filter(|command| command.text.contains("spillway "));
    assert!(ours.count() > 100);
}

/// The test above can fail: on a command, an option and a value that do not exist.
#[test]
fn what_cannot_be_typed_is_noticed() {
    let command = |kind, text: &str| {
        let (page, text) = ("page.md".to_owned(), text.to_owned());
        wrong(&Command { page, line: 1, kind, text, printed: None })
    };
    for text in [
        "spillway stop shop",
        "spillway status --wiat",
        "spillway start shop",
        "spillway freeze shop --for soon --reason x",
    ] {
        assert!(command(Kind::Block, text).is_some(), "{text}");
    }
    assert!(command(Kind::Name, "spillway stop").is_some());
    for text in ["spillway status shop", "spillway start shop --image \"$IMAGE\"", "echo '{}' | spillway validate -"] {
        assert_eq!(command(Kind::Block, text), None);
    }
    assert_eq!(command(Kind::Name, "spillway start"), None);
}
