//! A sealer with a key that the embedder gives.

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sendbeacon_fetch::host::Sealer;
use zeroize::Zeroizing;

/// Bytes of the nonce in front of what is sealed.
const NONCE_BYTES: usize = 24;

/// Seals records with XChaCha20-Poly1305, under one key and a random nonce for each part that is sealed.
///
/// The key belongs in the key store of the operating system or in another place that other programs cannot read. An
/// outbox opens only with the key that it was sealed with. The key in the sealer is overwritten when the sealer is
/// dropped.
///
/// ```
/// use sendbeacon_fetch::host::Sealer;
/// use sendbeacon_outbox::KeySealer;
///
/// let sealer = KeySealer::new([7; 32]);
/// let sealed = sealer.seal(b"profile 1", b"a request").unwrap();
/// assert_eq!(sealer.open(b"profile 1", &sealed).as_deref(), Some(&b"a request"[..]));
/// assert_eq!(sealer.open(b"profile 2", &sealed), None);
/// ```
pub struct KeySealer {
    cipher: XChaCha20Poly1305,
}

impl KeySealer {
    /// A sealer with this key, which must be random: 32 bytes of the system's random number generator.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        Self { cipher: XChaCha20Poly1305::new((&*key).into()) }
    }
}

/// The nonce, and then the ciphertext with its tag: 40 bytes more than the plaintext. `seal` returns `None` if the
/// system gives no random bytes.
impl Sealer for KeySealer {
    fn seal(&self, associated_data: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: plaintext, aad: associated_data };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&nonce[..], &ciphertext].concat())
    }

    fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: ciphertext, aad: associated_data };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

/// Without the key.
impl fmt::Debug for KeySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySealer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_with_the_same_key_and_associated_data(
            key: [u8; 32],
            data: Vec<u8>,
            plaintext: Vec<u8>,
        ) {
            let sealer = KeySealer::new(key);
            let sealed = sealer.seal(&data, &plaintext).unwrap();
            prop_assert_eq!(sealed.len(), plaintext.len() + 40);
            prop_assert_eq!(sealer.open(&data, &sealed), Some(plaintext));
        }

        #[test]
        fn nothing_opens_that_was_changed_or_cut(
            plaintext in prop::collection::vec(any::<u8>(), 0..50),
            bit: prop::sample::Index,
            length: prop::sample::Index,
        ) {
            let sealer = KeySealer::new([7; 32]);
            let sealed = sealer.seal(b"data", &plaintext).unwrap();
            let mut changed = sealed.clone();
            let bit = bit.index(sealed.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(sealer.open(b"data", &changed), None);
            prop_assert_eq!(sealer.open(b"data", &sealed[..length.index(sealed.len())]), None);
            prop_assert_eq!(sealer.open(b"date", &sealed), None);
            prop_assert_eq!(KeySealer::new([8; 32]).open(b"data", &sealed), None);
        }
    }

    #[test]
    fn the_same_plaintext_is_sealed_differently_each_time() {
        let sealer = KeySealer::new([7; 32]);
        assert_ne!(sealer.seal(b"", b"plaintext"), sealer.seal(b"", b"plaintext"));
    }

    #[test]
    fn debug_output_does_not_contain_the_key() {
        assert_eq!(format!("{:?}", KeySealer::new([7; 32])), "KeySealer { .. }");
    }
}
