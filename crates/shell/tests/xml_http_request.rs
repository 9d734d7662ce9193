//! `XMLHttpRequest`.

mod common;
mod site;

use common::{Fixture, Recorder, environment, response};
use sendbeacon_shell::page::BodyInit;
use site::{Site, visit};

/// A request whose events are in `log`: each with its state and the number of received bytes.
const LOGGED: &str = "
    var log = [], x = new XMLHttpRequest();
    function look(target, prefix) {
      for (const type of ['readystatechange', 'loadstart', 'progress', 'load', 'loadend', 'error', 'abort', 'timeout'])
        target.addEventListener(type, e => log.push(`${prefix}${type} ${x.readyState} ${e.loaded ?? ''}`.trim()));
    }
    look(x, ''); ";

#[test]
fn the_events_of_an_answered_request_come_in_order() {
    let fixture = Fixture::script(&format!(
        "{LOGGED} look(x.upload, 'upload '); x.open('post', '../e?ü#f'); x.setRequestHeader('X-A', '1');
         x.setRequestHeader('x-a', '2'); x.setRequestHeader('Host', 'b'); x.send('abc');"
    ));
    fixture.body(1, [Ok("he".into()), Ok("llo".into())]);
    fixture.answer(Ok(response(200)));
    let fetches = fixture.host.fetches.borrow();
    let (request, _) = &fetches[0];
    assert_eq!((&*request.method, request.url.as_str()), ("POST", "https://a.test/e?%C3%BC#f"));
    assert_eq!(request.body, Some(BodyInit::Text("abc".into())));
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(headers, ["X-A: 1, 2", "Content-Type: text/plain;charset=UTF-8"]);
    assert_eq!((&*request.mode, &*request.credentials), ("cors", "same-origin"));
    assert!(request.use_cors_preflight, "the upload has listeners");
    assert_eq!(
        fixture.get("log"),
        concat!(
            r#"["readystatechange 1","loadstart 1 0","upload loadstart 1 0","upload progress 1 3","#,
            r#""upload load 1 3","upload loadend 1 3","readystatechange 2","readystatechange 3","#,
            r#""progress 3 2","progress 3 5","readystatechange 4","load 4 5","loadend 4 5"]"#
        )
    );
    assert_eq!(
        fixture.get(
            "[x.status, x.statusText, x.responseText, x.response, x.responseURL, x.getResponseHeader('x-a'),
              x.getAllResponseHeaders()]"
        ),
        concat!(
            r#"[200,"Fine","hello","hello","https://a.test/answer","1","#,
            r#""content-type: text/x; a=b\r\nx-a: 1\r\n"]"#
        )
    );
}

#[test]
fn a_failed_request_has_no_response() {
    let fixture = Fixture::script(&format!("{LOGGED} x.open('GET', '/'); x.send('ignored');"));
    fixture.answer(Err("no".into()));
    assert_eq!(fixture.host.fetches.borrow()[0].0.body, None);
    assert_eq!(
        fixture.get("[...log, x.status, x.responseText, x.getResponseHeader('x-a')]"),
        r#"["readystatechange 1","loadstart 1 0","readystatechange 4","error 4 0","loadend 4 0",0,"",null]"#
    );
}

#[test]
fn a_request_can_be_aborted_and_can_time_out() {
    let fixture = Fixture::script(&format!(
        "{LOGGED} x.open('GET', '/'); x.send(); x.abort(); log.push(x.readyState);
         x.open('GET', '/'); x.timeout = 1; x.send();"
    ));
    // The unanswered fetch would keep the page busy.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let event_loop = fixture.page.event_loop();
    let is_over = event_loop.run_until(deadline, |_| {
        fixture.get("log.at(-1)") == r#""loadend 4 0""# && fixture.get("log.length") != "7"
    });
    assert!(is_over, "{}", fixture.get("log"));
    assert_eq!(
        fixture.get("log"),
        concat!(
            r#"["readystatechange 1","loadstart 1 0","readystatechange 4","abort 4 0","loadend 4 0",0,"#,
            r#""readystatechange 1","loadstart 1 0","readystatechange 4","timeout 4 0","loadend 4 0"]"#
        )
    );
    assert_eq!(*fixture.host.aborted.borrow(), [1, 2]);
}

