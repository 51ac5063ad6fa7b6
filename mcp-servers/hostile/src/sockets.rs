//! Unix sockets: of other programs, of the shims, of the database.

use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use crate::network::judged;
use crate::outcome::{Outcome, errno, tried};
use crate::target::Target;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// PostgreSQL's protocol, version 3.0.
const POSTGRES_PROTOCOL: u32 = 196_608;

fn connected(path: &Path) -> Result<UnixStream, Errno> {
    let stream = UnixStream::connect(path).map_err(|error| errno(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| errno(&error))?;
    Ok(stream)
}

pub fn abstract_socket(target: &Target) -> Outcome {
    let stream = SocketAddr::from_abstract_name(target.abstract_socket.as_bytes())
        .and_then(|address| UnixStream::connect_addr(&address));
    Outcome::any([("connect", tried(stream, |_| "connected".into()))])
}

pub fn path_socket(target: &Target) -> Outcome {
    Outcome::any([("connect", connected(&target.path_socket).map(|_| "connected".into()))])
}

pub fn home_socket(target: &Target) -> Outcome {
    Outcome::any([("connect", connected(&target.home_socket).map(|_| "connected".into()))])
}

/// Says something, and hears what is answered.
fn answered(path: &Path, said: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut stream = connected(path).map_err(|errno| Outcome::Refused(errno, "connect".into()))?;
    let mut answer = vec![0; 4096];
    let heard = stream.write_all(said).and_then(|()| stream.read(&mut answer));
    match heard {
        Ok(0) | Err(_) => Err(Outcome::Useless("connected; it said nothing and hung up".into())),
        Ok(count) => {
            answer.truncate(count);
            Ok(answer)
        }
    }
}

pub fn control(target: &Target) -> Outcome {
    // A proof of the length that is expected, and a command, framed as the service's are.
    let command = br#"{"stop":{"reason":"user"}}"#;
    let mut said = vec![0_u8; 64];
    said.extend(u32::try_from(command.len()).unwrap_or_default().to_be_bytes());
    said.extend(command);
    match answered(&target.control_socket, &said) {
        // Whether the command was obeyed is seen from outside.
        Ok(answer) => Outcome::Done(format!("connected; {} bytes answered", answer.len())),
        Err(outcome) => outcome,
    }
}

pub fn gateway(target: &Target) -> Outcome {
    let mut last = Outcome::Absent("nothing was tried".into());
    let tokens = ["", "Authorization: Bearer rsi_wrong\r\n"];
    for token in tokens {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}Content-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        last = match answered(&target.gateway_socket, request.as_bytes()) {
            Ok(answer) => judged(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default()),
            Err(outcome) => outcome,
        };
        if matches!(last, Outcome::Got(_)) {
            break;
        }
    }
    last
}

pub fn database(target: &Target) -> Outcome {
    let mut last = Outcome::Absent("nothing was tried".into());
    for user in ["roadstead_app", "roadstead", "postgres"] {
        let mut words = Vec::new();
        for word in ["user", user, "database", "roadstead"] {
            words.extend(word.as_bytes());
            words.push(0);
        }
        words.push(0);
        let mut said = u32::try_from(words.len() + 8).unwrap_or_default().to_be_bytes().to_vec();
        said.extend(POSTGRES_PROTOCOL.to_be_bytes());
        said.extend(words);
        last = match answered(&target.database_socket, &said) {
            Ok(answer) => entered(user, &answer),
            Err(outcome) => outcome,
        };
        if matches!(last, Outcome::Got(_)) {
            break;
        }
    }
    last
}

/// `R` and a zero is a welcome; `R` and anything else asks for a proof; `E` is a refusal.
fn entered(user: &str, answer: &[u8]) -> Outcome {
    match answer {
        [b'R', _, _, _, _, 0, 0, 0, 0, ..] => Outcome::Got(format!("entered as {user}")),
        [b'R', _, _, _, _, _, _, _, kind, ..] => {
            Outcome::Useless(format!("connected; a proof is demanded ({kind})"))
        }
        _ => Outcome::Useless("connected; turned away".into()),
    }
}
