//! The packages that a launch's program is made of: held from the moment at which the type is read until the instance's row
//! says that they are needed, so that nobody removes what is about to run.

use std::sync::Arc;

use roadstead_model::{ProjectId, TypeId, TypeStatus};
use roadstead_packages::Hold;
use roadstead_store::TypeRow;
use serde_json::Value;

use crate::error::LaunchError;
use crate::parts::Inner;

/// Packages that stay while this, or a clone of it, is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct MadeOf {
    /// Where they lie in the store, for the row.
    pub(crate) places: Vec<String>,
    _holds: Arc<Vec<Hold>>,
}

/// Which type is meant.
pub(super) enum Which<'a> {
    /// By its name, or by its id as a text.
    Named(&'a str),
    /// By its id.
    Id(TypeId),
}

/// A type that may be launched in a project, with what it is made of; without a project, whatever was decided about it.
pub(super) async fn held(
    inner: &Inner,
    which: Which<'_>,
    project: Option<ProjectId>,
) -> Result<Option<(TypeRow, MadeOf)>, LaunchError> {
    let may_be = |row: &TypeRow| match project {
        // A type of another project is not there for this one.
        Some(project) => row.status == TypeStatus::Approved && row.project.is_none_or(|of| of == project),
        None => true,
    };
    let mut seen = None;
    loop {
        let mut types = inner.store().types();
        let found = match which {
            Which::Named(name) => match name.parse() {
                Ok(id) => types.get(id).await?,
                Err(_) => types.by_name(name, project).await?.into_iter().next(),
            },
            Which::Id(id) => types.get(id).await?,
        };
        let Some(row) = found.filter(may_be) else { return Ok(None) };
        match inner.made_of(&row.definition.spec).await {
            Some(made_of) => return Ok(Some((row, made_of))),
            // It names what is not there, as a database does that was set back: the start of its server fails, and says of what.
            None if seen == Some(row.version) => return Ok(Some((row, MadeOf::default()))),
            // The package went between two looks: the type was moved to another one before.
            None => seen = Some(row.version),
        }
    }
}

impl Inner {
    /// Holds the packages that a definition names; none when one of them is not there.
    async fn made_of(&self, spec: &Value) -> Option<MadeOf> {
        let places = self.places_in(spec);
        let mut holds = Vec::with_capacity(places.len());
        for place in &places {
            match self.parts.packages.hold(place).await {
                Ok(Some(hold)) => holds.push(hold),
                Ok(None) => return None,
                // Whoever cleans asks before it removes anything, and finds the type or the row.
                Err(error) => tracing::warn!(
                    package = place,
                    error = &error as &dyn std::error::Error,
                    "a package could not be held for a launch, which goes on"
                ),
            }
        }
        Some(MadeOf { places, _holds: Arc::new(holds) })
    }
}
