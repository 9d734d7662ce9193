//! Proxies that tunnel to one address, whatever the client asks for.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// A proxy that tunnels to one address.
pub(crate) struct TunnelProxy {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

#[derive(Clone, Copy)]
enum Handshake {
    Http(fn(&str) -> &'static str),
    Socks5 { reply: u8 },
}

impl TunnelProxy {
    /// Starts an HTTP proxy. It answers each head by `answer`, and tunnels to `to` after a 2xx.
    pub(crate) async fn http(to: SocketAddr, answer: fn(&str) -> &'static str) -> Self {
        Self::start(to, Handshake::Http(answer)).await
    }

    /// Starts a SOCKS5 proxy. It gives every client the same reply, with or without a password: 0 is
    /// success.
    pub(crate) async fn socks5(to: SocketAddr, reply: u8) -> Self {
        Self::start(to, Handshake::Socks5 { reply }).await
    }

    async fn start(to: SocketAddr, handshake: Handshake) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // An error here is an error for the client, too, and the test checks it there.
                tokio::spawn(serve(tcp, to, handshake, Arc::clone(&log)));
            }
        });
        Self { addr, asked, accepting: accepting.abort_handle() }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }

    /// What clients asked for: heads of HTTP, or hosts and ports of SOCKS5.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for TunnelProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut tcp: TcpStream,
    to: SocketAddr,
    handshake: Handshake,
    log: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let is_granted = match handshake {
        Handshake::Http(answer) => {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(char::from(tcp.read_u8().await?));
            }
            let answer = answer(&head);
            log.lock().unwrap().push(head);
            tcp.write_all(answer.as_bytes()).await?;
            answer.starts_with("HTTP/1.1 2")
        }
        Handshake::Socks5 { reply } => {
            let asked = socks5(&mut tcp).await?;
            log.lock().unwrap().push(asked);
            tcp.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            reply == 0
        }
    };
    if is_granted {
        copy_bidirectional(&mut tcp, &mut TcpStream::connect(to).await?).await?;
    }
    Ok(())
}

/// Plays the server of [RFC 1928](https://www.rfc-editor.org/rfc/rfc1928) and RFC 1929, up to the reply.
async fn socks5(tcp: &mut TcpStream) -> io::Result<String> {
    let [_, count] = read::<2>(tcp).await?;
    let methods = text(tcp, count).await?;
    let user = if methods.contains('\u{2}') {
        tcp.write_all(&[5, 2]).await?;
        let [_, length] = read::<2>(tcp).await?;
        let user = text(tcp, length).await?;
        let [length] = read::<1>(tcp).await?;
        let password = text(tcp, length).await?;
        tcp.write_all(&[1, 0]).await?;
        format!("{user}:{password}@")
    } else {
        tcp.write_all(&[5, 0]).await?;
        String::new()
    };
    let [_, _, _, kind] = read::<4>(tcp).await?;
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(tcp).await?).to_string(),
        3 => {
            let [length] = read::<1>(tcp).await?;
            text(tcp, length).await?
        }
        kind => format!("type {kind}"),
    };
    let port = tcp.read_u16().await?;
    Ok(format!("{user}{host}:{port}"))
}

async fn read<const N: usize>(tcp: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    tcp.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn text(tcp: &mut TcpStream, length: u8) -> io::Result<String> {
    let mut bytes = vec![0; length.into()];
    tcp.read_exact(&mut bytes).await?;
    Ok(bytes.into_iter().map(char::from).collect())
}
