//! Servers that speak HTTP: who listens on their port, and where their processes listen besides.

use std::net::{SocketAddr, TcpListener};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_control::{
    FailureCode, HttpServer, HttpTransport, LifecycleStep, Outcome, ServerEnd, Specification, UserIds,
};

use crate::failure::fails;
use crate::support::{Place, free_address, is_root};

/// Nobody has users from here on.
const FIRST_USER: u32 = 1_870_000_000;

/// A server that listens where its flags say, and is looked for at an address.
fn server(place: &Place, flags: &[&str], address: SocketAddr) -> Specification {
    let http = HttpServer {
        transport: HttpTransport::StreamableHttp,
        url: format!("http://{address}/mcp"),
        allow_any_interface: false,
    };
    // The sockets of a user count: another test's must not.
    let uid = FIRST_USER + u32::from(address.port());
    let user = is_root().then_some(UserIds { uid, gid: uid });
    Specification { http: Some(http), user, ..place.specification(flags) }
}

/// The same port, on every interface.
fn everywhere(address: SocketAddr) -> String {
    format!("0.0.0.0:{}", address.port())
}

#[tokio::test]
async fn a_server_that_answers_on_the_loopback_address_is_ready_and_goes_when_asked() {
    let place = Place::new();
    let address = free_address();
    let specification = server(&place, &["--ignore-end-of-input", "--listen", &address.to_string()], address);
    let mut launched = place.launch(specification).await;
    let server = launched.ready.server;
    launched
        .shim
        .control()
        .stop(roadstead_control::StopReason::Requested, std::time::Duration::ZERO)
        .await
        .unwrap();
    launched.exited().await;
    assert!(!roadstead_supervisor::is_alive(server));
    TcpListener::bind(address).expect("nobody listens any more");
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_on_its_port() {
    let place = Place::new();
    let address = free_address();
    let mut specification =
        server(&place, &["--ignore-end-of-input", "--listen", &address.to_string()], address);
    specification.restart = crate::again::at_most(1);
    let mut launched = place.launch(specification).await;
    kill(Pid::from_raw(launched.ready.server.pid), Signal::SIGKILL).unwrap();
    let LifecycleStep::Restarted { process_id, ended, .. } = launched.step().await.step;
    assert_eq!(ended, Some(ServerEnd::Signal(9)));
    std::net::TcpStream::connect(address).expect("it listens again");
    kill(Pid::from_raw(process_id), Signal::SIGTERM).unwrap();
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::CrashLoop, Some(ServerEnd::Signal(15))));
}

#[tokio::test]
async fn a_port_on_which_somebody_else_answers_is_lost_and_nothing_is_said_to_them() {
    let place = Place::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let failure = fails(&place, server(&place, &["--ignore-end-of-input"], address)).await;
    assert_eq!(failure.code, FailureCode::PortTaken, "{failure}");
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody spoke to them");
}

#[tokio::test]
async fn a_server_that_listens_on_every_interface_is_refused_unless_that_is_allowed() {
    let place = Place::new();
    let address = free_address();
    let refused = server(&place, &["--listen", &everywhere(address)], address);
    let failure = fails(&place, refused).await;
    assert_eq!(failure.code, FailureCode::ListensPublicly, "{failure}");
    assert!(failure.message.contains(&everywhere(address)), "{failure}");

    let mut allowed = server(&place, &["--listen", &everywhere(address)], address);
    allowed.http.as_mut().unwrap().allow_any_interface = true;
    place.launch(allowed).await;
}

#[tokio::test]
async fn a_second_socket_counts_also_where_a_stray_process_holds_it() {
    let place = Place::new();
    let (first, second) = (free_address(), free_address());
    let (loopback, public) = (first.to_string(), everywhere(second));
    for flags in [
        &["--listen", &loopback, "--listen", &public][..],
        &["--listen", &public, "--stray", "--listen", &loopback],
    ] {
        let failure = fails(&place, server(&place, flags, first)).await;
        assert_eq!(failure.code, FailureCode::ListensPublicly, "{flags:?}: {failure}");
        assert!(failure.message.contains(&public), "{failure}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_on_this_machine_is_no_specification() {
    let place = Place::new();
    let failure = fails(&place, server(&place, &[], "192.0.2.1:80".parse().unwrap())).await;
    assert_eq!(failure.code, FailureCode::InvalidSpecification, "{failure}");
}
