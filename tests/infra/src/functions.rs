//! Which calls each function makes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::Item;
use syn::visit::Visit;

use crate::Actions;
use crate::adapters::Adapters;
use crate::source::{self, Calls, Source};

/// What is shared by the functions and is no function.
const SHARED: [&str; 2] = ["aws", "core"];

/// The functions by name: what each calls.
///
/// # Errors
/// What cannot be read, or not be understood.
pub fn read(root: &Path, adapters: &Adapters) -> Result<BTreeMap<String, Actions>, String> {
    let directory = root.join("functions");
    let shared = source::below(&directory.join("aws/src"))?;
    let mut functions = BTreeMap::new();
    let entries = std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !SHARED.contains(&name.as_str()) {
            let manifest = std::fs::read_to_string(path.join("Cargo.toml")).map_err(|error| error.to_string())?;
            if manifest.contains("aws-sdk-") {
                return Err(format!("{name} has an SDK of its own, beside the adapters"));
            }
            let sources = source::below(&path.join("src"))?;
            let actions = of(&sources, &shared, adapters).map_err(|problem| format!("{name}: {problem}"))?;
            functions.insert(name, actions);
        }
    }
    Ok(functions)
}

/// What a function of these files calls, by way of the ports that it names and of the shared crate's functions.
///
/// # Errors
/// What cannot be understood.
pub fn of(sources: &[Source], shared: &[Source], adapters: &Adapters) -> Result<Actions, String> {
    let mut actions = Actions::new();
    let mut left = Vec::new();
    let offered = offered(sources, "spillway_aws", adapters)?;
    for source in sources {
        let mut calls = Calls::default();
        calls.visit_file(&source.file);
        actions.extend(used(&calls, &offered)?);
        left.extend(helpers(&calls, source, "spillway_aws"));
    }
    let mut seen = BTreeSet::new();
    while let Some(helper) = left.pop() {
        if !seen.insert(helper.clone()) {
            continue;
        }
        for source in shared.iter().filter(|source| source.module == helper.0) {
            let offered = self::offered(std::slice::from_ref(source), "crate", adapters)?;
            for item in &source.file.items {
                if let Item::Fn(function) = item
                    && (function.sig.ident == helper.1)
                {
                    let mut calls = Calls::default();
                    calls.visit_item_fn(function);
                    actions.extend(used(&calls, &offered)?);
                    left.extend(helpers(&calls, source, "crate"));
                    left.extend(calls.functions.iter().filter_map(|path| match path.as_slice() {
                        [name] => Some((source.module.clone(), name.clone())),
                        _ => None,
                    }));
                }
            }
        }
    }
    Ok(actions)
}

type Offered<'a> = Vec<(&'a (String, usize), &'a Actions)>;

/// The verbs of the ports, and the methods of the adapters, that these files import.
fn offered<'a>(sources: &[Source], shared: &str, adapters: &'a Adapters) -> Result<Offered<'a>, String> {
    let mut offered = Vec::new();
    for path in sources.iter().flat_map(|source| source.imports.values()) {
        let (Some(of), Some(name)) = (path.first(), path.last()) else { continue };
        if of != shared {
            continue;
        }
        if name == "*" {
            return Err(format!("{} may import anything", path.join("::")));
        }
        if path.get(1).is_some_and(|module| module == "ports") && path.len() == 3 {
            let verbs = adapters.ports.get(name).ok_or_else(|| format!("there is no port {name}"))?;
            offered.extend(verbs);
        }
        offered.extend(adapters.methods.get(name).into_iter().flatten());
    }
    Ok(offered)
}

fn used(calls: &Calls, offered: &Offered<'_>) -> Result<Actions, String> {
    for (verb, _) in offered {
        let called = format!(". {} (", verb.0);
        if let Some(hidden) = calls.opaque.iter().find(|tokens| tokens.contains(&called)) {
            return Err(format!("a macro that cannot be read may call {}: {hidden}", verb.0));
        }
    }
    let used = offered.iter().filter(|(verb, _)| calls.methods.contains(verb));
    Ok(used.flat_map(|(_, actions)| actions.iter().cloned()).collect())
}

/// The shared crate's functions that are called, as module and name.
fn helpers(calls: &Calls, source: &Source, shared: &str) -> Vec<(String, String)> {
    let full = calls.functions.iter().filter_map(|path| {
        let (first, rest) = path.split_first()?;
        let start = source.imports.get(first).cloned().unwrap_or_else(|| vec![first.clone()]);
        Some([start.as_slice(), rest].concat())
    });
    full.filter(|path| path.first().is_some_and(|of| of == shared))
        .filter_map(|path| match path.as_slice() {
            [.., module, name] => Some((module.clone(), name.clone())),
            _ => None,
        })
        .collect()
}
