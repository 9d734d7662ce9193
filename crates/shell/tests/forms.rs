//! Forms: their form data, and their submission.

mod common;
mod site;

use common::Fixture;
use site::{Site, visit};

#[test]
fn the_form_data_of_a_form_has_the_entries_of_a_submission() {
    let fixture = Fixture::html(
        "<form id=f><input name=text value=t><input name=gone disabled><input type=checkbox name=on checked>
         <input type=checkbox name=off><input type=radio name=r value=1 checked><input type=radio name=r value=2>
         <select name=s><option>one<option value=2 selected>two</select><select name=first><option>a<option>b</select>
         <textarea name=area>\nx\r\ny</textarea><input type=hidden name=_charset_><input type=submit name=no>
         <button name=b value=c>x</button><input value=nameless>
         <fieldset disabled><legend><input name=legend value=l></legend><input name=set></fieldset>
         <input type=file name=file></form><input name=outside form=f value=o>
         <script>
         const form = document.getElementById('f'), entries = (...args) => [...new FormData(form, ...args)];
         const before = entries().map(([name, value]) => [name, value.name ?? value]);
         form.elements[0].value = 'new';
         document.querySelector('[value=\"2\"]').checked = true;
         document.querySelector('select').value = 'one';
         const after = entries().filter(([name]) => ['text', 'r', 's'].includes(name)).flat();
         const button = entries(document.querySelector('button')).some(([name]) => name === 'b');
         form.onformdata = e => e.formData.append('more', 'm');
         const more = entries().at(-1);
         const refused = [{}, document.createElement('div')].map(it => {
           try { return new FormData(it); } catch (e) { return e.name; }
         });
         </script>",
    );
    assert_eq!(
        fixture.get("before"),
        r#"[["text","t"],["on","on"],["r","1"],["s","2"],["first","a"],["area","x\ny"],["_charset_","UTF-8"],["legend","l"],["file",""],["outside","o"]]"#
    );
    assert_eq!(fixture.get("after"), r#"["text","new","r","2","s","one"]"#);
    assert_eq!(
        fixture.get("[button, more, refused]"),
        r#"[true,["more","m"],["TypeError","TypeError"]]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_submits_its_form_unless_a_handler_returns_false() {
    let page = "<form action=next?gone=1 onsubmit='navigator.sendBeacon(`/by-${event.submitter.id}`); return event.submitter.id != `no`'>
         <input name=a value='1 \u{e4}'><button id=no>x</button><input type=submit id=yes name=b value=2></form>
         <script>for (const id of ['no', 'yes']) document.getElementById(id).click();</script>";
    let site = Site::new()
        .page("/page", &format!("<meta charset=utf-8>{page}"))
        .page("/next?a=1+%C3%A4&b=2", "<script>navigator.sendBeacon('/there')</script>")
        .start()
        .await;
    visit(&site, "/page").await;
    assert_eq!(site.beacons(), ["/by-no", "/by-yes", "/there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_posts_with_its_enctype_to_its_target_frame() {
    let page = "<iframe name=t0></iframe><iframe name=t1></iframe><iframe name=t2></iframe>
         <form method=post><input name='a\u{b}' value='x y'><textarea name=t>1\n2</textarea></form>
         <script>
         const form = document.querySelector('form');
         ['/urlencoded', '/plain', '/multipart'].forEach((action, i) => {
           form.action = action;
           form.target = `t${i}`;
           form.enctype = ['bogus', 'text/plain', 'multipart/form-data'][i];
           form.submit();
         });
         </script>";
    let site = Site::new().page("/page", page).start().await;
    visit(&site, "/page").await;
    let post = site.request("/urlencoded");
    assert_eq!(post.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(post.body, b"a%0B=x+y&t=1%0D%0A2");
    assert_eq!(post.header("origin"), Some(&*site.origin()));
    assert_eq!(site.request("/plain").body, b"a\x0b=x y\r\nt=1\r\n2\r\n");
    let multipart = site.request("/multipart");
    let type_ = multipart.header("content-type").unwrap_or_default();
    assert!(type_.starts_with("multipart/form-data; boundary="), "{type_}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_encoded_in_the_encoding_of_its_document_or_its_own() {
    let page = "<meta charset=windows-1252>
         <iframe name=t0></iframe><iframe name=t1></iframe><iframe name=t2></iframe><iframe name=t3></iframe>
         <form method=post><input name='n&eacute;' value='&eacute;&#x4e2d;'><input type=hidden name=_charset_></form>
         <script>
         const form = document.querySelector('form');
         ['/urlencoded', '/plain', '/multipart', '/own'].forEach((action, i) => {
           form.action = action;
           form.target = `t${i}`;
           form.enctype = ['', 'text/plain', 'multipart/form-data', ''][i];
           form.acceptCharset = ['', 'nonsense', '', 'nonsense utf-8'][i];
           form.submit();
         });
         </script>";
    let site = Site::new().page("/page", page).start().await;
    visit(&site, "/page").await;
    let body = |target: &str| site.request(target).body;
    assert_eq!(body("/urlencoded"), b"n%E9=%E9%26%2320013%3B&_charset_=windows-1252");
    assert_eq!(body("/plain"), b"n\xe9=\xe9&#20013;\r\n_charset_=windows-1252\r\n");
    let multipart = site.request("/multipart");
    let type_ = multipart.header("content-type").unwrap_or_default();
    let boundary = type_.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
    let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"n").into_bytes();
    let expected = [&head[..], b"\xe9\"\r\n\r\n\xe9&#20013;\r\n"].concat();
    assert!(multipart.body.starts_with(&expected), "{}", multipart.body.escape_ascii());
    assert_eq!(body("/own"), b"n%C3%A9=%C3%A9%E4%B8%AD&_charset_=UTF-8");
}

#[test]
fn the_controls_of_a_form_are_found_by_name_in_live_collections() {
    let fixture = Fixture::html(
        "<form name=login><input name=user value=u><input type=radio name=r value=1><input type=radio name=r value=2>
         <select name=s><option>a</select><input type=image name=no><input name=submit></form><script>
         const form = document.forms.login, { elements } = form, log = [];
         log.push(document.forms.length, login === form, elements.length, elements.user.value, elements[0] === form.user, form[0] === form.user,
           elements.namedItem('no'), elements.r.length, Object.keys(elements).length, form.submit.name, 's' in form, form.nothing);
         elements.r.value = '2'; log.push(elements.r.value, elements.r[1].checked);
         form.append(document.createElement('textarea')); log.push(elements.length, elements === form.elements);
         const { options } = form.s; options.add(new Option('B', '2', true, true)); form.s.add(new Option('C'), 0);
         log.push([...options].map(it => it.text), options.selectedIndex, form.s.value, options.length);
         options.remove(0); log.push(form.s.length, document.getElementsByName('user')[0] === form.user);
         </script>",
    );
    assert_eq!(fixture.console(), [""; 0]);
    assert_eq!(
        fixture.get("log"),
        r#"[1,true,5,"u",true,true,null,2,5,"submit",true,null,"2",true,6,true,["C","a","B"],2,"2",3,2,true]"#
    );
}

#[test]
fn a_reset_gives_the_controls_their_first_values() {
    let fixture = Fixture::html(
        "<form id=f><input value=a><input type=checkbox><select><option>x<option>y</select><textarea>t</textarea>
         <input type=reset></form><script>
         const log = [], values = form => [form[0].value, form[1].checked, form[2].value, form[3].value];
         const change = () => { f[0].value = 'b'; f[1].checked = true; f[2].value = 'y'; f[3].value = 'u'; };
         change(); const copy = f.cloneNode(true); log.push(values(copy)); f.reset(); log.push(values(f), values(copy)[0]);
         change(); f[4].click(); log.push(values(f)); change(); f.onreset = () => false; f.reset(); log.push(values(f));
         log.push(values(document.importNode(f, true)));</script>",
    );
    assert_eq!(fixture.console(), [""; 0]);
    assert_eq!(
        fixture.get("log"),
        concat!(
            r#"[["b",true,"y","u"],["a",false,"x","t"],"b",["a",false,"x","t"],["b",true,"y","u"],"#,
            r#"["b",true,"y","u"]]"#
        )
    );
}
