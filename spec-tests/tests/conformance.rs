//! Runs each case of `cases/` as a test, and compares the results with `expectations.txt`.

use std::{collections::BTreeSet, fs, path::Path, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Failed, Trial};
use spec_tests::{Case, Expectations, Failure, load};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The tests: one for each case, one for each stale entry, and one for the counts in the README.
fn trials(suite: &Path) -> Result<Vec<Trial>, Failure> {
    let read =
        |name: &str| fs::read_to_string(suite.join(name)).map_err(|e| format!("{name}: {e}"));
    let cases = load(&suite.join("cases"))?;
    let expectations = Arc::new(Expectations::parse(&read("expectations.txt")?)?);
    let names: BTreeSet<_> = cases.iter().map(Case::name).collect();
    let mut trials: Vec<_> = expectations.stale(&names).into_iter().map(stale_entry).collect();
    let counts = counts_in_readme_are_right(&cases, &read("README.md")?);

    trials
        .push(Trial::test("suite::the README has the number of cases of each topic", move || {
            counts.map_err(Failed::from)
        }));
    trials.extend(cases.into_iter().map(|case| {
        let expectations = Arc::clone(&expectations);
        Trial::test(case.name().to_owned(), move || {
            expectations.judge(case.name(), case.run()).into_result().map_err(Failed::from)
        })
    }));
    Ok(trials)
}

/// A test that fails because an entry of `expectations.txt` names no case.
fn stale_entry(name: &str) -> Trial {
    Trial::test(format!("suite::stale entry: {name}"), || {
        Err("expectations.txt has an entry that names no case".into())
    })
}

/// Checks that the README has a row `| topic | count |` for each topic, and one for all.
fn counts_in_readme_are_right(cases: &[Case], readme: &str) -> Result<(), Failure> {
    let topics: BTreeSet<_> = cases.iter().map(Case::topic).collect();
    let missing: Vec<_> = topics
        .into_iter()
        .map(|topic| {
            let count = cases.iter().filter(|case| case.topic() == topic).count();
            format!("| {topic} | {count} |")
        })
        .chain([format!("| all | {} |", cases.len())])
        .filter(|row| !readme.contains(row.as_str()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("README.md should have these rows:\n{}", missing.join("\n")))
    }
}
