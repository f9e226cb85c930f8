//! Values with expressions in them, as `Arguments`, `Assign` and `Output` are: parsed once, evaluated often.
//!
//! As Step Functions evaluates JSONata 2.0.6
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>): what has no value is an error.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::expression::{Expression, embedded};

/// The variables of an execution. Their values are shared: a copy of an execution copies none of them.
pub type Variables = BTreeMap<String, Arc<Value>>;

/// What an expression can see.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The variables by name, without `$`.
    pub variables: &'a Variables,
    /// `$states`.
    pub states: States<'a>,
    /// What `$millis()` says.
    pub now: Timestamp,
}

/// The reserved variable `$states`.
#[derive(Clone, Copy, Debug)]
pub struct States<'a> {
    /// The state's input.
    pub input: &'a Value,
    /// A task's result; in its `Assign` only.
    pub result: Option<&'a Value>,
    /// A caught error; in a Catch only.
    pub error_output: Option<&'a Value>,
    /// The context object.
    pub context: &'a Value,
}

/// An expression that has no value, or a wrong one: `States.QueryEvaluationError`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the JSONata expression '{expression}' {problem}")]
pub struct Undefined {
    /// The expression, without `{% %}`.
    pub expression: String,
    /// What is wrong.
    pub problem: String,
}

/// A value with expressions in it, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Constant(Value),
    Expression(String, Expression),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Template {
    /// Reads a value.
    ///
    /// # Errors
    /// The first text that is not in the subset, or that holds a placeholder.
    pub fn compile(value: &Value) -> Result<Self, String> {
        Node::compile(value).map(Self)
    }

    /// Its value in a scope.
    ///
    /// # Errors
    /// The first expression without a value.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, Undefined> {
        self.0.evaluate(scope)
    }

    /// Whether the value of some path in it depends on what is at `$states` and these fields, or is part of it.
    #[must_use]
    pub fn reads(&self, fields: &[&str]) -> bool {
        self.0.reads(fields)
    }
}

impl Node {
    fn compile(value: &Value) -> Result<Self, String> {
        let all = |nodes: &[Self]| nodes.iter().all(|node| matches!(node, Self::Constant(_)));
        match value {
            Value::String(text) if text.contains("${") => Err(format!("a placeholder is not filled: {text}")),
            Value::String(text) => match embedded(text)? {
                Some(Expression::FromNow(millis)) if millis.parse::<u32>().is_err() => {
                    Err(format!("not a number of milliseconds: {text}"))
                }
                Some(expression) => {
                    Ok(Self::Expression(text.trim_matches(['{', '%', '}', ' ']).to_owned(), expression))
                }
                None => Ok(Self::Constant(value.clone())),
            },
            Value::Array(items) => {
                let nodes = items.iter().map(Self::compile).collect::<Result<Vec<_>, _>>()?;
                Ok(if all(&nodes) { Self::Constant(value.clone()) } else { Self::Array(nodes) })
            }
            Value::Object(fields) => {
                let nodes = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::compile(value)?)))
                    .collect::<Result<Vec<_>, String>>()?;
                let constant = nodes.iter().all(|(_, node)| matches!(node, Self::Constant(_)));
                Ok(if constant { Self::Constant(value.clone()) } else { Self::Object(nodes) })
            }
            _ => Ok(Self::Constant(value.clone())),
        }
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, Undefined> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Expression(text, expression) => {
                let failed = |problem: String| Undefined { expression: text.clone(), problem };
                match evaluate(expression, scope).map_err(failed)? {
                    Some(value) => Ok(value.into_owned()),
                    None => Err(failed("returned nothing (undefined)".into())),
                }
            }
            Self::Array(nodes) => nodes.iter().map(|node| node.evaluate(scope)).collect(),
            Self::Object(nodes) => nodes
                .iter()
                .map(|(name, node)| Ok((name.clone(), node.evaluate(scope)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }

    fn reads(&self, fields: &[&str]) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Expression(_, expression) => expression
                .paths()
                .into_iter()
                .any(|path| path[0] == "states" && path[1..].iter().zip(fields).all(|(name, field)| name == field)),
            Self::Array(nodes) => nodes.iter().any(|node| node.reads(fields)),
            Self::Object(nodes) => nodes.iter().any(|(_, node)| node.reads(fields)),
        }
    }
}

