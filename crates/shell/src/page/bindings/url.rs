//! The native functions of `URL` and `URLSearchParams`, which use the parser and the serialisers of the `url` crate.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use rquickjs::{Array, Function, Object, function::Opt};
use url::{Url, form_urlencoded, quirks};

use super::body::pairs;

pub(super) fn install(native: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = native.ctx();
    native.set("parseUrl", Function::new(ctx.clone(), parse)?)?;
    native.set("urlComponent", Function::new(ctx.clone(), component)?)?;
    native.set("setUrlComponent", Function::new(ctx.clone(), set_component)?)?;
    native.set("parseUrlencoded", Function::new(ctx.clone(), parse_urlencoded)?)?;
    native.set(
        "serializeUrlencoded",
        Function::new(ctx.clone(), |list: Array<'_>, encoding: Opt<String>| {
            let pairs = pairs(&list)?;
            let encoding = encoding.0.and_then(|it| Encoding::for_label(it.as_bytes()));
            let encoding = encoding.unwrap_or(UTF_8);
            let encode: &dyn Fn(&str) -> Cow<'_, [u8]> =
                &|text| Cow::Owned(encoding.encode(text).0.into_owned());
            let mut serializer = form_urlencoded::Serializer::new(String::new());
            serializer.encoding_override(Some(encode));
            rquickjs::Result::Ok(serializer.extend_pairs(pairs).finish())
        })?,
    )
}

/// The [API URL parser](https://url.spec.whatwg.org/#api-url-parser). Returns the serialised URL, or nothing.
fn parse(url: String, base: Option<String>) -> Option<String> {
    let base = match base {
        Some(base) => Some(Url::parse(&base).ok()?),
        None => None,
    };
    Url::options().base_url(base.as_ref()).parse(&url).ok().map(String::from)
}

/// The value of a getter of `URL`.
fn component(url: String, name: String) -> Option<String> {
    let url = Url::parse(&url).ok()?;
    Some(match name.as_str() {
        "origin" => quirks::origin(&url),
        "protocol" => quirks::protocol(&url).to_owned(),
        "username" => quirks::username(&url).to_owned(),
        "password" => quirks::password(&url).to_owned(),
        "host" => quirks::host(&url).to_owned(),
        "hostname" => quirks::hostname(&url).to_owned(),
        "port" => quirks::port(&url).to_owned(),
        "pathname" => quirks::pathname(&url).to_owned(),
        "search" => quirks::search(&url).to_owned(),
        "hash" => quirks::hash(&url).to_owned(),
        _ => return None,
    })
}

/// Runs a setter of `URL`. Returns the serialised URL, which is unchanged if the setter refuses the value.
fn set_component(url: String, name: String, value: String) -> Option<String> {
    let mut url = Url::parse(&url).ok()?;
    let _ = match name.as_str() {
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => Err(()),
    };
    Some(url.into())
}

fn parse_urlencoded(input: String) -> Vec<Vec<String>> {
    form_urlencoded::parse(input.as_bytes())
        .map(|(name, value)| vec![name.into_owned(), value.into_owned()])
        .collect()
}
