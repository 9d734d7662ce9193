//! What a page finds around it: images, observers, attributes, styles, the screen, the timing of its navigation.

mod common;
mod site;

use common::{Fixture, Recorder, environment};
use site::{Site, visit};

/// Loads a page with this body and script, runs it until it is idle, and returns the value of `log` as JSON.
fn log(body: &str, script: &str) -> String {
    let fixture = Fixture::html(&format!("<body>{body}<script>var log = []; {script}</script>"));
    fixture.run_until_idle();
    assert_eq!(fixture.console(), [""; 0]);
    fixture.get("log")
}

const GIF: &[u8] = b"GIF89a\x03\0\x02\0\0\0\0";

/// A page whose host has an image at `/a.gif`.
fn with_image(html: &str) -> Fixture {
    let host = Recorder::default();
    host.images.borrow_mut().insert("https://a.test/a.gif".into(), GIF.to_vec());
    let fixture = Fixture::with(host, environment(), html);
    fixture.run_until_idle();
    fixture
}

#[test]
fn an_image_is_loaded_wherever_its_element_comes_from() {
    let fixture = with_image(
        "<body><img src=/parsed onerror=log.push(1)><div id=d></div><template id=t><img src=/inert></template><script>
         var log = [], i = new Image(5); i.src = '/a.gif'; i.onload = i.onerror = e => log.push([e.type, i.width, i.naturalWidth,
           i.naturalHeight, i.complete, i.currentSrc]);
         log.push(i.complete); d.innerHTML = '<img src=/inner crossorigin>';
         const c = document.createElement('img'); c.src = '/replaced'; c.src = '/created'; c.cloneNode();
         document.createElement('img').src = '';</script>",
    );
    let requests = fixture.host.image_requests.borrow();
    let paths: Vec<_> = requests.iter().map(|it| (it.url.path(), &*it.mode)).collect();
    let expected = [
        ("/parsed", "no-cors"),
        ("/a.gif", "no-cors"),
        ("/inner", "cors"),
        ("/created", "no-cors"),
        ("/created", "no-cors"),
    ];
    assert_eq!(paths, expected);
    assert!(requests.iter().all(|it| it.destination.as_str() == "image"));
    assert_eq!(fixture.get("log"), r#"[false,1,["load",5,3,2,true,"https://a.test/a.gif"]]"#);
}

#[test]
fn the_load_event_waits_for_images() {
    let fixture = with_image(
        "<img src=/a.gif onload=log.push('image')><img src='data:image/gif;base64,R0lGODlhAwACAAAAAA==' onload=log.push('data')>
         <script>var log = []; addEventListener('load', () => log.push('load'))</script>",
    );
    let mut page = fixture.page;
    page.fire_load();
    assert!(
        page.realm().inspect("log").is_some_and(|it| it.ends_with(r#""load"]"#)),
        "{:?}",
        page.realm().inspect("log")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn images_go_through_the_policies_of_the_library() {
    let html = "<body><script>const i = new Image(); i.onload = i.onerror = e => { location = '/end?' + e.type; };
                i.src = '/a.gif'</script>";
    let policy = [("Content-Security-Policy", "img-src 'none'")];
    let site = Site::new()
        .page("/free", html)
        .page_with("/blocked", &policy, html)
        .page_of("/a.gif", &[], "GIF89a\x03\0\x02\0\0\0\0")
        .start()
        .await;
    visit(&site, "/free").await;
    visit(&site, "/blocked").await;
    let expected = ["GET /free", "GET /a.gif", "GET /end?load", "GET /blocked", "GET /end?error"];
    assert_eq!(site.targets(), expected);
    let requests = site.0.requests();
    let image = requests.iter().find(|it| it.target == "/a.gif").expect("the image is loaded");
    assert_eq!(image.header("sec-fetch-dest"), Some("image"));
    assert!(image.header("accept").is_some_and(|it| it.starts_with("image/")));
}

const OBSERVE: &str = "
    const describe = r => [r.type, r.target.nodeName, r.addedNodes.map(n => n.nodeName).join(), r.removedNodes.map(n => n.nodeName).join(),
      r.attributeName, r.oldValue, r.previousSibling?.nodeName ?? null, r.nextSibling?.nodeName ?? null].join(' ');
    const observer = new MutationObserver((records, self) => log.push(records.map(describe), self === observer)); ";

#[test]
fn a_mutation_observer_gets_the_records_of_a_script_at_once() {
    assert_eq!(
        log(
            "<p id=p><b>1</b><i>2</i></p>",
            &format!(
                "{OBSERVE} observer.observe(p, {{ childList: true, attributes: true, attributeOldValue: true, subtree: true,
                   characterDataOldValue: true }});
                 p.title = 'x'; p.title = 'y'; p.firstChild.firstChild.data = '3'; p.insertBefore(document.createElement('u'), p.lastChild);
                 p.firstChild.remove(); p.textContent = 'z'; document.body.title = 'not seen'; log.push('sync');
                 queueMicrotask(() => {{ log.push('micro'); observer.disconnect(); p.title = 'z'; }});"
            )
        ),
        concat!(
            r#"["sync",["attributes P   title   ","attributes P   title x  ","characterData #text    1  ","#,
            r#""childList P U    B I","childList P  B    U","childList P #text U,I    "],true,"micro"]"#
        )
    );
}

#[test]
fn a_mutation_observer_sees_only_what_it_asks_for() {
    assert_eq!(
        log(
            "<p id=p><b>1</b></p>",
            &format!(
                "{OBSERVE} const b = p.firstChild; observer.observe(p, {{ attributes: true, attributeFilter: ['class'] }});
                 b.className = 'x'; p.title = 'x'; p.className = 'q'; log.push(observer.takeRecords().map(describe));
                 observer.observe(p, {{ childList: true, subtree: true }}); b.remove(); b.textContent = 'removed';
                 log.push(observer.takeRecords().length);
                 for (const bad of [undefined, {{}}, {{ childList: false }}, {{ attributes: false, attributeOldValue: true }}])
                   try {{ observer.observe(p, bad); }} catch (e) {{ log.push(e.name); }}
                 observer.disconnect(); p.append('x');"
            )
        ),
        r#"[["attributes P   class   "],2,"TypeError","TypeError","TypeError","TypeError"]"#
    );
}

#[test]
fn a_mutation_observer_sees_what_the_parser_inserts() {
    let html = format!(
        "<body><script>var log = []; {OBSERVE} observer.observe(document.body, {{ childList: true }})</script><p></p><i></i>"
    );
    let fixture = Fixture::html(&html);
    fixture.run_until_idle();
    assert_eq!(
        fixture.get("log"),
        r#"[["childList BODY P    SCRIPT ","childList BODY I    P "],true]"#
    );
}

#[test]
fn observers_of_boxes_say_that_nothing_is_rendered() {
    assert_eq!(
        log(
            "<p id=p></p>",
            "const o = new IntersectionObserver((entries, self) => log.push(entries.length, self === o, entries[0].isIntersecting,
               entries[0].target === p, entries[0].boundingClientRect.width), { rootMargin: '1px 2%', threshold: [1, 0] });
             o.observe(p); o.observe(p); log.push(o.rootMargin, o.thresholds);
             new ResizeObserver(() => log.push('resize')).observe(p);
             try { new IntersectionObserver(() => {}, { threshold: 2 }); } catch (e) { log.push(e.name); }"
        ),
        r#"["1px 2% 1px 2%",[0,1],"RangeError",1,true,false,true,0]"#
    );
}

