//! The suite's resources and its template.

use rmcp::model::{ErrorData, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use super::content::IMAGE;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";
const TEMPLATE: &str = "test://template/{id}/data";

pub fn all() -> Vec<Resource> {
    let resource = |uri, name, mime_type| Resource::new(uri, name).with_mime_type(mime_type);
    vec![
        resource(TEXT, "static-text", "text/plain").with_description("A text that stays as it is"),
        resource(BINARY, "static-binary", "image/png").with_description("An image"),
        resource(WATCHED, "watched-resource", "text/plain").with_description(
            "A text to subscribe to; test_trigger_resource_change says that it has changed",
        ),
    ]
}

pub fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(TEMPLATE, "template")
            .with_description("Data of an id")
            .with_mime_type("application/json"),
    ]
}

/// The contents behind a URI.
pub fn read(uri: &str) -> Result<ResourceContents, ErrorData> {
    Ok(match uri {
        TEXT => text(uri, "This is the content of the static text resource."),
        WATCHED => text(uri, "Watched resource content"),
        BINARY => ResourceContents::blob(IMAGE, uri).with_mime_type("image/png"),
        _ => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let missing = || ErrorData::resource_not_found("Resource not found", Some(json!({"uri": uri})));
            let id = id.ok_or_else(missing)?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
    })
}

fn text(uri: &str, text: &str) -> ResourceContents {
    ResourceContents::text(text, uri).with_mime_type("text/plain")
}
