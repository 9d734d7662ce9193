//! A case: its name, what it follows, and which of the three kinds it is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Map, Value};

use crate::{Failure, cookies::CookieCase, later::LaterCase, page::PageCase};

/// How a case's `follows` may begin.
///
/// A case follows a web platform test (its folder), an observation of browsers (`oracle:`), a section of a standard
/// for which no test is known (`#`), or a decision of ours (docs/SPEC-MAP.md).
const SOURCES: [&str; 22] = [
    "beacon/",
    "content-security-policy/",
    "csp#",
    "cookies/",
    "cors/",
    "draft-ietf-httpbis-layered-cookies#",
    "fetch/",
    "html#",
    "html/",
    "local-network-access/",
    "mimesniff/",
    "mixed-content/",
    "permissions-policy/",
    "oracle:",
    "referrer-policy/",
    "rfc6797#",
    "secure-contexts/",
    "subresource-integrity/",
    "docs/SPEC-MAP.md",
    "upgrade-insecure-requests/",
    "url/",
    "xhr/",
];

/// A conformance case.
#[derive(Debug)]
pub struct Case {
    name: String,
    follows: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Page(Box<PageCase>),
    Cookies(CookieCase),
    Later(Box<LaterCase>),
}

impl Case {
    /// Parses the fields of a case.
    pub(crate) fn parse(topic: &str, mut fields: Map<String, Value>) -> Result<Self, Failure> {
        let mut text = |key: &str| match fields.remove(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let name = text("name").ok_or_else(|| format!("{topic}: a case has no name"))?;
        let name = format!("{topic}::{name}");
        let follows =
            text("follows").ok_or_else(|| format!("{name}: the case has no \"follows\""))?;
        if !SOURCES.iter().any(|source| follows.starts_with(source)) {
            return Err(format!(
                "{name}: \"follows\" is {follows:?}, which begins with no known source"
            ));
        }
        // The note is for readers only.
        text("note");
        let kind = if fields.contains_key("cookies") {
            CookieCase::parse(fields).map(Kind::Cookies)
        } else if fields.contains_key("later") {
            LaterCase::parse(fields).map(Box::new).map(Kind::Later)
        } else {
            PageCase::parse(fields).map(Box::new).map(Kind::Page)
        };
        Ok(Self { kind: kind.map_err(|failure| format!("{name}: {failure}"))?, name, follows })
    }

    /// The name of the case, as `topic::case`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic of the case: the name of its file, without `.json`.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.name.split_once("::").map_or("", |(topic, _)| topic)
    }

    /// What the case follows: the path of a web platform test, `oracle:` and an observation's name, or a section.
    #[must_use]
    pub fn follows(&self) -> &str {
        &self.follows
    }

    /// Runs the case.
    ///
    /// # Errors
    /// The differences between what the case expects and what was seen, one a line.
    pub fn run(&self) -> Result<(), Failure> {
        let mut failures = Vec::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| match &self.kind {
            Kind::Page(case) => case.run(&mut failures),
            Kind::Cookies(case) => case.run(&mut failures),
            Kind::Later(case) => case.run(&mut failures),
        }));
        if outcome.is_err() {
            failures.push("panicked".to_owned());
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\n(follows {})", failures.join("\n"), self.follows))
        }
    }
}
