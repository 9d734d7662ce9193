//! A small part of [selectors](https://drafts.csswg.org/selectors/), for `querySelector()`: compounds of a type, `#id`,
//! `.class` and `[attribute]`, and lists of compounds. There are no combinators and no pseudo-classes.

use super::{Dom, NodeId};

/// A parsed selector list.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::page) struct Selector(Vec<Compound>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Compound {
    /// The type selector. `None` matches every element.
    local_name: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Id(String),
    Class(String),
    /// The name of an attribute, and the value it must have, if any.
    Attribute(String, Option<String>),
}

impl Selector {
    /// Parses a selector list. `None` if it is not valid, or if it uses an unsupported feature.
    pub(in crate::page) fn parse(text: &str) -> Option<Self> {
        let compounds = text.split(',').map(|compound| Compound::parse(compound.trim()));
        compounds.collect::<Option<_>>().map(Self)
    }

    pub(in crate::page) fn matches(&self, dom: &Dom, node: NodeId) -> bool {
        self.0.iter().any(|compound| compound.matches(dom, node))
    }
}

impl Compound {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut compound = Self::default();
        let (name, mut rest) = split_ident(text);
        if let Some(after) = rest.strip_prefix('*').filter(|_| name.is_empty()) {
            rest = after;
        } else if !name.is_empty() {
            compound.local_name = Some(name.to_ascii_lowercase());
        }
        while let Some(kind) = rest.chars().next() {
            let (condition, after) = match kind {
                '#' | '.' => {
                    let (name, after) = split_ident(&rest[1..]);
                    let make = if kind == '#' { Condition::Id } else { Condition::Class };
                    (make(non_empty(name)?), after)
                }
                '[' => {
                    let (inner, after) = rest[1..].split_once(']')?;
                    (attribute_condition(inner)?, after)
                }
                _ => return None,
            };
            compound.conditions.push(condition);
            rest = after;
        }
        Some(compound)
    }

    fn matches(&self, dom: &Dom, node: NodeId) -> bool {
        let Some(element) = dom.element(node) else { return false };
        self.local_name.as_ref().is_none_or(|name| *name == *element.name.local)
            && self.conditions.iter().all(|condition| condition.matches(dom, node))
    }
}

impl Condition {
    fn matches(&self, dom: &Dom, node: NodeId) -> bool {
        match self {
            Self::Id(id) => dom.attribute(node, "id") == Some(id),
            Self::Class(class) => dom
                .attribute(node, "class")
                .is_some_and(|classes| classes.split_ascii_whitespace().any(|it| it == class)),
            Self::Attribute(name, None) => dom.attribute(node, name).is_some(),
            Self::Attribute(name, Some(value)) => dom.attribute(node, name) == Some(value),
        }
    }
}

/// Parses the inside of an attribute selector: `name`, `name=value` or `name="value"`.
fn attribute_condition(text: &str) -> Option<Condition> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(unquote(value.trim())?)),
        None => (text, None),
    };
    let (name, rest) = split_ident(name.trim());
    let name = rest.is_empty().then(|| non_empty(name)).flatten()?;
    Some(Condition::Attribute(name.to_ascii_lowercase(), value))
}

fn unquote(text: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.strip_suffix(quote).map(str::to_owned);
        }
    }
    let (ident, rest) = split_ident(text);
    rest.is_empty().then(|| non_empty(ident)).flatten()
}

fn split_ident(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii();
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compound_matches_if_all_its_conditions_match() {
        let mut dom = Dom::default();
        let node = dom.create_html_element("meta");
        dom.set_attribute(node, "name", "referrer");
        dom.set_attribute(node, "class", "a b");
        dom.set_attribute(node, "id", "x");
        for matching in
            ["meta", "*", "#x", ".b", "meta.a.b#x[name=referrer]", "p, [name=\"referrer\"]"]
        {
            assert!(Selector::parse(matching).expect(matching).matches(&dom, node), "{matching}");
        }
        for other in ["p", ".c", "meta#y", "[content]", "[name=x]"] {
            assert!(!Selector::parse(other).expect(other).matches(&dom, node), "{other}");
        }
    }

    #[test]
    fn an_unsupported_selector_is_refused() {
        for bad in ["", "a b", "a > b", "a:hover", "#", ".", "[", "[=x]", "a,,b", "[a=\"b]"] {
            assert_eq!(Selector::parse(bad), None, "{bad}");
        }
    }
}
