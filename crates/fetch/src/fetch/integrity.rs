//! Main fetch, step 23: reads the whole body of a response, and compares it with the request's integrity metadata.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::Method;

use crate::{
    error::NetworkError,
    host::BodyStream,
    origin::PartitionKey,
    policy::subresource_integrity::Verifier,
    response::{Response, ResponseType, is_null_body_status},
};

/// How many bytes the bodies of a network partition may have together, from the beginning of their verification until they
/// are dropped. A body has to be in memory, because script gets no part of it before all of it is verified.
const MAX_OF_PARTITION: usize = 256 << 20;

/// The same for all partitions together.
const MAX_OVERALL: usize = 1 << 30;

/// How many bytes of a verified body script gets at a time.
const CHUNK: usize = 64 << 10;

/// How many bytes of bodies are verified, or were verified and are not read yet.
#[derive(Default)]
pub(super) struct VerifiedBodies(Mutex<Verified>);

#[derive(Default)]
struct Verified {
    overall: usize,
    of_partitions: HashMap<PartitionKey, usize>,
}

impl VerifiedBodies {
    fn lock(&self) -> MutexGuard<'_, Verified> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room of one body among the [`VerifiedBodies`].
struct Room {
    all: Arc<VerifiedBodies>,
    partition: PartitionKey,
    bytes: usize,
}

impl Room {
    /// Takes room for so many bytes more, if there is room.
    fn grow(&mut self, bytes: usize) -> bool {
        let all = &mut *self.all.lock();
        let of_partition = all.of_partitions.entry(self.partition.clone()).or_default();
        let (after, overall) = (*of_partition + bytes, all.overall + bytes);
        let has_room = after <= MAX_OF_PARTITION && overall <= MAX_OVERALL;
        if has_room {
            (*of_partition, all.overall) = (after, overall);
            self.bytes += bytes;
        }
        has_room
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let all = &mut *self.all.lock();
        all.overall -= self.bytes;
        if let Some(of_partition) = all.of_partitions.get_mut(&self.partition) {
            *of_partition -= self.bytes;
            if *of_partition == 0 {
                all.of_partitions.remove(&self.partition);
            }
        }
    }
}

/// Steps 23.2 to 23.4: returns the response to a request with `method`, with its body in memory, if the body matches
/// `metadata`. `partition` is that of the request.
pub(super) async fn verified(
    all: Arc<VerifiedBodies>,
    partition: PartitionKey,
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
    let mut room = Room { all, partition, bytes: 0 };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await {
        let chunk = chunk?;
        if !room.grow(chunk.len()) {
            return Err(NetworkError::Integrity);
        }
        if let Some(verifier) = &mut verifier {
            verifier.update(&chunk);
        }
        body.extend_from_slice(&chunk);
    }
    // Step 23.3.
    if !verifier.is_none_or(Verifier::matches) {
        return Err(NetworkError::Integrity);
    }
    let encoded_size = response.body.encoded_size();
    response.body = Box::pin(VerifiedBody { body: body.freeze(), encoded_size, _room: room });
    Ok(response)
}

/// A body that has been read.
struct VerifiedBody {
    body: Bytes,
    encoded_size: Option<u64>,
    _room: Room,
}

impl BodyStream for VerifiedBody {
    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, NetworkError>>> {
        let length = self.body.len().min(CHUNK);
        Poll::Ready((length > 0).then(|| Ok(self.body.split_to(length))))
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
    use crate::{host::ResponseBody, nonce::Nonce, origin::Site};

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

    fn partition(number: u128) -> PartitionKey {
        PartitionKey { top_level_site: Site::Opaque(Nonce::from_u128(number)), second_key: None }
    }

    fn verify(
        all: &Arc<VerifiedBodies>,
        of: u128,
        body: ResponseBody,
    ) -> Result<Response, NetworkError> {
        let url = "https://a.test/".parse().unwrap();
        let (type_, headers) = (ResponseType::Basic, HeaderMap::new());
        let response = Response::new(type_, StatusCode::OK, headers, vec![url], body);
        let (method, metadata) = (Method::GET, "md5-x".to_owned());
        let verifying =
            std::pin::pin!(verified(Arc::clone(all), partition(of), method, metadata, response));
        match verifying.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("every chunk is there"),
        }
    }

    #[test]
    fn a_body_without_an_end_is_an_error() {
        let all = Arc::default();
        let body = Box::pin(Endless(vec![0; 1 << 20].into()));
        assert_eq!(verify(&all, 1, body).unwrap_err(), NetworkError::Integrity);
        assert_eq!(all.lock().overall, 0);
    }

    #[test]
    fn the_bodies_of_a_partition_share_their_room() {
        let all = Arc::default();
        let body = |length: usize| Box::pin(Some(Bytes::from(vec![0; length])));
        let first = verify(&all, 1, body(MAX_OF_PARTITION - 1)).unwrap();
        assert_eq!(verify(&all, 1, body(2)).unwrap_err(), NetworkError::Integrity);
        verify(&all, 2, body(2)).unwrap();
        drop(first);
        let mut last = verify(&all, 1, body(CHUNK + 1)).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        for length in [CHUNK, 1] {
            let chunk = last.body.as_mut().poll_chunk(&mut context);
            assert!(matches!(chunk, Poll::Ready(Some(Ok(chunk))) if chunk.len() == length));
        }
        assert!(matches!(last.body.as_mut().poll_chunk(&mut context), Poll::Ready(None)));
        drop(last);
        assert!(all.lock().overall == 0 && all.lock().of_partitions.is_empty());
    }
}
