//! What a server writes to a connection, in pieces, as the network reads it over HTTP/1.1.
#![no_main]

use std::{future::poll_fn, sync::LazyLock, time::Duration};

use arbitrary::Arbitrary;
use http::Method;
use libfuzzer_sys::fuzz_target;
use sendbeacon_fetch::{
    Nonce, PartitionKey, Site,
    host::{ConnectionKey, Network, NetworkRequest},
};
use sendbeacon_net::HttpNetwork;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use url::Url;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// What the server writes, and whether it says goodbye or resets.
    pieces: Vec<&'a [u8]>,
    begins_well: bool,
}

/// Answers one request, and closes the connection.
async fn serve(listener: &TcpListener, input: &Input<'_>) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    if input.begins_well {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    }
    for piece in &input.pieces {
        stream.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    stream.shutdown().await
}

async fn fetch(network: &HttpNetwork, port: u16) {
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a URL");
    let site = Site::Opaque(Nonce::from_u128(0));
    let partition = PartitionKey { top_level_site: site, second_key: None };
    let request = NetworkRequest::new(Method::POST, url, ConnectionKey::new(partition, false));
    let Ok(mut response) = network.http_network_fetch(request).await else { return };
    assert!((200..=999).contains(&response.status.as_u16()));
    let size: usize = response.headers.iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
    assert!(size <= 256 << 10 && response.headers.len() <= 512);
    while let Some(Ok(_)) = poll_fn(|cx| response.body.as_mut().poll_chunk(cx)).await {}
}

fuzz_target!(|input: Input<'_>| {
    RUNTIME.block_on(async {
        let network = HttpNetwork::builder()
            .platform_roots(false)
            .response_head_timeout(Duration::from_secs(5))
            .build()
            .expect("limits above zero");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("an address").port();
        tokio::select! {
            biased;
            () = fetch(&network, port) => {}
            () = async {
                loop {
                    let _ = serve(&listener, &input).await;
                }
            } => {}
        }
    });
});
