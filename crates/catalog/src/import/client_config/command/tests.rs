use super::*;

fn run(command: &str, args: &[&str]) -> (Option<Run>, Vec<String>) {
    let mut draft = Draft::new("a", "a");
    let run = read("s.a", command, args, &mut draft);
    let problems = std::mem::take(&mut draft.problems).into_list();
    (run, problems.into_iter().map(|problem| problem.to_string()).collect())
}

#[track_caller]
fn package(command: &str, args: &[&str]) -> (String, Option<String>, usize) {
    match run(command, args) {
        (Some(Run::Package { package, entry, from, .. }), _) => (package.to_string(), entry, from),
        other => panic!("{command} {args:?}: {other:?}"),
    }
}

#[test]
fn every_runner_names_its_package() {
    for (command, args, expected, from) in [
        ("npx", &["-y", "@a/b@1.0.0", "--x"][..], "npm:@a/b@1.0.0", 2),
        ("npx", &["a"], "npm:a", 1),
        ("/opt/homebrew/bin/npx", &["--yes", "a@latest"], "npm:a@latest", 2),
        ("npx.cmd", &["-y", "--", "a"], "npm:a", 3),
        ("cmd", &["/c", "npx", "-y", "a"], "npm:a", 4),
        ("npm", &["exec", "--yes", "a"], "npm:a", 3),
        ("bunx", &["--bun", "a"], "npm:a", 2),
        ("bun", &["x", "a"], "npm:a", 2),
        ("pnpm", &["dlx", "a"], "npm:a", 2),
        ("yarn", &["dlx", "a"], "npm:a", 2),
        ("uvx", &["mcp-server-git==0.6.2", "--repository"], "pypi:mcp-server-git@0.6.2", 1),
        ("uvx", &["--python", "3.12", "mcp_server.git@latest"], "pypi:mcp-server-git@latest", 3),
        ("uv", &["tool", "run", "a[cli]"], "pypi:a[cli]", 3),
        ("pipx", &["run", "a"], "pypi:a", 2),
    ] {
        assert_eq!(package(command, args), (expected.to_owned(), None, from), "{command} {args:?}");
    }
}

#[test]
fn a_package_may_have_a_program_of_another_name() {
    let entry = |name: &str| Some(name.to_owned());
    assert_eq!(
        package("uvx", &["--from", "httpie==3.0", "http", "x"]),
        ("pypi:httpie@3.0".to_owned(), entry("http"), 3)
    );
    assert_eq!(package("npx", &["--package=a@1.0.0", "b"]), ("npm:a@1.0.0".to_owned(), entry("b"), 2));
    assert_eq!(package("npx", &["-y", "-p", "a", "a"]), ("npm:a".to_owned(), None, 4));
    assert_eq!(package("pipx", &["run", "--spec", "a", "b"]), ("pypi:a".to_owned(), entry("b"), 4));
}

#[track_caller]
fn refused(command: &str, args: &[&str], words: &str) {
    let (run, problems) = run(command, args);
    assert_eq!(run, None, "{command} {args:?}");
    assert!(problems.iter().any(|problem| problem.contains(words)), "{command} {args:?}: {problems:?}");
}

#[test]
fn containers_shells_and_other_code_are_refused() {
    refused("docker", &["run", "-i", "--rm", "mcp/github"], "runs a container");
    refused("/usr/bin/podman", &["run"], "runs a container");
    refused("bash", &["-c", "curl x | sh"], "runs a shell");
    refused("cmd", &["/c", "del", "x"], "runs a shell");
    refused("/bin/sh", &[], "runs a shell");
    refused("npx -y a", &[], "bare name");
    refused("./server", &[], "absolute path");
    refused("C:\\tools\\a.exe", &[], "absolute path");
    refused("", &[], "absolute path");
}

#[test]
fn runners_are_held_to_one_package_of_their_registry() {
    refused("npx", &["-y", "github:a/b"], "s.a.args[1]: is an address");
    refused("npx", &["https://example.com/a.tgz"], "is an address");
    refused("npx", &["--registry", "https://example.com", "a"], "is an option of npx");
    refused("npx", &["-c", "id"], "is an option of npx");
    refused("npx", &["-p", "a", "-p", "b", "c"], "a second one");
    refused("npx", &["-y"], "names no package");
    refused("npx", &[], "names no package");
    refused("npx", &["-p"], "names no package");
    refused("uvx", &["--from", "git+https://example.com/a", "a"], "is an address");
    refused("uvx", &["--with", "b", "a"], "is an option of uvx");
    refused("uvx", &["--from", "a", "../b"], "one of the package's programs");
    refused("uvx", &["a>=1"], "range");
}

#[test]
fn programs_of_this_machine_need_a_yes() {
    for (command, args) in
        [("node", &["/opt/a.js"][..]), ("/opt/server", &[]), ("npm", &["start"]), ("uv", &["run", "a.py"])]
    {
        let mut draft = Draft::new("a", "a");
        let run = read("s.a", command, args, &mut draft);
        assert_eq!(run, Some(Run::Program { program: command.to_owned(), from: 0 }));
        let proposal = draft.into_proposal(crate::import::Source::ClientConfig(String::new()), None);
        assert_eq!(proposal.needs_approval.len(), 1, "{command}");
    }
}
