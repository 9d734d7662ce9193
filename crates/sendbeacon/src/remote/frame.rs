//! The framing of a channel.
//!
//! A frame is the length of its payload in bytes (4 bytes, little endian), the payload (postcard) and one byte
//! that says whether the frame counts: [`COMMITTED`] or [`VOID`]. So the sender can take back a frame that it
//! has begun and cannot finish in time: it later writes the rest, and `VOID`.

use std::io::{self, Read};

use serde::{Serialize, de::DeserializeOwned};

use super::{error::ChannelError, limits::MAX_PAYLOAD};

/// The last byte of a frame that counts.
pub(super) const COMMITTED: u8 = 1;
/// The last byte of a frame that the receiver has to ignore.
pub(super) const VOID: u8 = 0;

/// The bytes of a frame. `None` if its payload is too large.
pub(super) fn encode(frame: &impl Serialize) -> Option<Vec<u8>> {
    // NB: `ok`, because no part of a frame has an implementation of `Serialize` that fails.
    let mut bytes = postcard::to_extend(frame, vec![0; 4]).ok()?;
    let length = bytes.len() - 4;
    if length > MAX_PAYLOAD {
        return None;
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    bytes.push(COMMITTED);
    Some(bytes)
}

/// The length of the payload of an encoded frame, in bytes.
pub(super) fn payload_length(frame: &[u8]) -> usize {
    frame.len() - 5
}

/// Reads the next frame that counts, and the length of its payload. `None` if the channel ends. It may end in the
/// middle of a frame, because its sender was killed.
pub(super) fn read<T: DeserializeOwned>(
    reader: &mut impl Read,
) -> Result<Option<(T, usize)>, ChannelError> {
    let mut frame = Vec::new();
    loop {
        let mut head = [0; 4];
        match reader.read_exact(&mut head) {
            Err(error) if is_end(&error) => return Ok(None),
            result => result?,
        }
        let length = u32::from_le_bytes(head);
        if length as usize > MAX_PAYLOAD {
            return Err(ChannelError::TooLarge(length));
        }
        frame.clear();
        // The buffer grows with the bytes that come, and not with the length that the sender claims.
        match reader.by_ref().take(u64::from(length) + 1).read_to_end(&mut frame) {
            Err(error) if is_end(&error) => return Ok(None),
            result => result?,
        };
        match frame.split_last() {
            Some((_, payload)) if payload.len() < length as usize => return Ok(None),
            Some((&COMMITTED, payload)) => {
                return decode(payload).map(|frame| Some((frame, payload.len())));
            }
            Some((&VOID, _)) => {}
            Some(_) => return Err(ChannelError::malformed("its last byte is neither 0 nor 1")),
            None => return Ok(None),
        }
    }
}

/// Decodes a payload.
pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ChannelError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(ChannelError::malformed("there are bytes behind the payload")),
        Err(error) => Err(ChannelError::malformed(error)),
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::protocol::{ToContent, ToNetwork},
        *,
    };

    fn frame(id: u64) -> Vec<u8> {
        encode(&ToContent::Done { id }).unwrap()
    }

    #[test]
    fn a_void_frame_is_ignored() {
        let mut void = frame(1);
        *void.last_mut().unwrap() = VOID;
        let bytes = [void, frame(2)].concat();
        let read = read(&mut &*bytes).unwrap();
        assert!(matches!(read, Some((ToContent::Done { id: 2 }, _))));
    }

    #[test]
    fn a_frame_that_is_cut_off_ends_the_channel() {
        let whole = frame(300);
        for length in 0..whole.len() {
            assert!(read::<ToContent>(&mut &whole[..length]).unwrap().is_none(), "{length}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_the_payload_is_read() {
        let error = read::<ToContent>(&mut &[0xFF; 4][..]).unwrap_err();
        assert!(matches!(error, ChannelError::TooLarge(u32::MAX)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_an_end_or_an_error(
            length in 0..100_u32,
            bytes: Vec<u8>,
            last in 0..3_u8,
        ) {
            let bytes = [&length.to_le_bytes()[..], &bytes, &[last]].concat();
            let mut reader = &*bytes;
            while let Ok(Some(_)) = read::<ToNetwork>(&mut reader) {}
        }

        #[test]
        fn any_payload_is_a_frame_or_an_error(payload: Vec<u8>) {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let bytes = [&length[..], &payload, &[COMMITTED]].concat();
            let _ = read::<ToNetwork>(&mut &*bytes);
        }
    }
}
