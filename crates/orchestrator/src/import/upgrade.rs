//! Another version of a type's package: a later one, or the one before. What runs goes on with what it was launched with.

use roadstead_access::AdminPermit;
use roadstead_accounts::TypeRow;
use roadstead_accounts::types::spec_of;
use roadstead_catalog::TypeSpec;
use roadstead_catalog::import::Registry;
use roadstead_packages::{Progress, Wanted};

use super::{ImportError, NO_LOOK_FOR_LINKS, executable, package_of, package_use};
use crate::parts::Orchestrator;

/// Which version, of which type.
#[derive(Debug, Clone)]
pub struct UpgradeRequest {
    /// By id or name.
    pub named: String,
    /// The version of the type that was looked at.
    pub expected: Option<i32>,
    /// Exactly which version of the package; the newest, if none is named.
    pub version: Option<String>,
}

impl Orchestrator {
    /// Installs another version of a type's package and points the type to it. A version that is there is not fetched again.
    pub async fn upgrade_type(
        &self,
        permit: &AdminPermit,
        request: UpgradeRequest,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<TypeRow, ImportError> {
        let row = self.0.parts.accounts.type_for_change(permit, &request.named).await?;
        let mut spec = spec_of(&row)?;
        let Some(used) = spec.package.clone() else {
            return Err(ImportError::of("id", "the program of this type was not installed from a package"));
        };
        let registries = [(Registry::Npm, "npm"), (Registry::Pypi, "pypi"), (Registry::Cargo, "cargo")];
        let registry =
            registries.into_iter().find(|(_, word)| *word == used.manager).map(|(registry, _)| registry);
        let registry =
            registry.ok_or_else(|| ImportError::of("id", "the package of this type is of no known kind"))?;
        let package =
            package_of(registry, &used.name, &used.extras, request.version.as_deref()).map_err(|error| {
                match error {
                    ImportError::Invalid(problems) => ImportError::Invalid(
                        problems.into_iter().map(|(_, why)| ("version".to_owned(), why)).collect(),
                    ),
                    other => other,
                }
            })?;
        let wanted = Wanted { package, scripts: used.scripts };
        let (stored, _held) = self.installed(&wanted, hear).await?;
        let executable = executable(&stored, Some(&used.entry))?;
        let (program, leading) = self.command(&stored, executable)?;
        replace(&mut spec, &used.tree, &program, &leading);
        let package = package_use(used.scripts, &stored, executable);
        for path in spec.confinement.read_paths.iter_mut().filter(|path| **path == used.tree) {
            path.clone_from(&package.tree);
        }
        spec.version = Some(package.version.clone());
        spec.package = Some(package);
        let value =
            serde_json::to_value(&spec).map_err(|error| ImportError::of("type", error.to_string()))?;
        // Whoever changed the type while the package was fetched is not overwritten.
        let expected = Some(request.expected.unwrap_or(row.version));
        let updated = self.0.parts.accounts.update_type(permit, &row.name, expected, value, None).await;
        let updated = updated.map_err(ImportError::Accounts)?;
        // The way back takes no time for as long as the version before stays from now on.
        self.0.mark_packages(self.0.places_in(&row.definition.spec).iter().map(String::as_str));
        Ok(updated)
    }
}

/// Puts another program in the place of the one below `tree`; everything that an administrator wrote stays.
fn replace(spec: &mut TypeSpec, tree: &str, program: &str, leading: &[String]) {
    let is_below = |text: &str| text.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
    if spec.program.as_deref().is_some_and(is_below) {
        spec.program = Some(program.to_owned());
    }
    let (Some(place), Some(file)) = (spec.args.iter().position(|arg| is_below(arg)), leading.last()) else {
        return;
    };
    spec.args[place].clone_from(file);
    // What holds for one version's files need not hold for another's.
    let has_flag = place > 0 && spec.args[place - 1] == NO_LOOK_FOR_LINKS;
    if has_flag && !leading.iter().any(|arg| arg == NO_LOOK_FOR_LINKS) {
        spec.args.remove(place - 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_lies_in_the_old_package_is_replaced() {
        let mut spec: TypeSpec = serde_json::from_value(json!({
            "name": "a", "display_name": "A", "program": "/usr/bin/node",
            "args": ["--flag", "/p/npm/a/1-x/tree/run.js", "/p/npm/a/1-x/treehouse"],
        }))
        .unwrap();
        replace(&mut spec, "/p/npm/a/1-x/tree", "/usr/bin/node", &["/p/npm/a/2-y/tree/run.js".to_owned()]);
        assert_eq!(spec.args, ["--flag", "/p/npm/a/2-y/tree/run.js", "/p/npm/a/1-x/treehouse"]);
        assert_eq!(spec.program.as_deref(), Some("/usr/bin/node"));
        let with_flag = |spec: &mut TypeSpec, leading: &[&str]| {
            let args = [NO_LOOK_FOR_LINKS, "/p/npm/a/1-x/tree/run.js", "stdio"];
            spec.args = args.map(str::to_owned).to_vec();
            let leading: Vec<_> = leading.iter().map(|&arg| arg.to_owned()).collect();
            replace(spec, "/p/npm/a/1-x/tree", "/usr/bin/node", &leading);
            spec.args.clone()
        };
        let file = "/p/npm/a/2-y/tree/run.js";
        let kept = with_flag(&mut spec, &[NO_LOOK_FOR_LINKS, file]);
        assert_eq!(kept, [NO_LOOK_FOR_LINKS, file, "stdio"]);
        assert_eq!(with_flag(&mut spec, &[file]), [file, "stdio"], "the next version has links");
        spec.program = Some("/p/cargo/a/1-x/tree/bin/a".to_owned());
        replace(&mut spec, "/p/cargo/a/1-x/tree", "/p/cargo/a/2-y/tree/bin/a", &[]);
        assert_eq!(spec.program.as_deref(), Some("/p/cargo/a/2-y/tree/bin/a"));
    }
}
