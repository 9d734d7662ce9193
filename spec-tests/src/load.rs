//! Reads the files of cases: topics, defaults and tables.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Case, Failure};

/// The content of a file, which has the cases of one topic.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    /// Fields for each case that does not have them.
    #[serde(default)]
    defaults: Map<String, Value>,
    #[serde(default)]
    cases: Vec<Map<String, Value>>,
    #[serde(default)]
    tables: Vec<Table>,
}

/// Cases that differ in a few values. Each row is a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// A case in which `"$column"` stands for the row's value, and `{column}` stands for it within a string.
    template: Map<String, Value>,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Reads the cases of each `*.json` file in `directory`, in the order of the files' names.
///
/// # Errors
/// If a file cannot be read, a case is not valid, or two cases have the same name.
pub fn load(directory: &Path) -> Result<Vec<Case>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in paths {
        let topic = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let text = fs::read_to_string(&path).map_err(|error| format!("{topic}: {error}"))?;
        cases.extend(parse_topic(topic, &text)?);
    }
    Ok(cases)
}

/// Parses the text of a file.
fn parse_topic(topic: &str, text: &str) -> Result<Vec<Case>, Failure> {
    let file: Topic = serde_json::from_str(text).map_err(|error| format!("{topic}: {error}"))?;
    let mut cases: Vec<Case> = Vec::new();
    let from_tables = file.tables.iter().flat_map(Table::expand);
    for case in file.cases.into_iter().map(Ok).chain(from_tables) {
        let case = case.map_err(|failure| format!("{topic}: {failure}"))?;
        let mut whole = file.defaults.clone();
        whole.extend(case);
        let whole = whole.into_iter().map(|(key, field)| (key, unfold(field))).collect();
        let case = Case::parse(topic, whole)?;
        if cases.iter().any(|other| other.name() == case.name()) {
            return Err(format!("{}: two cases have this name", case.name()));
        }
        cases.push(case);
    }
    Ok(cases)
}

impl Table {
    /// Makes a case of each row.
    fn expand(&self) -> impl Iterator<Item = Result<Map<String, Value>, Failure>> {
        self.rows.iter().map(|row| {
            if row.len() != self.columns.len() {
                return Err(format!(
                    "there are {} columns, but the row is {row:?}",
                    self.columns.len()
                ));
            }
            let value = |name: &str| {
                let column = self.columns.iter().position(|column| column == name)?;
                row.get(column)
            };
            let filled = self
                .template
                .iter()
                .map(|(key, template)| (key.clone(), fill(template, &value, &self.columns)));
            Ok(filled.collect())
        })
    }
}

/// Replaces the columns' names in `template` by a row's values.
fn fill<'a>(
    template: &Value,
    value: &impl Fn(&str) -> Option<&'a Value>,
    columns: &[String],
) -> Value {
    match template {
        Value::String(text) => match text.strip_prefix('$').and_then(value) {
            Some(value) => value.clone(),
            None => Value::String(columns.iter().fold(text.clone(), |text, column| {
                let text_of = |value: &Value| match value {
                    Value::String(string) => string.clone(),
                    other => other.to_string(),
                };
                let value = value(column).map(text_of).unwrap_or_default();
                text.replace(&format!("{{{column}}}"), &value)
            })),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, value, columns)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| (key.clone(), fill(field, value, columns)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Replaces the short forms of long strings in `value`: `{x*1000}` stands for 1,000 letters `x`.
fn unfold(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(repeat(&text)),
        Value::Array(items) => items.into_iter().map(unfold).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, field)| (key, unfold(field)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Replaces the short forms in one string.
fn repeat(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else { return text.to_owned() };
    let repeated = rest.split_once('}').and_then(|(fold, after)| {
        let (part, count) = fold.split_once('*')?;
        Some((part.repeat(count.parse().ok()?), after))
    });
    match repeated {
        Some((repeated, after)) => format!("{before}{repeated}{}", repeat(after)),
        None => format!("{before}{{{}", repeat(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = r#"{
        "defaults": { "follows": "oracle:url-empty", "page": { "url": "https://a.test/" } },
        "tables": [{
            "template": { "name": "to {to}", "beacon": "$to", "requests": ["POST https://a.test/{to}"] },
            "columns": ["to"],
            "rows": [["x"], ["y"]]
        }]
    }"#;

    #[test]
    fn each_row_of_a_table_becomes_a_case() {
        let cases = parse_topic("t", TOPIC).unwrap();
        let names: Vec<_> = cases.iter().map(Case::name).collect();
        assert_eq!(names, ["t::to x", "t::to y"]);
        assert_eq!(cases[0].run(), Ok(()));
    }

    #[test]
    fn short_forms_of_long_strings_are_replaced() {
        assert_eq!(repeat("a{x*3}b{\u{e9}/*2}c"), "axxxb\u{e9}/\u{e9}/c");
        for same in ["", "a", "{", "}", "{x}", "{\"k\":1}", "{x*}", "{*y}", "{x*3"] {
            assert_eq!(repeat(same), same);
        }
    }

    #[test]
    fn a_name_twice_and_a_row_with_missing_columns_are_errors() {
        assert!(parse_topic("t", &TOPIC.replace("[\"y\"]", "[\"x\"]")).is_err());
        assert!(parse_topic("t", &TOPIC.replace("[\"y\"]", "[]")).is_err());
    }

    #[test]
    fn an_unknown_field_and_a_case_that_checks_nothing_are_errors() {
        let parse = |case: &str| {
            let case = format!(r#""name": "n", "follows": "oracle:url-empty", {case}"#);
            let page = r#""page": { "url": "https://a.test/" }"#;
            parse_topic("t", &format!(r#"{{ "cases": [{{ {case}, {page} }}] }}"#)).map(drop)
        };
        assert_eq!(parse(r#""beacon": "x", "requests": []"#), Ok(()));
        for wrong in [
            r#""beacon": "x", "request": []"#,
            r#""beacon": "x""#,
            r#""beacon": "x", "advance": 1, "requests": []"#,
            r#""beacon": "x", "requests": [{ "is": "POST x", "header": {} }]"#,
            r#""steps": [{ "advance": 1 }]"#,
            r#""steps": [], "returns": true"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