#[test]
fn attributes_are_nodes_in_a_map() {
    assert_eq!(
        log(
            "<p id=p class='a b' data-x=1></p>",
            "const e = p, { attributes } = e; log.push(attributes.length, [...attributes].map(a => `${a.name}=${a.value}`), attributes[1] === attributes.class,
               attributes.item(9), 'id' in attributes, Object.keys(attributes));
             const id = e.getAttributeNode('ID'); id.value = 'q'; log.push(e.id, id.ownerElement === e, id.nodeType);
             attributes.removeNamedItem('id'); log.push(e.id, id.value, id.ownerElement);
             const a = document.createAttribute('Title'); a.value = 't'; log.push(e.setAttributeNode(a), e.title);
             try { document.body.setAttributeNode(a); } catch (e) { log.push(e.name); }"
        ),
        concat!(
            r#"[3,["id=p","class=a b","data-x=1"],true,null,true,["0","1","2"],"q",true,2,"","q",null,null,"t","#,
            r#""InUseAttributeError"]"#
        )
    );
}

#[test]
fn class_lists_are_live_sets_of_tokens() {
    assert_eq!(
        log(
            "<p id=p class=' a  b a'></p><a id=l rel=noopener></a><iframe id=f></iframe>",
            "const c = p.classList; log.push(c.length, [...c], c[1], c[5], c.contains('a')); c.add('c', 'a'); log.push(p.className);
             log.push(c.toggle('a'), c.toggle('d', true), c.replace('b', 'e'), c.replace('x', 'y'), `${c}`); c.remove('c', 'd', 'e');
             p.classList = 'f g'; log.push(c.value, c === p.classList, l.relList.supports('noopener'), l.relList[0]);
             f.sandbox = 'allow-scripts'; f.sandbox.add('allow-forms'); log.push(f.getAttribute('sandbox'));
             for (const bad of ['', 'a b']) try { c.add(bad); } catch (e) { log.push(e.name); }"
        ),
        concat!(
            r#"[2,["a","b"],"b",null,true,"a b c",false,true,true,false,"e c d","f g",true,true,"noopener","#,
            r#""allow-scripts allow-forms","SyntaxError","InvalidCharacterError"]"#
        )
    );
}

