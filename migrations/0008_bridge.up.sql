-- Servers that are reached by their address, the era that one was found to speak, and the bridge's limits.

-- A remote server has no program.
alter table mcp_types alter column program drop not null;

-- Belongs to the version that was asked: a change of the type forgets it. An author's own word is never overridden.
alter table mcp_types
  add column probed_era text,
  add column probed_at  timestamptz,
  add constraint mcp_types_probed_era_known check (probed_era in ('legacy', 'modern', 'dual')),
  add constraint mcp_types_probed_era_with_time check ((probed_era is null) = (probed_at is null)),
  add constraint mcp_types_probed_where_not_pinned check (probed_era is null or era = 'auto');

-- Finding out the era is no change of a type; every change counts its version up.
drop trigger mcp_types_updated on mcp_types;
create trigger mcp_types_updated before update of version on mcp_types
  for each row execute function set_updated_at();

insert into system_settings (key, value, description) values
  ('bridge.max_message_bytes',       '67108864', 'Bytes of the longest message, in either direction.'),
  ('bridge.max_sessions',            '8',        'Legacy sessions of one instance at one time.'),
  ('bridge.session_reclaim_after_s', '5',        'Seconds after which an idle session may give way to a new one.'),
  ('bridge.max_streams',             '256',      'Event streams and waiting answers of one instance at one time.'),
  ('bridge.max_in_flight',           '1024',     'Calls in flight on one server process.'),
  ('bridge.max_queued_messages',     '1024',     'Messages that wait for one stream.'),
  ('bridge.max_queued_bytes',        '8388608',  'Bytes that wait for one stream.'),
  ('bridge.event_store_events',      '1000',     'Events that one stream keeps for a client that comes back.'),
  ('bridge.event_store_bytes',       '8388608',  'Bytes of kept events of one session.'),
  ('bridge.event_store_age_s',       '300',      'Seconds for which an event is kept.'),
  ('bridge.max_listens',             '64',       'Subscriptions of modern clients of one instance at one time.'),
  ('bridge.keep_alive_ms',           '15000',    'Milliseconds of silence after which a stream carries a comment.'),
  ('bridge.head_hold_ms',            '1000',     'Milliseconds for which the head of an answer is held back.'),
  ('bridge.retry_ms',                '1000',     'Milliseconds after which a client whose stream broke is told to come back.'),
  ('bridge.call_timeout_s',          '600',      'Seconds after which a call without an answer or progress is given up.'),
  ('bridge.call_timeout_max_s',      '3600',     'Seconds up to which progress extends that.');
