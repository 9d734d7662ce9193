//! The order of a document's events.

mod common;

use common::Fixture;

/// Logs all events of a document's lifecycle.
const LOG_EVERYTHING: &str = r"
    for (const type of ['DOMContentLoaded', 'readystatechange', 'visibilitychange', 'freeze', 'resume'])
      document.addEventListener(type, e => console.log(type, document.readyState, document.visibilityState));
    for (const type of ['load', 'pageshow', 'beforeunload', 'pagehide', 'unload'])
      addEventListener(type, e =>
        console.log(type, e.target === document, document.visibilityState, e.persisted ?? '-'));
    addEventListener('visibilitychange', e => console.log('bubbled'));
";

/// A page with this script, after `load`.
fn loaded(script: &str) -> Fixture {
    let mut fixture = Fixture::script(script);
    fixture.page.fire_load();
    fixture
}

/// Takes the lines from the console.
fn take(fixture: &Fixture) -> Vec<String> {
    let lines = fixture.host.console.take();
    lines.into_iter().map(|line| line.replacen("log: ", "", 1)).collect()
}

#[test]
fn loading_ends_with_load_and_pageshow() {
    let fixture = loaded(LOG_EVERYTHING);
    assert_eq!(
        take(&fixture),
        [
            "readystatechange interactive visible",
            "DOMContentLoaded interactive visible",
            "readystatechange complete visible",
            "load true visible -",
            "pageshow true visible false",
        ]
    );
}

#[test]
fn unloading_fires_pagehide_visibilitychange_and_unload() {
    let fixture = loaded(LOG_EVERYTHING);
    take(&fixture);
    fixture.page.unload();
    assert_eq!(
        take(&fixture),
        [
            "beforeunload true visible -",
            "pagehide true visible false",
            "visibilitychange complete hidden",
            "bubbled",
            "unload true hidden -",
        ]
    );
}

#[test]
fn a_hidden_page_does_not_become_hidden_again() {
    let fixture = loaded(LOG_EVERYTHING);
    take(&fixture);
    fixture.page.hide();
    fixture.page.hide();
    assert_eq!(take(&fixture), ["visibilitychange complete hidden", "bubbled"]);
    fixture.page.unload();
    assert_eq!(
        take(&fixture),
        ["beforeunload true hidden -", "pagehide true hidden false", "unload true hidden -"]
    );
}

#[test]
fn a_page_is_told_that_it_is_frozen() {
    let fixture = loaded(LOG_EVERYTHING);
    take(&fixture);
    fixture.page.freeze();
    fixture.page.resume();
    assert_eq!(take(&fixture), ["freeze complete visible", "resume complete visible"]);
}

#[test]
fn handlers_can_be_attributes_and_properties() {
    let mut fixture = Fixture::html(
        "<body onload=\"console.log('body', event.type, this === window)\" onpagehide='console.log(1)'>
         <script>
         onpageshow = e => console.log('pageshow');
         document.onvisibilitychange = function () { console.log('vc', this === document); };
         onunload = () => console.log('replaced'); onunload = () => console.log('unload');
         </script>",
    );
    fixture.page.fire_load();
    fixture.page.unload();
    assert_eq!(take(&fixture), ["body load true", "pageshow", "1", "vc true", "unload"]);
}

#[test]
fn every_event_of_unloading_can_send_beacons() {
    let fixture = loaded(
        "for (const type of ['beforeunload', 'pagehide', 'unload'])
           addEventListener(type, () => navigator.sendBeacon(type));
         document.addEventListener('visibilitychange', () => navigator.sendBeacon(document.visibilityState));",
    );
    fixture.page.unload();
    let urls: Vec<_> = fixture.host.beacons.borrow().iter().map(|(url, _)| url.clone()).collect();
    assert_eq!(urls, ["beforeunload", "pagehide", "hidden", "unload"]);
}

#[test]
fn microtasks_run_between_the_listeners_of_an_event() {
    let fixture = loaded(
        "addEventListener('load', () => queueMicrotask(() => console.log('micro')));
         addEventListener('load', () => console.log('second'));
         var inner = new EventTarget();
         inner.addEventListener('x', () => queueMicrotask(() => console.log('late')));
         inner.addEventListener('x', () => console.log('early'));
         inner.dispatchEvent(new Event('x'));",
    );
    assert_eq!(take(&fixture), ["early", "late", "micro", "second"]);
}

#[test]
fn timers_end_with_the_document() {
    let fixture = loaded("setInterval(() => console.log('tick'), 1)");
    fixture.page.unload();
    assert!(fixture.page.event_loop().is_idle());
}

#[test]
fn a_handler_for_beforeunload_returns_a_string() {
    for (returned, expected) in
        [("null", "false ''"), ("false", "true 'false'"), ("0", "true '0'"), ("''", "true ''")]
    {
        let fixture = loaded(&format!(
            "onbeforeunload = () => {returned};
             addEventListener('beforeunload', e => console.log(e.defaultPrevented, `'${{e.returnValue}}'`));"
        ));
        fixture.page.unload();
        assert_eq!(take(&fixture), [expected], "{returned}");
    }
    let fixture = loaded(
        "onbeforeunload = () => false; addEventListener('beforeunload', e => console.log(e.type, e.defaultPrevented));
         dispatchEvent(new CustomEvent('beforeunload', { cancelable: true }));",
    );
    assert_eq!(take(&fixture), ["beforeunload false"]);
}
