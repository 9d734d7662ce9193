//! Networks that answer at once with headers that the library has to work on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use benches::Instantly;
use http::{HeaderName, HeaderValue, header};
use sendbeacon::{
    NetworkError,
    host::{BoxFuture, Network, NetworkRequest, NetworkResponse},
};

/// A network like [`Instantly`] whose responses have further headers.
pub(crate) struct WithHeaders<F> {
    headers: F,
    answered: AtomicUsize,
}

/// `headers` makes the further headers of each response. It gets the number of the responses before.
pub(crate) fn with_headers<F>(headers: F) -> Arc<dyn Network>
where
    F: Fn(usize) -> Vec<(HeaderName, HeaderValue)> + Send + Sync + 'static,
{
    Arc::new(WithHeaders { headers, answered: AtomicUsize::new(0) })
}

impl<F> Network for WithHeaders<F>
where
    F: Fn(usize) -> Vec<(HeaderName, HeaderValue)> + Send + Sync,
{
    fn http_network_fetch(
        &self,
        request: NetworkRequest,
    ) -> BoxFuture<'_, Result<NetworkResponse, NetworkError>> {
        Box::pin(async {
            let mut response = Instantly.http_network_fetch(request).await?;
            for (name, value) in (self.headers)(self.answered.fetch_add(1, Relaxed)) {
                response.headers.append(name, value);
            }
            Ok(response)
        })
    }
}

/// A network whose responses all have this header once.
pub(crate) fn with_header(name: HeaderName, value: &str) -> Arc<dyn Network> {
    let value = HeaderValue::from_str(value).expect("a header value");
    with_headers(move |_| vec![(name.clone(), value.clone())])
}

/// A network whose responses set a cookie, replace it and let it expire in turn.
pub(crate) fn cookie_setter() -> Arc<dyn Network> {
    with_headers(|n| {
        let cookie = match n % 3 {
            0 => format!("changed={n}; Max-Age=36000"),
            1 => format!("changed={n}; Max-Age=72000"),
            _ => "changed=; Max-Age=0".to_owned(),
        };
        vec![(header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("a header value"))]
    })
}

/// A network whose responses set many cookies, which have this length together.
pub(crate) fn setter_of_many_cookies(length: usize) -> Arc<dyn Network> {
    const EACH: usize = 1_024;
    let value = |n| format!("c{n}={}; Max-Age=36000", "x".repeat(EACH - 32));
    let value = |n| HeaderValue::from_str(&value(n)).expect("a header value");
    let values: Vec<_> = (0..length / EACH).map(|n| (header::SET_COOKIE, value(n % 150))).collect();
    with_headers(move |_| values.clone())
}
