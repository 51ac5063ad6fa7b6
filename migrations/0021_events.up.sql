-- Events of the whole, whose lines and events are whose, and one numbered feed of everything.
alter table mcp_logs add column owner_id uuid, add column organization_id uuid;
alter table mcp_events add column owner_id uuid, add column organization_id uuid;
update mcp_logs l set owner_id = i.user_id, organization_id = i.organization_id from mcp_instances i where i.id = l.mcp_instance_id;
update mcp_events e set owner_id = i.user_id, organization_id = i.organization_id from mcp_instances i where i.id = e.mcp_instance_id;
alter table mcp_logs alter column owner_id set not null, alter column organization_id set not null;
alter table mcp_events alter column owner_id set not null, alter column organization_id set not null;
-- Many statements write events; whose they are is found here. Lines are many: their one statement says it itself.
create function event_owner() returns trigger language plpgsql as $$
begin
  select i.user_id, i.organization_id into new.owner_id, new.organization_id from mcp_instances i where i.id = new.mcp_instance_id;
  return new;
end $$;
create trigger mcp_events_owner before insert on mcp_events for each row when (new.owner_id is null) execute function event_owner();
create index mcp_logs_of_owner on mcp_logs (owner_id, at, seq, origin);
create index mcp_logs_of_organization on mcp_logs (organization_id, at, seq, origin);

create table system_events (
  id uuid not null, at timestamptz not null, event_type text not null, name text not null, severity text not null,
  source text not null, context jsonb not null default '{}', node_id uuid,
  constraint system_events_once primary key (at, id),
  constraint system_events_severity_known check (severity in ('info', 'warning', 'error', 'critical')),
  constraint system_events_context_is_object check (jsonb_typeof(context) = 'object')
) partition by range (at);

-- Waits for its number. A number is given after the commit, by one process, so that a reader never misses a lower one.
create table feed_unplaced (
  id uuid primary key, at timestamptz not null, kind text not null, event_type text not null, owner_id uuid, organization_id uuid,
  subject uuid, data jsonb not null default '{}'
);
create sequence feed_position as bigint;
create table feed (
  position bigint not null, placed_at timestamptz not null, id uuid not null, at timestamptz not null, kind text not null,
  event_type text not null, owner_id uuid, organization_id uuid, subject uuid, data jsonb not null default '{}',
  constraint feed_once primary key (position, placed_at),
  constraint feed_kind_known check (kind in ('instance', 'credential', 'system', 'audit'))
) partition by range (placed_at);
create index feed_of_owner on feed (owner_id, position);
create index feed_of_organization on feed (organization_id, position);
create function feed_of_instance() returns trigger language plpgsql as $$
begin
  insert into feed_unplaced (id, at, kind, event_type, owner_id, organization_id, subject, data)
  values (new.id, new.at, 'instance', new.event_type, new.owner_id, new.organization_id, new.mcp_instance_id, new.event_data);
  return null;
end $$;
create trigger mcp_events_feed after insert on mcp_events for each row execute function feed_of_instance();
create function feed_of_system() returns trigger language plpgsql as $$
begin
  insert into feed_unplaced (id, at, kind, event_type, data)
  values (new.id, new.at, 'system', new.event_type, jsonb_build_object('name', new.name, 'severity', new.severity, 'source', new.source) || new.context);
  return null;
end $$;
create trigger system_events_feed after insert on system_events for each row execute function feed_of_system();
select ensure_month_partitions(now(), 3);
