//! Questions to whoever sits at the terminal.

use std::io::{BufRead, IsTerminal};

use crate::output;

/// So many answers that are none are borne.
const ATTEMPTS: usize = 3;

/// What is to be decided.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it is about: `load balancer`.
    pub what: String,
    /// The options, in words.
    pub options: Vec<String>,
    /// What settles it without asking: `--load-balancer shop`.
    pub otherwise: String,
}

/// Somebody to ask.
pub trait Ask {
    /// Which of the options, by position; `None` where nobody answers.
    fn choose(&mut self, question: &Question) -> Option<usize>;
}

/// Whoever sits at the terminal.
struct Terminal;

/// Nobody does.
pub struct Nobody;

/// Whoever there is: somebody where both questions and answers go to a terminal.
pub fn whoever() -> Box<dyn Ask> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        Box::new(Terminal)
    } else {
        Box::new(Nobody)
    }
}

impl Ask for Nobody {
    fn choose(&mut self, _: &Question) -> Option<usize> {
        None
    }
}

impl Ask for Terminal {
    fn choose(&mut self, question: &Question) -> Option<usize> {
        output::say(&format!("Which {}?", question.what));
        for (index, option) in question.options.iter().enumerate() {
            output::say(&format!("  {}  {option}", index + 1));
        }
        let mut lines = std::io::stdin().lock().lines();
        for _ in 0..ATTEMPTS {
            output::say(&format!("1 to {}, or nothing to leave:", question.options.len()));
            let answer = lines.next()?.ok()?;
            match chosen(&answer, question.options.len()) {
                Answer::Option(index) => return Some(index),
                Answer::Leave => return None,
                Answer::None => {}
            }
        }
        None
    }
}

#[derive(Debug, Eq, PartialEq)]
enum Answer {
    Option(usize),
    Leave,
    None,
}

fn chosen(answer: &str, options: usize) -> Answer {
    match answer.trim() {
        "" => Answer::Leave,
        text => match text.parse::<usize>() {
            Ok(number) if (1..=options).contains(&number) => Answer::Option(number - 1),
            _ => Answer::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_number_of_an_option() {
        for (text, expected) in [
            ("1", Answer::Option(0)),
            (" 3\r", Answer::Option(2)),
            ("", Answer::Leave),
            ("0", Answer::None),
            ("4", Answer::None),
            ("blue", Answer::None),
        ] {
            assert_eq!(chosen(text, 3), expected, "{text:?}");
        }
    }
}
