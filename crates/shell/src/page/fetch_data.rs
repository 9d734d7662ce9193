//! The plain data of a page's fetches: bodies, requests and responses.

use std::fmt;

use bytes::Bytes;
use sendbeacon::{CredentialsMode, Destination, InitiatorType};
use url::Url;

/// [`BodyInit`](https://fetch.spec.whatwg.org/#bodyinit) after the Web IDL conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyInit {
    /// A scalar value string.
    Text(String),
    /// A copy of the bytes of an `ArrayBuffer` or a view.
    Bytes(Bytes),
    /// A `Blob` or a `File`.
    Blob(Blob),
    /// The entry list of a `FormData`.
    FormData(Vec<FormDataEntry>),
    /// The list of a `URLSearchParams`.
    UrlSearchParams(Vec<(String, String)>),
    /// A `ReadableStream`. The library refuses it, so its chunks are not here.
    ReadableStream,
}

impl BodyInit {
    /// Calls `use_it` with the library's form of this body, which borrows from it.
    pub(crate) fn with_library_body<T>(
        &self,
        use_it: impl FnOnce(sendbeacon::BodyInit<'_>) -> T,
    ) -> T {
        match self {
            Self::Text(text) => use_it(text.as_str().into()),
            Self::Bytes(bytes) => use_it((&**bytes).into()),
            Self::Blob(blob) => use_it((&library_blob(blob)).into()),
            Self::FormData(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| sendbeacon::FormDataEntry {
                        name: entry.name.clone(),
                        value: match &entry.value {
                            FormDataValue::String(value) => {
                                sendbeacon::FormDataValue::String(value.clone())
                            }
                            FormDataValue::File { blob, filename } => {
                                sendbeacon::FormDataValue::File {
                                    blob: library_blob(blob),
                                    filename: filename.clone(),
                                }
                            }
                        },
                    })
                    .collect();
                use_it(sendbeacon::BodyInit::FormData(&entries))
            }
            Self::UrlSearchParams(list) => use_it(sendbeacon::BodyInit::UrlSearchParams(list)),
            Self::ReadableStream => use_it(sendbeacon::BodyInit::ReadableStream),
        }
    }
}

fn library_blob(blob: &Blob) -> sendbeacon::Blob {
    sendbeacon::Blob::new(blob.bytes.clone(), &blob.type_)
}

/// The bytes and the type of a `Blob`.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// The bytes.
    pub bytes: Bytes,
    /// The `type` attribute, as the constructor of `Blob` has normalised it.
    pub type_: String,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes, {:?})", self.bytes.len(), self.type_)
    }
}

/// An [entry](https://xhr.spec.whatwg.org/#concept-formdata-entry) of a `FormData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormDataEntry {
    /// The name, a scalar value string.
    pub name: String,
    /// The value.
    pub value: FormDataValue,
}

/// The value of a form entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormDataValue {
    /// A scalar value string.
    String(String),
    /// A `File`.
    File {
        /// The file's bytes and type.
        blob: Blob,
        /// The file's name.
        filename: String,
    },
}

/// The content of a `Request`. The value of an enumeration is the string that the standard has for it.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Identifies this fetch in [`PageHost::abort_fetch`](super::PageHost::abort_fetch). Unique within the document.
    pub id: u64,
    /// The method, normalised.
    pub method: String,
    /// The URL.
    pub url: Url,
    /// The complete header list, in the order in which the headers were given. The body's `Content-Type` is among them
    /// unless the page has prevented it, so nothing may be added from the type of the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<BodyInit>,
    /// The mode: `"cors"`, `"no-cors"`, `"same-origin"`.
    pub mode: String,
    /// The credentials mode.
    pub credentials: String,
    /// The cache mode.
    pub cache: String,
    /// The redirect mode.
    pub redirect: String,
    /// The referrer: `"about:client"`, a URL, or empty for no referrer.
    pub referrer: String,
    /// The referrer policy, or empty for the policy of the document.
    pub referrer_policy: String,
    /// The integrity metadata.
    pub integrity: String,
    /// The keepalive flag.
    pub keepalive: bool,
    /// The priority: `"auto"`, `"high"`, `"low"`.
    pub priority: String,
    /// The destination.
    pub destination: Destination,
    /// The initiator type.
    pub initiator_type: InitiatorType,
    /// The use-CORS-preflight flag.
    pub use_cors_preflight: bool,
}

/// A filtered response: the parts of a response that script may see.
#[derive(Clone, Debug)]
pub struct FetchResponse {
    /// The status.
    pub status: u16,
    /// The status message.
    pub status_text: String,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The URL without its fragment, or empty if script may not see it.
    pub url: String,
    /// The type: `"basic"`, `"cors"`, `"opaque"`, `"opaqueredirect"`, `"default"`.
    pub type_: String,
    /// Whether the response's URL list has more than one item.
    pub redirected: bool,
}

/// The [credentials mode](https://fetch.spec.whatwg.org/#requestcredentials) with this name.
pub(crate) fn credentials_mode(name: &str) -> CredentialsMode {
    match name {
        "omit" => CredentialsMode::Omit,
        "include" => CredentialsMode::Include,
        _ => CredentialsMode::SameOrigin,
    }
}
