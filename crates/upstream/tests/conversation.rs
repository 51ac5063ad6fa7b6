//! Conversations with servers made for the purpose, one rule of the protocol at a time.

#[path = "conversation/fake.rs"]
mod fake;

#[path = "conversation/bounds.rs"]
mod bounds;
#[path = "conversation/events.rs"]
mod events;
#[path = "conversation/http.rs"]
mod http;
#[path = "conversation/legacy.rs"]
mod legacy;
#[path = "conversation/modern.rs"]
mod modern;
#[path = "conversation/streams.rs"]
mod streams;
