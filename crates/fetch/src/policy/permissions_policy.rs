//! [Permissions Policy](https://w3c.github.io/webappsec-permissions-policy/) for the features that decide what is sent.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};
use url::Url;

use super::csp::SourceList;
use crate::{nonce::Nonce, origin::Origin};

/// A [policy-controlled feature](https://w3c.github.io/webappsec-permissions-policy/#policy-controlled-feature)
/// of [deferred fetching](https://fetch.spec.whatwg.org/#deferred-fetch-quota) or of
/// [Local Network Access](https://wicg.github.io/local-network-access/#permission-policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyFeature {
    /// `deferred-fetch`. Its default allowlist is `self`.
    DeferredFetch,
    /// `deferred-fetch-minimal`. Its default allowlist is `*`.
    DeferredFetchMinimal,
    /// `local-network`. Its default allowlist is `self`.
    LocalNetwork,
    /// `loopback-network`. Its default allowlist is `self`.
    LoopbackNetwork,
}

/// One value for each feature. The index is the feature as a `usize`.
type Features<T> = [T; 4];

impl PolicyFeature {
    const ALL: Features<Self> = [
        Self::DeferredFetch,
        Self::DeferredFetchMinimal,
        Self::LocalNetwork,
        Self::LoopbackNetwork,
    ];

    fn named(name: &str) -> Option<Self> {
        match name {
            "deferred-fetch" => Some(Self::DeferredFetch),
            "deferred-fetch-minimal" => Some(Self::DeferredFetchMinimal),
            "local-network" => Some(Self::LocalNetwork),
            "loopback-network" => Some(Self::LoopbackNetwork),
            _ => None,
        }
    }

    fn default_allowlist_is_everyone(self) -> bool {
        self == Self::DeferredFetchMinimal
    }
}

/// The part of a document's [permissions policy](https://w3c.github.io/webappsec-permissions-policy/#permissions-policy)
/// that is about the [`PolicyFeature`]s.
///
/// Default: the policy of a top-level document whose response has no `Permissions-Policy` header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PermissionsPolicy {
    /// Inherited policy: whether the document's container allows the feature.
    inherited: Features<bool>,
    /// Declared policy. `None` for a feature that the document's header does not name.
    declared: Features<Option<Allowlist>>,
}

impl PermissionsPolicy {
    /// About how many bytes of memory its allowlists take, once origins were matched against each of them.
    pub(crate) fn held_bytes(&self) -> usize {
        let of_expression =
            |it: &String| size_of::<String>() + SourceList::held_bytes(it) + it.len();
        self.expressions().map(of_expression).sum()
    }

    /// The length of its allowlists as text, in bytes.
    pub(crate) fn serialized_length(&self) -> usize {
        self.expressions().map(|expression| expression.len() + 1).sum()
    }

    fn expressions(&self) -> impl Iterator<Item = &String> {
        self.declared.iter().flatten().flat_map(|allowlist| match allowlist {
            Allowlist::Everyone => &[],
            Allowlist::Some(allowed) => &allowed.expressions[..],
        })
    }

    /// [Create a permissions policy for a navigable from response](https://w3c.github.io/webappsec-permissions-policy/#algo-create-from-response):
    /// the policy of a document of `origin` in a top-level traversable, whose response has `headers`.
    ///
    /// For a nested document, call [`ContainerPolicy::permissions_policy`].
    #[must_use]
    pub fn top_level(origin: &Origin, headers: &HeaderMap) -> Self {
        Self::default().declaring(origin, headers)
    }

    /// Adds the declared policy from the headers of a response.
    fn declaring(mut self, origin: &Origin, headers: &HeaderMap) -> Self {
        // Step 2.
        let declarations = process_response_policy(origin, headers);
        // Step 3. Step 4 is about reports.
        for (feature, allowlist) in PolicyFeature::ALL.into_iter().zip(declarations) {
            if self.inherited[feature as usize] {
                self.declared[feature as usize] = allowlist;
            }
        }
        self
    }

    /// [Get feature value for origin](https://w3c.github.io/webappsec-permissions-policy/#algo-get-feature-value-for-origin):
    /// whether a document with this policy allows `origin` to use `feature`.
    ///
    /// With the document's own origin, it answers whether the document is
    /// [allowed to use](https://html.spec.whatwg.org/multipage/iframe-embed-object.html#allowed-to-use) the feature.
    #[must_use]
    pub fn get_feature_value_for_origin(&self, feature: PolicyFeature, origin: &Origin) -> bool {
        // Steps 1 and 2.
        if !self.inherited[feature as usize] {
            return false;
        }
        // Steps 3 and 4.
        self.declared[feature as usize].as_ref().is_none_or(|allowlist| allowlist.matches(origin))
    }
}

