//! A program of the neighbour's user that means no harm: everything of it that could be attacked is there, and it
//! tells what it saw. It says what it has on its first line of output, then one line for each thing that befell it.
#![expect(unsafe_code, reason = "shared memory and message queues of the older kinds have no safe form")]

use std::ffi::CString;
use std::io::{BufRead as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

/// Its shared memory, in bytes.
const SHARED_BYTES: usize = 4096;

/// Shared memory and a queue, gone when they are dropped.
struct Kept {
    shared: i32,
    queue: CString,
}

impl Kept {
    fn new(key: i32, queue: &str) -> Result<Self, Errno> {
        let queue = CString::new(queue).unwrap_or_default();
        let (mode, flags) = (0o600, libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC);
        // SAFETY: the name lives through the call, and a queue of the usual size is made.
        unsafe {
            let shared = Errno::result(libc::shmget(key, SHARED_BYTES, libc::IPC_CREAT | mode))?;
            let attributes = std::ptr::null::<u8>();
            Errno::result(libc::syscall(libc::SYS_mq_open, queue.as_ptr(), flags, mode, attributes))?;
            Ok(Self { shared, queue })
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: both were made by this program; the name lives through the call.
        unsafe {
            libc::shmctl(self.shared, libc::IPC_RMID, std::ptr::null_mut());
            libc::syscall(libc::SYS_mq_unlink, self.queue.as_ptr());
        }
    }
}

/// Stands by until its standard input ends.
pub fn stand_by(folder: &Path) -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGWINCH, Signal::SIGIO] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let id = std::process::id();
    let name = format!("roadstead-bystander-{id}");
    let key = i32::try_from(id).unwrap_or(1);
    let kept = Kept::new(key, &name)?;
    let path = folder.join("bystander.socket");
    let unix = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let nameless = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)?;
    let closed = TcpListener::bind("127.0.0.1:0")?;
    let allowed = TcpListener::bind("127.0.0.1:0")?;
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let has = json!({
        "pid": id, "key": key, "queue": name, "abstract_socket": name, "path_socket": path,
        "other_port": closed.local_addr()?.port(), "allowed_port": allowed.local_addr()?.port(),
        "udp_port": udp.local_addr()?.port(),
    });
    println!("{has}");
    each(move || signals.wait().ok().map(|signal| format!("{signal}")));
    each(move || {
        let mut word = [0; 16];
        let count = udp.recv(&mut word).ok()?;
        Some(format!("udp {}", String::from_utf8_lossy(&word[..count])))
    });
    // Whoever connects is connected, whether they are listened to or not.
    let listening = (unix, nameless, closed, allowed);
    std::io::stdin().lock().lines().for_each(drop);
    drop((kept, listening));
    Ok(())
}

/// Tells of each time that something happens, for as long as the program lives.
fn each(mut next: impl FnMut() -> Option<String> + Send + 'static) {
    std::thread::spawn(move || {
        while let Some(what) = next() {
            let mut output = std::io::stdout().lock();
            if writeln!(output, "{what}").and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    });
}
