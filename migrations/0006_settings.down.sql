drop table ring_check;
drop table idempotency_keys;
drop table system_settings;
