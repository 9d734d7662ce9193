//! Requests through proxies.

mod authentication;

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use sendbeacon_fetch::{AddressSpace, Client, NetworkError, Nonce, PartitionKey, host::Answer};
use sendbeacon_net::{HttpNetworkBuilder, Proxies, Proxy, ProxyRules, Route};
use sendbeacon_testkit::server::{Behavior, RecordedRequest, RecordingServer};
use tokio::net::{TcpListener, TcpSocket};
use url::Url;

use crate::{
    support::{after, builder, connection_key, post, send},
    tunnels::TunnelProxy,
};

/// Gives the same routes for every URL, and the values of `Proxy-Authorization` one after another.
#[derive(Default)]
struct Scripted {
    routes: Vec<Route>,
    values: Mutex<Vec<&'static str>>,
    challenges: Mutex<Vec<HeaderValue>>,
}

impl Proxies for Scripted {
    fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
        let routes = self.routes.clone();
        Answer::Later(Box::pin(async { Ok(routes) }))
    }

    fn authenticate(&self, _: &Proxy, challenges: &[HeaderValue]) -> Answer<Option<HeaderValue>> {
        self.challenges.lock().unwrap().extend_from_slice(challenges);
        let mut values = self.values.lock().unwrap();
        let value = (!values.is_empty()).then(|| HeaderValue::from_static(values.remove(0)));
        Answer::Later(Box::pin(async { value }))
    }
}

