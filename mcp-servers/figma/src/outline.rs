//! A file's tree as a list of lines: what is where, without how it is drawn.

use std::collections::BTreeMap;

use rmcp::schemars::{self, JsonSchema};
use roadstead_server_kit::Failure;
use serde::{Deserialize, Serialize};

/// Letters of a text that an outline shows.
const SHOWN_LETTERS: usize = 200;

/// A node, as far as an outline needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub visible: Option<bool>,
    pub characters: Option<String>,
    pub component_id: Option<String>,
    pub absolute_bounding_box: Option<Bounds>,
    pub children: Vec<Node>,
}

/// What a file says of a component that it uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Component {
    pub key: String,
    pub name: String,
}

/// The components that a file uses, by the ids of their nodes.
pub type Components = BTreeMap<String, Component>;

/// Where a node is and how large, in pixels of its page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Bounds {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// To the right.
    pub width: f64,
    /// Down.
    pub height: f64,
}

/// One line of an outline. Nodes stand below their parent, in the order in which they are drawn.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OutlineNode {
    /// For `get_nodes`, `render_images` and addresses.
    id: String,
    name: String,
    /// `FRAME`, `TEXT`, `INSTANCE`, …
    #[serde(rename = "type")]
    kind: String,
    /// How many nodes it is below the root.
    depth: usize,
    /// How many children it has of its own.
    children: usize,
    /// Only there when it is hidden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hidden: bool,
    /// The start of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Of what an instance is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    component_id: Option<String>,
    /// That component's key, for `get_component`.
    #[serde(skip_serializing_if = "Option::is_none")]
    component_key: Option<String>,
    /// That component's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    component_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<Bounds>,
}

/// Which nodes are shown.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// Types in capitals; all, if there are none.
    pub types: &'a [String],
    /// Part of a name or a text, in any case.
    pub contains: Option<&'a str>,
}

/// A part of an outline.
#[derive(Debug)]
pub struct Outline {
    pub nodes: Vec<OutlineNode>,
    /// How many nodes there are that the filter lets through.
    pub total: usize,
}

impl Outline {
    /// The nodes from a number on, at most so many.
    pub fn of<'a>(
        roots: impl IntoIterator<Item = (&'a Node, &'a Components)>,
        filter: &Filter<'_>,
        from: usize,
        most: usize,
    ) -> Self {
        let needle = filter.contains.map(str::to_lowercase);
        let mut outline = Self { nodes: Vec::new(), total: 0 };
        let mut waiting: Vec<(&Node, &Components, usize)> =
            roots.into_iter().map(|(root, components)| (root, components, 0)).collect();
        waiting.reverse();
        while let Some((node, components, depth)) = waiting.pop() {
            if filter.lets_through(node, needle.as_deref()) {
                if outline.total >= from && outline.nodes.len() < most {
                    outline.nodes.push(OutlineNode::of(node, components, depth));
                }
                outline.total += 1;
            }
            waiting.extend(node.children.iter().rev().map(|child| (child, components, depth + 1)));
        }
        outline
    }
}

impl Filter<'_> {
    fn lets_through(&self, node: &Node, needle: Option<&str>) -> bool {
        let is_type =
            self.types.is_empty() || self.types.iter().any(|kind| kind.eq_ignore_ascii_case(&node.kind));
        let has = |text: &str, needle: &str| text.to_lowercase().contains(needle);
        is_type
            && needle.is_none_or(|needle| {
                has(&node.name, needle) || node.characters.as_deref().is_some_and(|text| has(text, needle))
            })
    }
}

impl OutlineNode {
    fn of(node: &Node, components: &Components, depth: usize) -> Self {
        let component = node.component_id.as_ref().and_then(|id| components.get(id));
        Self {
            id: node.id.clone(),
            name: node.name.clone(),
            kind: node.kind.clone(),
            depth,
            children: node.children.len(),
            hidden: node.visible == Some(false),
            text: node.characters.as_deref().map(shown),
            component_id: node.component_id.clone(),
            component_key: component.map(|component| component.key.clone()),
            component_name: component.map(|component| component.name.clone()),
            bounds: node.absolute_bounding_box,
        }
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_LETTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// A place in an outline, and of which version of the file: pages of different versions would not fit together.
#[derive(Debug, PartialEq, Eq)]
pub struct Cursor {
    pub version: String,
    pub from: usize,
}

impl Cursor {
    /// Reads what [`Cursor::to_text`] wrote.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let parts = text.rsplit_once('.').and_then(|(version, from)| Some((version, from.parse().ok()?)));
        match parts {
            Some((version, from))
                if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Ok(Self { version: version.to_owned(), from })
            }
            _ => Err(Failure::invalid("`cursor` must be what `next_cursor` of the answer before said.")),
        }
    }

    /// As a text that only this program understands.
    pub fn to_text(&self) -> String {
        format!("{}.{}", self.version, self.from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree() -> Node {
        serde_json::from_value(json!({
            "id": "0:0", "name": "Document", "type": "DOCUMENT", "children": [
                { "id": "0:1", "name": "Page", "type": "CANVAS", "children": [
                    { "id": "1:1", "name": "Card", "type": "FRAME", "visible": false, "fills": [],
                      "absoluteBoundingBox": { "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0 },
                      "children": [
                        { "id": "1:2", "name": "Title", "type": "TEXT", "characters": "x".repeat(300) }
                      ] },
                    { "id": "1:3", "name": "Button", "type": "INSTANCE", "componentId": "9:9" },
                ] },
            ],
        }))
        .unwrap()
    }

    fn used() -> Components {
        serde_json::from_value(json!({ "9:9": { "key": "k9", "name": "Button/Primary" } })).unwrap()
    }

    fn ids(outline: &Outline) -> Vec<&str> {
        outline.nodes.iter().map(|node| node.id.as_str()).collect()
    }

    #[test]
    fn nodes_stand_below_their_parents_in_order() {
        let (tree, used) = (tree(), used());
        let outline = Outline::of([(&tree, &used)], &Filter::default(), 0, 100);
        assert_eq!(ids(&outline), ["0:0", "0:1", "1:1", "1:2", "1:3"]);
        assert_eq!(outline.nodes.iter().map(|node| node.depth).collect::<Vec<_>>(), [0, 1, 2, 3, 2]);
        let shown = serde_json::to_value(&outline.nodes[2]).unwrap();
        assert_eq!((&shown["hidden"], &shown["bounds"]["width"]), (&json!(true), &json!(3.0)));
        assert_eq!(outline.nodes[4].component_name.as_deref(), Some("Button/Primary"));
        assert_eq!(outline.nodes[3].text.as_ref().unwrap().chars().count(), SHOWN_LETTERS + 1);
    }

    #[test]
    fn pages_fit_together_and_filters_count() {
        let (tree, used) = (tree(), used());
        let first = Outline::of([(&tree, &used)], &Filter::default(), 0, 3);
        let second = Outline::of([(&tree, &used)], &Filter::default(), 3, 3);
        assert_eq!((ids(&first), ids(&second)), (vec!["0:0", "0:1", "1:1"], vec!["1:2", "1:3"]));
        assert_eq!((first.total, second.total), (5, 5));
        let types = ["text".to_owned()];
        let found = Outline::of([(&tree, &used)], &Filter { types: &types, contains: Some("TITLE") }, 0, 10);
        assert_eq!((ids(&found), found.total), (vec!["1:2"], 1));
    }

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor { version: "123".to_owned(), from: 40 };
        assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
        for wrong in ["", ".1", "1", "1.x", "a&b.1"] {
            assert!(Cursor::parse(wrong).is_err(), "{wrong}");
        }
    }
}
