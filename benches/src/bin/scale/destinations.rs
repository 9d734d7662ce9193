//! Real connections to many destinations: a server in another process, and a resolver that sends every name to it.

use std::{
    env,
    error::Error,
    io::{self, BufRead, BufReader, Write},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sendbeacon::{
    PartitionKey,
    host::Answer,
    net::{HttpNetwork, Resolved, Resolver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

/// The argument that makes this program the server.
pub(crate) const SERVE: &str = "--serve";

/// The path whose responses close their connections.
pub(crate) const CLOSE: &str = "/close";

/// Serves until standard input ends. Prints the port first.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        let ended = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
        let accepting = async {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        };
        tokio::select! {
            _ = ended => {}
            () = accepting => {}
        }
        Ok(())
    })
}

/// Answers requests whose bodies have 1 KiB.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        let mut length = 0;
        let is_last = loop {
            let read = stream.read(&mut buffer[length..]).await?;
            if read == 0 {
                return Ok(());
            }
            length += read;
            let head = buffer[..length].windows(4).position(|end| end == b"\r\n\r\n");
            if head.is_some_and(|head| length >= head + 4 + 1_024) {
                break buffer[..length].windows(CLOSE.len()).any(|it| it == CLOSE.as_bytes());
            }
        };
        if is_last {
            let head = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            return stream.write_all(head).await;
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
}

/// A server in another process, because one process may not have enough file descriptors for both ends of ten thousand
/// connections.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("it is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { process, port: line.trim().parse()? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A network for which every name is this machine.
pub(crate) fn network(max_connections: Option<usize>) -> Result<HttpNetwork, Box<dyn Error>> {
    let builder = HttpNetwork::builder()
        .resolver(Arc::new(ThisMachine))
        .idle_timeout(Duration::from_secs(3_600));
    Ok(match max_connections {
        Some(max) => builder.max_connections(max).build()?,
        None => builder.build()?,
    })
}

struct ThisMachine;

impl Resolver for ThisMachine {
    fn resolve(&self, _: &str, _: &PartitionKey) -> Answer<io::Result<Resolved>> {
        Answer::Ready(Ok(Resolved::new(vec![Ipv4Addr::LOCALHOST.into()])))
    }
}