/// The value of an expression; `None` is JSONata's undefined.
///
/// # Errors
/// What no value can be made of.
pub fn evaluate<'a>(expression: &'a Expression, scope: &Scope<'a>) -> Result<Option<Cow<'a, Value>>, String> {
    let owned = |value: Value| Ok(Some(Cow::Owned(value)));
    match expression {
        Expression::Path(path) => Ok(at(path, scope)),
        Expression::Literal(value) => Ok(Some(Cow::Borrowed(value))),
        Expression::Equals(left, right) => match (evaluate(left, scope)?, evaluate(right, scope)?) {
            (Some(left), Some(right)) => owned(equal(&left, &right).into()),
            // Nothing equals nothing, not even nothing.
            _ => owned(false.into()),
        },
        Expression::After(left, right) => match (evaluate(left, scope)?, evaluate(right, scope)?) {
            (Some(left), Some(right)) => match (left.as_str(), right.as_str()) {
                (Some(left), Some(right)) => owned((left > right).into()),
                _ => Err("compares what are not two texts".into()),
            },
            _ => Ok(None),
        },
        Expression::Exists(path) => owned(at(path, scope).is_some().into()),
        Expression::Text(path) => match at(path, scope) {
            Some(value) => owned(text(&value).into()),
            None => Ok(None),
        },
        Expression::Excerpt(path, most) => match at(path, scope) {
            Some(value) => owned(text(&value).chars().take(*most).collect::<String>().into()),
            None => Ok(None),
        },
        Expression::Parsed(path) => match at(path, scope).as_deref() {
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(value) => owned(value),
                Err(error) => Err(format!("was given what is not JSON: {error}")),
            },
            Some(_) => Err("was given what is not a text".into()),
            None => Ok(None),
        },
        Expression::Instant(path) => match at(path, scope).as_deref() {
            Some(Value::String(text)) => match text.parse() {
                Ok(time) => owned(timestamp(time).into()),
                Err(_) => Err(format!("was given what is no time: {text}")),
            },
            Some(_) => Err("was given what is not a text".into()),
            None => Ok(None),
        },
        // What is not there joins as an empty text.
        Expression::Joined(literal, path) => {
            owned(format!("{literal}{}", at(path, scope).map_or_else(String::new, |value| text(&value))).into())
        }
        Expression::FromNow(millis) => {
            let millis: u32 = millis.parse().map_err(|_| "has no number of milliseconds")?;
            owned(timestamp(scope.now + SignedDuration::from_millis(millis.into())).into())
        }
    }
}

/// A time as Step Functions writes it: UTC, in milliseconds.
#[must_use]
pub fn timestamp(time: Timestamp) -> String {
    let whole = Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
    format!("{whole:.3}")
}

/// What a path leads to.
fn at<'a>(path: &[String], scope: &Scope<'a>) -> Option<Cow<'a, Value>> {
    let (name, fields) = path.split_first()?;
    if name != "states" {
        return follow(scope.variables.get(name)?, fields);
    }
    let states = &scope.states;
    let parts = [
        ("input", Some(states.input)),
        ("result", states.result),
        ("errorOutput", states.error_output),
        ("context", Some(states.context)),
    ];
    let Some((part, fields)) = fields.split_first() else {
        let known = parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        return Some(Cow::Owned(Value::Object(known.collect())));
    };
    follow(parts.into_iter().find(|(name, _)| name == part)?.1?, fields)
}

fn follow<'a>(root: &'a Value, fields: &[String]) -> Option<Cow<'a, Value>> {
    let mut at = root;
    for (depth, field) in fields.iter().enumerate() {
        match at {
            Value::Object(object) => at = object.get(field)?,
            Value::Array(items) => return through(items, &fields[depth..]),
            _ => return None,
        }
    }
    Some(Cow::Borrowed(at))
}

