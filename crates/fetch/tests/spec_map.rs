//! Compares docs/SPEC-MAP.md with the step tags in the comments of the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The steps at the beginning of a text such as `1 to 3, 4.1 and 5`.
fn steps(text: &str) -> BTreeSet<String> {
    let mut steps: BTreeSet<String> = BTreeSet::new();
    let mut range_from: Option<String> = None;
    for word in text.split_whitespace() {
        let number = word.trim_end_matches([',', '.', ':', ';']).trim_end_matches("'s");
        let is_number =
            !number.is_empty() && number.split('.').all(|part| part.parse::<u32>().is_ok());
        match word {
            "to" => range_from = steps.iter().max_by_key(|step| key(step)).cloned(),
            "and" => {}
            _ if is_number => {
                if let Some(from) = range_from.take() {
                    steps.extend(between(&from, number));
                }
                steps.insert(number.to_owned());
                if word.ends_with(['.', ':', ';']) {
                    break;
                }
            }
            _ => break,
        }
    }
    steps
}

/// The numbers of a step: `[8, 5]` for `8.5`.
fn key(step: &str) -> Vec<u32> {
    step.split('.').map(|part| part.parse().unwrap()).collect()
}

/// The steps between two steps: `8.6`, `8.7` and `8.8` for `8.5` and `8.9`.
///
/// Between steps of different depth, such as `8.24` and `10`, it returns none.
fn between(from: &str, to: &str) -> Vec<String> {
    let (from, to) = (key(from), key(to));
    let (Some((first, prefix)), Some((last, other))) = (from.split_last(), to.split_last()) else {
        return Vec::new();
    };
    if prefix != other {
        return Vec::new();
    }
    let step = |last: u32| {
        let parts = prefix.iter().chain([&last]).map(ToString::to_string);
        parts.collect::<Vec<_>>().join(".")
    };
    (first + 1..*last).map(step).collect()
}

/// The steps that the comments of a source file tag, and the steps that its `TODO(spec)` comments tag.
fn tags(source: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut done, mut todo) = (BTreeSet::new(), BTreeSet::new());
    // Each comment block is one text, because a tag may continue on the next line.
    let mut comment = String::new();
    for line in source.lines().chain([""]) {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text.trim_start_matches(['/', '!']));
            comment.push(' ');
            continue;
        }
        let pieces: Vec<&str> = comment.split("Step").collect();
        for pair in pieces.windows(2) {
            let found = steps(pair[1].trim_start_matches(['s', ' ']));
            let is_todo = pair[0].ends_with("TODO(spec): ");
            if is_todo { &mut todo } else { &mut done }.extend(found);
        }
        comment.clear();
    }
    (done, todo)
}

/// The rows of docs/SPEC-MAP.md for one file.
#[derive(Default)]
struct Section {
    /// The steps with a function.
    done: BTreeSet<String>,
    /// The steps that are `TODO`.
    todo: BTreeSet<String>,
    /// The steps that are `n/a`, `caller` or `embedder`.
    other: BTreeSet<String>,
    /// The functions that the rows name.
    functions: BTreeSet<String>,
}

#[test]
fn every_row_has_a_tag_and_every_tag_has_a_row() {
    let map = fs::read_to_string(root().join("docs/SPEC-MAP.md")).unwrap();
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut wholly_todo = Vec::new();
    let mut file = String::new();
    for line in map.lines() {
        if line.starts_with("## ") {
            file.clear();
        } else if let Some(path) = line.strip_prefix("`crates/") {
            file = format!("crates/{}", path.trim_end_matches('`'));
        } else if let Some(row) = line.strip_prefix("| ") {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [first, place, ..] = cells[..] else { panic!("{line}") };
            if let Some(path) = first.strip_prefix('`') {
                assert_eq!(place, "TODO", "{line}");
                wholly_todo.push(path.trim_end_matches('`').to_owned());
            } else if !file.is_empty() && first != "Step" {
                let row_steps = steps(first);
                assert!(!row_steps.is_empty(), "no step in {line:?}");
                let section = sections.entry(file.clone()).or_default();
                match place {
                    "TODO" => section.todo.extend(row_steps),
                    "n/a" | "caller" | "embedder" => section.other.extend(row_steps),
                    name => {
                        section.functions.insert(name.trim_matches('`').to_owned());
                        section.done.extend(row_steps);
                    }
                }
            }
        }
    }
    assert!(sections.len() > 15, "too few sections were found in docs/SPEC-MAP.md");

    let mut wrong = Vec::new();
    for (file, section) in &sections {
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("no {file}"));
        let (done, todo) = tags(&source);
        for function in &section.functions {
            if !source.contains(&format!("fn {function}")) {
                wrong.push(format!("{file}: no function {function}"));
            }
        }
        let difference = |a: &BTreeSet<String>, b: &BTreeSet<String>, what: &str| {
            let steps: Vec<_> = a.difference(b).cloned().collect();
            (!steps.is_empty()).then(|| format!("{file}: {what}: {}", steps.join(", ")))
        };
        wrong.extend(difference(&section.done, &done, "rows without a tag"));
        wrong.extend(difference(&section.todo, &todo, "TODO rows without a TODO(spec)"));
        wrong.extend(difference(&todo, &section.todo, "TODO(spec) without a row"));
        let rows = &(&section.done | &section.other) | &section.todo;
        wrong.extend(difference(&done, &rows, "tags without a row"));
    }
    let folders = ["crates/cookies/src", "crates/fetch/src", "crates/net/src"];
    for file in folders.iter().flat_map(|folder| sources(&root().join(folder))) {
        let source = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let has_todo = source.lines().any(|line| line.trim_start().starts_with("// TODO(spec)"));
        let listed = sections.get(&name).is_some_and(|section| !section.todo.is_empty())
            || wholly_todo.contains(&name);
        if has_todo != listed {
            wrong.push(format!("{name}: TODO(spec) in the code: {has_todo}, in the map: {listed}"));
        }
        let is_tagged = !tags(&source).0.is_empty();
        if is_tagged && !sections.contains_key(&name) {
            wrong.push(format!("{name}: has step tags but no section"));
        }
    }
    assert!(wrong.is_empty(), "docs/SPEC-MAP.md and the code differ:\n{}", wrong.join("\n"));
}

/// All Rust files in a folder and its subfolders.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