impl Default for PermissionsPolicy {
    fn default() -> Self {
        Self { inherited: [true; 4], declared: [const { None }; 4] }
    }
}

/// The features that a container, such as an `iframe`, allows the documents in it to use.
///
/// It is a [container policy](https://w3c.github.io/webappsec-permissions-policy/#container-policy) together with the
/// permissions policy and the origin of the container's node document.
#[derive(Clone, Debug)]
pub struct ContainerPolicy {
    document_policy: PermissionsPolicy,
    document_origin: Origin,
    directive: Features<Option<Allowlist>>,
}

impl ContainerPolicy {
    /// [Process permissions policy attributes](https://w3c.github.io/webappsec-permissions-policy/#algo-process-policy-attributes)
    /// of a container in a document with the policy `document_policy` and the origin `document_origin`.
    ///
    /// `allow` is the `allow` attribute of an `iframe`, or the empty string. `declared_origin` is the element's
    /// [declared origin](https://w3c.github.io/webappsec-permissions-policy/#declared-origin): the origin of its `src`,
    /// or an opaque origin if it is sandboxed without `allow-same-origin`.
    #[must_use]
    pub fn new(
        document_policy: &PermissionsPolicy,
        document_origin: &Origin,
        allow: &str,
        declared_origin: &Origin,
    ) -> Self {
        Self {
            document_policy: document_policy.clone(),
            document_origin: document_origin.clone(),
            directive: parse_policy_directive(allow, document_origin, declared_origin),
        }
    }

    /// [Create a permissions policy for a navigable from response](https://w3c.github.io/webappsec-permissions-policy/#algo-create-from-response):
    /// the policy of a document of `origin` in this container, whose response has `headers`.
    #[must_use]
    pub fn permissions_policy(&self, origin: &Origin, headers: &HeaderMap) -> PermissionsPolicy {
        // Step 1: create a permissions policy for a navigable.
        let inherited =
            PolicyFeature::ALL.map(|feature| self.define_an_inherited_policy(feature, origin));
        let declared = [const { None }; 4];
        PermissionsPolicy { inherited, declared }.declaring(origin, headers)
    }

    /// [Define an inherited policy for feature in container at origin](https://w3c.github.io/webappsec-permissions-policy/#algo-define-inherited-policy-in-container):
    /// whether a document of `origin` in this container inherits `feature`.
    pub(crate) fn define_an_inherited_policy(
        &self,
        feature: PolicyFeature,
        origin: &Origin,
    ) -> bool {
        // Step 1 is about documents without a container; see `PermissionsPolicy::top_level`.
        // Steps 2 and 3.
        let policy = &self.document_policy;
        if !policy.get_feature_value_for_origin(feature, &self.document_origin)
            || !policy.get_feature_value_for_origin(feature, origin)
        {
            return false;
        }
        // Steps 4 and 5.
        if let Some(allowlist) = &self.directive[feature as usize] {
            return allowlist.matches(origin);
        }
        // Steps 6 to 8.
        feature.default_allowlist_is_everyone() || *origin == self.document_origin
    }
}

/// An [allowlist](https://w3c.github.io/webappsec-permissions-policy/#allowlist). A clone shares the list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Allowlist {
    /// The special value `*`.
    Everyone,
    Some(Arc<AllowedOrigins>),
}

/// The origins in an allowlist.
#[derive(Clone, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "SerializedOrigins", from = "SerializedOrigins")
)]
struct AllowedOrigins {
    expressions: Vec<String>,
    /// The origins that `self` and `'src'` stand for.
    origins: Vec<Origin>,
    /// The expressions, indexed when an origin is first matched against them: a page may list many.
    sources: OnceLock<SourceList>,
}

/// The serialised form of [`AllowedOrigins`]: the expressions and the origins.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct SerializedOrigins(Vec<String>, Vec<Origin>);

#[cfg(feature = "serde")]
impl From<AllowedOrigins> for SerializedOrigins {
    fn from(AllowedOrigins { expressions, origins, .. }: AllowedOrigins) -> Self {
        Self(expressions, origins)
    }
}

#[cfg(feature = "serde")]
impl From<SerializedOrigins> for AllowedOrigins {
    fn from(SerializedOrigins(expressions, origins): SerializedOrigins) -> Self {
        Self::new(expressions, origins)
    }
}

impl AllowedOrigins {
    fn new(expressions: Vec<String>, origins: Vec<Origin>) -> Self {
        Self { expressions, origins, sources: OnceLock::new() }
    }

    fn sources(&self) -> &SourceList {
        self.sources.get_or_init(|| {
            // A keyword of Content Security Policy matches nothing here.
            let sources = self.expressions.iter().filter(|it| !it.starts_with('\''));
            SourceList::new(sources.map(String::as_str))
        })
    }
}

