//! How well this machine can confine.

use roadstead_test_support::app::programs;

/// What the doctor says of the level that instances reach here, if it is not the highest.
#[expect(clippy::disallowed_methods, reason = "the program is asked as a person would")]
pub(crate) fn less_than_full() -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let asked = std::process::Command::new(programs().join("roadstead"))
        .args(["doctor", "--data-dir"])
        .arg(folder.path())
        .output()
        .expect("the doctor can be asked");
    let said = String::from_utf8_lossy(&asked.stdout);
    let line = said.lines().find(|line| line.starts_with("confinement")).unwrap_or("the doctor does not say");
    (!line.contains("`full`")).then(|| line.to_owned())
}
