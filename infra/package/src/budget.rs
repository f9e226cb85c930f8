//! How large the functions' programs may be.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::program::Architecture;

/// Why there is no table of budgets.
#[derive(Debug, Eq, Error, PartialEq)]
#[error("line {line} is not FUNCTION X86_64 ARM64, in KiB, once for each function: {text:?}")]
pub struct BudgetError {
    /// Which, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// The largest programs, by function.
#[derive(Debug, Default)]
pub struct Budgets(BTreeMap<String, [u64; 2]>);

impl Budgets {
    /// Reads a table: a function and two numbers of KiB in each line, for `x86_64` and for arm64. What follows a `#`
    /// is a remark.
    ///
    /// # Errors
    /// The first line that is something else, or names a function again.
    pub fn parse(text: &str) -> Result<Self, BudgetError> {
        let mut budgets = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            let parsed = match words[..] {
                [] => continue,
                [function, x86, arm] => {
                    x86.parse().ok().zip(arm.parse().ok()).map(|(x86, arm)| (function.to_owned(), [x86, arm]))
                }
                _ => None,
            };
            let fresh = parsed.filter(|(function, _)| !budgets.contains_key(function));
            let (function, sizes) = fresh.ok_or_else(|| BudgetError { line: number, text: line.into() })?;
            budgets.insert(function, sizes);
        }
        Ok(Self(budgets))
    }

    /// The largest program of a function, in bytes.
    #[must_use]
    pub fn of(&self, function: &str, architecture: Architecture) -> Option<u64> {
        let [x86, arm] = self.0.get(function)?;
        Some(1024 * if architecture == Architecture::X86 { x86 } else { arm })
    }

    /// The functions that have one.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
