//! Each rule on what makes a type sound, broken one at a time and all at once.

use serde_json::json;

use super::*;
use crate::spec::Slot;

fn sound() -> TypeSpec {
    serde_json::from_value(json!({
        "name": "files",
        "display_name": "Files",
        "program": "/usr/bin/node",
        "args": ["/opt/files/index.js", "--port=${port}", "--root=${config.root}", "${dir}"],
        "env": {"TOKEN": "Bearer ${credential.token}", "WHO": "${instance.id}", "NODE_ENV": "production"},
        "credential_slots": [{"name": "token", "label": "Token", "pattern": "[a-z0-9]+"}],
        "config_schema": {"type": "object", "properties": {"root": {"type": "string"}}},
        "config_template": {"root": "/srv"},
        "required_scopes": ["https://www.googleapis.com/auth/gmail.readonly", "repo"]
    }))
    .unwrap()
}

#[track_caller]
fn problems(change: impl FnOnce(&mut TypeSpec)) -> Vec<Problem> {
    let mut spec = sound();
    change(&mut spec);
    spec.validate(Author::User).err().unwrap_or_default()
}

/// The change makes exactly one problem, in this field.
#[track_caller]
fn breaks(field: &str, change: impl FnOnce(&mut TypeSpec)) -> String {
    let found = problems(change);
    assert_eq!(found.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [field], "{found:?}");
    found[0].message.clone()
}

#[test]
fn a_sound_type_has_no_problem_and_gets_the_defaults() {
    let spec = sound();
    assert_eq!(spec.validate(Author::User), Ok(()));
    assert_eq!(spec.resource_limits, crate::ResourceLimits::default());
    assert_eq!((spec.ready_timeout_s, spec.max_duration_minutes), (30, 43_200));
    assert_eq!(spec.era, roadstead_model::Era::Auto);
    assert_eq!((spec.restart_fields(), spec.idle_limit_s), (RestartFields::default(), None));
    assert!(spec.credential_slots[0].secret && spec.credential_slots[0].required);
}

