//! The secrets that a page's script and the app share.

use std::fmt;

/// 128 random bits as text, which only one webview's script and the app know.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The length of its text in bytes.
    pub(crate) const LENGTH: usize = 32;

    pub(crate) fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        Self(format!("{:032x}", u128::from_ne_bytes(bytes)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this secret. The time that it takes does not tell how much of it is right.
    pub(crate) fn is(&self, text: &str) -> bool {
        let differences = self.0.bytes().zip(text.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        text.len() == self.0.len() && differences == 0
    }
}

/// Does not show the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
