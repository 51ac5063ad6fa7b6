-- The second lock. A transaction for a caller takes the role roadstead_caller and says who calls; rows that are not theirs are
-- not there for it, whatever a statement says. Nothing said means nothing seen.
create function caller_user() returns uuid language sql stable parallel safe as $$ select nullif(current_setting('roadstead.user', true), '')::uuid $$;
create function caller_organization() returns uuid language sql stable parallel safe as $$ select nullif(current_setting('roadstead.organization', true), '')::uuid $$;
-- own, organization or all; an empty word sees nothing.
create function caller_reach() returns text language sql stable parallel safe as $$ select coalesce(current_setting('roadstead.reach', true), '') $$;

-- One policy for every table that says whose its rows are.
create function lock_rows(target regclass, owner_column name) returns void language plpgsql set client_min_messages = warning as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('drop policy if exists service on %s', target);
  execute format('drop policy if exists caller on %s', target);
  if exists (select from pg_roles where rolname = 'roadstead_app') then
    execute format('create policy service on %s to roadstead_app using (true) with check (true)', target);
  end if;
  execute format('create policy caller on %1$s to roadstead_caller using (
      (select caller_reach()) = ''all''
      or (organization_id = (select caller_organization())
          and ((select caller_reach()) = ''organization'' or ((select caller_reach()) = ''own'' and %2$I = (select caller_user())))))
    with check (
      (select caller_reach()) = ''all''
      or (organization_id = (select caller_organization())
          and ((select caller_reach()) = ''organization'' or ((select caller_reach()) = ''own'' and %2$I = (select caller_user())))))',
    target, owner_column);
end $$;
create function lock_all_rows() returns void language plpgsql set client_min_messages = warning as $$
declare one record; there bigint; wanted bigint;
begin
  -- Run at every start, like the grants: to make a policy is to lock its table, so nothing is done twice.
  select count(*) into there from pg_policies where schemaname = 'public' and policyname in ('caller', 'service');
  select 18 * (1 + count(*)) into wanted from pg_roles where rolname = 'roadstead_app';
  if there >= wanted then return; end if;
  perform lock_rows('mcp_instances', 'user_id'); perform lock_rows('credentials', 'user_id'); perform lock_rows('api_keys', 'user_id');
  perform lock_rows('mcp_logs', 'owner_id'); perform lock_rows('mcp_events', 'owner_id'); perform lock_rows('mcp_usage', 'user_id');
  perform lock_rows('audit_logs', 'actor_user_id'); perform lock_rows('feed', 'owner_id'); perform lock_rows('exports', 'user_id');
  perform lock_rows('api_key_usage_log', 'user_id');
  drop policy if exists caller_appends on audit_logs; drop policy if exists caller_acted_for on audit_logs;
  -- Whatever a caller did may be written down, and one for whom another acted sees it.
  create policy caller_appends on audit_logs for insert to roadstead_caller with check (true);
  create policy caller_acted_for on audit_logs for select to roadstead_caller using (on_behalf_of = (select caller_user()) and (select caller_reach()) <> '');
  for one in select * from (values
    ('organizations', '(select caller_reach()) = ''all'' or exists (select from org_members m where m.organization_id = organizations.id and m.user_id = (select caller_user()))'),
    ('org_members', '(select caller_reach()) = ''all'' or user_id = (select caller_user()) or (organization_id = (select caller_organization()) and (select caller_reach()) = ''organization'')'),
    ('projects', '(select caller_reach()) = ''all'' or organization_id = (select caller_organization())'),
    ('users', '(select caller_reach()) = ''all'' or id = (select caller_user()) or ((select caller_reach()) = ''organization'' and exists (select from org_members m where m.user_id = users.id and m.organization_id = (select caller_organization())))'),
    ('mcp_types', '(select caller_reach()) = ''all'' or project_id is null or exists (select from projects p where p.id = mcp_types.project_id and p.organization_id = (select caller_organization()))'),
    ('credential_secrets', 'exists (select from credentials c where c.id = credential_secrets.credential_id)'),
    ('credential_events', 'exists (select from credentials c where c.id = credential_events.credential_id)'),
    ('api_key_usage', 'exists (select from api_keys k where k.id = api_key_usage.api_key_id)')
  ) as t (name, condition) loop
    execute format('alter table %I enable row level security', one.name);
    execute format('drop policy if exists service on %I', one.name); execute format('drop policy if exists caller on %I', one.name);
    if exists (select from pg_roles where rolname = 'roadstead_app') then
      execute format('create policy service on %I to roadstead_app using (true) with check (true)', one.name);
    end if;
    execute format('create policy caller on %I to roadstead_caller using (%s) with check (%s)', one.name, one.condition, one.condition);
  end loop;
end $$;
select lock_all_rows();

-- No platform table for callers, and of sealed values none to read.
create function grant_caller_role() returns boolean language plpgsql as $$
begin
  grant usage on schema public to roadstead_caller;
  grant select, insert, update on public.organizations, public.projects, public.users, public.org_members, public.api_keys, public.credentials,
    public.mcp_types, public.mcp_instances to roadstead_caller;
  grant delete on public.org_members to roadstead_caller;
  grant select on public.mcp_logs, public.mcp_events, public.mcp_usage, public.audit_logs, public.feed, public.api_key_usage,
    public.api_key_usage_log, public.credential_events, public.retired_keys to roadstead_caller;
  grant insert on public.audit_logs, public.mcp_events, public.credential_secrets, public.credential_events, public.feed_unplaced,
    public.audit_unsealed, public.setting_history to roadstead_caller;
  grant delete on public.credential_secrets to roadstead_caller;
  grant select (credential_id, slot, hint) on public.credential_secrets to roadstead_caller;
  grant select, insert, update on public.exports, public.system_settings, public.retention_policies to roadstead_caller;
  grant select on public.setting_history, public.retention_runs, public.system_events to roadstead_caller;
  grant usage on sequence public.audit_seq, public.mcp_node_seq to roadstead_caller;
  if exists (select from pg_roles where rolname = 'roadstead_app') and not pg_has_role('roadstead_app', 'roadstead_caller', 'member') then
    grant roadstead_caller to roadstead_app;
  end if;
  return true;
end $$;
revoke all on function grant_caller_role() from public;

-- What was granted before, and the new tables. What is only appended to is taken back even where defaults gave it.
alter function grant_application_role() rename to grant_application_role_before_accounts;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  perform lock_all_rows();
  if not grant_application_role_before_accounts() then
    perform grant_caller_role();
    return false;
  end if;
  grant select, insert, update, delete on public.org_members, public.api_key_usage, public.api_key_usage_log, public.setting_history,
    public.system_events, public.feed, public.feed_unplaced, public.exports, public.retention_policies, public.retention_runs,
    public.audit_unsealed, public.audit_chains to roadstead_app;
  grant select, insert on public.audit_logs, public.audit_links, public.audit_anchors to roadstead_app;
  revoke update, delete, truncate on public.audit_logs, public.audit_links, public.audit_anchors from roadstead_app;
  grant usage on sequence public.audit_seq, public.feed_position to roadstead_app;
  grant execute on function public.drop_month_partitions(text, timestamptz) to roadstead_app;
  perform grant_caller_role();
  return true;
end $$;
revoke all on function grant_application_role() from public;
select grant_application_role();
