//! The [data: URL processor](https://fetch.spec.whatwg.org/#data-url-processor).

use data_url::{DataUrl, mime::Mime};

/// Decodes a `data:` URL to its MIME type and its bytes. `None` if the URL is not valid.
pub(super) fn process_data_url(url: &str) -> Option<(Mime, Vec<u8>)> {
    let data = DataUrl::process(url).ok()?;
    let (bytes, _) = data.decode_to_vec().ok()?;
    Some((data.mime_type().clone(), bytes))
}
