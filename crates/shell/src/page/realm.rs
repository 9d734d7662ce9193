//! A JavaScript [realm](https://html.spec.whatwg.org/multipage/webappapis.html#realms-settings-objects-global-objects)
//! with the Web APIs of a window or a worker.

use std::{
    cell::OnceCell,
    rc::{Rc, Weak},
};

use data_url::forgiving_base64;
use rquickjs::{
    Context, Ctx, Error, Function, Object, Persistent, context::EvalOptions, convert::List,
    function::IntoArgs,
};
use url::Url;

use super::{
    EventLoop, PageError, RealmId, ResourceTiming, Violation,
    bindings::performance::TimingSince,
    exceptions::{ContextId, describe},
    prelude::{self, Global},
    window::Window,
};

/// A JavaScript realm, with the native part of its global object.
pub struct Realm {
    /// The prelude's functions that Rust calls. It must be dropped before `context`, so it is the first field.
    hooks: Persistent<Object<'static>>,
    context: Context,
    window: Rc<Window>,
    event_loop: Weak<EventLoop>,
}

impl Realm {
    /// Creates a realm whose global object is a window without a document.
    pub(super) fn new(event_loop: &Rc<EventLoop>, ctx: &Ctx<'_>) -> Result<Rc<Self>, PageError> {
        Self::with_global(event_loop, ctx, Global::Window)
    }

    /// Creates a realm whose global object is a window whose document another process runs.
    pub(super) fn new_remote(
        event_loop: &Rc<EventLoop>,
        ctx: &Ctx<'_>,
    ) -> Result<Rc<Self>, PageError> {
        Self::with_global(event_loop, ctx, Global::RemoteWindow)
    }

    /// Creates a realm with a global object of this kind.
    pub(super) fn with_global(
        event_loop: &Rc<EventLoop>,
        ctx: &Ctx<'_>,
        global: Global,
    ) -> Result<Rc<Self>, PageError> {
        let context = event_loop.new_context().ok_or(PageError::TooManyRealms)?;
        let id = event_loop.next_realm_id();
        let is_remote = global == Global::RemoteWindow;
        let window = Rc::new(Window::new(id, Rc::clone(event_loop.shared()), is_remote));
        let hooks = Rc::new(OnceCell::new());
        context.run(ctx, {
            let (window, agent) = (Rc::clone(&window), event_loop.agent().clone());
            let hooks = Rc::clone(&hooks);
            move |ctx| {
                let made = prelude::run(&ctx, &window, &agent, global);
                // Cannot fail: nothing else sets it.
                let _ = hooks.set(made.map_err(|error| explain(&ctx, &error)));
                Ok(())
            }
        })?;
        let hooks = Rc::into_inner(hooks).and_then(OnceCell::into_inner);
        let hooks = hooks.unwrap_or_else(|| Err("the prelude was not run".to_owned()));
        let hooks = hooks.map_err(PageError::Prelude)?;
        let context = context.into_context();
        let realm = Rc::new(Self { hooks, context, window, event_loop: Rc::downgrade(event_loop) });
        event_loop.add_realm(&realm);
        Ok(realm)
    }

    /// [Reports](https://w3c.github.io/webappsec-csp/#report-violation) to the page that one of its requests has violated
    /// a Content Security Policy: fires the event. Must not be called while a script runs.
    pub fn fire_violation(&self, violation: Violation) {
        let Violation { blocked_uri, effective_directive, original_policy, disposition } =
            violation;
        let arguments = (blocked_uri, effective_directive, original_policy, disposition);
        self.call("fireViolation", arguments);
    }

    /// Adds an entry to the page's performance timeline. Must not be called while a script runs.
    pub fn add_resource_timing(&self, timing: ResourceTiming) {
        self.call(
            "addResourceTiming",
            (TimingSince { timing, origin: self.window.time_origin.get().at },),
        );
    }

    /// Connects the page with its worker, so that they can exchange messages. Returns false if the page has terminated
    /// the worker already.
    pub(super) fn connect_worker(&self, id: u32, worker: &Self) -> bool {
        let mut is_wanted = false;
        self.run(|ctx, hooks| {
            let port = worker.hooks.clone().restore(ctx)?;
            is_wanted = hooks.get::<_, Function>("connectWorker")?.call((id, port))?;
            Ok(())
        });
        is_wanted
    }

    /// Connects the page with a shared worker. Must not be called while a script runs.
    pub(super) fn connect_shared_worker(&self, id: u32, worker: &Self) {
        self.run(|ctx, hooks| {
            let port = worker.hooks.clone().restore(ctx)?;
            hooks.get::<_, Function>("connectSharedWorker")?.call((id, port))
        });
    }

