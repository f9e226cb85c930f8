//! Prints the tables of the page; `--write` puts them there.

use spillway_simulate::side_by_side::tables;
use spillway_simulate::{BEGIN, END};

const RELEASES: usize = 2000;
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn main() -> std::io::Result<()> {
    let printed = tables(RELEASES, 1);
    println!("{printed}");
    if std::env::args().any(|argument| argument == "--write") {
        let page = std::fs::read_to_string(PAGE)?;
        let (head, rest) = page.split_once(BEGIN).unwrap_or((&page, ""));
        let (_, tail) = rest.split_once(END).unwrap_or(("", ""));
        std::fs::write(PAGE, format!("{head}{BEGIN}\n\n{printed}\n{END}{tail}"))?;
    }
    Ok(())
}
