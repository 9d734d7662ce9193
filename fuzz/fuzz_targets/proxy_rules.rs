//! The rules for proxies, from texts as the environment has them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::{Nonce, PartitionKey, Site, host::Answer};
use sendbeacon_net::{Proxies, ProxyRules, Route};
use url::{Host, Url};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    http: &'a str,
    https: &'a str,
    no_proxy: &'a str,
    url: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let Ok(url) = Url::parse(input.url) else { return };
    if !matches!(url.scheme(), "http" | "https") {
        return;
    }
    let site = Site::Opaque(Nonce::from_u128(0));
    let partition = PartitionKey { top_level_site: site, second_key: None };
    let rules = ProxyRules::new(input.http, input.https, input.no_proxy);
    let Answer::Ready(routes) = rules.routes(&url, &partition) else {
        panic!("the rules wait for nothing");
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => sendbeacon_fetch::is_localhost(name),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if is_loopback || input.no_proxy == "*" && matches!(url.host(), Some(Host::Domain(_))) {
        assert!(matches!(routes.as_deref(), Ok([Route::Direct])), "{routes:?}");
    }
});
