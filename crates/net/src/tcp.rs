//! TCP connections to a host with several addresses.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{net::TcpStream, time::timeout};

/// How long an address may be silent before the next address is tried beside it: the "Connection
/// Attempt Delay" that [RFC 8305, section 5](https://www.rfc-editor.org/rfc/rfc8305#section-5)
/// recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the address that answers first.
///
/// The addresses are tried in order. The next address is tried when the last one has failed or has been
/// silent for [`ATTEMPT_DELAY`].
pub(crate) async fn connect_to_any(
    addresses: &[SocketAddr],
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut untried = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        attempts.extend(untried.next().map(async |address| {
            let tcp = TcpStream::connect(*address).await?;
            Ok((tcp, *address))
        }));
        let finished = if untried.len() == 0 {
            attempts.next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some(Ok((tcp, address))) => {
                // A request is one write. Nagle's algorithm would hold back the next request until the
                // server acknowledges this one.
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, address));
            }
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}
