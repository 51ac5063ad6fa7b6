delete from mcp_events where event_type = 'expiring';
alter table mcp_events drop constraint mcp_events_type_known;
alter table mcp_events add constraint mcp_events_type_known check (event_type in (
  'created', 'started', 'restored', 'renewed', 'extended', 'restarted', 'stopped', 'disconnected',
  'expired', 'deleted', 'error', 'reaped', 'adopted', 'token_rotated'));

alter table port_allocations drop column released_by;

drop index mcp_instances_ended_due;
alter table mcp_instances
  drop column keep, drop column lifetime_s, drop column began_at, drop column deadline_set_at,
  drop column warned_of;
