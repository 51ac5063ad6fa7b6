-- What an operator may change while we run, and what we must remember of requests and keys.

create table system_settings (
  key         text primary key,
  value       jsonb not null,
  description text not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);
create trigger system_settings_updated before update on system_settings
  for each row execute function set_updated_at();

insert into system_settings (key, value, description) values
  ('encryption.algorithm',         '"aes-256-gcm"', 'The cipher that seals secrets at rest.'),
  ('mcp.default_duration_minutes', '60',            'Lifetime of an instance whose launch names none.'),
  ('mcp.max_instances_per_user',   '10',            'Live instances that one user may have.'),
  ('cleanup.retention_days',       '30',            'Days that logs and ended instances are kept.'),
  ('port.range_start',             '3001',          'First port of the pool.'),
  ('port.range_end',               '3100',          'Last port of the pool.'),
  ('process.max_memory_mb',        '512',           'Memory of one instance, in megabytes.'),
  ('process.max_cpu_percent',      '50',            'Share of one processor that an instance may use.');

-- The first answer to a request that may be repeated; sealed, because it may hold a token.
create table idempotency_keys (
  user_id       uuid not null,
  route         text not null,
  key           text not null,
  body_hash     bytea not null,
  answer_status integer,
  sealed_answer bytea,
  created_at    timestamptz not null,
  expires_at    timestamptz not null,
  primary key (user_id, route, key),
  constraint idempotency_keys_user_exists foreign key (user_id) references users on delete cascade,
  constraint idempotency_keys_key_fits check (char_length(key) between 1 and 255),
  constraint idempotency_keys_hash_is_sha256 check (octet_length(body_hash) = 32),
  constraint idempotency_keys_answer_with_status check ((answer_status is null) = (sealed_answer is null)),
  constraint idempotency_keys_status_fits check (answer_status between 100 and 599)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

-- A known value under the master key: a wrong key is noticed before it is used.
create table ring_check (
  single     boolean primary key default true,
  sealed     bytea not null,
  created_at timestamptz not null,
  constraint ring_check_is_one_row check (single)
);
