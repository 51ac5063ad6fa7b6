delete from mcp_events
  where event_type in ('token_revoked', 'credential_replaced', 'credential_expiring', 'limit_reached');
alter table mcp_events drop constraint mcp_events_type_known;
alter table mcp_events add constraint mcp_events_type_known check (event_type in (
  'created', 'started', 'restored', 'renewed', 'extended', 'expiring', 'restarted', 'stopped', 'disconnected',
  'expired', 'deleted', 'error', 'reaped', 'adopted', 'token_rotated'));

delete from system_settings where key in (
  'confinement.min', 'confinement.outbound_ports', 'confinement.allowed_roots',
  'credentials.remind_before_days');
alter table mcp_instances drop column confinement, drop column credential_version, drop column control_key;
