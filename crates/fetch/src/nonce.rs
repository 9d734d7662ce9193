//! Nonces: the identities of opaque origins.

use std::{
    fmt,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

/// A 128-bit number that is used once: the identity of an opaque [`Origin`](crate::Origin).
///
/// An engine makes a nonce when it makes a document, and gives the same nonce for the same document in
/// every process. Two opaque origins are the same origin if their nonces are equal.
///
/// ```
/// use sendbeacon_fetch::Nonce;
///
/// let nonce = Nonce::random();
/// assert_ne!(nonce, Nonce::random());
/// // To send it to another process:
/// assert_eq!(Nonce::from_u128(nonce.to_u128()), nonce);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Nonce(u128);

impl Nonce {
    /// A new nonce from the operating system's random number generator. Never panics.
    ///
    /// Some systems have no random bytes while they boot. The nonce is then derived from the time, the
    /// process's identifier and a counter: it is unique, but it can be guessed.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self(u128::from_ne_bytes(bytes)),
            Err(_) => Self::unique(),
        }
    }

    /// The nonce with these bits: a nonce that was made elsewhere, or a fixed one in a test.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits.
    #[must_use]
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// A nonce without random bytes, unlikely to be made twice on this machine.
    fn unique() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Relaxed);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let half = |part: u8| {
            let hasher = BuildHasherDefault::<DefaultHasher>::new();
            u128::from(hasher.hash_one((part, count, process::id(), time)))
        };
        Self(half(0) << 64 | half(1))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_without_randomness_differ() {
        assert_ne!(Nonce::unique(), Nonce::unique());
    }

    #[test]
    fn a_nonce_is_written_as_32_digits() {
        assert_eq!(Nonce::from_u128(0x5eed).to_string(), "00000000000000000000000000005eed");
    }
}
