//! A small HTTP/1.1 server, for the commands `collect`, `demo` and `bench`.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The largest request body that the server accepts, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Answers each request to `listener` with what `handler` returns, until the future is dropped.
///
/// A request with a body of more than 1 MiB gets 413 without a call of `handler`.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H) -> io::Result<()>
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let handler = Arc::new(handler);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The process has no file descriptor left, or the client has gone. Both may pass.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let handler = Arc::clone(&handler);
        let service = service_fn(move |request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            async move {
                let (head, body) = request.into_parts();
                let response = match Limited::new(body, MAX_BODY).collect().await {
                    Ok(body) => handler(Request::from_parts(head, body.to_bytes())).await,
                    Err(_) => empty(StatusCode::PAYLOAD_TOO_LARGE),
                };
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            // An error only says that the client has gone.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A response with this status and without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
