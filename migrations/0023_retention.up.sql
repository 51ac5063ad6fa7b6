create table retention_policies (
  table_name text primary key, days integer not null, is_active boolean not null default true, archive boolean not null default false,
  version integer not null default 1, updated_at timestamptz not null default now(), last_run_at timestamptz,
  constraint retention_policies_table_known check (table_name in
    ('mcp_logs', 'mcp_events', 'mcp_instances', 'mcp_usage', 'api_key_usage_log', 'audit_logs', 'system_events', 'feed', 'exports', 'setting_history')),
  constraint retention_policies_days_fit check (days between 1 and 36500)
);
insert into retention_policies (table_name, days) values ('mcp_logs', 30), ('mcp_events', 90), ('mcp_instances', 30), ('mcp_usage', 365),
  ('api_key_usage_log', 90), ('audit_logs', 365), ('system_events', 90), ('feed', 7), ('exports', 1), ('setting_history', 3650);
create table retention_runs (
  id uuid primary key, table_name text not null, started_at timestamptz not null, finished_at timestamptz, dry_run boolean not null,
  cutoff timestamptz not null, rows_removed bigint not null default 0, partitions text[] not null default '{}', archived_to text,
  outcome text not null default 'running', error text, user_id uuid,
  constraint retention_runs_outcome_known check (outcome in ('running', 'completed', 'skipped', 'dry_run', 'error'))
);
create index retention_runs_by_start on retention_runs (started_at desc, id);

-- Drops whole months that ended before `cutoff`. The application may call it although it may drop nothing: only tables on the
-- list, only months older than their policy says, and months of the audit log only when every chain in them was anchored.
create function drop_month_partitions(parent text, cutoff timestamptz) returns text[]
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  policy record; part record; dropped text[] := '{}'; month_end timestamptz;
begin
  select * into policy from retention_policies where table_name = parent and is_active;
  if not found then raise exception 'no active policy for %', parent using errcode = 'invalid_parameter_value'; end if;
  if cutoff > now() - make_interval(days => policy.days) then
    raise exception 'the policy of % keeps % days', parent, policy.days using errcode = 'invalid_parameter_value';
  end if;
  for part in
    select c.relname from pg_inherits h join pg_class c on c.oid = h.inhrelid
    where h.inhparent = to_regclass(format('public.%I', parent)) and c.relname ~ ('^' || parent || '_\d{4}_\d{2}$') order by 1
  loop
    month_end := (to_date(right(part.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC';
    continue when month_end > cutoff;
    if parent = 'audit_logs' then
      if exists (select from audit_unsealed where at < month_end) or exists (
        select from (select organization_id, max(number) n from audit_links where at < month_end group by 1) l
        where not exists (select from audit_anchors a where a.organization_id = l.organization_id and a.kind = 'dropped' and a.number >= l.n)) then
        raise exception 'the chains of % are not anchored', part.relname using errcode = 'object_not_in_prerequisite_state';
      end if;
      execute format('drop table if exists public.%I', replace(part.relname, 'audit_logs_', 'audit_links_'));
    end if;
    execute format('drop table public.%I', part.relname);
    dropped := dropped || part.relname::text;
  end loop;
  return dropped;
end $$;
revoke all on function drop_month_partitions(text, timestamptz) from public;
