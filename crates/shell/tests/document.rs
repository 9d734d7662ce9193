//! Documents: parsing, scripts that change them, events, and what the host is told.

mod common;

use std::rc::Rc;

use common::{Fixture, PAGE_URL};
use sendbeacon_shell::page::{EventLoop, Page, PageHost};

#[test]
fn the_first_base_element_with_an_href_sets_the_base_url() {
    let fixture = Fixture::html(
        "<base target=x><base href=/other/><base href=/third/><script>var b = document.baseURI</script>",
    );
    assert_eq!(fixture.get("b"), "\"https://a.test/other/\"");
    assert_eq!(fixture.page.document_info().base_url.as_str(), "https://a.test/other/");
    assert_eq!(fixture.page.document_info().url.as_str(), PAGE_URL);
}

#[test]
fn data_and_javascript_urls_cannot_be_base_urls() {
    for href in ["data:text/plain,x", "javascript:0", "http://[", ""] {
        let fixture = Fixture::html(&format!("<base href='{href}'>"));
        let base = fixture.page.document_info().base_url;
        // An empty href resolves to the document itself, without its fragment.
        let expected = if href.is_empty() { PAGE_URL.trim_end_matches("#f") } else { PAGE_URL };
        assert_eq!(base.as_str(), expected, "{href}");
    }
}

#[test]
fn the_host_knows_the_policies_before_a_script_can_send_anything() {
    let fixture = Fixture::html(
        "<meta name=referrer content=origin>
         <meta http-equiv=Content-Security-Policy content=\"connect-src 'none'\">
         <script>navigator.sendBeacon('1')</script>",
    );
    let infos = fixture.host.infos.borrow();
    let last = infos.last().expect("the host was told");
    assert_eq!(last.referrer_policy.as_deref(), Some("origin"));
    assert_eq!(last.content_security_policies, ["connect-src 'none'"]);
}

