use std::{io, sync::Arc};

use http::{StatusCode, header::PROXY_AUTHORIZATION};
use sendbeacon_fetch::{
    NetworkError, TimeoutKind,
    host::{Answer, BoxFuture, NetworkRequest, NetworkResponse},
};

use crate::{
    HttpNetwork,
    proxy::{Proxy, ProxyProtocol, Route},
    tunnel::MAX_AUTHENTICATIONS,
};

impl HttpNetwork {
    /// Sends the request on the first of its routes that there is a connection on.
    pub(crate) fn fetch_on_any_route(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        let proxies = &self.connector.authorizations.proxies;
        match proxies.routes(&request.url, &request.connection.partition) {
            // Most go this way, and their futures have no room for the others.
            Answer::Ready(Ok(routes)) if matches!(*routes, [] | [Route::Direct]) => {
                Box::pin(self.fetch(request, None))
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
                Err(error) if is_unreached(&error) => {}
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
            Route::Direct => return self.fetch(request, None).await,
            Route::Proxy(proxy) => Arc::new(proxy),
        };
        if request.url.scheme() == "http" && matches!(proxy.protocol, ProxyProtocol::Http { .. }) {
            self.fetch_from_proxy(proxy, request).await
        } else {
            self.fetch(request, Some(proxy)).await
        }
    }

    /// Sends the request to the proxy itself. One that answers 407 has done nothing with it yet.
    async fn fetch_from_proxy(
        &self,
        proxy: Arc<Proxy>,
        request: NetworkRequest,
    ) -> Result<NetworkResponse, NetworkError> {
        let authorizations = &self.connector.authorizations;
        let mut authentications = 0..MAX_AUTHENTICATIONS;
        loop {
            let mut request = request.clone();
            let sent = authorizations.get(&proxy);
            request.headers.extend(sent.clone().map(|value| (PROXY_AUTHORIZATION, value)));
            let response = self.fetch(request, Some(proxy.clone())).await?;
            if response.status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
                return Ok(response);
            }
            authentications.next().ok_or(NetworkError::ProxyAuthentication)?;
            authorizations.renew(&proxy, sent.as_ref(), &response.headers).await?;
        }
    }
}

/// Whether the error says that there was no connection: nothing was sent then, and no proxy has
/// refused.
fn is_unreached(error: &NetworkError) -> bool {
    matches!(
        error,
        NetworkError::Connect(_)
            | NetworkError::Dns { .. }
            | NetworkError::Timeout { kind: TimeoutKind::Connect, .. }
    )
}
