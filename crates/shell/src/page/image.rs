//! What a page knows of an image: whether the bytes are one, and its natural size. Nothing decodes its pixels.

use data_url::mime::Mime;

use super::host::FetchedImage;

impl FetchedImage {
    /// The natural width and height in pixels. `None` if the bytes are no image of a type that browsers support.
    ///
    /// NB: the natural size of an SVG image is 0 × 0 here, because the shell has no XML parser.
    pub(super) fn natural_size(&self) -> Option<(u32, u32)> {
        if self.is_svg() {
            return (!self.body.is_empty()).then_some((0, 0));
        }
        let size = imagesize::blob_size(&self.body).ok()?;
        Some((u32::try_from(size.width).ok()?, u32::try_from(size.height).ok()?))
    }

    fn is_svg(&self) -> bool {
        let type_ = self.type_.as_ref().and_then(|it| it.parse::<Mime>().ok());
        type_.is_some_and(|it| it.matches("image", "svg+xml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(type_: &str, body: &[u8]) -> Option<(u32, u32)> {
        let image = FetchedImage { type_: Some(type_.into()), body: body.to_vec().into() };
        image.natural_size()
    }

    #[test]
    fn an_image_is_known_by_its_bytes_and_not_by_its_type() {
        let gif = b"GIF89a\x03\0\x02\0\0\0\0";
        assert_eq!(size("text/plain", gif), Some((3, 2)));
        for no_image in [&b""[..], b"<p>", b"GIF89a"] {
            assert_eq!(size("image/gif", no_image), None, "{no_image:?}");
        }
        assert_eq!(size("image/svg+xml", b"<svg/>"), Some((0, 0)));
    }
}
