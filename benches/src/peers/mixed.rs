//! Whether answers reach who asked: equal ids in many sessions at the same time, answered out of order.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use memchr::memmem;
use tokio::time::timeout;

use super::session;
use crate::figures::PeerFigure;
use crate::http::{Connection, Endpoint};

/// The flag with which `bench-stdio` answers in the reverse order of what waits.
pub const OUT_OF_ORDER: &str = "--out-of-order";
/// Calls of each session at one time.
const AT_ONCE: usize = 4;
/// All calls together.
const CALLS: usize = 10_000;
/// A call without an answer for so long is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many lost calls there is nothing more to learn of a connection.
const ENOUGH: usize = 3;

#[derive(Default)]
struct Tally {
    calls: Cell<usize>,
    wrong: Cell<usize>,
}

/// Counts the wrong answers, and those that did not come, among ten thousand.
pub async fn count(name: &str, endpoint: &Endpoint, sessions: usize) -> PeerFigure {
    let mut opened = Vec::new();
    for _ in 0..sessions {
        match session(endpoint).await {
            Ok(session) => opened.push(session),
            Err(error) => {
                return PeerFigure::missing(name, AT_ONCE * sessions, sessions, &format!("{error:#}"));
            }
        }
    }
    let tally = Tally::default();
    let each = CALLS / sessions / AT_ONCE;
    let workers = (0..sessions * AT_ONCE)
        .map(|number| work(&opened[number / AT_ONCE], number / AT_ONCE, number % AT_ONCE, each, &tally));
    join_all(workers).await;
    PeerFigure::mixed(name, AT_ONCE * sessions, sessions, tally.calls.get(), tally.wrong.get())
}

/// Every session has a worker with these ids.
async fn work(endpoint: &Endpoint, session: usize, worker: usize, calls: usize, tally: &Tally) {
    let mut lost = 0;
    let mut connection = None;
    for round in 0..calls {
        let id = round * AT_ONCE + worker + 1;
        let text = format!("session {session} worker {worker} round {round}.");
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
        );
        let asked = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(endpoint).await?,
            };
            open.exchange(endpoint, "POST", call.as_bytes()).await?;
            let right = memmem::find(open.body(), text.as_bytes()).is_some()
                && memmem::find(open.body(), format!("\"id\":{id}").as_bytes()).is_some();
            anyhow::Ok((open, right))
        };
        tally.calls.set(tally.calls.get() + 1);
        match timeout(PATIENCE, asked).await {
            Ok(Ok((open, true))) => connection = Some(open),
            outcome => {
                tally.wrong.set(tally.wrong.get() + 1);
                lost += usize::from(!matches!(outcome, Ok(Ok(_))));
            }
        }
        if lost == ENOUGH {
            return;
        }
    }
}
