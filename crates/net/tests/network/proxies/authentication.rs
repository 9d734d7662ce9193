//! Which proxies and servers get a `Proxy-Authorization` header.

use super::*;

#[tokio::test]
async fn http_proxy_gets_the_accepted_authorization_with_later_requests() {
    let proxy = RecordingServer::start(wants("Basic good")).await;
    let url = format!("http://{}", proxy.addr());
    let proxies = scripted(&[&url], &["Basic bad", "Basic good", "Basic unused"]);
    let network = builder().proxies(proxies.clone()).build().unwrap();
    for partition in [0, 0, 1] {
        let mut request = post("http://a.test/", "hello");
        request.connection = connection_key(partition, true);
        assert_eq!(send(&network, request).await, OK);
    }
    let given: Vec<_> = proxy
        .requests()
        .iter()
        .map(|request| request.header("proxy-authorization").map(str::to_owned))
        .collect();
    let good = Some("Basic good".to_owned());
    let bad = Some("Basic bad".to_owned());
    assert_eq!(given, [None, bad, good.clone(), good.clone(), good]);
    assert!(proxy.requests().iter().all(|request| request.body == b"hello"));
    assert_eq!(*proxies.challenges.lock().unwrap(), ["Basic realm=\"p\""; 2]);
}

#[tokio::test]
async fn http_proxy_that_accepts_no_value_is_a_proxy_authentication_error() {
    let proxy = RecordingServer::start(wants("Basic good")).await;
    let url = format!("http://{}", proxy.addr());
    for (values, requests) in [(&[][..], 1), (&["Basic a"; 9][..], 5)] {
        let network = builder().proxies(scripted(&[&url, "direct"], values)).build().unwrap();
        let answer = send(&network, post("http://a.test/", "x")).await;
        assert_eq!(answer, Err(NetworkError::ProxyAuthentication));
        assert_eq!(
            proxy.requests().len(),
            requests,
            "one without a value, and three with the values of the embedder"
        );
    }
}

#[tokio::test]
async fn server_that_answers_407_gets_no_proxy_authorization() {
    let server = RecordingServer::start(|_| Behavior::status(407)).await;
    let proxies = scripted(&["direct"], &["Basic good"]);
    let network = builder().proxies(proxies.clone()).build().unwrap();
    // The network returns the response. Fetch makes an error of it.
    assert_eq!(send(&network, post(&server.url("/"), "x")).await, Ok((407, vec![])));
    assert_eq!(*proxies.challenges.lock().unwrap(), [""; 0]);
}

const CHALLENGE: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
    Proxy-Authenticate: Basic realm=\"1\"\r\nProxy-Authenticate: Negotiate\r\n\
    Content-Length: 6\r\n\r\nsorry!";

#[tokio::test]
async fn tunnel_is_made_once_the_proxy_accepts_the_authorization() {
    let server = tls_server().await;
    let proxy = TunnelProxy::http(server.addr(), |head| {
        if head.contains("Proxy-Authorization: Basic good\r\n") { ESTABLISHED } else { CHALLENGE }
    })
    .await;
    let proxies = scripted(&[&proxy.url("http")], &["Basic bad", "Basic good"]);
    let network = trusting(&server, proxies.clone()).idle_timeout(Duration::ZERO).build().unwrap();
    for _ in 0..2 {
        let answer = send(&network, post("https://a.test/", "x")).await;
        assert_eq!(answer, Ok((200, b"ok".to_vec())));
    }
    // The first request asks without a value, with the bad one and with the good one. The second request
    // uses the good value at once.
    assert_eq!(proxy.asked().len(), 4);
    let challenges = ["Basic realm=\"1\"", "Negotiate", "Basic realm=\"1\"", "Negotiate"];
    assert_eq!(*proxies.challenges.lock().unwrap(), challenges);
    // The server does not see the header for the proxy.
    assert!(server.requests().iter().all(|it| it.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn tunnel_without_an_accepted_value_is_a_proxy_authentication_error() {
    let server = tls_server().await;
    let proxy = TunnelProxy::http(server.addr(), |_| CHALLENGE).await;
    for (values, asked) in [(&[][..], 1), (&["Basic a"; 9][..], 5)] {
        let proxies = scripted(&[&proxy.url("http"), "direct"], values);
        let network = trusting(&server, proxies).build().unwrap();
        let answer = send(&network, post(&server.url("/"), "x")).await;
        assert_eq!(answer, Err(NetworkError::ProxyAuthentication));
        assert_eq!(proxy.asked().len(), asked);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn server_behind_a_tunnel_that_answers_407_is_not_authenticated_to() {
    let server = RecordingServer::start_tls(|_| {
        Behavior::with_headers(407, &[("Proxy-Authenticate", "Basic realm=\"server\"")])
    })
    .await;
    let http = TunnelProxy::http(server.addr(), |_| ESTABLISHED).await;
    let socks5 = TunnelProxy::socks5(server.addr(), 0).await;
    for proxy in [http.url("http"), socks5.url("socks5")] {
        let proxies = scripted(&[&proxy], &["Basic good"]);
        let network = trusting(&server, proxies.clone()).build().unwrap();
        let answer = send(&network, post("https://a.test/", "x")).await;
        assert_eq!(answer, Ok((407, vec![])), "fetch makes an error of it, not the network");
        assert_eq!(*proxies.challenges.lock().unwrap(), [""; 0]);
    }
    let told = |request: &RecordedRequest| request.header("proxy-authorization").is_some();
    assert!(!server.requests().iter().any(told));
    assert_eq!((server.requests().len(), http.asked().len()), (2, 1));
}
