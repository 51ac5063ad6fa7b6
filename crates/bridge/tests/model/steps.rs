//! What may happen.

use proptest::prelude::*;

/// Something a client, a server or the time does. Numbers pick one of what there is, and nothing happens when there is none.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client calls in a session, under one of a few ids. `rush` does not wait for anything to happen.
    Call { session: u8, id: u8, rush: bool },
    /// A stateless client calls.
    ModernCall { id: u8, logs: bool, rush: bool },
    /// A stateless client subscribes.
    Listen { id: u8 },
    /// A server answers a request it has heard, once or several times.
    Answer { server: u8, which: u8, error: bool, times: u8, rush: bool },
    /// A server answers what it has answered before, or was never asked.
    AnswerAgain { server: u8, which: u8 },
    /// A server reports progress of a request it has heard, answered or not.
    Progress { server: u8, which: u8, rush: bool },
    /// A server writes a log message.
    Log { server: u8, rush: bool },
    /// The lists of a server changed.
    ListChanged { server: u8 },
    /// A server asks its client something.
    Ask { server: u8, rush: bool },
    /// A client answers what a server asked.
    Reply { which: u8 },
    /// A client cancels a call.
    Cancel { which: u8 },
    /// A client closes the connection of a call.
    Disconnect { which: u8 },
    /// A client opens the stream of a session for what belongs to no call, in the place of an older one.
    Get { session: u8 },
    /// A client closes that stream.
    DropGet { session: u8 },
    /// One more session.
    Open,
    /// A client ends a session.
    Delete { session: u8 },
    /// A server process exits.
    Exit { server: u8 },
    /// Time passes.
    Pass { milliseconds: u16 },
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..48)
}

fn step() -> impl Strategy<Value = Step> {
    let (n, flag) = (any::<u8>, any::<bool>);
    prop_oneof![
        8 => (n(), 0..4_u8, flag()).prop_map(|(session, id, rush)| Step::Call { session, id, rush }),
        6 => (0..4_u8, flag(), flag()).prop_map(|(id, logs, rush)| Step::ModernCall { id, logs, rush }),
        1 => (0..4_u8).prop_map(|id| Step::Listen { id }),
        8 => (n(), n(), flag(), 1..3_u8, flag())
            .prop_map(|(server, which, error, times, rush)| Step::Answer { server, which, error, times, rush }),
        2 => (n(), n()).prop_map(|(server, which)| Step::AnswerAgain { server, which }),
        4 => (n(), n(), flag()).prop_map(|(server, which, rush)| Step::Progress { server, which, rush }),
        3 => (n(), flag()).prop_map(|(server, rush)| Step::Log { server, rush }),
        2 => n().prop_map(|server| Step::ListChanged { server }),
        4 => (n(), flag()).prop_map(|(server, rush)| Step::Ask { server, rush }),
        4 => n().prop_map(|which| Step::Reply { which }),
        2 => n().prop_map(|which| Step::Cancel { which }),
        2 => n().prop_map(|which| Step::Disconnect { which }),
        2 => n().prop_map(|session| Step::Get { session }),
        1 => n().prop_map(|session| Step::DropGet { session }),
        1 => Just(Step::Open),
        1 => n().prop_map(|session| Step::Delete { session }),
        1 => n().prop_map(|server| Step::Exit { server }),
        2 => (0..20_000_u16).prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}