    /// Identifies this realm, for [`TaskQueue::post`](super::TaskQueue::post).
    #[must_use]
    pub fn id(&self) -> RealmId {
        self.window.id
    }

    /// [Runs a classic script](https://html.spec.whatwg.org/multipage/webappapis.html#run-a-classic-script).
    /// An exception that the script throws is printed to the console. Must not be called while a script runs.
    pub fn evaluate(&self, source: &str, name: &str) {
        self.window.shared().expects_scripts.set(true);
        self.run(|ctx, _| evaluate(ctx, source, name));
    }

    /// [Runs a module script](https://html.spec.whatwg.org/multipage/webappapis.html#run-a-module-script): the module of the
    /// module map with this name or, if there is a `text`, an inline one. Fails if a module that it imports cannot be
    /// fetched. An exception that the script throws is reported. Must not be called while a script runs.
    pub(super) fn run_module(&self, name: &str, text: Option<&str>) -> Result<(), String> {
        self.window.shared().expects_scripts.set(true);
        let mut failure = None;
        self.run(|_, hooks| {
            failure = hooks.get::<_, Function>("runModule")?.call((name, text))?;
            Ok(())
        });
        failure.map_or(Ok(()), Err)
    }

    /// Evaluates an expression and returns its value as JSON. `None` if the expression throws, or if its value has no
    /// JSON form. Must not be called while a script runs.
    #[must_use]
    pub fn inspect(&self, expression: &str) -> Option<String> {
        let mut json = None;
        self.run(|ctx, _| {
            let value: rquickjs::Value = ctx.eval(expression)?;
            json = ctx.json_stringify(value)?.map(|text| text.to_string()).transpose()?;
            Ok(())
        });
        json
    }

    /// Runs the script of a `javascript:` URL. Returns its value if that is a string.
    pub(super) fn evaluate_to_string(&self, source: &str, name: &str) -> Option<String> {
        self.window.shared().expects_scripts.set(true);
        let mut result = None;
        self.run(|ctx, _| {
            let value: rquickjs::Value = ctx.eval_with_options(source, script_options(name))?;
            result = value.as_string().map(rquickjs::String::to_string).transpose()?;
            Ok(())
        });
        result
    }

    /// Calls a hook of the prelude. Must not be called while a script runs.
    pub(super) fn call<A>(&self, hook: &str, arguments: A)
    where
        A: for<'js> IntoArgs<'js>,
    {
        self.run(|_, hooks| {
            let hook: Function = hooks.get(hook)?;
            hook.call::<_, rquickjs::Value>(arguments).map(drop)
        });
    }

    /// The bytes and the type of the blob at a blob URL.
    pub(super) fn blob_document(&self, url: &Url) -> Option<(Vec<u8>, String)> {
        let mut document = None;
        self.run(|_, hooks| {
            let hook: Function = hooks.get("blobDocument")?;
            document = hook.call::<_, Option<List<(String, String)>>>((url.as_str(),))?;
            Ok(())
        });
        let List((base64, type_)) = document?;
        Some((forgiving_base64::decode_to_vec(base64.as_bytes()).ok()?, type_))
    }

    /// Whether the document may go into the back/forward cache, as far as its scripts decide that.
    pub(super) fn is_salvageable(&self) -> bool {
        let mut answer = false;
        self.run(|_, hooks| {
            answer = hooks.get::<_, Function>("isSalvageable")?.call(())?;
            Ok(())
        });
        answer
    }

