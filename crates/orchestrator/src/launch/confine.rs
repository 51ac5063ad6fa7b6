//! The walls that a launch asks for: what its type, its configuration and the settings leave open.

use std::path::{Path, PathBuf};

use roadstead_accounts::{Access, AllowedRoot, Settings};
use roadstead_catalog::{ConfigPath, Kind, Rendered, TypeSpec};
use roadstead_control::{FailureCode, Grant, Policy};
use roadstead_model::{ConfinementLevel, PortRange};

use super::steps::Reserved;
use crate::error::{Failure, LaunchError, Problem};
use crate::parts::Inner;

/// Ports that everything needs: HTTPS, HTTP, DNS. Even ours is left open when it is one of them; it asks for a key.
const COMMON_PORTS: [u16; 3] = [443, 80, 53];
/// What a remote server's relay needs beside the server's port.
const DNS_PORT: u16 = 53;

/// The level that a launch has to reach.
pub(super) fn least_level(spec: &TypeSpec, settings: &Settings) -> ConfinementLevel {
    settings.min_confinement.max(spec.confinement.min.unwrap_or_default())
}

impl Reserved {
    /// Whether a type without walls may be launched at all; of the others the shim tells what it could put up.
    pub(super) fn is_confined_enough(&self, inner: &Inner) -> Result<(), LaunchError> {
        let spec = &self.plan.spec;
        let least = least_level(spec, &inner.settings());
        if !spec.confinement.off || least == ConfinementLevel::None {
            return Ok(());
        }
        let code = FailureCode::ConfinementTooWeak.as_str().to_owned();
        let message = format!("the type is launched without confinement, and at least {least} is demanded");
        let failure = Failure { code, message, stderr_tail: Vec::new(), timed_out: false };
        Err(LaunchError::ServerFailed { instance: self.instance, failure })
    }
}

/// The paths of people that a configuration names, each below a root that an admin allows; what is not is a
/// problem of its field.
pub(super) fn grants(paths: &[ConfigPath], roots: &[AllowedRoot], problems: &mut Vec<Problem>) -> Vec<Grant> {
    let mut granted = Vec::with_capacity(paths.len());
    for path in paths {
        match grant(path, roots) {
            Ok(grant) => granted.push(grant),
            Err(message) => problems.push((path.field.clone(), message)),
        }
    }
    granted
}

fn grant(path: &ConfigPath, roots: &[AllowedRoot]) -> Result<Grant, String> {
    let below = |root: &AllowedRoot| Path::new(&path.path).strip_prefix(&root.path).ok().map(Path::to_owned);
    let mut holding = roots.iter().filter_map(|root| Some((root, below(root)?))).peekable();
    if holding.peek().is_none() {
        return Err(
            "is not below a folder that an admin has allowed; the setting `confinement.allowed_roots` names them"
                .to_owned(),
        );
    }
    holding
        .find(|(root, _)| !path.write || root.access == Access::ReadWrite)
        .map(|(root, below)| Grant { root: root.path.clone(), below, write: path.write })
        .ok_or_else(|| "is below a folder that an admin has allowed to be read, not to be changed".to_owned())
}

/// The walls of an instance whose own folder is `own`; none for a type without.
pub(super) fn policy(
    inner: &Inner,
    spec: &TypeSpec,
    rendered: &Rendered,
    grants: &[Grant],
    own: &Path,
) -> Option<Policy> {
    if spec.confinement.off {
        return None;
    }
    let settings = inner.settings();
    let owned = |paths: &[String]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let is_local_http = spec.kind() == Kind::LocalHttp;
    let asked = match spec.kind() {
        Kind::Remote => rendered.url_port.into_iter().chain([DNS_PORT]).collect(),
        Kind::Stdio | Kind::LocalHttp => {
            spec.confinement.outbound_ports.clone().unwrap_or_else(|| settings.outbound_ports.clone())
        }
    };
    Some(Policy {
        own: own.to_owned(),
        programs: owned(&rendered.named_paths),
        read: owned(&spec.confinement.read_paths),
        write: owned(&spec.confinement.write_paths),
        grants: grants.to_vec(),
        connect: outbound(asked, settings.ports, &inner.parts.closed_ports),
        bind: rendered.url_port.filter(|_| is_local_http).into_iter().collect(),
        listen: is_local_http || spec.confinement.listen,
        hide: inner.parts.hidden.clone(),
        min: least_level(spec, &settings),
    })
}

/// The ports that are asked for, without those through which an instance would reach another one or us.
fn outbound(asked: Vec<u16>, pool: PortRange, closed: &[u16]) -> Vec<u16> {
    let is_ours = |port: u16| {
        let is_pooled = (pool.first().get()..=pool.last().get()).contains(&port);
        (is_pooled || closed.contains(&port)) && !COMMON_PORTS.contains(&port)
    };
    asked.into_iter().filter(|port| !is_ours(*port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str, access: Access) -> AllowedRoot {
        AllowedRoot { path: path.into(), access }
    }

    fn path(path: &str, write: bool) -> ConfigPath {
        ConfigPath { field: "config.root".to_owned(), path: path.to_owned(), write }
    }

    #[test]
    fn a_path_is_granted_below_an_allowed_root_only() {
        let roots = [root("/srv/a", Access::Read), root("/srv/b", Access::ReadWrite)];
        let granted = |wanted: &ConfigPath| grant(wanted, &roots).ok();
        let expected =
            |root: &str, below: &str, write| Some(Grant { root: root.into(), below: below.into(), write });
        assert_eq!(granted(&path("/srv/a/x/y", false)), expected("/srv/a", "x/y", false));
        assert_eq!(granted(&path("/srv/a", false)), expected("/srv/a", "", false));
        assert_eq!(granted(&path("/srv/b/x", true)), expected("/srv/b", "x", true));
        assert_eq!(granted(&path("/srv/a/x", true)), None, "it may be read only");
        for outside in ["/srv/ab", "/srv", "/etc/passwd", "/srv/c/a"] {
            assert_eq!(granted(&path(outside, false)), None, "{outside}");
        }
    }

    #[test]
    fn of_two_roots_the_one_that_permits_it_counts() {
        let roots = [root("/srv", Access::Read), root("/srv/b", Access::ReadWrite)];
        let grant = grant(&path("/srv/b/x", true), &roots).unwrap();
        assert_eq!(grant.root, Path::new("/srv/b"));
    }

    #[test]
    fn what_is_not_granted_is_a_problem_of_its_field() {
        let mut problems = Vec::new();
        assert_eq!(grants(&[path("/x", false)], &[], &mut problems), []);
        assert_eq!(problems[0].0, "config.root");
    }

    #[test]
    fn no_port_of_the_pool_or_of_ours_is_left_open() {
        let port = |number| roadstead_model::Port::new(number).unwrap().get();
        let pool = PortRange::new(port(3001), port(3100)).unwrap();
        let asked = vec![443, 80, 53, 3001, 3100, 3101, 8700, 5432];
        assert_eq!(outbound(asked, pool, &[8700, 5432]), [443, 80, 53, 3101]);
        assert_eq!(outbound(vec![443], pool, &[443]), [443], "everything needs it");
    }
}
