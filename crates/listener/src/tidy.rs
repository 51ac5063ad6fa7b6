//! Memory goes back to the kernel when it is quiet: what many small messages leave in the heap would stay there otherwise.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

/// How long after something has been served memory is tidied.
const REST: Duration = Duration::from_secs(1);

/// Where the end of everything served is told.
#[derive(Debug, Clone, Default)]
pub struct Tidy {
    served: Arc<Notify>,
}

/// Something has been served when this is dropped.
#[derive(Debug)]
pub struct Served(Arc<Notify>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Tidy {
    /// To be kept as long as the serving lasts.
    #[must_use]
    pub fn served(&self) -> Served {
        Served(Arc::clone(&self.served))
    }

    /// The same body; served at its end, or when it is given up.
    pub fn body<B>(&self, body: B) -> ServedBody<B> {
        ServedBody { body, _served: self.served() }
    }

    /// Calls `give_back` some time after anything has been served, for ever. Where nothing is served, nothing is woken.
    pub async fn run(&self, give_back: fn()) -> Infallible {
        loop {
            self.served.notified().await;
            tokio::time::sleep(REST).await;
            // What has ended meanwhile is tidied with the rest.
            std::pin::pin!(self.served.notified()).enable();
            give_back();
        }
    }
}

/// A body whose end is told.
#[derive(Debug)]
pub struct ServedBody<B> {
    body: B,
    _served: Served,
}

impl<B: Body + Unpin> Body for ServedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test(start_paused = true)]
    async fn memory_is_tidied_after_the_end_of_an_answer_and_not_before() {
        let tidy = Tidy::default();
        let bodies = [tidy.body(()), tidy.body(())];
        let watching = async {
            tokio::time::sleep(10 * REST).await;
            assert_eq!(GIVEN_BACK.load(Ordering::Relaxed), 0, "answers are still under way");
            drop(bodies);
            tokio::time::sleep(10 * REST).await;
            assert_eq!(GIVEN_BACK.load(Ordering::Relaxed), 1, "one round for both");
        };
        tokio::select! {
            never = tidy.run(|| _ = GIVEN_BACK.fetch_add(1, Ordering::Relaxed)) => match never {},
            () = watching => {}
        }
    }
}
