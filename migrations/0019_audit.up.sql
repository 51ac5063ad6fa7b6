-- Who changed what, or was refused: appended in the transaction of the change, linked into a chain afterwards.
create sequence audit_seq as bigint;
create table audit_logs (
  seq bigint not null default nextval('audit_seq'), at timestamptz not null, id uuid not null,
  organization_id uuid not null, project_id uuid,            -- nil UUID: the platform itself
  actor_kind text not null, actor_user_id uuid, actor_key_id uuid, on_behalf_of uuid, ip_address inet, user_agent text,
  action text not null, resource_kind text not null, resource_id text, changes jsonb not null default '{}',
  request_id text, outcome text not null, code text, sensitive boolean not null default false, retention_days integer,
  times integer not null default 1,
  constraint audit_logs_once primary key (seq, at),
  constraint audit_logs_actor_known check (actor_kind in ('user', 'key', 'system', 'webhook')),
  constraint audit_logs_action_fits check (action ~ '^[a-z_]+\.[a-z_]+$'),
  constraint audit_logs_outcome_known check (outcome in ('done', 'refused', 'failed')),
  constraint audit_logs_refused_has_code check (outcome = 'done' or code is not null),
  constraint audit_logs_changes_is_object check (jsonb_typeof(changes) = 'object'),
  constraint audit_logs_times_fits check (times >= 1)
) partition by range (at);
-- Who sees the whole log, or what they did in it, reads it in the order of time, page by page.
create index audit_logs_by_time on audit_logs (at, seq);
create index audit_logs_of_organization on audit_logs (organization_id, at, seq);
create index audit_logs_of_actor on audit_logs (actor_user_id, at, seq);
create index audit_logs_of_resource on audit_logs (resource_kind, resource_id, at);
create index audit_logs_of_request on audit_logs (request_id) where request_id is not null;

-- What is not linked yet: one row an entry, taken away by the sealer.
create table audit_unsealed (seq bigint primary key, at timestamptz not null, organization_id uuid not null);
create table audit_links (
  seq bigint not null, at timestamptz not null, organization_id uuid not null, number bigint not null,
  format smallint not null, content bytea not null, hash bytea not null, sealed_at timestamptz not null,
  constraint audit_links_once primary key (seq, at),
  constraint audit_links_hashes_are_sha256 check (octet_length(content) = 32 and octet_length(hash) = 32)
) partition by range (at);
create index audit_links_in_order on audit_links (organization_id, number);
-- The end of each chain; the sealer's alone.
create table audit_chains (
  organization_id uuid primary key, number bigint not null, hash bytea not null, sealed_at timestamptz not null,
  anchored_at timestamptz
);
-- Signed places of a chain: one a day, and one for each month that was dropped.
create table audit_anchors (
  organization_id uuid not null, number bigint not null, hash bytea not null, kind text not null, dropped_before timestamptz,
  entries bigint, at timestamptz not null, key_id bigint not null, signature bytea not null,
  constraint audit_anchors_once primary key (organization_id, number, kind),
  constraint audit_anchors_kind_known check (kind in ('day', 'dropped'))
);

create function audit_noted() returns trigger language plpgsql as $$
begin
  insert into audit_unsealed (seq, at, organization_id) values (new.seq, new.at, new.organization_id);
  perform set_config('roadstead.audited', pg_current_xact_id()::text, true);
  return null;
end $$;
create trigger audit_noted after insert on audit_logs for each row execute function audit_noted();

create function audit_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is only appended to' using errcode = 'insufficient_privilege', constraint = 'audit_append_only';
end $$;
create trigger audit_logs_append_only before update or delete on audit_logs for each row execute function audit_append_only();
create trigger audit_links_append_only before update or delete on audit_links for each row execute function audit_append_only();
create trigger audit_logs_never_emptied before truncate on audit_logs for each statement execute function audit_append_only();
create trigger audit_links_never_emptied before truncate on audit_links for each statement execute function audit_append_only();
create trigger audit_anchors_append_only before update or delete or truncate on audit_anchors for each statement execute function audit_append_only();

-- A change that nobody wrote down cannot be committed. Migrations and people at a prompt are not the application.
create function change_is_audited() returns trigger language plpgsql as $$
begin
  if current_user in ('roadstead_app', 'roadstead_caller')
     and coalesce(current_setting('roadstead.audited', true), '') <> pg_current_xact_id()::text then
    raise exception 'a change of % without an audit entry', tg_table_name
      using errcode = 'check_violation', constraint = 'change_is_audited';
  end if;
  return null;
end $$;
select ensure_month_partitions(now(), 3);
