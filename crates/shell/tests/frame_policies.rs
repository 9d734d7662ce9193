//! Policies about frames: sandboxes, referrers, and who may frame a document.

mod site;

use site::{Site, report, report_after_messages, visit};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxed_frame_has_an_opaque_origin_or_no_scripts() {
    let say = "<script>parent.postMessage([origin, location.href, navigator.sendBeacon(&quot;/s&quot;)], &quot;*&quot;)</script>";
    let page = report_after_messages(
        "onmessage = e => log.push(e.data, e.origin, e.source === frames[0]);",
        "[log, attempt(() => frames[0].document), frames[1].document.URL]",
    );
    let page = format!(
        "{page}<iframe sandbox=allow-scripts srcdoc='{say}'></iframe>
         <iframe sandbox=allow-same-origin srcdoc='{say}'></iframe>"
    );
    let site = Site::new().page("/page", &page).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"[[["null","about:srcdoc",true],"null",true],"SecurityError","about:srcdoc"]"#
    );
    assert_eq!(site.request("/s").header("origin"), Some("null"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_referrerpolicy_attribute_applies_to_the_frames_document() {
    let page = report_after_messages("onmessage = e => log.push(e.data);", "log.sort()");
    let other = "<script>parent.postMessage(location.search + document.referrer, '*')</script>";
    let site = Site::new().any_query().page("/other", other);
    let frames = ["origin", "No-Referrer", "bogus"]
        .map(|policy| format!("<iframe src='other?{policy}' referrerpolicy='{policy}'></iframe>"));
    let page = page + &frames.concat();
    let site = site.page_with("/page", &[("Referrer-Policy", "origin")], &page).start().await;
    visit(&site, "/page").await;
    let origin = site.origin();
    let expected = format!(r#"["?No-Referrer","?bogus{origin}/","?origin{origin}/"]"#);
    assert_eq!(site.report(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_origin_has_no_cookies_and_no_storage() {
    let page = report(
        "onmessage = e => { log.push(e.data); dispatchEvent(new Event('done')); };",
        "done",
        "log",
    );
    let frame = "<iframe sandbox=allow-scripts srcdoc='<script>
         const attempt = steps => { try { return steps(); } catch (e) { return e.name; } };
         parent.postMessage([attempt(() => document.cookie), attempt(() => document.cookie = `a=b`),
           attempt(() => localStorage.length), attempt(() => sessionStorage.length), document.domain], `*`)
         </script>'></iframe>";
    let site = Site::new().page("/page", &format!("{page}{frame}")).start().await;
    visit(&site, "/page").await;
    assert_eq!(
        site.report(),
        r#"[["SecurityError","SecurityError","SecurityError","SecurityError",""]]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_decide_who_may_frame_a_document() {
    let say = "<script>parent.postMessage(location.pathname, '*')</script>";
    let page = report_after_messages("onmessage = e => log.push(e.data);", "log.sort()");
    let mut site = Site::new();
    let mut frames = Vec::new();
    for (name, headers) in [
        ("deny", &[("X-Frame-Options", "DENY")][..]),
        ("same", &[("X-Frame-Options", "SameOrigin, sameorigin")]),
        ("both", &[("X-Frame-Options", "sameorigin"), ("X-Frame-Options", "nonsense")]),
        ("nonsense", &[("X-Frame-Options", "nonsense")]),
        (
            "csp",
            &[("X-Frame-Options", "DENY"), ("Content-Security-Policy", "frame-ancestors 'self'")],
        ),
        ("stranger", &[("Content-Security-Policy", "frame-ancestors https://b.test")]),
        ("none", &[("Content-Security-Policy", "frame-ancestors")]),
        ("report", &[("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")]),
        ("attachment", &[("Content-Disposition", "Attachment; filename=x")]),
    ] {
        site = site.page_with(&format!("/{name}"), headers, say);
        frames.push(format!("<iframe src={name}></iframe>"));
    }
    let site = site.page("/page", &(page + &frames.concat())).start().await;
    visit(&site, "/page").await;
    assert_eq!(site.report(), r#"["/csp","/nonsense","/report","/same"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn frame_src_limits_what_a_document_may_frame() {
    let page = report(
        "const note = item => { if (log.push(item) === 4) dispatchEvent(new Event('done')); };
         onmessage = e => note(e.data);
         addEventListener('securitypolicyviolation', e =>
           note([e.effectiveDirective, e.blockedURI, e.disposition]));",
        "done",
        "log.map(String).sort()",
    );
    let policy = "default-src 'none'; script-src 'unsafe-inline'; connect-src *; frame-src 'self'; report-uri /rep";
    let headers = [
        ("Content-Security-Policy", policy),
        ("Content-Security-Policy-Report-Only", "child-src 'none'"),
    ];
    let frames = "<iframe src=allowed></iframe><iframe src='data:text/html,<script>parent.postMessage(`no`, `*`)</script>'></iframe>";
    let site = Site::new()
        .page_with("/page", &headers, &(page + frames))
        .page("/allowed", "<script>parent.postMessage('allowed', '*')</script>")
        .start()
        .await;
    visit(&site, "/page").await;
    let origin = site.origin();
    let expected = format!(
        r#"["allowed","frame-src,data,enforce","frame-src,data,report","frame-src,{origin}/allowed,report"]"#
    );
    assert_eq!(site.report(), expected);
    assert!(site.beacons().contains(&"/rep".to_owned()));
}
