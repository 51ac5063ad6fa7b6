//! Requests the bridge makes for itself, among those of the clients.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Call, CallKind, Server};
use crate::message::Id;
use crate::stream::{Item, Stream};

/// Forgets the call when nobody waits for its answer any more.
struct Asked<'s> {
    server: &'s Server,
    id: Id,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.server.forget_call(&self.id);
    }
}

impl Server {
    /// Asks the server something under an id of ours. `params` is a JSON object; the answer comes with its error code when it is
    /// an error. Nothing when the server is gone, takes no more calls or does not answer in time.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: &str,
        patience: Duration,
    ) -> Option<(Bytes, Option<i64>)> {
        let number = self.fresh_id();
        let line =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"{method}\",\"params\":{params}}}\n");
        self.ask_line(Id::Number(number), CallKind::Other, line.into_bytes(), patience).await
    }

    /// The same with a whole request, `line`, which carries `id` and ends with a line break.
    pub(crate) async fn ask_line(
        &self,
        id: Id,
        kind: CallKind,
        line: Vec<u8>,
        patience: Duration,
    ) -> Option<(Bytes, Option<i64>)> {
        let stream = Stream::for_ourselves(&self.shared);
        let call = Call {
            stream: Rc::clone(&stream),
            raw: id.to_json(),
            kind,
            token: None,
            logs: false,
            deadline: None,
            counted: None,
            tally: None,
        };
        self.register(id.clone(), call).ok()?;
        let _asked = Asked { server: self, id };
        let answer = timeout(patience, async {
            self.send(line).await.ok()?;
            stream.next().await
        });
        match answer.await.ok()?? {
            Item::Response { line, code } => Some((line, code)),
            Item::Message { .. } => None,
        }
    }
}
