//! What came of an attempt.

use nix::errno::Errno;
use serde_json::{Value, json};

/// What one way to do it said: what was got, or why not.
pub type Tried = Result<String, Errno>;

/// What came of an attempt, as far as the one who made it can tell.
#[derive(Debug)]
pub enum Outcome {
    /// It worked; this was got.
    Got(String),
    /// Every way was refused; the last word, and all of them.
    Refused(Errno, String),
    /// A way in was found, and nothing could be done there.
    Useless(String),
    /// It was done, and only from outside can be seen whether it had an effect.
    Done(String),
    /// The machine has nothing of the kind.
    Absent(String),
    /// So much was taken until it was refused, or enough.
    Took(u64, String),
}

impl Outcome {
    /// One way was tried.
    pub fn of(tried: Tried) -> Self {
        match tried {
            Ok(got) => Self::Got(got),
            Err(errno) => Self::Refused(errno, String::new()),
        }
    }

    /// Several ways were tried; one that works is enough.
    pub fn any(ways: impl IntoIterator<Item = (&'static str, Tried)>) -> Self {
        let mut refusals = Vec::new();
        let mut last = Errno::ENOSYS;
        for (way, tried) in ways {
            match tried {
                Ok(got) => return Self::Got(format!("{way}: {got}")),
                Err(errno) => {
                    last = errno;
                    refusals.push(format!("{way} {errno:?}"));
                }
            }
        }
        Self::Refused(last, refusals.join(", "))
    }

    /// As the tool answers it. `refused` is null where only others can tell.
    pub fn to_json(&self) -> Value {
        let told = |refused: Option<bool>, detail: &str| json!({"refused": refused, "errno": null, "detail": detail});
        match self {
            Self::Got(detail) => told(Some(false), detail),
            Self::Useless(detail) => told(Some(true), detail),
            Self::Done(detail) => told(None, detail),
            Self::Refused(errno, detail) => {
                json!({"refused": true, "errno": format!("{errno:?}"), "detail": detail})
            }
            Self::Absent(detail) => json!({"refused": true, "errno": null, "detail": detail, "absent": true}),
            Self::Took(count, detail) => {
                json!({"refused": null, "errno": null, "detail": detail, "count": count})
            }
        }
    }
}

/// The number behind an error of the standard library.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What a result of the standard library says.
pub fn tried<T>(result: std::io::Result<T>, got: impl FnOnce(T) -> String) -> Tried {
    result.map(got).map_err(|error| errno(&error))
}

/// What a system call says that answers with a number.
pub fn called(result: impl Into<i64>, what: &str) -> Tried {
    match result.into() {
        -1 => Err(Errno::last()),
        number => Ok(format!("{what} {number}")),
    }
}
