//! [Module scripts](https://html.spec.whatwg.org/multipage/webappapis.html#module-script) and the module map of a realm.
//!
//! The engine asks for each module that another one imports, and waits until it is fetched. So the modules of a graph are
//! fetched one after the other.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::{Rc, Weak},
};

use encoding_rs::UTF_8;
use rquickjs::{
    Ctx, Exception, Module, Promise, Runtime,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
    promise::PromiseState,
};
use sendbeacon::{CredentialsMode, Destination, ReferrerPolicy};
use url::Url;

use super::{
    event_loop::{EventLoop, Shared},
    host::{FetchedScript, ScriptRequest},
    realm::Realm,
    window::Window,
};

/// How many modules a realm may have.
const MAX_MODULES: usize = 1_000;
/// How many bytes the names of a realm's modules may have together.
const MAX_NAMES: usize = 1 << 20;
/// How many bytes the texts of the modules that wait for their imports may have together.
const MAX_TEXTS: usize = 32 << 20;
/// How often the words "from" and "import" may occur in a module. The engine cannot be interrupted while it reads the imports
/// of a module, and takes time in proportion to the square of their number.
const MAX_IMPORTS: usize = 50_000;

/// The [module map](https://html.spec.whatwg.org/multipage/webappapis.html#module-map) of a realm. The engine keeps the
/// modules themselves, by their names.
pub(super) struct ModuleMap {
    settings: RefCell<HashMap<String, Settings>>,
    /// The length of all names, in bytes.
    names: Cell<usize>,
    inline_modules: Cell<u64>,
    /// The texts of modules that are fetched and that the engine has not asked for.
    texts: RefCell<HashMap<String, String>>,
    /// The modules that the engine makes at the moment.
    in_the_making: RefCell<InTheMaking>,
    /// The modules that were made for a graph that could not be loaded or linked.
    ///
    /// NB: the engine (quickjs-ng 0.16) frees a module that cannot be loaded, to which these may still refer, and loses objects
    /// when it links a module again. So none of them is used again.
    spoiled: RefCell<HashSet<String>>,
    /// How many evaluations wait at a top-level `await`.
    ///
    /// NB: the engine uses such a module after it was freed, if the context is freed meanwhile. So the context stays then.
    awaiting: Cell<usize>,
    /// The destination of the imports that are fetched: "script", or that of a worker while its own script is loaded.
    destination: Cell<Destination>,
    /// Why a module could not be fetched, if that has happened since the last call of [`evaluate`].
    failure: RefCell<Option<String>>,
}

/// The modules that the engine makes at the moment. Each waits for an import, which is the next of them.
#[derive(Default)]
struct InTheMaking {
    depth: usize,
    /// The length of their texts, in bytes.
    texts: usize,
    /// The names of the modules that were made since the first of these.
    made: Vec<String>,
}

impl Default for ModuleMap {
    fn default() -> Self {
        Self {
            settings: RefCell::default(),
            names: Cell::new(0),
            inline_modules: Cell::new(0),
            texts: RefCell::default(),
            in_the_making: RefCell::default(),
            spoiled: RefCell::default(),
            awaiting: Cell::new(0),
            destination: Cell::new(Destination::Script),
            failure: RefCell::default(),
        }
    }
}

/// What the fetches of a script's imports depend on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The script's [base URL](https://html.spec.whatwg.org/multipage/webappapis.html#concept-script-base-url).
    pub(super) base_url: Url,
    /// The credentials mode of its [fetch options](https://html.spec.whatwg.org/multipage/webappapis.html#script-fetch-options).
    pub(super) credentials: CredentialsMode,
    /// The referrer policy of its fetch options.
    pub(super) referrer_policy: Option<ReferrerPolicy>,
}

impl Settings {
    /// Of a script at `base_url` with the
    /// [default fetch options](https://html.spec.whatwg.org/multipage/webappapis.html#default-script-fetch-options).
    pub(super) fn new(base_url: Url) -> Self {
        Self { base_url, credentials: CredentialsMode::SameOrigin, referrer_policy: None }
    }
}

