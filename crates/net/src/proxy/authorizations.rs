//! The values of `Proxy-Authorization` for HTTP proxies.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, HeaderValue, header::PROXY_AUTHENTICATE};
use sendbeacon_fetch::NetworkError;

use crate::proxy::{
    routes::Proxies,
    server::{Proxy, ProxyProtocol},
};

/// How often the network asks the embedder for a value, for one request or one connection.
pub(crate) const MAX_AUTHENTICATIONS: usize = 3;

/// How many proxies' values are remembered.
const MAX_AUTHORIZATIONS: usize = 64;

/// The values of `Proxy-Authorization`: those in the proxies' URLs, and those that
/// [`Proxies::authenticate`] has given since.
pub(crate) struct ProxyAuthorizations {
    pub(crate) proxies: Arc<dyn Proxies>,
    /// The most recently learnt value is at the back.
    known: Mutex<VecDeque<(Arc<Proxy>, HeaderValue)>>,
}

impl ProxyAuthorizations {
    pub(crate) fn new(proxies: Arc<dyn Proxies>) -> Self {
        Self { proxies, known: Mutex::default() }
    }

    /// The value to send to an HTTP proxy.
    pub(crate) fn get(&self, proxy: &Proxy) -> Option<HeaderValue> {
        // After a panic at any point under the lock, the queue still holds proxies with their own values.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let value = known.iter().find(|(other, _)| **other == *proxy).map(|(_, value)| value);
        match &proxy.protocol {
            ProxyProtocol::Http { authorization, .. } => value.or(authorization.as_ref()).cloned(),
            ProxyProtocol::Socks5 { .. } => None,
        }
    }

    /// Asks the embedder for a new value, after `proxy` answered 407 with `headers` to a request with the
    /// value `sent`. The request may then be sent again.
    pub(crate) async fn renew(
        &self,
        proxy: &Arc<Proxy>,
        sent: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> Result<(), NetworkError> {
        // Another request may have got a new value in the meantime.
        if self.get(proxy).as_ref() != sent {
            return Ok(());
        }
        let challenges: Vec<_> = headers.get_all(PROXY_AUTHENTICATE).iter().cloned().collect();
        let answer = self.proxies.authenticate(proxy, &challenges).get().await;
        let mut value = answer.ok_or(NetworkError::ProxyAuthentication)?;
        value.set_sensitive(true);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| other != proxy);
        if known.len() >= MAX_AUTHORIZATIONS {
            known.pop_front();
        }
        known.push_back((Arc::clone(proxy), value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use sendbeacon_fetch::{PartitionKey, host::Answer};
    use url::Url;

    use super::*;
    use crate::proxy::routes::{NoProxies, Route};

    #[test]
    fn credentials_in_the_url_are_basic_authentication() {
        let proxy: Proxy = "http://user:secret@p.test".parse().unwrap();
        let authorizations = ProxyAuthorizations::new(Arc::new(NoProxies));
        assert_eq!(authorizations.get(&proxy).unwrap(), "Basic dXNlcjpzZWNyZXQ=");
    }

    #[tokio::test]
    async fn value_that_another_request_was_given_is_used_without_asking() {
        struct Once(Mutex<Option<HeaderValue>>);
        impl Proxies for Once {
            fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
                unreachable!()
            }
            fn authenticate(&self, _: &Proxy, _: &[HeaderValue]) -> Answer<Option<HeaderValue>> {
                Answer::Ready(self.0.lock().unwrap().take())
            }
        }
        let value = HeaderValue::from_static("Basic x");
        let authorizations =
            ProxyAuthorizations::new(Arc::new(Once(Mutex::new(Some(value.clone())))));
        let proxy = Arc::new("http://p.test".parse::<Proxy>().unwrap());
        let headers = HeaderMap::new();
        for _ in 0..2 {
            assert_eq!(authorizations.renew(&proxy, None, &headers).await, Ok(()));
            assert_eq!(authorizations.get(&proxy).as_ref(), Some(&value));
        }
        let refused = authorizations.renew(&proxy, Some(&value), &headers).await;
        assert_eq!(refused, Err(NetworkError::ProxyAuthentication));
    }
}
