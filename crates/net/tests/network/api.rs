//! Properties of the public types.

use std::error::Error;

use sendbeacon_net::{
    AddressesError, HttpNetwork, HttpNetworkBuilder, LimitError, NoProxies, Proxies, Proxy,
    ProxyError, ProxyRules, Resolved, Resolver, RootCertificateError, Route, SystemResolver,
};

fn is_send_and_sync<T: Send + Sync + 'static + ?Sized>() {}
fn is_an_error<T: Error + Send + Sync + 'static>() {}

#[test]
fn public_types_can_move_between_threads() {
    is_send_and_sync::<HttpNetwork>();
    is_send_and_sync::<HttpNetworkBuilder>();
    is_send_and_sync::<dyn Resolver>();
    is_send_and_sync::<(Resolved, SystemResolver)>();
    is_send_and_sync::<dyn Proxies>();
    is_send_and_sync::<(NoProxies, Proxy, ProxyRules, Route)>();
    is_an_error::<AddressesError>();
    is_an_error::<LimitError>();
    is_an_error::<ProxyError>();
    is_an_error::<RootCertificateError>();
}
