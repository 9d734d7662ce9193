//! A page with a profile of its own and a scripted network.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method};
use sendbeacon_fetch::{
    Blob, BodyInit, Client, KeepaliveLimits, Ledger, NetworkError, Nonce, Request, Response,
    beacon::send_beacon,
    fetch::{Observation, Observer, Profile, fetch},
    host::NetworkRequest,
};
use sendbeacon_testkit::{
    clock::VirtualClock,
    network::{Answer, ScriptedNetwork, complete, respond},
    random::Zeros,
};
use url::Url;

pub(crate) const PAGE: &str = "https://a.test/d/page?q#f";
pub(crate) const CORS: [(&str, &str); 3] = [
    ("access-control-allow-origin", "https://a.test"),
    ("access-control-allow-credentials", "true"),
    ("access-control-allow-headers", "content-type"),
];

/// Keeps what a fetch observes. Its document has gone.
#[derive(Default)]
pub(crate) struct Observations(Mutex<Vec<Observation>>);

impl Observer for Observations {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }

    fn document_is_gone(&self) -> bool {
        true
    }
}

/// A document's client, and what its fetches need. Each test fetches with it.
pub(crate) struct Page {
    pub(crate) client: Client,
    pub(crate) network: Arc<ScriptedNetwork>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) profile: Profile,
    pub(crate) observations: Observations,
}

impl Page {
    pub(crate) fn new(
        url: &str,
        script: impl FnMut(&NetworkRequest) -> Answer + Send + 'static,
    ) -> Self {
        let network = Arc::new(ScriptedNetwork::new(script));
        let clock = Arc::new(VirtualClock::default());
        let user_agent = http::HeaderValue::from_static("test/1");
        let profile = Profile::new(Arc::clone(&network) as _, Arc::clone(&clock) as _, user_agent);
        let client = Client::new(Url::parse(url).unwrap(), Nonce::from_u128(1));
        Self { client, network, clock, profile, observations: Observations::default() }
    }

    pub(crate) fn beacon(
        &self,
        url: &str,
        data: Option<BodyInit<'_>>,
    ) -> Result<Response, NetworkError> {
        let ledger = Ledger::new(KeepaliveLimits::default());
        let client = Arc::new(self.client.clone());
        let beacon = send_beacon(&client, &ledger, &Zeros, url, data).unwrap().unwrap();
        let (request, _reservation) = beacon.into_request();
        complete(fetch(&self.profile, &self.observations, Box::new(request)))
    }

    pub(crate) fn json(&self, url: &str) -> Result<Response, NetworkError> {
        self.beacon(url, Some(BodyInit::Blob(&Blob::new("{}", "application/json"))))
    }

    pub(crate) fn request(&self, url: &str) -> Request {
        Request::new(Arc::new(self.client.clone()), Url::parse(url).unwrap())
    }

    pub(crate) fn fetch(&self, request: Request) -> Result<Response, NetworkError> {
        complete(fetch(&self.profile, &self.observations, Box::new(request)))
    }

    /// Each request so far, as `METHOD url`.
    pub(crate) fn log(&self) -> Vec<String> {
        let line = |request: NetworkRequest| format!("{} {}", request.method, request.url);
        self.network.sent().into_iter().map(line).collect()
    }

    /// The observations so far.
    pub(crate) fn observations(&self) -> Vec<Observation> {
        self.observations.0.lock().unwrap().clone()
    }

    /// The observations since the last call.
    pub(crate) fn take_observations(&self) -> Vec<Observation> {
        std::mem::take(&mut *self.observations.0.lock().unwrap())
    }

    /// The last request that the network got.
    pub(crate) fn last(&self) -> NetworkRequest {
        self.network.sent().pop().unwrap()
    }
}

/// Each header as `name: value`.
pub(crate) fn lines(headers: &HeaderMap) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

/// The value of the request's header `name`.
pub(crate) fn header<'a>(request: &'a NetworkRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

/// Answers every request with 204 and `CORS`.
pub(crate) fn cors_everywhere(_: &NetworkRequest) -> Answer {
    respond(204, &CORS)
}

/// Redirects the path `from` to `to` with this status, and answers every other request with 204 and `CORS`.
pub(crate) fn redirects(
    status: u16,
    from: &'static str,
    to: &'static str,
) -> impl FnMut(&NetworkRequest) -> Answer + Send {
    move |request| {
        if request.url.path() == from && request.method != Method::OPTIONS {
            let mut headers = vec![("location", to)];
            headers.extend(CORS);
            respond(status, &headers)
        } else {
            respond(204, &CORS)
        }
    }
}
