//! Files and folders.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_with::skip_serializing_none;

use crate::arguments::{arguments, below};
use crate::server::Github;
use crate::shapes::repositories::{Committed, Entry, File, Folder};

/// What is shown of a file unless the call says otherwise, and at most: a model has only so much room.
const SHOWN_BYTES: usize = 100 * 1024;
const MAX_SHOWN_BYTES: usize = 1024 * 1024;

/// A binary file larger than this is named, not shown.
const MAX_BINARY_BYTES: usize = 64 * 1024;

/// What is read of a file that GitHub does not answer as JSON, which it does up to one megabyte.
const READ_BYTES: usize = 16 * 1024 * 1024;

/// How many entries of a folder GitHub shows.
const FOLDER_ENTRIES: usize = 1000;

const RAW: &str = "application/vnd.github.raw+json";

arguments! {
    /// Which file.
    GetFile {
        /// The file's path in the repository.
        path: String,
        /// A branch, tag or commit; the default branch, if nothing is said.
        r#ref: Option<String>,
        /// The first line to show, counted from 1.
        from_line: Option<usize>,
        /// How many lines to show.
        lines: Option<usize>,
        /// How many bytes to show at most; 102400 if nothing is said, never more than 1048576.
        max_bytes: Option<usize>,
    }
}

arguments! {
    /// Which folder.
    ListDirectory {
        /// The folder's path in the repository; its root, if nothing is said.
        path: Option<String>,
        /// A branch, tag or commit; the default branch, if nothing is said.
        r#ref: Option<String>,
    }
}

arguments! {
    /// What to write.
    WriteFile {
        /// The file's path in the repository.
        path: String,
        /// The whole new text of the file.
        text: Option<String>,
        /// The whole new content in base64, for a binary file.
        base64: Option<String>,
        /// The commit's message.
        message: String,
        /// The branch; the default branch, if none is named.
        branch: Option<String>,
        /// The `sha` of the file that is replaced, as `get_file` tells it; none for a new file.
        sha: Option<String>,
    }
}

arguments! {
    /// What to delete.
    DeleteFile {
        /// The file's path in the repository.
        path: String,
        /// The commit's message.
        message: String,
        /// The branch; the default branch, if none is named.
        branch: Option<String>,
        /// The `sha` of the file, as `get_file` tells it.
        sha: String,
    }
}

/// A change of one file, as GitHub takes it.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
struct Change<'a> {
    message: &'a str,
    content: Option<String>,
    branch: Option<&'a str>,
    sha: Option<&'a str>,
}

