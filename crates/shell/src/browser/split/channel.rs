//! Writing and reading the messages between the parent process and a content process.

use std::{
    io::{self, BufRead, Read, Write},
    os::unix::net::UnixStream,
};

use serde::{Serialize, de::DeserializeOwned};

/// A message as a line of JSON.
pub(super) fn serialize(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

pub(super) fn write(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&serialize(message)?)
}

/// The longest message, in bytes. The largest ones hold everything that an origin has stored.
pub(super) const MAX_MESSAGE: usize = 64 << 20;

/// Reads the next message; `None` at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    match reader.take(MAX_MESSAGE as u64).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) if line.last() != Some(&b'\n') => match reader.fill_buf() {
            // The process was killed while it wrote.
            Ok([]) | Err(_) => Ok(None),
            Ok(_) => Err(io::Error::other(format!("a message is longer than {MAX_MESSAGE} bytes"))),
        },
        Ok(_) => Ok(Some(serde_json::from_slice(&line)?)),
        // The other process has ended without reading everything. That is an end, too.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the body that follows a message.
pub(super) fn read_body(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    #[test]
    fn a_message_that_is_too_long_is_an_error() {
        let mut reader = BufReader::new(repeat(b' '));
        assert!(read::<u8>(&mut reader).unwrap_err().to_string().contains("longer"));
    }

    #[test]
    fn a_message_that_is_not_well_formed_is_an_error() {
        for line in ["\n", "x\n", "1 2\n", "300\n"] {
            assert!(read::<u8>(&mut line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_the_end() {
        let mut reader = &b"1\n2"[..];
        assert_eq!(read::<u8>(&mut reader).unwrap(), Some(1));
        assert_eq!(read::<u8>(&mut reader).unwrap(), None);
    }
}
