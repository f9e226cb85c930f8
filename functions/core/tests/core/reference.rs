//! The reference of the definition's fields, made of the JSON Schema and of what the reader makes of a field left out.

use std::collections::VecDeque;
use std::fmt::Write;

use serde_json::Value;
use spillway_core::definition::ServiceDefinition;
use spillway_core::figures::count;

use crate::definition::EXAMPLE;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
const HEAD: &str = "\
# Reference of the service definition

<!-- Written by SPILLWAY_BLESS=1 cargo test -p spillway-core --all-features -->

Every field, from the types that read it: a default is what the reader takes where the field is left out. `-` is a field that must
be there. [The definition](../functions/core/definition/README.md) has an example with all of them, and says how they work
together; `spillway schema` prints the same for editors, and `spillway validate FILE` checks one.

Numbers are whole unless the table says otherwise. A field that the tables do not name is refused.
";

/// An object of the definition that the page has a table for.
struct Table {
    /// Where it stands in a definition: `health.alarms[]`.
    path: String,
    /// Where the example has one, as a JSON pointer.
    pointer: String,
    /// Its schema.
    schema: Value,
    /// What the reader takes where all of it is left out.
    whole: Value,
}

/// The schema that `$ref` names, or the first of two that is no null; with the description that is nearest.
fn resolved(root: &Value, schema: &Value) -> Value {
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    let optional = schema["anyOf"].as_array().filter(|all| all.iter().any(|one| one["type"] == "null"));
    let inner = match (named, optional) {
        (Some(name), _) => root["$defs"][name].clone(),
        (None, Some(all)) => resolved(root, all.iter().find(|one| one["type"] != "null").unwrap()),
        (None, None) => return schema.clone(),
    };
    let mut inner = resolved(root, &inner);
    for (place, given) in [
        ("says", "description"),
        ("minimum", "minimum"),
        ("exclusiveMinimum", "exclusiveMinimum"),
        ("maximum", "maximum"),
    ] {
        if let Some(value) = schema.get(given) {
            inner[place] = value.clone();
        }
    }
    inner
}

/// A value as people write it: `180`, `auto`, `1, 5, 25`.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        Value::Number(number) => match number.as_f64().unwrap() {
            large if large >= 10_000.0 => count(large),
            small => small.to_string(),
        },
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        // A step without times of its own.
        Value::Object(step) if step.len() == 1 => shown(&step["weight"]),
        other => other.to_string(),
    }
}

/// The unit that a field's name tells, or its type.
fn unit(name: &str, schema: &Value) -> &'static str {
    let share = schema["description"].as_str().is_some_and(|text| text.starts_with("A share in percent"));
    match name.rsplit('_').next().unwrap() {
        _ if share => " %, in steps of 0.1",
        "seconds" => " s",
        "milliseconds" => " ms",
        "percent" => " %",
        _ if schema["type"] == "number" => ", with decimals",
        _ => "",
    }
}

/// A word, as code if it is an ARN.
fn quoted(word: &str) -> String {
    let bare = word.trim_end_matches([',', ':']);
    if bare.starts_with("arn:") { format!("`{bare}`{}", &word[bare.len()..]) } else { word.to_owned() }
}

/// What a field may be.
fn allowed(root: &Value, name: &str, schema: &Value) -> String {
    let one = |schema: &Value| allowed(root, name, &resolved(root, schema));
    if let Some(all) = schema["oneOf"].as_array() {
        let word = |one: &Value| {
            one["const"].as_str().or_else(|| one["required"][0].as_str()).map(|word| format!("`{word}`")).unwrap()
        };
        return all.iter().map(word).collect::<Vec<_>>().join(", ");
    }
    if let Some(all) = schema["anyOf"].as_array() {
        return all.iter().map(one).collect::<Vec<_>>().join("; or ");
    }
    let pattern = schema.get("pattern").and(schema["description"].as_str());
    if let Some(text) = pattern {
        let text = text.trim_start_matches("Must be ").trim_end_matches('.');
        return text.split(' ').map(quoted).collect::<Vec<_>>().join(" ");
    }
    // What may be left out may also be null.
    match schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default() {
        "array" => {
            let (least, most) = (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64());
            let many = most.map_or_else(|| "any number".to_owned(), |most| format!("{least} to {most}"));
            format!("{many} of: {}", one(&schema["items"]))
        }
        "number" | "integer" => {
            let [least, above, most] = ["minimum", "exclusiveMinimum", "maximum"].map(|name| &schema[name]);
            let least = if above.is_null() { shown(least) } else { format!("above {}", shown(above)) };
            format!("{least} to {}{}", shown(most), unit(name, schema))
        }
        "boolean" => "`true`, `false`".to_owned(),
        "string" => format!("{} to {} characters", shown(&schema["minLength"]), shown(&schema["maxLength"])),
        "object" if schema["additionalProperties"]["type"] == "string" => "an object of texts".to_owned(),
        "object" if schema["additionalProperties"].is_object() => "an object of numbers, with decimals".to_owned(),
        "object" => "an object, below".to_owned(),
        other => panic!("{name}: no words for {other:?}: {schema}"),
    }
}