#[test]
fn a_type_survives_being_written_and_read() {
    let json = serde_json::to_string(&sound()).unwrap();
    assert_eq!(serde_json::from_str::<TypeSpec>(&json).unwrap(), sound());
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    for (pointer, key) in [("", "shell"), ("/credential_slots/0", "default"), ("/resource_limits", "gpu")] {
        let mut json = serde_json::to_value(sound()).unwrap();
        json.pointer_mut(pointer).unwrap()[key] = json!(1);
        let error = serde_json::from_value::<TypeSpec>(json).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn names_of_types_are_checked() {
    for name in ["", "Files", "files/../x", "files\n", "files;drop table mcp_types"] {
        breaks("name", |spec| spec.name = name.to_owned());
    }
}

#[test]
fn programs_are_absolute_files_without_detours() {
    for program in
        ["", "node", "./node", "/opt/../bin/sh", "/bin/", "/bin/sh\0", "/bin/\nsh", "/${config.root}"]
    {
        breaks("program", |spec| spec.program = Some(program.to_owned()));
    }
}

#[test]
fn working_folders_are_absolute_or_below_the_instances_own() {
    for good in ["/srv/data", "${dir}", "${dir}/work"] {
        assert_eq!(problems(|spec| spec.working_dir = Some(good.to_owned())), []);
    }
    for bad in ["", "data", "${dir}/../other", "${dir}work", "/srv/..", "${config.root}"] {
        breaks("working_dir", |spec| spec.working_dir = Some(bad.to_owned()));
    }
}

#[test]
fn a_credential_in_an_argument_is_refused_even_from_an_administrator() {
    let mut spec = sound();
    spec.args.push("--token=${credential.token}".to_owned());
    for author in [Author::User, Author::Admin] {
        let found = spec.validate(author).unwrap_err();
        assert_eq!(found[0].field, "args[4]");
        assert!(found[0].message.contains("credential"), "{found:?}");
    }
}

#[test]
fn placeholders_must_name_what_exists() {
    let message = breaks("env.TOKEN", |spec| spec.credential_slots.clear());
    assert!(message.contains("\"token\""), "{message}");
    breaks("args[4]", |spec| spec.args.push("${config.depth}".to_owned()));
    breaks("args[4]", |spec| spec.args.push("${env.HOME}".to_owned()));
    breaks("args[4]", |spec| spec.args.push("${port".to_owned()));
    breaks("env.X", |spec| drop(spec.env.insert("X".to_owned(), "${config.depth}".to_owned())));
    assert_eq!(problems(|spec| spec.config_template.clear()), [], "the schema knows the key");
}

#[test]
fn names_of_variables_are_capitals() {
    for name in ["", "token", "1A", "A-B", "A B", "A=B", "A\0", "É", "A\nB"] {
        let found = problems(|spec| drop(spec.env.insert(name.to_owned(), "x".to_owned())));
        assert_eq!(found.len(), 1, "{name:?}: {found:?}");
        assert!(!found[0].field.contains(['\0', '\n']), "{found:?}");
    }
}

#[test]
fn names_that_are_code_need_an_administrator() {
    for name in ["LD_PRELOAD", "NODE_OPTIONS", "PYTHONPATH", "BASH_ENV", "GIT_SSH_COMMAND", "PATH"] {
        let field = format!("env.{name}");
        let mut spec = sound();
        spec.env.insert(name.to_owned(), "x".to_owned());
        assert_eq!(spec.validate(Author::User).unwrap_err()[0].field, field);
        assert_eq!(spec.validate(Author::Admin), Ok(()), "{name}");
    }
}

#[test]
fn a_servers_own_folder_cannot_be_renamed_by_anybody() {
    let mut spec = sound();
    spec.env.insert("HOME".to_owned(), "/root".to_owned());
    spec.env.insert("ROADSTEAD_INSTANCE".to_owned(), "x".to_owned());
    assert_eq!(spec.validate(Author::Admin).unwrap_err().len(), 2);
}

#[test]
fn line_breaks_and_nul_in_templates_are_refused() {
    for text in ["a\nb", "a\rb", "a\0b", "\u{1b}[31m"] {
        breaks("env.X", |spec| drop(spec.env.insert("X".to_owned(), text.to_owned())));
        breaks("args[4]", |spec| spec.args.push(text.to_owned()));
    }
}

#[test]
fn slots_have_good_and_different_names_and_patterns_that_compile() {
    breaks("credential_slots[1].name", |spec| {
        let again = spec.credential_slots[0].clone();
        spec.credential_slots.push(again);
    });
    let with = |name: &str, label: &str, pattern: Option<&str>| Slot {
        name: name.to_owned(),
        label: label.to_owned(),
        description: None,
        secret: true,
        required: true,
        pattern: pattern.map(str::to_owned),
        kind: crate::SlotKind::Text,
    };
    breaks("credential_slots[1].name", |spec| spec.credential_slots.push(with("a}b", "L", None)));
    breaks("credential_slots[1].label", |spec| spec.credential_slots.push(with("a", " ", None)));
    for pattern in ["(", "(?=a)", "a)|(b", "(?:a{1000}){1000}"] {
        breaks("credential_slots[1].pattern", |spec| {
            spec.credential_slots.push(with("a", "L", Some(pattern)));
        });
    }
}

#[test]
fn schemas_must_compile_and_defaults_must_fit_them() {
    breaks("config_schema", |spec| spec.config_schema = Some(json!({"type": "colour"})));
    breaks("config_template.root", |spec| drop(spec.config_template.insert("root".to_owned(), json!(7))));
}

#[test]
fn icons_are_web_addresses_that_cannot_leave_an_attribute() {
    assert_eq!(problems(|spec| spec.icon_url = Some("https://example.com/a.svg?x=1".to_owned())), []);
    for url in ["javascript:alert(1)", "data:text/html,x", "https://x/\"onload=", "//x", "https://x y", ""] {
        breaks("icon_url", |spec| spec.icon_url = Some(url.to_owned()));
    }
}

#[test]
fn limits_outside_their_bounds_are_refused() {
    breaks("resource_limits.memory_mb", |spec| spec.resource_limits.memory_mb = 0);
    breaks("resource_limits.cpu", |spec| spec.resource_limits.cpu = f64::NAN);
    breaks("resource_limits.cpu", |spec| spec.resource_limits.cpu = -1.0);
    breaks("resource_limits.processes", |spec| spec.resource_limits.processes = 0);
    breaks("resource_limits.open_files", |spec| spec.resource_limits.open_files = u32::MAX);
    breaks("max_duration_minutes", |spec| spec.max_duration_minutes = 43_201);
    breaks("ready_timeout_s", |spec| spec.ready_timeout_s = 0);
    breaks("idle_limit_s", |spec| spec.idle_limit_s = Some(0));
    breaks("max_restarts", |spec| spec.max_restarts = 0);
    breaks("restart_window_s", |spec| spec.restart_window_s = 31);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let found = problems(|spec| {
        spec.name = "Bad Name".to_owned();
        spec.display_name = String::new();
        spec.program = Some("sh".to_owned());
        spec.args = vec!["${credential.token}".to_owned(), "${nope}".to_owned()];
        spec.env.insert("LD_PRELOAD".to_owned(), "x".to_owned());
        spec.resource_limits.memory_mb = 1;
        spec.required_scopes.push("two words".to_owned());
    });
    assert_eq!(found.len(), 8, "{found:?}");
}

#[test]
fn a_type_of_enormous_lists_is_refused() {
    let found = problems(|spec| spec.args = vec!["x".to_owned(); MAX_TEMPLATES + 1]);
    assert_eq!(found[0].field, "args");
    breaks("args[4]", |spec| spec.args.push("x".repeat(MAX_TEMPLATE_BYTES + 1)));
}

#[test]
fn a_bare_program_is_placed_and_a_path_is_left_alone() {
    let mut spec = sound();
    spec.place_program_in("/opt/roadstead/");
    assert_eq!(spec.program.as_deref(), Some("/usr/bin/node"));
    spec.program = Some("mcp-echo".to_owned());
    spec.place_program_in("/opt/roadstead/");
    assert_eq!(spec.program.as_deref(), Some("/opt/roadstead/mcp-echo"));
}

#[test]
fn only_an_administrator_opens_the_walls() {
    let opened: [fn(&mut TypeSpec); 5] = [
        |spec| spec.confinement.off = true,
        |spec| spec.confinement.listen = true,
        |spec| spec.confinement.read_paths = vec!["/opt/data".to_owned()],
        |spec| spec.confinement.write_paths = vec!["/srv/data".to_owned()],
        |spec| spec.confinement.outbound_ports = Some(vec![8443]),
    ];
    for open in opened {
        let mut spec = sound();
        open(&mut spec);
        assert_eq!(spec.validate(Author::Admin), Ok(()));
        let refused = spec.validate(Author::User).unwrap_err();
        assert!(refused.iter().all(|problem| problem.field.starts_with("confinement.")), "{refused:?}");
        assert_eq!(refused.len(), 1, "{refused:?}");
    }
    let mut spec = sound();
    spec.confinement.off = true;
    spec.confinement.min = Some(roadstead_model::ConfinementLevel::Basic);
    let refused = spec.validate(Author::Admin).unwrap_err();
    assert_eq!(refused[0].field, "confinement.min", "{refused:?}");
}

#[test]
fn a_size_stands_for_limits_and_is_not_given_beside_them() {
    let mut spec = sound();
    spec.size = Some(crate::Size::L);
    assert_eq!(spec.validate(Author::User), Ok(()));
    assert_eq!((spec.limits().memory_mb, spec.limits().open_files), (4096, 1024));
    breaks("size", |spec| {
        spec.size = Some(crate::Size::S);
        spec.resource_limits.memory_mb = 99;
    });
    assert!(serde_json::from_value::<crate::Size>(json!("XL")).is_err());
}

#[test]
fn values_of_several_lines_are_told_by_file_or_descriptor_only() {
    breaks("credential_slots[0].kind", |spec| spec.credential_slots[0].kind = crate::SlotKind::Multiline);
    let mut spec = sound();
    spec.credential_slots[0].kind = crate::SlotKind::Multiline;
    spec.env = [("KEY_FILE".to_owned(), "${credential_file.token}".to_owned())].into();
    spec.args.push("--key-fd=${credential_fd.token}".to_owned());
    assert_eq!(spec.validate(Author::User), Ok(()));
    breaks("env.KEY", |spec| {
        spec.env.insert("KEY".to_owned(), "${credential_file.other}".to_owned());
    });
}
