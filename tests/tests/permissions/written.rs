//! What the audit log says of all that was asked: of each change one entry, by the operation's own name, and of nothing else one.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_model::Operation;
use roadstead_test_support::app::Answer;

use crate::people::World;

/// One request, and whether it was done.
pub struct Asked {
    operation: Operation,
    request: String,
    is_change: bool,
    is_done: bool,
}

impl Asked {
    pub fn new(operation: Operation, method: &str, answer: &Answer) -> Self {
        let request = answer.headers["x-request-id"].to_str().expect("a plain name").to_owned();
        Self { operation, request, is_change: method != "GET", is_done: answer.status < 300 }
    }
}

/// What the log says otherwise than it should.
pub async fn against(asked: &[Asked], world: &mut World) -> Vec<String> {
    let sql = "select request_id || ' ' || action from audit_logs where outcome = 'done' and request_id is not null";
    let mut entries = BTreeMap::<String, Vec<String>>::new();
    for line in world.found(sql).await {
        let (request, action) = line.split_once(' ').expect("two words");
        entries.entry(request.to_owned()).or_default().push(action.to_owned());
    }
    let mut wrong = Vec::new();
    let (mut changing, mut written) = (BTreeSet::new(), BTreeSet::new());
    for one in asked {
        let name = one.operation.as_str();
        let of_it = entries.get(&one.request).map_or(&[][..], Vec::as_slice);
        if one.is_change && one.is_done {
            changing.insert(name);
        }
        match of_it {
            [] => {}
            [action] if one.is_done && action == one.operation.action() => {
                written.insert(name);
            }
            other => wrong.push(format!("{name} (done: {}) wrote {other:?}", one.is_done)),
        }
    }
    for name in changing.difference(&written) {
        wrong.push(format!("{name} never wrote an entry"));
    }
    wrong
}
