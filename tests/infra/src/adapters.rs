//! Which calls the adapters make for each verb of a port.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;
use syn::{Expr, FnArg, ImplItem, Item, ItemImpl, Member, TraitItem, Type, Visibility};

use crate::Actions;
use crate::source::{self, Source, names};

/// The SDK's crates and their services' prefixes in IAM.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
const SERVICES: [(&str, &str); 12] = [
    ("aws_sdk_applicationautoscaling", "application-autoscaling"),
    ("aws_sdk_autoscaling", "autoscaling"),
    ("aws_sdk_cloudwatch", "cloudwatch"),
    ("aws_sdk_dynamodb", "dynamodb"),
    ("aws_sdk_ecs", "ecs"),
    ("aws_sdk_elasticloadbalancingv2", "elasticloadbalancing"),
    ("aws_sdk_eventbridge", "events"),
    ("aws_sdk_iam", "iam"),
    ("aws_sdk_lambda", "lambda"),
    ("aws_sdk_sfn", "states"),
    ("aws_sdk_sns", "sns"),
    ("aws_sdk_ssm", "ssm"),
];

/// A verb: its name, and its number of arguments without `self`.
pub type Verb = (String, usize);

/// What `functions/aws` offers.
#[derive(Debug, Default)]
pub struct Adapters {
    /// The actions of each verb of each port.
    pub ports: BTreeMap<String, BTreeMap<Verb, Actions>>,
    /// The actions of the methods that the types with clients offer beside their ports', by type.
    pub methods: BTreeMap<String, BTreeMap<Verb, Actions>>,
}

/// A method of an adapter: what it calls of the SDK, and of its own type.
#[derive(Default)]
struct Body {
    actions: Actions,
    own: BTreeSet<String>,
}

/// A client's place: its type, and its field there.
type Clients = BTreeMap<(String, String), String>;
/// Bodies by type, trait (empty for none) and verb.
type Bodies = BTreeMap<(String, String, Verb), Body>;

/// Reads `functions/aws/src`.
///
/// # Errors
/// What cannot be read, or not be understood.
pub fn read(root: &Path) -> Result<Adapters, String> {
    of(&source::below(&root.join("functions/aws/src"))?)
}

/// Reads the files of the crate.
///
/// # Errors
/// What cannot be understood.
pub fn of(sources: &[Source]) -> Result<Adapters, String> {
    let clients = clients(sources)?;
    let mut bodies = Bodies::new();
    let mut public = BTreeSet::new();
    for source in sources {
        for item in &source.file.items {
            match item {
                Item::Impl(item) => implementation(source, item, &clients, &mut bodies, &mut public)?,
                Item::Fn(item) => takes_no_client(source, &item.sig)?,
                _ => {}
            }
        }
    }
    let mut adapters = Adapters::default();
    for (port, verbs) in ports(sources) {
        for verb in verbs {
            let types: BTreeSet<&String> =
                bodies.keys().filter(|(_, of, own)| *of == port && *own == verb).map(|(owner, ..)| owner).collect();
            if types.is_empty() {
                return Err(format!("no type implements {} of the port {port}", verb.0));
            }
            let actions = types.iter().flat_map(|owner| closure(&bodies, owner, Some(&port), &verb.0)).collect();
            adapters.ports.entry(port.clone()).or_default().insert(verb, actions);
        }
    }
    for (owner, verb) in public {
        let actions = closure(&bodies, &owner, Some(""), &verb.0);
        adapters.methods.entry(owner).or_default().insert(verb, actions);
    }
    Ok(adapters)
}

/// The ports and their verbs.
fn ports(sources: &[Source]) -> BTreeMap<String, Vec<Verb>> {
    let mut ports: BTreeMap<String, Vec<Verb>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.module == "ports") {
        for item in &source.file.items {
            let Item::Trait(port) = item else { continue };
            let verbs = port.items.iter().filter_map(|item| match item {
                TraitItem::Fn(verb) => Some((verb.sig.ident.to_string(), arguments(&verb.sig))),
                _ => None,
            });
            ports.entry(port.ident.to_string()).or_default().extend(verbs);
        }
    }
    ports
}

fn arguments(signature: &syn::Signature) -> usize {
    signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_))).count()
}

/// The fields that hold clients of the SDK.
fn clients(sources: &[Source]) -> Result<Clients, String> {
    let mut clients = Clients::new();
    for source in sources {
        for item in &source.file.items {
            let Item::Struct(item) = item else { continue };
            for (index, field) in item.fields.iter().enumerate() {
                let Type::Path(path) = &field.ty else { continue };
                let path = names(&path.path);
                if path.last().is_none_or(|last| last != "Client") {
                    continue;
                }
                let path = match path.as_slice() {
                    [alone] => source.imports.get(alone).cloned().unwrap_or_default(),
                    _ => path,
                };
                let of = path.first().map_or("", String::as_str);
                let service = SERVICES.iter().find(|(name, _)| *name == of).map(|(_, prefix)| *prefix);
                let service =
                    service.ok_or_else(|| format!("{}: whose client is {}?", source.path, path.join("::")))?;
                let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
                if clients.insert((item.ident.to_string(), name), service.to_owned()).is_some() {
                    return Err(format!("{}: two types with a client are called {}", source.path, item.ident));
                }
            }
        }
    }
    Ok(clients)
}

