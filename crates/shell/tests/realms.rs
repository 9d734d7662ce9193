//! Functions and nodes of one document that a script of another document uses.

mod common;
mod site;

use common::Fixture;
use site::{Site, report, visit};

/// A page that adds a blank frame, and whose script can use it as `frame` and its window as `w`.
const WITH_FRAME: &str = "const frame = document.createElement('iframe');
     document.body.append(frame);
     const w = frame.contentWindow;";

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_acts_in_the_realm_of_its_this() {
    let page = report(
        &format!(
            "{WITH_FRAME}
             w.document.head.innerHTML = '<base href=/other/>';
             const of = (Interface, name, object) =>
               Object.getOwnPropertyDescriptor(Interface, name).get.call(object);
             log.push(
               w.Navigator.prototype.sendBeacon.call(navigator, 'mine', 'x'),
               Navigator.prototype.sendBeacon.call(w.navigator, 'theirs', 'x'),
               of(w.Node.prototype, 'baseURI', document) === document.baseURI,
               of(w.Node.prototype, 'firstChild', document) === document.firstChild,
               of(w.Document.prototype, 'URL', document) === location.href,
               of(w.Location.prototype, 'href', location) === location.href,
               of(w.HTMLIFrameElement.prototype, 'contentWindow', frame) === w,
               w.Document.prototype.createElement.call(document, 'p') instanceof Element,
               w.File.prototype.constructor === w.File,
               of(w.File.prototype, 'name', new File([], 'f')));
             w.onmessage = () => log.push('wrong window');
             onmessage = ({{ data }}) => log.push(data);
             w.EventTarget.prototype.addEventListener.call(window, 'load', () => log.push('load'));
             w.postMessage.call(window, 'hello');"
        ),
        "load",
        "log",
    );
    let site = Site::new().page("/dir/page", &page).start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(site.report(), r#"[true,true,true,true,true,true,true,true,true,"f","load"]"#);
    assert_eq!(site.beacons(), ["/dir/mine", "/other/theirs", "/report"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_without_the_interface_is_a_type_error() {
    let page = report(
        &format!(
            "{WITH_FRAME}
             const of = (object, name) => Object.getOwnPropertyDescriptor(object, name);
             const prototypes = [Navigator, Node, Document, Element, HTMLElement, HTMLAnchorElement, HTMLFormElement,
               HTMLInputElement, Event, MouseEvent, EventTarget, File, Blob, Headers, Request, Response, Storage, Location,
               History, Performance, MessagePort, Worker, AbortSignal, URL, FormData].map((it) => it.prototype);
             for (const object of [window, ...prototypes]) {{
               for (const name of Object.getOwnPropertyNames(object)) {{
                 const {{ get, set, value }} = of(object, name);
                 const isOfEngine = object === window && (!of(window, name).enumerable || name === 'log' ||
                   name === 'attempt' || name === 'isOfEngine');
                 if (name === 'constructor' || isOfEngine || name === 'console') continue;
                 for (const it of [get, set, value]) {{
                   if (typeof it !== 'function') continue;
                   let error;
                   try {{
                     const result = it.call({{}}, 'x', 'y', 'z');
                     if (result instanceof Promise) {{
                       result.catch(() => {{}});
                       continue;
                     }}
                   }} catch (e) {{ error = e; }}
                   if (!(error instanceof TypeError)) log.push(name);
                 }}
               }}
             }}
             fetch.call({{}}).catch((e) => log.push(e instanceof TypeError));"
        ),
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), "[true]");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fetch_of_a_removed_frame_works_for_the_page() {
    let page = report(
        &format!(
            "{WITH_FRAME}
             const f = w.fetch.bind(window), send = w.Navigator.prototype.sendBeacon;
             frame.remove();
             send.call(navigator, 'beacon');
             f('answer').then((r) => r.text()).then((text) => {{
               log.push(text, 'answered');
               dispatchEvent(new Event('done'));
             }});"
        ),
        "done",
        "log",
    );
    let site = Site::new().page("/dir/page", &page).page("/dir/answer", "yes").start().await;
    visit(&site, "/dir/page").await;
    assert_eq!(site.report(), r#"["yes","answered"]"#);
    assert_eq!(site.beacons(), ["/dir/beacon", "/report"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_does_not_run_on_a_window_of_another_origin() {
    let page = report(
        "const frame = document.createElement('iframe');
         frame.src = location.href.replace('127.0.0.1', 'localhost').replace('page', 'child');
         document.body.append(frame);
         addEventListener('load', () => {
           const w = frame.contentWindow;
           const get = (object, name) => Object.getOwnPropertyDescriptor(object, name).get;
           for (const steps of [() => addEventListener.call(w, 'click', () => {}),
             () => get(Location.prototype, 'href').call(w.location), () => setTimeout.call(w, 'x'),
             () => postMessage.call(w, 'x', '*') ?? null]) log.push(attempt(steps));
           fetch.call(w, 'stolen').catch((e) => {
             log.push(e.name);
             dispatchEvent(new Event('done'));
           });
         });",
        "done",
        "log",
    );
    let site = Site::new().page("/page", &page).page("/child", "<p>").start().await;
    visit(&site, "/page").await;
    let denied = r#""SecurityError","#.repeat(3);
    assert_eq!(site.report(), format!(r#"[{denied}null,"SecurityError"]"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_document_has_its_entries() {
    let page = report(
        "addEventListener('load', () => {
           const { contentDocument: there } = document.querySelector('iframe');
           const [form] = there.querySelectorAll('form'), button = there.querySelector('button');
           log.push([...new FormData(form)], [...new FormData(form, button)].length,
             attempt(() => new FormData(document.querySelector('form'), button)),
             attempt(() => new FormData(form, there.querySelector('input'))));
         });",
        "load",
        "log",
    );
    let page = format!("{page}<form></form><iframe src=child></iframe>");
    let child =
        "<form><input name=a value=1><textarea name=b>2</textarea><button name=c></button></form>";
    let site = Site::new().page("/page", &page).page("/child", child).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"[[["a","1"],["b","2"]],3,"NotFoundError","TypeError"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_adopts_the_nodes_that_are_inserted() {
    let page = report(
        &format!(
            "{WITH_FRAME}
             const there = w.document, form = there.createElement('form'), input = there.createElement('input');
             input.name = 'a';
             input.value = 'dirty';
             form.append(input, new w.Text('text'));
             form.addEventListener('x', () => log.push('event'));
             there.body.append(form);
             log.push(form.ownerDocument === there);
             document.body.append(form);
             log.push(form.ownerDocument === document, form.isConnected, form.firstChild === input,
               document.querySelector('form') === form, there.querySelector('form'), form.textContent,
               [...new FormData(form)], form.baseURI === document.baseURI, form instanceof w.HTMLFormElement);
             input.dispatchEvent(new Event('x', {{ bubbles: true }}));
             form.dataset.k = 'v';
             log.push(form.getAttribute('data-k'), attempt(() => document.body.append(there)),
               attempt(() => document.body.insertBefore(there.body, there.head)), there.body.parentNode !== null);
             const fragment = there.createDocumentFragment();
             fragment.append(there.createElement('i'), there.createElement('b'));
             document.body.append(fragment);
             log.push(fragment.ownerDocument === there, fragment.childNodes.length, document.body.lastChild.tagName);
             const inner = there.body.appendChild(there.createElement('iframe'));
             document.body.append(inner);
             log.push(inner.contentWindow.parent === window, there.adoptNode(form).ownerDocument === there,
               form.isConnected, form.firstChild === input);
             const script = there.createElement('script');
             script.textContent = 'parent; log.push(window === self && this.log === log)';
             document.body.append(script);"
        ),
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        concat!(
            r#"[true,true,true,true,true,null,"text",[["a","dirty"]],true,true,"event","v","#,
            r#""HierarchyRequestError","NotFoundError",true,true,0,"B",true,true,false,true,true]"#
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_belongs_to_the_realm_of_the_function() {
    let page = report(
        &format!(
            "{WITH_FRAME}
             const thrown = (steps) => {{ try {{ steps(); }} catch (e) {{ return e; }} }};
             const cases = [
               () => w.Document.prototype.createElement.call(document, '<'),
               () => w.Node.prototype.appendChild.call(document.body, {{}}),
               () => w.document.createElement('<'),
               () => Document.prototype.createElement.call(w.document, '<'),
               () => Event.prototype.stopPropagation.call(w),
             ];
             for (const steps of cases) {{
               const e = thrown(steps);
               log.push([e instanceof DOMException || e instanceof TypeError,
                 e instanceof w.DOMException || e instanceof w.TypeError, e.name].join());
             }}
             const own = new Error('own');
             log.push(thrown(() => w.EventTarget.prototype.addEventListener.call(window, 'x', () => {{}},
               {{ get once() {{ throw own; }} }})) === own);"
        ),
        "load",
        "log",
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        concat!(
            r#"["false,true,InvalidCharacterError","false,true,TypeError","false,true,InvalidCharacterError","#,
            r#""true,false,InvalidCharacterError","true,false,TypeError",true]"#
        )
    );
}

#[test]
fn a_window_takes_properties_that_cannot_be_configured() {
    let fixture = Fixture::script(
        "var log = []; Object.defineProperty(window, 'a', { value: 1 }); const own = Object.getOwnPropertyDescriptor(window, 'a');
         log.push(own.configurable, own.writable, a, Reflect.defineProperty(window, 'a', { value: 2 }), Reflect.defineProperty(window, '0', {}));
         try { Object.defineProperty(window, 'a', { value: 2 }); } catch (e) { log.push(e.name); }
         Object.defineProperties(window, { b: { get: () => 3, configurable: true } }); log.push(b, 'a' in window);
         log.push(Object.getOwnPropertyDescriptor(window, 'document').configurable, Object.getOwnPropertyDescriptors(window).a.value);",
    );
    assert_eq!(fixture.get("log"), r#"[false,false,1,false,false,"TypeError",3,true,false,1]"#);
}

#[test]
fn the_functions_of_the_web_apis_have_no_source() {
    let fixture = Fixture::script(
        "var log = [fetch, XMLHttpRequest, Object.getOwnPropertyDescriptor(Node.prototype, 'parentNode').get, Object.defineProperty,
           Function.prototype.toString, postMessage, Image].map(it => String(it).replace(/\\s+/g, ' '));
         log.push(String(function own() { return 1; }));
         try { Function.prototype.toString.call({}); } catch (e) { log.push(e.name); }",
    );
    assert_eq!(
        fixture.get("log"),
        concat!(
            r#"["function fetch() { [native code] }","function XMLHttpRequest() { [native code] }","#,
            r#""function get parentNode() { [native code] }","function defineProperty() { [native code] }","#,
            r#""function toString() { [native code] }","function postMessage() { [native code] }","#,
            r#""function Image() { [native code] }","function own() { return 1; }","TypeError"]"#
        )
    );
}
