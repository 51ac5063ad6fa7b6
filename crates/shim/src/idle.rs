//! The idle limit: when nobody has used the instance for so long, and why it still lives.

use std::time::Duration;

use roadstead_control::Alive;
use roadstead_model::{Activity, Idle, why_alive};
use tokio::time::{Instant, sleep_until};

use crate::instance::Instance;
use crate::mcp::Mcp;

impl Instance {
    /// Resolves to the limit when nobody has used the instance for so long. One timer, and only while nothing is in flight.
    pub(crate) async fn idle(&self) -> Duration {
        let (Some(limit), Some((bridge, ready_at))) = (self.idle_limit(), self.ready()) else {
            return std::future::pending().await;
        };
        loop {
            match self.activity(bridge, ready_at).idle(Some(limit), self.began.elapsed()) {
                Idle::Off => return std::future::pending().await,
                Idle::Busy => bridge.unused().await,
                Idle::Until(moment) => match self.began.checked_add(moment) {
                    Some(until) => sleep_until(until).await,
                    None => return std::future::pending().await,
                },
                Idle::Due => return limit,
            }
        }
    }

    /// Why it still lives; nothing before it was ready.
    pub(crate) fn alive(&self) -> Option<Alive> {
        let (bridge, ready_at) = self.ready()?;
        let (limit, now) = (self.idle_limit(), self.began.elapsed());
        let activity = self.activity(bridge, ready_at);
        let left = match activity.idle(limit, now) {
            Idle::Until(moment) => Some(moment.saturating_sub(now)),
            Idle::Due => Some(Duration::ZERO),
            Idle::Off | Idle::Busy => None,
        };
        let last = activity.last_begin.max(activity.last_end);
        Some(Alive {
            because: why_alive(activity, limit, self.deadline.remaining(), now).to_string(),
            idle_limit_ms: limit.map(millis),
            idle_left_ms: left.map(millis),
            last_request_ms: last.map(|last| millis(now.saturating_sub(last))),
            requests: activity.in_flight,
        })
    }

    fn ready(&self) -> Option<(&Mcp, Duration)> {
        Some((self.bridge.get()?, self.ready_at.get()?))
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.specification.idle_limit_ms.map(Duration::from_millis)
    }

    fn activity(&self, bridge: &Mcp, ready_at: Duration) -> Activity {
        let seen = bridge.usage();
        let since = |moment: Instant| moment.saturating_duration_since(self.began);
        Activity {
            ready_at,
            last_begin: seen.last_begin.map(since),
            last_end: seen.last_end.map(since),
            in_flight: seen.in_flight,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
