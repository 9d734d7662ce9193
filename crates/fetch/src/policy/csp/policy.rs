//! One [policy](https://w3c.github.io/webappsec-csp/#content-security-policy-object) and its directives.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, OnceLock},
};

use url::Url;

use super::source_list::SourceList;
use crate::origin::Origin;

/// A [policy](https://w3c.github.io/webappsec-csp/#content-security-policy-object).
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) disposition: CspDisposition,
    directive_set: Vec<Directive>,
    /// Where the directives are in the set, by their names: a page may write many.
    index: BTreeMap<String, usize>,
    /// The policy as text, made when it is first violated.
    text: OnceLock<Arc<str>>,
}

/// About how many bytes of memory a token of a directive takes beside its text, and beside its entries in the
/// [`SourceList`].
const TOKEN_BYTES: usize = 64;

/// A policy's [disposition](https://w3c.github.io/webappsec-csp/#policy-disposition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CspDisposition {
    /// `enforce`: from the `Content-Security-Policy` header or a `<meta>`.
    Enforce,
    /// `report`: from the `Content-Security-Policy-Report-Only` header.
    Report,
}

/// A [directive](https://w3c.github.io/webappsec-csp/#directives).
#[derive(Debug)]
pub(super) struct Directive {
    name: String,
    value: Vec<String>,
    /// The value as a source list, parsed when a URL is first matched against it.
    source_list: OnceLock<SourceList>,
}

impl Policy {
    /// [Parse a serialized CSP](https://w3c.github.io/webappsec-csp/#parse-serialized-policy).
    ///
    /// NB: the source, "header" or "meta", is not kept. It decides only which directives the caller removes.
    pub(super) fn parse(serialized: &str, disposition: CspDisposition) -> Self {
        // Step 2. Step 1 is the caller's.
        let (mut directive_set, mut index) = (Vec::new(), BTreeMap::new());
        // Step 3.
        for token in serialized.split(';') {
            // Steps 3.1 and 3.3.
            let mut parts = token.split_ascii_whitespace();
            // Step 3.2.
            let Some(name) = parts.next().filter(|_| token.is_ascii()) else { continue };
            // Step 3.4.
            let name = name.to_ascii_lowercase();
            // Step 3.5.
            let Entry::Vacant(entry) = index.entry(name.clone()) else { continue };
            entry.insert(directive_set.len());
            // Step 3.6.
            let value = parts.map(str::to_owned).collect();
            // Steps 3.7 and 3.8.
            directive_set.push(Directive { name, value, source_list: OnceLock::new() });
        }
        // Step 4.
        Self { disposition, directive_set, index, text: OnceLock::new() }
    }

    /// The policy without the directives with these names.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.directive_set.retain(|directive| !names.contains(&&*directive.name));
        let directives = self.directive_set.iter().enumerate();
        self.index = directives.map(|(at, it)| (it.name.clone(), at)).collect();
        self
    }

    /// Whether the policy has no directive.
    pub(super) fn is_empty(&self) -> bool {
        self.directive_set.is_empty()
    }

    /// The directive `name`, if the policy has it.
    pub(super) fn directive(&self, name: &str) -> Option<&Directive> {
        self.index.get(name).map(|at| &self.directive_set[*at])
    }

    /// What [`serialize`](Self::serialize) returns, for the violations of the policy, which may be many.
    pub(super) fn text(&self) -> &Arc<str> {
        self.text.get_or_init(|| self.serialize().into())
    }

    /// The policy as text: its directives in order, with one space between two tokens.
    pub(super) fn serialize(&self) -> String {
        let mut text = String::new();
        for Directive { name, value, .. } in &self.directive_set {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            for token in value {
                text.push(' ');
                text.push_str(token);
            }
        }
        text
    }

    /// The length of the policy as text, in bytes.
    pub(super) fn serialized_length(&self) -> usize {
        let length = |it: &Directive| {
            it.name.len() + it.value.iter().map(|token| 1 + token.len()).sum::<usize>()
        };
        let separators = 2 * self.directive_set.len().saturating_sub(1);
        self.directive_set.iter().map(length).sum::<usize>() + separators
    }

    /// About how many bytes of memory the policy takes, once URLs were matched against each of its directives.
    pub(super) fn held_bytes(&self) -> usize {
        // Keywords, nonces and hashes are not in a source list.
        let of_token = |token: &String| {
            let source = if token.starts_with('\'') { 0 } else { SourceList::held_bytes(token) };
            TOKEN_BYTES + source + token.len()
        };
        let of_directive = |it: &Directive| {
            size_of::<Directive>()
                + 2 * it.name.len()
                + it.value.iter().map(of_token).sum::<usize>()
        };
        size_of::<Self>() + self.directive_set.iter().map(of_directive).sum::<usize>()
    }
}

impl Directive {
    /// The tokens of the directive's value.
    pub(super) fn value(&self) -> &[String] {
        &self.value
    }

    /// [Does url match source list in origin with redirect count?](https://w3c.github.io/webappsec-csp/#match-url-to-source-list),
    /// of the directive's value.
    pub(super) fn matches(&self, url: &Url, self_origin: &Origin, is_redirected: bool) -> bool {
        let source_list =
            self.source_list.get_or_init(|| SourceList::new(self.value.iter().map(String::as_str)));
        source_list.matches(url, self_origin, is_redirected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        Policy::parse(text, CspDisposition::Enforce).serialize()
    }

    #[test]
    fn a_policy_is_parsed_as_the_standard_says() {
        for (text, expected) in [
            ("", ""),
            (" ; ;;", ""),
            ("Connect-SRC  'self'\tHTTPS://A.test/X ", "connect-src 'self' HTTPS://A.test/X"),
            ("img-src a; IMG-src b; img-src", "img-src a"),
            ("sandbox;upgrade-insecure-requests ; x", "sandbox; upgrade-insecure-requests; x"),
            ("img-src a, connect-src b", "img-src a, connect-src b"),
            ("img-src \u{fc}; font-src a", "font-src a"),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
            assert_eq!(parsed(expected), expected, "a serialized policy parses as itself");
            let policy = Policy::parse(text, CspDisposition::Enforce);
            assert_eq!(policy.serialized_length(), expected.len());
        }
    }
}
