//! Where the demo writes: a block that is redrawn in place on a terminal, lines elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// Standard output.
pub struct Screen {
    terminal: bool,
    /// Lines of the block that is on the terminal now.
    drawn: usize,
    /// What was said last where there is no terminal.
    said: String,
}

impl Screen {
    /// Looks what standard output is.
    pub fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), drawn: 0, said: String::new() }
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        self.settle();
        put(&format!("{text}\n"));
    }

    /// Whether it is a terminal, where blocks are redrawn in place.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Draws the block in place of the one before. Where there is no terminal, says `news` once for each `headline`.
    pub fn draw(&mut self, block: &[String], headline: &str, news: &str) {
        if !self.terminal {
            if self.said != headline {
                headline.clone_into(&mut self.said);
                put(&format!("{news}\n"));
            }
            return;
        }
        let mut text = String::new();
        if self.drawn > 0 {
            // Up to the first line of the block, then each line anew: nothing is cleared before it is drawn over.
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        let width = width();
        for line in block {
            let shown: String = line.chars().take(width).collect();
            let _ = writeln!(text, "\r{shown}\x1b[K");
        }
        for _ in block.len()..self.drawn {
            text.push_str("\x1b[K\n");
        }
        self.drawn = self.drawn.max(block.len());
        put(&text);
    }

    /// Leaves the block where it is: what comes next stands below it.
    pub fn settle(&mut self) {
        self.drawn = 0;
    }
}

/// A reader that went away is no reason to stop a release half-way.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Columns of the terminal, less one so that a full line does not wrap.
fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 20)
        .unwrap_or(120)
        - 1
}