impl ModuleMap {
    fn contains(&self, name: &str) -> bool {
        self.settings.borrow().contains_key(name)
    }

    /// Fails if there are too many modules for one more with this name.
    fn check_room(&self, name: &str) -> Result<(), String> {
        let is_full = self.settings.borrow().len() >= MAX_MODULES
            || self.names.get() + name.len() > MAX_NAMES;
        if is_full { Err("there are too many modules".to_owned()) } else { Ok(()) }
    }

    fn insert(&self, name: &str, settings: Settings) -> Result<(), String> {
        self.check_room(name)?;
        self.names.set(self.names.get() + name.len());
        self.settings.borrow_mut().insert(name.to_owned(), settings);
        Ok(())
    }

    fn remove(&self, name: &str) {
        if self.settings.borrow_mut().remove(name).is_some() {
            self.names.set(self.names.get() - name.len());
        }
    }

    /// Adds a module whose text is fetched. Fails if there are too many modules.
    pub(super) fn add(&self, name: &str, settings: Settings, text: String) -> Result<(), String> {
        self.insert(name, settings)?;
        self.texts.borrow_mut().insert(name.to_owned(), text);
        Ok(())
    }

    /// Adds an inline module, and returns its name. Fails if there are too many modules.
    ///
    /// NB: no URL has such a name, so no script can import the module.
    pub(super) fn add_inline(&self, settings: Settings) -> Result<String, String> {
        self.inline_modules.set(self.inline_modules.get() + 1);
        let name = format!("{}# inline module {}", settings.base_url, self.inline_modules.get());
        self.insert(&name, settings)?;
        Ok(name)
    }

    /// Sets the destination of the imports of the next script that is [evaluated](evaluate).
    pub(super) fn set_destination(&self, destination: Destination) {
        self.destination.set(destination);
    }

    /// Whether an evaluation waits at a top-level `await`.
    pub(super) fn is_awaiting(&self) -> bool {
        self.awaiting.get() > 0
    }

    /// An evaluation has begun or ended to wait at a top-level `await`.
    pub(super) fn set_awaiting(&self, is_awaiting: bool) {
        let count = self.awaiting.get();
        self.awaiting.set(if is_awaiting { count + 1 } else { count.saturating_sub(1) });
    }

    /// Why a module could not be fetched, if that has happened since the last call of [`evaluate`].
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.borrow_mut().take()
    }
}

/// Lets the realms of an event loop import modules.
pub(super) fn install(runtime: &Runtime, shared: &Rc<Shared>) {
    let importer = Rc::new(RefCell::new(None));
    let realms = Realms(Rc::downgrade(shared));
    let resolver = ModuleResolver { realms: realms.clone(), importer: Rc::clone(&importer) };
    runtime.set_loader(resolver, ModuleLoader { realms, importer });
}

/// Evaluates the module `name` of the module map or, if there is a `text`, an inline module of that name. Whatever it
/// imports is fetched before. Must not be called while a script runs.
pub(super) fn evaluate<'js>(
    window: &Window,
    ctx: &Ctx<'js>,
    name: &str,
    text: Option<&str>,
) -> rquickjs::Result<Promise<'js>> {
    let realm = realm_of(window.shared().event_loop(), ctx)?;
    let modules = &window.modules;
    modules.take_failure();
    let evaluation = match text {
        Some(text) => {
            let evaluated = make(&realm, ctx, name, text).and_then(Module::eval);
            evaluated.map(|(_, promise)| promise).inspect_err(|_| modules.remove(name))
        }
        // An `import()` of it may have failed since it was added.
        None if !modules.contains(name) => {
            let reason = format!("{name}: it could not be loaded");
            modules.failure.replace(Some(reason.clone()));
            Err(Exception::throw_type(ctx, &reason))
        }
        None => Module::import(ctx, name),
    };
    // The `import()` calls of the script are fetched later.
    modules.set_destination(Destination::Script);
    evaluation
}

