//! The servers that measurements and black-box tests use; being tested, they are also built with the tests.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

#[test]
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn the_smallest_server_answers_under_the_id_it_was_given() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_bench-stdio"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = server.stdin.take().expect("piped");
    let mut output = BufReader::new(server.stdout.take().expect("piped"));
    writeln!(input, r#"{{"jsonrpc":"2.0","id":7,"method":"ping"}}"#).expect("it reads");
    let mut line = String::new();
    output.read_line(&mut line).expect("it answers");
    assert!(line.contains(r#""id":7"#), "{line}");
    drop(input);
    assert!(server.wait().expect("it ends with its input").success());
}
