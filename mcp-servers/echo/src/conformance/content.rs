//! Contents that the suite looks for.

use rmcp::model::{ContentBlock, ResourceContents};

/// A PNG of one red pixel.
pub const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// A WAV without a sample.
pub const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

pub fn image() -> ContentBlock {
    ContentBlock::image(IMAGE, "image/png")
}

pub fn audio() -> ContentBlock {
    ContentBlock::audio(AUDIO, "audio/wav")
}

/// An embedded resource with a text.
pub fn resource(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
}
