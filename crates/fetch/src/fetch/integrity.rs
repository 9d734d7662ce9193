//! Main fetch, step 23: reads the whole body of a response, and compares it with the request's integrity metadata.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Method;

use crate::{
    error::NetworkError,
    host::BodyStream,
    policy::subresource_integrity::Verifier,
    response::{Response, ResponseType, is_null_body_status},
};

/// The largest body that is verified, in bytes. It has to be in memory, because script gets no part of it before all of
/// it is verified.
const MAX_BODY: usize = 256 << 20;

/// Steps 23.2 to 23.4: returns the response to a request with `method`, with its body in memory, if the body matches
/// `metadata`.
pub(super) async fn verified(
    method: Method,
    metadata: String,
    mut response: Response,
) -> Result<Response, NetworkError> {
    // Step 23.2. NB: an opaque response has no body for script.
    let is_null = method == Method::HEAD
        || is_null_body_status(response.status)
        || matches!(response.response_type, ResponseType::Opaque | ResponseType::OpaqueRedirect);
    if is_null {
        return Err(NetworkError::Integrity);
    }
    // Step 23.4.
    let mut verifier = Verifier::new(&metadata);
    let mut chunks = VecDeque::new();
    let mut left = MAX_BODY;
    while let Some(chunk) = response.chunk().await {
        let chunk = chunk?;
        left = left.checked_sub(chunk.len()).ok_or(NetworkError::Integrity)?;
        if let Some(verifier) = &mut verifier {
            verifier.update(&chunk);
        }
        if !chunk.is_empty() {
            chunks.push_back(chunk);
        }
    }
    // Step 23.3.
    if !verifier.is_none_or(Verifier::matches) {
        return Err(NetworkError::Integrity);
    }
    let encoded_size = response.body.encoded_size();
    response.body = Box::pin(VerifiedBody { chunks, encoded_size });
    Ok(response)
}

/// A body that has been read.
struct VerifiedBody {
    chunks: VecDeque<Bytes>,
    encoded_size: Option<u64>,
}

impl BodyStream for VerifiedBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        Poll::Ready(self.chunks.pop_front().map(Ok))
    }

    fn encoded_size(&self) -> Option<u64> {
        self.encoded_size
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http::{HeaderMap, StatusCode};

    use super::*;

    /// A body without an end.
    struct Endless(Bytes);

    impl BodyStream for Endless {
        fn poll_chunk(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, NetworkError>>> {
            Poll::Ready(Some(Ok(self.0.clone())))
        }
    }

    #[test]
    fn a_body_without_an_end_is_an_error() {
        let body = Box::pin(Endless(vec![0; 1 << 20].into()));
        let url = "https://a.test/".parse().unwrap();
        let (type_, headers) = (ResponseType::Basic, HeaderMap::new());
        let response = Response::new(type_, StatusCode::OK, headers, vec![url], body);
        let verifying = std::pin::pin!(verified(Method::GET, "md5-x".to_owned(), response));
        let Poll::Ready(result) = verifying.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("every chunk is there");
        };
        assert_eq!(result.unwrap_err(), NetworkError::Integrity);
    }
}
