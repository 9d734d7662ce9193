//! Which cases are known to fail, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::Failure;

/// Between the name of a case and the reason.
const SEPARATOR: &str = " — ";

/// The cases that are expected to fail, each with its reason.
#[derive(Debug, Default)]
pub struct Expectations(BTreeMap<String, String>);

/// What the result of a case means, given what was expected of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed, as it should.
    Passed,
    /// It failed, as it was expected to.
    FailedAsExpected,
    /// It failed.
    Failed(Failure),
    /// It passed and was expected to fail, for this reason.
    PassedUnexpectedly(String),
}

impl Expectations {
    /// Parses lines of `topic::case — reason`; empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// A line without a reason, or a case that is named twice.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut expectations = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                continue;
            }
            let (name, reason) = line
                .split_once(SEPARATOR)
                .filter(|(_, reason)| !reason.trim().is_empty())
                .ok_or_else(|| format!("no reason in {line:?}"))?;
            if expectations.insert(name.trim().to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("{name:?} is there twice"));
            }
        }
        Ok(Self(expectations))
    }

    /// Judges the `result` of the case `name`.
    #[must_use]
    pub fn judge(&self, name: &str, result: Result<(), Failure>) -> Verdict {
        match (self.0.get(name), result) {
            (None, Ok(())) => Verdict::Passed,
            (None, Err(failure)) => Verdict::Failed(failure),
            (Some(_), Err(_)) => Verdict::FailedAsExpected,
            (Some(reason), Ok(())) => Verdict::PassedUnexpectedly(reason.clone()),
        }
    }

    /// The entries that name none of `cases`.
    #[must_use]
    pub fn stale(&self, cases: &BTreeSet<&str>) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| !cases.contains(name)).collect()
    }
}

impl Verdict {
    /// Whether the suite holds.
    ///
    /// # Errors
    /// What is to be done about it.
    pub fn into_result(self) -> Result<(), Failure> {
        match self {
            Self::Passed | Self::FailedAsExpected => Ok(()),
            Self::Failed(failure) => Err(failure),
            Self::PassedUnexpectedly(reason) => {
                Err(format!("passes: take it out of expectations.txt, where it says {reason:?}"))
            }
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
    fn a_failure_is_a_failure_unless_it_is_expected() {
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
    fn an_entry_has_a_reason_and_is_there_once() {
        assert!(Expectations::parse("a::x").is_err());
        assert!(Expectations::parse("a::x —  ").is_err());
        assert!(Expectations::parse("a::x — y\na::x — z").is_err());
    }
}