/// Makes a module, whose imports are fetched. If no other module waits for it, it is evaluated.
fn make<'js>(
    realm: &Realm,
    ctx: &Ctx<'js>,
    name: &str,
    text: &str,
) -> rquickjs::Result<Module<'js, Declared>> {
    let window = realm.window();
    let modules = &window.modules;
    let occurrences = text.matches("import").count() + text.matches("from").count();
    let texts = modules.in_the_making.borrow().texts + text.len();
    if occurrences > MAX_IMPORTS || texts > MAX_TEXTS {
        modules.remove(name);
        return Err(Exception::throw_range(ctx, &format!("the module {name} is too large")));
    }
    {
        let state = &mut *modules.in_the_making.borrow_mut();
        (state.depth, state.texts) = (state.depth + 1, texts);
    }
    let module = Module::declare(ctx.clone(), name, text)
        .and_then(|module| initialize_import_meta(realm, ctx, name, &module).map(|()| module));
    let made = {
        let state = &mut *modules.in_the_making.borrow_mut();
        (state.depth, state.texts) = (state.depth - 1, state.texts - text.len());
        if module.is_ok() {
            state.made.push(name.to_owned());
        }
        if state.depth > 0 {
            return module;
        }
        std::mem::take(&mut state.made)
    };
    // The whole graph is there. NB: the engine would evaluate it next, and would not tell whether its modules could be linked.
    // So it is evaluated here. When the engine evaluates it again, it gets the same promise.
    let evaluated = module.and_then(|module| Ok((module.clone().eval()?.1, module)));
    match evaluated {
        Ok((promise, module)) => {
            if promise.state() == PromiseState::Pending {
                realm.call_in(ctx, "moduleAwaits", (promise,));
            }
            Ok(module)
        }
        Err(error) => {
            modules.spoiled.borrow_mut().extend(made);
            Err(error)
        }
    }
}

/// [Sets the properties of `import.meta`](https://html.spec.whatwg.org/multipage/webappapis.html#hostgetimportmetaproperties).
fn initialize_import_meta<'js>(
    realm: &Realm,
    ctx: &Ctx<'js>,
    name: &str,
    module: &Module<'js>,
) -> rquickjs::Result<()> {
    let base_url = settings_of(realm.window(), name).base_url;
    realm.call_in(ctx, "initializeImportMeta", (module.meta()?, String::from(base_url)));
    Ok(())
}

// TODO(spec): there are no import maps, and only JavaScript modules.
/// [Resolves a module specifier](https://html.spec.whatwg.org/multipage/webappapis.html#resolve-a-module-specifier). Returns
/// `None` for a `TypeError`.
pub(super) fn resolve(base_url: &Url, specifier: &str) -> Option<Url> {
    let is_relative = ["/", "./", "../"].iter().any(|start| specifier.starts_with(start));
    if is_relative { base_url.join(specifier).ok() } else { Url::parse(specifier).ok() }
}

/// The settings of the script with this name, which may be a classic one.
// TODO(spec): the `import()` of an external classic script resolves against the URL of its request instead of the response, and
// has the default fetch options.
fn settings_of(window: &Window, name: &str) -> Settings {
    let known = window.modules.settings.borrow().get(name).cloned();
    known.unwrap_or_else(|| {
        // An inline script has the name of its document.
        let of_script = Url::parse(name).ok().filter(|url| *url != window.document.url());
        let url = of_script.filter(Url::has_host);
        Settings::new(url.unwrap_or_else(|| window.document.base_url()))
    })
}

/// Finds the realm of a context.
#[derive(Clone)]
struct Realms(Weak<Shared>);

impl Realms {
    fn of(&self, ctx: &Ctx<'_>) -> rquickjs::Result<Rc<Realm>> {
        realm_of(self.0.upgrade().and_then(|shared| shared.event_loop()), ctx)
    }
}

/// The realm of a context. Throws a `TypeError` if it has gone.
fn realm_of(event_loop: Option<Rc<EventLoop>>, ctx: &Ctx<'_>) -> rquickjs::Result<Rc<Realm>> {
    let realm = event_loop.and_then(|it| it.realm_of(ctx.as_raw()));
    realm.ok_or_else(|| Exception::throw_type(ctx, "the document or worker has gone"))
}

