//! Module scripts.

mod common;

use common::{Fixture, Recorder, environment};
use proptest::{collection::vec, prelude::*};
use sendbeacon::{CredentialsMode, Destination, Mode};

/// A page with this HTML and these scripts, by their paths, after its `load` event.
fn page(scripts: &[(&str, &str)], html: &str) -> Fixture {
    let host = Recorder::default();
    let url = |path: &str| match path.strip_prefix("//") {
        Some(rest) => format!("https://{rest}"),
        None => format!("https://a.test{path}"),
    };
    let scripts = scripts.iter().map(|(path, text)| (url(path), text.as_bytes().to_vec()));
    host.scripts.borrow_mut().extend(scripts);
    let mut fixture = Fixture::with(host, environment(), html);
    fixture.page.fire_load();
    fixture.run_until_idle();
    fixture
}

/// The requests for scripts: URL, destination, credentials mode and referrer.
fn requests(fixture: &Fixture) -> Vec<(String, Destination, CredentialsMode, Option<String>)> {
    let requests = fixture.host.script_requests.borrow();
    let request = requests.iter().map(|it| {
        let referrer = it.referrer.clone().map(String::from);
        (it.url.to_string(), it.destination, it.credentials, referrer)
    });
    request.collect()
}

#[test]
fn a_graph_of_modules_is_fetched_once_and_runs_after_parsing() {
    let fixture = page(
        &[
            ("/dir/main.js", "import { b } from './sub/b.js'; import '/c.js'; console.log('main', b, import.meta.url);"),
            ("/dir/sub/b.js", "import '../../c.js'; export const b = import.meta.resolve('./x');"),
            ("/c.js", "console.log('c');"),
        ],
        "<script type=module src=main.js onload='console.log(event.type)'></script>
         <script type=module src=main.js onload='console.log(event.type)'></script>
         <script type=module>import 'https://a.test/c.js'; console.log('inline', import.meta.url, typeof this);</script>
         <script nomodule>console.log('never')</script><script>console.log('classic')</script>",
    );
    assert_eq!(
        fixture.log(),
        "classic c main https://a.test/dir/sub/x https://a.test/dir/main.js load load \
         inline https://a.test/dir/page?q#f undefined"
    );
    let main = Some("https://a.test/dir/main.js".to_owned());
    let b = Some("https://a.test/dir/sub/b.js".to_owned());
    let request = |url: &str, referrer| {
        (url.to_owned(), Destination::Script, CredentialsMode::SameOrigin, referrer)
    };
    assert_eq!(
        requests(&fixture),
        [
            request("https://a.test/dir/main.js", None),
            request("https://a.test/dir/sub/b.js", main),
            request("https://a.test/c.js", b),
        ]
    );
    assert!(fixture.host.script_requests.borrow().iter().all(|it| it.mode == Mode::Cors));
}

#[test]
fn a_module_that_cannot_be_fetched_fires_an_error_event() {
    let fixture = page(
        &[("/dir/a.js", "import './none.js'; console.log('never');")],
        "<script type=module src=a.js onerror='console.log(event.type)' onload='console.log(1)'></script>
         <script type=module src=none.js onerror='console.log(event.type)'></script>
         <script type=module onerror='console.log(event.type)'>import './none.js'</script>",
    );
    let none = "error: https://a.test/dir/none.js: 404 error";
    assert_eq!(fixture.log(), format!("{none} {none} {none}"));
}

