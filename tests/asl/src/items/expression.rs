//! Condition expressions, and the parser of all expressions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ItemError;
use super::attribute::{Item, Path, equal, get, order};

/// What must hold before an update.
#[derive(Debug)]
pub(super) enum Condition {
    Exists(Path),
    NotExists(Path),
    Compare(Operand, Comparison, Operand),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

/// A side of a comparison.
#[derive(Debug)]
pub(super) enum Operand {
    Path(Path),
    Value(Value),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        let mut condition = Self::all(parser)?;
        while parser.accept_word("OR") {
            condition = Self::Or(condition.into(), Self::all(parser)?.into());
        }
        Ok(condition)
    }

    fn all(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        let mut condition = Self::one(parser)?;
        while parser.accept_word("AND") {
            condition = Self::And(condition.into(), Self::one(parser)?.into());
        }
        Ok(condition)
    }

    fn one(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        if parser.accept_word("NOT") {
            return Ok(Self::Not(Self::one(parser)?.into()));
        }
        if parser.accept("(") {
            let condition = Self::parse(parser)?;
            parser.expect(")")?;
            return Ok(condition);
        }
        for (function, make) in
            [("attribute_exists", Self::Exists as fn(Path) -> Self), ("attribute_not_exists", Self::NotExists)]
        {
            if parser.accept_function(function)? {
                let path = parser.path()?;
                parser.expect(")")?;
                return Ok(make(path));
            }
        }
        let left = Operand::parse(parser)?;
        let token = parser.next().to_owned();
        let comparison = match token.as_str() {
            "=" => Comparison::Equal,
            "<>" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return Err(parser.refuse(token)),
        };
        Ok(Self::Compare(left, comparison, Operand::parse(parser)?))
    }

    /// Whether it holds for an item. A comparison with what is missing does not, but for `<>`: it differs.
    pub(super) fn holds(&self, item: &Item) -> Result<bool, ItemError> {
        Ok(match self {
            Self::Exists(path) => get(item, path).is_some(),
            Self::NotExists(path) => get(item, path).is_none(),
            // Both sides, so that no error is overlooked.
            Self::And(left, right) => left.holds(item)? & right.holds(item)?,
            Self::Or(left, right) => left.holds(item)? | right.holds(item)?,
            Self::Not(condition) => !condition.holds(item)?,
            Self::Compare(left, comparison, right) => {
                for operand in [left, right] {
                    operand.comparable(*comparison)?;
                }
                let (Some(left), Some(right)) = (left.value(item), right.value(item)) else {
                    return Ok(matches!(comparison, Comparison::NotEqual));
                };
                match comparison {
                    Comparison::Equal => equal(left, right),
                    Comparison::NotEqual => !equal(left, right),
                    Comparison::Less => order(left, right) == Some(Ordering::Less),
                    Comparison::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
                    Comparison::Greater => order(left, right) == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
                }
            }
        })
    }
}

impl Operand {
    fn parse(parser: &mut Parser<'_>) -> Result<Self, ItemError> {
        if parser.peek().starts_with(':') { parser.value().map(Self::Value) } else { parser.path().map(Self::Path) }
    }

    fn value<'a>(&'a self, item: &'a Item) -> Option<&'a Value> {
        match self {
            Self::Path(path) => get(item, path),
            Self::Value(value) => Some(value),
        }
    }

