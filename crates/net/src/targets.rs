//! The latest targets of requests, so that a request to a URL like an earlier one does not make them again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use sendbeacon_fetch::{
    NetworkError,
    host::{ConnectionKey, NetworkRequest},
};
use url::Url;

use crate::{
    pool::{key::PoolKey, lease::Pool},
    proxy::server::Proxy,
    request::Uris,
};

/// How many targets are remembered.
const MAX_TARGETS: usize = 4;

/// The longest URL that is remembered, in bytes.
const MAX_URL: usize = 2048;

/// Where a request goes. It depends on the request's URL and connection key and on the proxy, and on nothing else.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) key: Arc<PoolKey>,
    pub(crate) uris: Arc<Uris>,
}

impl Target {
    /// Fails if no connection can lead to the URL, or if the URL is too long to be sent.
    fn new(
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
        pool: &Pool,
    ) -> Result<Self, NetworkError> {
        let key = Arc::new(pool.key(request, proxy)?);
        Ok(Self { uris: Arc::new(Uris::of(&request.url, &key)?), key })
    }
}

/// The latest targets of requests that need no proxy, the last one first.
#[derive(Default)]
pub(crate) struct Targets(Mutex<VecDeque<Known>>);

struct Known {
    url: Arc<Url>,
    connection: ConnectionKey,
    target: Target,
}

impl Targets {
    /// The target of a request. `pool` is always the same.
    pub(crate) fn of(
        &self,
        request: &NetworkRequest,
        proxy: Option<Arc<Proxy>>,
        pool: &Pool,
    ) -> Result<Target, NetworkError> {
        let NetworkRequest { url, connection, .. } = request;
        if proxy.is_some() || url.as_str().len() > MAX_URL {
            return Target::new(request, proxy, pool);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|it| it.url == *url && it.connection == *connection);
        if let Some(found) = found {
            return Ok(found.target.clone());
        }
        let target = Target::new(request, None, pool)?;
        known.truncate(MAX_TARGETS - 1);
        let (url, connection) = (Arc::clone(url), connection.clone());
        known.push_front(Known { url, connection, target: target.clone() });
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use proptest::{collection::vec, prelude::*, sample::select};
    use sendbeacon_fetch::{Nonce, PartitionKey, Site};

    use super::*;
    use crate::pool::state::Limits;

    proptest! {
        #[test]
        fn a_target_is_the_one_that_would_be_made_anew(
            requests in vec(
                (
                    select(vec!["http://a.test/x?y#z", "http://a.test/x", "https://a.test/x", "https://b.test:8443/", "ftp://a.test/x", "http://a.test:81/x"]),
                    0..2_u128,
                    any::<bool>(),
                ),
                1..40,
            ),
        ) {
            let idle = Duration::from_secs(1);
            let pool = Pool::new(Limits { http1_idle: idle, http2_idle: idle, per_group: 1, overall: 1 });
            let targets = Targets::default();
            for (url, partition, credentials) in requests {
                let top_level_site = Site::Opaque(Nonce::from_u128(partition));
                let partition = PartitionKey { top_level_site, second_key: None };
                let connection = ConnectionKey::new(partition, credentials);
                let request = NetworkRequest::new(Method::POST, Url::parse(url).unwrap(), connection);
                let anew = Target::new(&request, None, &pool).ok();
                let target = targets.of(&request, None, &pool).ok();
                prop_assert_eq!(target.map(|it| (it.key, it.uris)), anew.map(|it| (it.key, it.uris)));
            }
        }
    }
}
