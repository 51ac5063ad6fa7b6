//! What it is told on its command line. (A test of its own makes every run of all tests build the program.)

use std::process::Command;

#[test]
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn an_unknown_word_is_refused_with_those_that_there_are() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_roadstead-hostile")).arg("attack").output().expect("it can be run");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("bystander FOLDER"), "{said}");
}
