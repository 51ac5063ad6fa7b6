//! The deadline: one timer on boot time, which goes on while the machine sleeps and never jumps.

use std::time::Duration;

use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::watched::{Timer, watched};

/// A timer set to zero is off, so this is the shortest time to live.
const SHORTEST: Duration = Duration::from_millis(1);

pub(crate) struct Deadline(AsyncFd<Timer>);

impl Deadline {
    /// Due in `remaining`.
    pub(crate) fn new(remaining: Duration) -> std::io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let deadline = Self(watched(Timer(timer), Interest::READABLE)?);
        deadline.set(remaining)?;
        Ok(deadline)
    }

    /// Due in `remaining` from now, whatever it was before.
    pub(crate) fn set(&self, remaining: Duration) -> std::io::Result<()> {
        let due = Expiration::OneShot(TimeSpec::from_duration(remaining.max(SHORTEST)));
        Ok(self.0.get_ref().0.set(due, TimerSetTimeFlags::empty())?)
    }

    /// Time left; nothing once it is due.
    pub(crate) fn remaining(&self) -> Duration {
        match self.0.get_ref().0.get() {
            Ok(Some(Expiration::OneShot(left))) => {
                Duration::from_nanos(u64::try_from(left.num_nanoseconds()).unwrap_or(0))
            }
            _ => Duration::ZERO,
        }
    }

    /// Resolves when it is due.
    pub(crate) async fn due(&self) {
        let read = |timer: &Timer| {
            let mut count = [0_u8; 8];
            Ok(nix::unistd::read(&timer.0, &mut count)?)
        };
        // A timer that cannot be read is taken for due: an instance that never ends would be worse.
        let _ = self.0.async_io(Interest::READABLE, read).await;
    }
}
