//! The prelude: the Web APIs that are written in JavaScript, and the code that runs them in a new realm.
//!
//! Each file of `js/` is the body of a function with three parameters: `native` (the functions of [`bindings`]), `agent`
//! (an object that all realms of an event loop share) and `internal` (an object that the files of one realm share).
//! Scripts of pages have access to none of the three.
//!
//! [`bindings`]: super::bindings

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Persistent, context::EvalOptions, function::This};

use super::{bindings, window::Window};

/// The JavaScript object that all realms of an event loop share: see `js/agent.js`.
pub(super) type Agent = Persistent<Object<'static>>;

/// The name and the source of each file.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("js/", $name, ".js")))),*]
    };
}

/// The files for windows and workers. Their order matters: a file uses what earlier files have stored in `internal`.
const FILES: &[(&str, &str)] = files![
    "webidl",
    "function_to_string",
    "interfaces",
    "legacy_platform_object",
    "buffer_source",
    "event",
    "event_target",
    "event_handlers",
    "abort",
    "timers",
    "promise_rejections",
    "module_scripts",
    "console",
    "intl",
    "url",
    "url_search_params",
    "blob",
    "form_data",
    "encoding",
    "crypto",
    "readable_stream",
    "writable_stream",
    "compression_stream",
    "body_source",
    "headers",
    "multipart",
    "body",
    "request",
    "response",
    "fetch",
    "xml_http_request",
    "file_reader",
    "structured_clone",
    "structured_text",
    "message_port",
    "broadcast_channel",
    "performance",
    "worker",
];

/// The files for windows only, which run after [`FILES`].
const WINDOW_FILES: &[(&str, &str)] = files![
    "navigation_timing",
    "layout_instability",
    "paint_timing",
    "storage",
    "node",
    "mutation_observer",
    "element",
    "html_collection",
    "html_elements",
    "hyperlinks",
    "iframe",
    "image",
    "form_controls",
    "form",
    "document",
    "attr",
    "dom_token_list",
    "css_style_declaration",
    "location",
    "navigator",
    "window",
    "cssom_view",
    "resize_observer",
    "intersection_observer",
    "idle_callback",
    "messaging",
    "fetch_later",
    "shared_worker",
    "lifecycle",
    "window_reflection",
];

/// The files for dedicated workers only, which run after [`FILES`].
const DEDICATED_WORKER_FILES: &[(&str, &str)] =
    files!["worker_global_scope", "dedicated_worker_global_scope"];

/// The files for shared workers only, which run after [`FILES`].
const SHARED_WORKER_FILES: &[(&str, &str)] =
    files!["worker_global_scope", "shared_worker_global_scope"];

/// The only file for windows whose documents other processes run.
const REMOTE_WINDOW_FILES: &[(&str, &str)] = files!["remote_window"];

/// The kind of a realm's global object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    Window,
    /// A window whose document another process runs.
    RemoteWindow,
    DedicatedWorker,
    SharedWorker,
}

/// Creates the object that all realms of an event loop share. `ctx` is a context that no document uses.
pub(super) fn create_agent(ctx: &Ctx<'_>) -> rquickjs::Result<Agent> {
    // All native functions of a runtime share one prototype. It belongs to the context of the first native function and
    // keeps that context alive as long as the runtime. So the first one is created here, not in a document's context.
    Function::new(ctx.clone(), || ())?;
    let native = bindings::install_agent(ctx)?;
    let agent: Object = function(ctx, "agent", "", include_str!("js/agent.js"))?.call(())?;
    let window_proxy =
        function(ctx, "window_proxy", "native, agent", include_str!("js/window_proxy.js"))?;
    window_proxy.call::<_, ()>((native, agent.clone()))?;
    Ok(Persistent::save(ctx, agent))
}

/// Runs the files for the kind of global object `global` in the realm of `ctx`. Returns the object with their hooks.
pub(super) fn run(
    ctx: &Ctx<'_>,
    window: &Rc<Window>,
    agent: &Agent,
    global: Global,
) -> rquickjs::Result<Persistent<Object<'static>>> {
    let agent = agent.clone().restore(ctx)?;
    let native = match global {
        Global::RemoteWindow => bindings::install_remote(ctx, window)?,
        Global::Window | Global::DedicatedWorker | Global::SharedWorker => {
            bindings::install(ctx, window)?
        }
    };
    let internal = bindings::bare_object(ctx)?;
    let hooks = bindings::bare_object(ctx)?;
    internal.set("hooks", hooks.clone())?;
    let for_realm: Function = agent.get("forRealm")?;
    let agent: Object = for_realm.call((This(agent), internal.clone()))?;
    let (files, more) = match global {
        Global::Window => (FILES, WINDOW_FILES),
        Global::RemoteWindow => (REMOTE_WINDOW_FILES, [].as_slice()),
        Global::DedicatedWorker => (FILES, DEDICATED_WORKER_FILES),
        Global::SharedWorker => (FILES, SHARED_WORKER_FILES),
    };
    for (name, source) in files.iter().chain(more) {
        let file = function(ctx, name, "native, agent, internal", source)?;
        file.call::<_, ()>((native.clone(), agent.clone(), internal.clone()))?;
    }
    Ok(Persistent::save(ctx, hooks))
}

/// Compiles a file to a function with the given parameters.
fn function<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    parameters: &str,
    body: &str,
) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    // `function_to_string.js` knows the functions of the prelude by this prefix.
    options.filename = Some(format!("native:{name}.js"));
    // The function's head stands on the first line of the file, so that line numbers in stacks are those of the file. It is
    // not in parentheses, because the engine would read the whole file twice, to see whether an arrow follows them.
    let source = format!("0, function ({parameters}) {{ \"use strict\"; {body}\n}}");
    ctx.eval_with_options(source, options)
}
