//! Sockets of the network: ports that are not for it, and protocols by which a wall is gone around.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use crate::outcome::{Outcome, Tried, called, errno, tried};
use crate::target::Target;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const IPPROTO_MPTCP: i32 = 262;
const AF_SMC: i32 = 43;
const IPPROTO_DCCP: i32 = 33;
const SOCK_DCCP: i32 = 6;
/// `SOCK_DIAG_BY_FAMILY`, and a request for a dump of it.
const DIAG: u16 = 20;
const DUMP: u16 = 0x301;

fn address(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

fn connected(port: u16) -> Result<TcpStream, Errno> {
    let stream = TcpStream::connect_timeout(&address(port), PATIENCE).map_err(|error| errno(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| errno(&error))?;
    Ok(stream)
}

/// What an HTTP server says to a request of somebody who has no right.
pub fn judged(status_line: &str) -> Outcome {
    let status = status_line.split(' ').nth(1).unwrap_or_default();
    match status {
        "200" | "202" => Outcome::Got(status_line.to_owned()),
        _ => Outcome::Useless(format!("connected; answered {:?}", status_line.trim_end())),
    }
}

fn asked(port: u16, request: &str) -> Outcome {
    let mut stream = match connected(port) {
        Ok(stream) => stream,
        Err(errno) => return Outcome::Refused(errno, "connect".into()),
    };
    let mut answer = String::new();
    let said = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    if said.is_err() && answer.is_empty() {
        return Outcome::Useless("connected; it said nothing".into());
    }
    judged(answer.lines().next().unwrap_or_default())
}

pub fn api(target: &Target) -> Outcome {
    let request = "GET /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    asked(target.api_port, request)
}

pub fn pool(target: &Target) -> Outcome {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{ping}",
        ping.len()
    );
    asked(target.pool_port, &request)
}

pub fn closed_port(target: &Target) -> Outcome {
    Outcome::any([("connect", connected(target.other_port).map(|_| "connected".into()))])
}

pub fn allowed_port(target: &Target) -> Outcome {
    Outcome::any([("connect", connected(target.allowed_port).map(|_| "connected".into()))])
}

fn bound(port: u16) -> Tried {
    tried(TcpListener::bind(address(port)), |listener| format!("{:?}", listener.local_addr()))
}

pub fn bind_pool(target: &Target) -> Outcome {
    Outcome::any([("bind", bound(target.free_port))])
}

pub fn bind_any(_: &Target) -> Outcome {
    Outcome::any([("bind", bound(0))])
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes three numbers.
    let number = Errno::result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: nobody else has this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn opened(family: i32, kind: i32, protocol: i32) -> Tried {
    socket(family, kind, protocol).map(|_| "opened".into())
}

pub fn listen_unbound(_: &Target) -> Outcome {
    let listening = socket(libc::AF_INET, libc::SOCK_STREAM, 0).and_then(|socket| {
        // SAFETY: takes two numbers.
        called(unsafe { libc::listen(socket.as_raw_fd(), 1) }, "listening")
    });
    Outcome::any([("listen", listening)])
}

/// An address of the loopback interface as system calls take it.
fn raw_address(port: u16) -> libc::sockaddr_in {
    // SAFETY: all zeroes is a valid one.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default();
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
    address
}

fn address_bytes() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap_or_default()
}

pub fn mptcp(target: &Target) -> Outcome {
    let address = raw_address(target.other_port);
    let connect = socket(libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP).and_then(|socket| {
        // SAFETY: the address lives through the call, and its length is told.
        let connected =
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), address_bytes()) };
        called(connected, "connected")
    });
    Outcome::any([("connect", connect)])
}

pub fn fast_open(target: &Target) -> Outcome {
    let address = raw_address(target.other_port);
    let send = socket(libc::AF_INET, libc::SOCK_STREAM, 0).and_then(|socket| {
        // SAFETY: the byte and the address live through the call, and their lengths are told.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                b"x".as_ptr().cast(),
                1,
                libc::MSG_FASTOPEN,
                (&raw const address).cast(),
                address_bytes(),
            )
        };
        called(sent as i64, "bytes sent")
    });
    Outcome::any([("sendto", send)])
}

pub fn rare_protocols(_: &Target) -> Outcome {
    let (inet, stream) = (libc::AF_INET, libc::SOCK_STREAM);
    Outcome::any([
        ("sctp", opened(inet, stream, libc::IPPROTO_SCTP)),
        ("smc", opened(AF_SMC, stream, 0)),
        ("dccp", opened(inet, SOCK_DCCP, IPPROTO_DCCP)),
        ("udplite", opened(inet, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)),
    ])
}

pub fn raw(_: &Target) -> Outcome {
    let everything = libc::ETH_P_ALL.to_be() >> 16;
    Outcome::any([
        ("raw", opened(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
        ("packet", opened(libc::AF_PACKET, libc::SOCK_RAW, everything)),
        ("packet dgram", opened(libc::AF_PACKET, libc::SOCK_DGRAM, everything)),
    ])
}

pub fn rare_families(_: &Target) -> Outcome {
    let (stream, packets) = (libc::SOCK_STREAM, libc::SOCK_SEQPACKET);
    Outcome::any([
        ("vsock", opened(libc::AF_VSOCK, stream, 0)),
        ("alg", opened(libc::AF_ALG, packets, 0)),
        ("bluetooth", opened(libc::AF_BLUETOOTH, packets, 0)),
        ("tipc", opened(libc::AF_TIPC, packets, 0)),
        ("can", opened(libc::AF_CAN, libc::SOCK_RAW, 1)),
    ])
}

/// A request for all TCP sockets over IPv4: the header of a message, then the one of the diagnosis.
fn diagnosis_request() -> Vec<u8> {
    let mut request = Vec::new();
    let length: u32 = 16 + 56;
    request.extend(length.to_ne_bytes());
    request.extend(DIAG.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([2, 6, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.resize(16 + 56, 0);
    request
}

pub fn socket_diag(_: &Target) -> Outcome {
    let request = diagnosis_request();
    let listed = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_SOCK_DIAG).and_then(|socket| {
        let number = socket.as_raw_fd();
        let mut answer = [0_u8; 4096];
        // SAFETY: both buffers live through the calls, and their lengths are told.
        let read = unsafe {
            called(libc::send(number, request.as_ptr().cast(), request.len(), 0) as i64, "sent")?;
            libc::recv(number, answer.as_mut_ptr().cast(), answer.len(), 0)
        };
        called(read as i64, "bytes of sockets")
    });
    Outcome::any([("dump", listed)])
}

pub fn udp(target: &Target) -> Outcome {
    let sent = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", address(target.udp_port)));
    match tried(sent, |count| format!("{count} bytes sent")) {
        Ok(detail) => Outcome::Done(detail),
        Err(errno) => Outcome::Refused(errno, "send_to".into()),
    }
}
