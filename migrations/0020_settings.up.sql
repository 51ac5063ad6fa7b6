alter table system_settings
  add column kind text not null default 'integer', add column sensitive boolean not null default false,
  add column needs_restart boolean not null default false, add column rules jsonb not null default '{}',
  add column default_value jsonb, add column version integer not null default 1, add column sealed bytea,
  add constraint system_settings_kind_known check (kind in ('string', 'integer', 'boolean', 'duration', 'json')),
  add constraint system_settings_sensitive_is_sealed check (not sensitive or value = 'null'::jsonb),
  add constraint system_settings_sealed_is_sensitive check (sealed is null or sensitive);
update system_settings set default_value = value,
  kind = case jsonb_typeof(value) when 'string' then 'string' when 'boolean' then 'boolean' when 'number' then 'integer' else 'json' end;
create table setting_history (
  id uuid primary key, key text not null, at timestamptz not null, version integer not null, old_value jsonb, new_value jsonb,
  user_id uuid, api_key_id uuid, reason text,
  constraint setting_history_setting_exists foreign key (key) references system_settings on delete cascade,
  constraint setting_history_user_exists foreign key (user_id) references users on delete set null,
  constraint setting_history_reason_fits check (char_length(reason) <= 1000)
);
create index setting_history_of_key on setting_history (key, at desc, id desc);
insert into system_settings (key, value, default_value, kind, needs_restart, description) values
  ('api.trusted_proxies', '[]', '[]', 'json', false, 'Networks of the proxies that are believed when they say for whom they ask.'),
  ('launches.enabled', 'true', 'true', 'boolean', false, 'Whether new launches are taken.'),
  ('launches.per_minute_per_user', '10', '10', 'integer', false, 'Launches that one user may begin in a minute.'),
  ('launches.at_once', '4', '4', 'integer', false, 'Servers that start at one time; others wait in turn.'),
  ('launches.max_waiting', '200', '200', 'integer', false, 'Launches that may wait.'),
  ('launches.max_wait_s', '60', '60', 'integer', false, 'Seconds that a launch waits for its turn and for memory.'),
  ('launches.min_free_memory_mb', '256', '256', 'integer', false, 'Memory of the machine that launches leave free.'),
  ('limits.per_address_per_minute', '100', '100', 'integer', false, 'Requests without a valid key from one address.'),
  ('limits.per_key_per_minute', '1000', '1000', 'integer', false, 'Requests of one key that names no rate of its own.'),
  ('limits.per_user_per_minute', '3000', '3000', 'integer', false, 'Requests of one user through all keys.'),
  ('quotas.instances_per_organization', '100', '100', 'integer', false, 'Live instances of one organisation.'),
  ('quotas.credentials_per_user', '50', '50', 'integer', false, 'Credentials of one user.'),
  ('quotas.api_keys_per_user', '20', '20', 'integer', false, 'Active keys of one user.'),
  ('quotas.memory_mb_per_user', '8192', '8192', 'integer', false, 'Memory that one user''s live instances may have in sum.'),
  ('quotas.memory_mb_per_organization', '65536', '65536', 'integer', false, 'The same of one organisation.'),
  ('quotas.cpu_percent_per_user', '800', '800', 'integer', false, 'Processor time that one user''s live instances may have in sum.'),
  ('quotas.cpu_percent_per_organization', '6400', '6400', 'integer', false, 'The same of one organisation.'),
  ('logs.search_lines', '5000', '5000', 'integer', false, 'Lines that one page of a search looks through.'),
  ('exports.link_lifetime_s', '3600', '3600', 'integer', false, 'Seconds for which an export can be downloaded.'),
  ('accounts.erase_after_days', '30', '30', 'integer', false, 'Days after which a deleted account is erased.');
