//! The [destination](https://fetch.spec.whatwg.org/#concept-request-destination) of a request: what the response is for.

/// A request's [destination](https://fetch.spec.whatwg.org/#concept-request-destination): what the response is for.
///
/// It decides which directive of a Content Security Policy applies, the default `Accept` header, and `Sec-Fetch-Dest`.
/// A beacon, a ping and a `fetch()` have the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Destination {
    /// The empty string.
    #[default]
    Empty,
    /// `audio`
    Audio,
    /// `audioworklet`
    AudioWorklet,
    /// `document`
    Document,
    /// `embed`
    Embed,
    /// `font`
    Font,
    /// `frame`
    Frame,
    /// `iframe`
    Iframe,
    /// `image`
    Image,
    /// `json`
    Json,
    /// `manifest`
    Manifest,
    /// `object`
    Object,
    /// `paintworklet`
    PaintWorklet,
    /// `report`: only the library makes such requests.
    Report,
    /// `script`
    Script,
    /// `serviceworker`
    ServiceWorker,
    /// `sharedworker`
    SharedWorker,
    /// `style`
    Style,
    /// `text`
    Text,
    /// `track`
    Track,
    /// `video`
    Video,
    /// `webidentity`
    WebIdentity,
    /// `worker`
    Worker,
    /// `xslt`
    Xslt,
}

impl Destination {
    /// The destination as the standard writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Audio => "audio",
            Self::AudioWorklet => "audioworklet",
            Self::Document => "document",
            Self::Embed => "embed",
            Self::Font => "font",
            Self::Frame => "frame",
            Self::Iframe => "iframe",
            Self::Image => "image",
            Self::Json => "json",
            Self::Manifest => "manifest",
            Self::Object => "object",
            Self::PaintWorklet => "paintworklet",
            Self::Report => "report",
            Self::Script => "script",
            Self::ServiceWorker => "serviceworker",
            Self::SharedWorker => "sharedworker",
            Self::Style => "style",
            Self::Text => "text",
            Self::Track => "track",
            Self::Video => "video",
            Self::WebIdentity => "webidentity",
            Self::Worker => "worker",
            Self::Xslt => "xslt",
        }
    }

    /// Whether the destination is [script-like](https://fetch.spec.whatwg.org/#request-destination-script-like).
    ///
    /// NB: the standard lets each algorithm decide whether `xslt` counts too. The checks of the MIME type, which
    /// are the only callers, do not count it.
    pub(crate) fn is_script_like(self) -> bool {
        matches!(
            self,
            Self::AudioWorklet
                | Self::PaintWorklet
                | Self::Script
                | Self::ServiceWorker
                | Self::SharedWorker
                | Self::Worker
        )
    }

    /// The default `Accept` header that [fetch](https://fetch.spec.whatwg.org/#concept-fetch) sets.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Document | Self::Frame | Self::Iframe => {
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
            }
            Self::Image => "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            Self::Json => "application/json,*/*;q=0.5",
            Self::Style => "text/css,*/*;q=0.1",
            Self::Text => "text/plain,*/*;q=0.5",
            _ => "*/*",
        }
    }
}
