//! The Web APIs that are written in JavaScript, and how they are put into a realm.
//!
//! Each file of `js/` is the body of a function of `native` (the functions of [`bindings`]),
//! `agent` (what the realms of an event loop share) and `internal` (what the files of a realm leave
//! for each other). Pages reach none of the three.
//!
//! [`bindings`]: super::bindings

use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Persistent, context::EvalOptions};

use super::{bindings, window::Window};

pub(super) type Agent = Persistent<Object<'static>>;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("js/", $name, ".js")))),*]
    };
}

/// What windows and workers have. In order: a file uses what the files before it have left in `internal`.
const FILES: &[(&str, &str)] = files![
    "webidl",
    "buffer_source",
    "event",
    "event_target",
    "event_handlers",
    "abort",
    "timers",
    "console",
    "url",
    "url_search_params",
    "blob",
    "form_data",
    "encoding",
    "crypto",
    "readable_stream",
    "headers",
    "multipart",
    "body",
    "request",
    "response",
    "fetch",
    "structured_clone",
    "message_port",
    "broadcast_channel",
    "performance",
    "worker",
];

/// What windows have beside.
const WINDOW_FILES: &[(&str, &str)] = files![
    "storage",
    "node",
    "element",
    "html_elements",
    "iframe",
    "form_controls",
    "form",
    "document",
    "location",
    "navigator",
    "window",
    "messaging",
    "fetch_later",
    "lifecycle",
];

/// What dedicated workers have beside.
const WORKER_FILES: &[(&str, &str)] = files!["worker_global_scope"];

/// What the global object of a realm is.
#[derive(Clone, Copy)]
pub(super) enum Global {
    Window,
    DedicatedWorker,
}

/// What the realms of an event loop share. Made in a context of its own, which it keeps alive.
pub(super) fn create_agent(ctx: &Ctx<'_>) -> rquickjs::Result<Agent> {
    // All native functions of a runtime share one prototype, that of the realm of the first, which
    // then lives as long as the runtime. Let it be this one.
    Function::new(ctx.clone(), || ())?;
    let native = bindings::install_agent(ctx)?;
    let agent: Object = function(ctx, "agent", "", include_str!("js/agent.js"))?.call(())?;
    let window_proxy =
        function(ctx, "window_proxy", "native, agent", include_str!("js/window_proxy.js"))?;
    window_proxy.call::<_, ()>((native, agent.clone()))?;
    Ok(Persistent::save(ctx, agent))
}

/// Runs the files of a `global` in the realm of `ctx`. Returns the hooks they leave.
pub(super) fn run(
    ctx: &Ctx<'_>,
    window: &Rc<Window>,
    agent: &Agent,
    global: Global,
) -> rquickjs::Result<Persistent<Object<'static>>> {
    let agent = agent.clone().restore(ctx)?;
    let native = bindings::install(ctx, window)?;
    let internal = Object::new(ctx.clone())?;
    let hooks = Object::new(ctx.clone())?;
    internal.set("hooks", hooks.clone())?;
    let files = match global {
        Global::Window => WINDOW_FILES,
        Global::DedicatedWorker => WORKER_FILES,
    };
    for (name, source) in FILES.iter().chain(files) {
        let file = function(ctx, name, "native, agent, internal", source)?;
        file.call::<_, ()>((native.clone(), agent.clone(), internal.clone()))?;
    }
    Ok(Persistent::save(ctx, hooks))
}

fn function<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    parameters: &str,
    body: &str,
) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some(format!("{name}.js"));
    // On one line with the first of the file, so that line numbers are the file's.
    let source = format!("(function ({parameters}) {{ \"use strict\"; {body}\n}})");
    ctx.eval_with_options(source, options)
}
