//! Taking in a body, and making one line of it.

use std::pin::pin;

use bytes::Buf;
use http::StatusCode;
use http_body::Body;
use tokio::time::timeout;

use super::Answer;
use super::answer;
use crate::config::BridgeConfig;
use crate::message::compose;

/// Memory is not promised to a length that was only announced.
const TRUSTED_LENGTH: u64 = 1024 * 1024;

/// The whole body, with room for the newline it gets later.
pub(crate) async fn collect<B: Body>(config: &BridgeConfig, body: B) -> Result<Vec<u8>, Box<Answer>> {
    let gathered = timeout(config.body_timeout, gather(config.max_body, body)).await;
    gathered.unwrap_or_else(|_| {
        let message = "the body did not arrive in time";
        Err(answer::refuse(StatusCode::REQUEST_TIMEOUT, None, compose::REFUSED, message).into())
    })
}

async fn gather<B: Body>(limit: usize, body: B) -> Result<Vec<u8>, Box<Answer>> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit).into());
    }
    let room = usize::try_from(announced.min(TRUSTED_LENGTH)).unwrap_or_default();
    let mut all = Vec::with_capacity(room + 1);
    let mut body = pin!(body);
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else {
            let message = "the body broke off";
            return Err(answer::refuse(StatusCode::BAD_REQUEST, None, compose::REFUSED, message).into());
        };
        let Ok(mut data) = frame.into_data() else { continue };
        if all.len() + data.remaining() > limit {
            return Err(too_large(limit).into());
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            all.extend_from_slice(chunk);
            let taken = chunk.len();
            data.advance(taken);
        }
    }
    Ok(all)
}

fn too_large(limit: usize) -> Answer {
    let message = format!("the body is larger than {limit} bytes");
    answer::refuse(StatusCode::PAYLOAD_TOO_LARGE, None, compose::REFUSED, &message)
}

/// The message as a line for a server. Valid JSON has line ends only as white space between its parts.
pub(crate) fn line(mut message: Vec<u8>) -> Vec<u8> {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &message) {
        message[at] = b' ';
    }
    message.push(b'\n');
    message
}
