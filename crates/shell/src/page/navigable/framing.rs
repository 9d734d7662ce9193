//! Which documents may be in a frame.

use std::rc::Rc;

use sendbeacon::Client;

use super::Navigable;
use crate::page::FetchedDocument;

impl Navigable {
    /// [Check a navigation response's adherence to X-Frame-Options](https://html.spec.whatwg.org/multipage/document-lifecycle.html#check-a-navigation-response's-adherence-to-x-frame-options)
    ///
    /// TODO(spec): `frame-ancestors` is not matched; where it is there, anybody may frame the document.
    pub(super) fn may_frame(self: &Rc<Self>, document: &FetchedDocument) -> bool {
        // Steps 1 and 2.
        if self.parent.is_none() || has_frame_ancestors(&document.client) {
            return true;
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
                let event_loop = self.active().event_loop();
                let mut ancestors =
                    event_loop.navigables().inclusive_ancestors(self).filter(|it| it.id != self.id);
                let origin = &document.client.origin;
                ancestors.all(|it| it.active().window().client().origin == *origin)
            }
            [] | [_] => true,
            // Steps 7 and 8.
            several => !several.iter().any(is_known),
        }
    }
}

fn has_frame_ancestors(client: &Client) -> bool {
    client.csp_list.enforced_directives("frame-ancestors").next().is_some()
}
