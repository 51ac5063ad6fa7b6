//! An address of a `server.json`: where the server is, and what every request to it carries.

use std::collections::BTreeMap;

use roadstead_model::Transport;

use super::super::draft::{Draft, Piece};
use super::super::json::{Object, Problems, quoted};
use super::super::secrets;
use super::input::{self, Part, Place, split};
use super::is_streamable;

const KNOWN: [&str; 5] = ["type", "transportType", "url", "headers", "variables"];

/// The word of an address's transport, also in the first documents' field.
pub(super) fn transport_word<'a>(remote: &Object<'a>, problems: &mut Problems) -> Option<&'a str> {
    remote.text("type", problems).or_else(|| remote.text("transportType", problems))
}

/// Reads an address into the draft.
pub(super) fn read(remote: &Object<'_>, draft: &mut Draft) {
    draft.spec.transport = match transport_word(remote, &mut draft.problems) {
        Some("sse") => Transport::Sse,
        Some(word) if is_streamable(word) => Transport::StreamableHttp,
        word => {
            let message =
                word.map_or_else(|| "is required".to_owned(), |word| format!("is {}", quoted(word)));
            draft.problems.report(remote.at("type"), format!("{message}; there are streamable-http and sse"));
            // What else is wrong can be told all the same.
            Transport::StreamableHttp
        }
    };
    if let Some(url) = remote.required_text("url", &mut draft.problems) {
        address(remote, url, draft);
    }
    headers(remote, draft);
    if let Some(note) = remote.note_unknown(&KNOWN) {
        draft.note(note);
    }
}

fn address(remote: &Object<'_>, url: &str, draft: &mut Draft) {
    let path = remote.at("url");
    if secrets::in_query(url) {
        let rule = "holds what looks like a secret, and addresses get into logs; take a server that reads it from a header";
        draft.problems.report(path, rule);
        return;
    }
    let variables = input::variables(remote, &mut draft.problems);
    let host_end = url.find("://").map_or(0, |at| at + 3);
    let host_end = url[host_end..].find(['/', '?']).map_or(url.len(), |at| host_end + at);
    let (mut pieces, mut known) = (Vec::new(), BTreeMap::new());
    let mut at = 0;
    for part in split(url) {
        match part {
            Part::Text(text) => {
                pieces.push(Piece::Text(text.to_owned()));
                at += text.len();
            }
            Part::Name(name) => {
                let in_host = at < host_end;
                at += name.len() + 2;
                let Some(input) = variables.get(name) else {
                    draft
                        .problems
                        .report(&path, format!("names {}, which is not in its variables", quoted(name)));
                    continue;
                };
                if in_host {
                    pieces.extend(host_part(&path, name, input, draft));
                } else {
                    let filled =
                        known.entry(name).or_insert_with(|| input.pieces(name, Place::Address, draft));
                    pieces.extend(filled.iter().flatten().cloned());
                }
            }
        }
    }
    draft.spec.url = draft.template(&path, &pieces);
}

/// A host is chosen by the type, not by who launches it.
fn host_part(path: &str, name: &str, input: &input::Input<'_>, draft: &mut Draft) -> Option<Piece> {
    let fixed = input.value.or(input.default).filter(|_| !input.secret);
    let Some(text) = fixed else {
        let message =
            format!("has {} in its host, which a type must name: write it out in the document", quoted(name));
        draft.problems.report(path, message);
        return None;
    };
    let note =
        format!("{path}: {} in the host is what the document proposes; change it in the type", quoted(name));
    draft.note(note);
    Some(Piece::Text(text.to_owned()))
}

/// Reads the headers of an address.
pub(super) fn headers(transport: &Object<'_>, draft: &mut Draft) {
    for object in transport.objects("headers", &mut draft.problems) {
        input::note_unknown(&object, draft);
        let input = input::read(&object, &mut draft.problems);
        let Some(name) = object.required_text("name", &mut draft.problems) else { continue };
        if Draft::is_own_header(name) {
            draft.note(format!("{}: left out: the bridge writes this header itself", object.path));
            continue;
        }
        if let Some(pieces) = input.pieces(name, Place::Header, draft) {
            draft.set_header(&object.at("name"), name, &pieces);
        }
    }
}
