//! Noticing a client that has gone without a word: the network is cut, the machine sleeps, the process hangs.

use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// How long a client may leave what we send, or ask, without any sign of its kernel. Shorter than the pause between two
/// comments of an idle event stream (15 s by default), so that no stream outlives its client by more than one of them.
pub const CLIENT_SILENCE: Duration = Duration::from_secs(10);
/// Probes in that time: after one half of it, and at its end.
const PROBES: u32 = 2;

/// Prepares an accepted connection: small messages are sent at once, an idle client is asked whether it is still there, and
/// the kernel breaks the connection when nothing of what was sent was acknowledged, or taken in by a client that has stopped
/// reading, for [`CLIENT_SILENCE`].
pub fn watch(stream: &TcpStream) {
    // A socket that refuses an option still works; it only waits longer or notices later.
    let _ = stream.set_nodelay(true);
    let seconds = u32::try_from(CLIENT_SILENCE.as_secs()).unwrap_or(u32::MAX);
    let pause = (seconds / PROBES).max(1);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &pause);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &pause);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &PROBES);
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &seconds.saturating_mul(1000));
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::getsockopt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_kernel_is_told_all_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        watch(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(getsockopt(&stream, sockopt::KeepAlive).unwrap());
        let timeout = Duration::from_millis(getsockopt(&stream, sockopt::TcpUserTimeout).unwrap().into());
        assert_eq!(timeout, CLIENT_SILENCE);
        let idle = getsockopt(&stream, sockopt::TcpKeepIdle).unwrap();
        let interval = getsockopt(&stream, sockopt::TcpKeepInterval).unwrap();
        assert!(u64::from(idle + interval) <= CLIENT_SILENCE.as_secs());
    }
}