    /// Calls a hook of the prelude while a script of any realm runs. `ctx` is the running context.
    pub(super) fn call_in<'js, A>(&self, ctx: &Ctx<'js>, hook: &str, arguments: A)
    where
        A: IntoArgs<'js>,
    {
        let outcome = self.hooks.clone().restore(ctx).and_then(|hooks| {
            hooks.get::<_, Function>(hook)?.call::<_, rquickjs::Value>(arguments).map(drop)
        });
        // The hooks report the exceptions of pages themselves. So this script was interrupted.
        if let Err(error) = outcome {
            self.console_error(&format!("Uncaught {}", explain(ctx, &error)));
        }
    }

    /// [Prepares to run](https://html.spec.whatwg.org/multipage/webappapis.html#prepare-to-run-script)
    /// `steps`, runs them, reports the exception they throw, and performs a microtask checkpoint. Must not be called
    /// while a script runs.
    pub(super) fn run<F>(&self, steps: F)
    where
        F: for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> rquickjs::Result<()>,
    {
        let event_loop = self.event_loop();
        event_loop.fill_contexts();
        event_loop.shared().budget.start();
        self.context.with(|ctx| {
            let outcome = self.hooks.clone().restore(&ctx).and_then(|hooks| {
                steps(&ctx, &hooks).or_else(|error| self.report(&ctx, &hooks, error))
            });
            if let Err(error) = outcome {
                self.console_error(&format!("Uncaught {}", explain(&ctx, &error)));
            }
        });
        event_loop.microtask_checkpoint();
        self.report_interruption();
    }

    /// Prints an error if a script was interrupted since the last call. Returns whether one was.
    pub(super) fn report_interruption(&self) -> bool {
        let interrupted = self.event_loop().shared().budget.take_interrupted();
        if interrupted {
            self.console_error("Uncaught InternalError: interrupted, it ran too long");
        }
        interrupted
    }

    /// [Report an exception](https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception)
    fn report<'js>(
        &self,
        ctx: &Ctx<'js>,
        hooks: &Object<'js>,
        error: Error,
    ) -> rquickjs::Result<()> {
        if !error.is_exception() {
            return Err(error);
        }
        let exception = ctx.catch();
        let event_loop = self.event_loop();
        let budget = &event_loop.shared().budget;
        if !budget.is_spent() {
            return hooks.get::<_, Function>("reportException")?.call((exception,));
        }
        // There is no time left for an `error` event. `report_interruption` prints the line for an interruption.
        if !budget.was_interrupted() {
            self.console_error(&format!("Uncaught {}", describe(ctx, &exception)));
        }
        Ok(())
    }

    pub(super) fn console_error(&self, message: &str) {
        self.window.host().console("error", message);
    }

    pub(super) fn window(&self) -> &Rc<Window> {
        &self.window
    }

    pub(super) fn event_loop(&self) -> Rc<EventLoop> {
        self.event_loop.upgrade().expect("what uses a realm holds its event loop")
    }

    pub(super) fn context_id(&self) -> ContextId {
        self.context.as_raw()
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if let Some(event_loop) = self.event_loop.upgrade() {
            event_loop.remove_realm(self.id());
        }
        if self.window.modules.is_awaiting() {
            std::mem::forget(self.context.clone());
        }
    }
}

/// Runs `source` as a classic script named `name`.
pub(super) fn evaluate(ctx: &Ctx<'_>, source: &str, name: &str) -> rquickjs::Result<()> {
    ctx.eval_with_options::<rquickjs::Value, _>(source, script_options(name)).map(drop)
}

fn script_options(name: &str) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.to_owned());
    options
}

fn explain(ctx: &Ctx<'_>, error: &Error) -> String {
    match error {
        Error::Exception => describe(ctx, &ctx.catch()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_realms() -> (Rc<EventLoop>, Rc<Realm>, Rc<Realm>) {
        let event_loop = EventLoop::new().expect("there is memory");
        let realm =
            || event_loop.enter(|ctx| Realm::new(&event_loop, ctx)).expect("there is memory");
        let (one, two) = (realm(), realm());
        (event_loop, one, two)
    }

    #[test]
    fn an_object_keeps_its_interface_in_every_realm() {
        let (_event_loop, one, two) = two_realms();
        one.run(|ctx, _| {
            let foreign: Object = ctx.eval(
                "({ blob: new Blob(['abc'], { type: 'a/b' }), event: new Event('x'), buffer: new ArrayBuffer(2) })",
            )?;
            let foreign = Persistent::save(ctx, foreign);
            // A script that uses another window passes objects in this way.
            let hooks = two.hooks.clone().restore(ctx)?;
            hooks.set("foreign", foreign)
        });
        let json = std::cell::RefCell::new(None);
        two.run(|ctx, hooks| {
            ctx.globals().set("foreign", hooks.get::<_, Object>("foreign")?)?;
            let value: rquickjs::Value = ctx.eval(
                "[foreign.blob instanceof Blob, new Blob([foreign.blob, foreign.buffer]).size,
                  new EventTarget().dispatchEvent(foreign.event),
                  structuredClone(foreign.blob) instanceof Blob]",
            )?;
            json.replace(ctx.json_stringify(value)?.map(|it| it.to_string()).transpose()?);
            Ok(())
        });
        assert_eq!(json.take().as_deref(), Some("[false,5,true,true]"));
    }

    #[test]
    fn each_realm_has_its_own_global_objects() {
        let (_event_loop, one, two) = two_realms();
        one.evaluate("var x = 1; DOMException.prototype.mine = true", "one");
        assert_eq!(two.inspect("[typeof x, new DOMException('', 'AbortError').code, typeof DOMException.prototype.mine]").as_deref(),
            Some(r#"["undefined",20,"undefined"]"#));
    }
}
