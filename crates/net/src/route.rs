//! Sends each request on the first of its routes that works.

use std::{io, sync::Arc};

use http::{StatusCode, header::PROXY_AUTHORIZATION};
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{Answer, BoxFuture, NetworkRequest, NetworkResponse},
};

use crate::{
    proxy::{
        authorizations::MAX_AUTHENTICATIONS,
        routes::Route,
        server::{Proxy, ProxyProtocol},
    },
    sender::RequestSender,
};

/// Sends each request on the first of its routes that works.
pub(crate) struct Router {
    pub(crate) sender: RequestSender,
}

impl Router {
    /// Sends the request on the first of its routes on which there is a connection.
    pub(crate) fn fetch_on_any_route(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let proxies = &self.sender.connector.authorizations.proxies;
        match proxies.routes(&request.url, &request.connection.partition) {
            // Most requests go this way. Their futures have no room for the other ways.
            Answer::Ready(Ok(routes)) if matches!(*routes, [] | [Route::Direct]) => {
                Box::pin(self.sender.fetch(request, None))
            }
            routes => Box::pin(self.fetch_on_one_of(routes, request)),
        }
    }

    async fn fetch_on_one_of(
        &self,
        routes: Answer<io::Result<Vec<Route>>>,
        request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkError> {
        let routes = routes.get().await;
        let mut routes = routes.map_err(|error| NetworkError::Proxy(error.into()))?;
        let last = routes.pop().unwrap_or(Route::Direct);
        for route in routes {
            match self.fetch_on(route, request.clone()).await {
                Err(error) if may_try_next_route(&error) => {}
                answer => return answer,
            }
        }
        self.fetch_on(last, request).await
    }

    async fn fetch_on(
        &self,
        route: Route,
        request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkError> {
        let proxy = match route {
            Route::Direct => return self.sender.fetch(request, None).await,
            Route::Proxy(proxy) => Arc::new(proxy),
        };
        if request.url.scheme() == "http" && matches!(proxy.protocol, ProxyProtocol::Http { .. }) {
            self.fetch_from_proxy(proxy, request).await
        } else {
            self.sender.fetch(request, Some(proxy)).await
        }
    }

    /// Sends the request to the proxy itself. A proxy that answers 407 has not passed the request on.
    async fn fetch_from_proxy(
        &self,
        proxy: Arc<Proxy>,
        request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkError> {
        let authorizations = &self.sender.connector.authorizations;
        let mut authentications = 0..MAX_AUTHENTICATIONS;
        loop {
            let mut request = request.clone();
            let sent = authorizations.get(&proxy);
            request.headers_mut().extend(sent.clone().map(|value| (PROXY_AUTHORIZATION, value)));
            let response = self.sender.fetch(request, Some(Arc::clone(&proxy))).await?;
            if response.status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
                return Ok(response);
            }
            authentications.next().ok_or(NetworkError::ProxyAuthentication)?;
            authorizations.renew(&proxy, sent.as_ref(), &response.headers).await?;
        }
    }

    /// Forgets names, TLS sessions and connections: the machine's network is another one now.
    pub(crate) fn network_changed(&self) {
        self.sender.connector.names.network_changed();
        self.sender.connector.tls.forget();
        self.sender.pool.network_changed();
    }
}

/// Whether the next route may be tried: no connection was made, so nothing was sent and no proxy refused.
fn may_try_next_route(error: &NetworkError) -> bool {
    matches!(
        error,
        NetworkError::Connect(_)
            | NetworkError::Dns { .. }
            | NetworkError::Timeout { kind: TimeoutKind::Connect, .. }
    )
}
