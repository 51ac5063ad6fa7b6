-- What was said and what happened, in one partition per month.

-- The order of what we say ourselves, and of the arrival of every log line.
create sequence mcp_node_seq as bigint;
create sequence mcp_log_position as bigint;

-- A line is known by the instance, the time and number that its writer gave it, and who the writer is: what a
-- shim tells twice is stored once. `position` is the order of arrival, for readers that follow.
create table mcp_logs (
  id              uuid not null,
  mcp_instance_id uuid not null,
  at              timestamptz not null,
  seq             bigint not null,
  origin          text not null,
  position        bigint not null default nextval('mcp_log_position'),
  level           text not null default 'info',
  source          text not null default 'process',
  message         text not null,
  metadata        jsonb,
  created_at      timestamptz not null default now(),
  constraint mcp_logs_once primary key (mcp_instance_id, at, seq, origin),
  constraint mcp_logs_instance_exists
    foreign key (mcp_instance_id) references mcp_instances on delete cascade,
  constraint mcp_logs_origin_known check (origin in ('shim', 'node')),
  constraint mcp_logs_level_known check (level in ('debug', 'info', 'warn', 'error')),
  constraint mcp_logs_source_known check (source in ('process', 'system', 'api'))
) partition by range (at);
create index mcp_logs_by_time on mcp_logs (at);
create index mcp_logs_arrival on mcp_logs (mcp_instance_id, position);
create index mcp_logs_bad on mcp_logs (mcp_instance_id, at) where level in ('warn', 'error');

create table mcp_events (
  id              uuid not null,
  mcp_instance_id uuid not null,
  at              timestamptz not null,
  seq             bigint not null default nextval('mcp_node_seq'),
  origin          text not null default 'node',
  event_type      text not null,
  event_data      jsonb not null default '{}',
  user_id         uuid,
  api_key_id      uuid,
  ip_address      inet,
  user_agent      text,
  created_at      timestamptz not null default now(),
  constraint mcp_events_once primary key (mcp_instance_id, at, seq, origin),
  constraint mcp_events_instance_exists
    foreign key (mcp_instance_id) references mcp_instances on delete cascade,
  constraint mcp_events_user_exists foreign key (user_id) references users on delete set null,
  constraint mcp_events_key_exists foreign key (api_key_id) references api_keys on delete set null,
  constraint mcp_events_origin_known check (origin in ('shim', 'node')),
  constraint mcp_events_type_known check (event_type in (
    'created', 'started', 'restored', 'renewed', 'extended', 'restarted', 'stopped', 'disconnected',
    'expired', 'deleted', 'error', 'reaped', 'adopted', 'token_rotated')),
  constraint mcp_events_data_is_object check (jsonb_typeof(event_data) = 'object')
) partition by range (at);
create index mcp_events_by_time on mcp_events (at);

-- Makes the partitions of a month and of those that follow it; says how many were new. The application role may
-- call it although it may create no table: it can name a month, and nothing else.
create function ensure_month_partitions(first timestamptz, months integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  start_of_month timestamp := date_trunc('month', first at time zone 'UTC');
  month          timestamp;
  parent         text;
  partition      text;
  made           integer := 0;
begin
  if months is null or months not between 1 and 24 then
    raise exception 'between 1 and 24 months can be prepared at once, not %', months
      using errcode = 'invalid_parameter_value';
  end if;
  for step in 0 .. months - 1 loop
    month := start_of_month + make_interval(months => step);
    foreach parent in array array['mcp_logs', 'mcp_events'] loop
      partition := parent || to_char(month, '_YYYY_MM');
      if to_regclass(format('public.%I', partition)) is null then
        -- Two callers at once: the second waits here, then finds the first one's table in the catalogue. (It would
        -- not by `to_regclass`, which may answer from what it remembers.)
        perform pg_advisory_xact_lock(hashtextextended('ensure_month_partitions', 0));
        if not exists (
          select from pg_class where relname = partition and relnamespace = 'public'::regnamespace
        ) then
          execute format(
            'create table public.%I partition of public.%I for values from (%L) to (%L)',
            partition, parent,
            month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
          made := made + 1;
        end if;
      end if;
    end loop;
  end loop;
  return made;
end
$$;
revoke all on function ensure_month_partitions(timestamptz, integer) from public;

select ensure_month_partitions(now(), 3);
