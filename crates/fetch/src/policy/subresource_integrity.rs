//! [Subresource Integrity](https://w3c.github.io/webappsec-subresource-integrity/): whether a body matches integrity metadata.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash function of the
/// [valid SRI hash algorithm token set](https://w3c.github.io/webappsec-subresource-integrity/#valid-sri-hash-algorithm-token-set).
/// The order is that of the set: a stronger algorithm is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn named(token: &str) -> Option<Self> {
        match &*token.to_ascii_lowercase() {
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// [Parse metadata](https://w3c.github.io/webappsec-subresource-integrity/#parse-metadata): each algorithm with its value
/// in base64.
fn parse_metadata(metadata: &str) -> impl Iterator<Item = (Algorithm, &str)> {
    // Step 2. NB: the text splits on spaces only.
    metadata.split_ascii_whitespace().filter_map(|item| {
        // Steps 2.1 to 2.7. NB: a question mark ends the expression, and a second hyphen the value.
        let expression = item.split('?').next()?;
        let mut parts = expression.split('-');
        let algorithm = Algorithm::named(parts.next()?)?;
        // Steps 2.8 and 2.9.
        Some((algorithm, parts.next().unwrap_or_default()))
    })
}

/// Integrity metadata, and the hash of the part of a body that has come.
pub(crate) struct Verifier {
    hasher: Hasher,
    /// The values of which one has to match, in base64.
    expected: Vec<String>,
}

enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Verifier {
    /// The first half of
    /// [do bytes match metadataList?](https://w3c.github.io/webappsec-subresource-integrity/#does-response-match-metadatalist):
    /// what to hash, and what to expect. `None` if the metadata names no known algorithm, so that all bytes match.
    pub(crate) fn new(metadata: &str) -> Option<Self> {
        // Steps 1 to 3. NB: get the strongest metadata from set.
        let strongest = parse_metadata(metadata).map(|(algorithm, _)| algorithm).max()?;
        let hasher = match strongest {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        };
        let expected = parse_metadata(metadata)
            .filter(|(algorithm, _)| *algorithm == strongest)
            .map(|(_, value)| value.to_owned())
            .collect();
        Some(Self { hasher, expected })
    }

    /// Adds a part of the body.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha384(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Whether the whole body matches.
    pub(crate) fn matches(self) -> bool {
        // Steps 4 and 5. NB: the hash is the same for all items, because their algorithm is.
        let actual = match self.hasher {
            Hasher::Sha256(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Hasher::Sha384(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
            Hasher::Sha512(hasher) => BASE64_STANDARD.encode(hasher.finalize()),
        };
        self.expected.contains(&actual)
    }
}
