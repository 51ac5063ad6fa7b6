//! Answers that are asked for again with their ETag: as many as fit into a number of bytes, the least used leave first.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use lru::LruCache;

/// What an entry takes besides its body: address, headers, the table itself.
const ENTRY_OVERHEAD_BYTES: usize = 2048;

/// An answer larger than this part of the room would push out too many others.
const LARGEST_PART: usize = 4;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) etag: HeaderValue,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The answers, by address and wanted form.
pub(crate) struct Cache {
    entries: LruCache<String, Entry>,
    bytes: usize,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, limit }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    pub(crate) fn put(&mut self, key: String, entry: Entry) {
        let size = size(&entry);
        if size > self.limit / LARGEST_PART {
            return;
        }
        self.bytes += size;
        if let Some(before) = self.entries.put(key, entry) {
            self.bytes -= self::size(&before);
        }
        while self.bytes > self.limit
            && let Some((_, oldest)) = self.entries.pop_lru()
        {
            self.bytes -= self::size(&oldest);
        }
    }
}

fn size(entry: &Entry) -> usize {
    entry.body.len() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry {
            etag: HeaderValue::from_static("\"a\""),
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'a'; bytes]),
        }
    }

    #[test]
    fn the_least_used_leave_when_it_is_full() {
        let mut cache = Cache::new(20 * ENTRY_OVERHEAD_BYTES);
        for key in 0..10 {
            cache.put(key.to_string(), entry(ENTRY_OVERHEAD_BYTES));
        }
        assert!(cache.get("0").is_some(), "it is full, and no more");
        cache.put("10".to_owned(), entry(ENTRY_OVERHEAD_BYTES));
        assert!(cache.get("1").is_none());
        assert!(cache.get("0").is_some() && cache.get("10").is_some());
        assert!(cache.bytes <= cache.limit);
    }

    #[test]
    fn what_is_replaced_takes_no_room_and_what_is_huge_does_not_enter() {
        let mut cache = Cache::new(20 * ENTRY_OVERHEAD_BYTES);
        for _ in 0..100 {
            cache.put("a".to_owned(), entry(10));
        }
        assert_eq!(cache.bytes, 10 + ENTRY_OVERHEAD_BYTES);
        cache.put("b".to_owned(), entry(10 * ENTRY_OVERHEAD_BYTES));
        assert!(cache.get("b").is_none() && cache.get("a").is_some());
    }
}
