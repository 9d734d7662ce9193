//! The body of a request, as a message has it.

use base64::{Engine, prelude::BASE64_STANDARD};
use sendbeacon::{Blob, BodyInit, FormDataEntry, FormDataValue};
use serde::Deserialize;
use url::form_urlencoded;

use crate::message::MessageError;

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Body {
    Text { text: String },
    Bytes { base64: String },
    Blob { base64: String, r#type: String },
    Form { entries: Vec<Entry> },
    Parameters { text: String },
}

/// An entry of a form.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Entry {
    Value { name: String, value: String },
    File { name: String, base64: String, r#type: String, filename: String },
}

impl Body {
    /// Calls `send` with this body.
    pub(crate) fn with<T>(&self, send: impl FnOnce(BodyInit<'_>) -> T) -> Result<T, MessageError> {
        Ok(match self {
            Self::Text { text } => send(text.as_str().into()),
            Self::Bytes { base64 } => send(BodyInit::from(&decode(base64)?[..])),
            Self::Blob { base64, r#type } => send((&Blob::new(decode(base64)?, r#type)).into()),
            Self::Form { entries } => {
                let entries = entries.iter().map(Entry::decode).collect::<Result<Vec<_>, _>>()?;
                send(BodyInit::FormData(&entries))
            }
            Self::Parameters { text } => {
                let list: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
                send(BodyInit::UrlSearchParams(&list))
            }
        })
    }
}

impl Entry {
    fn decode(&self) -> Result<FormDataEntry, MessageError> {
        let (name, value) = match self {
            Self::Value { name, value } => (name, FormDataValue::String(value.clone())),
            Self::File { name, base64, r#type, filename } => {
                let blob = Blob::new(decode(base64)?, r#type);
                (name, FormDataValue::File { blob, filename: filename.clone() })
            }
        };
        Ok(FormDataEntry { name: name.clone(), value })
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, MessageError> {
    BASE64_STANDARD.decode(base64).map_err(|_| MessageError::Field("base64"))
}