    fn comparable(&self, comparison: Comparison) -> Result<(), ItemError> {
        match self {
            Self::Value(value)
                if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) && order(value, value).is_none() =>
            {
                Err(ItemError::validation(format!("Incorrect operand type for operator: {value}")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads expressions with their names and values, and knows which of those were used.
pub(super) struct Parser<'a> {
    names: &'a BTreeMap<String, String>,
    values: &'a Item,
    used: BTreeSet<String>,
    text: String,
    tokens: Vec<String>,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(names: &'a BTreeMap<String, String>, values: &'a Item) -> Self {
        Self { names, values, used: BTreeSet::new(), text: String::new(), tokens: Vec::new(), at: 0 }
    }

    /// Reads one expression, all of it.
    pub(super) fn parse<T>(
        &mut self,
        text: &str,
        read: impl FnOnce(&mut Self) -> Result<T, ItemError>,
    ) -> Result<T, ItemError> {
        (self.text, self.tokens, self.at) = (text.to_owned(), tokens(text)?, 0);
        let expression = read(self)?;
        if self.at < self.tokens.len() {
            let token = self.next().to_owned();
            return Err(self.refuse(token));
        }
        Ok(expression)
    }

    /// Refuses names and values that no expression used.
    pub(super) fn all_used(&self) -> Result<(), ItemError> {
        let unused = self.names.keys().chain(self.values.keys()).find(|name| !self.used.contains(*name));
        unused.map_or(Ok(()), |name| Err(ItemError::validation(format!("Value unused in expressions: {name}"))))
    }

    /// The next token; empty at the end.
    pub(super) fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    pub(super) fn next(&mut self) -> &str {
        self.at += 1;
        self.tokens.get(self.at - 1).map_or("", String::as_str)
    }

    pub(super) fn accept(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    /// Keywords are those in any case.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.peek().eq_ignore_ascii_case(word);
        self.at += usize::from(found);
        found
    }

    /// A function's name and `(`; functions have one case.
    pub(super) fn accept_function(&mut self, name: &str) -> Result<bool, ItemError> {
        if self.accept(name) { self.expect("(").map(|()| true) } else { Ok(false) }
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), ItemError> {
        if self.accept(token) {
            return Ok(());
        }
        let found = self.peek().to_owned();
        Err(self.refuse(&found))
    }

    pub(super) fn refuse(&self, token: impl AsRef<str>) -> ItemError {
        let token = Some(token.as_ref()).filter(|token| !token.is_empty()).unwrap_or("<EOF>");
        ItemError::validation(format!("Syntax error; token: {token}, in: {}", self.text))
    }

    pub(super) fn value(&mut self) -> Result<Value, ItemError> {
        let name = self.next().to_owned();
        let value = self.values.get(&name).cloned();
        self.used.insert(name.clone());
        value.ok_or_else(|| ItemError::validation(format!("An expression attribute value is not defined: {name}")))
    }

    pub(super) fn path(&mut self) -> Result<Path, ItemError> {
        let mut path = vec![self.name()?];
        while self.accept(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    pub(super) fn paths(&mut self) -> Result<Vec<Path>, ItemError> {
        let mut paths = vec![self.path()?];
        while self.accept(",") {
            paths.push(self.path()?);
        }
        no_overlap(paths.iter())?;
        Ok(paths)
    }

    fn name(&mut self) -> Result<String, ItemError> {
        let token = self.next().to_owned();
        if token.starts_with('#') {
            self.used.insert(token.clone());
            let name = self.names.get(&token).cloned();
            return name
                .ok_or_else(|| ItemError::validation(format!("An expression attribute name is not defined: {token}")));
        }
        if token.starts_with(|first: char| first.is_ascii_alphabetic()) { Ok(token) } else { Err(self.refuse(&token)) }
    }
}

/// No path may be another's beginning.
pub(super) fn no_overlap<'a>(mut paths: impl Iterator<Item = &'a Path> + Clone) -> Result<(), ItemError> {
    while let Some(path) = paths.next() {
        if paths.clone().any(|other| path.iter().zip(other).all(|(one, other)| one == other)) {
            return Err(ItemError::validation(format!(
                "Two document paths overlap with each other: {}",
                path.join(".")
            )));
        }
    }
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<String>, ItemError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |from: usize| {
            let end = rest[from..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            end.map_or(rest.len(), |end| from + end)
        };
        let length = match first {
            '#' | ':' => word(1),
            first if first.is_ascii_alphabetic() => word(0),
            '<' if rest.starts_with("<=") || rest.starts_with("<>") => 2,
            '>' if rest.starts_with(">=") => 2,
            '<' | '>' | '=' | '(' | ')' | ',' | '.' | '+' | '-' => 1,
            _ => return Err(ItemError::validation(format!("Syntax error; token: {first}, in: {text}"))),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}
