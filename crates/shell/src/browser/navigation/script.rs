//! Fetching [classic scripts](https://html.spec.whatwg.org/multipage/webappapis.html#fetch-a-classic-script).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN,
        UPGRADE_INSECURE_REQUESTS,
    },
};
use sendbeacon::{
    Client, CredentialsMode, Mode, append_origin,
    host::{CookieStore, Network, SameSiteMode},
    is_potentially_trustworthy,
};
use url::Url;

use super::{
    Destination, Fetched, NavigationError, Steps, fetch,
    request::{relation, request, with_url_list},
};
use crate::page::{Navigation, ScriptRequest};

/// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check) of a response.
pub(super) struct CorsCheck {
    /// The serialised origin of the request.
    origin: HeaderValue,
    includes_credentials: bool,
}

impl CorsCheck {
    pub(super) fn passes(&self, headers: &HeaderMap) -> bool {
        let only = |name| {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        let Some(allowed) = only(ACCESS_CONTROL_ALLOW_ORIGIN) else { return false };
        // Steps 2 and 3.
        if !self.includes_credentials && allowed == "*" {
            return true;
        }
        // Steps 4 to 6.
        let allows_credentials =
            only(ACCESS_CONTROL_ALLOW_CREDENTIALS).is_some_and(|it| it == "true");
        allowed == self.origin && (!self.includes_credentials || allows_credentials)
    }
}

/// Fetches a script for `client`, and follows redirects.
pub(in crate::browser) async fn fetch_script(
    network: &dyn Network,
    cookies: &dyn CookieStore,
    client: &Client,
    script: &ScriptRequest,
) -> Result<Fetched, NavigationError> {
    let source = Some(client.clone());
    let navigation = Navigation { source, ..Navigation::of_user(script.url.clone()) };
    let steps = |urls: &[Url]| steps(&navigation, client, script, urls);
    fetch(network, cookies, &navigation, Destination::Script, steps).await
}

/// The request for the last URL of `urls`.
fn steps(
    navigation: &Navigation,
    client: &Client,
    script: &ScriptRequest,
    urls: &[Url],
) -> Result<Steps, NavigationError> {
    let url = &urls[urls.len() - 1];
    let is_same_origin = urls.iter().all(|url| client.origin.is_same_origin_with_url(url));
    let is_cors = script.mode == Mode::Cors && !is_same_origin;
    // https://fetch.spec.whatwg.org/#http-redirect-fetch, steps 8 and 9
    let brings_credentials =
        urls.len() > 1 && !(url.username().is_empty() && url.password().is_none());
    if (script.mode == Mode::SameOrigin && !is_same_origin) || (is_cors && brings_credentials) {
        return Err(NavigationError::CrossOrigin(url.to_string()));
    }
    let is_same_site = client.origin.is_same_site_with_url(url);
    let same_site = if is_same_site && !client.has_cross_site_ancestor {
        SameSiteMode::StrictOrLess
    } else {
        SameSiteMode::UnsetOrLess
    };
    let mut request = request(navigation, urls, client);
    let mut set = |name: &'static str, value: &'static str| {
        request.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    set("accept", "*/*");
    if is_potentially_trustworthy(url) {
        set("sec-fetch-dest", if script.is_worker { "worker" } else { "script" });
        set(
            "sec-fetch-mode",
            match script.mode {
                Mode::SameOrigin => "same-origin",
                Mode::Cors => "cors",
                _ => "no-cors",
            },
        );
        set("sec-fetch-site", relation(urls, Some(client)));
    }
    request.headers.remove(UPGRADE_INSECURE_REQUESTS);
    let includes_credentials = script.credentials == CredentialsMode::Include;
    let cors = is_cors.then(|| {
        let origin = serialized_origin(client, urls);
        request.headers.insert(ORIGIN, origin.clone());
        CorsCheck { origin, includes_credentials }
    });
    let has_credentials = includes_credentials || !is_cors;
    let same_site_of_response = same_site;
    let client = client.clone();
    Ok(Steps { client, same_site, same_site_of_response, has_credentials, cors, request })
}

/// [Byte-serialize a request origin](https://fetch.spec.whatwg.org/#byte-serializing-a-request-origin)
fn serialized_origin(client: &Client, urls: &[Url]) -> HeaderValue {
    let mut described = with_url_list(client, urls);
    // A request with this method and mode has its origin in the header, whatever its referrer policy is.
    (described.method, described.mode) = (Method::POST, Mode::Cors);
    let mut headers = HeaderMap::new();
    append_origin(&described, &mut headers);
    headers.remove(ORIGIN).unwrap_or_else(|| HeaderValue::from_static("null"))
}