#[test]
fn a_response_is_converted_to_the_wanted_type() {
    for (type_, expression, expected) in [
        ("arraybuffer", "[x.response.byteLength, x.response === x.response]", "[7,true]"),
        ("blob", "[x.response.size, x.response.type]", r#"[7,"text/x;a=b"]"#),
        ("json", "x.response.a", "1"),
        ("document", "x.response", "null"),
    ] {
        let fixture = Fixture::script(&format!(
            "var x = new XMLHttpRequest(); x.open('GET', '/'); x.responseType = '{type_}'; x.send();"
        ));
        fixture.body(1, [Ok("{\"a\":1}".into())]);
        fixture.answer(Ok(response(200)));
        assert_eq!(fixture.get(expression), expected, "{type_}");
    }
}

#[test]
fn a_misused_request_throws() {
    let fixture = Fixture::script(
        "var x = new XMLHttpRequest();
         var errors = [() => x.send(), () => x.open('A B', '/'), () => x.open('TRACE', '/'), () => x.open('GET', 'http://['),
           () => x.setRequestHeader('a', 'b'), () => { x.open('GET', '/'); x.setRequestHeader('a b', 'c'); },
           () => { x.send(); x.send(); }, () => { x.withCredentials = true; },
           () => { x.abort(); x.timeout = 1; x.open('GET', '/', false); }, () => XMLHttpRequest(),
           () => new XMLHttpRequestUpload(),
           () => { x.timeout = 0; x.open('GET', '/', false); x.responseType = 'json'; }]
           .map(f => { try { f(); return 'none'; } catch (e) { return e.name; } });",
    );
    assert_eq!(
        fixture.get("errors"),
        concat!(
            r#"["InvalidStateError","SyntaxError","SecurityError","SyntaxError","InvalidStateError","SyntaxError","#,
            r#""InvalidStateError","InvalidStateError","InvalidAccessError","TypeError","TypeError","InvalidAccessError"]"#
        )
    );
}

#[test]
fn a_synchronous_request_blocks_its_script() {
    let host = Recorder::default();
    host.answers_at_once.set(true);
    host.bodies.borrow_mut().insert(1, [Ok("sync".into())].into());
    let html = format!(
        "<script>{LOGGED} x.open('GET', '/', false); x.send(); var result = [x.status, x.responseText, log];</script>"
    );
    let fixture = Fixture::with(host, environment(), &html);
    assert_eq!(
        fixture.get("result"),
        r#"[200,"sync",["readystatechange 1","readystatechange 4","load 4 4","loadend 4 4"]]"#
    );
}

#[test]
fn a_url_without_network_is_loaded_too() {
    let fixture = Fixture::script(
        "var log = [], url = URL.createObjectURL(new Blob(['b'], { type: 'a/b' }));
         for (const it of ['data:text/plain,d', url, 'data:broken']) {
           const x = new XMLHttpRequest(); x.onloadend = () => log.push([x.status, x.responseText, x.getResponseHeader('content-type')]);
           x.open('GET', it); x.send();
         }
         var s = new XMLHttpRequest(); s.open('GET', url, false); s.send(); log.push(s.responseText);",
    );
    fixture.run_until_idle();
    assert_eq!(fixture.get("log"), r#"["b",[200,"d","text/plain"],[200,"b","a/b"],[0,"",null]]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_through_the_policies_of_the_library() {
    let script = "
      const x = new XMLHttpRequest(), y = new XMLHttpRequest(), seen = [];
      x.onload = y.onload = e => seen.push(e.target.responseText); x.onerror = y.onerror = e => seen.push(e.type);
      x.onloadend = () => { location = '/end?' + seen; };
      try { y.open('GET', '/data?sync', false); y.send(); } catch (e) { seen.push(e.name); }
      x.open('GET', '/data?async'); x.send();";
    let html = format!("<script>{script}</script>");
    let policy = [("Content-Security-Policy", "connect-src 'none'")];
    let site = Site::new()
        .page("/free", &html)
        .page_with("/blocked", &policy, &html)
        .page_of("/data?sync", &[], "one")
        .page_of("/data?async", &[], "two")
        .start()
        .await;
    visit(&site, "/free").await;
    visit(&site, "/blocked").await;
    let expected = [
        "GET /free",
        "GET /data?sync",
        "GET /data?async",
        "GET /end?one,two",
        "GET /blocked",
        "GET /end?NetworkError,error",
    ];
    assert_eq!(site.targets(), expected);
}
