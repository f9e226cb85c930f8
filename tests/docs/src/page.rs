//! A page: its blocks of code, and the commands in them.

use crate::link::{Link, links};

/// Languages of blocks that hold commands.
const SHELLS: [&str; 4] = ["console", "sh", "bash", "shell"];
/// Programs that a command of the project's pages begins with.
const PROGRAMS: [&str; 15] = [
    "spillway",
    "cargo",
    "terraform",
    "aws",
    "bash",
    "curl",
    "docker",
    "cd",
    "cat",
    "echo",
    "export",
    "for",
    "yes",
    "repository=$(terraform",
    "(cd",
];

/// Where a command stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// In a block of its own.
    Block,
    /// In a sentence or a table.
    Inline,
    /// There as well, and no more than its name: `spillway abort`.
    Name,
}

/// A command that a page tells people to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// The page, from the root.
    pub page: String,
    /// Its line there.
    pub line: usize,
    /// Where it stands.
    pub kind: Kind,
    /// The command in one line, or as it stands where it holds a text of several lines; without comments.
    pub text: String,
    /// What the page says that it prints.
    pub printed: Option<String>,
}

impl Command {
    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    /// Whether it is there to be run as it stands. One in a sentence may only name a command, or show its form, with words of
    /// capitals for what people put there.
    #[must_use]
    pub fn is_to_be_run(&self) -> bool {
        let stands_in =
            |word: &str| word.starts_with('[') || word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
        match self.kind {
            Kind::Block => true,
            Kind::Inline => !self.text.split_whitespace().any(stands_in),
            Kind::Name => false,
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}: {}", self.page, self.line, self.text)
    }
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its name, from the root.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its commands, in order.
    pub commands: Vec<Command>,
    /// The first lines of its blocks without a language that are no shell.
    pub others: Vec<String>,
    /// Its links.
    pub links: Vec<Link>,
}

/// A block of code: its language (none: it is indented), its first line's number, its lines.
struct Block {
    language: Option<String>,
    line: usize,
    lines: Vec<String>,
}

impl Page {
    /// Reads one.
    #[must_use]
    pub fn read(name: &str, text: &str) -> Self {
        let (blocks, prose) = blocks(text);
        let mut page = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            commands: Vec::new(),
            others: Vec::new(),
            links: links(&prose),
        };
        for block in blocks {
            let first = block.lines.iter().find(|line| !line.trim().is_empty()).cloned().unwrap_or_default();
            let shell = match &block.language {
                Some(language) => SHELLS.contains(&language.as_str()),
                None => is_shell(&first),
            };
            if shell {
                page.commands.extend(commands(name, &block));
            } else if block.language.is_none() {
                page.others.push(first.trim().to_owned());
            }
        }
        page.commands.extend(inline(name, &prose));
        page.commands.sort_by_key(|command| command.line);
        page
    }
}

/// Whether a line is a command.
fn is_shell(line: &str) -> bool {
    let word = line.trim_start_matches("$ ").split_whitespace().next().unwrap_or_default();
    line.starts_with("$ ") || PROGRAMS.contains(&word)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where the text of a list's item begins.
fn item(line: &str) -> Option<usize> {
    let rest = line.trim_start();
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let marker = match digits {
        0 if rest.starts_with("- ") || rest.starts_with("* ") => 2,
        1.. if rest[digits..].starts_with(". ") => digits + 2,
        _ => return None,
    };
    Some(indent(line) + marker)
}

/// The blocks of code, and the lines that are none.
fn blocks(text: &str) -> (Vec<Block>, Vec<(usize, String)>) {
    let (mut blocks, mut prose): (Vec<Block>, Vec<(usize, String)>) = (Vec::new(), Vec::new());
    let (mut list, mut fence, mut open, mut blank) = (0, None::<usize>, false, true);
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let trimmed = line.trim_start();
        if let Some(margin) = fence {
            if trimmed.starts_with("```") {
                fence = None;
            } else if let Some(block) = blocks.last_mut() {
                block.lines.push(line.get(margin.min(indent(line))..).unwrap_or_default().to_owned());
            }
            continue;
        }
        if let Some(language) = trimmed.strip_prefix("```") {
            fence = Some(indent(line));
            blocks.push(Block { language: Some(language.trim().to_owned()), line: number + 1, lines: Vec::new() });
            (open, blank) = (false, true);
            if indent(line) == 0 {
                list = 0;
            }
            continue;
        }
        if trimmed.is_empty() {
            blank = true;
            if open && let Some(block) = blocks.last_mut() {
                block.lines.push(String::new());
            }
            prose.push((number, String::new()));
            continue;
        }
        if indent(line) >= list + 4 && (blank || open) {
            if !open {
                blocks.push(Block { language: None, line: number, lines: Vec::new() });
            }
            open = true;
            if let Some(block) = blocks.last_mut() {
                block.lines.push(line[list + 4..].to_owned());
            }
            continue;
        }
        list = match item(line) {
            Some(begin) => begin,
            None if indent(line) == 0 && blank => 0,
            None => list,
        };
        (open, blank) = (false, false);
        prose.push((number, line.to_owned()));
    }
    (blocks, prose)
}

