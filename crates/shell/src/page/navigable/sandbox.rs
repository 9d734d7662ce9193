//! [Sandboxing](https://html.spec.whatwg.org/multipage/browsers.html#sandboxing)

use serde::{Deserialize, Serialize};

/// A [sandboxing flag set](https://html.spec.whatwg.org/multipage/browsers.html#sandboxing-flag-set), with the flags
/// that the shell implements. Each flag forbids something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxFlags {
    /// Forbids navigating a frame that is not below the document, unless it is the top-level traversable.
    pub navigation: bool,
    /// Forbids opening windows.
    pub auxiliary_navigation: bool,
    /// Forbids navigating the top-level traversable.
    pub top_level_navigation: bool,
    /// Forbids the origin of the URL: the document gets an opaque origin.
    pub origin: bool,
    /// Forbids submitting forms.
    pub forms: bool,
    /// Forbids running scripts.
    pub scripts: bool,
    /// Forbids opening windows without these flags.
    pub escape: bool,
}

impl SandboxFlags {
    /// [Parse a sandboxing directive](https://html.spec.whatwg.org/multipage/browsers.html#parse-a-sandboxing-directive)
    #[must_use]
    pub fn parse<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let tokens: Vec<_> = tokens.into_iter().map(str::to_ascii_lowercase).collect();
        let forbids = |token: &str| !tokens.iter().any(|it| it == token);
        Self {
            navigation: true,
            auxiliary_navigation: forbids("allow-popups"),
            top_level_navigation: forbids("allow-top-navigation"),
            origin: forbids("allow-same-origin"),
            forms: forbids("allow-forms"),
            scripts: forbids("allow-scripts"),
            escape: forbids("allow-popups-to-escape-sandbox"),
        }
    }

    /// The flags that are set in `self` or in `other`.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            navigation: self.navigation || other.navigation,
            auxiliary_navigation: self.auxiliary_navigation || other.auxiliary_navigation,
            top_level_navigation: self.top_level_navigation || other.top_level_navigation,
            origin: self.origin || other.origin,
            forms: self.forms || other.forms,
            scripts: self.scripts || other.scripts,
            escape: self.escape || other.escape,
        }
    }
}
