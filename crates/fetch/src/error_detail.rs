//! What went wrong beneath HTTP, as a [`NetworkError`](crate::NetworkError) carries it.

use std::{error::Error, fmt, io, iter, sync::Arc};

/// What went wrong beneath HTTP: a message, the kind of the I/O error, and the error itself.
///
/// [`kind`](Self::kind) tells an engine, for example, whether a connection was refused or reset.
/// [`source`](Error::source) gives the error that the network got from the system or from its TLS
/// library. A clone shares both with the original.
///
/// Two details are equal if their messages and kinds are equal: foreign errors cannot be compared.
///
/// ```
/// use std::{error::Error, io};
///
/// use sendbeacon_fetch::{ErrorDetail, NetworkError};
///
/// let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
/// let error = NetworkError::Connect(ErrorDetail::from(refused).with_context("a.example:443"));
///
/// assert_eq!(error.to_string(), "could not connect: a.example:443: connection refused");
/// assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionRefused));
/// assert!(error.source().is_some());
/// ```
#[derive(Clone)]
pub struct ErrorDetail(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    message: String,
    kind: Option<io::ErrorKind>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ErrorDetail {
    /// A detail that has only a message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { message: message.into(), kind: None, source: None }))
    }

    /// The detail of `error`.
    ///
    /// Its message joins the messages of `error` and of its sources. Its kind is that of the first
    /// [`io::Error`] among them, and `None` without an [`io::Error`].
    #[must_use]
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        let (message, kind) = summary(&error);
        Self(Arc::new(Inner { message, kind, source: Some(Arc::new(error)) }))
    }

    /// Sets the kind.
    #[must_use]
    pub fn with_kind(mut self, kind: io::ErrorKind) -> Self {
        Arc::make_mut(&mut self.0).kind = Some(kind);
        self
    }

    /// Puts `context` and a colon in front of the message.
    #[must_use]
    pub fn with_context(mut self, context: impl fmt::Display) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.message = format!("{context}: {}", inner.message);
        self
    }

    /// The message, on one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The kind of the I/O error; `None` if it is not known.
    #[must_use]
    pub fn kind(&self) -> Option<io::ErrorKind> {
        self.0.kind
    }
}

/// The messages of `error` and of its sources, and the kind of the first I/O error among them.
fn summary(error: &(dyn Error + 'static)) -> (String, Option<io::ErrorKind>) {
    let chain = || iter::successors(Some(error), |&error| error.source());
    let message = chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let kind = chain().find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    (message, kind)
}

/// Keeps the kind. The source is the error inside the I/O error, where there is one: that is how TLS
/// libraries pass on their own errors.
impl From<io::Error> for ErrorDetail {
    fn from(error: io::Error) -> Self {
        let (message, kind) = summary(&error);
        let source: Option<Arc<dyn Error + Send + Sync>> = if error.get_ref().is_some() {
            error.into_inner().map(Arc::from)
        } else {
            Some(Arc::new(error))
        };
        Self(Arc::new(Inner { message, kind, source }))
    }
}

impl From<String> for ErrorDetail {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for ErrorDetail {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl PartialEq for ErrorDetail {
    fn eq(&self, other: &Self) -> bool {
        (self.message(), self.kind()) == (other.message(), other.kind())
    }
}

impl Eq for ErrorDetail {}

impl fmt::Display for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for ErrorDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("ErrorDetail");
        tuple.field(&self.message());
        self.kind().inspect(|kind| {
            tuple.field(kind);
        });
        tuple.finish()
    }
}

impl Error for ErrorDetail {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_error_gives_its_kind_its_message_and_the_error_inside_it() {
        let reset = ErrorDetail::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(reset.kind(), Some(io::ErrorKind::ConnectionReset));
        assert!(reset.source().is_some_and(<dyn Error>::is::<io::Error>));

        let inside = url::ParseError::EmptyHost;
        let invalid = ErrorDetail::from(io::Error::new(io::ErrorKind::InvalidData, inside));
        assert_eq!(invalid.message(), inside.to_string());
        assert_eq!(invalid.kind(), Some(io::ErrorKind::InvalidData));
        let source = invalid.source().and_then(|error| error.downcast_ref::<url::ParseError>());
        assert_eq!(source, Some(&inside));
    }

    #[test]
    fn detail_of_a_chain_has_all_messages_and_the_kind_of_its_io_error() {
        let io = ErrorDetail::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let text = io.to_string();
        let detail = ErrorDetail::of(io.with_context("outer"));
        assert_eq!(detail.message(), format!("outer: {text}: {text}"));
        assert_eq!(detail.kind(), Some(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn details_are_equal_if_their_messages_and_kinds_are() {
        let detail = ErrorDetail::of(url::ParseError::EmptyHost);
        assert_eq!(detail, ErrorDetail::new(url::ParseError::EmptyHost.to_string()));
        assert_ne!(detail, detail.clone().with_kind(io::ErrorKind::InvalidInput));
        assert_ne!(detail, detail.clone().with_context("x"));
    }
}
