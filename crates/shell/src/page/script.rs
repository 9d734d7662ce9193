//! The [`script` element](https://html.spec.whatwg.org/multipage/scripting.html#the-script-element), for classic
//! scripts.

use html5ever::local_name;

use super::{
    dom::{Element, NodeId},
    host::ScriptRequest,
    mime_type::is_javascript_mime_type_essence,
    parser::decode,
    realm::{Realm, evaluate},
    window::Window,
};

/// A script that is ready to run.
pub(super) struct ClassicScript {
    pub(super) source: String,
    pub(super) name: String,
    /// Whether the script has a `src`, so that its element gets a `load` event.
    pub(super) is_external: bool,
}

/// The result of preparing a script element.
pub(super) enum Prepared {
    /// There is nothing to run, or not yet.
    Nothing,
    Ready(ClassicScript),
    /// The script cannot be loaded, for this reason. The element gets an `error` event.
    Failed(String),
}

impl Window {
    /// Whether the script runs after the parser has ended.
    pub(super) fn is_deferred(&self, script: NodeId) -> bool {
        let dom = self.document.dom();
        let has = |name| dom.attribute(script, name).is_some();
        has("src") && has("defer") && !has("async")
    }

    /// [Prepare the script element](https://html.spec.whatwg.org/multipage/scripting.html#prepare-the-script-element).
    /// Blocks until an external script is fetched.
    pub(super) fn prepare_script(&self, script: NodeId) -> Prepared {
        // Step 19.
        if self.environment().sandbox.scripts {
            return Prepared::Nothing;
        }
        let text = {
            let mut dom = self.document.dom_mut();
            let text = dom.text_content(script);
            // Step 6. An empty script is not marked as started: it may get text later.
            let is_empty = text.is_empty() && dom.attribute(script, "src").is_none();
            let connected = dom.is_connected(script);
            let Some(element) = dom.element_mut(script) else { return Prepared::Nothing };
            if element.already_started || is_empty || !connected {
                return Prepared::Nothing;
            }
            if !is_classic(element) {
                return Prepared::Nothing;
            }
            element.already_started = true;
            text
        };
        let src = self.document.dom().attribute(script, "src").map(str::to_owned);
        let Some(src) = src else {
            let name = self.document.url().to_string();
            return Prepared::Ready(ClassicScript { source: text, name, is_external: false });
        };
        // Step 33.
        let url = match self.document.parse_url(&src) {
            Ok(url) if !src.is_empty() => url,
            _ => return Prepared::Failed(format!("script src {src:?} is no URL")),
        };
        let attribute = |name| self.document.dom().attribute(script, name).map(str::to_owned);
        let mut request =
            ScriptRequest::of_element(url.clone(), attribute("crossorigin").as_deref());
        request.referrer_policy = attribute("referrerpolicy").and_then(|it| it.parse().ok());
        request.integrity = attribute("integrity").unwrap_or_default();
        match self.load_script(&request) {
            Ok(fetched) => {
                let charset = fetched.charset().or_else(|| attribute("charset"));
                let fallback = self.document.encoding.get();
                Prepared::Ready(ClassicScript {
                    source: decode(&fetched.body, charset.as_deref(), fallback).0,
                    name: url.into(),
                    is_external: true,
                })
            }
            Err(reason) => Prepared::Failed(format!("{url}: {reason}")),
        }
    }
}

/// Whether the script is a classic one, by steps 8 to 13. The shell has no module scripts.
fn is_classic(element: &Element) -> bool {
    if element.name.local != local_name!("script") {
        return false;
    }
    let attribute = |name: &str| {
        let found = element.attributes.iter().find(|it| &*it.name.local == name);
        found.map(|it| it.value.to_string())
    };
    if attribute("nomodule").is_some() {
        return false;
    }
    let type_ = match (attribute("type"), attribute("language")) {
        (Some(type_), _) if type_.is_empty() => return true,
        (Some(type_), _) => type_,
        (None, Some(language)) if !language.is_empty() => format!("text/{language}"),
        (None, _) => return true,
    };
    is_javascript_mime_type_essence(type_.trim_ascii())
}

impl Realm {
    /// [Execute the script element](https://html.spec.whatwg.org/multipage/scripting.html#execute-the-script-element)
    /// that the parser has reached.
    pub(super) fn execute_script_element(&self, script: NodeId) {
        match self.window().prepare_script(script) {
            Prepared::Nothing => {}
            Prepared::Failed(reason) => {
                self.console_error(&reason);
                self.call("fireAtNode", (script.0, "error"));
            }
            Prepared::Ready(classic) => {
                self.run(|ctx, _| evaluate(ctx, &classic.source, &classic.name));
                if classic.is_external {
                    self.call("fireAtNode", (script.0, "load"));
                }
            }
        }
    }
}
