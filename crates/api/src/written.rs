//! Rows as JSON lines, CSV or text, told while they are read: one page is in memory at a time.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, header};
use roadstead_orchestrator::ExportFormat;
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{ApiError, Code};

/// Exports that are told at one time, to all callers together: each reads as fast as its reader takes it.
const AT_ONCE: usize = 4;
/// When to ask again.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// One of the few exports at a time; the next may begin when it is dropped.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'static>);

impl Turn {
    pub(crate) fn take() -> Result<Self, ApiError> {
        TURNS.try_acquire().map(Self).map_err(|_| {
            let message = format!("{AT_ONCE} exports are being downloaded; try again when one is over");
            let mut busy = ApiError::new(Code::RateLimited, message);
            busy.retry_after = Some(PATIENCE);
            busy
        })
    }
}

/// A row that can be written in any format.
pub(crate) trait Line: Serialize {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// Its columns.
    fn columns(&self) -> Vec<String>;

    /// As people read it.
    fn text(&self) -> String {
        self.columns().join(" ")
    }
}

/// Writes pages of rows; keeps nothing but what it counts.
pub(crate) struct Writer {
    format: ExportFormat,
    begun: bool,
    /// Rows written.
    pub(crate) rows: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

impl Writer {
    pub(crate) const fn new(format: ExportFormat) -> Self {
        Self { format, begun: false, rows: 0, bytes: 0 }
    }

    /// One page of rows, with the header before the first.
    pub(crate) fn page<L: Line>(&mut self, lines: &[L]) -> std::io::Result<Bytes> {
        let page = match self.format {
            ExportFormat::Json => json(lines)?,
            ExportFormat::Csv => self.csv(lines)?,
            ExportFormat::Text => text(lines),
        };
        self.begun = true;
        self.rows += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.bytes += u64::try_from(page.len()).unwrap_or(u64::MAX);
        Ok(page.into())
    }

    fn csv<L: Line>(&self, lines: &[L]) -> std::io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if !self.begun {
            writer.write_record(L::COLUMNS)?;
        }
        for line in lines {
            writer.write_record(line.columns())?;
        }
        writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
    }
}

fn json<L: Line>(lines: &[L]) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut page, line)?;
        page.push(b'\n');
    }
    Ok(page)
}

fn text<L: Line>(lines: &[L]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{}\n", line.text()).into_bytes()).collect()
}

/// The answer that streams pages, named as a file. What fails half way ends the connection: a file that is not whole does
/// not look whole.
pub(crate) fn answer<E: std::error::Error + Send + Sync + 'static>(
    format: ExportFormat,
    name: &str,
    pages: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response {
    let (content, ending) = match format {
        ExportFormat::Json => ("application/jsonl; charset=utf-8", "jsonl"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "csv"),
        ExportFormat::Text => ("text/plain; charset=utf-8", "txt"),
    };
    let pages = pages.inspect(|page| {
        if let Err(error) = page {
            tracing::error!(error = error as &dyn std::error::Error, "an export was not told to its end");
        }
    });
    let mut response = Body::from_stream(pages).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Word(&'static str);

    impl Line for Word {
        const COLUMNS: &'static [&'static str] = &["word"];

        fn columns(&self) -> Vec<String> {
            vec![self.0.to_owned()]
        }
    }

    #[test]
    fn the_header_comes_once_and_what_needs_quotes_has_them() {
        let mut writer = Writer::new(ExportFormat::Csv);
        let first = writer.page(&[Word("one"), Word("two, \"three\"\nfour")]).unwrap();
        assert_eq!(first, "word\none\n\"two, \"\"three\"\"\nfour\"\n");
        assert_eq!(writer.page(&[Word("five")]).unwrap(), "five\n");
        assert_eq!((writer.rows, writer.bytes), (3, 36));
    }

    #[test]
    fn json_is_one_value_a_line() {
        let mut writer = Writer::new(ExportFormat::Json);
        assert_eq!(writer.page(&[Word("a\nb"), Word("c")]).unwrap(), "\"a\\nb\"\n\"c\"\n");
        assert_eq!(writer.page::<Word>(&[]).unwrap(), "");
    }
}
