//! The older transport: one stream of events, and an endpoint that it names (2024-11-05, HTTP with SSE).

use std::rc::Rc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::timeout;

use super::Conversation;
use super::post::Failure;
use super::table::Request;
use crate::client::{Answer, Outgoing};
use crate::sse::{Data, Parser, Position};

impl Conversation {
    /// Opens the stream, if it is not open, and waits for the endpoint.
    pub(super) async fn find_endpoint(self: &Rc<Self>) -> Result<(), String> {
        if self.session.borrow().endpoint.is_some() {
            return Ok(());
        }
        let mut outgoing = Outgoing::new(Method::GET);
        outgoing.headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let mut answer = self.post(&outgoing).await.map_err(|trouble| trouble.to_string())?;
        if !answer.status.is_success() || !answer.is_events() {
            return Err(format!("the server gave no event stream, only HTTP status {}", answer.status));
        }
        let mut parser = Parser::new(self.upstream.limits.max_message, Position::default());
        let patience = self.upstream.limits.connect_timeout;
        let endpoint = timeout(patience, self.endpoint(&mut answer, &mut parser)).await;
        let endpoint = endpoint.map_err(|_| "the server did not name its endpoint in time".to_owned())??;
        self.session.borrow_mut().endpoint = Some(endpoint);
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let reading = this.read_events(&mut answer, &mut parser, None);
            if this.closing.run_until_cancelled(reading).await.is_some() {
                // Answers come here alone, and there is no way to go on with a stream.
                this.end("the server closed its event stream");
            }
        });
        Ok(())
    }

    async fn endpoint(&self, answer: &mut Answer, parser: &mut Parser) -> Result<PathAndQuery, String> {
        loop {
            while let Some(event) = parser.next() {
                let Data::Text(reference) = event.data else { continue };
                if event.name != "endpoint" {
                    continue;
                }
                let reference = String::from_utf8_lossy(&reference);
                let endpoint = self.client.resolve(&self.client.path(), &reference);
                return endpoint.ok_or_else(|| "the server names an endpoint of another server".to_owned());
            }
            match answer.piece().await {
                Ok(Some(piece)) => parser.feed(&piece),
                Ok(None) => return Err("the event stream ended before it named an endpoint".to_owned()),
                Err(trouble) => return Err(trouble.to_string()),
            }
        }
    }

    /// Posts a request whose answer comes on the stream.
    pub(super) async fn post_aside(
        self: &Rc<Self>,
        request: &Request,
        headers: HeaderMap,
        line: Bytes,
    ) -> Result<(), Failure> {
        let mut outgoing = self.outgoing(headers, line);
        outgoing.gate = Rc::clone(&request.gate);
        let answer = self.post(&outgoing).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(request, answer).await);
        }
        // What it says beside the status means nothing here.
        let _ = answer.whole(self.upstream.limits.max_message).await;
        Ok(())
    }
}