/// Whether it sets a variable for the command behind it.
fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// A line without the comment at its end.
fn bare(line: &str) -> &str {
    let comment = [" # ", "\t# "].iter().filter_map(|mark| line.find(mark)).min();
    comment.map_or(line, |at| &line[..at]).trim_end()
}

/// Whether a command goes on after this line.
fn goes_on(text: &str) -> bool {
    let last = text.lines().last().unwrap_or_default();
    let loops = text.starts_with("for ") && last.trim() != "done";
    let here = text.split_once("<<'").and_then(|(_, rest)| rest.split_once('\''));
    let inside = here.is_some_and(|(end, rest)| !rest.lines().any(|line| line == end));
    last.ends_with('\\') || loops || inside
}

/// The commands of a block of shell.
fn commands(page: &str, block: &Block) -> Vec<Command> {
    let prompted = block.lines.iter().any(|line| line.starts_with("$ "));
    let mut commands: Vec<Command> = Vec::new();
    let mut open = false;
    for (index, line) in block.lines.iter().enumerate() {
        let inside = commands.last().is_some_and(|last| last.text.contains("<<'"));
        let told = if open && inside { line.as_str() } else { bare(line) };
        if open {
            let last = commands.last_mut().unwrap_or_else(|| unreachable!("a command is open"));
            last.text.push('\n');
            last.text.push_str(told);
            open = goes_on(&last.text);
        } else if let Some(text) = if prompted { told.strip_prefix("$ ") } else { Some(told) } {
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let printed = prompted.then(String::new);
            let (page, text) = (page.to_owned(), text.to_owned());
            open = goes_on(&text);
            commands.push(Command { page, line: block.line + index, kind: Kind::Block, text, printed });
        } else if let Some(printed) = commands.last_mut().and_then(|last| last.printed.as_mut()) {
            printed.push_str(line);
            printed.push('\n');
        }
    }
    for command in &mut commands {
        command.text = joined(&command.text);
    }
    commands
}

/// A command in one line, where its lines were joined by backslashes alone.
fn joined(text: &str) -> String {
    let text = text.replace("\\\n", " ");
    if text.contains('\n') { text } else { text.split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// The commands in the text: code that names a program and says more than the command's name.
fn inline(page: &str, prose: &[(usize, String)]) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut paragraph: Vec<(usize, &str)> = Vec::new();
    let mut end = |paragraph: &mut Vec<(usize, &str)>| {
        let text = paragraph.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        let mut offset = 0;
        for (index, span) in text.split('`').enumerate() {
            let line = text[..offset].matches('\n').count();
            offset += span.len() + 1;
            let all: Vec<&str> = span.split_whitespace().collect();
            // Behind what it is given in its environment.
            let begin = all.iter().position(|word| !is_assignment(word)).unwrap_or_default();
            let words = &all[begin..];
            let name = match words.first() {
                Some(&"spillway" | &"cargo") => 2,
                Some(&"aws") => 3,
                Some(&"terraform" | &"bash") => 1,
                _ => continue,
            };
            let kind = if words.len() > name { Kind::Inline } else { Kind::Name };
            let is_command = kind == Kind::Inline || words[0] == "spillway" && words.len() == name;
            if index % 2 == 1 && is_command {
                let (page, line) = (page.to_owned(), paragraph[0].0 + line);
                commands.push(Command { page, line, kind, text: all.join(" "), printed: None });
            }
        }
        paragraph.clear();
    };
    for (number, line) in prose {
        if line.is_empty() {
            if !paragraph.is_empty() {
                end(&mut paragraph);
            }
        } else {
            paragraph.push((*number, line));
        }
    }
    if !paragraph.is_empty() {
        end(&mut paragraph);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# Title

Run `spillway abort shop`, or `spillway abort`, or `aws ecs
update-service --service shop`; `other thing` is none, `A_B=1 cargo test -p x` is.

    spillway status      # all
    aws x y \
      --z "$(terraform output -raw a)"

1. A list, with

       for one in a b; do
         aws list $one
       done

   ```console
   $ spillway history
   nothing
   ```

```hcl
no = "command"
```

    lifecycle { }

Then

    cat > file <<'END'
    a = 1   # kept
    END
    cargo demo
"#;

    #[test]
    fn commands_are_found_wherever_they_stand() {
        let page = Page::read("page.md", PAGE);
        let found: Vec<(usize, &str)> = page.commands.iter().map(|one| (one.line, one.text.as_str())).collect();
        assert_eq!(
            found,
            [
                (3, "spillway abort shop"),
                (3, "spillway abort"),
                (3, "aws ecs update-service --service shop"),
                (4, "A_B=1 cargo test -p x"),
                (6, "spillway status"),
                (7, r#"aws x y --z "$(terraform output -raw a)""#),
                (12, "for one in a b; do\n  aws list $one\ndone"),
                (17, "spillway history"),
                (29, "cat > file <<'END'\na = 1   # kept\nEND"),
                (32, "cargo demo"),
            ]
        );
        assert_eq!(page.commands[7].printed.as_deref(), Some("nothing\n"));
        assert_eq!(page.others, ["lifecycle { }"]);
        let kinds = [0, 1, 4].map(|index: usize| page.commands[index].kind);
        assert_eq!(kinds, [Kind::Inline, Kind::Name, Kind::Block]);
    }
}