fn scripted(routes: &[&str], values: &[&'static str]) -> Arc<Scripted> {
    let route = |text: &&str| match *text {
        "direct" => Route::Direct,
        proxy => Route::Proxy(proxy.parse().unwrap()),
    };
    let routes = routes.iter().map(route).collect();
    Arc::new(Scripted { routes, values: Mutex::new(values.to_vec()), ..Scripted::default() })
}

pub(crate) fn through(routes: &[&str]) -> HttpNetworkBuilder {
    builder().proxies(scripted(routes, &[]))
}

async fn tls_server() -> RecordingServer {
    RecordingServer::start_tls(|_| Behavior::with_body(200, &[], b"ok")).await
}

fn trusting(server: &RecordingServer, proxies: Arc<dyn Proxies>) -> HttpNetworkBuilder {
    builder().add_root_certificates_pem(server.ca_pem().as_bytes()).unwrap().proxies(proxies)
}

/// Answers 407 unless the request has this `Proxy-Authorization`.
fn wants(value: &'static str) -> impl Fn(&RecordedRequest) -> Behavior {
    move |request| match request.header("proxy-authorization") {
        Some(given) if given == value => Behavior::status(204),
        _ => Behavior::with_headers(407, &[("Proxy-Authenticate", "Basic realm=\"p\"")]),
    }
}

const OK: Result<(u16, Vec<u8>), NetworkError> = Ok((204, Vec::new()));
const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn refusing() -> (TcpSocket, String) {
    // A bound socket that does not listen reserves the port and refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

#[tokio::test]
async fn http_proxy_gets_absolute_targets_and_resolves_the_names() {
    let proxy = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = through(&[&format!("http://u%40:p@{}", proxy.addr())]).build().unwrap();
    let url = "http://me:secret@nowhere.invalid:8080/path?query#fragment";
    assert_eq!(send(&network, post(url, "hello")).await, OK);
    let request = &proxy.requests()[0];
    assert_eq!(request.target, "http://nowhere.invalid:8080/path?query");
    assert_eq!(request.header("host"), Some("nowhere.invalid:8080"));
    assert_eq!(request.header("proxy-authorization"), Some("Basic dUA6cA=="));
    assert_eq!(request.body, b"hello");
}

#[tokio::test]
async fn connection_is_not_shared_between_proxies_their_users_or_origins() {
    struct ByPath(String);
    impl Proxies for ByPath {
        fn routes(&self, url: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
            let proxy = |user| Route::Proxy(format!("http://{user}{}", self.0).parse().unwrap());
            Answer::Ready(Ok(match url.path() {
                "/direct" => Vec::new(),
                "/proxy" => vec![proxy("")],
                _ => vec![proxy("user@")],
            }))
        }
    }
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().proxies(Arc::new(ByPath(server.addr().to_string()))).build().unwrap();
    for (origin, path, connection) in [
        ("a.test", "/direct", 0),
        ("a.test", "/proxy", 1),
        ("a.test", "/user", 2),
        ("b.test", "/proxy", 3),
        ("a.test", "/direct", 0),
        ("a.test", "/proxy", 1),
        ("a.test", "/user", 2),
    ] {
        let url = format!("http://{origin}:{}{path}", server.port());
        assert_eq!(send(&network, post(&url, "x")).await, OK);
        let last = server.requests().pop().unwrap();
        assert_eq!(last.connection, connection, "{url}");
        assert_eq!(last.target == path, path == "/direct", "{}", last.target);
    }
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_is_reused() {
    let server = tls_server().await;
    let proxy = TunnelProxy::http(server.addr(), |_| ESTABLISHED).await;
    let proxies = scripted(&[&proxy.url("http")], &[]);
    let network = trusting(&server, proxies).build().unwrap();
    for _ in 0..3 {
        let answer = send(&network, post("https://a.test/x", "hello")).await;
        assert_eq!(answer, Ok((200, b"ok".to_vec())));
    }
    let request = &server.requests()[2];
    assert_eq!((&*request.target, &*request.body), ("/x", &b"hello"[..]));
    let asked = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
    assert_eq!(proxy.asked(), [asked]);
}

#[tokio::test]
async fn server_behind_a_tunnel_needs_a_certificate_for_its_name() {
    let server = tls_server().await;
    let proxy = TunnelProxy::http(server.addr(), |_| ESTABLISHED).await;
    let network = trusting(&server, scripted(&[&proxy.url("http")], &[])).build().unwrap();
    let error = send(&network, post("https://c.test/", "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Tls(_)), "{error:?}");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn next_route_is_not_tried_when_a_proxy_refuses_the_tunnel() {
    let server = tls_server().await;
    for answer in [
        |_: &str| "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        |_: &str| "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        |_: &str| "SSH-2.0-OpenSSH_9.6\r\n",
        |_: &str| "",
    ] {
        let proxy = TunnelProxy::http(server.addr(), answer).await;
        let proxies = scripted(&[&proxy.url("http"), "direct"], &[]);
        let network = trusting(&server, proxies).build().unwrap();
        let error = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
        let NetworkError::Proxy(text) = &error else { panic!("{error:?}") };
        assert!(text.message().starts_with(&proxy.url("http")), "{text}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn socks5_proxy_gets_the_name_and_the_credentials() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let proxy = TunnelProxy::socks5(server.addr(), 0).await;
    let with_user = proxy.url("socks5").replace("://", "://us%65r:pass@");
    for (proxy, host) in [
        (proxy.url("socks5"), "nowhere.invalid:81"),
        (proxy.url("socks5h"), "127.0.0.2"),
        (with_user, "nowhere.invalid"),
    ] {
        let url = format!("http://{host}/path");
        assert_eq!(send(&through(&[&proxy]).build().unwrap(), post(&url, "x")).await, OK);
        let last = server.requests().pop().unwrap();
        assert_eq!((&*last.target, last.header("host")), ("/path", Some(host)));
    }
    let asked = ["nowhere.invalid:81", "127.0.0.2:80", "user:pass@nowhere.invalid:80"];
    assert_eq!(proxy.asked(), asked);
}

#[tokio::test]
async fn https_goes_through_a_socks5_proxy() {
    let server = tls_server().await;
    let proxy = TunnelProxy::socks5(server.addr(), 0).await;
    let network = trusting(&server, scripted(&[&proxy.url("socks5")], &[])).build().unwrap();
    let answer = send(&network, post("https://a.test/", "x")).await;
    assert_eq!(answer, Ok((200, b"ok".to_vec())));
    assert_eq!(proxy.asked(), ["a.test:443"]);
}

#[tokio::test]
async fn next_route_is_not_tried_when_a_socks5_proxy_refuses() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let url = format!("http://a.test:{}/", server.port());
    let proxy = TunnelProxy::socks5(server.addr(), 5).await;
    let network = through(&[&proxy.url("socks5"), "direct"]).build().unwrap();
    let error = send(&network, post(&url, "x")).await.unwrap_err();
    let NetworkError::Proxy(text) = &error else { panic!("{error:?}") };
    assert!(text.message().starts_with(&proxy.url("socks5")), "{text}");
    assert_eq!(proxy.asked().len(), 1);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn next_route_is_tried_when_a_proxy_cannot_be_reached() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let (_socket, dead) = refusing();
    let url = format!("http://a.test:{}/", server.port());
    let last = format!("http://{}", server.addr());
    let network = through(&[&dead, "http://nx.invalid", "direct", &last]).build().unwrap();
    assert_eq!(send(&network, post(&url, "x")).await, OK);
    assert_eq!(server.requests()[0].target, "/");

    let network = through(&[&dead, &last]).build().unwrap();
    assert_eq!(send(&network, post(&url, "x")).await, OK);
    assert_eq!(server.requests()[1].target, url);

    let error = send(&through(&[&dead]).build().unwrap(), post(&url, "x")).await.unwrap_err();
    let NetworkError::Connect(text) = &error else { panic!("{error:?}") };
    assert!(text.message().starts_with(&dead), "{text}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn next_route_is_not_tried_when_a_proxy_is_silent() {
    let server = tls_server().await;
    // The proxy accepts connections, and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for scheme in ["http", "socks5"] {
        let proxy = format!("{scheme}://{}", silent.local_addr().unwrap());
        let network = trusting(&server, scripted(&[&proxy, "direct"], &[]));
        let limit = Duration::from_secs(30);
        let network = network.connect_timeout(limit).build().unwrap();
        let mut accepted = None;
        let accept = async { accepted = silent.accept().await.ok() };
        let answer = after(limit, accept, send(&network, post(&server.url("/"), "x"))).await;
        assert!(matches!(answer, Err(NetworkError::Proxy(_))), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn next_route_is_not_tried_when_the_server_may_have_acted() {
    let server = RecordingServer::start(|_| Behavior::Close).await;
    let proxy = format!("http://{}", server.addr());
    let url = format!("http://a.test:{}/", server.port());
    let error =
        send(&through(&[&proxy, "direct"]).build().unwrap(), post(&url, "x")).await.unwrap_err();
    assert!(matches!(error, NetworkError::Protocol(_)), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn error_of_the_proxies_service_is_a_proxy_error() {
    struct Lost;
    impl Proxies for Lost {
        fn routes(&self, _: &Url, _: &PartitionKey) -> Answer<io::Result<Vec<Route>>> {
            Answer::Ready(Err(io::Error::other("the script has an error")))
        }
    }
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = builder().proxies(Arc::new(Lost)).build().unwrap();
    let error = send(&network, post(&server.url("/"), "x")).await.unwrap_err();
    let NetworkError::Proxy(detail) = &error else { panic!("{error:?}") };
    assert_eq!(detail.message(), "the script has an error");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn proxy_is_reached_over_tls_with_http1_and_sessions_of_its_partition() {
    let proxy = RecordingServer::setup().tls(&["h2", "http/1.1"]).start(wants("Basic good")).await;
    let url = format!("https://{}", proxy.addr());
    let network = trusting(&proxy, scripted(&[&url], &["Basic good"]));
    let network = network.idle_timeout(Duration::ZERO).build().unwrap();
    for partition in [0, 0, 1] {
        let mut request = post("http://nowhere.invalid/path", "hello");
        request.connection = connection_key(partition, true);
        assert_eq!(send(&network, request).await, OK);
    }
    let request = &proxy.requests()[1];
    assert_eq!((&*request.version, &*request.target), ("HTTP/1.1", "http://nowhere.invalid/path"));
    assert_eq!(request.header("proxy-authorization"), Some("Basic good"));
    // The first request needed two connections because of the 407. The last one is of another partition.
    assert_eq!((proxy.connections(), proxy.resumed()), (4, vec![1, 2]));
}

#[tokio::test]
async fn https_goes_through_a_tunnel_to_a_proxy_over_tls() {
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = RecordingServer::setup().tls(protocols).start(|_| Behavior::status(204)).await;
        let to = server.addr();
        let proxy = RecordingServer::start_tls(move |_| Behavior::Tunnel(to)).await;
        let proxies = scripted(&[&format!("https://{}", proxy.addr())], &[]);
        let network = trusting(&server, proxies);
        let network =
            network.add_root_certificates_pem(proxy.ca_pem().as_bytes()).unwrap().build().unwrap();
        for _ in 0..2 {
            assert_eq!(send(&network, post("https://a.test/x", "hello")).await, OK);
        }
        let asked: Vec<_> = proxy.requests().into_iter().map(|it| (it.method, it.target)).collect();
        assert_eq!(asked, [("CONNECT".to_owned(), "a.test:443".to_owned())]);
        assert_eq!((server.requests().len(), server.connections()), (2, 1));
    }
}

#[tokio::test]
async fn next_route_is_not_tried_when_a_proxy_has_a_bad_certificate() {
    let proxy = tls_server().await;
    let url = format!("https://{}", proxy.addr());
    let network = through(&[&url, "direct"]).build().unwrap();
    for target in ["http://a.test/", "https://a.test/"] {
        let error = send(&network, post(target, "x")).await.unwrap_err();
        let NetworkError::Proxy(text) = &error else { panic!("{error:?}") };
        assert!(text.message().starts_with(&url), "{text}");
    }
    assert_eq!(proxy.requests(), []);
}

#[tokio::test]
async fn name_and_credentials_too_long_for_socks5_are_a_proxy_error() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let proxy = TunnelProxy::socks5(server.addr(), 0).await;
    for (user, password, name, fits) in
        [(0, 0, 252, true), (0, 0, 256, false), (200, 29, 20, true), (200, 200, 20, false)]
    {
        let credentials = format!("://{}:{}@", "u".repeat(user), "p".repeat(password));
        let with_user = proxy.url("socks5").replace("://", &credentials);
        let url = if user > 0 { with_user } else { proxy.url("socks5") };
        let name = "a".repeat(name);
        let answer =
            send(&through(&[&url]).build().unwrap(), post(&format!("http://{name}/"), "x")).await;
        if fits {
            assert_eq!(answer, OK);
            assert!(proxy.asked().pop().unwrap().ends_with(&format!("{name}:80")));
        } else {
            assert!(matches!(answer, Err(NetworkError::Proxy(_))), "{answer:?}");
        }
    }
    assert_eq!((server.requests().len(), proxy.asked().len()), (2, 2));
}

#[tokio::test]
async fn rules_name_a_proxy_for_a_scheme_except_for_listed_hosts() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let proxy = RecordingServer::start(|_| Behavior::status(204)).await;
    let rules = ProxyRules::new(&format!("http://{}", proxy.addr()), "", "a.test, 127.0.0.0/8");
    let network =
        builder().add_host_mapping("x.a.test", [127, 0, 0, 1].into()).proxies(Arc::new(rules));
    let network = network.build().unwrap();
    for (host, is_proxied) in [
        ("a.test", false),
        ("x.a.test", false),
        ("b.test", true),
        ("ba.test", true),
        ("localhost", false),
        ("x.localhost", false),
        ("127.0.0.1", false),
        ("10.0.0.1", true),
    ] {
        let url = format!("http://{host}:{}/", server.port());
        let before = proxy.requests().len();
        assert_eq!(send(&network, post(&url, "x")).await, OK, "{host}");
        assert_eq!(proxy.requests().len() > before, is_proxied, "{host}");
    }
}

#[tokio::test]
async fn unusable_proxy_is_an_error_and_not_a_direct_connection() {
    let server = RecordingServer::start(|_| Behavior::status(204)).await;
    let url = format!("http://a.test:{}/", server.port());
    for proxy in ["socks4://p.test", &format!("socks5://{}@p.test", "u".repeat(256))] {
        let network = builder().proxies(Arc::new(ProxyRules::new(proxy, "", ""))).build().unwrap();
        let error = send(&network, post(&url, "x")).await.unwrap_err();
        assert!(matches!(error, NetworkError::Proxy(_)), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn known_less_public_address_behind_a_proxy_is_refused() {
    let proxy = RecordingServer::start(|_| Behavior::status(204)).await;
    let network = through(&[&format!("http://{}", proxy.addr())]).build().unwrap();
    let mut client = Client::new(Url::parse("https://page.test/").unwrap(), Nonce::from_u128(1));
    client.address_space = Some(AddressSpace::Public);
    let client = Some(Arc::new(client));
    for (host, target) in [
        ("10.0.0.1", Some(AddressSpace::Local)),
        ("[::1]", Some(AddressSpace::Loopback)),
        ("localhost", Some(AddressSpace::Loopback)),
        ("8.8.8.8", None),
        // The proxy does not tell which address it connects to for a name.
        ("router.test", None),
    ] {
        let mut request = post(&format!("http://{host}/"), "x");
        request.client.clone_from(&client);
        let refusal =
            |target| NetworkError::LocalNetworkAccess { client: AddressSpace::Public, target };
        let expected = target.map_or(OK, |target| Err(refusal(target)));
        assert_eq!(send(&network, request).await, expected, "{host}");
    }
    assert_eq!(proxy.requests().len(), 2);
}
