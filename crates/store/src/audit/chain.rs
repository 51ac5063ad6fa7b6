//! What is hashed. An entry's bytes are the line that `copy … to stdout` writes of a fixed list of columns: sealer and
//! verifier both hash that line, and neither reads what it says. A new column is a new format number; links keep theirs.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The format of entries that are sealed now.
pub const FORMAT: i16 = 1;

/// The columns of an entry in format 1, of a row called `l`.
macro_rules! entry_v1 {
    () => {
        "l.seq, (extract(epoch from l.at) * 1000000)::bigint, l.id, l.organization_id, l.project_id, l.actor_kind, \
         l.actor_user_id, l.actor_key_id, l.on_behalf_of, host(l.ip_address), l.user_agent, l.action, l.resource_kind, \
         l.resource_id, l.changes, l.request_id, l.outcome, l.code, l.sensitive, l.retention_days, l.times"
    };
}
pub(crate) use entry_v1;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash of an entry's line, without its line end.
pub fn content(line: &[u8]) -> Hash {
    Sha256::new().chain_update(b"roadstead audit 1\n").chain_update(line).finalize().into()
}

/// The hash that links an entry to the one before.
pub fn link(previous: &Hash, number: i64, content: &Hash) -> Hash {
    Sha256::new()
        .chain_update(previous)
        .chain_update(number.unsigned_abs().to_be_bytes())
        .chain_update(content)
        .finalize()
        .into()
}

/// What the first entry of a chain is linked to.
pub fn origin(organization: Uuid) -> Hash {
    Sha256::new().chain_update(b"roadstead chain\n").chain_update(organization.as_bytes()).finalize().into()
}

/// The fields of a line that `copy` wrote, as they stand there.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b'\t')
}

/// A field that holds a number.
pub(crate) fn number(field: Option<&[u8]>) -> Option<i64> {
    std::str::from_utf8(field?).ok()?.parse().ok()
}

/// A field that holds a UUID.
pub(crate) fn uuid(field: Option<&[u8]>) -> Option<Uuid> {
    Uuid::try_parse_ascii(field?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_link_counts() {
        let (a, b) = (content(b"1\tx"), content(b"1\ty"));
        assert_ne!(a, b);
        let first = origin(Uuid::nil());
        assert_ne!(first, origin(Uuid::max()));
        let all = [link(&first, 1, &a), link(&first, 2, &a), link(&first, 1, &b), link(&a, 1, &a)];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let line = b"12\t00000000-0000-0000-0000-000000000000\t\\N";
        let mut read = fields(line);
        assert_eq!(number(read.next()), Some(12));
        assert_eq!(uuid(read.next()), Some(Uuid::nil()));
        assert_eq!(number(read.next()), None);
    }
}
