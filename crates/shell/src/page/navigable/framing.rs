//! The checks that decide whether a document may be in a frame: `X-Frame-Options`, `frame-ancestors`, `frame-src`.

use std::rc::Rc;

use sendbeacon::{Client, CspDisposition, Nonce, Origin};
use url::Url;

use super::Navigable;
use crate::page::FetchedDocument;

impl Navigable {
    /// [Check a navigation response's adherence to X-Frame-Options](https://html.spec.whatwg.org/multipage/document-lifecycle.html#check-a-navigation-response's-adherence-to-x-frame-options)
    pub(super) fn check_x_frame_options(self: &Rc<Self>, document: &FetchedDocument) -> bool {
        // Step 1.
        if self.parent.is_none() {
            return true;
        }
        let event_loop = self.active().event_loop();
        let ancestors = event_loop.navigables().inclusive_ancestors(self);
        let ancestors = ancestors.filter(|it| it.id != self.id);
        let mut origins = ancestors.map(|it| it.active().window().client().origin);
        // Step 2.
        if has_frame_ancestors(&document.client) {
            return origins.all(|origin| is_frame_ancestor(&document.client, &origin));
        }
        // Steps 3 to 6.
        let mut options: Vec<_> = document
            .frame_options
            .split(',')
            .map(|option| option.trim().to_ascii_lowercase())
            .filter(|option| !option.is_empty())
            .collect();
        options.sort_unstable();
        options.dedup();
        let is_known = |option: &String| matches!(&**option, "deny" | "allowall" | "sameorigin");
        match &*options {
            // Step 9.
            [option] if option == "deny" => false,
            // Step 10.
            [option] if option == "sameorigin" => {
                origins.all(|origin| origin == document.client.origin)
            }
            [] | [_] => true,
            // Steps 7 and 8.
            several => !several.iter().any(is_known),
        }
    }

    /// The [`frame-src` pre-request check](https://w3c.github.io/webappsec-csp/#frame-src-pre-request) of the policies
    /// of the container's document. Returns whether the frame may request `url`.
    ///
    /// TODO(spec): redirects are not checked.
    pub(super) fn check_frame_src(&self, url: &Url) -> bool {
        let event_loop = self.active().event_loop();
        let Some((container, _)) = self.container_realm(&event_loop) else { return true };
        let csp_list = container.window().client().csp_list;
        let mut violations = csp_list.violations_of("frame-src", url);
        let origin = Origin::of(url, Nonce::random());
        // NB: the standard reports the whole URL. Browsers report only the origin of a cross-origin URL.
        if !origin.is_same_origin_with_url(&container.window().document.url()) && url.has_host() {
            for violation in &mut violations {
                violation.blocked_uri = origin.to_string().into();
            }
        }
        !container.window().report_violations(violations)
    }
}

/// The [`frame-ancestors` navigation response check](https://w3c.github.io/webappsec-csp/#frame-ancestors-navigation-response)
/// for one ancestor.
///
/// TODO(spec): violations are not reported.
fn is_frame_ancestor(client: &Client, ancestor: &Origin) -> bool {
    let Ok(url) = Url::parse(&ancestor.to_string()) else { return false };
    let violations = client.csp_list.violations_of("frame-ancestors", &url);
    violations.iter().all(|it| it.disposition != CspDisposition::Enforce)
}

fn has_frame_ancestors(client: &Client) -> bool {
    client.csp_list.enforced_directives("frame-ancestors").next().is_some()
}
