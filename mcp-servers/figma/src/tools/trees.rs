//! What of a tree is told.

use rmcp::schemars::{self, JsonSchema};
use roadstead_server_kit::{Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::list::limit;
use crate::outline::{Components, Cursor, Filter, Node, Outline, OutlineNode};
use crate::prune::{self, TooLarge};

/// Lines of an outline, if nobody says how many.
const USUAL_LINES: usize = 200;
/// Lines of an outline at most.
const MOST_LINES: usize = 1000;
/// Bytes of a whole tree, if nobody says how many.
const USUAL_BYTES: usize = 50_000;
/// Bytes of a whole tree at least: one node has to fit.
const LEAST_BYTES: usize = 1_000;
/// Bytes of a whole tree at most.
const MOST_BYTES: usize = 500_000;

/// How much is said of each node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// A line: id, type, name, text, place.
    #[default]
    Outline,
    /// Everything that Figma says.
    Full,
}

/// What is shown of a tree.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Show {
    /// `outline` (if not given): a line for each node. `full`: everything that Figma says of each.
    #[serde(default)]
    pub detail: Detail,
    /// For an outline: only nodes of these types, such as `TEXT`, `FRAME`, `INSTANCE`.
    #[serde(default)]
    pub types: Vec<String>,
    /// For an outline: only nodes with these words in their name or text, in capitals or not.
    #[serde(default)]
    pub contains: Option<String>,
    /// For an outline: at most so many lines: 1 to 1000, 200 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// For an outline: `next_cursor` of the answer before, with the other arguments as they were.
    #[serde(default)]
    pub cursor: Option<String>,
    /// For `full`: at most about so many bytes of JSON: 1000 to 500000, 50000 if not given. The lowest levels of
    /// the tree are left out until it fits; `childrenLeftOut` says where.
    #[serde(default)]
    #[schemars(range(min = 1000, max = 500_000))]
    pub max_bytes: Option<usize>,
    /// For `full`: with the shapes of vectors as paths, which are long.
    #[serde(default)]
    pub paths: bool,
}

impl Show {
    /// Whether it makes sense, and where it begins.
    pub fn check(&self) -> Result<Option<Cursor>, Failure> {
        limit(self.limit, USUAL_LINES, MOST_LINES)?;
        if self.max_bytes.is_some_and(|bytes| !(LEAST_BYTES..=MOST_BYTES).contains(&bytes)) {
            return Err(Failure::invalid(format!("`max_bytes` must be from {LEAST_BYTES} to {MOST_BYTES}.")));
        }
        let is_outline = self.detail == Detail::Outline;
        let outline_only = !self.types.is_empty() || self.contains.is_some() || self.cursor.is_some();
        if !is_outline && (outline_only || self.limit.is_some()) {
            return Err(Failure::invalid(
                "`types`, `contains`, `limit` and `cursor` are for `detail: \"outline\"`.",
            ));
        }
        if is_outline && (self.max_bytes.is_some() || self.paths) {
            return Err(Failure::invalid("`max_bytes` and `paths` are for `detail: \"full\"`."));
        }
        self.cursor.as_deref().map(Cursor::parse).transpose()
    }
}

/// A tree as it was asked for.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Tree {
    /// For `outline`: the nodes, each below its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    outline: Option<Vec<OutlineNode>>,
    /// For `outline`: how many nodes there are that fit, in all parts together.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    /// For `outline`: give it as `cursor` for the next part. Nothing, if this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// For `full`: the nodes as Figma describes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<Root>>,
    /// For `full`: how many nodes say `childrenLeftOut`. Ask for those by their ids, or with a larger `max_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_nodes: Option<usize>,
}

/// A node with what is below it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Root {
    /// Its id, as it was asked for.
    pub id: String,
    /// What Figma says of it.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub document: Value,
}

/// A part of an outline.
pub fn outline<'a>(
    roots: impl IntoIterator<Item = (&'a Node, &'a Components)>,
    show: &Show,
    cursor: Option<&Cursor>,
    version: &str,
) -> Tree {
    let from = cursor.map_or(0, |cursor| cursor.from);
    let most = show.limit.unwrap_or(USUAL_LINES);
    let filter = Filter { types: &show.types, contains: show.contains.as_deref() };
    let Outline { nodes, total } = Outline::of(roots, &filter, from, most);
    let end = from + nodes.len();
    let next = (end < total && !nodes.is_empty())
        .then(|| Cursor { version: version.to_owned(), from: end }.to_text());
    Tree { outline: Some(nodes), total: Some(total), next_cursor: next, ..Tree::default() }
}

/// Whole trees, each cut to its share of the size.
pub fn whole(mut roots: Vec<Root>, show: &Show) -> Result<Tree, Failure> {
    let limit = show.max_bytes.unwrap_or(USUAL_BYTES);
    let share = limit / roots.len().max(1);
    let mut cut_nodes = 0;
    for root in &mut roots {
        if !show.paths {
            prune::without_paths(&mut root.document);
        }
        match prune::to_fit(&mut root.document, share) {
            Ok(pruned) => cut_nodes += pruned.cut_nodes,
            Err(TooLarge { bytes }) => {
                let message = format!(
                    "The node {} alone takes {bytes} bytes, and {share} are left for it of `max_bytes`.",
                    root.id
                );
                return Err(Failure::new(Code::TooLarge, message)
                    .with_hint("Give a larger `max_bytes` or fewer nodes, or ask for an outline."));
            }
        }
    }
    Ok(Tree { nodes: Some(roots), cut_nodes: Some(cut_nodes), ..Tree::default() })
}
