//! Windows that pages open, and the messages between windows.

mod site;

use site::{Site, visit};

/// A page with this script. `done()` reports the array `log`.
fn page(script: &str) -> String {
    format!(
        "<!DOCTYPE html><body><script>
         var log = [];
         function done() {{ navigator.sendBeacon('/report', JSON.stringify(log)); }}
         {script}</script>"
    )
}

/// Visits a page with this script, and returns its log. `other` is the script of a page at `/other`.
async fn log(script: &str, other: &str) -> String {
    let other = format!("<!DOCTYPE html><body><script>{other}</script>");
    let site = Site::new().page("/page", &page(script)).page("/other", &other).any_query();
    let site = site.start().await;
    visit(&site, "/page").await;
    site.report()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_window_knows_its_opener() {
    let log = log(
        "var w = window.open('other', 'name');
         log.push(w.location.href, w.opener === window, w.closed, w.name);
         w.mine = 1;
         onmessage = e => {
           log.push(e.data, e.source === w, e.origin === origin, w.mine, w.document.referrer === location.href);
           w.close();
           log.push(w.closed);
           setTimeout(() => { log.push(w.closed, w.opener); done(); }, 1);
         };",
        "onpagehide = () => opener.log.push('pagehide');
         opener.postMessage([opener.origin, top === window, name, window.open('', 'name') === window], '*');",
    )
    .await;
    let origin = log.split('"').nth(5).unwrap().to_owned();
    assert_eq!(
        log,
        format!(
            r#"["about:blank",true,false,"name",["{origin}",true,"name",true],true,true,1,true,true,"pagehide",true,null]"#
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_without_an_opener_can_only_broadcast() {
    let log = log(
        "const channel = new BroadcastChannel('x');
         sessionStorage.a = 1; localStorage.a = 1;
         channel.onmessage = e => { log.push(e.data, e.origin === origin); channel.close(); done(); };
         log.push(window.open('other', '', 'noopener'));",
        "new BroadcastChannel('y').postMessage('not heard');
         new BroadcastChannel('x').postMessage(
           [opener, sessionStorage.a ?? null, localStorage.a, document.referrer !== '']);",
    )
    .await;
    assert_eq!(log, r#"[null,[null,null,"1",true],true]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_window_gets_a_copy_of_the_session_storage() {
    let log = log(
        "sessionStorage.a = 1;
         onstorage = e => log.push(e.key, e.newValue);
         onmessage = e => { log.push(e.data, sessionStorage.a); setTimeout(done, 1); };
         window.open('other');",
        "opener.postMessage(sessionStorage.a, '*'); sessionStorage.a = 2; localStorage.b = 3;",
    )
    .await;
    assert_eq!(log, r#"["1","1","b","3"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_only_to_the_target_origin() {
    let log = log(
        "onmessage = e => {
           log.push(e.data);
           if (e.data === 'end') done();
         };
         const attempt = (...args) => { try { postMessage(...args); } catch (e) { log.push(e.name); } };
         attempt('wrong', 'https://b.test');
         attempt('right', location.href);
         attempt('self', '/');
         attempt({ x: new Date(0) }, { targetOrigin: '*' });
         attempt('x', 'no origin');
         attempt(() => {}, '*');
         attempt();
         attempt('end');",
        "",
    )
    .await;
    assert_eq!(
        log,
        r#"["SyntaxError","DataCloneError","TypeError","right","self",{"x":"1970-01-01T00:00:00.000Z"},"end"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_move_between_windows_with_their_queued_messages() {
    let log = log(
        "const frame = document.createElement('iframe');
         frame.src = 'other';
         frame.onload = () => {
           const { port1, port2 } = new MessageChannel();
           port1.onmessage = e => { log.push(e.data, e.ports.length); port1.close(); done(); };
           port1.postMessage('waits');
           frame.contentWindow.postMessage({ port: port2 }, '*', [port2]);
           try { frame.contentWindow.postMessage(port2, '*', [port2]); } catch (e) { log.push(e.name); }
           try { structuredClone(port1); } catch (e) { log.push(e.name); }
         };
         document.body.append(frame);",
        "onmessage = e => {
           const port = e.ports[0];
           parent.log.push(port === e.data.port, port instanceof MessagePort);
           port.onmessage = e => port.postMessage(`${e.data} no more`);
         };",
    )
    .await;
    assert_eq!(log, r#"["DataCloneError","DataCloneError",true,true,"waits no more",0]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_find_frames_and_windows() {
    let log = log(
        "const frame = document.createElement('iframe');
         frame.name = 'inner';
         frame.onload = () => {
           frame.onload = () => {
             log.push(frame.contentWindow.location.search, frames.inner === frame.contentWindow);
             const link = document.createElement('a');
             Object.assign(link, { href: 'other?link', target: 'inner' });
             document.body.append(link);
             frame.onload = () => { log.push(frame.contentWindow.location.search); done(); };
             link.click();
           };
           log.push(window.open('other?open', 'inner') === frame.contentWindow,
             window.open('', '_self') === window, window.open('', '_top') === window);
         };
         document.body.append(frame);",
        "",
    )
    .await;
    assert_eq!(log, r#"[true,true,true,"?open",true,"?link"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxed_frame_cannot_open_windows_or_navigate_its_parent() {
    let sandboxed = "
        const log = [window.open('other')];
        try { top.location = 'other'; } catch (e) { log.push(e.name, e instanceof DOMException); }
        parent.postMessage(log, '*');";
    let script = format!(
        "onmessage = e => {{ log.push(e.data); done(); }};
         const frame = document.createElement('iframe');
         frame.sandbox = 'allow-scripts';
         frame.srcdoc = `<script>{sandboxed}<\\/script>`;
         document.body.append(frame);"
    );
    assert_eq!(log(&script, "").await, r#"[[null,"SecurityError",true]]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_with_one_entry_closes_itself_and_others_only_if_a_script_has_opened_them() {
    // A page that the user has opened.
    let closed = log("onpagehide = () => done(); close(); log.push(closed);", "").await;
    assert_eq!(closed, "[true]");
    let log = log(
        "history.pushState(0, '', '?two'); close(); log.push(closed);
         const w = open('other');
         onmessage = e => { w.close(); log.push(e.data, w.closed); done(); };",
        "onload = () => setTimeout(() => {
           history.pushState(0, '', '?two');
           opener.postMessage(history.length, '*');
         });",
    )
    .await;
    assert_eq!(log, "[false,2,true]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_another_site_cannot_close_its_opener_nor_one_that_has_disowned_it() {
    let log = log(
        "const w = open(location.href.replace('127.0.0.1', 'localhost').replace('page', 'other'));
         onmessage = e => {
           log.push(e.data, closed, w.opener);
           w.close();
           log.push(w.closed);
           done();
         };",
        "const by = opener;
         by.close();
         opener = null;
         by.postMessage(by.closed, '*');",
    )
    .await;
    assert_eq!(log, "[false,false,null,false]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_closes_its_page_unless_it_is_sandboxed() {
    let log = log(
        "const add = (sandbox) => {
           const frame = document.createElement('iframe');
           if (sandbox) frame.sandbox = 'allow-scripts';
           frame.src = location.href.replace('127.0.0.1', 'localhost').replace('page', 'other');
           document.body.append(frame);
         };
         let isFirst = true;
         onmessage = e => { log.push(e.data); if (isFirst) add(isFirst = false); };
         onunload = () => { log.push(closed); done(); };
         add(true);",
        "top.close(); if (origin === 'null') top.postMessage(top.closed, '*');",
    )
    .await;
    assert_eq!(log, "[false,true]");
}
