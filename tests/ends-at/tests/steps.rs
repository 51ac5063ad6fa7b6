//! It ends at steps that there are, and at no other. (A test of its own makes every run of all tests build the program.)

use std::process::{Command, Output};

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn run(step: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roadstead-ends-at"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("ROADSTEAD_ENDS_AT", step)
        .output()
        .expect("the program can be run")
}

#[test]
fn a_step_that_there_is_not_is_refused_before_anything_starts() {
    let output = run("somewhere");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("step") && said.contains("somewhere"), "{said}");
}