fn implementation(
    source: &Source,
    item: &ItemImpl,
    clients: &Clients,
    bodies: &mut Bodies,
    public: &mut BTreeSet<(String, Verb)>,
) -> Result<(), String> {
    let Type::Path(owner) = &*item.self_ty else { return Ok(()) };
    let owner = names(&owner.path).pop().unwrap_or_default();
    let of = item.trait_.as_ref().and_then(|(_, path, _)| names(path).pop()).unwrap_or_default();
    for item in &item.items {
        let ImplItem::Fn(method) = item else { continue };
        takes_no_client(source, &method.sig)?;
        let mut visitor = Visitor { source, owner: &owner, clients, body: Body::default(), problems: Vec::new() };
        visitor.visit_block(&method.block);
        if let Some(problem) = visitor.problems.first() {
            return Err(format!("{}: {owner}::{}: {problem}", source.path, method.sig.ident));
        }
        let verb = (method.sig.ident.to_string(), arguments(&method.sig));
        if of.is_empty()
            && matches!(method.vis, Visibility::Public(_))
            && method.sig.receiver().is_some()
            && clients.keys().any(|(with, _)| *with == owner)
        {
            public.insert((owner.clone(), verb.clone()));
        }
        bodies.insert((owner.clone(), of.clone(), verb), visitor.body);
    }
    Ok(())
}

/// A client that is handed on as an argument is out of sight.
fn takes_no_client(source: &Source, signature: &syn::Signature) -> Result<(), String> {
    struct Finds(bool);
    impl<'ast> Visit<'ast> for Finds {
        fn visit_path(&mut self, path: &'ast syn::Path) {
            self.0 |= names(path).last().is_some_and(|last| last == "Client");
            syn::visit::visit_path(self, path);
        }
    }
    let mut finds = Finds(false);
    finds.visit_signature(signature);
    if finds.0 { Err(format!("{}: {} takes a client", source.path, signature.ident)) } else { Ok(()) }
}

/// The actions of a method and of those of its own type that it calls.
fn closure(bodies: &Bodies, owner: &str, of: Option<&str>, name: &str) -> Actions {
    let mut actions = Actions::new();
    let mut seen = BTreeSet::new();
    let mut left = vec![(of, name)];
    while let Some((of, name)) = left.pop() {
        for ((this, its, verb), body) in bodies {
            if this == owner && verb.0 == name && of.is_none_or(|of| of == its) && seen.insert((its, verb)) {
                actions.extend(body.actions.iter().cloned());
                left.extend(body.own.iter().map(|own| (None, own.as_str())));
            }
        }
    }
    actions
}

struct Visitor<'a> {
    source: &'a Source,
    owner: &'a str,
    clients: &'a Clients,
    body: Body,
    problems: Vec<String>,
}

impl Visitor<'_> {
    /// The service of the client that an expression is.
    fn client(&self, expression: &Expr) -> Option<&str> {
        match expression {
            Expr::Field(field) if is_self(&field.base) => {
                let name = match &field.member {
                    Member::Named(name) => name.to_string(),
                    Member::Unnamed(index) => index.index.to_string(),
                };
                self.clients.get(&(self.owner.to_owned(), name)).map(String::as_str)
            }
            Expr::Reference(reference) => self.client(&reference.expr),
            Expr::Paren(paren) => self.client(&paren.expr),
            _ => None,
        }
    }

    /// The operation of the only builder that the file imports: `send_with` names none itself.
    fn built(&self) -> Option<String> {
        let builders =
            self.source.imports.values().filter(|path| path.last().is_some_and(|n| n.ends_with("InputBuilder")));
        let operations: BTreeSet<&String> =
            builders.filter_map(|path| path.iter().skip_while(|name| *name != "operation").nth(1)).collect();
        match operations.into_iter().collect::<Vec<_>>().as_slice() {
            [one] => Some((*one).clone()),
            _ => None,
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if let Some(service) = self.client(&call.receiver) {
            self.body.actions.insert(action(service, &method));
            if !call.args.is_empty() {
                self.problems.push(format!("{method} is no operation: it takes arguments"));
            }
            return;
        }
        if method == "send_with"
            && let Some(service) = call.args.first().and_then(|argument| self.client(argument))
        {
            match self.built() {
                Some(operation) => _ = self.body.actions.insert(action(service, &operation)),
                None => self.problems.push("send_with sends no one knows what".to_owned()),
            }
            self.visit_expr(&call.receiver);
            return;
        }
        if is_self(&call.receiver) {
            self.body.own.insert(method);
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let [of, name] = names(&path.path).as_slice()
            && (of == "Self" || of == self.owner)
        {
            self.body.own.insert(name.clone());
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if self.client(&Expr::Field(field.clone())).is_some() {
            self.problems.push("the client is handed on".to_owned());
        }
        syn::visit::visit_expr_field(self, field);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let has_client = self.clients.keys().any(|(with, _)| with == self.owner);
        if has_client && called.tokens.to_string().contains("self") {
            self.problems.push("a macro may call anything".to_owned());
        }
    }
}

fn is_self(expression: &Expr) -> bool {
    matches!(expression, Expr::Path(path) if path.path.is_ident("self"))
}

/// `modify_rule` of `elasticloadbalancing` is `elasticloadbalancing:ModifyRule`.
fn action(service: &str, method: &str) -> String {
    let words = method.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    format!("{service}:{}", words.collect::<String>())
}
