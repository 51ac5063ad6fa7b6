-- Who sees the whole log, or what they did in it, reads it in the order of time, page by page.
create index audit_logs_by_time on audit_logs (at, seq);
