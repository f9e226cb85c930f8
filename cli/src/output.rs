//! What a command prints.

use std::io::Write;

/// Prints a line; false once nobody reads any more, such as after `head`, which is no error.
pub fn line(text: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{text}").is_ok()
}
