//! The shim as a process, started by the supervisor, with servers that misbehave behind it.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod again;
mod failure;
mod http;
mod kill_matrix;
mod life;
mod limits;
mod support;
mod walls;
