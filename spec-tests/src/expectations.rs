//! The known failures, and the verdict on each result.

use std::collections::{BTreeMap, BTreeSet};

use crate::Failure;

/// Separates the name of a case from the reason.
const SEPARATOR: &str = " — ";

/// The cases that are expected to fail, each with its reason.
///
/// A result is judged in three ways: a failure is expected or not, an unexpected pass is a failure, and an entry that
/// names no case is stale. So the list cannot become outdated unseen.
#[derive(Debug, Default)]
pub struct Expectations(BTreeMap<String, String>);

/// The verdict on the result of a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The case passed, and no entry expects a failure.
    Passed,
    /// The case failed, and an entry expects that.
    FailedAsExpected,
    /// The case failed, and no entry expects that.
    Failed(Failure),
    /// The case passed, and an entry expects a failure for this reason.
    PassedUnexpectedly(String),
}

impl Expectations {
    /// Parses lines of `topic::case — reason`. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// If a line has no reason, or names a case that an earlier line names.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut expectations = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                continue;
            }
            let (name, reason) = line
                .split_once(SEPARATOR)
                .filter(|(_, reason)| !reason.trim().is_empty())
                .ok_or_else(|| format!("the line {line:?} has no reason"))?;
            if expectations.insert(name.trim().to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("two lines name {name:?}"));
            }
        }
        Ok(Self(expectations))
    }

    /// Returns the verdict on the `result` of the case `name`.
    #[must_use]
    pub fn judge(&self, name: &str, result: Result<(), Failure>) -> Verdict {
        match (self.0.get(name), result) {
            (None, Ok(())) => Verdict::Passed,
            (None, Err(failure)) => Verdict::Failed(failure),
            (Some(_), Err(_)) => Verdict::FailedAsExpected,
            (Some(reason), Ok(())) => Verdict::PassedUnexpectedly(reason.clone()),
        }
    }

    /// The names of the entries that name none of `cases`.
    #[must_use]
    pub fn stale(&self, cases: &BTreeSet<&str>) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| !cases.contains(name)).collect()
    }
}

impl Verdict {
    /// Turns the verdict into the result of a test.
    ///
    /// # Errors
    /// For an unexpected result: the failure, or what to do about an unexpected pass.
    pub fn into_result(self) -> Result<(), Failure> {
        match self {
            Self::Passed | Self::FailedAsExpected => Ok(()),
            Self::Failed(failure) => Err(failure),
            Self::PassedUnexpectedly(reason) => Err(format!(
                "the case passes: remove its entry from expectations.txt, which gives the reason {reason:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectations() -> Expectations {
        Expectations::parse("# known\n\n  a::known  — a bug — ours\na::gone — was a bug\n").unwrap()
    }

    #[test]
    fn a_failure_is_tolerated_only_if_it_is_expected() {
        let failed = || Err("differs".to_owned());
        assert_eq!(expectations().judge("a::known", failed()), Verdict::FailedAsExpected);
        assert_eq!(expectations().judge("a::other", failed()), Verdict::Failed("differs".into()));
        assert!(expectations().judge("a::known", failed()).into_result().is_ok());
        assert!(expectations().judge("a::other", failed()).into_result().is_err());
    }

    #[test]
    fn an_unexpected_pass_is_a_failure() {
        assert_eq!(expectations().judge("a::other", Ok(())), Verdict::Passed);
        let verdict = expectations().judge("a::known", Ok(()));
        assert_eq!(verdict, Verdict::PassedUnexpectedly("a bug — ours".into()));
        assert!(verdict.into_result().unwrap_err().contains("a bug — ours"));
    }

    #[test]
    fn an_entry_that_names_no_case_is_stale() {
        let cases = BTreeSet::from(["a::known", "a::other"]);
        assert_eq!(expectations().stale(&cases), ["a::gone"]);
        assert!(Expectations::default().stale(&cases).is_empty());
    }

    #[test]
    fn an_entry_needs_a_reason_and_must_be_unique() {
        assert!(Expectations::parse("a::x").is_err());
        assert!(Expectations::parse("a::x —  ").is_err());
        assert!(Expectations::parse("a::x — y\na::x — z").is_err());
    }
}