struct ModuleResolver {
    realms: Realms,
    /// The script whose import was resolved last. If the engine does not have the module, it loads it next.
    importer: Rc<RefCell<Option<Settings>>>,
}

impl Resolver for ModuleResolver {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        specifier: &str,
        attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        if attributes.is_some_and(|attributes| attributes.keys().next().is_some()) {
            return Err(Exception::throw_type(ctx, "only JavaScript modules can be imported"));
        }
        let realm = self.realms.of(ctx)?;
        let window = realm.window();
        let importer = settings_of(window, base);
        let Some(url) = resolve(&importer.base_url, specifier) else {
            let message = format!("the module specifier {specifier:?} is no URL");
            return Err(Exception::throw_type(ctx, &message));
        };
        if window.modules.spoiled.borrow().contains(url.as_str()) {
            let reason = format!("{url}: it was imported by a module that could not be loaded");
            let error = Exception::throw_type(ctx, &reason);
            window.modules.failure.replace(Some(reason));
            return Err(error);
        }
        self.importer.replace(Some(importer));
        Ok(url.into())
    }
}

struct ModuleLoader {
    realms: Realms,
    importer: Rc<RefCell<Option<Settings>>>,
}

impl Loader for ModuleLoader {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let realm = self.realms.of(ctx)?;
        let window = realm.window();
        if let Err(reason) = self.fetch(window, name) {
            let reason = format!("{name}: {reason}");
            let error = Exception::throw_type(ctx, &reason);
            window.modules.failure.replace(Some(reason));
            return Err(error);
        }
        let text = window.modules.texts.borrow_mut().remove(name);
        let text = text.ok_or_else(|| Exception::throw_type(ctx, "the module has no text"))?;
        let module = make(&realm, ctx, name, &text);
        if module.is_err() {
            // The next import fetches it again.
            window.modules.remove(name);
        }
        module
    }
}

impl ModuleLoader {
    /// [Fetches a single imported module script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-single-imported-module-script).
    fn fetch(&self, window: &Window, name: &str) -> Result<(), String> {
        let importer = self.importer.borrow_mut().take();
        let importer = importer.ok_or("no script imports the module")?;
        // The engine asks about the budget only while a script runs, not while it loads modules.
        if window.shared().budget.is_spent() {
            return Err("the modules take too long".to_owned());
        }
        let url = Url::parse(name).map_err(|error| error.to_string())?;
        let mut request = ScriptRequest::of_module(url, importer.credentials);
        request.destination = window.modules.destination.get();
        request.referrer = Some(importer.base_url);
        request.referrer_policy = importer.referrer_policy;
        window.load_module(&request)
    }
}

impl Window {
    /// [Fetches a single module script](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-single-module-script)
    /// and adds it to the module map, unless it is there.
    // TODO(spec): the modules at blob: URLs are not found, and an import of them fails.
    pub(super) fn load_module(&self, request: &ScriptRequest) -> Result<(), String> {
        let name = request.url.as_str();
        if self.modules.contains(name) {
            return Ok(());
        }
        self.modules.check_room(name)?;
        let (settings, text) = read(self.load_script(request)?, request)?;
        self.modules.add(name, settings, text)
    }
}

/// The settings and the text of a fetched module script. Fails if it is no JavaScript.
pub(super) fn read(
    fetched: FetchedScript,
    request: &ScriptRequest,
) -> Result<(Settings, String), String> {
    if !fetched.is_javascript() {
        return Err("it is no JavaScript by its type".to_owned());
    }
    let settings = Settings {
        base_url: fetched.url,
        credentials: request.credentials,
        referrer_policy: fetched.policies.referrer_policy.or(request.referrer_policy),
    };
    // A module script is always UTF-8.
    Ok((settings, UTF_8.decode_with_bom_removal(&fetched.body).0.into_owned()))
}