/// A path through an array: each step maps over the elements and flattens what it finds by one level; a single
/// result stands for itself. Only the array that a single last field holds stays as it is.
fn through<'a>(items: &'a [Value], fields: &[String]) -> Option<Cow<'a, Value>> {
    let mut sequence: Vec<&Value> = items.iter().collect();
    for (depth, field) in fields.iter().enumerate() {
        let mut found: Vec<Vec<&Value>> = Vec::new();
        for item in sequence {
            match item {
                Value::Object(object) => found.extend(object.get(field).map(|value| vec![value])),
                Value::Array(items) => {
                    let mut inner = Vec::new();
                    look_up(items, field, &mut inner);
                    if !inner.is_empty() {
                        found.push(inner);
                    }
                }
                _ => {}
            }
        }
        if let ([only], true) = (found.as_slice(), depth + 1 == fields.len())
            && let [value @ Value::Array(_)] = only.as_slice()
        {
            return Some(Cow::Borrowed(value));
        }
        sequence = Vec::new();
        for values in found {
            match values.as_slice() {
                [Value::Array(items)] => sequence.extend(items),
                values => sequence.extend(values),
            }
        }
    }
    match sequence.as_slice() {
        [] => None,
        [value] => Some(Cow::Borrowed(value)),
        values => Some(Cow::Owned(values.iter().copied().cloned().collect())),
    }
}

/// A field of every element, however deep arrays nest.
fn look_up<'a>(items: &'a [Value], field: &str, found: &mut Vec<&'a Value>) {
    for item in items {
        match item {
            Value::Object(object) => match object.get(field) {
                Some(Value::Array(values)) => found.extend(values),
                Some(value) => found.push(value),
                None => {}
            },
            Value::Array(items) => look_up(items, field, found),
            _ => {}
        }
    }
}

/// Equality of JSON, where 1 and 1.0 are the same number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right)))
        }
        _ => left == right,
    }
}

/// `$string`: a text is itself, all else its JSON with numbers of at most 15 digits.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => plain_numbers(value).to_string(),
    }
}

