//! What a command prints.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

/// Prints a line; false once nobody reads any more, such as after `head`, which is no error.
pub fn line(text: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{text}").is_ok()
}

/// Says a line on standard error. Where nobody reads that, there is nobody to tell.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// How a word looks on a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Something is wrong.
    Bad,
    /// Less important than the rest.
    Faint,
    /// A heading.
    Strong,
}

static COLOURED: OnceLock<bool> = OnceLock::new();

/// Settles whether words are coloured: on a terminal, unless `--no-color`, `NO_COLOR` (<https://no-color.org>) or
/// `TERM=dumb` say otherwise. False if one of these three does.
pub fn settle(no_color: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let wanted = !no_color && !set("NO_COLOR") && !dumb;
    let _ = COLOURED.set(wanted && std::io::stdout().is_terminal());
    wanted
}

/// Whether words are coloured.
pub fn is_coloured() -> bool {
    COLOURED.get().copied().unwrap_or(false)
}

/// The text in its colour, where there are any.
pub fn painted(text: &str, paint: Paint) -> String {
    let code = match paint {
        Paint::Plain => return text.to_owned(),
        _ if !is_coloured() => return text.to_owned(),
        Paint::Good => "32",
        Paint::Warn => "33",
        Paint::Bad => "31",
        Paint::Faint => "2",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
