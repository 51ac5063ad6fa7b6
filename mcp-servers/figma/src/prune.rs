//! Trees that are too large to be told whole: their lowest parts are left out, and it is said where.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// What a node says instead of its children.
const LEFT_OUT: &str = "childrenLeftOut";
/// Shapes as paths: by far the most of a tree, and nothing that a model reads unless it asks for it.
const PATHS: &[&str] = &["fillGeometry", "strokeGeometry"];

/// How a tree came to fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Pruned {
    /// How many nodes say that their children are left out.
    pub cut_nodes: usize,
}

/// The root alone is larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Its bytes.
    pub bytes: usize,
}

/// Cuts a tree at the lowest level at which it is within so many bytes.
pub fn to_fit(root: &mut Value, limit: usize) -> Result<Pruned, TooLarge> {
    let mut levels = Vec::new();
    weigh(root, 0, &mut levels);
    let mut sum = 0;
    let deepest = levels.iter().position(|bytes| {
        sum += bytes;
        sum > limit
    });
    match deepest {
        None => Ok(Pruned { cut_nodes: 0 }),
        Some(0) => Err(TooLarge { bytes: levels[0] }),
        Some(level) => Ok(Pruned { cut_nodes: cut(root, level - 1) }),
    }
}

/// Takes the paths out of a tree.
pub fn without_paths(node: &mut Value) {
    if let Value::Object(fields) = node {
        for path in PATHS {
            fields.remove(*path);
        }
        if let Some(Value::Array(children)) = fields.get_mut("children") {
            children.iter_mut().for_each(without_paths);
        }
    }
}

/// Adds up, for each level, the bytes of its nodes without their children.
fn weigh(node: &Value, level: usize, levels: &mut Vec<usize>) {
    if levels.len() <= level {
        levels.push(0);
    }
    let Value::Object(fields) = node else {
        levels[level] += size(node);
        return;
    };
    for (name, value) in fields {
        match value {
            Value::Array(children) if name == "children" => {
                for child in children {
                    weigh(child, level + 1, levels);
                }
            }
            value => levels[level] += name.len() + 4 + size(value),
        }
    }
}

fn cut(node: &mut Value, levels_left: usize) -> usize {
    let Value::Object(fields) = node else { return 0 };
    if levels_left > 0 {
        let children = fields.get_mut("children").and_then(Value::as_array_mut);
        return children
            .map_or(0, |children| children.iter_mut().map(|child| cut(child, levels_left - 1)).sum());
    }
    leave_out(fields)
}

fn leave_out(fields: &mut Map<String, Value>) -> usize {
    let count = fields.get("children").and_then(Value::as_array).map_or(0, Vec::len);
    if count == 0 {
        return 0;
    }
    fields.remove("children");
    fields.insert(LEFT_OUT.to_owned(), count.into());
    1
}

/// The bytes of a value as JSON.
fn size(value: &Value) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither the counter nor a value of JSON can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tree() -> Value {
        json!({ "id": "0", "children": [
            { "id": "1", "children": [{ "id": "2", "text": "x".repeat(500) }, { "id": "3" }] },
            { "id": "4" },
        ] })
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut whole = tree();
        assert_eq!(to_fit(&mut whole, 10_000), Ok(Pruned { cut_nodes: 0 }));
        assert_eq!(whole, tree());
    }

    #[test]
    fn the_lowest_level_is_left_out_first_and_it_is_said_where() {
        let mut cut = tree();
        assert_eq!(to_fit(&mut cut, 200), Ok(Pruned { cut_nodes: 1 }));
        assert_eq!(
            cut,
            json!({ "id": "0", "children": [{ "id": "1", "childrenLeftOut": 2 }, { "id": "4" }] })
        );
        let mut root = json!({ "text": "x".repeat(100) });
        assert!(matches!(to_fit(&mut root, 50), Err(TooLarge { bytes }) if bytes > 100));
    }

    #[test]
    fn paths_are_taken_out_everywhere() {
        let mut node =
            json!({ "id": "1", "fillGeometry": [1], "children": [{ "strokeGeometry": [2], "fills": [] }] });
        without_paths(&mut node);
        assert_eq!(node, json!({ "id": "1", "children": [{ "fills": [] }] }));
    }

    fn any_tree() -> impl Strategy<Value = Value> {
        let leaf = "[a-z]{0,40}".prop_map(|name| json!({ "name": name }));
        leaf.prop_recursive(5, 60, 6, |inner| {
            ("[a-z]{0,40}", prop::collection::vec(inner, 0..6))
                .prop_map(|(name, children)| json!({ "name": name, "children": children }))
        })
    }

    proptest! {
        /// What is left is near the limit at most: marks and brackets are not counted, and there is one for each node.
        #[test]
        fn a_pruned_tree_is_small(mut tree in any_tree(), limit in 60_usize..2000) {
            let nodes = tree.to_string().matches("name").count();
            if to_fit(&mut tree, limit).is_ok() {
                prop_assert!(tree.to_string().len() <= limit + 40 * nodes);
            }
        }
    }
}