/// What the reader makes of the example without this field.
fn default(pointer: &str, name: &str, schema: &Value) -> Value {
    let mut document: Value = serde_json::from_str(EXAMPLE).unwrap();
    document.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(name);
    let read = ServiceDefinition::from_json(&document.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = serde_json::to_value(read).unwrap().pointer(&format!("{pointer}/{name}")).cloned();
    // What is not so is not written.
    let unsaid = if schema["type"] == "boolean" { Value::Bool(false) } else { Value::Null };
    value.unwrap_or(unsaid)
}

/// The description without the default, which has a column; it must be the one that the reader takes.
fn described(place: &str, schema: &Value, default: Option<&Value>) -> String {
    let text = schema["says"].as_str().or_else(|| schema["description"].as_str()).unwrap_or_default();
    assert!(!text.is_empty(), "{place} has no doc comment");
    let text = text.replace('\n', " ");
    let Some((before, after)) = text.split_once("Default ") else { return text };
    let expected = match default.unwrap_or_else(|| panic!("{place} is required, and says: {text}")) {
        Value::Null => "none".to_owned(),
        value => shown(value),
    };
    assert!(
        after.replace('`', "").starts_with(&expected.replace('`', "")),
        "{place} says {text:?}, and it is {expected}"
    );
    let rest = after.split_once(". ").map_or("", |(_, rest)| rest);
    format!("{}{rest}", if rest.is_empty() { before.trim_end().to_owned() } else { before.to_owned() })
}

/// The tables that hang on a field: its own, its items', or its variants'.
fn below(root: &Value, path: &str, pointer: &str, schema: &Value, whole: &Value) -> Vec<Table> {
    let schema = resolved(root, schema);
    if schema["type"] == "array" {
        return below(root, &format!("{path}[]"), &format!("{pointer}/0"), &schema["items"], &Value::Null);
    }
    let variants = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if let Some(variants) = variants {
        // The object form of a step stands where the example has one.
        let step = path.ends_with("steps[]").then(|| pointer.replace("/0", "/4"));
        let pointer = step.as_deref().unwrap_or(pointer);
        let one = |variant: &Value| match variant["properties"].as_object().and_then(|all| all.iter().next()) {
            // A variant with a name of its own.
            Some((name, inner)) => below(root, &format!("{path}.{name}"), &format!("{pointer}/{name}"), inner, whole),
            None => below(root, path, pointer, variant, whole),
        };
        return variants.iter().flat_map(one).collect();
    }
    if schema["properties"].is_object() {
        return vec![Table { path: path.to_owned(), pointer: pointer.to_owned(), schema, whole: whole.clone() }];
    }
    Vec::new()
}

fn table(root: &Value, table: &Table, page: &mut String) -> Vec<Table> {
    let Table { path, pointer, schema, whole } = table;
    if !path.is_empty() {
        let green = path.replace("blue", "green");
        let both = if green == *path { String::new() } else { format!(", `{green}`") };
        write!(page, "\n## `{path}`{both}\n").unwrap();
    }
    page.push_str("\n| field | what it is | allowed | default |\n|---|---|---|---|\n");
    let (mut words, mut next) = (String::new(), Vec::new());
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().unwrap() {
        let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let field = resolved(root, field);
        let default = if required.contains(&name.as_str()) {
            whole.get(name).cloned()
        } else {
            Some(default(pointer, name, &field))
        };
        let cell = match &default {
            None => "-".to_owned(),
            Some(Value::Null) => "none".to_owned(),
            Some(Value::Object(fields)) if fields.is_empty() => "none".to_owned(),
            Some(Value::Object(_)) => "those below".to_owned(),
            Some(value) => shown(value),
        };
        let [said, allowed] = [described(&place, &field, default.as_ref()), allowed(root, name, &field)]
            .map(|text| text.replace('|', "\\|"));
        writeln!(page, "| `{name}` | {said} | {allowed} | {cell} |").unwrap();
        let items = if field["type"] == "array" { resolved(root, &field["items"]) } else { field.clone() };
        for one in items["oneOf"].as_array().into_iter().flatten() {
            let word = one["const"].as_str().or_else(|| one["required"][0].as_str()).unwrap();
            if let Some(said) = one["description"].as_str() {
                writeln!(words, "- `{name}: {word}`: {}", said.replace('\n', " ")).unwrap();
            }
        }
        // Both slots are alike, and so are all hooks.
        let alike = name == "green" || name == "denominator" || path == "hooks" && name != "before_traffic";
        if !alike {
            next.extend(below(root, &place, &format!("{pointer}/{name}"), &field, &default.unwrap_or_default()));
        }
    }
    if !words.is_empty() {
        write!(page, "\n{words}").unwrap();
    }
    next
}

fn page() -> String {
    let root = ServiceDefinition::json_schema();
    let mut page = HEAD.to_owned();
    let first = Table { path: String::new(), pointer: String::new(), schema: root.clone(), whole: Value::Null };
    let mut left = VecDeque::from([first]);
    while let Some(one) = left.pop_front() {
        // Depth first: what hangs on a table follows it.
        for below in table(&root, &one, &mut page).into_iter().rev() {
            left.push_front(below);
        }
    }
    page
}

/// The page is what the types say. `SPILLWAY_BLESS=1` writes it anew.
#[test]
fn the_reference_is_current() {
    let current = page();
    if std::env::var_os("SPILLWAY_BLESS").is_some() {
        std::fs::write(PAGE, &current).unwrap();
    }
    assert_eq!(std::fs::read_to_string(PAGE).unwrap(), current, "run the tests once with SPILLWAY_BLESS=1");
}

/// Every field of the schema has its row.
#[test]
fn no_field_is_missing() {
    let root = ServiceDefinition::json_schema();
    let page = page();
    let objects = root["$defs"].as_object().unwrap().values().chain([&root]);
    let variants = |one: &Value| one["oneOf"].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = objects.flat_map(|one| variants(one).into_iter().chain([one.clone()])).collect();
    let mut fields: Vec<&String> =
        all.iter().filter_map(|one| one["properties"].as_object()).flat_map(|all| all.keys()).collect();
    fields.dedup();
    assert!(fields.len() > 60, "{fields:?}");
    for field in fields {
        let row = format!("\n| `{field}` | ");
        let word = format!(": {field}`: ");
        assert!(page.contains(&row) || page.contains(&word), "{field}");
    }
}
