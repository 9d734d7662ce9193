//! Which directive of a policy decides about a request.

use super::policy::{Directive, Policy};
use crate::destination::Destination;

/// [Get the effective directive for request](https://w3c.github.io/webappsec-csp/#effective-directive-for-a-request):
/// `None` for a report, about which no directive decides.
///
/// NB: no request here has the initiator "prefetch" or "prerender" (Step 1).
pub(super) fn effective_directive(destination: Destination) -> Option<&'static str> {
    // Step 2.
    let directive = match destination {
        Destination::Manifest => "manifest-src",
        Destination::Object | Destination::Embed => "object-src",
        Destination::Frame | Destination::Iframe => "frame-src",
        Destination::Audio | Destination::Track | Destination::Video => "media-src",
        Destination::Font => "font-src",
        Destination::Image => "img-src",
        Destination::Style => "style-src-elem",
        Destination::Script
        | Destination::Xslt
        | Destination::AudioWorklet
        | Destination::PaintWorklet => "script-src-elem",
        Destination::ServiceWorker | Destination::SharedWorker | Destination::Worker => {
            "worker-src"
        }
        Destination::Report => return None,
        // Step 3.
        Destination::Empty
        | Destination::Document
        | Destination::Json
        | Destination::Text
        | Destination::WebIdentity => "connect-src",
    };
    Some(directive)
}

/// The directive of `policy` that decides about loads with this effective directive: the first one of the
/// [fallback list](https://w3c.github.io/webappsec-csp/#directive-fallback-list) that the policy has, which is the only
/// one that [should execute](https://w3c.github.io/webappsec-csp/#should-directive-execute).
pub(super) fn deciding_directive<'a>(
    policy: &'a Policy,
    effective_directive: &str,
) -> Option<&'a Directive> {
    let own = policy.directive(effective_directive);
    // Step 1.
    own.or_else(|| fallbacks(effective_directive).iter().find_map(|name| policy.directive(name)))
}

/// [Get fetch directive fallback list](https://w3c.github.io/webappsec-csp/#directive-fallback-list), without the directive
/// itself.
fn fallbacks(directive: &str) -> &'static [&'static str] {
    match directive {
        "script-src-elem" | "script-src-attr" => &["script-src", "default-src"],
        "style-src-elem" | "style-src-attr" => &["style-src", "default-src"],
        "worker-src" => &["child-src", "script-src", "default-src"],
        "frame-src" => &["child-src", "default-src"],
        "child-src" | "connect-src" | "font-src" | "img-src" | "manifest-src" | "media-src"
        | "object-src" | "script-src" | "style-src" => &["default-src"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::csp::CspDisposition;

    #[test]
    fn the_most_specific_directive_of_a_policy_decides() {
        let deciding = |policy: &str, effective: &str| {
            let policy = Policy::parse(policy, CspDisposition::Enforce);
            let directive = deciding_directive(&policy, effective);
            directive.map(|it| it.value().join(" "))
        };
        let policy = "default-src d; child-src c; script-src s; img-src i; frame-ancestors f";
        for (effective, expected) in [
            ("connect-src", Some("d")),
            ("img-src", Some("i")),
            ("frame-src", Some("c")),
            ("worker-src", Some("c")),
            ("script-src-elem", Some("s")),
            ("style-src-elem", Some("d")),
            ("frame-ancestors", Some("f")),
            ("form-action", None),
            ("base-uri", None),
        ] {
            assert_eq!(deciding(policy, effective).as_deref(), expected, "{effective}");
        }
        assert_eq!(deciding("script-src s", "worker-src").as_deref(), Some("s"));
        assert_eq!(deciding("img-src i", "connect-src"), None);
    }
}
