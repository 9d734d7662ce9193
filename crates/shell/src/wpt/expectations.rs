//! The known failures of web platform tests, and what a run makes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Report, TestResult};

/// Separates the name of a test from the class and the reason.
const SEPARATOR: &str = " — ";

/// Separates the path of a page from the name of a subtest.
const SUBTEST: &str = " | ";

/// The failures that are expected, each with its class and its reason.
///
/// A name without a `*` is the name of one result. With a `*`, which stands for any characters, it is a pattern for
/// several results, of which some may pass.
#[derive(Debug, Default)]
pub(super) struct Expectations(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    name: String,
    class: String,
    reason: String,
}

/// How the results of a run differ from the expectations.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Describes each result that is not as expected, and each entry that is stale.
    pub(super) surprises: Vec<String>,
    /// How many failures of each class are expected.
    pub(super) expected: BTreeMap<String, usize>,
}

impl Expectations {
    /// Parses lines of `name — [class] reason`. Empty lines and lines that begin with `#` are skipped.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut names = BTreeSet::new();
        let mut entries = Vec::new();
        for line in text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'))
        {
            let entry = Entry::parse(line).ok_or_else(|| {
                format!("the line {line:?} is not `name{SEPARATOR}[class] reason`")
            })?;
            if !names.insert(entry.name.clone()) {
                return Err(format!("two lines name {:?}", entry.name));
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// Compares the results with the entries. The first entry that names a result decides.
    ///
    /// `is_part` says that the run has only some of the pages of the entries. An entry for other pages is then not
    /// stale.
    pub(super) fn judge(&self, report: &Report, is_part: bool) -> Judgement {
        let mut judgement = Judgement::default();
        let mut used = vec![false; self.0.len()];
        for (name, outcome) in report.results.iter().flat_map(TestResult::outcomes) {
            let found = self.0.iter().position(|entry| entry.names(&name));
            match (found.map(|index| (index, &self.0[index])), outcome) {
                (None, Err(failure)) => judgement.surprises.push(format!("{name}: {failure}")),
                (Some((index, entry)), Err(_)) => {
                    used[index] = true;
                    *judgement.expected.entry(entry.class.clone()).or_default() += 1;
                }
                (Some((index, entry)), Ok(())) if !entry.is_pattern() => {
                    used[index] = true;
                    let Entry { class, reason, .. } = entry;
                    judgement
                        .surprises
                        .push(format!("{name}: passes, but an entry says [{class}] {reason}"));
                }
                (None | Some(_), Ok(())) => {}
            }
        }
        let pages: Vec<&str> = report.results.iter().map(|result| result.test.as_str()).collect();
        let stale = self
            .0
            .iter()
            .zip(used)
            .filter(|(entry, used)| !used && (!is_part || entry.is_for_one_of(&pages)));
        judgement.surprises.extend(
            stale.map(|(entry, _)| {
                format!("{}: the entry names no failure of this run", entry.name)
            }),
        );
        judgement
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once(SEPARATOR)?;
        let (class, reason) = rest.strip_prefix('[')?.split_once(']')?;
        let [name, class, reason] = [name, class, reason].map(|it| it.trim().to_owned());
        let is_complete = ![&name, &class, &reason].iter().any(|it| it.is_empty());
        is_complete.then_some(Self { name, class, reason })
    }

    fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }

    fn names(&self, name: &str) -> bool {
        matches(&self.name, name)
    }

    /// Whether the entry is for one page, and this page is in the run.
    fn is_for_one_of(&self, pages: &[&str]) -> bool {
        let page = self.name.split_once(SUBTEST).map_or(self.name.as_str(), |(page, _)| page);
        pages.contains(&page)
    }
}

/// Whether `text` is what `pattern` stands for. A `*` in the pattern stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{
        super::report::{Status, Subtest},
        *,
    };

    fn report(page: &str, status: Status, subtests: &[(&str, Status)]) -> Report {
        let subtests = subtests
            .iter()
            .map(|&(name, status)| Subtest { name: name.to_owned(), status, message: None })
            .collect();
        let test = page.to_owned();
        Report::new(vec![TestResult { test, status, message: None, subtests, duration: 1 }], 0)
    }

    fn results() -> Report {
        report(
            "/a.html",
            Status::Ok,
            &[("x", Status::Pass), ("y", Status::Timeout), ("*", Status::Fail)],
        )
    }

    fn judge(report: &Report, expectations: &str, is_part: bool) -> Judgement {
        Expectations::parse(expectations).unwrap().judge(report, is_part)
    }

    fn surprises(report: &Report, expectations: &str) -> Vec<String> {
        judge(report, expectations, false).surprises
    }

    #[test]
    fn a_failure_is_unexpected_unless_an_entry_gives_a_reason() {
        assert_eq!(surprises(&results(), ""), ["/a.html | y: TIMEOUT", "/a.html | *: FAIL"]);
        let known = "# why\n/a.html | y — [Image] not yet\n\n/a.html | * — [Image] not yet";
        let judgement = judge(&results(), known, false);
        assert!(judgement.surprises.is_empty(), "{:?}", judgement.surprises);
        assert_eq!(judgement.expected, BTreeMap::from([("Image".to_owned(), 2)]));
    }

    #[test]
    fn a_pass_is_unexpected_if_an_entry_expects_a_failure() {
        let known = "/a.html | x — [Image] not yet\n/a.html | * — [Image] not yet";
        assert_eq!(surprises(&results(), known).len(), 1);
    }

    #[test]
    fn a_pattern_names_several_results_of_which_some_may_pass() {
        assert!(surprises(&results(), "/*.html | * — [Image] not yet").is_empty());
        assert_eq!(surprises(&results(), "/*.html | x* — [Image] not yet").len(), 3);
    }

    #[test]
    fn an_entry_that_names_no_failure_is_unexpected() {
        let rest = "/a.html | * — [Image] not yet";
        let gone = "/a.html | z — [Image] not yet\n/b.html — [Image] gone\n/c* — [Image] gone";
        let surprises = surprises(&results(), &format!("{gone}\n{rest}"));
        assert_eq!(surprises.len(), 3, "{surprises:?}");
    }

    #[test]
    fn an_entry_for_another_page_is_no_surprise_in_a_part() {
        let rest = "/a.html | * — [Image] not yet";
        let gone = "/a.html | z — [Image] not yet\n/b.html — [Image] gone\n/c* — [Image] gone";
        let judgement = judge(&results(), &format!("{gone}\n{rest}"), true);
        assert_eq!(judgement.surprises, ["/a.html | z: the entry names no failure of this run"]);
    }

    #[test]
    fn a_harness_error_counts_as_a_failure_of_the_page() {
        let report = report("/a.html", Status::Error, &[("x", Status::Pass)]);
        assert_eq!(surprises(&report, ""), ["/a.html: ERROR"]);
        assert!(surprises(&report, "/a.html — [Image] not yet").is_empty());
    }

    #[test]
    fn an_entry_needs_a_class_and_a_reason_and_must_be_unique() {
        for wrong in ["/a", "/a — why", "/a — [] why", "/a — [Image] ", " — [Image] why"] {
            assert!(Expectations::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Expectations::parse("/a — [Image] x\n/a — [Image] y").is_err());
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a*c*", "xac", false),
            ("*b*d", "abcd", true),
            ("*d*b", "abcd", false),
            ("a*a", "a", false),
            ("ab*bc", "abc", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
