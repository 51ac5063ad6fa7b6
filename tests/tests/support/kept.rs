//! A data folder that outlives its services, and is swept with all that they left when the test is over.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use roadstead_test_support::app::{App, AppOptions, data_folder, programs};
use tempfile::TempDir;

/// The folder. Declared before the services in it, it is swept after them, whatever becomes of the test.
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
}

impl Kept {
    /// A new folder with a service in it, which like all later ones in it is given more environment.
    pub(crate) async fn start(command: &'static str, environment: &[(String, String)]) -> (Self, App) {
        let mut data = data_folder();
        data.disable_cleanup(true);
        let kept = Self { folder: data.path().to_owned(), environment: environment.to_vec() };
        let app = kept.start_again(command, data).await;
        (kept, app)
    }

    /// One more service in the folder of one that has ended.
    pub(crate) async fn start_again(&self, command: &'static str, data: TempDir) -> App {
        let environment = self.environment.clone();
        App::start_with(AppOptions { data: Some(data), command, environment, ..AppOptions::default() }).await
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let swept = run(&self.folder, &["reset", "--yes"], &[]);
        if !swept.status.success() {
            eprintln!("{} was not swept: {}", self.folder.display(), String::from_utf8_lossy(&swept.stderr));
        }
    }
}

/// Runs a command of the program in a folder, to its end.
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
pub(crate) fn run(data: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(programs().join("roadstead"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data)
        .env("ROADSTEAD_DATA_DIR", data)
        .envs(environment.iter().copied())
        .output()
        .expect("the program can be run")
}
