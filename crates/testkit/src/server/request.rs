//! The requests that the server records, and the HTTP/1.1 parser that reads them.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request as the server received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The connection of the request, counted from 0 in the order in which connections were accepted.
    pub connection: usize,
    /// The identifier of the HTTP/2 stream; 0 for HTTP/1.1.
    pub stream: u32,
    /// The index of the request among all requests of the server, counted from 0.
    pub index: usize,
    /// The method.
    pub method: String,
    /// The request target, as on the request line. For HTTP/2, the value of `:path`.
    pub target: String,
    /// The version, as on the request line. For HTTP/2, `HTTP/2`.
    pub version: String,
    /// The exact bytes of the head, with the empty line at its end. Empty for HTTP/2.
    pub head: Vec<u8>,
    /// The header fields in order, with the names as they were written and the values decoded as Latin-1.
    ///
    /// For HTTP/2 the first four are `:method`, `:scheme`, `:authority` and `:path`.
    pub headers: Vec<(String, String)>,
    /// The body, without the chunked transfer coding.
    pub body: Vec<u8>,
}

impl RecordedRequest {
    /// The first value of the header with this name. The case of letters does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// Reads the next request of a connection, without its body; `None` if the client has closed the connection.
///
/// `buffer` holds bytes that were received and not used yet.
pub(super) async fn read_head<S>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<RecordedRequest>>
where
    S: AsyncRead + Unpin,
{
    let Some(head) = read_through(stream, buffer, b"\r\n\r\n").await? else {
        return Ok(None);
    };
    let text = isomorphic_decode(&head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    let [method, target, version] = request_line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(malformed("request line"));
    };
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        })
        .collect::<io::Result<_>>()?;
    Ok(Some(RecordedRequest {
        connection: 0,
        stream: 0,
        index: 0,
        method: method.to_owned(),
        target: target.to_owned(),
        version: version.to_owned(),
        head,
        headers,
        body: Vec::new(),
    }))
}

/// Reads the body of `request`, whose head was read last.
pub(super) async fn read_body<S>(
    request: &RecordedRequest,
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    if request.header("transfer-encoding").is_some() {
        read_chunks(stream, buffer).await
    } else {
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| malformed("Content-Length"))?;
        read_exactly(stream, buffer, length).await
    }
}

async fn read_chunks<S>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, buffer).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed("chunk size"))?;
        if size == 0 {
            while !read_line(stream, buffer).await?.is_empty() {}
            return Ok(body);
        }
        body.extend(read_exactly(stream, buffer, size).await?);
        if !read_line(stream, buffer).await?.is_empty() {
            return Err(malformed("end of a chunk"));
        }
    }
}

/// Reads a line, and returns it without its end.
async fn read_line<S>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<String>
where
    S: AsyncRead + Unpin,
{
    let line = read_through(stream, buffer, b"\r\n").await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(isomorphic_decode(&line[..line.len() - 2]))
}

/// Reads up to the first `end`, and returns the bytes with `end`; `None` if the stream ends before that.
async fn read_through<S>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    end: &[u8],
) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Ok(Some(buffer.drain(..at + end.len()).collect()));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Reads exactly `length` bytes.
pub(super) async fn read_exactly<S>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    length: usize,
) -> io::Result<Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..length).collect())
}

/// Each byte as the character with the same number (Latin-1).
pub(super) fn isomorphic_decode(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(stream: &mut &[u8], buffer: &mut Vec<u8>) -> io::Result<Option<RecordedRequest>> {
        let Some(mut request) = read_head(stream, buffer).await? else { return Ok(None) };
        request.body = read_body(&request, stream, buffer).await?;
        Ok(Some(request))
    }

    async fn parse(mut bytes: &[u8]) -> io::Result<Option<RecordedRequest>> {
        read(&mut bytes, &mut Vec::new()).await
    }

    #[tokio::test]
    async fn headers_keep_their_case_their_order_and_their_bytes() {
        let head = b"GET /?q HTTP/1.1\r\nX-b: \xe4 \r\nx-A:1\r\nX-B: 2\r\n\r\n";
        let request = parse(head).await.unwrap().unwrap();
        assert_eq!(request.head, head);
        assert_eq!(
            request.headers,
            [("X-b", "\u{e4}"), ("x-A", "1"), ("X-B", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(request.header("x-B"), Some("\u{e4}"));
        assert_eq!(request.header("none"), None);
    }

    #[tokio::test]
    async fn a_chunked_body_is_decoded_and_the_next_request_is_read() {
        let mut bytes: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
        let mut buffer = Vec::new();
        let first = read(&mut bytes, &mut buffer).await.unwrap().unwrap();
        assert_eq!(first.body, b"abcde");
        let second = read(&mut bytes, &mut buffer).await.unwrap().unwrap();
        assert_eq!(second.target, "/next");
        assert_eq!(read(&mut bytes, &mut buffer).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_body_cut_short_is_an_error() {
        let error = parse(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
