-- Instances that are started again, that live on while they are used, and that say ahead when their time is up.

alter table mcp_instances
  add column keep            boolean not null default false,
  add column lifetime_s      bigint,
  add column began_at        timestamptz,
  add column deadline_set_at timestamptz,
  add column warned_of       timestamptz;
-- An extension counts as part of the lifetime of what was launched before: nobody asked for it to be kept by uses.
update mcp_instances
  set lifetime_s = greatest(1, ceil(extract(epoch from expires_at - created_at))), began_at = created_at,
      deadline_set_at = created_at;
alter table mcp_instances
  alter column lifetime_s set not null,
  alter column began_at set not null,
  alter column deadline_set_at set not null,
  add constraint mcp_instances_lifetime_fits check (lifetime_s >= 1);

-- What has ended and is not yet said to be past its deadline.
create index mcp_instances_ended_due on mcp_instances (node_id, expires_at)
  where status in ('disconnected', 'stopped', 'error') and deleted_at is null;

-- Who held a port last, while nobody has taken it since: who comes back gets it again.
alter table port_allocations
  add column released_by uuid,
  add constraint port_allocations_released_by_instance
    foreign key (released_by) references mcp_instances on delete set null;
create index port_allocations_released on port_allocations (released_by) where released_by is not null;

alter table mcp_events drop constraint mcp_events_type_known;
alter table mcp_events add constraint mcp_events_type_known check (event_type in (
  'created', 'started', 'restored', 'renewed', 'extended', 'expiring', 'restarted', 'stopped', 'disconnected',
  'expired', 'deleted', 'error', 'reaped', 'adopted', 'token_rotated'));