#[test]
fn the_exceptions_of_modules_are_reported() {
    let fixture = page(
        &[("/dir/bad.js", "let x; let x;"), ("/dir/throws.js", "throw new RangeError('thrown')")],
        "<script>onerror = (message) => { console.log(message); return true; };
           onunhandledrejection = () => console.log('never')</script>
         <script type=module src=bad.js onload='console.log(event.type)'></script>
         <script type=module src=throws.js onload='console.log(event.type)'></script>
         <script type=module>import 'bare'</script>
         <script type=module>await 0; throw new RangeError('later')</script>
         <script type=module>import('./none.js').catch((e) => console.log(e.name));
           import('./bad.js').catch((e) => console.log(e.name));</script>",
    );
    let log = fixture.log();
    for expected in [
        "SyntaxError: invalid redefinition of global identifier load",
        "RangeError: thrown load",
        "TypeError: the module specifier \"bare\" is no URL",
        "RangeError: later",
        "TypeError SyntaxError",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    assert!(!log.contains("never"), "{log}");
}

#[test]
fn modules_may_import_each_other() {
    let fixture = page(
        &[
            ("/dir/a.js", "import { b } from './b.js'; export const a = 'a'; console.log(b());"),
            ("/dir/b.js", "import { a } from './a.js'; export const b = () => a + 'b';"),
        ],
        "<script type=module src=a.js></script>",
    );
    assert_eq!(fixture.log(), "ab");
}

#[test]
fn the_modules_of_a_graph_that_cannot_be_loaded_are_not_used_again() {
    let fixture = page(
        &[
            ("/dir/a.js", "import './b.js'; import './none.js'; console.log('never');"),
            ("/dir/b.js", "import './a.js'; console.log('never');"),
            ("/dir/c.js", "import './d.js'; import 'bare'; console.log('never');"),
            ("/dir/d.js", "import './c.js'; console.log('never');"),
        ],
        "<script type=module src=a.js></script><script type=module src=c.js></script>
         <script type=module>
           for (const name of ['b', 'a', 'd', 'c', 'e']) {
             await import(`./${name}.js`).catch((e) => console.log(name, e.name));
           }
         </script>",
    );
    let log = fixture.log();
    assert!(log.ends_with("b TypeError a TypeError d TypeError c TypeError e TypeError"), "{log}");
    assert!(!log.contains("never"), "{log}");
}

#[test]
fn the_modules_of_a_graph_that_cannot_be_linked_are_not_used_again() {
    let fixture = page(
        &[
            ("/dir/x.js", "export const ok = () => 1; console.log('never');"),
            ("/dir/miss.js", "import { ok, nope } from './x.js'; export const a = () => ok;"),
            ("/dir/one.js", "import './miss.js'"),
            ("/dir/two.js", "import './miss.js'"),
        ],
        "<script type=module src=one.js></script><script type=module src=two.js onerror='console.log(event.type)'></script>
         <script type=module>for (const it of ['miss', 'miss', 'x']) {
           await import(`./${it}.js`).catch((e) => console.log(it, e.name)); }</script>",
    );
    let log = fixture.log();
    assert!(log.contains("SyntaxError"), "{log}");
    assert!(log.ends_with("error miss TypeError miss TypeError x TypeError"), "{log}");
    assert!(!log.contains("never"), "{log}");
}

/// What the text of a module does beside its imports.
const BODIES: [&str; 6] = [
    "",
    "let x; let x;",
    "throw 1;",
    "await 0;",
    "await new Promise(() => {});",
    "import(`./${n}.js`);",
];

/// The text of module number `n`: its imports, each a kind and the number of a module that there may not be, and its body.
fn module(n: usize, imports: &[(usize, usize)], body: &str) -> String {
    let imports = imports.iter().enumerate().map(|(at, (kind, to))| match kind {
        0 => format!("import './{to}.js';"),
        1 => format!("import {{ a as a{at} }} from './{to}.js';"),
        2 => format!("import {{ a as a{at}, missing as m{at} }} from './{to}.js';"),
        3 => format!("export * as n{at} from './{to}.js';"),
        _ => format!("export * from './{to}.js';"),
    });
    format!("{} const n = {n}; export const a = () => n; {body}", imports.collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_modules_import_a_page_survives_and_each_element_gets_one_event(
        modules in vec((vec((0..5_usize, 0..7_usize), 0..4), 0..BODIES.len()), 6),
        elements in vec(0..7_usize, 1..6),
        dynamic in vec(0..7_usize, 0..6),
    ) {
        let texts = modules.iter().enumerate().map(|(n, (imports, body))| module(n, imports, BODIES[*body]));
        let texts: Vec<_> = texts.enumerate().map(|(n, text)| (format!("/dir/{n}.js"), text)).collect();
        let scripts: Vec<_> = texts.iter().map(|(path, text)| (&**path, &**text)).collect();
        let element = |n: &usize| {
            format!("<script type=module src={n}.js onload=events++ onerror=events++></script>
                     <script type=module>import './{n}.js'</script>")
        };
        let elements = elements.iter().map(element).collect::<Vec<_>>().concat();
        let import = |n: &usize| format!("import('./{n}.js').catch(() => {{}});");
        let dynamic = dynamic.iter().map(import).collect::<Vec<_>>().concat();
        let html = format!("<script>var events = 0; onerror = () => true; {dynamic}</script>{elements}<script>{dynamic}</script>");
        let fixture = page(&scripts, &html);
        prop_assert_eq!(fixture.get("events"), elements.matches("onload").count().to_string());
    }
}

#[test]
fn only_javascript_modules_can_be_imported() {
    let fixture = page(
        &[("/dir/m.js", "console.log('once')")],
        "<script type=module src=m.js></script>
         <script type=module>
           for (const attributes of [{ type: 'json' }, { other: 'x' }, {}]) {
             await import('./m.js', { with: attributes }).then(() => console.log('ok'), (e) => console.log(e.name));
           }
         </script>",
    );
    assert_eq!(fixture.log(), "once TypeError TypeError ok");
}

#[test]
fn a_page_gets_no_function_of_another_realm() {
    let fixture = page(
        &[],
        "<script type=module>
           const { resolve } = import.meta;
           console.log(resolve instanceof Function, resolve.constructor === Function, resolve(new URL('https://b.test/')));
           try { resolve('bare'); } catch (e) { console.log(e instanceof TypeError); }
         </script>",
    );
    assert_eq!(fixture.log(), "true true https://b.test/ true");
}

#[test]
fn a_document_has_a_limited_number_of_modules() {
    let html: String = (0..1_001).map(|_| "<script type=module>n++</script>").collect();
    let fixture = page(
        &[],
        &format!("<script>var n = 0</script>{html}<script type=module src=x.js></script>"),
    );
    assert_eq!(fixture.get("n"), "1000");
    let console = fixture.console();
    assert_eq!(console.len(), 2, "{console:?}");
    assert!(console.iter().all(|line| line.ends_with("there are too many modules")), "{console:?}");
}

#[test]
fn a_module_that_writes_itself_does_not_run_within_itself() {
    let fixture = page(
        &[(
            "/dir/m.js",
            "console.log('begin');
             if (!globalThis.again) {
               globalThis.again = true;
               document.open();
               document.write('<script type=module src=m.js><\\/script><script type=module>import \"./m.js\"; console.log(1)<\\/script>');
               document.close();
             }
             console.log('end');",
        )],
        "<body><script>onload = () => {
           const script = document.createElement('script');
           document.body.append(Object.assign(script, { type: 'module', src: 'm.js' }));
         };</script>",
    );
    assert_eq!(fixture.log(), "begin end 1");
}

#[test]
fn an_inline_classic_script_imports_by_the_base_url_of_its_document() {
    let fixture = page(
        &[("/x/m.js", "console.log(import.meta.url)")],
        "<base href=/x/><script>import('./m.js')</script>",
    );
    assert_eq!(fixture.log(), "https://a.test/x/m.js");
}

#[test]
fn a_frame_has_a_module_map_of_its_own() {
    let fixture = page(
        &[(
            "/dir/m.js",
            "globalThis.n = (globalThis.n ?? 0) + 1; console.log(n, parent === self);",
        )],
        "<script type=module src=m.js></script>
         <script type=module>
           const frame = document.body.appendChild(document.createElement('iframe'));
           const script = frame.contentDocument.createElement('script');
           Object.assign(script, { type: 'module', src: new URL('m.js', document.baseURI) });
           frame.contentDocument.body.append(script);
           script.onload = () => console.log(n, frame.contentWindow.n);
         </script><body>",
    );
    assert_eq!(fixture.log(), "1 true 1 1");
    assert_eq!(requests(&fixture).len(), 2);
}

#[test]
fn classic_scripts_and_inserted_elements_import_modules() {
    let fixture = page(
        &[
            ("/dir/m.js", "export default 'm'; console.log('runs once');"),
            ("/dir/sub/k.js", "import('../m.js').then((m) => console.log('k', m.default));"),
        ],
        "<body><script src=sub/k.js></script><script>
           const s = document.createElement('script');
           s.type = 'module';
           s.text = 'import m from \"./m.js\"; console.log(\"inserted\", m)';
           document.body.append(s);
           console.log('before');
           console.log(HTMLScriptElement.supports('module'), HTMLScriptElement.supports('importmap'));
         </script>",
    );
    assert_eq!(fixture.log(), "runs once k m before true false inserted m");
}

#[test]
fn an_element_decides_about_the_credentials_and_the_order_of_its_module() {
    let fixture = page(
        &[("//b.test/m.js", "import './n.js'"), ("//b.test/n.js", "console.log('n')")],
        "<script type=module src=https://b.test/m.js crossorigin=use-credentials async></script>
         <script>console.log('after')</script>",
    );
    assert_eq!(fixture.log(), "n after");
    let credentials: Vec<_> = requests(&fixture).into_iter().map(|it| it.2).collect();
    assert_eq!(credentials, [CredentialsMode::Include; 2]);
}

#[test]
fn module_workers_import_modules() {
    let fixture = page(
        &[
            (
                "/w.js",
                "import { x } from './x.js'; let error; try { importScripts('x.js') } catch (e) { error = e.name }
                 const say = globalThis.postMessage ?? ((it) => { onconnect = (e) => e.ports[0].postMessage(it) });
                 say([x, error, typeof this, import.meta.url]); import('./later.js');",
            ),
            ("/x.js", "export const x = 1;"),
            ("/later.js", ""),
            ("/bad.js", "import './none.js'"),
        ],
        "<script>
           const say = ({ data, type }) => { console.log(data?.join() ?? type); steps.shift()?.(); };
           const steps = [
             () => { new Worker('/w.js', { type: 'module', credentials: 'omit' }).onmessage = say; },
             () => { new Worker('/bad.js', { type: 'module' }).onerror = say; },
             () => { new SharedWorker('/w.js', { type: 'module' }).port.onmessage = say; },
             () => { new SharedWorker('/bad.js', { type: 'module' }).onerror = say; },
           ];
           steps.shift()();
         </script>",
    );
    let said = "1,TypeError,undefined,https://a.test/w.js";
    assert_eq!(
        fixture.log(),
        format!(
            "{said} error: Worker: https://a.test/none.js: 404 error {said} \
             error: SharedWorker: https://a.test/none.js: 404 error"
        )
    );
    let (worker, shared) = (Destination::Worker, Destination::SharedWorker);
    let destinations: Vec<_> = requests(&fixture)
        .into_iter()
        .map(|(url, destination, credentials, _)| (url, destination, credentials))
        .collect();
    let (omit, same_origin) = (CredentialsMode::Omit, CredentialsMode::SameOrigin);
    let request = |path: &str, destination, credentials| {
        (format!("https://a.test{path}"), destination, credentials)
    };
    assert_eq!(
        destinations,
        [
            request("/w.js", worker, omit),
            request("/x.js", worker, omit),
            request("/later.js", Destination::Script, omit),
            request("/bad.js", worker, same_origin),
            request("/none.js", worker, same_origin),
            request("/w.js", shared, same_origin),
            request("/x.js", shared, same_origin),
            request("/later.js", Destination::Script, same_origin),
            request("/bad.js", shared, same_origin),
            request("/none.js", shared, same_origin),
        ]
    );
}
