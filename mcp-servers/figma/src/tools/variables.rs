//! Variables: the values that designs are made of, in collections with modes.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Meta;
use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetVariables {
    /// The file's key, or its address.
    file: String,
    /// Only variables of this collection, by its id or name.
    #[serde(default)]
    collection: Option<String>,
    /// Only variables with these words in their name, in capitals or not.
    #[serde(default)]
    contains: Option<String>,
    /// At most so many variables: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before, with the other arguments as they were.
    #[serde(default)]
    cursor: Option<String>,
}

/// Variables and the collections that they are in.
#[derive(Debug, Serialize, JsonSchema)]
struct Variables {
    variables: Listed<Variable>,
    /// The collections of the file.
    collections: Vec<Collection>,
}

/// A value with a name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Variable {
    id: String,
    name: String,
    #[serde(default)]
    key: String,
    /// The collection's id.
    #[serde(default, rename(deserialize = "variableCollectionId"))]
    collection_id: String,
    /// `BOOLEAN`, `FLOAT`, `STRING` or `COLOR`.
    #[serde(default, rename(deserialize = "resolvedType"), alias = "resolvedDataType")]
    resolved_type: String,
    /// For local ones: for each mode's id its value, which may name another variable.
    #[serde(default, rename(deserialize = "valuesByMode"), skip_serializing_if = "BTreeMap::is_empty")]
    values_by_mode: BTreeMap<String, Value>,
    /// Whether it comes from another file's library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, rename(deserialize = "hiddenFromPublishing"), skip_serializing_if = "Option::is_none")]
    hidden_from_publishing: Option<bool>,
    /// Where it may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    /// What it is called in code, for each platform.
    #[serde(default, rename(deserialize = "codeSyntax"), skip_serializing_if = "BTreeMap::is_empty")]
    code_syntax: BTreeMap<String, String>,
    /// For published ones: the id that other files use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscribed_id: Option<String>,
    #[serde(default, rename(deserialize = "updatedAt"), skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

/// Variables that share their modes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Collection {
    id: String,
    name: String,
    #[serde(default)]
    key: String,
    /// For local ones: such as light and dark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modes: Vec<Mode>,
    #[serde(default, rename(deserialize = "defaultModeId"), skip_serializing_if = "Option::is_none")]
    default_mode_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscribed_id: Option<String>,
}

/// One of a collection's modes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Mode {
    #[serde(rename(deserialize = "modeId"))]
    mode_id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VariablesWire {
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    #[serde(default)]
    variable_collections: BTreeMap<String, Collection>,
}

#[tool_router(router = variables_tools, vis = "pub(crate)")]
impl Figma {
    /// The variables that a file has or uses, with their values in each mode. For Enterprise organisations only.
    #[tool(title = "Get local variables", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_local_variables(
        &self,
        Parameters(asked): Parameters<GetVariables>,
        call: Call,
    ) -> Result<Json<Variables>, Failure> {
        self.variables("local", asked, &call).await.map(Json)
    }

    /// The variables that a file publishes for others, without their values. For Enterprise organisations only.
    #[tool(title = "Get published variables", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_published_variables(
        &self,
        Parameters(asked): Parameters<GetVariables>,
        call: Call,
    ) -> Result<Json<Variables>, Failure> {
        self.variables("published", asked, &call).await.map(Json)
    }
}

impl Figma {
    async fn variables(&self, kind: &str, asked: GetVariables, call: &Call) -> Result<Variables, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let request = self.client.get(["v1", "files", key.as_str(), "variables", kind]);
        let wire: VariablesWire = request.fetch::<Meta<VariablesWire>>(call).await?.meta;
        let collections: Vec<Collection> = wire.variable_collections.into_values().collect();
        let collection = match &asked.collection {
            None => None,
            Some(wanted) => Some(id_of(&collections, wanted)?),
        };
        let contains = asked.contains.as_deref().map(str::to_lowercase);
        let mut variables: Vec<Variable> = wire.variables.into_values().collect();
        variables.retain(|variable| {
            collection.as_ref().is_none_or(|id| *id == variable.collection_id)
                && contains.as_ref().is_none_or(|words| variable.name.to_lowercase().contains(words))
        });
        variables
            .sort_by(|one, other| (&one.collection_id, &one.name).cmp(&(&other.collection_id, &other.name)));
        Ok(Variables { variables: Listed::of(variables, part), collections })
    }
}

fn id_of(collections: &[Collection], wanted: &str) -> Result<String, Failure> {
    let found = collections.iter().find(|each| each.id == wanted || each.name.eq_ignore_ascii_case(wanted));
    if let Some(collection) = found {
        return Ok(collection.id.clone());
    }
    let names: Vec<&str> = collections.iter().take(20).map(|each| each.name.as_str()).collect();
    Err(Failure::invalid(format!(
        "There is no such `collection` in the file. There are: {}.",
        names.join(", ")
    )))
}
