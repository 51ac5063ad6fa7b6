//! What a type may open in the walls around its servers, and what only an administrator may allow.

use std::collections::HashSet;

use roadstead_model::ConfinementLevel;

use super::Check;
use crate::confinement::absolute;
use crate::spec::{Author, Kind, ResourceLimits, SlotKind};
use crate::template::{Placeholder, Template};

/// Paths or ports of one list.
const MAX_ENTRIES: usize = 64;

impl Check<'_> {
    pub(super) fn confinement(&mut self) {
        let spec = self.spec;
        let walls = &spec.confinement;
        if self.author != Author::Admin {
            let given = [
                ("off", walls.off),
                ("read_paths", !walls.read_paths.is_empty()),
                ("write_paths", !walls.write_paths.is_empty()),
                ("outbound_ports", walls.outbound_ports.is_some()),
                ("listen", walls.listen),
            ];
            for (field, _) in given.into_iter().filter(|(_, given)| *given) {
                self.report(format!("confinement.{field}"), "may be set by an administrator only");
            }
        }
        if walls.off && walls.min.is_some_and(|min| min > ConfinementLevel::None) {
            self.report("confinement.min", "cannot be reached by a type that is not confined");
        }
        for (field, paths) in [("read_paths", &walls.read_paths), ("write_paths", &walls.write_paths)] {
            self.count(&format!("confinement.{field}"), paths.len());
            for (index, path) in paths.iter().enumerate() {
                if let Err(message) = absolute(path) {
                    self.report(format!("confinement.{field}[{index}]"), message);
                }
            }
        }
        if let Some(ports) = &walls.outbound_ports {
            self.count("confinement.outbound_ports", ports.len());
            if ports.contains(&0) {
                self.report("confinement.outbound_ports", "must be ports from 1 to 65535");
            }
        }
        if spec.size.is_some() && spec.resource_limits != ResourceLimits::default() {
            self.report("size", "stands for limits of its own; name them in resource_limits alone instead");
        }
        if spec.kind() == Kind::Remote && (!walls.read_paths.is_empty() || !walls.write_paths.is_empty()) {
            self.report("confinement", "has paths of a program, and a remote server has none here");
        }
    }

    fn count(&mut self, field: &str, entries: usize) {
        if entries > MAX_ENTRIES {
            self.report(field, format!("has more than {MAX_ENTRIES} entries"));
        }
    }

    /// Values of several lines fit no variable and no header, so they are never told that way.
    pub(super) fn delivery(&mut self) {
        let spec = self.spec;
        let texts = spec.args.iter().chain(spec.env.values()).chain(spec.headers.values());
        let mut told = HashSet::new();
        for template in texts.filter_map(|text| Template::parse(text).ok()) {
            for placeholder in template.placeholders() {
                if let Placeholder::Credential(slot) = placeholder {
                    told.insert(slot.clone());
                }
            }
        }
        for (index, slot) in spec.credential_slots.iter().enumerate() {
            if slot.kind == SlotKind::Multiline && told.contains(&slot.name) {
                let rule = "has values of several lines: hand it over with `${credential_file.SLOT}` or \
                            `${credential_fd.SLOT}`";
                self.report(format!("credential_slots[{index}].kind"), rule);
            }
        }
    }
}
