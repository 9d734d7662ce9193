//! The session history and the back/forward cache.

mod site;

use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use site::{Running, Site, visit, visit_url};

/// A page with this script. `log(...)` appends to a log in the session storage, and `done()` reports the log.
fn page(name: &str, script: &str) -> String {
    format!(
        "<!DOCTYPE html><body><script>
         function log(...items) {{
           sessionStorage.log = JSON.stringify([...JSON.parse(sessionStorage.log ?? '[]'), ...items]);
         }}
         function done() {{ navigator.sendBeacon('/report', sessionStorage.log); }}
         const name = '{name}';
         {script}</script>"
    )
}

/// Visits the first of these pages (targets and scripts), and returns the log.
async fn log(pages: &[(&str, &str)]) -> String {
    let mut site = Site::new().any_query();
    for (target, script) in pages {
        site = site.page(target, &page(target, script));
    }
    let site = site.start().await;
    visit(&site, pages[0].0).await;
    site.report()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_document_is_restored_with_its_frames_and_timers() {
    let log = log(&[
        (
            "/one",
            "var mine = 0;
             for (const type of ['pagehide', 'pageshow'])
               addEventListener(type, e => log(type, e.persisted, document.visibilityState));
             addEventListener('load', () => {
               const frame = document.createElement('iframe');
               frame.srcdoc = '<script>var here = 1; onpagehide = onpageshow = e => parent.log(`frame`, e.type)<\\/script>';
               frame.onload = () => { mine++; location = 'two'; };
               document.body.append(frame);
             });
             const timer = setInterval(() => {
               if (sessionStorage.back) { clearInterval(timer); log('alive', mine, frames[0].here, history.length); done(); }
             }, 1);
             addEventListener('pagehide', () => log(navigator.sendBeacon('/bye')));",
        ),
        (
            "/two",
            "addEventListener('load', () => setTimeout(() => {
               sessionStorage.back = 1; log('two', history.length); history.back();
             }, 5));",
        ),
    ])
    .await;
    assert_eq!(
        log,
        "[\"pageshow\",false,\"visible\",\"frame\",\"pageshow\",\"pagehide\",true,\"visible\",true,\"frame\",\"pagehide\",\"two\",2,\
         \"pageshow\",true,\"visible\",\"frame\",\"pageshow\",\"alive\",1,1,2]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_an_unload_handler_is_not_cached() {
    let log = log(&[
        (
            "/one",
            "onunload = () => log('unload');
             onpageshow = e => {
               log('shown', e.persisted);
               if (sessionStorage.back) done(); else setTimeout(() => { location = 'two'; }, 1);
             };",
        ),
        (
            "/two",
            "onload = () => setTimeout(() => { sessionStorage.back = 1; history.go(-1); }, 1);",
        ),
    ])
    .await;
    assert_eq!(log, r#"["shown",false,"unload","shown",false]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_entries_of_one_document_have_states() {
    let log = log(&[(
        "/one",
        "onload = () => setTimeout(() => {
           history.replaceState({ n: 0 }, '');
           history.pushState({ n: 1 }, '', '?1');
           location.hash = 'x';
           log(history.length, history.state);
           onhashchange = () => {
             onhashchange = () => log('hash');
             onpopstate = e => {
               log(e.state, e.state === history.state, location.search + location.hash);
               if (e.state?.n === 1) history.back();
               else if (e.state?.n === 0) history.go(2);
               else done();
             };
             history.back();
           };
         });",
    )])
    .await;
    assert_eq!(log, r#"[3,null,{"n":1},true,"?1","hash",{"n":0},true,"",null,true,"?1#x"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_entries_of_a_frame_are_traversed_in_the_frame() {
    let log = log(&[
        (
            "/one",
            "const frame = document.createElement('iframe'), steps = [
               () => { frame.src = 'inner?2'; },
               () => { frame.contentWindow.location.replace('inner?3'); },
               () => { history.back(); },
               () => { history.forward(); },
               () => { frame.contentWindow.location.reload(); },
               () => { done(); },
             ];
             frame.onload = () => {
               log(frame.contentWindow.location.search, history.length);
               setTimeout(steps.shift(), 1);
             };
             frame.src = 'inner?1';
             onload = () => document.body.append(frame);",
        ),
        ("/inner", ""),
    ])
    .await;
    assert_eq!(log, r#"["?1",1,"?2",2,"?3",2,"?1",2,"?3",2,"?3",2]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_fetched_again_on_behalf_of_its_first_initiator() {
    let answer = |request: &RecordedRequest| {
        let script = match &*request.target {
            // The listener keeps the document out of the back/forward cache.
            "/start" => {
                "onunload = () => {};
                 onload = () => { location = location.origin.replace('127.0.0.1', 'localhost') + '/other'; };
                 if (sessionStorage.again) { onload = null; navigator.sendBeacon('/report'); }
                 sessionStorage.again = 1;"
            }
            "/other" => "onload = () => setTimeout(() => { location = '/last'; });",
            "/last" => {
                "onload = () => setTimeout(() => {
                   if (sessionStorage.reloaded) { history.go(-2); return; }
                   sessionStorage.reloaded = 1;
                   location.reload();
                 });"
            }
            _ => return Behavior::status(204),
        };
        let html = format!("<!DOCTYPE html><body><script>{script}</script>");
        Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes())
    };
    let site = Running(RecordingServer::start(answer).await);
    visit_url(&site.0.url("/start")).await;
    let requests = site.0.requests();
    let said = |target: &str| {
        let of_target = requests.iter().filter(|it| it.target == target);
        of_target.map(|it| it.header("sec-fetch-site").map(str::to_owned)).collect::<Vec<_>>()
    };
    let site = |value: &str| Some(value.to_owned());
    assert_eq!(said("/start"), [site("none"), site("none")]);
    assert_eq!(said("/other"), [site("cross-site")]);
    assert_eq!(said("/last"), [site("same-origin"), site("same-origin")]);
}
