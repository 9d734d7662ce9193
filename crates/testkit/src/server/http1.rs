//! The server's HTTP/1.1 side.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    time::sleep,
};

use super::{Behavior, End, Server, request};

/// Answers the requests of a connection until it ends, and returns how the server leaves it.
pub(super) async fn serve<S>(server: &Server, stream: &mut S, connection: usize) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    while let Some(mut request) = request::read_head(stream, &mut buffer).await? {
        request.connection = connection;
        if !server.options.answers_early {
            request.body = request::read_body(&request, stream, &mut buffer).await?;
        }
        server.log.send_modify(|log| log.add(&mut request));
        let answer = match (server.handler)(&request) {
            Behavior::Respond(answer) => answer,
            Behavior::RespondAfter(delay, answer) => {
                sleep(delay).await;
                answer
            }
            Behavior::RespondWhen(gate, answer) => {
                gate.notified().await;
                answer
            }
            Behavior::ReadInTurns(gate, turn, answer) => {
                let length = request.header("content-length").and_then(|it| it.parse().ok());
                let mut left: usize = length.unwrap_or(0);
                while left > 0 {
                    gate.notified().await;
                    let part = request::read_exactly(stream, &mut buffer, turn.min(left)).await?;
                    left -= part.len();
                    server.log.send_modify(|log| log.requests[request.index].body.extend(part));
                }
                send(stream, &answer).await?;
                continue;
            }
            Behavior::RespondThenClose(answer) => {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                return drain(stream).await;
            }
            Behavior::RespondThenHangUp(answer) => {
                send(stream, &answer).await?;
                return Ok(End::Closed);
            }
            Behavior::RespondForever(answer, more) => {
                stream.write_all(&answer).await?;
                loop {
                    send(stream, &more).await?;
                }
            }
            Behavior::RespondAndReadNoMore(answer) => {
                send(stream, &answer).await?;
                return std::future::pending().await;
            }
            Behavior::Tunnel(to) => {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(stream, &mut TcpStream::connect(to).await?).await?;
                return Ok(End::Closed);
            }
            Behavior::Close => {
                stream.shutdown().await?;
                return drain(stream).await;
            }
            Behavior::Reset => return Ok(End::Reset),
            Behavior::Hang => return drain(stream).await,
            Behavior::Frames(_) | Behavior::FramesThenClose(_) | Behavior::FramesThenFreeze(_) => {
                return Err(io::Error::other("frames on HTTP/1.1"));
            }
        };
        send(stream, &answer).await?;
        if server.options.answers_early {
            let body = request::read_body(&request, stream, &mut buffer).await?;
            server.log.send_modify(|log| log.requests[request.index].body = body);
        }
    }
    Ok(End::Closed)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads until the client has closed its side.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<End> {
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(End::Closed)
}
