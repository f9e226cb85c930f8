//! Rust files, parsed, without their tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Attribute, Expr, File, Item, Meta, Token, UseTree};

/// A parsed file.
pub struct Source {
    /// Its place, for messages.
    pub path: String,
    /// The file's module: its name without `.rs`.
    pub module: String,
    /// What it holds.
    pub file: File,
    /// What its names stand for: `LeaseTable` for `spillway_aws::lease::LeaseTable`.
    pub imports: BTreeMap<String, Vec<String>>,
}

/// All Rust files below a directory.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn below(directory: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            sources.extend(below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(read(&path)?);
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

/// One file.
///
/// # Errors
/// It cannot be read or parsed.
pub fn read(path: &Path) -> Result<Source, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let module = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    parse(&path.display().to_string(), &module, &text)
}

/// A file's text.
///
/// # Errors
/// It cannot be parsed.
pub fn parse(path: &str, module: &str, text: &str) -> Result<Source, String> {
    let mut file = syn::parse_file(text).map_err(|error| format!("{path}: {error}"))?;
    file.items.retain(|item| !is_test(attributes(item)));
    let mut imports = BTreeMap::new();
    for item in &file.items {
        if let Item::Use(item) = item {
            import(&mut Vec::new(), &item.tree, &mut imports);
        }
    }
    Ok(Source { path: path.to_owned(), module: module.to_owned(), file, imports })
}

fn import(before: &mut Vec<String>, tree: &UseTree, imports: &mut BTreeMap<String, Vec<String>>) {
    let mut name = |before: &[String], own: &str, known_as: &str| {
        let (path, known_as) = match (own, before.last()) {
            ("self", Some(module)) => (before.to_vec(), if known_as == "self" { module.as_str() } else { known_as }),
            _ => ([before, &[own.to_owned()]].concat(), known_as),
        };
        imports.insert(known_as.to_owned(), path);
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            import(before, &path.tree, imports);
            before.pop();
        }
        UseTree::Name(own) => name(before, &own.ident.to_string(), &own.ident.to_string()),
        UseTree::Rename(own) => name(before, &own.ident.to_string(), &own.rename.to_string()),
        UseTree::Group(group) => {
            for tree in &group.items {
                import(before, tree, imports);
            }
        }
        UseTree::Glob(_) => name(before, "*", &format!("{}::*", before.join("::"))),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The names of a path, without its generic arguments.
#[must_use]
pub fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Calls of methods (name and number of arguments) and of functions (path) in a piece of code.
#[derive(Debug, Default)]
pub struct Calls {
    /// Methods.
    pub methods: Vec<(String, usize)>,
    /// Functions.
    pub functions: Vec<Vec<String>>,
    /// Macros that could not be looked into.
    pub opaque: Vec<String>,
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.methods.push((call.method.to_string(), call.args.len()));
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func {
            self.functions.push(names(&path.path));
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        match called.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            Ok(arguments) => {
                let mut inner = Self::default();
                for argument in &arguments {
                    inner.visit_expr(argument);
                }
                self.methods.extend(inner.methods);
                self.functions.extend(inner.functions);
                self.opaque.extend(inner.opaque);
            }
            Err(_) => self.opaque.push(called.tokens.to_string()),
        }
    }
}
