//! Spare JavaScript contexts, for the realms that a running script creates.
//!
//! A script that inserts an `iframe` needs a new realm at once, but rquickjs cannot create a context while a script
//! runs. So the event loop creates contexts between tasks.

use std::cell::RefCell;

use rquickjs::{Context, Ctx, Function, Persistent, Runtime, context::intrinsic, function::OnceFn};

/// How many contexts there are while no script is expected: one for the next document.
const WITHOUT_SCRIPTS: usize = 1;
/// How many realms one script can create. The most demanding web platform test creates 25.
const WITH_SCRIPTS: usize = 32;

/// The contexts that no realm uses yet.
#[derive(Default)]
pub(super) struct Contexts(RefCell<Vec<NewContext>>);

/// A context that no realm uses yet.
pub(super) struct NewContext {
    /// `(steps) => steps()`, a function of `context`. It must be dropped before `context`, so it is the first field.
    call: Persistent<Function<'static>>,
    context: Context,
}

impl Contexts {
    /// Creates as many contexts as may be needed until the next call. Must not be called while a script runs.
    pub(super) fn fill(&self, runtime: &Runtime, expects_scripts: bool) -> rquickjs::Result<()> {
        let count = if expects_scripts { WITH_SCRIPTS } else { WITHOUT_SCRIPTS };
        let mut spare = self.0.borrow_mut();
        while spare.len() < count {
            spare.push(NewContext::new(runtime)?);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Takes a context, if there is one.
    pub(super) fn take(&self) -> Option<NewContext> {
        self.0.borrow_mut().pop()
    }
}

impl NewContext {
    /// Creates a context with all intrinsic objects.
    ///
    /// NB: this does not use `Context::full`, because that gives a `DOMException` to the first context of a runtime
    /// only. The prelude defines what `Context::full` would add beside it: `atob` and `btoa`.
    fn new(runtime: &Runtime) -> rquickjs::Result<Self> {
        let context = Context::custom::<intrinsic::All>(runtime)?;
        let call = context.with(|ctx| {
            let call: Function = ctx.eval("(steps) => steps()")?;
            rquickjs::Result::Ok(Persistent::save(&ctx, call))
        })?;
        Ok(Self { call, context })
    }

    /// Runs `steps` in this context while another context, `ctx`, is entered.
    ///
    /// The engine passes a native function the context of the JavaScript function that calls it. So `steps` becomes a
    /// native function, and the JavaScript function `call` calls it.
    pub(super) fn run<'js, F>(&self, ctx: &Ctx<'js>, steps: F) -> rquickjs::Result<()>
    where
        F: FnOnce(Ctx<'js>) -> rquickjs::Result<()> + 'js,
    {
        let steps = Function::new(ctx.clone(), OnceFn::from(steps))?;
        self.call.clone().restore(ctx)?.call((steps,))
    }

    pub(super) fn into_context(self) -> Context {
        self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{EventLoop, parser::parse_document, realm::Realm};

    #[test]
    fn a_page_has_many_spare_contexts_as_soon_as_a_script_can_run() {
        for (html, count) in [
            ("<p class=one>text", WITHOUT_SCRIPTS),
            ("<script></script>", WITH_SCRIPTS),
            ("<p onclick=f()>text", WITH_SCRIPTS),
            ("<iframe></iframe>", WITH_SCRIPTS),
        ] {
            let event_loop = EventLoop::new().expect("there is memory");
            let realm = event_loop.enter(|ctx| Realm::new(&event_loop, ctx));
            parse_document(&realm.expect("there is memory"), html);
            event_loop.enter(|_| ());
            let spare = std::iter::from_fn(|| event_loop.new_context()).count();
            assert_eq!(spare, count, "{html}");
        }
    }
}
