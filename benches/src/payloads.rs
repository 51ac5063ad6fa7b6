//! Large messages: how many megabytes a second go there and come back, and whether that depends on their size.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::calls::Target;
use crate::figures::{PayloadFigure, relate_payloads};
use crate::http::Connection;
use crate::pipes::PipeServer;

const MIB: usize = 1024 * 1024;
/// Bytes of text, the same there and back.
const SIZES: [usize; 4] = [1, MIB, 8 * MIB, 32 * MIB];
/// Each size is tried in rounds, one target after the other, so that none has the good minute for itself.
const ROUNDS: u32 = 3;
/// Fewer calls say nothing.
const LEAST_CALLS: usize = 2;

/// A call and its answer; only the id changes.
struct Payload {
    bytes: usize,
    call: Vec<u8>,
    answer: Vec<u8>,
    next_id: u64,
}

impl Payload {
    const CALL: &str = r#"{"jsonrpc":"2.0","id":"#;
    /// All ids have so many digits.
    const FIRST_ID: u64 = 5_000_000_000;

    fn new(bytes: usize) -> Self {
        let text = "x".repeat(bytes);
        let (start, id) = (Self::CALL, Self::FIRST_ID);
        let call = format!(
            r#"{start}{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
        );
        let answer = format!(r#"{start}{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#);
        Self { bytes, call: call.into(), answer: answer.into(), next_id: Self::FIRST_ID }
    }

    fn next(&mut self) {
        self.next_id += 1;
        let digits = self.next_id.to_string();
        let place = Self::CALL.len()..Self::CALL.len() + digits.len();
        self.call[place.clone()].copy_from_slice(digits.as_bytes());
        self.answer[place].copy_from_slice(digits.as_bytes());
    }

    fn check(&self, answer: &[u8]) -> anyhow::Result<()> {
        ensure!(answer == self.answer, "an answer of {} bytes is not what was sent", answer.len());
        Ok(())
    }
}

/// Calls made, and how long they took.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    calls: usize,
    elapsed: Duration,
}

impl Done {
    fn wants_more(began: Instant, calls: usize, lasting: Duration) -> bool {
        calls < LEAST_CALLS || began.elapsed() < lasting
    }

    fn add(&mut self, calls: usize, elapsed: Duration) {
        self.calls += calls;
        self.elapsed += elapsed;
    }
}

/// Measures every target with every size.
pub async fn measure(
    pipe_server: &mut PipeServer,
    targets: &[Target],
    seconds: f64,
) -> anyhow::Result<Vec<PayloadFigure>> {
    let lasting = Duration::from_secs_f64(seconds / f64::from(ROUNDS));
    let mut figures = Vec::new();
    for bytes in SIZES {
        let mut payload = Payload::new(bytes);
        let mut all = vec![Done::default(); targets.len() + 1];
        for _ in 0..ROUNDS {
            through_pipes(pipe_server, &mut payload, lasting, &mut all[0]).await?;
            for (target, done) in targets.iter().zip(&mut all[1..]) {
                let tried = over_http(target, &mut payload, lasting, done).await;
                tried.with_context(|| format!("{} with {bytes} bytes", target.name))?;
            }
        }
        let names = std::iter::once("pipes").chain(targets.iter().map(|target| target.name));
        let of_size = names
            .zip(all)
            .map(|(name, done)| PayloadFigure::new(name, payload.bytes, done.calls, done.elapsed));
        figures.extend(of_size);
    }
    relate_payloads(&mut figures, "pipes", MIB);
    Ok(figures)
}

async fn through_pipes(
    server: &mut PipeServer,
    payload: &mut Payload,
    lasting: Duration,
    done: &mut Done,
) -> anyhow::Result<()> {
    let (began, mut calls) = (Instant::now(), 0);
    while Done::wants_more(began, calls, lasting) {
        payload.next();
        let answer = server.once(&payload.call).await?;
        payload.check(&answer)?;
        calls += 1;
    }
    done.add(calls, began.elapsed());
    Ok(())
}

async fn over_http(
    target: &Target,
    payload: &mut Payload,
    lasting: Duration,
    done: &mut Done,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(&target.endpoint).await?;
    let (began, mut calls) = (Instant::now(), 0);
    while Done::wants_more(began, calls, lasting) {
        payload.next();
        let answer = connection.exchange(&target.endpoint, "POST", &payload.call).await?;
        ensure!(answer.status == 200, "a call was answered with {}", answer.status);
        payload.check(connection.body())?;
        calls += 1;
    }
    done.add(calls, began.elapsed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_server_gives_exactly_the_expected_answer() {
        let mut payload = Payload::new(3);
        payload.next();
        let mut out = Vec::new();
        roadstead_benches::answer(&payload.call, &mut out);
        payload.check(&out).unwrap();
    }
}
