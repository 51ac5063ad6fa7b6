//! Pictures: nodes drawn by Figma, and the pictures that people put into a file.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Code, Failure};
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the API, each with a name of its own")]
struct RenderImages {
    /// The file's key, or its address.
    file: String,
    /// The nodes to draw: at most 200.
    nodes: Vec<String>,
    /// `png` if not given.
    #[serde(default)]
    format: Format,
    /// From 0.01 to 4; 1 if not given. For `png` and `jpg`.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 4.0))]
    scale: Option<f64>,
    /// An id of `list_versions`; the newest, if not given.
    #[serde(default)]
    version: Option<String>,
    /// For `svg`: texts stay texts, instead of becoming shapes.
    #[serde(default)]
    svg_keep_text: bool,
    /// For `svg`: layers' names become ids.
    #[serde(default)]
    svg_include_id: bool,
    /// With what lies over the node, too.
    #[serde(default)]
    with_overlap: bool,
    /// The node's whole box, even if a part of it is cropped or empty.
    #[serde(default)]
    whole_bounds: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Png,
    Jpg,
    Svg,
    Pdf,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetImageFills {
    /// The file's key, or its address.
    file: String,
    /// At most so many items: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

/// Where the pictures are.
#[derive(Debug, Serialize, JsonSchema)]
struct Rendered {
    /// For each node an address that works for thirty days.
    images: Vec<RenderedImage>,
    /// Nodes that could not be drawn: not in the file, hidden, or empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RenderedImage {
    node: String,
    url: String,
}

#[derive(Debug, Deserialize)]
struct RenderedWire {
    #[serde(default)]
    err: Option<String>,
    #[serde(default)]
    images: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Deserialize)]
struct FillsWire {
    #[serde(default)]
    images: BTreeMap<String, String>,
}

/// A picture in a file.
#[derive(Debug, Serialize, JsonSchema)]
struct ImageFill {
    /// What `imageRef` of a fill names.
    image_ref: String,
    /// Works for at most fourteen days.
    url: String,
}

#[tool_router(router = images_tools, vis = "pub(crate)")]
impl Figma {
    /// Has Figma draw nodes as pictures and tells where they are. Many nodes in one call are cheaper than many calls.
    #[tool(title = "Render nodes as images", annotations(read_only_hint = true, open_world_hint = true))]
    async fn render_images(
        &self,
        Parameters(asked): Parameters<RenderImages>,
        call: Call,
    ) -> Result<Json<Rendered>, Failure> {
        let key = which::file_key(&asked.file)?;
        let ids = which::nodes(&asked.nodes)?;
        if ids.is_empty() {
            return Err(Failure::invalid("`nodes` must name at least one node."));
        }
        if asked.scale.is_some_and(|scale| !(0.01..=4.0).contains(&scale)) {
            return Err(Failure::invalid("`scale` must be from 0.01 to 4."));
        }
        let version = asked.version.as_deref().map(|version| which::id("version", version)).transpose()?;
        let is_svg = asked.format == Format::Svg;
        let request = self
            .client
            .get(["v1", "images", key.as_str()])
            .query("ids", ids.join(","))
            .query("format", asked.format.as_str())
            .query_opt("scale", asked.scale)
            .query_opt("version", version)
            .query_opt("svg_outline_text", (is_svg && asked.svg_keep_text).then_some(false))
            .query_opt("svg_include_id", (is_svg && asked.svg_include_id).then_some(true))
            .query_opt("contents_only", asked.with_overlap.then_some(false))
            .query_opt("use_absolute_bounds", asked.whole_bounds.then_some(true));
        let wire: RenderedWire = request.fetch(&call).await?;
        if let Some(error) = wire.err {
            let message = format!("Figma could not draw the nodes: {}.", self.client.mask(&error));
            return Err(
                Failure::new(Code::Refused, message).with_hint("Ask for fewer nodes or a smaller `scale`.")
            );
        }
        let failed =
            ids.iter().filter(|id| wire.images.get(*id).is_none_or(Option::is_none)).cloned().collect();
        let images =
            wire.images.into_iter().filter_map(|(node, url)| Some(RenderedImage { node, url: url? }));
        Ok(Json(Rendered { images: images.collect(), failed }))
    }

    /// Where the pictures are that people put into a file, by the names that fills use for them.
    #[tool(title = "Get a file's pictures", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_image_fills(
        &self,
        Parameters(asked): Parameters<GetImageFills>,
        call: Call,
    ) -> Result<Json<Listed<ImageFill>>, Failure> {
        let key = which::file_key(&asked.file)?;
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let wire: Meta<FillsWire> =
            self.client.get(["v1", "files", key.as_str(), "images"]).fetch(&call).await?;
        let fills = wire.meta.images.into_iter().map(|(image_ref, url)| ImageFill { image_ref, url });
        Ok(Json(Listed::of(fills.collect(), part)))
    }
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
        }
    }
}
