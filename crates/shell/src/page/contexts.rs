//! JavaScript contexts in stock: none can be made while a script runs, and a script makes frames.

use std::cell::RefCell;

use rquickjs::{Context, Ctx, Function, Persistent, Runtime, context::intrinsic, function::OnceFn};

/// How many realms one script can make. A web platform test makes 25.
const STOCK: usize = 32;

/// Contexts that no realm is in yet.
#[derive(Default)]
pub(super) struct Contexts(RefCell<Vec<NewContext>>);

/// A context without a realm.
pub(super) struct NewContext {
    /// `(steps) => steps()`, a function of the context. Dropped before it.
    call: Persistent<Function<'static>>,
    context: Context,
}

impl Contexts {
    /// Fills the stock. Not to be called while a script is running.
    pub(super) fn fill(&self, runtime: &Runtime) -> rquickjs::Result<()> {
        let mut stock = self.0.borrow_mut();
        while stock.len() < STOCK {
            stock.push(NewContext::new(runtime)?);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Takes one out, if there is one.
    pub(super) fn take(&self) -> Option<NewContext> {
        self.0.borrow_mut().pop()
    }
}

impl NewContext {
    /// `Context::full` gives only the first context of a runtime a `DOMException`, so this names what
    /// it adds, but for `atob` and `btoa`, which the prelude makes.
    fn new(runtime: &Runtime) -> rquickjs::Result<Self> {
        let context = Context::custom::<intrinsic::All>(runtime)?;
        let call = context.with(|ctx| {
            let call: Function = ctx.eval("(steps) => steps()")?;
            rquickjs::Result::Ok(Persistent::save(&ctx, call))
        })?;
        Ok(Self { call, context })
    }

    /// Runs `steps` in the context from within another one: a native function is given the context of
    /// the function that calls it.
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
