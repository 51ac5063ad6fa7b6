-- What calls through instances cost: one row for each call, or for several alike. Nothing of what was said.

-- A fact is known by the instance, the time and the number that its shim gave it: what a shim tells twice is stored once.
-- It outlives the instance, so whose it was is written into it and nothing hangs on the instance's row.
create table mcp_usage (
  id                uuid not null,
  mcp_instance_id   uuid not null,
  at                timestamptz not null,
  seq               bigint not null,
  user_id           uuid not null,
  organization_id   uuid not null,
  project_id        uuid not null,
  mcp_type_id       uuid not null,
  method            text not null,
  name              text,
  request_id        text,
  parent_request_id text,
  era               text not null,
  status            text not null,
  calls             bigint not null default 1,
  latency_us        bigint not null,
  request_bytes     bigint not null,
  answer_bytes      bigint not null,
  created_at        timestamptz not null default now(),
  constraint mcp_usage_once primary key (mcp_instance_id, at, seq),
  constraint mcp_usage_user_exists foreign key (user_id) references users on delete cascade,
  constraint mcp_usage_organization_exists foreign key (organization_id) references organizations,
  constraint mcp_usage_project_exists foreign key (project_id) references projects,
  constraint mcp_usage_type_exists foreign key (mcp_type_id) references mcp_types,
  constraint mcp_usage_method_known check (method in ('tools/call', 'resources/read', 'prompts/get')),
  constraint mcp_usage_era_known check (era in ('legacy', 'modern')),
  constraint mcp_usage_status_known check (status in ('success', 'error', 'timeout', 'cancelled', 'blocked')),
  constraint mcp_usage_counts_fit check (calls >= 1 and latency_us >= 0 and request_bytes >= 0 and answer_bytes >= 0),
  constraint mcp_usage_sum_names_no_request check (calls = 1 or (request_id is null and parent_request_id is null)),
  constraint mcp_usage_one_call_has_a_name check (calls > 1 or name is not null)
) partition by range (at);
create index mcp_usage_by_time on mcp_usage (at, id);
create index mcp_usage_of_user on mcp_usage (user_id, at, id);

-- As before, but for every table that is kept by the month.
create or replace function ensure_month_partitions(first timestamptz, months integer) returns integer
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
    for parent in
      select relname from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace order by relname
    loop
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

select ensure_month_partitions(now(), 3);

-- What was granted before, and the new table.
alter function grant_application_role() rename to grant_application_role_before_usage;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not grant_application_role_before_usage() then
    return false;
  end if;
  grant select, insert, update, delete on public.mcp_usage to roadstead_app;
  return true;
end
$$;
revoke all on function grant_application_role() from public;

select grant_application_role();
