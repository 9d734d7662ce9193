//! Running one fetch to the end of its response's body.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use sendbeacon_fetch::{
    NetworkError, Request, Response, UnreadResponse,
    fetch::{BeaconRequest, Profile, fetch, fetch_beacon},
    host::ResponseBody,
};
use tokio::sync::mpsc;

use super::teller::{Teller, Watcher};
use crate::message::{ChannelBody, Flag, Piece, Responder};

/// How many bytes of a response body without a reader are drained, so that its connection can be used again.
const DRAIN_LIMIT: usize = 65_536;

/// How many bytes of a response body its reader gets while its document is in the back/forward cache. The last
/// chunk may exceed the limit.
const CACHED_LIMIT: usize = 65_536;

/// What to fetch.
pub(super) enum ToFetch {
    Beacon(BeaconRequest),
    Request(Box<Request>),
}

/// Fetches `to_fetch`, and reads the body of the response to its end or to the limit. `has_waited` says whether the fetch has
/// waited for a destination that was away.
pub(super) async fn run_fetch(
    profile: Arc<Profile>,
    watcher: Watcher,
    to_fetch: ToFetch,
    responder: Option<Responder>,
    has_waited: bool,
) -> Result<StatusCode, NetworkError> {
    if has_waited {
        Box::pin(watcher.0.permitted_on_this_network(&watcher.0.info.url)).await?;
    }
    let UnreadResponse { summary, mut body } = match to_fetch {
        ToFetch::Beacon(request) => fetch_beacon(&profile, &watcher, request).await?,
        // NB: boxed, because a beacon's future would have room for it, too.
        ToFetch::Request(request) => {
            return Box::pin(run_request(profile, watcher, request, responder)).await;
        }
    };
    let status = summary.status;
    watcher.0.answered(summary);
    drain(&mut body, &watcher.0).await;
    Ok(status)
}

/// Fetches `request`, and answers its `PendingResponse`, if it has one.
async fn run_request(
    profile: Arc<Profile>,
    watcher: Watcher,
    request: Box<Request>,
    responder: Option<Responder>,
) -> Result<StatusCode, NetworkError> {
    match fetch(&profile, &watcher, request).await {
        Ok(mut response) => {
            let status = response.status;
            watcher.0.answered(response.summary());
            match responder {
                Some(responder) => pass_body(response, responder, &watcher.0).await,
                None => drain(&mut response.body, &watcher.0).await,
            }
            Ok(status)
        }
        Err(error) => {
            if let Some(responder) = responder {
                responder.fail(error.clone());
            }
            Err(error)
        }
    }
}

/// Answers the `PendingResponse`, and then passes the body to its reader, chunk by chunk as it is read.
async fn pass_body(mut response: Response, responder: Responder, teller: &Teller) {
    let keepalive = teller.info.keepalive;
    let (pieces, receiver) = mpsc::channel(4);
    let reader = ChannelBody::new(receiver, responder.cause().clone());
    let mut body = std::mem::replace(&mut response.body, Box::pin(reader));
    if responder.succeed(response) {
        let mut while_cached = 0;
        loop {
            if !teller.group.is_cached() {
                while_cached = 0;
            } else if while_cached >= CACHED_LIMIT {
                tokio::select! {
                    biased;
                    () = pieces.closed() => break,
                    () = teller.group.until(|group| !group.is_cached()) => continue,
                }
            }
            let piece = tokio::select! {
                biased;
                () = pieces.closed() => break,
                chunk = next_chunk(&mut body, teller) => chunk.map_or(Piece::End, Piece::Chunk),
            };
            if let Piece::Chunk(Ok(chunk)) = &piece {
                while_cached += chunk.len().max(1);
            }
            let is_last = !matches!(piece, Piece::Chunk(Ok(_)));
            let is_taken = tokio::select! {
                biased;
                sent = pieces.send(piece) => sent.is_ok(),
                () = teller.group.until(|group| group.is(Flag::Terminated)), if keepalive => false,
            };
            match (is_last, is_taken) {
                (true, _) => return,
                (false, true) => {}
                (false, false) => break,
            }
        }
    }
    if keepalive {
        drain(&mut body, teller).await;
    }
}

/// Reads the next chunk, and adds its length to the timing.
async fn next_chunk(
    body: &mut ResponseBody,
    teller: &Teller,
) -> Option<Result<Bytes, NetworkError>> {
    let chunk = poll_fn(|cx| body.as_mut().poll_chunk(cx)).await;
    let length = chunk.as_ref().and_then(|chunk| chunk.as_ref().ok()).map_or(0, Bytes::len);
    teller.account().timing.read(length, body.encoded_size());
    chunk
}

/// Reads the rest of a body that nobody wants, up to the limit. An error ends the reading and has no other effect.
async fn drain(body: &mut ResponseBody, teller: &Teller) {
    let mut left = DRAIN_LIMIT;
    while let Some(Ok(chunk)) = next_chunk(body, teller).await {
        // An empty chunk counts as one byte, because a body may consist of empty chunks without end.
        match left.checked_sub(chunk.len().max(1)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

// The sizes of futures differ with the target.
#[cfg(all(test, target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn the_future_of_a_fetch_is_small_enough_for_the_allocators_cache() {
        fn size<F>(
            _: impl FnOnce(Arc<Profile>, Watcher, ToFetch, Option<Responder>, bool) -> F,
        ) -> usize {
            size_of::<F>()
        }
        // The GNU C library keeps freed memory of up to 1,032 bytes for the thread, and takes five times as many
        // instructions to allocate more. `Fetches` adds the identifier of the fetch to the future.
        let size = size(run_fetch) + size_of::<u64>();
        assert!(size <= 1032, "{size} bytes");
    }
}