#[test]
fn scripts_can_change_the_policies_and_the_base_url() {
    let fixture = Fixture::script(
        "var m = document.createElement('meta'); m.name = 'referrer'; m.content = 'never';
         document.head.appendChild(m); m.content = 'nonsense';
         var b = document.createElement('base'); b.href = '/x/'; document.head.append(b);
         var bases = [document.baseURI]; b.href = '/y/'; bases.push(document.baseURI); b.remove();
         bases.push(document.baseURI === document.URL);
         document.body.insertAdjacentElement('beforeend', document.createElement('p')).innerHTML =
           '<meta http-equiv=content-security-policy content=x>';",
    );
    let info = fixture.page.document_info();
    assert_eq!(info.referrer_policy.as_deref(), Some("no-referrer"));
    assert_eq!(info.content_security_policies, [""; 0], "a policy outside the head does not count");
    assert_eq!(fixture.get("bases"), r#"["https://a.test/x/","https://a.test/y/",true]"#);
    assert_eq!(fixture.host.infos.borrow().last(), Some(&info));
}

#[test]
fn replace_state_changes_the_url_within_the_origin() {
    let fixture = Fixture::script(
        "history.replaceState({ a: 1 }, '', '?new'); var r = [location.href, history.state.a];
         try { history.pushState(0, '', 'https://b.test/'); } catch (e) { r.push(e.name); }",
    );
    assert_eq!(fixture.get("r"), r#"["https://a.test/dir/page?new",1,"SecurityError"]"#);
    assert_eq!(fixture.page.document_info().base_url.query(), Some("new"));
}

/// The URLs that a page with this script navigates to, and what it logs.
fn navigations(script: &str) -> (Vec<String>, String) {
    let links = "<a id=a href=link><b id=b>x</b></a><a id=c href=no onclick='return false'></a>";
    let fixture = Fixture::html(&format!("{links}<script>{script}</script>"));
    fixture.run_until_idle();
    (fixture.host.navigations.take(), fixture.log())
}

#[test]
fn the_host_is_asked_for_navigations() {
    for (script, target) in [
        ("location.href = 'one'", "/dir/one"),
        ("location = 'two'", "/dir/two"),
        ("document.location.assign('/three')", "/three"),
        ("location.replace('four')", "/dir/four"),
        ("location.search = '?five'", "/dir/page?five#f"),
        ("document.getElementById('b').click()", "/dir/link"),
        ("location.href = 'one'; location.href = 'another'", "/dir/another"),
    ] {
        assert_eq!(navigations(script).0, [format!("https://a.test{target}")], "{script}");
    }
    for (script, log) in [
        ("document.getElementById('c').click()", ""),
        (
            "location.hash = 'six'; onhashchange = e => console.log(location.hash, e.newURL)",
            "#six https://a.test/dir/page?q#six",
        ),
        ("try { location.href = 'http://['; } catch (e) { console.log(e.name); }", "SyntaxError"),
    ] {
        assert_eq!(navigations(script), (vec![], log.to_owned()), "{script}");
    }
}

#[test]
fn the_tree_can_be_read_and_changed() {
    let fixture = Fixture::html(
        "<!DOCTYPE html><title> A  b </title><body class='x y'><p id=p>one<br>two</p><!--c-->
         <script>
         var p = document.getElementById('p'), r = {};
         r.title = document.title; document.title = 'new'; r.newTitle = document.title;
         r.kinds = [p, p.firstChild, document, document.doctype].map(it => it.nodeName);
         r.same = p === document.querySelector('body > p'.slice(7)) && p.parentNode === document.body;
         r.text = p.textContent; p.textContent = '<i>'; r.html = p.innerHTML;
         p.innerHTML = '<i class=k>1</i><i>2'; r.count = document.querySelectorAll('i').length;
         r.classes = document.getElementsByClassName('x y').length;
         var f = document.createDocumentFragment(); f.append('t', document.createElement('U'));
         p.prepend(f); p.insertBefore(p.lastChild, p.firstChild); r.moved = p.innerHTML;
         p.dataset.fooBar = 5; r.data = [p.getAttribute('data-foo-bar'), p.dataset.fooBar];
         r.errors = [() => p.appendChild(document.body), () => document.body.insertBefore(f, p.firstChild),
           () => document.createElement('1'), () => p.setAttribute('a b', ''), () => p.matches('a >> b')]
           .map(f => { try { f(); } catch (e) { return e.name; } });
         r.proto = [p instanceof HTMLParagraphElement, p instanceof HTMLElement, p instanceof Node];
         r.script = document.currentScript; p.remove(); r.gone = [p.isConnected, document.querySelector('i')];
         </script>",
    );
    assert_eq!(
        fixture.get("r"),
        concat!(
            r##"{"title":"A b","newTitle":"new","kinds":["P","#text","#document","html"],"same":true,"##,
            r#""text":"onetwo","html":"&lt;i&gt;","count":2,"classes":1,"#,
            r#""moved":"<i>2</i>t<u></u><i class=\"k\">1</i>","data":["5","5"],"#,
            r#""errors":["HierarchyRequestError","NotFoundError","InvalidCharacterError","#,
            r#""InvalidCharacterError","SyntaxError"],"proto":[true,true,true],"script":null,"#,
            r#""gone":[false,null]}"#
        )
    );
}

#[test]
fn events_are_captured_and_bubble_through_the_tree() {
    let fixture = Fixture::html(
        "<div id=d><b id=b></b></div><script>
         const log = (name, capture) => e => console.log(name, e.eventPhase, e.target.id ?? '');
         const [d, b] = ['d', 'b'].map(id => document.getElementById(id));
         window.addEventListener('x', log('window'), true); document.addEventListener('x', log('doc'));
         d.addEventListener('x', log('d'), { capture: true }); d.addEventListener('x', log('d'));
         b.addEventListener('x', log('b'), { once: true });
         b.dispatchEvent(new Event('x', { bubbles: true })); b.dispatchEvent(new Event('x'));
         d.addEventListener('y', e => { e.preventDefault(); e.stopPropagation(); });
         document.addEventListener('y', log('never'));
         console.log(b.dispatchEvent(new CustomEvent('y', { bubbles: true, cancelable: true, detail: 1 })));
         try { b.dispatchEvent({}); } catch (e) { console.log(e.name); }
         </script>",
    );
    assert_eq!(
        fixture.log(),
        "window 1 b d 1 b b 2 b d 3 b doc 3 b window 1 b d 1 b false TypeError"
    );
}

#[test]
fn documents_are_decoded_with_their_charset() {
    let event_loop = EventLoop::new().expect("there is memory");
    for (bytes, charset) in [
        (&b"<p>\xe9"[..], Some("latin1")),
        (b"\xef\xbb\xbf<p>\xc3\xa9", Some("latin1")),
        (b"<p>\xc3\xa9", None),
        (b"<meta charset=latin1><p>\xe9", None),
        (b"<!-- <meta charset=utf-8> --><meta http-equiv=Content-Type content='text/html;charset=latin1'><p>\xe9", None),
        (b"<meta charset=nonsense><meta charset=UTF-16><p>\xc3\xa9", None),
        (b"<meta charset=latin1><p>\xc3\xa9", Some("utf-8")),
    ] {
        let host = Rc::new(common::Recorder::default());
        let page = Page::load(&event_loop, bytes, charset, common::environment(), host, None);
        let text = page.expect("loads").realm().inspect("document.body.textContent");
        assert_eq!(text.as_deref(), Some("\"é\""));
    }
}

#[test]
fn pings_are_sent_for_a_link_that_is_followed() {
    let html = "<a id=a href=to ping='/1 /2'>x</a><a id=b href='http://[' ping=/3></a>
        <a id=c ping=/4></a><a id=d href=plain></a><a id=e href=no ping=/5></a>
        <script>document.getElementById('e').onclick = () => false;
        for (const id of 'abcde') document.getElementById(id).click()</script>";
    let fixture = Fixture::html(html);
    fixture.run_until_idle();
    assert_eq!(*fixture.host.pings.borrow(), [("/1 /2".to_owned(), "to".to_owned())]);
    assert_eq!(*fixture.host.navigations.borrow(), ["https://a.test/dir/plain"]);
}

#[test]
fn a_click_event_of_a_script_follows_the_nearest_hyperlink() {
    let html = "<a href=/link ping=/p1><b id=inner>x</b></a>
        <map><area href=/area ping=/p2></map>
        <button disabled id=no>x</button>
        <script>
        const click = (init) => new MouseEvent('click', { bubbles: true, cancelable: true, ...init });
        const results = [], inner = document.getElementById('inner'), area = document.querySelector('area');
        results.push(inner.dispatchEvent(click()), area.dispatchEvent(click()));
        inner.dispatchEvent(click({ bubbles: false }));
        inner.dispatchEvent(new Event('click', { bubbles: true }));
        area.addEventListener('click', (e) => e.preventDefault(), { once: true });
        results.push(area.dispatchEvent(click()));
        const loose = document.createElement('a');
        Object.assign(loose, { href: '/loose', ping: '/p3' }).click();
        const looseArea = document.createElement('area');
        Object.assign(looseArea, { href: '/never', ping: '/p4' }).click();
        document.getElementById('no').onclick = () => results.push('clicked');
        document.getElementById('no').click();
        results.push(area.ping, area instanceof HTMLAreaElement, `${area}`);
        </script>";
    let fixture = Fixture::html(html);
    fixture.run_until_idle();
    assert_eq!(fixture.get("results"), r#"[true,true,false,"/p2",true,"https://a.test/area"]"#);
    let pings = fixture.host.pings.borrow();
    let pings: Vec<_> = pings.iter().map(|(ping, href)| format!("{ping} {href}")).collect();
    assert_eq!(pings, ["/p1 /link", "/p2 /area", "/p3 /loose"]);
}

#[test]
fn queries_use_the_documents_encoding_except_in_urls_of_apis() {
    let event_loop = EventLoop::new().expect("there is memory");
    let host = Rc::new(common::Recorder::default());
    let dyn_host: Rc<dyn PageHost> = Rc::<common::Recorder>::clone(&host);
    let html = b"<a href=x></a><script>
        navigator.sendBeacon('/\xe4?q=\xe4' + String.fromCodePoint(0x4e2d));
        const text = '?\xe4' + String.fromCodePoint(0x4e2d), [link] = document.links;
        fetch(text, { referrer: '/r' + text });
        link.ping = link.href = text;
        link.click();
        var r = [document.characterSet, link.href, new Request(text).url,
          Response.redirect(text).headers.get('location')];
        </script>";
    let page = Page::load(&event_loop, html, Some("latin1"), common::environment(), dyn_host, None);
    let page = page.expect("the page loads");
    assert_eq!(
        page.realm().inspect("r").as_deref(),
        Some(
            r#"["windows-1252","https://a.test/dir/page?%E4%26%2320013%3B","https://a.test/dir/page?%C3%A4%E4%B8%AD","https://a.test/dir/page?%C3%A4%E4%B8%AD"]"#
        )
    );
    let fetches = host.fetches.borrow();
    assert_eq!(fetches[0].0.url.as_str(), "https://a.test/dir/page?%C3%A4%E4%B8%AD");
    assert_eq!(fetches[0].0.referrer, "https://a.test/r?%C3%A4%E4%B8%AD");
    assert_eq!(*host.encoded_pings.borrow(), ["https://a.test/dir/page?%E4%26%2320013%3B"]);
    assert_eq!(
        host.beacons.borrow()[0].0,
        "/\u{e4}?q=\u{e4}\u{4e2d}",
        "the host gets the URL as the script passed it"
    );
}

#[test]
fn copies_of_nodes_are_nodes_of_their_own() {
    let fixture = Fixture::html(
        "<p id=a class=c>x<b>y</b><!--z--></p><template id=t><i>in</i></template><iframe></iframe><script>
         const node = document.getElementById('a'), deep = node.cloneNode(true), shallow = node.cloneNode();
         deep.lastChild.data = 'other';
         const [frame] = document.querySelectorAll('iframe'), there = frame.contentDocument;
         const imported = there.importNode(node, true);
         const attempt = (steps) => { try { steps(); } catch ({ name }) { return name; } };
         var r = [deep.innerHTML, shallow.innerHTML, shallow.className, deep.parentNode, node.innerHTML,
           deep.isConnected, imported.ownerDocument === there, imported instanceof frame.contentWindow.HTMLElement,
           imported.innerHTML, document.getElementById('t').cloneNode(true).innerHTML,
           document.createDocumentFragment().cloneNode(true).nodeType, document.importNode(new Text('t')).data,
           attempt(() => document.importNode(there)), attempt(() => document.cloneNode())];
         </script>",
    );
    assert_eq!(
        fixture.get("r"),
        r#"["x<b>y</b><!--other-->","","c",null,"x<b>y</b><!--z-->",false,true,true,"x<b>y</b><!--z-->","<i>in</i>",11,"t","NotSupportedError","NotSupportedError"]"#
    );
}

#[test]
fn a_script_that_has_run_does_not_run_again_as_a_copy() {
    let fixture = Fixture::html(
        "<body><script id=s>console.log('run')</script><script>
         document.body.append(document.getElementById('s').cloneNode(true));
         const fresh = document.createElement('script');
         fresh.text = 'console.log(`fresh`)';
         document.body.append(fresh.cloneNode(true));
         </script>",
    );
    assert_eq!(fixture.log(), "run fresh");
}
