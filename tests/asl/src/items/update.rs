//! Update expressions.

use serde_json::{Value, json};

use super::ItemError;
use super::attribute::{Item, Path, get, number, parent};
use super::expression::{Parser, no_overlap};

/// What an update changes.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<(Path, Sum)>,
    remove: Vec<Path>,
}

#[derive(Debug)]
struct Sum {
    first: Operand,
    second: Option<(Sign, Operand)>,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    Plus,
    Minus,
}

#[derive(Debug)]
enum Operand {
    Path(Path),
    Value(Value),
    IfNotExists(Path, Box<Self>),
}

impl Update {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        let mut update = Self::default();
        loop {
            if update.set.is_empty() && parser.accept_word("SET") {
                loop {
                    let path = parser.path()?;
                    parser.expect("=")?;
                    update.set.push((path, Sum::parse(parser)?));
                    if !parser.accept(",") {
                        break;
                    }
                }
            } else if update.remove.is_empty() && parser.accept_word("REMOVE") {
                update.remove = parser.paths()?;
            } else {
                break;
            }
        }
        if update.set.is_empty() && update.remove.is_empty() {
            let token = parser.peek().to_owned();
            return Err(parser.refuse(token));
        }
        no_overlap(update.paths())?;
        Ok(update)
    }

    /// All that it changes.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> + Clone {
        self.set.iter().map(|(path, _)| path).chain(&self.remove)
    }

    /// The item as it becomes.
    pub(super) fn applied(&self, old: &Item) -> Result<Item, ItemError> {
        let mut new = old.clone();
        for (path, sum) in &self.set {
            let value = sum.value(old)?;
            parent(&mut new, path)?.insert(path[path.len() - 1].clone(), value);
        }
        for path in &self.remove {
            parent(&mut new, path)?.remove(&path[path.len() - 1]);
        }
        Ok(new)
    }
}

impl Sum {
    fn parse(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        let first = Operand::parse(parser)?;
        let sign = match parser.peek() {
            "+" => Some(Sign::Plus),
            "-" => Some(Sign::Minus),
            _ => None,
        };
        let second = match sign {
            Some(sign) => {
                parser.next();
                Some((sign, Operand::parse(parser)?))
            }
            None => None,
        };
        Ok(Self { first, second })
    }

    fn value(&self, old: &Item) -> Result<Value, ItemError> {
        let first = self.first.value(old)?;
        let Some((sign, second)) = &self.second else { return Ok(first) };
        let second = second.value(old)?;
        let wrong = || ItemError::validation(format!("An operand has an incorrect data type: {first}, {second}"));
        let (first, second) = (number(&first).ok_or_else(wrong)?, number(&second).ok_or_else(wrong)?);
        let sum = match sign {
            Sign::Plus => first.checked_add(second),
            Sign::Minus => first.checked_sub(second),
        };
        Ok(json!({"N": sum.ok_or_else(|| ItemError::validation("Number overflow"))?.to_string()}))
    }
}

impl Operand {
    fn parse(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        if parser.peek().starts_with(':') {
            return parser.value().map(Self::Value);
        }
        if parser.accept_function("if_not_exists")? {
            let path = parser.path()?;
            parser.expect(",")?;
            let otherwise = Self::parse(parser)?;
            parser.expect(")")?;
            return Ok(Self::IfNotExists(path, otherwise.into()));
        }
        parser.path().map(Self::Path)
    }

    fn value(&self, old: &Item) -> Result<Value, ItemError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Path(path) => get(old, path).cloned().ok_or_else(|| {
                ItemError::validation("The provided expression refers to an attribute that does not exist in the item")
            }),
            Self::IfNotExists(path, otherwise) => match get(old, path) {
                Some(value) => Ok(value.clone()),
                None => otherwise.value(old),
            },
        }
    }
}