/// A file as GitHub answers it.
#[derive(Debug, Deserialize)]
struct RawFile {
    r#type: String,
    path: String,
    sha: String,
    size: u64,
    #[serde(default)]
    content: String,
    encoding: Option<String>,
    target: Option<String>,
    html_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Contents {
    Folder(Vec<Entry>),
    File(Box<RawFile>),
}

#[derive(Debug, Deserialize)]
struct Changed {
    content: Option<ChangedContent>,
    commit: ChangedCommit,
}

#[derive(Debug, Deserialize)]
struct ChangedContent {
    sha: String,
}

#[derive(Debug, Deserialize)]
struct ChangedCommit {
    sha: String,
    html_url: Option<String>,
}

/// Which part of a text is shown.
struct Part {
    from_line: Option<usize>,
    lines: Option<usize>,
    max_bytes: usize,
}

#[tool_router(router = file_tools, vis = "pub(crate)")]
impl Github {
    /// A file's text, or some of its lines; and the `sha` that is needed to change it.
    #[tool(
        title = "Get a file",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_file(
        &self,
        Parameters(wanted): Parameters<GetFile>,
        call: Call,
    ) -> Result<Json<File>, Failure> {
        let place = below(&["repos", &wanted.owner, &wanted.repo, "contents"], &wanted.path);
        let asked = self.client.get(&place).query_opt("ref", wanted.r#ref.as_deref());
        let file = match asked.fetch(&call).await? {
            Contents::File(file) if file.r#type == "file" => file,
            Contents::File(other) => return Err(no_file(&other)),
            Contents::Folder(_) => {
                return Err(Failure::invalid(format!("{} is a folder.", wanted.path))
                    .with_hint("Use list_directory."));
            }
        };
        let part = Part {
            from_line: wanted.from_line,
            lines: wanted.lines,
            max_bytes: wanted.max_bytes.unwrap_or(SHOWN_BYTES).clamp(1, MAX_SHOWN_BYTES),
        };
        let (bytes, is_whole) = if file.encoding.as_deref() == Some("base64") {
            (decode(&file.content)?, true)
        } else {
            let raw = self.client.get(&place).query_opt("ref", wanted.r#ref.as_deref()).header("accept", RAW);
            let answer = raw.head(READ_BYTES).send(&call).await?;
            (answer.body().to_vec(), !answer.is_cut())
        };
        Ok(Json(shown(*file, bytes, is_whole, &part)))
    }

    /// What is in a folder: names, kinds and sizes.
    #[tool(
        title = "List a folder",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_directory(
        &self,
        Parameters(wanted): Parameters<ListDirectory>,
        call: Call,
    ) -> Result<Json<Folder>, Failure> {
        let path = wanted.path.as_deref().unwrap_or_default();
        let place = below(&["repos", &wanted.owner, &wanted.repo, "contents"], path);
        match self.client.get(place).query_opt("ref", wanted.r#ref).fetch(&call).await? {
            Contents::Folder(entries) => {
                let is_cut = entries.len() >= FOLDER_ENTRIES;
                Ok(Json(Folder { entries, is_cut }))
            }
            Contents::File(file) => {
                Err(Failure::invalid(format!("{} is a {}.", file.path, file.r#type))
                    .with_hint("Use get_file."))
            }
        }
    }

    /// Creates a file or replaces it, in a commit of its own.
    #[tool(
        title = "Write a file",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn write_file(
        &self,
        Parameters(wanted): Parameters<WriteFile>,
        call: Call,
    ) -> Result<Json<Committed>, Failure> {
        let content = match (wanted.text, wanted.base64) {
            (Some(text), None) => STANDARD.encode(text),
            (None, Some(base64)) => STANDARD.encode(decode(&base64)?),
            _ => return Err(Failure::invalid("Give either `text` or `base64`.")),
        };
        let place = below(&["repos", &wanted.owner, &wanted.repo, "contents"], &wanted.path);
        let (branch, sha) = (wanted.branch.as_deref(), wanted.sha.as_deref());
        let change = Change { message: &wanted.message, content: Some(content), branch, sha };
        // Twice would be a commit more, or a conflict with oneself.
        let request = self.client.put(place).json(&change).not_idempotent();
        let changed: Changed = request.fetch(&call).await.map_err(|failure| match failure.status() {
            Some(422) if wanted.sha.is_none() => {
                failure.with_hint("If the file exists already, give its `sha`, which get_file tells.")
            }
            _ => failure,
        })?;
        Ok(Json(committed(changed, wanted.branch)))
    }

    /// Deletes a file, in a commit of its own.
    #[tool(
        title = "Delete a file",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn delete_file(
        &self,
        Parameters(wanted): Parameters<DeleteFile>,
        call: Call,
    ) -> Result<Json<Committed>, Failure> {
        let place = below(&["repos", &wanted.owner, &wanted.repo, "contents"], &wanted.path);
        let branch = wanted.branch.as_deref();
        let change = Change { message: &wanted.message, content: None, branch, sha: Some(&wanted.sha) };
        let request = self.client.delete(place).json(&json!(change)).not_idempotent();
        let changed: Changed = request.fetch(&call).await?;
        Ok(Json(committed(changed, wanted.branch)))
    }
}

fn no_file(other: &RawFile) -> Failure {
    let failure = Failure::invalid(format!("{} is a {}, not a file.", other.path, other.r#type));
    match &other.target {
        Some(target) => failure.with_hint(&format!("It points to {target}.")),
        None => failure,
    }
}

fn committed(changed: Changed, branch: Option<String>) -> Committed {
    Committed {
        commit_sha: changed.commit.sha,
        commit_url: changed.commit.html_url,
        file_sha: changed.content.map(|content| content.sha),
        branch,
    }
}

/// Base64 with the line breaks that GitHub puts in.
fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| Failure::new(Code::InvalidInput, "The content is no base64."))
}

/// A file as it is told: text as text, by lines; a small binary file as base64.
fn shown(file: RawFile, bytes: Vec<u8>, is_whole: bool, part: &Part) -> File {
    let mut told = File {
        path: file.path,
        sha: file.sha,
        size: file.size,
        text: None,
        base64: None,
        from_line: None,
        total_lines: None,
        is_cut: !is_whole,
        url: file.html_url,
    };
    match text(bytes, is_whole) {
        Ok(text) => {
            let first = part.from_line.unwrap_or(1).max(1);
            let total = text.lines().count();
            let wanted = text.split_inclusive('\n').skip(first - 1).take(part.lines.unwrap_or(usize::MAX));
            let (shown, shown_lines) = up_to(wanted, part.max_bytes);
            told.is_cut |= first > 1 || first - 1 + shown_lines < total;
            told.is_cut |= shown.len() == part.max_bytes && shown.len() < text.len();
            told.text = Some(shown);
            told.from_line = Some(first);
            told.total_lines = is_whole.then_some(total);
        }
        Err(bytes) if bytes.len() <= MAX_BINARY_BYTES && is_whole => {
            told.base64 = Some(STANDARD.encode(bytes));
        }
        Err(_) => told.is_cut = true,
    }
    told
}

/// The bytes as text, if they are one. The last character of a cut text may be cut, too.
fn text(bytes: Vec<u8>, is_whole: bool) -> Result<String, Vec<u8>> {
    if bytes.contains(&0) {
        return Err(bytes);
    }
    String::from_utf8(bytes).or_else(|error| {
        let good = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        if is_whole || bytes.len() - good >= 4 {
            return Err(bytes);
        }
        bytes.truncate(good);
        String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
    })
}

/// Lines up to a number of bytes; the first one is cut if it is longer by itself.
fn up_to<'a>(lines: impl Iterator<Item = &'a str>, max_bytes: usize) -> (String, usize) {
    let mut shown = String::new();
    let mut count = 0;
    for line in lines {
        let room = max_bytes - shown.len();
        if line.len() > room {
            if shown.is_empty() {
                shown.push_str(&line[..line.floor_char_boundary(room)]);
            }
            break;
        }
        shown.push_str(line);
        count += 1;
    }
    (shown, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8], part: &Part) -> File {
        let raw = RawFile {
            r#type: "file".to_owned(),
            path: "a".to_owned(),
            sha: "s".to_owned(),
            size: bytes.len() as u64,
            content: String::new(),
            encoding: None,
            target: None,
            html_url: None,
        };
        shown(raw, bytes.to_vec(), true, part)
    }

    fn lines(from_line: Option<usize>, lines: Option<usize>, max_bytes: usize) -> Part {
        Part { from_line, lines, max_bytes }
    }

    #[test]
    fn a_text_is_shown_by_lines_and_says_what_is_missing() {
        let all = file(b"one\ntwo\nthree", &lines(None, None, 100));
        assert_eq!(
            (all.text.as_deref(), all.total_lines, all.is_cut),
            (Some("one\ntwo\nthree"), Some(3), false)
        );
        let some = file(b"one\ntwo\nthree", &lines(Some(2), Some(1), 100));
        assert_eq!((some.text.as_deref(), some.from_line, some.is_cut), (Some("two\n"), Some(2), true));
        let few = file(b"one\ntwo\nthree", &lines(None, None, 9));
        assert_eq!((few.text.as_deref(), few.is_cut), (Some("one\ntwo\n"), true));
        let long = file("äääää".as_bytes(), &lines(None, None, 3));
        assert_eq!((long.text.as_deref(), long.is_cut), (Some("ä"), true));
        let none = file(b"one", &lines(Some(9), None, 9));
        assert_eq!((none.text.as_deref(), none.is_cut), (Some(""), true));
    }

    #[test]
    fn a_small_binary_file_is_base64_and_a_large_one_is_only_named() {
        let small = file(b"\0\x01", &lines(None, None, 9));
        assert_eq!((small.base64.as_deref(), small.text, small.is_cut), (Some("AAE="), None, false));
        let large = file(&vec![0; MAX_BINARY_BYTES + 1], &lines(None, None, 9));
        assert_eq!((large.base64, large.text, large.is_cut), (None, None, true));
    }

    #[test]
    fn a_cut_text_is_still_one() {
        assert_eq!(text("aä".as_bytes()[..2].to_vec(), false).as_deref(), Ok("a"));
        assert!(text("aä".as_bytes()[..2].to_vec(), true).is_err());
        assert!(text(b"\xff\xff\xff\xff\xff".to_vec(), false).is_err());
    }
}