impl PartialEq for AllowedOrigins {
    fn eq(&self, other: &Self) -> bool {
        (&self.expressions, &self.origins) == (&other.expressions, &other.origins)
    }
}

impl Eq for AllowedOrigins {}

impl Allowlist {
    fn some(expressions: Vec<String>, origins: Vec<Origin>) -> Self {
        Self::Some(Arc::new(AllowedOrigins::new(expressions, origins)))
    }

    /// [Matches](https://w3c.github.io/webappsec-permissions-policy/#matches).
    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Everyone => true,
            Self::Some(allowed) => {
                // NB: the standard compares with "same origin-domain". This library does not know `document.domain`, so
                // it compares with "same origin".
                if allowed.origins.contains(origin) {
                    return true;
                }
                let Origin::Tuple { .. } = origin else { return false };
                let Ok(url) = Url::parse(&origin.to_string()) else { return false };
                allowed.sources().matches(&url, origin, false)
            }
        }
    }
}

/// [Process response policy](https://w3c.github.io/webappsec-permissions-policy/#algo-process-response-policy).
fn process_response_policy(origin: &Origin, headers: &HeaderMap) -> Features<Option<Allowlist>> {
    let values = headers.get_all("permissions-policy").iter().map(http::HeaderValue::as_bytes);
    let value = values.collect::<Vec<_>>().join(&b", "[..]);
    match Parser::new(&value).parse::<Dictionary>() {
        Ok(dictionary) => construct_policy(&dictionary, origin),
        Err(_) => Features::default(),
    }
}

/// [Construct policy from dictionary and origin](https://w3c.github.io/webappsec-permissions-policy/#algo-construct-policy).
fn construct_policy(dictionary: &Dictionary, origin: &Origin) -> Features<Option<Allowlist>> {
    let is_token = |item: &Item, token: &str| matches!(&item.bare_item, BareItem::Token(it) if it.as_str() == token);
    PolicyFeature::ALL.map(|feature| {
        let (_, value) = dictionary
            .iter()
            .find(|(name, _)| PolicyFeature::named(name.as_str()) == Some(feature))?;
        // NB: the algorithm makes every value that is not a list an empty allowlist. The standard's section on
        // serialisation says otherwise, and this follows that section: a string is a list with one member, and a value
        // that is neither a list, nor a string, nor a known token is ignored.
        let items: &[Item] = match value {
            ListEntry::InnerList(list) => &list.items,
            ListEntry::Item(item) => {
                let is_string = matches!(item.bare_item, BareItem::String(_));
                let is_known = is_string || is_token(item, "*") || is_token(item, "self");
                is_known.then(|| std::slice::from_ref(item))?
            }
        };
        if items.iter().any(|item| is_token(item, "*")) {
            return Some(Allowlist::Everyone);
        }
        let is_self = items.iter().any(|item| is_token(item, "self"));
        let expressions = items.iter().filter_map(|item| match &item.bare_item {
            BareItem::String(expression) => Some(expression.as_str().to_owned()),
            _ => None,
        });
        let origins = is_self.then(|| origin.clone()).into_iter().collect();
        Some(Allowlist::some(expressions.collect(), origins))
    })
}

/// [Parse policy directive](https://w3c.github.io/webappsec-permissions-policy/#algo-parse-policy-directive).
fn parse_policy_directive(
    value: &str,
    container_origin: &Origin,
    target_origin: &Origin,
) -> Features<Option<Allowlist>> {
    let mut directive = Features::default();
    for declaration in value.split(';') {
        let mut tokens = declaration.split_ascii_whitespace();
        let Some(feature) = tokens.next().and_then(PolicyFeature::named) else { continue };
        let targets: Vec<_> = tokens.collect();
        let mut expressions = Vec::new();
        let mut origins = Vec::new();
        let add = |origins: &mut Vec<Origin>, origin: &Origin| {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        };
        if targets.is_empty() {
            origins.push(target_origin.clone());
        }
        for element in &targets {
            if element.eq_ignore_ascii_case("'self'") {
                add(&mut origins, container_origin);
            } else if element.eq_ignore_ascii_case("'src'") {
                add(&mut origins, target_origin);
            } else if let Ok(url) = Url::parse(element)
                && let origin @ Origin::Tuple { .. } = Origin::of(&url, Nonce::from_u128(0))
            {
                expressions.push(origin.to_string());
            }
        }
        directive[feature as usize] = Some(if targets.contains(&"*") {
            Allowlist::Everyone
        } else {
            Allowlist::some(expressions, origins)
        });
    }
    directive
}

#[cfg(test)]
mod tests;