#[test]
fn styles_are_declarations_of_the_style_attribute() {
    assert_eq!(
        log(
            "<p id=p style='color: red; background: url(a;b) ; --X: 1 !important; color: blue; nonsense'></p>",
            "const s = p.style; log.push(s.length, s[0], s.color, s.getPropertyPriority('--X'), s.background, 'zIndex' in s);
             s.zIndex = 3; s.setProperty('margin-left', '1px', 'important'); s.color = ''; s.setProperty('nonsense', '1'); s.cssFloat = 'left';
             log.push(p.getAttribute('style'), s.removeProperty('z-index'), s.cssText === p.getAttribute('style'));
             log.push(getComputedStyle(p).float); p.style = 'top: 0'; log.push(s.cssText, s === p.style)"
        ),
        concat!(
            r#"[3,"background","blue","important","url(a;b)",true,"#,
            r#""background: url(a;b); --X: 1 !important; z-index: 3; margin-left: 1px !important; float: left;","3",true,"#,
            r#""left","top: 0;",true]"#
        )
    );
}

#[test]
fn links_have_the_parts_of_their_urls() {
    assert_eq!(
        log(
            "<a id=a href='//user@b.test:81/p?q#h'></a><a id=n></a>",
            "log.push(a.protocol, a.host, a.port, a.pathname, a.search, a.hash, a.origin, a.username, n.protocol, n.host);
             a.pathname = '/x y'; a.hash = ''; log.push(a.href, `${a}`); n.port = 5; log.push(n.hasAttribute('href'))"
        ),
        concat!(
            r##"["https:","b.test:81","81","/p","?q","#h","https://b.test:81","user",":","","##,
            r#""https://user@b.test:81/x%20y?q","https://user@b.test:81/x%20y?q",false]"#
        )
    );
}

#[test]
fn the_screen_and_the_viewport_have_sizes() {
    assert_eq!(
        log(
            "",
            "log.push(screen.width === innerWidth, screen.height === innerHeight, document.documentElement.clientWidth === innerWidth,
               scrollY, document.body.getBoundingClientRect().toJSON().right, matchMedia('screen').matches, matchMedia('print').matches);
             innerWidth = 1; log.push(innerWidth, typeof navigator.platform, navigator.vendor)"
        ),
        r#"[true,true,true,0,0,true,false,1,"string",""]"#
    );
}

#[test]
fn idle_callbacks_run_after_the_queued_tasks() {
    assert_eq!(
        log(
            "",
            "const never = requestIdleCallback(() => log.push('never')); cancelIdleCallback(never);
             requestIdleCallback(d => log.push(d.timeRemaining() > 0, d.didTimeout)); log.push('sync')"
        ),
        r#"["sync",true,false]"#
    );
}

#[test]
fn intl_knows_the_time_zone_and_formats_for_english() {
    assert_eq!(
        log(
            "",
            "const d = new Intl.DateTimeFormat('en-US', { timeZone: 'UTC' }); log.push(d.format(0), d.resolvedOptions().timeZone,
               Intl.DateTimeFormat().resolvedOptions().locale, new Intl.NumberFormat('de').format(-1234567.8916),
               new Intl.NumberFormat('en', { minimumFractionDigits: 2 }).format(1));
             for (const bad of [() => new Intl.DateTimeFormat('_'), () => new Intl.DateTimeFormat('en', { timeZone: 'Moon/Base' })])
               try { bad(); } catch (e) { log.push(e.name); }"
        ),
        r#"["1/1/1970","UTC","en-US","-1,234,567.892","1.00","RangeError","RangeError"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_navigation_has_an_entry_in_the_timeline() {
    let html = "<p>text<script>addEventListener('load', () => setTimeout(() => {
          const [n] = performance.getEntriesByType('navigation'), t = performance.timing;
          const order = ['startTime', 'fetchStart', 'requestStart', 'responseStart', 'responseEnd', 'domInteractive', 'domComplete', 'loadEventEnd'];
          const isSorted = order.every((name, i) => i === 0 || n[order[i - 1]] <= n[name]);
          const paints = performance.getEntriesByType('paint').map(it => it.name);
          const end = ['/end?' + isSorted, n.type, n.responseStatus, n.duration === n.loadEventEnd, n.name === location.href,
            t.navigationStart === Math.floor(performance.timeOrigin), t.loadEventEnd >= t.responseEnd, performance.navigation.type,
            paints.length, PerformanceObserver.supportedEntryTypes.includes('navigation')];
          if (n.type === 'reload') location = end.join(); else location.reload();
        }))</script>";
    let site = Site::new().page("/page", html).start().await;
    visit(&site, "/page").await;
    let expected =
        ["GET /page", "GET /page", "GET /end?true,reload,200,true,true,true,true,1,2,true"];
    assert_eq!(site.targets(), expected);
}
