//! It becomes nobody that it was not told to. (A test of its own makes every run of all tests build the program.)

use std::process::Command;

#[test]
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn a_user_that_is_no_number_is_refused_before_anything_starts() {
    let output = Command::new(env!("CARGO_BIN_EXE_roadstead-on-less"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("ROADSTEAD_TEST_USER", "somebody")
        .output()
        .expect("the program can be run");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the user is a number"), "{said}");
}