fn plain_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number: f64 = format!("{:.14e}", number.as_f64().unwrap_or_default()).parse().unwrap_or_default();
            // Displayed without a fraction if there is none.
            serde_json::from_str(&number.to_string()).unwrap_or_else(|_| number.into())
        }
        Value::Array(items) => items.iter().map(plain_numbers).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain_numbers(value))).collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluated(template: &Value, variables: &Value, states: [Option<&Value>; 2]) -> Result<Value, String> {
        let variables = variables.as_object().unwrap();
        let variables = variables.iter().map(|(name, value)| (name.clone(), Arc::new(value.clone()))).collect();
        let context = json!({"Execution": {"Id": "arn:me", "Input": {"service": "shop"}}});
        let [result, error_output] = states;
        let states = States { input: &json!({"service": "shop"}), result, error_output, context: &context };
        let now = "2026-11-23T05:51:37.1239Z".parse().unwrap();
        let template = Template::compile(template)?;
        template.evaluate(&Scope { variables: &variables, states, now }).map_err(|error| error.to_string())
    }

    /// Each agrees with the emulator's JSONata.
    #[test]
    fn expressions_have_the_values_that_jsonata_gives_them() {
        let variables = json!({
            "one": [{"b": 1}], "two": [{"b": 1}, {"b": 2}], "arrays": [{"b": [1]}, {"b": [2, 3]}], "deep": [[{"b": 1}]],
            "deeper": [[{"b": [1, 2]}]], "lone": [{"b": [1]}], "a": {"b": ["x"], "none": [], "nil": null, "n": 1.5},
            "nested": {"b": [{"c": [[1]]}]}, "list": ["x"], "next": "bake", "i": 1, "f": 1.0, "sum": {"c": 0.1},
            "text": "{\"x\":[1]}", "yes": true,
        });
        let some = |value: Value| Ok::<_, ()>(value);
        let cases = [
            ("$one.b", some(json!(1))),
            ("$two.b", some(json!([1, 2]))),
            ("$arrays.b", some(json!([1, 2, 3]))),
            ("$deep.b", some(json!(1))),
            ("$deeper.b", some(json!([1, 2]))),
            ("$lone.b", some(json!([1]))),
            ("$nested.b.c", some(json!([[1]]))),
            ("$a.b", some(json!(["x"]))),
            ("$a.none", some(json!([]))),
            ("$a.none.x", Err(())),
            ("$a.nil", some(json!(null))),
            ("$a.nil.x", Err(())),
            ("$a.n.x", Err(())),
            ("$two.c", Err(())),
            ("$nowhere", Err(())),
            ("$list", some(json!(["x"]))),
            ("$next = 'bake'", some(json!(true))),
            ("$next = 'shift'", some(json!(false))),
            ("$i = $f", some(json!(true))),
            ("$yes = true", some(json!(true))),
            ("$next = true", some(json!(false))),
            ("$a.x = 'bake'", some(json!(false))),
            ("$a.x = $a.y", some(json!(false))),
            ("$exists($a.nil)", some(json!(true))),
            ("$exists($a.x)", some(json!(false))),
            ("$exists($states.result)", some(json!(false))),
            ("$string($next)", some(json!("bake"))),
            ("$string($f)", some(json!("1"))),
            ("$string($a)", some(json!(r#"{"b":["x"],"n":1.5,"nil":null,"none":[]}"#))),
            ("$string($a.x)", Err(())),
            ("$parse($text)", some(json!({"x": [1]}))),
            ("$parse($next)", Err(())),
            ("$parse($a.x)", Err(())),
            ("'/services/' & $states.input.service", some(json!("/services/shop"))),
            ("'/services/' & $states.input.x", some(json!("/services/"))),
            ("'n' & $a.nil", some(json!("nnull"))),
            ("$states.context.Execution.Id", some(json!("arn:me"))),
            ("$states.context.Execution.Input", some(json!({"service": "shop"}))),
            ("$states.context.Execution.RedriveTime", Err(())),
            ("$states.result.x", Err(())),
            ("$fromMillis($millis() + 45000)", some(json!("2026-11-23T05:52:22.123Z"))),
            ("'bake'", some(json!("bake"))),
            ("'true'", some(json!("true"))),
            ("true", some(json!(true))),
        ];
        for (expression, expected) in cases {
            let value = evaluated(&json!(format!("{{% {expression} %}}")), &variables, [None, None]);
            assert_eq!(value.clone().map_err(|_| ()), expected, "{expression}: {value:?}");
        }
    }

    #[test]
    fn templates_are_filled_however_deep() {
        let template = json!({
            "Key": {"service": {"S": "{% $states.input.service %}"}}, "List": [1, "{% $states.result.n %}", null],
            "Plain": {"a": [true]}, "Failure": "{% $states.errorOutput.Error %}",
        });
        let states = [Some(&json!({"n": 7})), Some(&json!({"Error": "Boom"}))];
        let expected = json!({
            "Key": {"service": {"S": "shop"}}, "List": [1, 7, null], "Plain": {"a": [true]}, "Failure": "Boom",
        });
        assert_eq!(evaluated(&template, &json!({}), states), Ok(expected));
        let error = evaluated(&template, &json!({}), [None, None]).unwrap_err();
        assert_eq!(error, "the JSONata expression '$states.errorOutput.Error' returned nothing (undefined)");
    }

    #[test]
    fn what_cannot_be_evaluated_does_not_compile() {
        for (template, expected) in [
            (json!("{% $count($x) %}"), "not in the subset"),
            (json!("{% $x.null %}"), "not in the subset"),
            (json!("{% $x.0 %}"), "not in the subset"),
            (json!({"a": ["b {% $x %}"]}), "an expression inside of a text"),
            (json!("${table}"), "a placeholder is not filled"),
            (json!("{% $fromMillis($millis() + x) %}"), "not a number of milliseconds"),
        ] {
            let error = Template::compile(&template).unwrap_err();
            assert!(error.contains(expected), "{template}: {error}");
        }
    }

    #[test]
    fn reads_knows_what_a_template_depends_on() {
        let template = Template::compile(&json!(["{% $states.context.Execution.Id %}"])).unwrap();
        for (fields, expected) in [
            (&["context"][..], true),
            (&["context", "Execution", "Id"], true),
            (&["context", "Execution", "Id", "x"], true),
            (&["context", "Execution", "Input"], false),
            (&["input"], false),
        ] {
            assert_eq!(template.reads(fields), expected, "{fields:?}");
        }
    }
}
