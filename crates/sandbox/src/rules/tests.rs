use std::os::unix::fs::symlink;

use super::*;

fn place(file: &str, closed: &[&str], project: Option<&str>) -> String {
    let closed: Vec<PathBuf> = closed.iter().map(PathBuf::from).collect();
    let place = place_of(Path::new(file), &closed, |folder| Some(folder) == project.map(Path::new));
    place.to_str().unwrap().to_owned()
}

#[test]
fn an_installation_is_as_large_as_it_must_be_and_no_larger() {
    for (file, project, expected) in [
        ("/opt/app/bin/server", None, "/opt/app"),
        ("/home/ann/project/.venv/bin/python", None, "/home/ann/project/.venv"),
        ("/home/ann/.nvm/versions/node/v22/bin/node", None, "/home/ann/.nvm/versions/node/v22"),
        ("/srv/x/node_modules/a/node_modules/b/cli.js", None, "/srv/x/node_modules"),
        ("/srv/x/src/deep/main.js", Some("/srv/x"), "/srv/x"),
        ("/srv/x/main", None, "/srv/x/main"),
        ("/opt/bin/server", None, "/opt/bin/server"),
        ("/bin/sh", None, "/bin/sh"),
        ("/home/ann/bin/server", None, "/home/ann/bin/server"),
        ("/root/bin/server", None, "/root/bin/server"),
        ("/home/ann/.local/bin/server", None, "/home/ann/.local/bin/server"),
        ("/home/ann/.cargo/bin/server", None, "/home/ann/.cargo/bin/server"),
        ("/home/ann/main.js", Some("/home/ann"), "/home/ann/main.js"),
        ("/home/ann/node_modules/x/cli.js", None, "/home/ann/node_modules"),
    ] {
        assert_eq!(place(file, &[], project), expected);
    }
}

#[test]
fn what_is_closed_is_in_no_installation() {
    assert_eq!(place("/srv/data/bin/server", &["/srv/data"], None), "/srv/data/bin/server");
    assert_eq!(place("/srv/bin/bin/server", &["/srv/bin/other"], None), "/srv/bin/bin/server");
    assert_eq!(
        place("/srv/data/store/x/main.js", &["/srv/data"], Some("/srv/data")),
        "/srv/data/store/x/main.js"
    );
    assert_eq!(place("/srv/data/store/x/bin/a", &["/srv/data"], None), "/srv/data/store/x");
}

#[test]
fn every_link_and_interpreter_on_the_way_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().canonicalize().unwrap();
    for name in ["venv/bin", "real/bin", "scripts"] {
        std::fs::create_dir_all(at.join(name)).unwrap();
    }
    std::fs::write(at.join("real/bin/python"), "\x7fELF").unwrap();
    symlink("../../real/bin/python", at.join("venv/bin/python")).unwrap();
    symlink(at.join("venv"), at.join("current")).unwrap();
    let script = at.join("scripts/tool");
    std::fs::write(&script, format!("#! {}/current/bin/python -u\nprint()", at.display())).unwrap();
    let places = installation(&script, &[]);
    assert_eq!(places, [script, at.join("venv"), at.join("real")]);
    assert_eq!(installation(&at.join("nothing"), &[]), [] as [PathBuf; 0]);
}

#[test]
fn a_link_to_itself_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("loop");
    symlink(&link, &link).unwrap();
    assert_eq!(installation(&link, &[]).len(), 1);
}
