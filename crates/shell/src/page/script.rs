//! The [`script` element](https://html.spec.whatwg.org/multipage/scripting.html#the-script-element).

use html5ever::local_name;

use super::{
    dom::{Element, NodeId},
    host::ScriptRequest,
    mime_type::is_javascript_mime_type_essence,
    modules::Settings,
    parser::decode,
    realm::{Realm, evaluate},
    window::Window,
};

/// A script that is ready to run.
pub(super) struct ReadyScript {
    /// `None` for an external module script: its text is in the module map.
    pub(super) text: Option<String>,
    pub(super) name: String,
    /// Whether the script has a `src`, so that its element gets a `load` event.
    pub(super) is_external: bool,
    pub(super) is_module: bool,
}

/// The [type](https://html.spec.whatwg.org/multipage/scripting.html#concept-script-type) of a script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScriptType {
    Classic,
    Module,
}

/// The result of preparing a script element.
pub(super) enum Prepared {
    /// There is nothing to run, or not yet.
    Nothing,
    Ready(ReadyScript),
    /// The script cannot be loaded, for this reason. The element gets an `error` event.
    Failed(String),
}

impl Window {
    /// Whether the script runs after the parser has ended.
    pub(super) fn is_deferred(&self, script: NodeId) -> bool {
        let dom = self.document.dom();
        let has = |name| dom.attribute(script, name).is_some();
        let is_module = dom.element(script).and_then(script_type) == Some(ScriptType::Module);
        !has("async") && (is_module || has("src") && has("defer"))
    }

    /// [Prepare the script element](https://html.spec.whatwg.org/multipage/scripting.html#prepare-the-script-element).
    /// Blocks until an external script is fetched.
    pub(super) fn prepare_script(&self, script: NodeId) -> Prepared {
        // Step 19.
        if self.environment().sandbox.scripts {
            return Prepared::Nothing;
        }
        let (text, type_) = {
            let mut dom = self.document.dom_mut();
            let text = dom.text_content(script);
            // Step 6. An empty script is not marked as started: it may get text later.
            let is_empty = text.is_empty() && dom.attribute(script, "src").is_none();
            let connected = dom.is_connected(script);
            let Some(element) = dom.element_mut(script) else { return Prepared::Nothing };
            if element.already_started || is_empty || !connected {
                return Prepared::Nothing;
            }
            let Some(type_) = script_type(element) else { return Prepared::Nothing };
            element.already_started = true;
            (text, type_)
        };
        let is_module = type_ == ScriptType::Module;
        let attribute = |name| self.document.dom().attribute(script, name).map(str::to_owned);
        let crossorigin = attribute("crossorigin");
        let referrer_policy = attribute("referrerpolicy").and_then(|it| it.parse().ok());
        let Some(src) = attribute("src") else {
            let name = if is_module {
                let credentials = ScriptRequest::module_credentials(crossorigin.as_deref());
                let base_url = self.document.base_url();
                let settings = Settings { base_url, credentials, referrer_policy };
                match self.modules.add_inline(settings) {
                    Ok(name) => name,
                    Err(reason) => return Prepared::Failed(reason),
                }
            } else {
                self.document.url().into()
            };
            let (text, is_external) = (Some(text), false);
            return Prepared::Ready(ReadyScript { text, name, is_external, is_module });
        };
        // Step 33.
        let url = match self.document.parse_url(&src) {
            Ok(url) if !src.is_empty() => url,
            _ => return Prepared::Failed(format!("script src {src:?} is no URL")),
        };
        let mut request = if is_module {
            let credentials = ScriptRequest::module_credentials(crossorigin.as_deref());
            ScriptRequest::of_module(url, credentials)
        } else {
            ScriptRequest::of_element(url, crossorigin.as_deref())
        };
        request.referrer_policy = referrer_policy;
        request.integrity = attribute("integrity").unwrap_or_default();
        let text = if is_module {
            self.load_module(&request).map(|()| None)
        } else {
            self.load_script(&request).map(|fetched| {
                let charset = fetched.charset().or_else(|| attribute("charset"));
                let fallback = self.document.encoding.get();
                Some(decode(&fetched.body, charset.as_deref(), fallback).0)
            })
        };
        let name = String::from(request.url);
        match text {
            Ok(text) => Prepared::Ready(ReadyScript { text, name, is_external: true, is_module }),
            Err(reason) => Prepared::Failed(format!("{name}: {reason}")),
        }
    }
}

/// The type of a script element, by steps 8 to 13. `None`: the element has no script.
fn script_type(element: &Element) -> Option<ScriptType> {
    if element.name.local != local_name!("script") {
        return None;
    }
    let attribute = |name: &str| {
        let found = element.attributes.iter().find(|it| &*it.name.local == name);
        found.map(|it| it.value.to_string())
    };
    let type_ = match (attribute("type"), attribute("language")) {
        (Some(type_), _) if type_.is_empty() => "text/javascript".to_owned(),
        (Some(type_), _) => type_,
        (None, Some(language)) if !language.is_empty() => format!("text/{language}"),
        (None, _) => "text/javascript".to_owned(),
    };
    if type_.eq_ignore_ascii_case("module") {
        return Some(ScriptType::Module);
    }
    let is_classic = is_javascript_mime_type_essence(type_.trim_ascii());
    (is_classic && attribute("nomodule").is_none()).then_some(ScriptType::Classic)
}

impl Realm {
    /// [Execute the script element](https://html.spec.whatwg.org/multipage/scripting.html#execute-the-script-element)
    /// that the parser has reached.
    pub(super) fn execute_script_element(&self, script: NodeId) {
        let ready = match self.window().prepare_script(script) {
            Prepared::Nothing => return,
            Prepared::Failed(reason) => Err(reason),
            Prepared::Ready(ready) => Ok(ready),
        };
        let run = ready.and_then(|ReadyScript { text, name, is_external, is_module }| {
            if is_module {
                self.run_module(&name, text.as_deref())?;
            } else {
                self.run(|ctx, _| evaluate(ctx, &text.unwrap_or_default(), &name));
            }
            Ok(is_external)
        });
        match run {
            Err(reason) => {
                self.console_error(&reason);
                self.call("fireAtNode", (script.0, "error"));
            }
            Ok(true) => self.call("fireAtNode", (script.0, "load")),
            Ok(false) => {}
        }
    }
}
